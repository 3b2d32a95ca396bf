"""When a server may think that it holds a lease: never longer than the database does, whatever happens to it."""

# ruff: noqa: ARG002 (the arguments are the protocol's)
from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from relay.channels.sms.spec import SMS
from relay.core.errors import StorageError
from relay.core.lease import Lease
from relay.core.messages import Platform
from tests.core.world import Hours

SECONDS = 16.0
US, THEM = "us", "them"


class Register:
    """The leases of a database that does as it is told."""

    owner = US

    def __init__(self) -> None:
        self.holder = US
        self.away = False
        self.held = asyncio.Semaphore(0)
        self.released = 0
        self.on_hold: Callable[[], None] = lambda: None

    async def hold_lease(self, platform: Platform, name: str, seconds: float) -> str:
        self.held.release()
        self.on_hold()
        if self.away:
            raise StorageError("away")
        return self.holder

    def __getattr__(self, name: str) -> Any:
        raise NotImplementedError(name)  # a lease needs no other verb of the store

    async def release_lease(self, platform: Platform, name: str) -> None:
        self.released += 1
        if self.away:
            raise StorageError("away")


class Watch:
    """A lease, its register, and the time, which goes by a renewal at a time."""

    def __init__(self) -> None:
        self.register = Register()
        self.hours = Hours(lambda _: None)
        self.lease = Lease(self.register, SMS, "x", SECONDS, monotonic=self.hours.clock, sleep=self.hours.sleep)

    async def taken(self) -> None:
        assert await self.lease.take()
        await self.register.held.acquire()

    async def next_renewal(self) -> None:
        """Let the time until the next renewal go by, and let that happen."""
        while not self.hours.asleep(SECONDS / 4):  # noqa: ASYNC110 (going to sleep is no event)
            await asyncio.sleep(0)
        self.hours.move(SECONDS / 4)
        await self.register.held.acquire()
        await asyncio.sleep(0)


async def test_it_is_held_as_long_as_it_is_renewed() -> None:
    """Far beyond its first end."""
    watch = Watch()
    await watch.taken()
    for _ in range(20):
        await watch.next_renewal()
        assert watch.lease.held
    await watch.lease.give_back()
    assert (watch.lease.held, watch.register.released) == (False, 1)


async def test_it_counts_from_before_the_question() -> None:
    """A slow answer of the database costs us time, never the server that takes over."""
    watch = Watch()
    watch.register.on_hold = lambda: watch.hours.move(SECONDS - 1)
    await watch.taken()
    assert watch.lease.held
    watch.hours.move(1)
    assert not watch.lease.held
    await watch.lease.give_back()


async def test_what_another_server_holds_is_not_ours() -> None:
    """It says who has it."""
    watch = Watch()
    watch.register.holder = THEM
    assert not await watch.lease.take()
    assert (watch.lease.held, watch.lease.holder) == (False, THEM)


async def test_it_is_lost_as_soon_as_a_renewal_says_so() -> None:
    """And nothing is given back that is not ours."""
    watch = Watch()
    await watch.taken()
    watch.register.holder = THEM
    await watch.next_renewal()
    assert not watch.lease.held
    await watch.lease.give_back()
    assert watch.register.released == 0


async def test_a_short_absence_of_the_database_loses_nothing() -> None:
    """Renewals are tried again until the end."""
    watch = Watch()
    await watch.taken()
    watch.register.away = True
    await watch.next_renewal()
    await watch.next_renewal()
    assert watch.lease.held
    watch.register.away = False
    await watch.next_renewal()
    watch.hours.move(SECONDS - 1)
    assert watch.lease.held
    await watch.lease.give_back()


async def test_without_a_renewal_it_ends_by_our_own_clock() -> None:
    """Another server may have it by now; it is taken anew and not renewed, even if nobody wanted it."""
    watch = Watch()
    await watch.taken()
    watch.register.away = True
    for _ in range(3):
        await watch.next_renewal()
    assert watch.lease.held
    watch.hours.move(SECONDS / 4)
    assert not watch.lease.held
    await asyncio.sleep(0)
    watch.register.away = False
    watch.hours.move(10 * SECONDS)
    await asyncio.sleep(0)
    assert watch.register.held.locked()
    await watch.taken()
    assert watch.lease.held
    await watch.lease.give_back()


async def test_given_back_while_the_database_is_away_it_is_no_longer_ours() -> None:
    """It ends by itself there."""
    watch = Watch()
    await watch.taken()
    watch.register.away = True
    await watch.lease.give_back()
    assert not watch.lease.held
