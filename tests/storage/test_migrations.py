"""From nothing to the newest tables, also when another process is migrating, and never over a newer revision."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from asyncio.subprocess import PIPE
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from itertools import count
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, create_engine, event, inspect, select, text

from relay.core.errors import StorageError
from relay.core.messages import Limit, Outcome
from relay.storage.engine import open_transactions
from relay.storage.revisions import alembic_config, revisions
from relay.storage.schema import inbound, is_described, metadata
from tests.conftest import ROOT
from tests.running_postgresql import Postgresql
from tests.storage.fixtures import ANN, Opener, message

PREPARE = """
import asyncio, sys
from relay.storage.engine import open_transactions
transactions = open_transactions(sys.argv[1], 60)
print("ready", flush=True)
sys.stdin.readline()
asyncio.run(transactions.prepare())
transactions.close()
"""


@pytest.fixture
def bare_postgresql(postgresql: Postgresql) -> Iterator[str]:
    """A database in which nothing was ever made."""
    admin = create_engine(postgresql.url, isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.execute(text("CREATE DATABASE bare"))
    yield admin.url.set(database="bare").render_as_string(hide_password=False)
    with admin.connect() as connection:
        connection.execute(text("DROP DATABASE bare WITH (FORCE)"))
    admin.dispose()


@pytest.fixture(params=["sqlite", "postgresql"])
def bare_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'bare.db'}"
    url: str = request.getfixturevalue("bare_postgresql")
    return url


@contextmanager
def connected(url: str) -> Iterator[Connection]:
    engine = create_engine(url)
    try:
        with engine.begin() as connection:
            yield connection
    finally:
        engine.dispose()


async def _prepare(url: str) -> None:
    transactions = open_transactions(url, 60)
    try:
        await transactions.prepare()
    finally:
        transactions.close()


async def test_two_processes_migrate_at_once(bare_url: str, opener: Opener) -> None:
    """Both start with an empty database at the same moment; both find it ready, and it is used at once."""
    starters = [await _starter(bare_url) for _ in range(2)]
    results = await asyncio.gather(*(starter.communicate(b"go\n") for starter in starters))
    assert [(error, starter.returncode) for (_, error), starter in zip(results, starters, strict=True)] == [
        (b"", 0)
    ] * 2
    database = await opener(bare_url)
    assert await database.store_inbound(message(ANN), "") is not None


async def test_a_migration_of_postgresql_may_think_for_longer_than_other_transactions(bare_postgresql: str) -> None:
    """A slow machine takes seconds to import Alembic amid the transaction; PostgreSQL must not end it meanwhile."""
    longer_than_allowed_to_others = 3.5
    statements = count(1)

    def pause(*_: object) -> None:
        if next(statements) == 1:
            time.sleep(longer_than_allowed_to_others)

    transactions = open_transactions(bare_postgresql, 6)
    event.listen(Engine, "after_cursor_execute", pause)
    try:
        await transactions.prepare()
    finally:
        event.remove(Engine, "after_cursor_execute", pause)
        transactions.close()
    with connected(bare_postgresql) as connection:
        assert connection.dialect.has_table(connection, "conversations")


async def _starter(url: str) -> asyncio.subprocess.Process:
    """A process that waits for a word before it migrates."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", PREPARE, url, cwd=ROOT, stdin=PIPE, stdout=PIPE, stderr=PIPE
    )
    assert process.stdout is not None
    assert await process.stdout.readline() == b"ready\n"
    return process


async def test_the_revisions_build_the_tables_of_the_schema(bare_url: str) -> None:
    """Alembic finds nothing to add, on either database; preparing twice changes nothing."""
    await _prepare(bare_url)
    await _prepare(bare_url)
    with connected(bare_url) as connection:
        context = MigrationContext.configure(connection, opts={"include_name": is_described})
        assert compare_metadata(context, metadata) == []
        assert context.get_current_revision() == revisions()[-1]


def test_files_of_revisions_are_named_by_their_numbers() -> None:
    """The newest is found by the names alone; a wrong one would be migrated to at every start, or never."""
    scripts = ScriptDirectory.from_config(alembic_config())
    assert scripts.get_heads() == [revisions()[-1]]
    for script in scripts.walk_revisions():
        assert Path(script.path).name.startswith(f"{script.revision}_")


OLD_OUTCOMES = {
    "answered": ("answered", None),
    "answered with 7": ("answered", "with 7"),
    "told: over the limit of the minute": ("told", Limit.MINUTE),
    "silent: over the limit of the day": ("silent", Limit.DAY),
    "silent: STOP": ("silent", "STOP"),
    "cannot_see": ("unanswerable", "cannot_see"),
    "gave up": ("gave up", None),
    None: (None, None),
}


async def test_outcomes_of_old_rows_become_an_outcome_and_a_reason(bare_url: str) -> None:
    """A limit that was told before the update is not told again after it."""
    with connected(bare_url) as connection:
        command.upgrade(alembic_config(connection), "0001")
        for number, outcome in enumerate(OLD_OUTCOMES):
            row = {"external": str(number), "outcome": outcome}
            connection.execute(
                text(
                    "INSERT INTO inbound (platform, external_id, state, received_at, due, outcome)"
                    " VALUES ('sms', :external, 'done', 0, 0, :outcome)"
                ),
                row,
            )
    await _prepare(bare_url)
    with connected(bare_url) as connection:
        rows = connection.execute(select(inbound.c.outcome, inbound.c.reason).order_by(inbound.c.id)).all()
    assert [tuple(row) for row in rows] == list(OLD_OUTCOMES.values())
    assert {outcome for outcome, _ in OLD_OUTCOMES.values() if outcome} <= set(Outcome)


def test_one_command_writes_the_revision_of_a_changed_schema(
    project_folder: Path, product_environ: dict[str, str]
) -> None:
    """Its number, the file's name and the one before it are found by the command; the next start applies it."""
    schema = project_folder / "relay" / "storage" / "schema.py"
    column = '    Column("username", Text),\n'
    schema.write_text(schema.read_text().replace(column, column + '    Column("nickname", Text),\n', 1))
    run = partial(subprocess.run, cwd=project_folder, env=product_environ, check=True, capture_output=True)
    run([sys.executable, "-m", "relay.storage.revisions", "users have", "nicknames"])
    number = f"{int(revisions()[-1]) + 1:04}"
    written = project_folder / "relay" / "storage" / "migrations" / "versions" / f"{number}_users_have_nicknames.py"
    assert "sa.Column('nickname', sa.Text(), nullable=True)" in written.read_text()
    run([sys.executable, "messaging_database.py", "migrate"])
    with connected(f"sqlite:///{project_folder / 'messaging_users.db'}") as connection:
        assert MigrationContext.configure(connection).get_current_revision() == number
        assert "nickname" in {column["name"] for column in inspect(connection).get_columns("users")}


async def test_the_tables_of_a_newer_version_are_refused_with_a_sentence(bare_url: str) -> None:
    """Nobody writes into tables that they do not understand."""
    await _prepare(bare_url)
    with connected(bare_url) as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(StorageError, match=r"revision 9999 .* newer version"):
        await _prepare(bare_url)


async def test_a_failed_migration_leaves_nothing_behind(bare_url: str) -> None:
    """A table in the way: a sentence, no half of ours, and all is well once it is gone."""
    with connected(bare_url) as connection:
        connection.execute(text("CREATE TABLE users (mine text)"))
    with pytest.raises(StorageError, match="users"):
        await _prepare(bare_url)
    with connected(bare_url) as connection:
        connection.execute(text("DROP TABLE users"))
        assert not connection.dialect.has_table(connection, "conversations")
    await asyncio.wait_for(_prepare(bare_url), 60)
