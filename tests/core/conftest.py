"""Towns for the tests of the relay: on both databases, each of which is empty, and shows the time of the town."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from sqlalchemy import Engine, create_engine, make_url, text

from tests.conftest import empty, migrated
from tests.core.world import Found, Hours, Town
from tests.running_postgresql import Postgresql

_OWN_CLOCK = (
    "CREATE SCHEMA town",
    "CREATE TABLE town.moment AS SELECT 0::double precision AS now",
    "CREATE FUNCTION town.clock_timestamp() RETURNS timestamptz RETURN (SELECT to_timestamp(now) FROM town.moment)",
    # PostgreSQL's own names come first unless the path says otherwise.
    "ALTER DATABASE town SET search_path = public, town, pg_catalog",
)


@dataclass(frozen=True, slots=True)
class Place:
    """An empty, migrated database for one town. `show` sets the clock of the database, if it has one."""

    url: str
    show: Callable[[float], None]


@pytest.fixture(scope="session")
def town_engine(postgresql: Postgresql) -> Iterator[Engine]:
    """A database of PostgreSQL whose clock stands where it is told to."""
    postgresql.run("CREATE DATABASE town")
    url = make_url(postgresql.url).set(database="town").render_as_string(hide_password=False)
    engine = create_engine(url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        for statement in _OWN_CLOCK:
            connection.execute(text(statement))
    engine.dispose()
    migrated(url)
    yield engine
    engine.dispose()


@pytest.fixture
def sqlite_place(sqlite_url: str) -> Place:
    return Place(sqlite_url, lambda _: None)


@pytest.fixture
def postgresql_place(town_engine: Engine) -> Place:
    empty(town_engine)

    def show(now: float) -> None:
        with town_engine.connect() as connection:
            connection.execute(text("UPDATE town.moment SET now = :now"), {"now": now})

    return Place(town_engine.url.render_as_string(hide_password=False), show)


@pytest.fixture(params=["sqlite", "postgresql"])
def place(request: pytest.FixtureRequest) -> Place:
    found: Place = request.getfixturevalue(f"{request.param}_place")
    return found


@pytest.fixture
async def found_town(place: Place) -> AsyncIterator[Found]:
    """Start the town of this test, with settings of its own."""
    towns: list[Town] = []

    async def found(*, started: bool = True, **changes: Any) -> Town:
        assert not towns, "there is one database for one town"
        towns.append(Town(place.url, Hours(place.show), **changes))
        if started:
            await towns[-1].start()
        return towns[-1]

    yield found
    for town in towns:
        await town.conversation.workers.stop(0)
        await town.outbox.workers.stop(0)
        await town.database.stop()


@pytest.fixture
async def town(found_town: Found) -> Town:
    return await found_town()
