"""Sends planned parts in order and records the outcome of each.

A part is marked before it is sent and recorded after; one whose outcome is unknown is looked up at the provider before
it may be sent again. The channel classifies errors; `relay.core.retry` computes when to try again. While the provider
fails, `relay.core.circuit` admits one part at a time and the others stay unclaimed.
"""

from __future__ import annotations

import asyncio
import logging
import math
import random
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import TypeVar

from relay.config.logs import REQUEST_ID
from relay.config.settings import Settings
from relay.core.channel import Channel
from relay.core.circuit import CircuitState, SendCircuit
from relay.core.errors import LeaseLost, OutcomeUnknown, SendError, SendFailure, StorageError
from relay.core.holds import Holds
from relay.core.messages import USER_STATE_AFTER, PartId, UserId, request_id_of
from relay.core.metrics import Metrics
from relay.core.parts import DeliveryEvent, Part, PlannedPart, Receipt
from relay.core.retry import SEND_BACKOFF, next_delay
from relay.core.send_pause import SendPause
from relay.core.store import Store
from relay.core.user_workers import UserWorkers
from relay.texts.sentences import localize

log = logging.getLogger("relay.core.outbox")

T = TypeVar("T")

LOOKUP_AFTER_SECONDS = 2.0
"""How long to wait for a status callback with the outcome of a send before it is looked up."""

MAX_RESENDS = 1
"""How often a part is repeated after an unknown outcome that cannot be looked up; then its user is notified."""

GIVEN_SECONDS = 1.0
"""How long a part that was claimed as it was planned may wait for its send."""

MAX_DESTINATION_ATTEMPTS = 5
"""How often a part is tried whose destination is refused while other users are reached."""

MAX_MOVES = 5
"""How often a part follows its user to a new address, in one process, before that counts as any other refusal."""

_RECORD_PAUSE_SECONDS = 1.0


class Outbox:
    """One channel's outgoing parts. Its workers are notified when parts were planned."""

    def __init__(
        self,
        store: Store,
        channel: Channel,
        settings: Settings,
        metrics: Metrics,
        *,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        rng: Callable[[], float] = random.random,
    ) -> None:
        self._store = store
        self._channel = channel
        self._platform = channel.platform
        self._settings = settings
        self._metrics = metrics
        self._clock = clock
        self._monotonic = monotonic
        self._sleep = sleep
        self._rng = rng
        self._claimed: set[PartId] = set()
        self._given: dict[UserId, Part] = {}
        self._moves: Counter[PartId] = Counter()
        self.circuit = SendCircuit(self._platform, monotonic)
        self.holds = Holds(store, channel, clock)
        self._accepted_at = 0.0
        self.pause = SendPause(store, self._platform, clock, monotonic)
        self.workers = UserWorkers(
            f"{self._platform}-outbox",
            self._step,
            self._due,
            concurrency=settings.max_concurrent_answers,
            renew=self._renew,
            priority=store.priority,
            urgent=True,
            sleep=sleep,
        )

    @property
    def works(self) -> bool:
        """Whether parts are sent as far as is known: sending is not paused, and there is no outage."""
        return self.pause.reason is None and self.circuit.state is CircuitState.CLOSED

    def is_ready_for(self, user_id: UserId) -> bool:
        """Whether a part of this user would be sent at once."""
        return not self.pause.is_on and self.circuit.admits(user_id) and self.workers.has_free_slot

    def notify(self, user_id: UserId, part: Part | None = None) -> None:
        """Parts of this user were planned; `part`, the first of them, may be claimed already. Never waits."""
        if part is not None:
            self._given[user_id] = part
            self._claimed.add(part.id)
        self.workers.notify(user_id)

    async def _due(self) -> list[UserId]:
        """Users with due parts. A half-open circuit should try a part that was surely not sent yet.

        While there is none, and trying another would only risk its resend, a probe checks whether anything changed.
        When nothing waits at all, no trial will come, so a probe closes the circuit.
        """
        if self.pause.is_on or self.circuit.state is CircuitState.OPEN:
            return []
        half_open = self.circuit.state is CircuitState.HALF_OPEN
        users = await self._store.users_with_parts(self._platform, unsent=half_open)
        if users or not half_open:
            return users
        users = await self._store.users_with_parts(self._platform)
        if users and not (self._channel.supports_lookup or self.circuit.risks_resend):
            await self._probe()
            return []
        if not users and not await self._store.has_open_parts(self._platform) and await self._probe():
            self.circuit.record_idle()
        return users

    async def _renew(self) -> None:
        await self.holds.load()
        await self._store.renew_leases([], sorted(self._claimed))

    async def _step(self, user_id: UserId) -> bool:
        """Send or look up this user's next part, if it is due; True when the next one may follow."""
        given = self._given.pop(user_id, None)
        try:
            more = await self._next_part(user_id, given, admitted=await self._admits(user_id))
        finally:
            if given is not None:
                self._claimed.discard(given.id)
            was_trial = self.circuit.end_trial(user_id)
        if was_trial:
            with self.workers.waiting():  # a probe of the provider may be part of it
                due = await self._due()
            for waiting in due:
                self.workers.notify(waiting)
        return more

    async def _admits(self, user_id: UserId) -> bool:
        if self.pause.is_on:
            return False
        return self.circuit.admits(user_id) or await self._is_trial(user_id)

    async def _is_trial(self, user_id: UserId) -> bool:
        """Whether this user's next part is the trial of a half-open circuit, and the provider answers a probe."""
        if not self.circuit.begin_trial(user_id):
            return False
        with self.workers.waiting():
            return await self._probe()

    async def _next_part(self, user_id: UserId, given: Part | None, *, admitted: bool) -> bool:
        """Send the part that is given, or else the user's next one.

        A given part is held instead when it is not admitted any more, or late: the user may have opted out meanwhile,
        which the next claim checks.
        """
        part = given
        if part is None and admitted:
            mark = not self._channel.rate_limited
            part = await self._store.claim_next_part(self._platform, user_id, mark=mark)
        if part is None:
            return False
        self._claimed.add(part.id)
        REQUEST_ID.set(request_id_of(self._platform, part.inbound_id))
        try:
            if given is not None and (not admitted or self._is_late(given)):
                return await self._hold(given) or admitted
            if part.withdrawn and not (part.outcome_unknown and self._channel.supports_lookup):
                return await self._withdraw(part)
            if part.outcome_unknown:
                return await self._reconcile(part)
            return await self._send_unless_held(part)
        except LeaseLost as error:
            log.warning("%s", error)
            return True
        finally:
            self._claimed.discard(part.id)

    def _is_late(self, given: Part) -> bool:
        return self._clock() > given.lease_until - self._settings.lease_seconds + GIVEN_SECONDS

    async def _send_unless_held(self, part: Part) -> bool:
        if (held := await self.holds.why_held(part.user_id)) is not None:
            return await self._put_off(part, held)
        marked = not (self._channel.rate_limited or part.outcome_unknown)
        return await (self._send(part) if marked else self._begin(part))

    async def _begin(self, part: Part) -> bool:
        """Send a leased part when the rate limit allows, and mark it only then: a stop before leaves no doubt."""
        try:
            async with self.workers.without_slot():
                await self._channel.wait_for_rate_limit(part)
        except SendError as error:
            return await self._put_off(part, error)
        if not self.circuit.admits(part.user_id):
            return await self._hold(part)
        return await self._send(await self._store.begin_send(part))

    async def _send(self, part: Part) -> bool:
        """Send a part that was marked, and record the outcome whatever it is."""
        if self._clock() >= part.lease_until:
            raise LeaseLost(f"the lease on part {part.id} ended before it was sent")
        began = self._monotonic()
        try:
            with self.workers.waiting():
                receipt = await self._channel.send(part)
        except SendError as error:
            return await self._refused(part, error, began)
        except Exception as error:
            log.exception("part %s: unforeseen error in a send", part.id)
            return await self._refused(part, OutcomeUnknown("unforeseen", f"unforeseen {type(error).__name__}"), began)
        self.circuit.record_success(began)
        return await self._accepted(part, receipt)

    async def _accepted(self, part: Part, receipt: Receipt) -> bool:
        """Record an acceptance; False when no other part of the user is open."""
        self._accepted_at = self._clock()
        self._moves.pop(part.id, None)
        if part.inbound_id is not None:
            log.info("part %d of %d was accepted as %s", part.number, part.count, receipt.provider_id)
        self._metrics.sends.labels(self._platform, "accepted").inc()
        self._metrics.segments.labels(self._platform).inc(receipt.segments or 1)
        self._metrics.sent_cost.labels(self._platform).inc(receipt.cost_usd)
        self._metrics.answer_times.accepted(self._platform, part.reply_id, self._accepted_at)
        more = await self._record(lambda: self._store.record_accepted(part, receipt))
        await self.pause.end()
        if receipt.pause and part.number < part.count:
            self.workers.notify_later(receipt.pause, part.user_id)
        return more

    async def _reconcile(self, part: Part) -> bool:
        """Look up an earlier attempt and record it, or send the part again; without a lookup it is resent once.

        The only resend is not spent before the provider is known to work. A notice, and a change of a message, is
        repeated until it is accepted.
        """
        wait = (part.attempted_at or 0.0) + LOOKUP_AFTER_SECONDS - self._clock()
        if wait > 0:
            wait = min(wait, LOOKUP_AFTER_SECONDS)  # the clock may have been set back
            error = OutcomeUnknown("waiting", "a report on the last attempt may still come")
            await self._record(lambda: self._store.record_unknown(part, self._clock() + wait, error))
            self.workers.notify_later(wait, part.user_id)
            return False
        if self._channel.supports_lookup:
            return await self._lookup(part)
        if part.resends >= MAX_RESENDS and not part.repeatable:
            error = OutcomeUnknown("unknown", "it is unknown whether this part arrived")
            language = self._channel.language(await self._store.find_user(part.platform, part.user_id))
            return await self._fail(part, error, self._channel.plan(localize("perhaps-lost", language), language))
        return await (self._send_unless_held(part) if await self._may_resend(part) else self._hold(part))

    async def _lookup(self, part: Part) -> bool:
        """Record what the provider did with an earlier attempt, or send the part again when it will not turn up."""
        try:
            taken = await self._store.accepted_ids(part)
            with self.workers.waiting():
                receipt = await self._channel.lookup(part, taken)
        except SendError as error:
            return await self._put_off(part, OutcomeUnknown(error.code, error.message))
        if receipt is not None:
            return await self._accepted(part, receipt)
        late = (part.attempted_at or 0.0) + self._channel.lookup_seconds - self._clock()
        if late > 0:
            return await self._put_off(part, OutcomeUnknown("not found", "it may still turn up"), at_most=late)
        return await (self._withdraw(part) if part.withdrawn else self._send_unless_held(part))

    async def _may_resend(self, part: Part) -> bool:
        """Whether a send has worked since this part was tried, or else whether it should be the trial itself.

        A closed circuit proves nothing about an attempt of an earlier process or of another server.
        """
        if self.circuit.has_worked_within(self._clock() - (part.attempted_at or 0.0)):
            return True
        if not self.circuit.risks_resend:
            return False
        if self.circuit.state is CircuitState.CLOSED:
            return await self._is_trial(part.user_id)
        return True

    async def _probe(self) -> bool:
        """Whether the method that sends answers; a failure counts like that of a part, and costs none."""
        began = self._monotonic()
        try:
            await self._channel.probe()
        except SendError as error:
            self.circuit.record_failure(error, began, probe=True)
            return False
        return True

    async def _hold(self, part: Part) -> bool:
        """Give a claimed part back unsent; it stays due, and goes out when the circuit admits it."""
        error = self.circuit.cause or OutcomeUnknown("waiting", "it is not known yet whether the provider works")
        record = self._store.record_unknown if part.outcome_unknown else self._store.record_retry
        await self._record(lambda: record(part, self._clock(), error))
        return False

    async def _refused(self, part: Part, error: SendError, began: float) -> bool:
        """Commit what follows from a failed send: a retry, a new address, or the end of the part."""
        self.circuit.record_failure(error, began)
        self._metrics.sends.labels(self._platform, error.kind).inc()
        self._metrics.provider_errors.labels(self._platform, error.code).inc()
        if error.kind is SendFailure.COUNTRY:
            error = await self.holds.refused(part.user_id, error)
        if error.moved_to is None or self._moves[part.id] >= MAX_MOVES:
            return await self._put_off(part, error)
        self._moves[part.id] += 1
        address = UserId(error.moved_to)
        await self._record(lambda: self._store.record_retry(part, self._clock(), error))
        await self._record(lambda: self._store.move_user(self._platform, part.user_id, address))
        self.workers.notify(address)
        return False

    async def _put_off(self, part: Part, error: SendError, *, at_most: float = math.inf) -> bool:
        """Commit the next attempt, or give up; True when the next part of the user may be sent."""
        pause = next_delay(
            SEND_BACKOFF.get(error.kind),
            attempts=part.attempts,
            age=self._clock() - part.created_at,
            give_up_after=self._settings.send_give_up_seconds,
            retry_after=error.retry_after,
            rng=self._rng,
        )
        if pause is None or self._is_unreachable(error.kind, part.attempts, part.created_at):
            return await self._fail(part, error)
        pause = min(pause, at_most)
        due = self._clock() + pause
        log.warning("part %s: %s (%s); next try in %.1f s", part.id, error.message, error.code, pause)
        if part.outcome_unknown or error.kind is SendFailure.UNKNOWN:
            await self._record(lambda: self._store.record_unknown(part, due, error))
        else:
            await self._record(lambda: self._store.record_retry(part, due, error))
        if error.kind is SendFailure.CONFIG:
            await self.pause.begin(error, pause)  # the next sweep begins with those who have waited longest
        else:
            self.workers.notify_later(pause, part.user_id)
        return False

    def _is_unreachable(self, failure: SendFailure, attempts: int, since: float) -> bool:
        """Whether it is the destination that is refused, not our sender: others were accepted meanwhile."""
        tried_enough = failure is SendFailure.DESTINATION and attempts >= MAX_DESTINATION_ATTEMPTS
        return tried_enough and self._accepted_at > since

    async def _withdraw(self, part: Part) -> bool:
        return await self._fail(part, SendError(SendFailure.OPTED_OUT, "opted out", "the user has opted out"))

    async def _fail(self, part: Part, error: SendError, notice: Sequence[PlannedPart] = ()) -> bool:
        self._moves.pop(part.id, None)
        log.error("part %s is given up: %s (%s)", part.id, error.message, error.code)
        await self._record(lambda: self._store.record_failed(part, error, USER_STATE_AFTER.get(error.kind), notice))
        return True

    async def record_status(self, event: DeliveryEvent) -> bool:
        """Record a delivery status, committed on return; False for a repeated one. Raises StorageError.

        Most refusals by a carrier come only now; they are classified and retried like those of a send.
        """
        next_try = partial(self._next_try, event.failure, self.holds.seconds_after(event))
        fresh = await self._store.record_delivery(event, next_try)
        if fresh:
            await self.holds.record_status(event)
        if fresh and event.error_code:
            self._metrics.provider_errors.labels(self._platform, event.error_code).inc()
        if fresh and event.failure is SendFailure.CONFIG:
            error = SendError(event.failure, event.error_code or "", event.error or "")
            await self.pause.begin(error, self._next_try(event.failure, None, 1, 0.0) or 0.0)
        if fresh and event.error_code:
            await self._log_refusal(event)
        return fresh

    async def _log_refusal(self, event: DeliveryEvent) -> None:
        """Log why a part did not arrive, under the id of the inbound message that caused it, if any."""
        token = REQUEST_ID.set(request_id_of(self._platform, await self._store.cause_of(event)))
        reason = event.error or "without words"
        log.warning("%s was reported as %s: %s (%s)", event.provider_id, event.state, reason, event.error_code)
        REQUEST_ID.reset(token)

    def _next_try(
        self, failure: SendFailure | None, retry_after: float | None, attempts: int, age: float
    ) -> float | None:
        if failure is SendFailure.COUNTRY and retry_after is None:
            failure = SendFailure.DESTINATION  # others of the country are reached
        if failure and self._is_unreachable(failure, attempts, self._clock() - age):
            return None
        return next_delay(
            SEND_BACKOFF.get(failure) if failure else None,
            attempts=attempts,
            age=age,
            give_up_after=self._settings.send_give_up_seconds,
            retry_after=retry_after,
            rng=self._rng,
        )

    async def _record(self, verb: Callable[[], Awaitable[T]]) -> T:
        """Record the outcome of a send; while the database is unavailable, retry until it is back or the server stops.

        Shielded: a stop cancels the waiting, not the record.
        """
        while True:
            try:
                return await asyncio.shield(asyncio.ensure_future(verb()))
            except StorageError as error:
                log.warning("cannot record the outcome of a send yet: %s", error)
                await self._sleep(_RECORD_PAUSE_SECONDS)
