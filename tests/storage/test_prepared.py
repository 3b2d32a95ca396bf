"""Statements that the driver runs give what SQLAlchemy would give, on both databases."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from sqlalchemy import Connection, bindparam, select, update
from sqlalchemy.exc import DBAPIError, IntegrityError

from relay.channels.sms.spec import SMS
from relay.core.errors import StorageError
from relay.core.messages import UserId, db_safe_value
from relay.storage.prepared import Prepared, Upsert
from relay.storage.schema import inbound, to_json, users
from relay.storage.transactions import Tx
from tests.core.test_messages import JSON_VALUES
from tests.storage.fixtures import Opener

ANN, BOB = UserId("ann"), UserId("bob")
_THEIRS = inbound.c.user_id == bindparam("whose")
_ADD = Prepared(inbound.insert().inline())
_ROWS = select(inbound).where(_THEIRS).order_by(inbound.c.id).limit(2)
_CHANGE = update(inbound).where(_THEIRS).values(tries=inbound.c.tries + 1).returning(inbound.c.id, inbound.c.tries)
_ONCE = Upsert(users, lambda row: row.on_conflict_do_nothing().returning(users.c.user_id))


def _message(external_id: str, **changes: Any) -> dict[str, Any]:
    usual: dict[str, Any] = {"platform": SMS, "user_id": ANN, "state": "received", "received_at": 1.5, "due": 1.5}
    return {**usual, "external_id": external_id, "body": {"text": "ü", "n": [1, None]}, "updated_at": 2.0, **changes}


async def test_values_are_converted_as_by_sqlalchemy(database_url: str, opener: Opener) -> None:
    """JSON and numbers, characters that no database takes, a limit that is part of the statement, several rows."""
    db = await opener(database_url)
    added = [_message("a", sender="x\x00y"), _message("b", sender="\ud800z"), _message("c", sender=None)]
    await db._write(lambda tx: tx.run_for_each(_ADD, added))

    def both(connection: Connection) -> tuple[list[Any], list[Any]]:
        prepared = Prepared(_ROWS).run(connection, {"whose": ANN})
        return [tuple(row) for row in prepared], [tuple(row) for row in connection.execute(_ROWS, {"whose": ANN})]

    prepared, usual = await db.query(both)
    assert prepared == usual
    assert [row[inbound.c.keys().index("sender")] for row in prepared] == ["xy", "�z"]


@given(JSON_VALUES)
def test_json_is_written_as_cleaned_values_are(value: object) -> None:
    """Numbers of any size, halves of characters, and texts that look like an escaped NUL."""
    assert json.loads(to_json(value)) == db_safe_value(value)
    assert json.loads(to_json([value, r"\u0000", "\x00"])) == [db_safe_value(value), r"\u0000", ""]


async def test_a_change_gives_its_rows_and_their_number(database_url: str, opener: Opener) -> None:
    """By name, first, only and as a column; nothing found is no row, and one of several is an error."""
    db = await opener(database_url)
    await db._write(lambda tx: tx.run_for_each(_ADD, [_message("a"), _message("b"), _message("c", user_id=BOB)]))
    change = Prepared(_CHANGE)
    changed = await db._write(lambda tx: change.run(tx.connection, {"whose": ANN}))
    assert [row.tries for row in changed.all()] == [1, 1]
    assert (changed.rowcount, changed.scalars()) == (2, [row.id for row in changed])
    assert (changed.first().id, changed.scalar()) == (changed[0].id, changed[0].id)
    with pytest.raises(ValueError, match="too many"):
        changed.one()
    none = await db._write(lambda tx: change.run(tx.connection, {"whose": "carl"}))
    assert (none.first(), none.scalar(), none.rowcount, none) == (None, None, 0, [])


async def test_a_repeated_row_is_left_out_by_an_upsert(database_url: str, opener: Opener) -> None:
    """ON CONFLICT is that of the dialect in use."""
    db = await opener(database_url)
    row = {"platform": SMS, "user_id": ANN, "created_at": 1.0, "updated_at": 1.0}
    found = [await db._write(lambda tx: tx.run(_ONCE, row).scalar()) for _ in range(2)]
    assert found == [ANN, None]


async def test_an_error_of_the_driver_is_one_of_sqlalchemy(database_url: str, opener: Opener) -> None:
    """So the writer tells a refused row from a database that is away, and nothing of the transaction stays."""
    db = await opener(database_url)
    kinds: list[type[Exception]] = []

    def twice(tx: Tx) -> None:
        try:
            tx.run_for_each(_ADD, [_message("same"), _message("same")])
        except DBAPIError as error:
            kinds.append(type(error))
            raise

    with pytest.raises(StorageError):
        await db._write(twice)
    assert kinds == [IntegrityError]
    assert await db.query(lambda c: c.execute(select(inbound)).all()) == []
