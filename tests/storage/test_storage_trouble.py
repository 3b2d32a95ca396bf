"""SQLite files that are locked, gone, replaced, full, read-only or no database: a StorageError, and never a half."""

from __future__ import annotations

import asyncio
import os
import shutil
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Awaitable, Callable
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import Engine, event

from messaging_database import MessagingDatabase
from relay.channels.sms.spec import SMS
from relay.core.decisions import Decision
from relay.core.errors import StorageError
from relay.storage import sqlite_file
from relay.storage.database import REFUSAL_SECONDS
from relay.storage.engine import open_transactions
from relay.storage.schema import inbound
from tests.conftest import ROOT
from tests.databases import DURABLE, sqlite_in
from tests.storage.fixtures import (
    ANN,
    ANSWER,
    Opener,
    answered,
    claimed,
    counted,
    history,
    message,
    parts,
    recounted,
    rows,
    states,
)


def _path(url: str) -> Path:
    return Path(url.removeprefix("sqlite:///"))


async def test_a_locked_file_is_an_error_in_time_and_then_works(sqlite_url: str, opener: Opener) -> None:
    """All verbs that wait fail together when the timeout is over, reads go on; afterwards everything works again."""
    db = await opener(sqlite_url, patience=0.3)
    await db.store_inbound(message(text="before"), "")
    claim = await claimed(db)
    with closing(sqlite3.connect(_path(sqlite_url), isolation_level=None)) as intruder:
        intruder.execute("BEGIN IMMEDIATE")
        verbs = [db.store_inbound(message(text="during"), "") for _ in range(200)]
        outcomes = await asyncio.gather(
            *verbs,
            db.complete_inbound(claim, Decision(prompt="x"), parts("x"), answer=ANSWER),
            return_exceptions=True,
        )
        assert {type(outcome) for outcome in outcomes} == {StorageError}
        assert "locked" in str(outcomes[0])
        assert await db.find_user(SMS, ANN) is not None
        intruder.execute("ROLLBACK")
    assert len(await rows(db, inbound)) == 1
    await db.complete_inbound(claim, Decision(prompt="x"), parts("x"), answer=ANSWER)
    await db.store_inbound(message(text="after"), "")
    assert await history(db) == [("user", "before"), ("assistant", "x")]


async def test_what_was_refused_a_moment_ago_counts_more_than_that_a_note_can_be_written(
    sqlite_url: str, opener: Opener
) -> None:
    """On a full disk there may be room for the note of a check and none for a message: that is not ready."""
    now = 1000.0
    db = await opener(sqlite_url, patience=0.1, monotonic=lambda: now)
    await db.check()
    with closing(sqlite3.connect(_path(sqlite_url), isolation_level=None)) as intruder:
        intruder.execute("BEGIN IMMEDIATE")
        with pytest.raises(StorageError, match="locked"):
            await db.store_inbound(message(), "")
        intruder.execute("ROLLBACK")
    now += REFUSAL_SECONDS - 0.1
    with pytest.raises(StorageError, match="a moment ago"):
        await db.check()
    now += 0.2
    await db.check()


async def test_the_first_write_that_works_makes_it_ready(sqlite_url: str, opener: Opener) -> None:
    """The file was moved away and put back: with the first message that is stored, the server is ready again."""
    db = await opener(sqlite_url, monotonic=lambda: 1000.0)
    away = _path(sqlite_url).with_name("away.db")
    _path(sqlite_url).rename(away)
    with pytest.raises(StorageError, match="is gone"):
        await db.store_inbound(message(), "")
    away.rename(_path(sqlite_url))
    with pytest.raises(StorageError, match="a moment ago"):
        await db.check()
    await db.store_inbound(message(), "")
    await db.check()


@pytest.mark.parametrize("damage", ["DROP TABLE delivery_events", "ALTER TABLE inbound DROP COLUMN reason"])
async def test_without_a_table_or_a_column_it_is_not_ready(sqlite_url: str, opener: Opener, damage: str) -> None:
    """Messages would be stored, and what comes later would fail."""
    now = 1000.0
    db = await opener(sqlite_url, monotonic=lambda: now)
    await db.check()
    now += 2
    await db._write(lambda tx: tx.connection.exec_driver_sql(damage))
    now += 2
    with pytest.raises(StorageError):
        await db.check()
    await db.set_state(SMS, "written", 1)  # not every write needs what is missing
    with pytest.raises(StorageError):
        await db.check()


async def test_a_write_ahead_log_that_grows_is_reported_and_shrinks_again(
    sqlite_url: str, opener: Opener, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A reader that never ends keeps SQLite from reusing it; the log says so once, the status as long as it lasts."""
    monkeypatch.setattr(sqlite_file, "WAL_WARNING_BYTES", 3_000_000)
    db, wal = await opener(sqlite_url), _path(sqlite_url).with_name("messages.db-wal")

    async def store(megabytes: int) -> None:
        for _ in range(megabytes):
            await db.store_inbound(message(), "x" * 1_000_000)

    await store(1)
    assert db.warning is None
    with closing(sqlite3.connect(_path(sqlite_url), isolation_level=None)) as forgotten:
        forgotten.execute("BEGIN")
        forgotten.execute("SELECT count(*) FROM inbound").fetchone()
        await store(5 + sqlite_file.MAX_WAL_BYTES // 1_000_000)
        assert "write-ahead log" in (db.warning or "")
        assert wal.stat().st_size > sqlite_file.MAX_WAL_BYTES
    await store(3)
    await db.store_inbound(message(), "")
    assert wal.stat().st_size <= sqlite_file.MAX_WAL_BYTES
    monkeypatch.setattr(sqlite_file, "WAL_WARNING_BYTES", sqlite_file.MAX_WAL_BYTES + 1)
    await db.store_inbound(message(), "")
    assert db.warning is None
    assert [record.levelname for record in caplog.records if "write-ahead" in record.message] == ["WARNING"]


async def test_a_short_lock_is_waited_for(sqlite_url: str, opener: Opener) -> None:
    """Another process that writes for a moment costs a moment."""
    db = await opener(sqlite_url)
    with closing(sqlite3.connect(_path(sqlite_url), isolation_level=None, check_same_thread=False)) as intruder:
        intruder.execute("BEGIN IMMEDIATE")
        waiting = asyncio.create_task(db.store_inbound(message(), ""))
        await asyncio.sleep(0)
        await asyncio.to_thread(intruder.execute, "COMMIT")
        assert await waiting is not None


async def test_a_lock_that_was_waited_for_is_not_kept_until_the_event_loop_has_time(
    sqlite_url: str, opener: Opener
) -> None:
    """Other processes need it: the write is committed while the event loop does something else."""
    db = await opener(sqlite_url)
    with (
        closing(sqlite3.connect(_path(sqlite_url), isolation_level=None)) as intruder,
        closing(sqlite3.connect(_path(sqlite_url), isolation_level=None)) as reader,
    ):
        await _stored(db, "first")
        intruder.execute("BEGIN IMMEDIATE")
        waiting = asyncio.create_task(_stored(db, "second"))
        for _ in range(5):
            await asyncio.sleep(0)
        intruder.execute("ROLLBACK")
        while reader.execute("SELECT count(*) FROM inbound").fetchone() != (2,):
            threading.Event().wait(0.001)  # the event loop is blocked, and another process gives no event
        await waiting


async def test_a_deleted_file_takes_no_message(sqlite_url: str, opener: Opener) -> None:
    """It would be lost with the last open handle; put back, the file works again without a restart."""
    db = await opener(sqlite_url)
    await db.store_inbound(message(), "")
    away = _path(sqlite_url).with_name("away.db")
    _path(sqlite_url).rename(away)
    for _ in range(2):
        with pytest.raises(StorageError, match="is gone"):
            await db.store_inbound(message(), "")
    away.rename(_path(sqlite_url))
    assert await db.store_inbound(message(), "") is not None
    assert len(await rows(db, inbound)) == 2


@pytest.mark.parametrize("backup", ["migrated", "empty"])
async def test_another_file_in_its_place_is_used_from_then_on(
    sqlite_url: str, opener: Opener, tmp_path: Path, backup: str
) -> None:
    """Also one that has no tables yet: it is migrated first, by the next writer."""
    db = await opener(sqlite_url)
    await db.store_inbound(message(external_id="SM-1"), "")
    for name in ("messages.db", "messages.db-wal", "messages.db-shm"):
        (tmp_path / name).rename(tmp_path / f"old-{name}")
    if backup == "migrated":
        sqlite_in(tmp_path)
    else:
        _path(sqlite_url).touch()
    assert await db.store_inbound(message(external_id="SM-1"), "") is not None
    with closing(sqlite3.connect(_path(sqlite_url))) as file:
        assert file.execute("SELECT count(*) FROM inbound").fetchone() == (1,)
    assert len(await rows(db, inbound)) == 1


Spoil = Callable[[Path], None]


def _no_database(path: Path) -> None:
    path.write_bytes(b"This is a letter to my aunt. " * 100)


def _folder(path: Path) -> None:
    path.mkdir()


def _nowhere(path: Path) -> None:
    path.parent.rmdir()


@pytest.mark.parametrize("spoil", [_no_database, _folder, _nowhere])
async def test_what_cannot_be_opened_is_tried_again_until_it_can(tmp_path: Path, opener: Opener, spoil: Spoil) -> None:
    """Every verb raises meanwhile, with a reason, and the tables are made when the way is free."""
    path = tmp_path / "data" / "messages.db"
    path.parent.mkdir()
    spoil(path)
    between_tries = asyncio.Event()

    async def pause(_: float) -> None:
        await between_tries.wait()

    db = await opener(f"sqlite:///{path}", sleep=pause)
    for verb in (db.store_inbound(message(), ""), db.find_user(SMS, ANN), db.check()):
        with pytest.raises(StorageError, match="not ready"):
            await verb
    with pytest.raises(StorageError, match=r"messages\.db"):
        await db.prepare()
    if path.exists():
        path.rmdir() if path.is_dir() else path.unlink()
    path.parent.mkdir(exist_ok=True)
    between_tries.set()
    async with asyncio.timeout(60):
        await asyncio.gather(*(task for task in asyncio.all_tasks() if "_keep_preparing" in repr(task)))
    assert await db.store_inbound(message(), "") is not None


async def test_a_read_only_file_says_so(tmp_path: Path) -> None:
    """As a system user who may not write: reading works, storing is refused, nothing is half done."""
    if os.geteuid() != 0:
        pytest.skip("needs to become somebody else")
    folder = Path("/tmp") / f"read-only-{os.getpid()}"
    folder.mkdir()
    folder.chmod(0o755)  # whatever the umask is, which the programs set
    try:
        url = sqlite_in(folder)
        (folder / "messages.db").chmod(0o444)
        result = _in_a_process(url, user=65534)
    finally:
        shutil.rmtree(folder)
    assert result.startswith("cannot prepare: the database file")
    assert "readonly" in result
    assert result.endswith("\n0\n")


def test_a_commit_is_flushed_to_the_disk(sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """On every connection: synchronous=FULL, without which a power cut takes the newest commits of a WAL."""
    monkeypatch.setattr(sqlite_file, "_PRAGMAS", DURABLE)
    with sqlite_file.SqliteFile(_path(sqlite_url), 1).engine("BEGIN IMMEDIATE").connect() as connection:
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 2
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"


async def test_a_full_disk_loses_nothing_that_was_stored(sqlite_url: str, opener: Opener) -> None:
    """Stores fail when no byte more can be written; what succeeded is there, whole, and goes on when there is room."""
    stored = int(_in_a_process(sqlite_url, most_bytes=600_000).split()[-1])
    assert stored > 0
    db = await opener(sqlite_url)
    assert len(await rows(db, inbound)) == stored
    assert await counted(db) == await recounted(db)
    assert await db.store_inbound(message(), "") is not None


FILL = """
import asyncio, concurrent.futures.thread, os, resource, signal, sys, time
sys.path.insert(0, os.getcwd())
from messaging_database import MessagingDatabase
from relay.storage.engine import open_transactions
from relay.core.errors import StorageError
from relay.channels.sms.spec import SMS
from relay.core.messages import InboundMessage, UserId

async def main():
    url, user, most = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    if user:
        os.setuid(user)
    db = MessagingDatabase(open_transactions(url, 2), owner="sms@filler")
    try:
        await db.prepare()
    except StorageError as error:
        print("cannot prepare:", error)
    if most:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
    stored = failed = 0
    for number in range(400):
        message = InboundMessage(SMS, f"F{number}", UserId("+12025550101"), "x" * 5000, 1.0)
        try:
            await db.store_inbound(message, "raw")
        except StorageError as error:
            failed += 1
            if failed == 1:
                print(type(error).__name__, error)
            if failed > 3:
                break
        else:
            stored += 1
    assert failed, "the disk was never full"
    await db.stop()
    print(stored)

asyncio.run(main())
"""


def _in_a_process(url: str, *, user: int = 0, most_bytes: int = 0) -> str:
    """Store message after message in a process of its own, as another system user or within a limit, until it fails."""
    command = [sys.executable, "-c", FILL, url, str(user), str(most_bytes)]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert result.returncode == 0, result.stderr
    return result.stdout


# -- one writer for all ------------------------------------------------------------------------------------------------


async def test_one_verb_that_fails_takes_no_other_with_it(sqlite_url: str, opener: Opener) -> None:
    """A hundred at once share their commits; those that raise are alone with it."""
    db = await opener(sqlite_url)

    async def store(number: int) -> object:
        if number % 7 == 0:
            return await db.store_batch([(message(text=str(number)), "")], [], SMS, ("n", object()))
        return await db.store_inbound(message(text=str(number)), "")

    outcomes = await asyncio.gather(*(store(number) for number in range(100)), return_exceptions=True)
    assert [number for number, outcome in enumerate(outcomes) if isinstance(outcome, Exception)] == [*range(0, 100, 7)]
    assert len(await rows(db, inbound)) == 85
    assert await counted(db) == await recounted(db)


async def test_receipts_go_before_new_messages(sqlite_url: str) -> None:
    """What waits in the writer's queue is taken up urgent things first, each kind in its order."""
    transactions = open_transactions(sqlite_url, 8)
    await transactions.prepare()
    busy, order = threading.Event(), list[str]()
    first = asyncio.create_task(transactions.write(lambda *_: busy.wait(60)))
    await asyncio.sleep(0)
    writes = [
        asyncio.create_task(transactions.write(lambda *_, name=name: order.append(name), urgent=name.startswith("r")))
        for name in ("message 1", "receipt 1", "message 2", "receipt 2")
    ]
    await asyncio.sleep(0)
    busy.set()
    await asyncio.gather(first, *writes)
    transactions.close()
    assert order == ["receipt 1", "receipt 2", "message 1", "message 2"]


async def test_a_cancelled_caller_harms_no_other(database_url: str, opener: Opener) -> None:
    """A cancelled verb may or may not be committed; the others are, and the next ones too."""
    db = await opener(database_url)
    tasks: list[asyncio.Task[object]] = [asyncio.create_task(_stored(db, str(number))) for number in range(60)]
    await asyncio.sleep(0)
    for task in tasks[::2]:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert await db.store_inbound(message(), "") is not None
    stored = len(await rows(db, inbound))
    assert 31 <= stored <= 61
    assert await counted(db) == await recounted(db)


async def _stored(db: MessagingDatabase, text: str) -> object:
    return await db.store_inbound(message(text=text), "")


async def test_a_closed_database_says_so(database_url: str, opener: Opener) -> None:
    """What was begun before is finished; what comes after gets an error, not a wait."""
    db = await opener(database_url)
    last = asyncio.create_task(_stored(db, "last"))
    await asyncio.sleep(0)
    await db.stop()
    assert await last is not None
    late: list[Awaitable[object]] = [db.store_inbound(message(), ""), db.find_user(SMS, ANN), db.release_leases(SMS)]
    for verb in late:
        with pytest.raises(StorageError, match="closed"):
            await verb


async def test_a_lock_that_never_ends_does_not_hold_up_the_stop(sqlite_url: str, opener: Opener) -> None:
    """The stop of a server has a deadline, whatever another program does with the file."""
    db = await opener(sqlite_url, patience=60)
    await answered(db, "x")
    with closing(sqlite3.connect(_path(sqlite_url), isolation_level=None)) as intruder:
        intruder.execute("BEGIN IMMEDIATE")
        waiting = asyncio.create_task(_stored(db, "late"))
        await asyncio.sleep(0)
        await asyncio.wait_for(db.stop(), 30)
        waiting.cancel()
        intruder.execute("ROLLBACK")
    again = await opener(sqlite_url)
    assert await states(again) == ["planned"]


async def test_postgresql_gets_no_pipeline_in_which_a_frozen_process_would_keep_its_locks(
    postgresql_url: str, opener: Opener
) -> None:
    """A time limit ends a transaction that is idle between statements, but none that waits inside a pipeline."""
    db = await opener(postgresql_url)
    pipelines: list[str] = []

    def note(
        _connection: object, _cursor: object, statement: str, _values: object, _context: object, many: bool
    ) -> None:
        if many:
            pipelines.append(statement)

    event.listen(Engine, "before_cursor_execute", note)
    try:
        for text in ("one", "two", "three"):
            await db.store_inbound(message(text=text), "")
        claim = await claimed(db)
        behind = [row for row, _ in (await db.load_context(claim, 5, 10)).following]
        planned = parts("first", "second")
        await db.complete_inbound(claim, Decision(prompt="x"), planned, answer=ANSWER, merged=behind)
    finally:
        event.remove(Engine, "before_cursor_execute", note)
    assert await rows(db, inbound, "state") == [("done",)] * 3
    assert pipelines == []
