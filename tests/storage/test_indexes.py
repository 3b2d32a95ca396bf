"""The work of a message does not grow with the finished rows, on either database, with and without statistics."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, event

from messaging_database import MessagingDatabase
from relay.channels.registry import PLATFORMS
from relay.channels.sms.spec import SMS
from relay.core.decisions import Decision
from relay.core.errors import OutcomeUnknown, SendError, SendFailure, UnusableAnswers
from relay.core.messages import Claim, Kind, UserId, UserState
from relay.core.parts import Part, PartState, Receipt
from relay.storage import queries
from relay.storage.group_commit import GroupCommit
from relay.storage.schema import conversations, delivery_events, inbound, outbound
from tests.databases import empty, sqlite_in
from tests.storage.fixtures import (
    ANN,
    ANSWER,
    BOB,
    Opener,
    claimed,
    claimed_part,
    known,
    message,
    parts,
    prompted,
    report,
)

FEW, MANY = 1500, 12_000
OTHERS = 50
COMMANDS_ONLY, ASKED_ONCE = UserId("+12025550198"), UserId("+12025550199")
BUSY = SendError(SendFailure.BUSY, "429", "slow")
ENDS = ("delivered", "delivered", "delivered", "sent", "read", "failed", "undelivered", "canceled")


def _fill(connection: Connection, size: int, *, analyze: bool) -> None:
    """Messages that were answered long ago: half of them are Ann's; two users wrote commands only."""
    users = [{"platform": SMS, "user_id": ANN if n % 2 else f"+1303555{n % OTHERS:04}"} for n in range(size)]
    old = {"state": "done", "received_at": 0.0, "due": 0.0}
    sent = {"origin": "answer", "number": 1, "part_count": 1, "text": "x", "source": "x", "due": 0.0}
    sent |= {"created_at": 0.0, "updated_at": 0.0, "accepted_at": 1.0, "attempted_at": 1.0}
    rows: dict[Any, list[dict[str, Any]]] = {inbound: [], outbound: [], conversations: [], delivery_events: []}
    in_history = {"platform": SMS, "message": "x", "timestamp": 0.0, "reply_id": None}
    rows[conversations].append({**in_history, "user_id": ASKED_ONCE, "role": "user", "in_context": True})
    for user_id in (COMMANDS_ONLY, ASKED_ONCE):
        command = {**in_history, "user_id": user_id, "in_context": False}
        rows[conversations] += [{**command, "role": role} for role in ("user", "assistant")] * (size // 4)
    for n, user in enumerate(users):
        rows[inbound].append({**user, **old, "external_id": f"old{n}"})
        ids = {"part_id": f"part{n}", "reply_id": f"reply{n}"}
        left = {"provider_id": f"provider{n}", "state": ENDS[n // 2 % len(ENDS)]}
        rows[outbound].append({**user, **sent, **ids, **left})
        message = {**user, "message": "x", "timestamp": 0.0, "in_context": True}
        rows[conversations].append({**message, "role": "user", "reply_id": None})
        rows[conversations].append({**message, "role": "assistant", "reply_id": ids["reply_id"]})
        status = {"state": "delivered", "error_code": "", "received_at": 0.0, "applied": True}
        rows[delivery_events].append({"platform": SMS, **status, "provider_id": left["provider_id"]})
    for table, values in rows.items():
        connection.execute(table.insert(), values)
    if analyze:
        connection.exec_driver_sql("ANALYZE")


@dataclass
class Meter:
    """Counts the work of statements: steps of SQLite's virtual machine, or rows that PostgreSQL's plans read."""

    work: int = 0
    plans: list[str] = field(default_factory=list)

    def attach(self, db: MessagingDatabase) -> None:
        transactions: Any = db._transactions
        engines = {transactions._writer_engine}  # on PostgreSQL that of the reads is the same with another option
        if isinstance(transactions, GroupCommit):
            engines.add(transactions._engine)
        for engine in engines:
            listener = self._count_steps if engine.dialect.name == "sqlite" else self._explain
            event.listen(engine, "before_cursor_execute", listener)

    def _count_steps(self, connection: Connection, _cursor: object, statement: str, values: Any, *_: object) -> None:
        raw: Any = connection.connection.dbapi_connection
        if statement.startswith(("SELECT", "UPDATE", "DELETE")):
            raw.set_progress_handler(None, 1)
            plan = raw.execute(f"EXPLAIN QUERY PLAN {statement}", values).fetchall()
            self.plans += [f"{row[3]}: {statement}" for row in plan]
        raw.set_progress_handler(self._step, 1)

    def _step(self) -> int:
        self.work += 1
        return 0

    def _explain(self, connection: Connection, _cursor: object, statement: str, values: Any, *_: object) -> None:
        if not statement.startswith(("SELECT", "UPDATE", "DELETE")):
            return
        raw: Any = connection.connection.dbapi_connection
        with raw.transaction(force_rollback=True):
            (explained,) = raw.execute(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {statement}", values).fetchone()
        plan = explained[0]["Plan"]
        read = _rows_read(plan)
        self.work += read + plan["Shared Hit Blocks"] + plan["Shared Read Blocks"]
        self.plans.append(f"{read} rows: {statement}")


def _rows_read(plan: dict[str, Any]) -> int:
    """Rows that a plan and its inner plans gave or dropped."""
    dropped = sum(value for key, value in plan.items() if key.startswith("Rows Removed"))
    inner = sum(_rows_read(each) for each in plan.get("Plans", ()))
    return int((plan["Actual Rows"] + dropped) * plan["Actual Loops"]) + inner


async def _work_of_the_verbs(db: MessagingDatabase) -> tuple[dict[str, int], list[str]]:
    """The work of every verb on the way of a message, answered, postponed, lost, repeated or refused; all plans."""
    meter, work, plans = Meter(), dict[str, int](), list[str]()
    for user_id in (ANN, COMMANDS_ONLY, ASKED_ONCE):
        await known(db, user_id)
    await db.store_inbound(message(BOB), "")
    await db.plan_message(SMS, BOB, parts("to Bob"))
    meter.attach(db)

    async def measure(name: str, verb: Awaitable[Any]) -> Any:
        meter.work = 0
        result = await verb
        work[name] = max(work.get(name, 0), meter.work)
        return result

    async def claim() -> Claim:
        await measure("store_inbound", db.store_inbound(message(), ""))
        await measure("users_waiting", db.users_waiting(SMS))
        claimed_now: Claim = await measure("claim_next_inbound", claimed(db))
        await measure("load_context", db.load_context(claimed_now, 10, 5))
        await measure("messages_behind", db.messages_behind(claimed_now, 5))
        return claimed_now

    async def sending(*texts: str) -> Part:
        complete = db.complete_inbound(await claim(), Decision(prompt="x"), parts(*texts), answer=ANSWER)
        await measure("complete_inbound", complete)
        await measure("users_with_parts", db.users_with_parts(SMS))
        await measure("has_open_parts", db.has_open_parts(SMS))
        return await part()

    async def part() -> Part:
        found: Part = await measure("claim_next_part", claimed_part(db))
        return found

    first = await sending("x", "y")
    await measure("renew_leases", db.renew_leases([], [first.id]))
    await measure("record_unknown", db.record_unknown(first, time.time() - 1, OutcomeUnknown("timeout", "-")))
    again = await part()
    await measure("accepted_ids", db.accepted_ids(again))
    again = await measure("begin_send", db.begin_send(again))
    await measure("record_accepted", db.record_accepted(again, Receipt("P1")))
    await measure("record_delivery", db.record_delivery(report(PartState.SENT)))
    lost = report(PartState.UNDELIVERED, part_id=first.id, error_code="30003")
    await measure("record_delivery of a loss", db.record_delivery(lost, lambda _attempts, _age: 0.0))
    await measure("record_retry", db.record_retry(await part(), time.time() - 1, BUSY))
    await measure("record_failed", db.record_failed(await part(), BUSY))
    await measure("postpone_inbound", db.postpone_inbound(await claim(), time.time() - 1, "x", parts("later")))
    await measure("dead_letter_inbound", db.dead_letter_inbound(await claim(), "x", parts("sorry")))
    await measure("plan_message", db.plan_message(SMS, ANN, parts("by hand")))
    await measure("release_leases", db.release_leases(SMS))
    await measure("a user who stops", db.record_failed(await part(), BUSY, UserState.STOPPED))
    await measure("store_batch", db.store_batch([(message(), "")], [("odd", "raw", "odd")], SMS, ("offset", 1)))
    await _work_of_rare_verbs(db, measure, await claim())
    for user_id in (COMMANDS_ONLY, ASKED_ONCE):
        await measure(f"history of {user_id}", prompted(db, 10, user_id=user_id))
    await measure("forget_user", db.forget_user(SMS, BOB))
    await measure("find_user", db.find_user(SMS, UserId("+13035550000")))
    await measure("status", db.query(lambda c: queries.status(c, SMS, PLATFORMS, 0)))
    plans += meter.plans
    return work, plans


async def _work_of_rare_verbs(db: MessagingDatabase, measure: Callable[..., Awaitable[Any]], claim: Claim) -> None:
    """What happens to few messages, or by the clock."""
    edit = replace(claim, message=replace(claim.message, kind=Kind.EDITED, reply_to="x"))
    await measure("load_context of an edit", db.load_context(edit, 10, 5))
    await measure("record_unusable", db.record_unusable(claim, UnusableAnswers(1, 0.1)))
    await db.postpone_inbound(claim, time.time() + 60, "x")
    await measure("retry_postponed", db.retry_postponed(SMS))
    again = await claimed(db)
    back = Decision(reply="back", name="Ann", state=UserState.ACTIVE, release=True)
    await measure("a user who comes back", db.complete_inbound(again, back, parts("back")))
    now = time.time()
    await measure("parts_without_status", db.parts_without_status(SMS, now - 3600, now))
    await measure("set_state", db.set_state(SMS, "x", 1))
    await measure("read_state", db.read_state(SMS, "x"))
    await measure("hold_lease", db.hold_lease(SMS, "y", 1))
    await measure("release_lease", db.release_lease(SMS, "y"))
    await measure("release_user", db.release_user(SMS, ANN))
    await measure("store_dead_letter", db.store_dead_letter(SMS, "unread", "raw", "odd"))
    await measure("store_opt_out", db.store_opt_out(message(text="STOP"), "opted out", parts("bye")))
    nothing_old = db.prune_oldest(365 * 200, 100, lambda: asyncio.sleep(0))
    await measure("prune_oldest without anything old", nothing_old)


def _grown(few: dict[str, int], many: dict[str, int], allowed: int) -> dict[str, tuple[int, int]]:
    return {name: (few[name], many[name]) for name in few if many[name] > few[name] * 1.1 + allowed}


async def _filled(opener: Opener, url: str, size: int, *, analyze: bool) -> MessagingDatabase:
    db = await opener(url)
    await db._write(lambda tx: _fill(tx.connection, size, analyze=analyze))
    return db


@pytest.mark.parametrize("analyze", [False, True], ids=["no statistics", "fresh statistics"])
async def test_sqlite_takes_as_many_steps_with_many_finished_rows(
    tmp_path: Path, opener: Opener, *, analyze: bool
) -> None:
    """Steps of the virtual machine, verb by verb; no plan reads a large table or an index by the platform alone."""
    few_url, many_url = sqlite_in(tmp_path, "few.db"), sqlite_in(tmp_path, "many.db")
    few, _ = await _work_of_the_verbs(await _filled(opener, few_url, FEW, analyze=analyze))
    many, plans = await _work_of_the_verbs(await _filled(opener, many_url, MANY, analyze=analyze))
    assert _grown(few, many, 20) == {}
    small = ("SCAN counters", "SCAN notes", "SCAN CONSTANT")
    scans = [plan for plan in plans if plan.startswith("SCAN") and not plan.startswith(small)]
    assert [plan for plan in scans if "_open" not in plan] == []


async def test_postgresql_reads_as_much_with_many_finished_rows(
    sweeper: Engine, postgresql_url: str, opener: Opener
) -> None:
    """Rows and pages that EXPLAIN (ANALYZE, BUFFERS) counts; an index of more rows is a few pages deeper."""
    few, _ = await _work_of_the_verbs(await _filled(opener, postgresql_url, FEW, analyze=True))
    empty(sweeper)
    many, _ = await _work_of_the_verbs(await _filled(opener, postgresql_url, MANY, analyze=True))
    assert _grown(few, many, 40) == {}
