"""Sends one text to many people, behind the answers to those who wait.

A broadcast is a row; its parts are planned a few people at a time, at the pace of the channel, and only while fewer
than MAX_DUE parts wait to be sent. So an answer never waits behind more than these, whatever the number of people, and
a stop or a kill at any moment leaves at most these to be sent. Each person is recorded in the transaction that plans
the parts, under a unique key.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from typing import Final, Protocol

from relay.config.settings import SpendingCaps
from relay.core.messages import Platform, Spending, UserId
from relay.core.parts import PlannedPart
from relay.core.periodic import Periodic
from relay.core.placeholders import has_name

log = logging.getLogger("relay.core.broadcast")

MAX_DUE: Final = 10
"""Parts of a channel that may wait to be sent before no person of a broadcast is added."""

STEP_SECONDS: Final = 0.5
"""About how often people are added: as many as the channel sends in this time."""

ROUND_SECONDS: Final = 2.0
"""How often it is checked whether a broadcast runs."""

BUSY_SECONDS: Final = 1.0
LEASE: Final = "broadcast"
LEASE_SECONDS: Final = 15.0


class BroadcastState(StrEnum):
    """running -> stopped -> running, until it is done: then no person is left who may get it."""

    RUNNING = "running"
    STOPPED = "stopped"
    DONE = "done"


@dataclass(frozen=True, slots=True)
class Audience:
    """Who of a channel's people may get a broadcast: those who wrote, and may be written to now.

    wrote_after: only people who wrote since then (epoch seconds). reply_seconds: how long after their last message the
    provider lets us write to people; None: without end. group_prefix: how addresses of groups begin, which get nothing.
    """

    platform: Platform
    wrote_after: float | None = None
    reply_seconds: float | None = None
    group_prefix: str = ""
    blocklist: Collection[str] = ()
    allowlist: Collection[str] = ()


@dataclass(frozen=True, slots=True)
class Broadcast:
    """A broadcast on one channel. beyond_caps: the operator wants it sent even if a cap on spending is reached.

    hours: when it is sent, in the form of relay.config.weekly_times; always when empty.
    """

    id: int
    platform: Platform
    text: str
    wrote_after: float | None
    beyond_caps: bool
    hours: str = ""


PlanForName = Callable[[str | None], Sequence[PlannedPart]]
"""The parts of a text for a person of this name, if any."""


@dataclass(frozen=True, slots=True)
class Terms:
    """What a channel gives to broadcasts. per_second: segments, or messages where there are none.

    plan: the parts of a text for a name, if any; raises ValueError. audience: by the time since when its people must
    have written. is_time: whether it is within these hours now.
    """

    plan: Callable[[str, str | None], list[PlannedPart]]
    audience: Callable[[float | None], Audience]
    per_second: float
    caps: SpendingCaps
    is_time: Callable[[str], bool] = lambda hours: not hours


class BroadcastStore(Protocol):
    """The verbs of the store that broadcasts need; all of them raise StorageError."""

    async def running_broadcast(self, platform: Platform) -> Broadcast | None: ...
    async def count_due_parts(self, platform: Platform, most: int) -> int: ...
    async def has_open_parts(self, platform: Platform) -> bool: ...
    async def total_spending(self, platform: Platform) -> Spending: ...
    async def plan_broadcast(
        self, broadcast_id: int, audience: Audience, plan: PlanForName, most: int
    ) -> list[UserId] | None: ...
    async def stop_broadcast(self, broadcast_id: int, reason: str, who: str = "") -> bool: ...
    async def hold_lease(self, platform: Platform, name: str, seconds: float) -> str: ...
    @property
    def owner(self) -> str: ...


class SendingOutbox(Protocol):
    """The outbox, as far as a broadcast needs it."""

    @property
    def works(self) -> bool: ...
    def notify(self, user_id: UserId) -> None: ...


class Broadcaster:
    """Plans the broadcasts of one channel; of several servers on one database, the one that holds the lease."""

    def __init__(
        self,
        store: BroadcastStore,
        platform: Platform,
        terms: Terms,
        outbox: SendingOutbox,
        *,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._store = store
        self._platform = platform
        self._terms = terms
        self._outbox = outbox
        self._sleep = sleep

    def periodic(self) -> Periodic:
        return Periodic("broadcasts", ROUND_SECONDS, self.once, first_after=ROUND_SECONDS, sleep=self._sleep)

    async def once(self) -> None:
        """Plan as long as a broadcast runs and may go on. Raises StorageError."""
        while (pause := await self._step()) is not None:
            await self._sleep(pause)

    async def _step(self) -> float | None:
        """Plan for the next people, committed; the seconds until the next step, None when nothing is to be done."""
        broadcast = await self._store.running_broadcast(self._platform)
        if broadcast is None or await self._store.hold_lease(self._platform, LEASE, LEASE_SECONDS) != self._store.owner:
            return None
        if not self._terms.is_time(broadcast.hours):
            return None
        try:
            parts = self._terms.plan(broadcast.text, None)
        except ValueError as error:
            await self._stop(broadcast, f"the text cannot be sent: {error}")
            return 0
        if not broadcast.beyond_caps and (cap := await self._reached_cap()):
            await self._stop(broadcast, cap)
            return 0
        segments = sum(part.segments for part in parts)
        most = min(await self._room(), max(1, round(self._terms.per_second * STEP_SECONDS / segments)))
        if most <= 0:
            return BUSY_SECONDS
        planned = await self._plan(broadcast, parts, most)
        return 0 if planned is None else planned * segments / self._terms.per_second

    async def _plan(self, broadcast: Broadcast, parts: list[PlannedPart], most: int) -> int | None:
        """Plan for at most `most` people; for how many, None when it is done or was stopped."""
        audience = self._terms.audience(broadcast.wrote_after)
        plan = partial(plan_for, self._terms.plan, broadcast.text) if has_name(broadcast.text) else lambda _: parts
        users = await self._store.plan_broadcast(broadcast.id, audience, plan, most)
        for user_id in users or ():
            self._outbox.notify(user_id)
        return None if users is None else len(users)

    async def _room(self) -> int:
        """For how many people parts may be planned; while sending fails, for one if nothing else waits."""
        if not self._outbox.works:
            return 0 if await self._store.has_open_parts(self._platform) else 1
        return MAX_DUE - await self._store.count_due_parts(self._platform, MAX_DUE)

    async def _reached_cap(self) -> str | None:
        caps, spent = self._terms.caps, await self._store.total_spending(self._platform)
        return next((reason for reason, usd, cap in caps_of(caps, spent) if usd >= cap), None)

    async def _stop(self, broadcast: Broadcast, reason: str) -> None:
        log.warning("broadcast %d on %s stops: %s", broadcast.id, self._platform, reason)
        await self._store.stop_broadcast(broadcast.id, reason)


def plan_for(plan: Callable[[str, str | None], list[PlannedPart]], text: str, name: str | None) -> list[PlannedPart]:
    """The parts for a person of this name; a name that makes the text too long is left out. Raises ValueError."""
    try:
        return plan(text, name)
    except ValueError:
        return plan(text, None)


def caps_of(caps: SpendingCaps, spent: Spending) -> list[tuple[str, float, float]]:
    """The caps on all spending that there are: what is reached with them, what was spent, the cap; in USD."""
    today = ("the cap of today is reached", spent.day, caps.day)
    month = ("the cap of this month is reached", spent.month, caps.month)
    return [(reason, usd, cap) for reason, usd, cap in (today, month) if cap is not None]
