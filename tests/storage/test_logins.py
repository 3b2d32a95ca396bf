"""The logins of the console: valid for their time, on every server at once, and gone when they have ended."""

from __future__ import annotations

import asyncio

import pytest
from sqlalchemy import select, update

from messaging_database import MessagingDatabase
from relay.core.errors import StorageError
from relay.storage import logins as rows
from relay.storage.schema import logins
from relay.storage.transactions import Tx
from tests.storage.fixtures import Opener


async def stored(db: MessagingDatabase) -> dict[str, float]:
    """When each login was used last."""
    return dict(
        await db.query(lambda c: [tuple(row) for row in c.execute(select(logins.c.login_id, logins.c.used_at))])
    )


async def test_a_login_is_valid_on_every_server_until_it_is_ended_on_one(database_url: str, opener: Opener) -> None:
    """What one process commits, the others see with their next request."""
    one, two = await opener(database_url, owner="admin"), await opener(database_url, owner="sms")
    await one.create_login("a", 60)
    await one.create_login("b", 60)
    assert [await db.use_login("a") for db in (one, two)] == [True, True]
    await two.end_login("a")
    assert [await db.use_login("a") for db in (one, two)] == [False, False]
    assert await one.use_login("b")
    await two.end_login("a")


async def test_a_login_ends_by_itself_and_its_row_goes_with_the_next_one(db: MessagingDatabase) -> None:
    """Its end counts to the moment; no row stays for ever."""
    await db.create_login("ended", -1)
    await db.create_login("ended-just-now", 0)
    assert not await db.use_login("ended")
    assert not await db.use_login("ended-just-now")
    await db.create_login("new", 60)
    assert set(await stored(db)) == {"new"}


@pytest.mark.parametrize("login_id", ["", "A", "a ", "\x00", "%", "'; DROP TABLE logins"])
async def test_what_was_never_created_is_not_valid(login_id: str, db: MessagingDatabase) -> None:
    """Compared as it is."""
    await db.create_login("a", 60)
    assert not await db.use_login(login_id)
    assert await db.use_login("a")


async def test_the_last_use_is_recorded_but_not_with_every_request(db: MessagingDatabase) -> None:
    """A page that is open asks every few seconds."""
    await db.create_login("a", 600)
    first = (await stored(db))["a"]
    await asyncio.gather(*(db.use_login("a") for _ in range(5)))
    assert (await stored(db))["a"] == first

    def age(tx: Tx) -> None:
        tx.run(update(logins).values(used_at=logins.c.used_at - rows.USE_SECONDS - 1))

    await db._write(age)
    assert await db.use_login("a")
    assert (await stored(db))["a"] >= first


async def test_a_login_is_valid_while_nothing_can_be_written(
    db: MessagingDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The operator has to see that the disk is full."""
    await db.create_login("a", 600)
    await db._write(lambda tx: tx.run(update(logins).values(used_at=0.0)))

    async def full(*_: object, **__: object) -> None:
        raise StorageError("the disk is full")

    monkeypatch.setattr(db._transactions, "write", full)
    assert await db.use_login("a")
