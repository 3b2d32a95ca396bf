"""Sends one text to many people, behind the answers to those who wait.

A broadcast is a row; its parts are planned a few people at a time, at the pace of the channel, and only while fewer
than MAX_DUE parts wait to be sent. So an answer never waits behind more than these, whatever the number of people, and
a stop or a kill at any moment leaves at most these to be sent. Each person is recorded in the transaction that plans
the parts, under a unique key. Outside the hours of a person they are recorded as waiting, and planned when these begin.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final

from relay.core.broadcast import Broadcast, Terms, caps_of, plan_for
from relay.core.messages import Platform
from relay.core.outbox import Outbox
from relay.core.parts import PlannedPart
from relay.core.periodic import Periodic
from relay.core.placeholders import has_name
from relay.core.store import Store

log = logging.getLogger("relay.core.broadcaster")

MAX_DUE: Final = 10
"""Parts of a channel that may wait to be sent before no person of a broadcast is added."""

STEP_SECONDS: Final = 0.5
"""About how often people are added: as many as the channel sends in this time."""

ROUND_SECONDS: Final = 2.0
"""How often it is checked whether a broadcast runs."""

BUSY_SECONDS: Final = 1.0
LEASE: Final = "broadcast"
LEASE_SECONDS: Final = 15.0


class Broadcaster:
    """Plans the broadcasts of one channel; of several servers on one database, the one that holds the lease."""

    def __init__(
        self,
        store: Store,
        platform: Platform,
        terms: Terms,
        outbox: Outbox,
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
        """Plan for at most `most` people; for how many, None when no more may be planned now."""
        audience = self._terms.audience(broadcast.wrote_after)
        plan = partial(plan_for, self._terms.plan, broadcast.text) if has_name(broadcast.text) else lambda _: parts
        begin = partial(self._terms.begin, broadcast.hours)
        users = await self._store.plan_broadcast(broadcast.id, audience, plan, most, begin)
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
