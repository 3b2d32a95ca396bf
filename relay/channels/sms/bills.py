"""Reads what Twilio billed for the texts of a day, when its prices are there: up to a day later.

https://www.twilio.com/docs/messaging/api/message-resource: price is empty until the message was sent and rated.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping

from relay.channels.sms.spec import SMS
from relay.core.messages import UserId
from relay.core.store import Store

ROUND_SECONDS = 3600.0
RATED_AFTER_SECONDS = 36 * 3600.0
_BILLED = "billed_day"

Fetch = Callable[[str], Awaitable[Mapping[UserId, float]]]


class Bills:
    """`fetch` returns what was billed for a day (UTC, as 2026-11-27) by person, in USD."""

    def __init__(self, store: Store, fetch: Fetch, *, clock: Callable[[], float] = time.time) -> None:
        self._store = store
        self._fetch = fetch
        self._clock = clock

    async def once(self) -> None:
        """Record the bill of the latest day that is surely rated, committed on return, unless that was done before."""
        day = time.strftime("%Y-%m-%d", time.gmtime(self._clock() - RATED_AFTER_SECONDS))
        if await self._store.read_state(SMS, _BILLED) == day:
            return
        await self._store.record_bill(SMS, day, await self._fetch(day))
        await self._store.set_state(SMS, _BILLED, day)
