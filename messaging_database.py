"""Every transaction on the shared messaging database, as verbs; no other file writes to it.

The inbox and the outbox are tables: a message is stored before it is acknowledged, claimed with a lease in its sender's
order, and completed together with its answer; a part of an answer is marked before it is sent and recorded after. What
each verb has committed when it returns is said by the verb. All of them raise StorageError when the database cannot be
used, and then nothing of the verb was committed. What operators read is in `relay.storage.queries`.
"""

from __future__ import annotations

import relay.core.bootstrap  # isort: skip  # noqa: F401 (first of all: says in one line what to install)

import asyncio
import io
import logging
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, TypeVar

from sqlalchemy import Connection, Row, select, text, update

from relay.channels.registry import PLATFORMS, AllSettings
from relay.config.settings import Settings, load_or_exit
from relay.core.errors import SendError, StorageError
from relay.core.messages import (
    OPEN_PART_STATES,
    SILENT_STATES,
    Answer,
    Claim,
    Decision,
    DeliveryEvent,
    HistoryMessage,
    InboundContext,
    InboundId,
    InboundMessage,
    Kind,
    NextTry,
    Origin,
    Outcome,
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
)
from relay.storage import maintenance, queries
from relay.storage.engine import open_transactions
from relay.storage.history import add_message, clear_messages, count_answer
from relay.storage.inbox import (
    claim_head,
    dead_letter_merged,
    finish,
    finish_merged,
    following,
    store_dead_letter,
    store_message,
    update_claimed,
)
from relay.storage.maintenance import OldUser
from relay.storage.parts import (
    accept_part,
    begin_part,
    claim_part,
    fail_part,
    plan_parts,
    postpone_part,
    record_status,
    retry_now,
)
from relay.storage.schema import in_states, inbound, outbound, saved_state, users
from relay.storage.transactions import CLOSE_SECONDS, CounterDeltas, Transactions, Tx, Upsert, of_user
from relay.storage.users import change_user, move_user, release_user, touch_user

log = logging.getLogger("relay.database")

_WRITE_CHECK = Platform("database")
"""The row of the table notes that `check` writes belongs to no channel."""

T = TypeVar("T")

PREPARE_PAUSE_SECONDS = 2.0
CHECK_SECONDS = 1.0
REFUSAL_SECONDS = 5.0
"""How long a refused write counts: on a full disk there may be room for a state and none for a message."""
MAX_USERS = 500
"""How many people one sweep gives; those who waited longest come first, the others with the next."""

_MOMENT = text("SELECT extract(epoch FROM clock_timestamp())")
_SET_STATE = Upsert(
    saved_state,
    lambda row: row.on_conflict_do_update(
        index_elements=["platform", "name"], set_={"value": row.excluded.value, "updated_at": row.excluded.updated_at}
    ),
)
_CREATE_STATE = Upsert(saved_state, lambda row: row.on_conflict_do_nothing())


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
        self._written_at = 0.0
        self._refused_at = -REFUSAL_SECONDS
        self._complaint = ""
        self._clock = clock

    async def start(self) -> None:
        """Create or migrate the tables; when the database cannot be used yet, go on trying in the background.

        Until then every verb raises StorageError, so that webhooks answer 503 and polling holds its offset.
        """
        if not await self._prepare():
            self._preparing = asyncio.create_task(self._keep_preparing())

    async def prepare(self) -> None:
        """Create or migrate the tables, once. Raises StorageError."""
        await self._transactions.prepare()
        self._ready = True

    async def _prepare(self) -> bool:
        try:
            await self.prepare()
        except StorageError as error:
            if self._complaint != str(error):
                log.error("%s; it is tried again and again", error)  # noqa: TRY400 (the sentence says it all)
            self._complaint = str(error)
        return self._ready

    async def _keep_preparing(self) -> None:
        while not self._ready:
            await self._sleep(PREPARE_PAUSE_SECONDS)
            await self._prepare()
        log.info("the database can be used now")

    async def stop(self, seconds: float = CLOSE_SECONDS) -> None:
        """Finish what is under way and close the connections; what a lock keeps from ending in time is given up."""
        if self._preparing is not None:
            self._preparing.cancel()
            await asyncio.gather(self._preparing, return_exceptions=True)
        await asyncio.get_running_loop().run_in_executor(None, self._transactions.close, seconds)

    async def _write(self, work: Callable[[Tx], T], *, urgent: bool = False) -> T:
        def run(connection: Connection, deltas: CounterDeltas) -> T:
            tx = Tx(connection, self._now(connection), deltas)
            result = work(tx)
            tx.finish()
            return result

        self._must_be_ready()
        try:
            return await self._transactions.write(run, urgent=urgent)
        except StorageError:
            self._refused_at = self._clock()
            raise

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
        return float(connection.execute(_MOMENT).scalar_one())

    def _due(self, tx: Tx, due: float) -> float:
        """A moment of our clock as one of the database's."""
        return tx.now + due - self._clock()

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
        state: tuple[str, Any],
    ) -> list[UserId]:
        """Store what one poll brought, and the state (name, value) that the next poll starts from, all or nothing.

        dead_letters are (external id, raw, reason). Returns the users with new messages.
        """

        def work(tx: Tx) -> list[UserId]:
            fresh = [message.user_id for message, raw in messages if store_message(tx, message, raw) is not None]
            for external_id, raw, reason in dead_letters:
                store_dead_letter(tx, platform, external_id, raw, reason)
            set_state(tx, platform, *state)
            return fresh

        return await self._write(work)

    # -- the inbox -----------------------------------------------------------------------------------------------------

    async def claim_next_inbound(self, platform: Platform, user_id: UserId) -> Claim | None:
        """Lease the head of this user's line, committed; None when it is empty, not due, or another process's now."""
        return await self._write(lambda tx: claim_head(tx, platform, user_id, self.owner, self._lease))

    async def users_waiting(self, platform: Platform) -> list[UserId]:
        """People whose oldest open message is due and leased by nobody, at most MAX_USERS of them."""
        return await self._read(lambda c: _users_due(c, inbound, ("received",), platform, self._now(c)))

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
    ) -> ReplyId | None:
        """Commit at once: the message is done, the user is changed as decided, the history, the planned parts.

        merged are the messages behind it that were answered together with it: they are done as well. Raises LeaseLost
        (and commits nothing) when the claim is no longer ours. None when nothing is to be sent.
        """

        def work(tx: Tx) -> ReplyId | None:
            user_id = finish(tx, claim, state="done", outcome=outcome, reason=reason)
            finish_merged(tx, claim, merged)
            origin = Origin.ANSWER if answer else Origin.COMMAND
            return commit_exchange(tx, claim, user_id, decision, parts, origin, answer)

        return await self._write(work)

    async def postpone_inbound(self, claim: Claim, due: float, error: str, notice: Sequence[PlannedPart] = ()) -> None:
        """Give the message back until `due`, and plan the notice, if any, in one transaction. Raises LeaseLost."""

        def work(tx: Tx) -> None:
            changes: dict[str, Any] = {
                "due": self._due(tx, due),
                "lease_until": 0,
                "failures": claim.failures + 1,
                "error": error,
            }
            if notice:
                changes["noticed_at"] = tx.now
            user_id = update_claimed(tx, claim, changes)
            if notice and may_write_to(tx.locked_user(claim.message.platform, user_id)):
                plan_parts(tx, claim.message.platform, user_id, notice, Origin.NOTICE, claim)

        await self._write(work)

    async def dead_letter_inbound(
        self, claim: Claim, error: str, apology: Sequence[PlannedPart], merged: Sequence[InboundId] = ()
    ) -> None:
        """Make the message, and those asked with it, dead letters, and plan the apology, together. Raises LeaseLost."""

        def work(tx: Tx) -> None:
            user_id = finish(tx, claim, state="dead", outcome=Outcome.GAVE_UP, error=error)
            dead_letter_merged(tx, merged, error)
            tx.count(claim.message.platform, "dead_letters", 1 + len(merged))
            commit_exchange(tx, claim, user_id, Decision(), apology, Origin.NOTICE, None)

        await self._write(work)

    # -- the outbox ----------------------------------------------------------------------------------------------------

    async def plan_message(self, platform: Platform, user_id: UserId, parts: Sequence[PlannedPart]) -> ReplyId:
        """Plan an operator's message, with its line in the history, committed; the user need not be known."""

        def work(tx: Tx) -> ReplyId:
            touch_user(tx, platform, user_id)
            tx.locked_user(platform, user_id)
            reply = plan_parts(tx, platform, user_id, parts, Origin.OPERATOR, None, in_context=True)
            assert reply is not None  # noqa: S101 (there is at least one part)
            return reply

        return await self._write(work)

    async def claim_next_part(self, platform: Platform, user_id: UserId, *, mark: bool = True) -> Part | None:
        """Lease the next part of this user's line and mark it as being sent, committed before anything leaves.

        Without `mark` it is only leased: `begin_send` marks it before it is sent. `outcome_unknown` is True when an
        earlier attempt may have been sent: look it up before `begin_send`.
        """

        def work(tx: Tx) -> Part | None:
            part = claim_part(tx, platform, user_id, self.owner, self._lease, mark=mark)
            return self._in_our_time(tx, part) if part else None

        return await self._write(work)

    def _in_our_time(self, tx: Tx, part: Part) -> Part:
        """The part with its moments as our clock shows them, which the outbox will compare them with."""
        ahead = self._clock() - tx.now
        attempted_at = None if part.attempted_at is None else part.attempted_at + ahead
        return replace(part, lease_until=part.lease_until + ahead, attempted_at=attempted_at)

    async def begin_send(self, part: Part) -> Part:
        """Mark a leased part as being sent, committed before anything leaves. Raises LeaseLost.

        A part whose outcome is unknown is resent, which is counted. The returned part has the new fencing token.
        """

        def work(tx: Tx) -> Part:
            return self._in_our_time(tx, begin_part(tx, part, self._lease))

        return await self._write(work, urgent=True)

    async def users_with_parts(self, platform: Platform) -> list[UserId]:
        """People whose oldest open part is due and leased by nobody, at most MAX_USERS of them."""
        return await self._read(lambda c: _users_due(c, outbound, OPEN_PART_STATES, platform, self._now(c)))

    async def accepted_ids(self, part: Part) -> frozenset[str]:
        """The provider's ids of everything else that this user was sent lately, which cannot be this part."""
        return await self._read(lambda c: queries.accepted_ids(c, part))

    async def record_accepted(self, part: Part, receipt: Receipt) -> None:
        """Keep the provider's receipt, whoever holds the lease now: what was sent was sent."""
        await self._write(lambda tx: accept_part(tx, part, receipt), urgent=True)

    async def record_retry(self, part: Part, due: float, error: SendError) -> None:
        """Nothing was sent: the same part is planned again for `due`. Raises LeaseLost."""
        await self._write(lambda tx: postpone_part(tx, part, PartState.PLANNED, self._due(tx, due), error), urgent=True)

    async def record_unknown(self, part: Part, due: float, error: SendError) -> None:
        """It may have been sent: it is looked up at `due`. Raises LeaseLost."""
        await self._write(lambda tx: postpone_part(tx, part, PartState.UNKNOWN, self._due(tx, due), error), urgent=True)

    async def record_failed(
        self,
        part: Part,
        error: SendError,
        user_state: UserState | None = None,
        notice: Sequence[PlannedPart] = (),
    ) -> None:
        """The part will never be sent: the rest of its reply is canceled and the history mended, together.

        With `user_state` the user changes too, and all that was planned for them is canceled. The notice, if any, is
        planned for them, unless it is a notice that failed. Raises LeaseLost.
        """

        def work(tx: Tx) -> None:
            origin = fail_part(tx, part, error, user_state)
            if notice and origin is not Origin.NOTICE and may_write_to(tx.locked_user(part.platform, part.user_id)):
                plan_parts(tx, part.platform, part.user_id, notice, Origin.NOTICE, None)

        await self._write(work, urgent=True)

    async def move_user(self, platform: Platform, old: UserId, new: UserId) -> None:
        """A Telegram group became a supergroup: its user, history and open rows go to the new address."""
        await self._write(lambda tx: move_user(tx, platform, old, new), urgent=True)

    async def record_delivery(self, event: DeliveryEvent, next_try: NextTry = lambda _attempts, _age: None) -> bool:
        """Keep a delivery report, early, late or repeated; False when it was already known.

        A part that was lost on its way is planned again when `next_try` says so, unless that would be out of order.
        """
        return await self._write(lambda tx: record_status(tx, event, next_try), urgent=True)

    # -- leases --------------------------------------------------------------------------------------------------------

    async def renew_leases(self, inbound_ids: Sequence[InboundId], part_ids: Sequence[PartId]) -> None:
        """Prolong what this process is working on."""

        def work(tx: Tx) -> None:
            until = {"lease_until": tx.now + self._lease}
            if inbound_ids:
                mine = (inbound.c.owner == self.owner) & inbound.c.id.in_(inbound_ids)
                tx.run(update(inbound).where(mine, in_states(inbound, "received")).values(until))
            if part_ids:
                mine = (outbound.c.owner == self.owner) & outbound.c.part_id.in_(part_ids)
                tx.run(update(outbound).where(mine, in_states(outbound, *OPEN_PART_STATES)).values(until))

        if inbound_ids or part_ids:
            await self._write(work, urgent=True)

    async def release_leases(self, platform: Platform) -> None:
        """Free what an earlier life of this process held, or what this one leaves at its end."""

        def work(tx: Tx) -> None:
            mine = (inbound.c.platform == platform) & (inbound.c.owner == self.owner) & (in_states(inbound, "received"))
            tx.run(update(inbound).where(mine).values(lease_until=0))
            mine = (outbound.c.platform == platform) & (outbound.c.owner == self.owner)
            tx.run(update(outbound).where(mine, in_states(outbound, *OPEN_PART_STATES)).values(lease_until=0))

        await self._write(work, urgent=True)

    async def hold_lease(self, platform: Platform, name: str, seconds: float) -> str:
        """Take or prolong a lease that one server at a time can have, committed; the owner who has it now."""
        return await self._write(lambda tx: hold_lease(tx, platform, name, self.owner, seconds), urgent=True)

    async def release_lease(self, platform: Platform, name: str) -> None:
        """Give such a lease back, committed; nothing changes when it is another server's by now."""

        def work(tx: Tx) -> None:
            if held_by(tx, platform, name) == self.owner:
                set_state(tx, platform, name, None)

        await self._write(work, urgent=True)

    # -- people --------------------------------------------------------------------------------------------------------

    async def read_context(
        self, platform: Platform, user_id: UserId, exchanges: int
    ) -> tuple[User | None, list[HistoryMessage]]:
        """The user, and the last `exchanges` questions with their answers, oldest first, as the model sees them."""
        return await self._read(lambda c: queries.context(c, platform, user_id, exchanges))

    async def load_context(self, claim: Claim, most: int) -> InboundContext:
        """Usage and history of the sender of a claimed message, and at most `most` messages that wait behind it."""
        platform, user_id = claim.message.platform, claim.message.user_id

        def work(connection: Connection) -> InboundContext:
            return InboundContext(
                queries.usage(connection, platform, user_id, self._clock()),
                queries.recent_messages(connection, platform, user_id),
                following(connection, claim, most),
            )

        return await self._read(work)

    async def release_user(self, platform: Platform, user_id: UserId) -> bool:
        """End the pause of somebody who looked like a machine; False when there was none."""
        return await self._write(lambda tx: release_user(tx, platform, user_id))

    async def find_user(self, platform: Platform, user_id: UserId) -> User | None:
        return await self._read(lambda c: queries.find_user(c, platform, user_id))

    async def clear_history(self, platform: Platform, user_id: UserId) -> int | None:
        """Remove a user's history; how many messages went, or None when nobody is known under this address."""

        def work(tx: Tx) -> int | None:
            known = tx.run(select(users.c.user_id).where(of_user(users, platform, user_id))).first()
            return clear_messages(tx, platform, user_id) if known else None

        return await self._write(work)

    # -- state and queries -------------------------------------------------------------------------------------------

    async def set_state(self, platform: Platform, name: str, value: Any) -> None:
        """Keep a small JSON value under a name (the polling offset, why a channel is paused)."""
        await self._write(lambda tx: set_state(tx, platform, name, value))

    async def read_state(self, platform: Platform, name: str) -> Any:
        """The value kept under a name, or None."""
        return await self._read(lambda c: queries.read_state(c, platform, name))

    async def query(self, query: Callable[[Connection], T]) -> T:
        """Run one of the queries of `relay.storage.queries`."""
        return await self._read(query)

    # -- maintenance ---------------------------------------------------------------------------------------------------

    async def problems(self) -> list[str]:
        """What does not add up, one sentence each. Reads every row once."""
        return await self._read(maintenance.problems)

    async def export_user(self, platform: Platform, user_id: UserId) -> dict[str, Any] | None:
        """Everything that is kept about a user; None when there is nothing."""
        return await self._read(lambda c: maintenance.export_user(c, platform, user_id))

    async def forget_user(self, platform: Platform, user_id: UserId) -> dict[str, int]:
        """Remove every row about a user, committed; how many went from each table."""
        return await self._write(lambda tx: maintenance.forget_user(tx, platform, user_id))

    async def prune(self, older_than_days: float, *, with_conversations: bool = False) -> dict[str, int]:
        """Delete finished rows by age; how many went from each table.

        Looked for without a lock and committed some at a time, so that messages go on being stored meanwhile.
        """
        before = await self._read(lambda c: maintenance.oldest_kept(self._now(c), older_than_days))
        tables = [name for name in maintenance.PRUNED if with_conversations or name != "conversations"]
        return {name: await self._prune(name, before) for name in tables}

    async def _prune(self, name: str, before: float) -> int:
        removed, last = 0, 0
        while rows := await self._read(partial(maintenance.old_rows, name=name, before=before, after_row=last)):
            removed += await self._write(partial(maintenance.delete_rows, name=name, before=before, rows=rows))
            last = rows[-1]
        return removed

    async def import_users(self, people: Sequence[OldUser]) -> dict[str, int]:
        """Take over the people of an old database, committed all or nothing; whoever is known already stays as is."""
        return await self._write(lambda tx: maintenance.import_users(tx, people))

    async def check(self) -> None:
        """Raise StorageError unless the database could be written within the last second; anybody may ask that.

        What it refused within the last seconds counts more than a state that it accepts now.
        """
        if self._clock() - self._refused_at < REFUSAL_SECONDS:
            raise StorageError("the database refused to write a moment ago")
        if self._clock() - self._written_at < CHECK_SECONDS:
            return
        await self._write(lambda tx: set_state(tx, _WRITE_CHECK, "written_at", tx.now))
        self._written_at = self._clock()


def open_database(settings: Settings, server: str, *, clock: Callable[[], float] = time.time) -> MessagingDatabase:
    """Open (and create or migrate, under a lock) the database of these settings. Raises StorageError."""
    transactions = open_transactions(settings.database_url, settings.database_timeout_seconds)
    return MessagingDatabase(
        transactions, owner=settings.owner_of(server), lease_seconds=settings.lease_seconds, clock=clock
    )


def commit_exchange(
    tx: Tx,
    claim: Claim,
    user_id: UserId,
    decision: Decision,
    parts: Sequence[PlannedPart],
    origin: Origin,
    answer: Answer | None,
) -> ReplyId | None:
    """The user, the history and the parts of one finished turn."""
    message, platform = claim.message, claim.message.platform
    state = change_user(tx, platform, user_id, decision)
    if answer is not None:
        count_answer(tx, platform, answer)
    if decision.clear_history:
        clear_messages(tx, platform, user_id)
    elif message.text and message.kind is Kind.TEXT and state is not None:
        asked = answer is not None
        add_message(tx, platform, user_id, "user", message.text, moment=message.received_at, in_context=asked)
    if state is None or state in SILENT_STATES:
        return None
    retry_now(tx, platform, user_id)
    return plan_parts(
        tx,
        platform,
        user_id,
        parts,
        origin,
        claim,
        answer,
        in_context=answer is not None,
        remember=not decision.clear_history,
    )


def may_write_to(user: Row[Any] | None) -> bool:
    return user is not None and user.state not in SILENT_STATES


def set_state(tx: Tx, platform: Platform, name: str, value: Any) -> None:
    tx.run(_SET_STATE, {"platform": platform, "name": name, "value": value, "updated_at": tx.now})


def held_by(tx: Tx, platform: Platform, name: str) -> str | None:
    """Who holds a lease now; its row is locked, so that this stays true until the end of the transaction."""
    tx.run(_CREATE_STATE, {"platform": platform, "name": name, "value": None, "updated_at": tx.now})
    chosen = (saved_state.c.platform == platform) & (saved_state.c.name == name)
    lease = tx.run(select(saved_state.c.value).where(chosen).with_for_update()).scalar_one()
    return lease["owner"] if lease and lease["until"] >= tx.now else None


def hold_lease(tx: Tx, platform: Platform, name: str, owner: str, seconds: float) -> str:
    holder = held_by(tx, platform, name)
    if holder is None or holder == owner:
        set_state(tx, platform, name, {"owner": owner, "until": tx.now + seconds})
    return holder or owner


def _users_due(
    connection: Connection, table: Any, open_states: Sequence[str], platform: Platform, now: float
) -> list[UserId]:
    """People whose line can be taken up now. Only the head counts: what stands behind one that waits, waits too."""
    earlier = table.alias()
    before = (earlier.c.platform == platform) & (earlier.c.user_id == table.c.user_id) & (earlier.c.id < table.c.id)
    is_head = ~select(earlier.c.id).where(before, in_states(earlier, *open_states)).exists()
    is_ready = (table.c.due <= now) & (table.c.lease_until < now)
    heads = select(table.c.user_id).where(table.c.platform == platform, in_states(table, *open_states))
    rows = connection.execute(heads.where(is_ready, is_head).order_by(table.c.id).limit(MAX_USERS))
    return [UserId(row.user_id) for row in rows]


def main() -> int:
    """Look after the database from the command line; `--help` lists the commands."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(encoding="utf-8")  # names are of any language, whatever the terminal's settings are
    # Their parser and the table of telephone numbers are 8 MB that no server needs.
    from relay.storage import commands as database_commands  # noqa: PLC0415

    return database_commands.run(
        None, PLATFORMS, partial(load_or_exit, AllSettings), lambda settings: open_database(settings, "commands"), print
    )


if __name__ == "__main__":
    sys.exit(main())
