"""A server holds a lease for no longer than the database does."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from relay.channels.sms.spec import SMS
from relay.core.errors import StorageError
from relay.core.lease import Lease
from relay.core.messages import Platform
from tests.core.harness import FakeClock

SECONDS = 16.0
US, THEM, NAME = "us", "them", "polling"


class FakeLeaseTable:
    """The lease verbs of a store, in memory; `away` makes them fail."""

    owner = US

    def __init__(self) -> None:
        self.holder = US
        self.away = False
        self.held = asyncio.Semaphore(0)
        self.released = 0
        self.on_hold: Callable[[], None] = lambda: None

    async def hold_lease(self, platform: Platform, name: str, seconds: float) -> str:
        assert (platform, name, seconds) == (SMS, NAME, SECONDS)
        self.held.release()
        self.on_hold()
        if self.away:
            raise StorageError("away")
        return self.holder

    def __getattr__(self, name: str) -> Any:
        raise NotImplementedError(name)  # a lease needs no other verb of the store

    async def release_lease(self, platform: Platform, name: str) -> None:
        assert (platform, name) == (SMS, NAME)
        self.released += 1
        if self.away:
            raise StorageError("away")


class LeaseHarness:
    """A lease over the fake table and clock."""

    def __init__(self) -> None:
        self.table = FakeLeaseTable()
        self.clock = FakeClock()
        self.lease = Lease(self.table, SMS, NAME, SECONDS, monotonic=self.clock.time, sleep=self.clock.sleep)

    async def taken(self) -> None:
        assert await self.lease.take()
        await self.table.held.acquire()

    async def next_renewal(self) -> None:
        """Advance the clock to the next renewal and wait until it is done."""
        while not self.clock.sleeping(SECONDS / 4):  # noqa: ASYNC110 (going to sleep is no event)
            await asyncio.sleep(0)
        self.clock.advance(SECONDS / 4)
        await self.table.held.acquire()
        await asyncio.sleep(0)


async def test_it_is_held_as_long_as_it_is_renewed() -> None:
    """Far beyond its first end."""
    harness = LeaseHarness()
    await harness.taken()
    for _ in range(20):
        await harness.next_renewal()
        assert harness.lease.held
    await harness.lease.release()
    assert (harness.lease.held, harness.table.released) == (False, 1)


async def test_it_counts_from_before_the_question() -> None:
    """A slow answer of the database costs us time, never the server that takes over."""
    harness = LeaseHarness()
    harness.table.on_hold = lambda: harness.clock.advance(SECONDS - 1)
    await harness.taken()
    assert harness.lease.held
    harness.clock.advance(1)
    assert not harness.lease.held
    await harness.lease.release()


async def test_what_another_server_holds_is_not_ours() -> None:
    """It says who has it, which before the first attempt is not known."""
    harness = LeaseHarness()
    assert (harness.lease.held, harness.lease.holder) == (False, None)
    harness.table.holder = THEM
    assert not await harness.lease.take()
    assert (harness.lease.held, harness.lease.holder) == (False, THEM)


async def test_it_is_lost_as_soon_as_a_renewal_says_so(caplog: pytest.LogCaptureFixture) -> None:
    """And nothing is given back that is not ours; the log says whose it is."""
    harness = LeaseHarness()
    await harness.taken()
    harness.table.holder = THEM
    await harness.next_renewal()
    assert not harness.lease.held
    await harness.lease.release()
    assert harness.table.released == 0
    assert caplog.messages == ["the lease polling is held by them now"]


async def test_a_short_absence_of_the_database_loses_nothing() -> None:
    """Renewals are tried again until the end."""
    harness = LeaseHarness()
    await harness.taken()
    harness.table.away = True
    await harness.next_renewal()
    await harness.next_renewal()
    assert harness.lease.held
    harness.table.away = False
    await harness.next_renewal()
    harness.clock.advance(SECONDS - 1)
    assert harness.lease.held
    await harness.lease.release()


async def test_without_a_renewal_it_ends_by_our_own_clock(caplog: pytest.LogCaptureFixture) -> None:
    """Another server may have it by now; it is taken anew and not renewed, even if no other server wanted it."""
    harness = LeaseHarness()
    await harness.taken()
    harness.table.away = True
    for _ in range(3):
        await harness.next_renewal()
    assert harness.lease.held
    harness.clock.advance(SECONDS / 4)
    assert not harness.lease.held
    await asyncio.sleep(0)
    failed, expired = "the lease polling cannot be renewed now: away", "expired: it could not be renewed in time"
    assert caplog.messages == [failed, failed, failed, f"the lease polling {expired}"]
    harness.table.away = False
    harness.clock.advance(10 * SECONDS)
    await asyncio.sleep(0)
    assert harness.table.held.locked()
    await harness.taken()
    assert harness.lease.held
    await harness.lease.release()


async def test_given_back_while_the_database_is_away_it_is_no_longer_ours(caplog: pytest.LogCaptureFixture) -> None:
    """It ends by itself there, and can be taken anew."""
    harness = LeaseHarness()
    await harness.taken()
    harness.table.away = True
    await harness.lease.release()
    assert not harness.lease.held
    assert caplog.messages == ["the lease polling will expire, it could not be released: away"]
    harness.table.away = False
    await harness.taken()
    await harness.lease.release()


@pytest.mark.parametrize(("seconds", "pause"), [(5.0, 1.0), (SECONDS, 2.0)])
async def test_a_server_on_standby_asks_several_times_within_a_lease(seconds: float, pause: float) -> None:
    """So that it takes over soon after the end."""
    pauses: list[float] = []

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)

    await Lease(FakeLeaseTable(), SMS, NAME, seconds, sleep=sleep).wait_to_retry()
    assert pauses == [pause]
