"""Fetches the state of messages of which Twilio reported nothing: a status callback is sent at best three times.

Slow on purpose. A message is fetched again when it is twice as old, so one that stays queued costs few requests.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable

from relay.core.messages import PartId, Platform
from relay.core.parts import DeliveryEvent
from relay.core.periodic import Periodic
from relay.core.store import Store

SOON = 60.0
"""Seconds after the start until Twilio is asked about the past, so that servers which restart often do it, too."""

ROUND_SECONDS = 300.0
YOUNGEST_SECONDS = 900.0
"""Reports take minutes when carriers are busy."""

OLDEST_SECONDS = 2 * 86_400.0
MAX_FETCHED = 50
"""Messages of one round."""

Fetch = Callable[[PartId, str], Awaitable[DeliveryEvent | None]]
Record = Callable[[DeliveryEvent], Awaitable[bool]]


class Reconciliation:
    """Of one platform. `fetch` returns the state of a message at Twilio, `record` takes it like a status callback."""

    def __init__(
        self,
        platform: Platform,
        store: Store,
        fetch: Fetch,
        record: Record,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._platform = platform
        self._store = store
        self._fetch = fetch
        self._record = record
        self._clock = clock
        self._due_age: dict[PartId, float] = {}

    async def once(self) -> None:
        """Fetch the state of the oldest messages without a report that are due, and record it, committed on return."""
        now = self._clock()
        waiting = await self._store.parts_without_status(self._platform, now - OLDEST_SECONDS, now - YOUNGEST_SECONDS)
        ages = {part_id: now - accepted_at for part_id, _, accepted_at in waiting}
        self._due_age = {part_id: age for part_id, age in self._due_age.items() if part_id in ages}
        due = [one for one in waiting if ages[one[0]] >= self._due_age.get(one[0], 0.0)]
        for part_id, sid, _ in due[:MAX_FETCHED]:
            self._due_age[part_id] = 2 * ages[part_id]
            if (event := await self._fetch(part_id, sid)) is not None:
                await self._record(event)


def periodic(platform: Platform, store: Store, fetch: Fetch, record: Record) -> Periodic:
    """The rounds of a channel."""
    lost = Reconciliation(platform, store, fetch, record)
    return Periodic(f"{platform}-reconciliation", ROUND_SECONDS, lost.once, first_after=SOON)
