"""Harnesses for the tests of the relay: on both databases, each of which is empty and shows the fake time."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from sqlalchemy import Engine, create_engine, make_url, text

from tests.core.harness import FakeClock, NewRelay, RelayHarness
from tests.databases import empty, migrated
from tests.running_postgresql import Postgresql

_OWN_CLOCK = (
    "CREATE SCHEMA fake",
    "CREATE TABLE fake.moment AS SELECT 0::double precision AS now",
    "CREATE FUNCTION fake.clock_timestamp() RETURNS timestamptz RETURN (SELECT to_timestamp(now) FROM fake.moment)",
    # PostgreSQL's own names come first unless the path says otherwise.
    "ALTER DATABASE fake_time SET search_path = public, fake, pg_catalog",
)


@dataclass(frozen=True, slots=True)
class EmptyDatabase:
    """An empty, migrated database. `set_time` sets the clock of the database, if it has one."""

    url: str
    set_time: Callable[[float], None]


@pytest.fixture(scope="session")
def fake_time_engine(postgresql: Postgresql) -> Iterator[Engine]:
    """A database of PostgreSQL whose clock is a row that tests update."""
    postgresql.run("CREATE DATABASE fake_time")
    url = make_url(postgresql.url).set(database="fake_time").render_as_string(hide_password=False)
    engine = create_engine(url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        for statement in _OWN_CLOCK:
            connection.execute(text(statement))
    engine.dispose()
    migrated(url)
    yield engine
    engine.dispose()


@pytest.fixture
def sqlite_database(sqlite_url: str) -> EmptyDatabase:
    return EmptyDatabase(sqlite_url, lambda _: None)


@pytest.fixture
def postgresql_database(fake_time_engine: Engine) -> EmptyDatabase:
    empty(fake_time_engine)

    def set_time(now: float) -> None:
        with fake_time_engine.connect() as connection:
            connection.execute(text("UPDATE fake.moment SET now = :now"), {"now": now})

    return EmptyDatabase(fake_time_engine.url.render_as_string(hide_password=False), set_time)


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.campaign)])
def empty_database(request: pytest.FixtureRequest) -> EmptyDatabase:
    """On PostgreSQL these stories are campaigns; the verbs that they consist of are tested on it in every run."""
    found: EmptyDatabase = request.getfixturevalue(f"{request.param}_database")
    return found


@pytest.fixture
async def new_relay(empty_database: EmptyDatabase) -> AsyncIterator[NewRelay]:
    """Starts the harness of this test with changed settings."""
    relays: list[RelayHarness] = []

    async def new(*, started: bool = True, **changes: Any) -> RelayHarness:
        assert not relays, "there is one database for one harness"
        relays.append(RelayHarness(empty_database.url, FakeClock(empty_database.set_time), **changes))
        if started:
            await relays[-1].start()
        return relays[-1]

    yield new
    for relay in relays:
        await relay.conversation.workers.stop(0)
        await relay.outbox.workers.stop(0)
        await relay.database.stop()


@pytest.fixture
async def relay(new_relay: NewRelay) -> RelayHarness:
    return await new_relay()
