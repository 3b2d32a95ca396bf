"""Every transaction on the shared messaging database, as verbs; no other file writes to it.

The inbox and the outbox are tables: a message is stored before it is acknowledged, claimed with a lease in its sender's
order, and completed together with its answer; a part of an answer is marked before it is sent and recorded after. What
each verb has committed when it returns is said by the verb. All of them raise StorageError when the database cannot be
used, and then nothing of the verb was committed. What operators read is in `relay.reports`; this file adds no words.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from sqlalchemy import Connection, select, text, update

from relay import reports
from relay.database_engine import open_transactions
from relay.errors import SendError, StorageError
from relay.history import add_line, clear_lines
from relay.inbox import claim_head, finish, store_dead_letter, store_message, update_claimed
from relay.messages import (
    OPEN_PART_STATES,
    Answer,
    Claim,
    Decision,
    DeliveryEvent,
    Exchange,
    InboundId,
    InboundMessage,
    Kind,
    Origin,
    Part,
    PartId,
    PartState,
    PlannedPart,
    Platform,
    Receipt,
    ReplyId,
    User,
    UserId,
    UserState,
    storable,
)
from relay.parts import (
    accept_part,
    claim_part,
    fail_part,
    keep_report,
    plan_parts,
    put_off_part,
    to_part,
    update_claimed_part,
)
from relay.people import SILENT_STATES, change_user, move_person, touch_user
from relay.schema import inbound, notes, outbound, users
from relay.settings import Settings
from relay.transactions import Transactions, Tx, of_person

log = logging.getLogger("relay.database")

T = TypeVar("T")

PREPARE_PAUSE_SECONDS = 2.0


class MessagingDatabase:
    """The verbs. `owner` is the stable name under which this process holds leases."""

    def __init__(
        self,
        transactions: Transactions,
        *,
        owner: str,
        lease_seconds: float = 15.0,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._transactions = transactions
        self._sleep = sleep
        self._ready = False
        self._preparing: asyncio.Task[None] | None = None
        self.owner = owner
        self._lease = lease_seconds
        self._clock = clock

    async def start(self) -> None:
        """Create or migrate the tables; when the database cannot be used yet, go on trying in the background.

        Until then every verb raises StorageError, so that webhooks answer 503 and polling holds its offset.
        """
        if not await self._prepare():
            self._preparing = asyncio.create_task(self._keep_preparing())

    async def _prepare(self) -> bool:
        try:
            await self._transactions.prepare()
        except StorageError as error:
            log.error("%s", error)  # noqa: TRY400 (the sentence says it all)
        else:
            self._ready = True
        return self._ready

    async def _keep_preparing(self) -> None:
        while not self._ready:
            await self._sleep(PREPARE_PAUSE_SECONDS)
            await self._prepare()
        log.info("the database can be used now")

    async def stop(self) -> None:
        """Finish what is under way and close the connections."""
        if self._preparing is not None:
            self._preparing.cancel()
            await asyncio.gather(self._preparing, return_exceptions=True)
        await asyncio.get_running_loop().run_in_executor(None, self._transactions.close)

    async def _write(self, work: Callable[[Tx], T], *, urgent: bool = False) -> T:
        def run(connection: Connection) -> T:
            tx = Tx(connection, self._now(connection))
            result = work(tx)
            tx.flush()
            return result

        self._must_be_ready()
        return await self._transactions.write(run, urgent=urgent)

    async def _read(self, work: Callable[[Connection], T]) -> T:
        self._must_be_ready()
        return await self._transactions.read(work)

    def _must_be_ready(self) -> None:
        if not self._ready:
            raise StorageError("the database is not ready yet; the log of this server says why")

    def _now(self, connection: Connection) -> float:
        """PostgreSQL's own clock, because the clocks of several machines differ; ours where there is one machine."""
        if connection.dialect.name == "sqlite":
            return self._clock()
        return float(connection.execute(text("SELECT extract(epoch FROM clock_timestamp())")).scalar_one())

    # -- taking in -----------------------------------------------------------------------------------------------------

    async def store_inbound(self, message: InboundMessage, raw: str) -> InboundId | None:
        """Store one message durably; None when (platform, external_id) is already there, and then nothing changes."""
        return await self._write(lambda tx: store_message(tx, message, raw))

    async def store_dead_letter(self, platform: Platform, external_id: str, raw: str, reason: str) -> InboundId | None:
        """Keep what could not be parsed, raw, where the operator sees it; None when it is already there."""
        return await self._write(lambda tx: store_dead_letter(tx, platform, external_id, raw, reason))

    async def store_batch(
        self,
        messages: Sequence[tuple[InboundMessage, str]],
        dead_letters: Sequence[tuple[str, str, str]],
        platform: Platform,
        note: tuple[str, Any],
    ) -> list[UserId]:
        """Store what one poll brought, and the note (name, value) that the next poll starts from, all or nothing.

        dead_letters are (external id, raw, reason). Gives the people whose lanes have something new.
        """

        def work(tx: Tx) -> list[UserId]:
            fresh = [message.user_id for message, raw in messages if store_message(tx, message, raw) is not None]
            for external_id, raw, reason in dead_letters:
                store_dead_letter(tx, platform, external_id, raw, reason)
            put_note(tx, platform, *note)
            return fresh

        return await self._write(work)

    # -- the inbox -----------------------------------------------------------------------------------------------------

    async def claim_next_inbound(self, platform: Platform, user_id: UserId) -> Claim | None:
        """Lease the head of this person's line, committed; None when it is empty, not due, or somebody else's now."""
        return await self._write(lambda tx: claim_head(tx, platform, user_id, self.owner, self._lease))

    async def people_waiting(self, platform: Platform) -> list[UserId]:
        """People with an open message that is due and leased by nobody."""

        def work(connection: Connection) -> list[UserId]:
            now = self._now(connection)
            due = (inbound.c.due <= now) & (inbound.c.lease_until < now)
            open_rows = (inbound.c.platform == platform) & (inbound.c.state == "received")
            return [
                UserId(row.user_id)
                for row in connection.execute(select(inbound.c.user_id).where(open_rows & due).distinct())
            ]

        return await self._read(work)

    async def complete_inbound(
        self,
        claim: Claim,
        decision: Decision,
        parts: Sequence[PlannedPart],
        *,
        answer: Answer | None = None,
        outcome: str = "answered",
    ) -> ReplyId | None:
        """Commit at once: the message is done, the person is changed as decided, the history, the planned parts.

        Raises LeaseLost (and commits nothing) when the claim is no longer ours. None when nothing is to be sent.
        """

        def work(tx: Tx) -> ReplyId | None:
            finish(tx, claim, state="done", outcome=outcome, error=None)
            return settle_turn(tx, claim, decision, parts, Origin.ANSWER if answer else Origin.COMMAND, answer)

        return await self._write(work)

    async def postpone_inbound(self, claim: Claim, due: float, error: str, notice: Sequence[PlannedPart] = ()) -> None:
        """Give the message back until `due`, and plan the notice, if any, in one transaction. Raises LeaseLost."""

        def work(tx: Tx) -> None:
            changes: dict[str, Any] = {
                "due": due,
                "lease_until": 0,
                "failures": inbound.c.failures + 1,
                "error": storable(error),
            }
            if notice:
                changes["noticed_at"] = tx.now
            update_claimed(tx, claim, changes)
            plan_parts(tx, claim.message.platform, claim.message.user_id, notice, Origin.NOTICE, claim)

        await self._write(work)

    async def bury_inbound(self, claim: Claim, error: str, apology: Sequence[PlannedPart]) -> None:
        """Make the message a dead letter that the operator sees, and plan the apology, together. Raises LeaseLost."""

        def work(tx: Tx) -> None:
            finish(tx, claim, state="dead", outcome="gave up", error=storable(error))
            tx.count(claim.message.platform, "dead_letters")
            settle_turn(tx, claim, Decision(say=""), apology, Origin.NOTICE, None)

        await self._write(work)

    # -- the outbox ----------------------------------------------------------------------------------------------------

    async def plan_message(self, platform: Platform, user_id: UserId, parts: Sequence[PlannedPart]) -> ReplyId:
        """Plan an operator's message, with its line in the history, committed; the person need not be known."""

        def work(tx: Tx) -> ReplyId:
            touch_user(tx, platform, user_id)
            reply = plan_parts(tx, platform, user_id, parts, Origin.OPERATOR, None, in_context=True)
            assert reply is not None  # noqa: S101 (there is at least one part)
            return reply

        return await self._write(work)

    async def claim_next_part(self, platform: Platform, user_id: UserId) -> Part | None:
        """Mark the next part of this person's line as being sent, committed before anything leaves the house.

        `unsettled` tells that an earlier attempt may have been sent: settle it before `begin_resend`.
        """
        return await self._write(lambda tx: claim_part(tx, platform, user_id, self.owner, self._lease))

    async def begin_resend(self, part: Part) -> Part:
        """Mark a repetition after an unknown outcome, committed; the part comes with its new fence. Raises LeaseLost."""

        def work(tx: Tx) -> Part:
            changes = {
                "state": PartState.SENDING,
                "resends": outbound.c.resends + 1,
                "attempts": outbound.c.attempts + 1,
                "attempted_at": tx.now,
                "lease_until": tx.now + self._lease,
            }
            row = update_claimed_part(tx, part, changes)
            tx.count(part.platform, "resends")
            return replace(to_part(row, unsettled=False), attempted_at=tx.now)

        return await self._write(work, urgent=True)

    async def people_with_parts(self, platform: Platform) -> list[UserId]:
        """People with an open part that is due and leased by nobody."""

        def work(connection: Connection) -> list[UserId]:
            now = self._now(connection)
            open_rows = (outbound.c.platform == platform) & outbound.c.state.in_(OPEN_PART_STATES)
            due = (outbound.c.due <= now) & (outbound.c.lease_until < now)
            return [
                UserId(row.user_id)
                for row in connection.execute(select(outbound.c.user_id).where(open_rows & due).distinct())
            ]

        return await self._read(work)

    async def record_accepted(self, part: Part, receipt: Receipt) -> None:
        """Keep the provider's receipt, whoever holds the lease now: what was sent was sent."""
        await self._write(lambda tx: accept_part(tx, part, receipt), urgent=True)

    async def record_retry(self, part: Part, due: float, error: SendError) -> None:
        """Nothing was sent: the same part is planned again for `due`. Raises LeaseLost."""
        await self._write(lambda tx: put_off_part(tx, part, PartState.PLANNED, due, error), urgent=True)

    async def record_unknown(self, part: Part, due: float, error: SendError) -> None:
        """Nobody knows whether it was sent: it is to be settled at `due`. Raises LeaseLost."""
        await self._write(lambda tx: put_off_part(tx, part, PartState.UNKNOWN, due, error), urgent=True)

    async def record_failed(self, part: Part, error: SendError, user_state: UserState | None = None) -> None:
        """The part will never be sent: the rest of its reply is canceled and the history mended, together.

        With `user_state` the person changes too, and all that was planned for them is canceled. Raises LeaseLost.
        """
        await self._write(lambda tx: fail_part(tx, part, error, user_state), urgent=True)

    async def move_person(self, platform: Platform, old: UserId, new: UserId) -> None:
        """A Telegram group became a supergroup: its person, history and open rows go to the new address."""
        await self._write(lambda tx: move_person(tx, platform, old, new), urgent=True)

    async def record_delivery(self, event: DeliveryEvent) -> bool:
        """Keep a delivery report, early, late or repeated; False when it was already known."""
        return await self._write(lambda tx: keep_report(tx, event), urgent=True)

    # -- leases --------------------------------------------------------------------------------------------------------

    async def renew_leases(self, inbound_ids: Sequence[InboundId], part_ids: Sequence[PartId]) -> None:
        """Prolong what this process is working on."""

        def work(tx: Tx) -> None:
            until = {"lease_until": tx.now + self._lease}
            if inbound_ids:
                mine = (inbound.c.owner == self.owner) & inbound.c.id.in_(inbound_ids)
                tx.run(update(inbound).where(mine, inbound.c.state == "received").values(until))
            if part_ids:
                mine = (outbound.c.owner == self.owner) & outbound.c.part_id.in_(part_ids)
                tx.run(update(outbound).where(mine, outbound.c.state.in_(OPEN_PART_STATES)).values(until))

        if inbound_ids or part_ids:
            await self._write(work, urgent=True)

    async def release_leases(self, platform: Platform) -> None:
        """Free what an earlier life of this process held, or what this one leaves at its end."""

        def work(tx: Tx) -> None:
            mine = (inbound.c.platform == platform) & (inbound.c.owner == self.owner) & (inbound.c.state == "received")
            tx.run(update(inbound).where(mine).values(lease_until=0))
            mine = (outbound.c.platform == platform) & (outbound.c.owner == self.owner)
            tx.run(update(outbound).where(mine, outbound.c.state.in_(OPEN_PART_STATES)).values(lease_until=0))

        await self._write(work, urgent=True)

    # -- people --------------------------------------------------------------------------------------------------------

    async def read_context(
        self, platform: Platform, user_id: UserId, exchanges: int
    ) -> tuple[User | None, list[Exchange]]:
        """The person, and the last `exchanges` questions with their answers, oldest first, as the model sees them."""
        return await self._read(lambda c: reports.context(c, platform, user_id, exchanges))

    async def find_user(self, platform: Platform, user_id: UserId) -> User | None:
        return await self._read(lambda c: reports.find_user(c, platform, user_id))

    async def clear_history(self, platform: Platform, user_id: UserId) -> int | None:
        """Remove a person's history; how many messages went, or None when nobody is known under this address."""

        def work(tx: Tx) -> int | None:
            known = tx.run(select(users.c.user_id).where(of_person(users, platform, user_id))).first()
            return clear_lines(tx, platform, user_id) if known else None

        return await self._write(work)

    # -- notes and reports ---------------------------------------------------------------------------------------------

    async def put_note(self, platform: Platform, name: str, value: Any) -> None:
        """Keep a small JSON value under a name (the polling offset, why a channel is paused)."""
        await self._write(lambda tx: put_note(tx, platform, name, value))

    async def read_note(self, platform: Platform, name: str) -> Any:
        """The value kept under a name, or None."""
        return await self._read(lambda c: reports.note(c, platform, name))

    async def report(self, query: Callable[[Connection], T]) -> T:
        """Run one of the queries of `relay.reports`."""
        return await self._read(query)

    async def check(self) -> None:
        """Raise StorageError unless the database can be written now."""
        await self._write(lambda tx: put_note(tx, Platform.SMS, "written_at", tx.now))


def open_database(settings: Settings, server: str, clock: Callable[[], float] = time.time) -> MessagingDatabase:
    """Open (and create or migrate, under a lock) the database of these settings. Raises StorageError."""
    transactions = open_transactions(settings.database_url, settings.database_timeout_seconds)
    return MessagingDatabase(
        transactions, owner=f"{server}@{settings.owner}", lease_seconds=settings.lease_seconds, clock=clock
    )


def settle_turn(
    tx: Tx, claim: Claim, decision: Decision, parts: Sequence[PlannedPart], origin: Origin, answer: Answer | None
) -> ReplyId | None:
    """The person, the history and the parts of one finished turn."""
    message = claim.message
    user = change_user(tx, message, decision)
    if decision.clear_history:
        clear_lines(tx, message.platform, message.user_id)
    elif message.text and message.kind is Kind.TEXT and user is not None:
        person = (message.platform, message.user_id)
        add_line(tx, *person, "user", message.text, moment=message.received_at, in_context=answer is not None)
    if user is None or UserState(user.state) in SILENT_STATES:
        return None
    return plan_parts(
        tx,
        message.platform,
        message.user_id,
        parts,
        origin,
        claim,
        answer,
        in_context=answer is not None,
        remember=not decision.clear_history,
    )


def put_note(tx: Tx, platform: Platform, name: str, value: Any) -> None:
    row = tx.insert(notes).values(platform=platform, name=name, value=value, updated_at=tx.now)
    newer = {"value": value, "updated_at": tx.now}
    tx.run(row.on_conflict_do_update(index_elements=["platform", "name"], set_=newer))
