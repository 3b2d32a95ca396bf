"""What is asked all the time walks over open rows alone, however many are finished."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from sqlalchemy import Connection, event

from messaging_database import MessagingDatabase
from relay.channels.registry import PLATFORMS
from relay.channels.sms.spec import SMS
from relay.storage import queries
from relay.storage.schema import inbound, outbound
from relay.storage.transactions import GroupCommit
from tests.storage.fixtures import ANN, Opener, answered, message

FINISHED = 3000


def _finished_rows(connection: Connection) -> None:
    """Very many messages of the same person that were answered long ago."""
    common = {"platform": SMS, "user_id": ANN, "due": 0.0}
    old = [{**common, "external_id": f"old{n}", "state": "done", "received_at": 0.0} for n in range(FINISHED)]
    sent = {**common, "reply_id": "r", "origin": "answer", "number": 1, "part_count": 1, "text": "", "source": ""}
    parts = [
        {**sent, "part_id": f"old{n}", "state": "delivered", "created_at": 0.0, "updated_at": 0.0}
        for n in range(FINISHED)
    ]
    connection.execute(inbound.insert(), old)
    connection.execute(outbound.insert(), parts)
    connection.commit()


HOT: dict[str, Callable[[MessagingDatabase], Awaitable[object]]] = {
    "claim_next_inbound": lambda db: db.claim_next_inbound(SMS, ANN),
    "claim_next_part": lambda db: db.claim_next_part(SMS, ANN),
    "users_waiting": lambda db: db.users_waiting(SMS),
    "users_with_parts": lambda db: db.users_with_parts(SMS),
    "release_leases": lambda db: db.release_leases(SMS),
    "status": lambda db: db.query(lambda c: queries.status(c, SMS, PLATFORMS, 0)),
}


@pytest.mark.parametrize("verb", [*HOT])
async def test_finished_rows_cost_the_queue_nothing(sqlite_url: str, opener: Opener, verb: str) -> None:
    """SQLite's own plan of each statement: no table is scanned, and open rows come from their partial index."""
    db = await opener(sqlite_url)
    await db.query(_finished_rows)
    await answered(db, "x")
    await db.store_inbound(message(), "")
    plans: list[str] = []

    def explain(connection: Connection, cursor: object, statement: str, values: Any, *_: object) -> None:
        if statement.startswith(("SELECT", "UPDATE")):
            rows = connection.connection.cursor().execute(f"EXPLAIN QUERY PLAN {statement}", values).fetchall()
            plans.extend(row[3] for row in rows)

    transactions = db._transactions
    assert isinstance(transactions, GroupCommit)
    for engine in (transactions._engine, transactions._writer_engine):
        event.listen(engine, "before_cursor_execute", explain)
    await HOT[verb](db)
    assert plans
    scans = [plan for plan in plans if plan.startswith("SCAN") and not plan.startswith(("SCAN counters", "SCAN notes"))]
    assert [plan for plan in scans if "_open" not in plan] == []
    assert any("_open" in plan for plan in plans)
