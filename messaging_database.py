"""Every transaction of the message path on the shared database, as verbs; no other module writes to it.

Inbox and outbox are tables. A message is stored before it is acknowledged, claimed with a lease in the order of its
user, and completed together with its reply; a part of a reply is marked before it is sent and recorded after. Each verb
documents what it has committed on return. All of them raise StorageError when the database cannot be used; the verb has
then committed nothing, unless the connection broke during the commit itself.
"""

from __future__ import annotations

import relay.core.bootstrap  # isort: skip  # noqa: F401 (first of all: prints in one line what to install)

import io
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from sqlalchemy import Connection

from relay.channels.registry import PLATFORMS, AllSettings
from relay.config.loading import load_or_exit
from relay.config.settings import Settings
from relay.core.decisions import Decision, Forward
from relay.core.errors import SendError, UnusableAnswers
from relay.core.messages import (
    Answer,
    Claim,
    HistoryMessage,
    InboundContext,
    InboundId,
    InboundMessage,
    Kind,
    Outcome,
    PartId,
    Platform,
    ReplyId,
    User,
    UserId,
    UserState,
)
from relay.core.parts import CompletedMessage, DeliveryEvent, NextTry, Part, PartState, PlannedPart, Receipt
from relay.core.records import SentReply, UsageToday
from relay.storage import (
    by_hand,
    charges,
    delivery,
    holds,
    inbox,
    leases,
    personal,
    planning,
    queries,
    replies,
    saved_state,
    vectors,
)
from relay.storage import parts as part_rows
from relay.storage import users as user_rows
from relay.storage.engine import open_transactions
from relay.storage.operators_database import OperatorsDatabase
from relay.storage.schema import outbound
from relay.storage.transactions import Tx


class MessagingDatabase(OperatorsDatabase):
    """The verbs of the message path. `owner` is the stable name under which this process holds leases."""

    # -- storing -------------------------------------------------------------------------------------------------------

    async def store_inbound(self, message: InboundMessage, raw: str) -> InboundId | None:
        """Store one message, committed; None, and no change, when (platform, external_id) is stored already."""
        return await self._store(lambda tx: inbox.store_message(tx, message, raw))

    async def store_opt_out(
        self, message: InboundMessage, reason: str, confirmation: Sequence[PlannedPart] = ()
    ) -> InboundId | None:
        """Store a message by which its user opts out, and act on it before any other message, committed together.

        The user is stopped, planned parts are canceled, and open messages held: an answer under way finds its claim
        ended. The confirmation is planned at the first time. None, and no change, for a repeated message.
        """
        return await self._store(lambda tx: inbox.store_opt_out(tx, message, reason, confirmation), urgent=True)

    async def store_dead_letter(self, platform: Platform, external_id: str, raw: str, reason: str) -> InboundId | None:
        """Store a payload that could not be parsed, committed; None, and no change, when it is stored already."""
        return await self._store(lambda tx: inbox.store_dead_letter(tx, platform, external_id, raw, reason))

    async def store_batch(
        self,
        messages: Sequence[tuple[InboundMessage, str]],
        dead_letters: Sequence[tuple[str, str, str]],
        platform: Platform,
        state: tuple[str, Any],
    ) -> list[UserId]:
        """Store the result of one poll and the state (name, value) for the next, committed together.

        dead_letters are (external id, raw, reason). Returns the users with new messages.
        """

        def work(tx: Tx) -> list[UserId]:
            new = [message.user_id for message, raw in messages if inbox.store_message(tx, message, raw) is not None]
            for external_id, raw, reason in dead_letters:
                inbox.store_dead_letter(tx, platform, external_id, raw, reason)
            saved_state.set_state(tx, platform, *state)
            return new

        return await self._store(work)

    # -- the inbox -----------------------------------------------------------------------------------------------------

    async def users_waiting(self, platform: Platform) -> list[UserId]:
        """Users whose oldest open message is due and not leased, at most leases.MAX_USERS."""
        return await self.query(lambda c: leases.users_due(c, leases.MESSAGES_DUE, platform, self._transactions.now(c)))

    async def claim_next_inbound(self, platform: Platform, user_id: UserId) -> Claim | None:
        """Lease the oldest open message of a user, committed; None when there is none, or it is not due or leased."""
        return await self._write(
            lambda tx: inbox.claim_head(tx, platform, user_id, self.owner, self._lease), brief=True
        )

    async def complete_inbound(
        self,
        claim: Claim,
        decision: Decision,
        parts: Sequence[PlannedPart],
        *,
        answer: Answer | None = None,
        outcome: Outcome = Outcome.ANSWERED,
        reason: str | None = None,
        merged: Sequence[InboundId] = (),
        claim_part: bool = False,
        mark: bool = True,
        forward: Forward | None = None,
    ) -> CompletedMessage:
        """Finish the message, change the user as decided, extend the history and plan the parts, committed together.

        merged: messages behind it that were answered with it; they are finished as well. claim_part: the first part is
        claimed as by `claim_next_part`, unless another part of the user is open. forward: what the message, which is an
        operator's, does to another user. Raises LeaseLost, without a change, when the claim is no longer ours.
        """
        lease = planning.PartLease(self.owner, self._lease, mark) if claim_part else None
        complete = partial(inbox.complete, answer=answer, reason=reason, merged=merged, lease=lease)

        def work(tx: Tx) -> CompletedMessage:
            done = complete(tx, claim, decision, parts, outcome)
            if forward is not None:
                by_hand.forward(tx, forward, *self.takeover_notices)
            return replace(done, first=self._in_our_time(tx, done.first)) if done.first else done

        return await self._write(work, brief=not (decision.clear_history or decision.forget or decision.release))

    async def record_unusable(self, claim: Claim, unusable: UnusableAnswers) -> None:
        """Count answers of the model that were paid for and could not be used, committed."""
        await self._write(lambda tx: inbox.count_unusable(tx, claim, unusable), brief=True)

    async def record_shown(self, claim: Claim, message_id: str) -> None:
        """Record the provider's id of the message in which the answer grows, committed. Raises LeaseLost.

        The reply that completes the message becomes that message.
        """
        await self._write(lambda tx: inbox.record_shown(tx, claim, message_id), urgent=True, brief=True)

    async def postpone_inbound(self, claim: Claim, due: float, error: str, notice: Sequence[PlannedPart] = ()) -> None:
        """End the claim until `due`, and plan the notice, if any, committed together. Raises LeaseLost."""
        await self._write(lambda tx: inbox.postpone(tx, claim, self._due(tx, due), error, notice), brief=True)

    async def retry_postponed(self, platform: Platform, most: int | None = None) -> int:
        """Make postponed messages due now, committed, those that failed least first; returns how many."""
        return await self._write(lambda tx: inbox.retry_postponed(tx, platform, most))

    async def dead_letter_inbound(
        self, claim: Claim, error: str, apology: Sequence[PlannedPart], merged: Sequence[InboundId] = ()
    ) -> None:
        """Make the message and those merged with it dead letters, and plan the apology, committed together.

        Raises LeaseLost.
        """
        give_up = partial(inbox.complete, outcome=Outcome.GAVE_UP, error=error, merged=merged)
        await self._write(lambda tx: give_up(tx, claim, Decision(), apology), brief=True)

    # -- the outbox ----------------------------------------------------------------------------------------------------

    async def plan_message(
        self,
        platform: Platform,
        user_id: UserId,
        parts: Sequence[PlannedPart],
        topic: str | None = None,
        *,
        takeover_seconds: float | None = None,
    ) -> ReplyId:
        """Plan an operator's message and add it to the history, committed; the user is created if necessary.

        topic: of the chat, for a channel that has topics. With `takeover_seconds` its writer takes over from the AI in
        the same transaction.
        """
        how: dict[str, Any] = {"takeover_seconds": takeover_seconds, "notice": self.takeover_notices[0]}
        return await self._write(lambda tx: by_hand.send_by_hand(tx, platform, user_id, parts, topic, **how))

    async def users_with_parts(self, platform: Platform, *, unsent: bool = False) -> list[UserId]:
        """Users whose oldest open part is due and not leased, at most leases.MAX_USERS; `unsent`: and was not sent."""
        due = leases.UNSENT_PARTS_DUE if unsent else leases.PARTS_DUE
        return await self.query(lambda c: leases.users_due(c, due, platform, self._transactions.now(c)))

    async def has_open_parts(self, platform: Platform) -> bool:
        """Whether any part of the platform is not finished, due or not."""
        return await self.query(lambda c: leases.has_open(c, outbound, platform))

    async def claim_next_part(self, platform: Platform, user_id: UserId, *, mark: bool = True) -> Part | None:
        """Lease the oldest open part of a user and mark it as being sent, committed.

        Without `mark` it is only leased: `begin_send` must mark it before it is sent. `outcome_unknown` is True when an
        earlier attempt may have been sent: look it up before `begin_send`.
        """

        def work(tx: Tx) -> Part | None:
            part = part_rows.claim_part(tx, platform, user_id, planning.PartLease(self.owner, self._lease, mark))
            return self._in_our_time(tx, part) if part else None

        return await self._write(work, brief=True)

    def _in_our_time(self, tx: Tx, part: Part) -> Part:
        """The part with its times on our clock, with which the outbox compares them."""
        ahead = self._clock() - tx.now
        attempted_at = None if part.attempted_at is None else part.attempted_at + ahead
        return replace(part, lease_until=part.lease_until + ahead, attempted_at=attempted_at)

    async def begin_send(self, part: Part) -> Part:
        """Mark a leased part as being sent, committed. Raises LeaseLost.

        A part whose outcome is unknown counts as resent. The returned part has the new fencing token.
        """
        return await self._write(
            lambda tx: self._in_our_time(tx, part_rows.begin_part(tx, part, self._lease)), urgent=True, brief=True
        )

    async def accepted_ids(self, part: Part) -> frozenset[str]:
        """The provider's ids of everything else that was sent to this user lately, which cannot be this part."""
        return await self.query(lambda c: queries.accepted_ids(c, part))

    async def parts_without_status(
        self, platform: Platform, after: float, before: float
    ) -> list[tuple[PartId, str, float]]:
        """Parts accepted between these times of which no status came since: id, the provider's id, acceptance."""
        return await self.query(lambda c: queries.parts_without_status(c, platform, after, before))

    async def record_accepted(self, part: Part, receipt: Receipt) -> bool:
        """Record the provider's receipt, committed, whichever server holds the lease now.

        False when no other part of the user is open.
        """
        return await self._write(lambda tx: part_rows.accept_part(tx, part, receipt), urgent=True, brief=True)

    async def record_retry(self, part: Part, due: float, error: SendError) -> None:
        """Record that nothing was sent and plan the part for `due`, committed. Raises LeaseLost."""
        await self._postpone(part, PartState.PLANNED, due, error)

    async def record_unknown(self, part: Part, due: float, error: SendError) -> None:
        """Record that the part may have been sent and is looked up at `due`, committed. Raises LeaseLost."""
        await self._postpone(part, PartState.UNKNOWN, due, error)

    async def _postpone(self, part: Part, state: PartState, due: float, error: SendError) -> None:
        await self._write(
            lambda tx: part_rows.postpone_part(tx, part, state, self._due(tx, due), error), urgent=True, brief=True
        )

    async def record_failed(
        self,
        part: Part,
        error: SendError,
        user_state: UserState | None = None,
        notice: Sequence[PlannedPart] = (),
    ) -> None:
        """Fail the part for good, cancel the rest of its reply and correct the history, committed together.

        With `user_state` the user changes too, and all parts planned for the user are canceled. The notice, if any, is
        planned, unless the failed part is itself a notice. Raises LeaseLost.
        """
        await self._write(lambda tx: part_rows.fail_part(tx, part, error, user_state, notice), urgent=True, brief=True)

    async def record_delivery(self, event: DeliveryEvent, next_try: NextTry = lambda _attempts, _age: None) -> bool:
        """Store a delivery status, early or late, and apply it, committed; False for a repeated one.

        A part that was lost is planned again when `next_try` returns a delay, unless that would break the order.
        """
        return await self._write(lambda tx: delivery.record_status(tx, event, next_try), urgent=True, brief=True)

    async def cause_of(self, event: DeliveryEvent) -> InboundId | None:
        """The inbound message that caused the part of a status; None when there is none, or the part is not known."""
        return await self.query(lambda connection: delivery.cause_of(connection, event))

    # -- leases --------------------------------------------------------------------------------------------------------

    async def renew_leases(self, inbound_ids: Sequence[InboundId], part_ids: Sequence[PartId]) -> Sequence[InboundId]:
        """Extend the leases of this process on these rows, committed; those whose answers were ended by their users."""
        if not (inbound_ids or part_ids):
            return ()
        renew = partial(leases.renew_leases, inbound_ids=inbound_ids, part_ids=part_ids)
        return await self._write(lambda tx: renew(tx, self.owner, self._lease), urgent=True, brief=True)

    async def release_leases(self, platform: Platform) -> None:
        """End all leases of this owner on rows of a platform, committed; those of an earlier process included."""
        await self._write(lambda tx: leases.release_leases(tx, platform, self.owner), urgent=True)

    async def hold_lease(self, platform: Platform, name: str, seconds: float) -> str:
        """Take or extend a named lease unless another server holds it, committed; the owner who holds it now."""
        return await self._write(
            lambda tx: saved_state.hold_lease(tx, platform, name, self.owner, seconds), urgent=True, brief=True
        )

    async def release_lease(self, platform: Platform, name: str) -> None:
        """End a named lease, committed; no change when another server holds it."""
        await self._write(lambda tx: saved_state.release_lease(tx, platform, name, self.owner), urgent=True, brief=True)

    async def find_reply(
        self, platform: Platform, user_id: UserId, *, message_id: str | None = None, answers: str | None = None
    ) -> SentReply | None:
        """The latest reply with a part of this id at the provider, or to the message with this `reply_to`."""
        return await self.query(lambda c: replies.find_reply(c, platform, user_id, message_id, answers))

    async def read_usage(self, platform: Platform, user_id: UserId, sender: UserId | None) -> UsageToday:
        """What a user used since midnight UTC; in a group, of this sender alone."""
        return await self.query(lambda c: personal.usage_today(c, platform, user_id, sender, self._clock()))

    async def read_history(self, platform: Platform, user_id: UserId) -> Sequence[HistoryMessage]:
        """The history of a user, of all topics, oldest first; at most its newest personal.MAX_MESSAGES."""
        return await self.query(lambda c: personal.history(c, platform, user_id))

    async def read_numbers(self, platform: Platform) -> dict[str, Any]:
        """Figures of a channel for its operator, by name."""
        return await self.query(lambda c: personal.numbers(c, platform, self._clock()))

    # -- users ---------------------------------------------------------------------------------------------------------

    async def find_user(self, platform: Platform, user_id: UserId) -> User | None:
        return await self.query(lambda c: queries.find_user(c, platform, user_id), brief=True)

    async def load_context(self, claim: Claim, exchanges: int, most: int, *, spending: bool = False) -> InboundContext:
        """All that an answer to a claimed message depends on: `exchanges` for the prompt, `most` messages behind it.

        `spending`: also what messages have cost so far.
        """
        message = claim.message
        platform, user_id = message.platform, message.user_id

        def work(connection: Connection) -> InboundContext:
            recent, shown = queries.recent_messages(connection, platform, user_id, exchanges, message.topic)
            return InboundContext(
                queries.find_user(connection, platform, user_id),
                shown,
                queries.usage(connection, platform, message.writer, self._clock()),
                recent,
                inbox.following(connection, claim, most),
                message.kind is Kind.EDITED and queries.has_reply(connection, message),
                charges.spending(connection, platform, user_id, self._clock()) if spending else None,
            )

        return await self.query(work, brief=True)

    async def messages_behind(self, claim: Claim, most: int) -> tuple[tuple[InboundId, InboundMessage], ...]:
        """At most `most` open messages behind a claimed one, oldest first."""
        return await self.query(lambda c: inbox.following(c, claim, most), brief=True)

    async def move_user(self, platform: Platform, old: UserId, new: UserId) -> None:
        """Give a user with all rows a new address, committed; a Telegram group that becomes a supergroup gets one."""
        await self._write(lambda tx: user_rows.move_user(tx, platform, old, new), urgent=True)

    async def release_user(self, platform: Platform, user_id: UserId) -> bool:
        """End the pause of a user taken for a machine, committed; False when the user was not paused."""
        return await self._write(lambda tx: user_rows.release_user(tx, platform, user_id))

    # -- state ---------------------------------------------------------------------------------------------------------

    async def set_state(self, platform: Platform, name: str, value: Any) -> None:
        """Store a JSON value under a name (the polling offset, why a channel is paused), committed."""
        await self._write(lambda tx: saved_state.set_state(tx, platform, name, value), brief=True)

    async def read_holds(self, platform: Platform) -> dict[str, Any]:
        """Why parts to some countries wait (relay.core.holds), by country."""
        return await self.query(lambda c: queries.read_holds(c, platform), brief=True)

    async def keep_hold(self, platform: Platform, country: str, values: Mapping[str, Any]) -> None:
        """Store why parts to a country wait, committed."""
        await self._write(lambda tx: holds.keep_hold(tx, platform, country, values), brief=True)

    async def end_hold(self, platform: Platform, country: str, code: str) -> None:
        """Let parts to a country be sent again, committed: those that wait with this code are due now."""
        await self._write(lambda tx: holds.end_hold(tx, platform, country, code))

    async def read_vectors(self, model: str, hashes: Sequence[str]) -> dict[str, bytes]:
        """The stored vectors of passages by the hash of their text; their use is noted, committed."""
        await self._write(lambda tx: vectors.note_use(tx, model, hashes))
        return await self.query(lambda c: vectors.read_vectors(c, model, hashes))

    async def add_vectors(self, model: str, made: Mapping[str, bytes]) -> None:
        """Store vectors of passages, committed."""
        await self._write(lambda tx: vectors.add_vectors(tx, model, made))

    async def read_state(self, platform: Platform, name: str) -> Any:
        """The value stored under a name, or None."""
        return await self.query(lambda c: queries.read_state(c, platform, name))


def open_database(
    settings: Settings, server: str, *, clock: Callable[[], float] = time.time, limited: bool = True
) -> MessagingDatabase:
    """The database of these settings; `start` or `prepare` opens it.

    `limited`: every verb raises StorageError a second after database_timeout_seconds at the latest.
    """
    transactions = open_transactions(settings.database_url, settings.database_timeout_seconds, limited=limited)
    database = MessagingDatabase(
        transactions, owner=settings.owner_of(server), lease_seconds=settings.lease_seconds, clock=clock
    )
    if settings.takeover_notices:
        database.takeover_notices = ("person-answers", "ai-answers")
    return database


def main() -> int:
    """Run a maintenance command; `--help` lists them."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(encoding="utf-8")  # names may be in any script, whatever the terminal's encoding is
    # Its parser and the table of telephone numbers are 8 MB that no server needs.
    from relay.storage import commands as database_commands  # noqa: PLC0415

    opened = partial(open_database, server="commands", limited=False)
    return database_commands.run(None, PLATFORMS, partial(load_or_exit, AllSettings), opened, print)


if __name__ == "__main__":
    sys.exit(main())
