"""Holds the parts to a country for which our sender is refused, such as one that it is not registered for.

Parts to other countries go on. A hold is kept in the database, so it outlasts a restart and applies to every server.
After each pause one part to the country is sent as a trial, that of another user first; one that arrives ends the hold.
"""

from __future__ import annotations

import logging
import math
from collections import defaultdict
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Any, Final

from relay.core.channel import Channel
from relay.core.errors import SendError, SendFailure, StorageError
from relay.core.messages import UserId
from relay.core.parts import DeliveryEvent, PartState
from relay.core.retry import Backoff
from relay.core.store import Store
from relay.core.text import timestamp

log = logging.getLogger("relay.core.holds")

TRIALS: Final = Backoff(900.0, 3600.0)
"""Pauses before the first trial, the second, and so on: a refused part is billed, and registrations take days."""

LAST_SECONDS: Final = 30.0
"""How much later than those of others the parts of a user are due who was refused already."""

REACHED_SECONDS: Final = 3600.0
"""While another user of the country was reached in these last seconds, one refusal concerns its own user alone."""


@dataclass(frozen=True, slots=True)
class Hold:
    """code, reason: of the refusal. until: when the next trial may leave; tried: one has left since it was set.

    sent: the trial was reported as sent, which is proof when no refusal follows until the next one.
    """

    code: str
    reason: str
    since: float
    until: float
    refusals: int = 1
    tried: bool = False
    sent: bool = False


class Holds:
    """The holds of one channel. `clock` is in seconds since the Unix epoch."""

    def __init__(self, store: Store, channel: Channel, clock: Callable[[], float]) -> None:
        self._store = store
        self._channel = channel
        self._clock = clock
        self._held: dict[str, Hold] = {}
        self._reached_at: dict[str, float] = {}
        self._refused: defaultdict[str, set[UserId]] = defaultdict(set)

    async def load(self) -> None:
        """Read the holds, which other servers and operators change too. Raises StorageError."""
        stored = await self._store.read_holds(self._channel.platform)
        self._held = {country: Hold(**values) for country, values in stored.items()}

    def status(self) -> list[dict[str, Any]]:
        """For the operator: the countries whose parts wait, why, since when, and when one is tried next."""
        return [
            {
                "country": country,
                "reason": f"{hold.reason} ({hold.code})",
                "since": timestamp(hold.since),
                "next_trial": timestamp(hold.until),
            }
            for country, hold in sorted(self._held.items())
        ]

    async def why_held(self, user_id: UserId) -> SendError | None:
        """Why a part of this user has to wait; None when it may be sent, perhaps as the trial."""
        country = self._channel.country(user_id)
        hold = self._held.get(country or "")
        if country is None or hold is None:
            return None
        wait = hold.until - self._clock()
        if 0 < wait <= TRIALS.longest:  # longer: the clock was set back
            last = LAST_SECONDS if user_id in self._refused[country] else 0.0
            return SendError(SendFailure.COUNTRY, hold.code, hold.reason, retry_after=wait + last)
        if hold.sent:
            await self._end(country)
        else:
            until = self._clock() + TRIALS.delay(hold.refusals)
            await self._keep(country, replace(hold, until=until, tried=True))
        return None

    async def refused(self, user_id: UserId, error: SendError) -> SendError:
        """Hold the country of a user for whom our sender was refused; the error with the time of the next attempt.

        It is one of this destination alone while other users of the country are reached.
        """
        hold = self._after_refusal(user_id, error.code, error.message)
        await self._record_refusal(user_id, hold)
        if hold is None:
            return SendError(SendFailure.DESTINATION, error.code, error.message)
        return SendError(error.kind, error.code, error.message, retry_after=self._seconds(hold))

    def seconds_after(self, event: DeliveryEvent) -> float | None:
        """How long a part waits that is lost by this status; None when that holds no country."""
        hold = self._after_event(event)
        return None if hold is None else self._seconds(hold)

    async def record_status(self, event: DeliveryEvent) -> None:
        """Note a status that was not known before: a refusal holds the country, a trial that arrives ends the hold."""
        country = event.user_id and self._channel.country(event.user_id)
        if not event.user_id or not country:
            return
        hold = self._held.get(country)
        if event.failure is SendFailure.COUNTRY:
            await self._record_refusal(event.user_id, self._after_event(event))
        elif event.state in {PartState.DELIVERED, PartState.READ}:
            self._reached_at[country] = self._clock()
            self._refused.pop(country, None)
            if hold is not None and hold.tried:
                await self._end(country)
        elif event.state is PartState.SENT and hold is not None and hold.tried:
            await self._keep(country, replace(hold, sent=True))

    def _after_event(self, event: DeliveryEvent) -> Hold | None:
        if event.failure is not SendFailure.COUNTRY or event.user_id is None:
            return None
        return self._after_refusal(event.user_id, event.error_code or "", event.error or "")

    def _after_refusal(self, user_id: UserId, code: str, reason: str) -> Hold | None:
        """The hold that follows from a refusal; None when it concerns this user alone."""
        country = self._channel.country(user_id)
        if country is None:
            return None
        now, hold = self._clock(), self._held.get(country)
        if hold is not None:
            refusals = hold.refusals + 1
            again = replace(hold, until=now + TRIALS.delay(refusals), refusals=refusals, tried=False, sent=False)
            return again if hold.tried else hold
        others = self._refused[country] - {user_id}
        if not others and now - self._reached_at.get(country, -math.inf) < REACHED_SECONDS:
            return None
        return Hold(code, reason, now, now + TRIALS.delay(1))

    async def _record_refusal(self, user_id: UserId, hold: Hold | None) -> None:
        country = self._channel.country(user_id)
        if country is not None:
            self._refused[country].add(user_id)
            if hold is not None and hold != self._held.get(country):
                await self._keep(country, hold)

    def _seconds(self, hold: Hold) -> float:
        """How long the refused part waits: the others have their trials before it."""
        return max(0.0, hold.until - self._clock()) + LAST_SECONDS

    async def _keep(self, country: str, hold: Hold) -> None:
        """Store a hold; errors are logged only, so that no part depends on it."""
        if country not in self._held:
            log.error("parts to %s WAIT: %s (%s). Others go on, nothing is lost.", country, hold.reason, hold.code)
        self._held[country] = hold
        try:
            await self._store.keep_hold(self._channel.platform, country, asdict(hold))
        except StorageError as error:
            log.warning("that parts to %s wait cannot be noted now: %s", country, error)

    async def _end(self, country: str) -> None:
        log.info("parts to %s are sent again", country)
        hold = self._held.pop(country)
        try:
            await self._store.end_hold(self._channel.platform, country, hold.code)
        except StorageError as error:
            log.warning("that parts to %s are sent again cannot be noted now: %s", country, error)
