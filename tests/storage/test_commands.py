"""`python messaging_database.py`: the commands as an operator types them, on a file that servers could be using.

One test types them into a process of its own; the others call what that calls.
"""

from __future__ import annotations

import asyncio
import io
import json
import os
import sqlite3
import subprocess
import sys
import time
from contextlib import chdir, closing, redirect_stderr, redirect_stdout
from pathlib import Path

import pytest
from alembic import command
from sqlalchemy import create_engine

from messaging_database import open_database
from relay.channels.registry import PLATFORMS
from relay.channels.sms.spec import SMS
from relay.core.decisions import Decision
from relay.core.messages import Answer, InboundMessage, UserId
from relay.core.parts import PlannedPart, Receipt
from relay.storage import commands
from relay.storage.maintenance import PRUNED_AT_ONCE, next_rows
from relay.storage.revisions import alembic_config, revisions
from tests.databases import sqlite_in
from tests.settings import Settings

ROOT = Path(__file__).resolve().parents[2]
ANN = UserId("+12025550101")
BOB = UserId("+12025550102")


class CommandRunner:
    """A folder with a database, and the commands in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.file = folder / "people.db"
        self.settings = Settings(database_url=f"sqlite:///{self.file}")

    def run(self, *arguments: str) -> tuple[int, str]:
        """Exit status and everything that was printed."""
        printed = io.StringIO()
        with chdir(self.folder), redirect_stdout(printed), redirect_stderr(printed):
            try:
                status = commands.run(
                    arguments,
                    PLATFORMS,
                    lambda: self.settings,
                    lambda settings: open_database(settings, "commands"),
                    print,
                )
            except SystemExit as end:  # the parser's way to stop
                status = int(end.code or 0)
        return status, printed.getvalue()

    def type(self, *arguments: str, **environment: str) -> tuple[int, str]:
        """The same in a process of its own."""
        done = subprocess.run(
            [sys.executable, str(ROOT / "messaging_database.py"), *arguments],
            cwd=self.folder,
            env={**os.environ, "DATABASE_URL": self.settings.database_url, **environment},
            capture_output=True,
            encoding="utf-8",
            timeout=120,
            check=False,
        )
        assert "Traceback" not in done.stderr, done.stderr
        return done.returncode, done.stdout + done.stderr

    def fill(self) -> None:
        """Two people; both asked something and were answered, one part each."""
        sqlite_in(self.folder, self.file.name)
        asyncio.run(self._fill())

    async def _fill(self) -> None:
        database = open_database(self.settings, "sms")
        await database.start()
        for person in (ANN, BOB):
            message = InboundMessage(SMS, f"SM{person}", person, "Hello?", time.time())
            await database.store_inbound(message, "raw")
            claim = await database.claim_next_inbound(SMS, person)
            assert claim is not None
            decision = Decision(prompt="Hello?", name="Ann" if person == ANN else "Bob")
            await database.complete_inbound(claim, decision, [PlannedPart("Hi", "Hi")], answer=Answer("Hi"))
            part = await database.claim_next_part(SMS, person)
            assert part is not None
            await database.record_accepted(part, Receipt(f"SMout{person}"))
        await database.stop()

    def count(self, table: str, person: UserId) -> int:
        connection = sqlite3.connect(self.file)
        try:
            query = f"SELECT count(*) FROM {table} WHERE user_id = ?"  # noqa: S608 (our own table names)
            return int(connection.execute(query, (person,)).fetchone()[0])
        finally:
            connection.close()


@pytest.fixture
def cli(tmp_path: Path) -> CommandRunner:
    runner = CommandRunner(tmp_path)
    runner.fill()
    return runner


@pytest.mark.parametrize(
    "command",
    ["", "migrate", "backup", "restore", "check", "import-sms-users", "export-user", "forget-user", "prune"],
)
def test_every_command_explains_itself(tmp_path: Path, command: str) -> None:
    """--help says what it does, and does nothing."""
    status, text = CommandRunner(tmp_path).run(*filter(None, [command, "--help"]))
    assert status == 0
    assert "usage:" in text
    assert not (tmp_path / "people.db").exists()


def test_commands_are_typed_where_the_database_is(cli: CommandRunner) -> None:
    """The settings of the servers say which one it is; what was found out is the exit status."""
    assert cli.type("check") == (0, "all is well\n")
    status, text = cli.type("export-user", "sms", "+19999999999")
    assert (status, "nothing is kept" in text) == (1, True)


def test_a_backup_is_whole_and_can_be_put_back(cli: CommandRunner) -> None:
    """A user who was forgotten after the backup is there again, and what was there before the restore is kept."""
    status, text = cli.run("backup", "safe.db")
    assert (status, "checked" in text) == (0, True)
    assert cli.run("forget-user", "sms", ANN, "--yes")[0] == 0
    status, text = cli.run("restore", "safe.db")
    assert (status, "--yes" in text, cli.count("users", ANN)) == (1, True, 0)
    status, text = cli.run("restore", "safe.db", "--yes")
    assert (status, cli.count("users", ANN)) == (0, 1)
    assert list(cli.folder.glob("people.db.before-restore-*"))
    assert cli.run("check") == (0, "all is well\n")


@pytest.mark.parametrize("revision", ["9999", "", "feature"])
def test_a_backup_of_an_unknown_revision_is_refused(cli: CommandRunner, revision: str) -> None:
    """A newer version made it: restored, it would leave every server not ready. Nothing is changed."""
    assert cli.run("backup", "newer.db")[0] == 0
    with closing(sqlite3.connect(cli.folder / "newer.db")) as newer:
        newer.execute("UPDATE alembic_version SET version_num = ?", (revision,))
        newer.commit()
    assert cli.run("forget-user", "sms", ANN, "--yes")[0] == 0
    status, text = cli.run("restore", "newer.db", "--yes")
    assert (status, "newer version" in text, cli.count("users", ANN)) == (1, True, 0)
    assert list(cli.folder.glob("people.db.before-restore-*")) == []


@pytest.mark.parametrize(
    "damage",
    [
        "DROP TABLE delivery_events",
        "ALTER TABLE users DROP COLUMN language",
        "DROP TABLE logins",
        "UPDATE alembic_version SET version_num = '0001'",  # what later revisions add is there already
    ],
)
def test_a_backup_that_is_not_complete_is_refused(cli: CommandRunner, damage: str) -> None:
    """Its revision is right and its file intact, yet no server could use it. Nothing is changed."""
    assert cli.run("backup", "holes.db")[0] == 0
    with closing(sqlite3.connect(cli.folder / "holes.db")) as holes:
        holes.execute(damage)
        holes.commit()
    assert cli.run("forget-user", "sms", ANN, "--yes")[0] == 0
    before = sorted(path.name for path in cli.folder.iterdir())
    status, text = cli.run("restore", "holes.db", "--yes")
    assert (status, "holes.db cannot be" in text, cli.count("users", ANN)) == (1, True, 0)
    assert sorted(path.name for path in cli.folder.iterdir()) == before
    assert cli.run("check") == (0, "all is well\n")


def test_a_backup_of_an_older_version_is_migrated(cli: CommandRunner) -> None:
    """Servers that run would not do it: to them it is the same file."""
    older = cli.folder / "older.db"
    engine = create_engine(f"sqlite:///{older}")
    with engine.begin() as connection:
        command.upgrade(alembic_config(connection), "0003")
    engine.dispose()
    assert cli.run("restore", older.name, "--yes")[0] == 0
    with closing(sqlite3.connect(cli.file)) as restored:
        assert restored.execute("SELECT version_num FROM alembic_version").fetchall() == [(revisions()[-1],)]
    assert cli.run("check") == (0, "all is well\n")


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        ("DROP TABLE delivery_events", "the table delivery_events is missing"),
        ("DROP TABLE counters", "the table counters is missing"),
        ("ALTER TABLE inbound DROP COLUMN reason", "the column inbound.reason is missing"),
    ],
)
def test_check_says_what_is_missing(cli: CommandRunner, damage: str, says: str) -> None:
    """Although the revision says that everything is there."""
    with closing(sqlite3.connect(cli.file)) as connection:
        connection.execute(damage)
    status, text = cli.run("check")
    assert (status, says in text) == (1, True)


def test_a_backup_is_taken_while_messages_are_written(cli: CommandRunner) -> None:
    """An open write transaction does not stop it, and is not in it."""
    writer = sqlite3.connect(cli.file, isolation_level=None)
    writer.execute("BEGIN IMMEDIATE")
    writer.execute("DELETE FROM users")
    status, _ = cli.run("backup", "safe.db")
    writer.rollback()
    writer.close()
    copy = sqlite3.connect(cli.folder / "safe.db")
    assert (status, copy.execute("SELECT count(*) FROM users").fetchone()[0]) == (0, 2)
    copy.close()


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("backup", "taken.db"), "already exists"),
        (("backup", "nowhere/safe.db"), "failed"),
        (("restore", "missing.db", "--yes"), "does not exist"),
        (("restore", "taken.db", "--yes"), "not done"),
        (("restore", "foreign.db", "--yes"), "not a backup of a messaging database"),
        (("import-sms-users", "missing.db"), "does not exist"),
        (("import-sms-users", "foreign.db"), "not an old database"),
        (("export-user", "sms", "+19999999999"), "nothing is kept"),
        (("forget-user", "sms", "+19999999999", "--yes"), "nothing is kept"),
        (("export-user", "sms", ANN, "--output", "taken.db"), "cannot be written"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_sentence(
    cli: CommandRunner, arguments: tuple[str, ...], expected: str
) -> None:
    """Status 1, the reason, and everything as it was."""
    (cli.folder / "taken.db").write_text("something else")
    foreign = sqlite3.connect(cli.folder / "foreign.db")
    foreign.execute("CREATE TABLE cats (name TEXT)")
    foreign.commit()
    foreign.close()
    status, text = cli.run(*arguments)
    assert status == 1
    assert expected in text
    assert (cli.folder / "taken.db").read_text() == "something else"
    assert cli.count("users", ANN) == 1


@pytest.mark.parametrize("command", ["check", "export-user sms +1", "prune --older-than 30d"])
def test_a_missing_database_is_not_made_by_looking_at_it(tmp_path: Path, command: str) -> None:
    """A wrong folder is noticed, instead of an empty database being found in order."""
    status, text = CommandRunner(tmp_path).run(*command.split())
    assert (status, "does not exist" in text) == (1, True)
    assert not (tmp_path / "people.db").exists()


def test_backups_in_a_folder_are_named_by_the_time_and_the_oldest_go(cli: CommandRunner) -> None:
    """Only files with such a name are removed, and only as many as are too many."""
    folder = cli.folder / "copies"
    folder.mkdir()
    others = ("relay-old.db", "relay-20200101-000000.db.gz", "my-relay-20200101-000000.db", "relay-2020-01-01.db")
    for name in (*others, "relay-20200101-000000.db", "relay-20200102-000000.db"):
        (folder / name).touch()
    status, text = cli.run("backup", "copies", "--keep", "2")
    assert status == 0, text
    left = {path.name for path in folder.iterdir()} - set(others)
    made = left - {"relay-20200102-000000.db"}
    assert len(left) == 2
    assert len(made) == 1
    assert f"wrote copies/{made.pop()}" in text
    assert "removed copies/relay-20200101-000000.db" in text
    assert set(others) < {path.name for path in folder.iterdir()}


@pytest.mark.parametrize(("keep", "said"), [("0", "a number from 1 on"), ("-1", "a number from 1 on"), ("1", "folder")])
def test_no_backup_is_made_that_cannot_be_kept_as_asked(cli: CommandRunner, keep: str, said: str) -> None:
    """Keeping none, and keeping some of a single file."""
    status, text = cli.run("backup", "safe.db", f"--keep={keep}")
    assert status != 0
    assert said in text
    assert not (cli.folder / "safe.db").exists()


@pytest.mark.parametrize("command", ["check", "backup safe.db", "export-user sms +1"])
def test_a_missing_database_is_looked_for_among_those_of_try_out_mode(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    """The sentence leads to the data of the try-out."""
    monkeypatch.chdir(tmp_path)
    runner = CommandRunner(tmp_path)
    runner.settings = Settings()
    status, text = runner.run(*command.split())
    assert (status, "try-out" in text) == (1, False)
    (tmp_path / "messaging_users.simulated.db").touch()
    status, text = runner.run(*command.split())
    assert status == 1
    assert "messaging_users.db does not exist" in text
    assert "messaging_users.simulated.db: set SIMULATED=true" in text


def test_everything_about_a_person_is_exported_and_forgotten(cli: CommandRunner) -> None:
    """The export holds what they said; afterwards no table knows them, and the counters are right."""
    status, text = cli.run("export-user", "sms", ANN)
    exported = json.loads(text)
    assert status == 0
    assert exported["user"][0]["name"] == "Ann"
    assert [line["message"] for line in exported["conversations"]] == ["Hello?", "Hi"]
    assert exported["outbound"][0]["provider_id"] == f"SMout{ANN}"
    status, text = cli.run("forget-user", "sms", ANN, "--yes")
    assert (status, "2 conversations" in text, "1 users" in text) == (0, True, True)
    assert [cli.count(table, ANN) for table in ("users", "conversations", "inbound", "outbound")] == [0, 0, 0, 0]
    assert [cli.count(table, BOB) for table in ("users", "conversations", "inbound", "outbound")] == [1, 2, 1, 1]
    assert cli.run("check") == (0, "all is well\n")


def test_prune_deletes_what_is_finished_and_old_only(cli: CommandRunner) -> None:
    """Fresh rows stay; old ones go, the history only when that is asked for; ages below two days are refused."""
    assert cli.run("prune", "--older-than", "1d")[0] == 2
    assert "0 inbound, 0 outbound" in cli.run("prune", "--older-than", "30d")[1]
    connection = sqlite3.connect(cli.file)
    connection.execute("UPDATE inbound SET finished_at = 1000.0 WHERE user_id = ?", (ANN,))
    connection.execute("UPDATE outbound SET updated_at = 1000.0 WHERE user_id = ?", (ANN,))
    connection.execute("UPDATE conversations SET timestamp = 1000.0 WHERE user_id = ?", (ANN,))
    connection.commit()
    connection.close()
    assert "1 inbound, 1 outbound" in cli.run("prune", "--older-than", "30d")[1]
    assert (cli.count("inbound", ANN), cli.count("conversations", ANN)) == (0, 2)
    assert "2 conversations" in cli.run("prune", "--older-than", "4w", "--conversations")[1]
    assert (cli.count("conversations", ANN), cli.count("conversations", BOB)) == (0, 2)
    assert cli.run("check") == (0, "all is well\n")


def test_prune_takes_many_rows_in_small_bites(cli: CommandRunner) -> None:
    """All of them go, but never so many at once that a message would have to wait for it."""
    count = 2 * PRUNED_AT_ONCE + 345
    connection = sqlite3.connect(cli.file)
    connection.executemany(
        "INSERT INTO inbound (platform, external_id, user_id, state, received_at, due, finished_at)"
        " VALUES ('sms', ?, 'old', 'done', 1.0, 1.0, 1.0)",
        [(f"old-{number}",) for number in range(count)],
    )
    connection.commit()
    connection.close()

    async def bite() -> list[int]:
        database = open_database(cli.settings, "sms")
        await database.start()
        found = await database.query(lambda c: next_rows(c, "inbound", 1000.0, 0, PRUNED_AT_ONCE))
        await database.stop()
        return [row for row, _ in found]

    assert len(asyncio.run(bite())) == PRUNED_AT_ONCE
    assert f"{count} inbound" in cli.run("prune", "--older-than", "30d")[1]
    assert cli.count("inbound", UserId("old")) == 0
    assert cli.run("check") == (0, "all is well\n")


def test_check_says_what_does_not_add_up(cli: CommandRunner) -> None:
    """A counter that was changed by hand is found."""
    connection = sqlite3.connect(cli.file)
    connection.execute("UPDATE counters SET value = value + 1 WHERE name = 'messages'")
    connection.commit()
    connection.close()
    status, text = cli.run("check")
    assert status == 1
    assert "the counter messages says 5, the rows say 4" in text


def test_an_old_database_is_imported_once(cli: CommandRunner) -> None:
    """Numbers become E.164, what is no number is named, and users who exist already stay unchanged."""
    old = sqlite3.connect(cli.folder / "sms_users.db")
    old.execute("CREATE TABLE users (phone_number TEXT, name TEXT, created_at TIMESTAMP, updated_at TIMESTAMP)")
    old.execute(
        "CREATE TABLE conversations"
        " (id INTEGER PRIMARY KEY, phone_number TEXT, role TEXT, message TEXT, timestamp TEXT)"
    )
    moment = "2024-05-01 12:00:00"
    people = [("(202) 555-0199", "Zoë"), (ANN, "Other Ann"), ("banana", "Nobody")]
    old.executemany("INSERT INTO users VALUES (?, ?, ?, ?)", [(*person, moment, moment) for person in people])
    lines = [("(202) 555-0199", "user", "Hi"), ("(202) 555-0199", "assistant", "Hello Zoë"), (ANN, "user", "old")]
    query = "INSERT INTO conversations (phone_number, role, message, timestamp) VALUES (?, ?, ?, ?)"
    old.executemany(query, [(*line, moment) for line in lines])
    old.commit()
    old.close()
    status, text = cli.run("import-sms-users", "sms_users.db")
    assert status == 0
    assert "imported 1 people with 2 messages" in text
    assert "1 people as they are" in text
    assert "'banana'" in text
    assert "imported 0 people" in cli.run("import-sms-users", "sms_users.db")[1]
    exported = json.loads(cli.run("export-user", "sms", "+12025550199")[1])
    assert exported["user"][0]["created_at"] == "2024-05-01T12:00:00.000Z"
    assert [line["message"] for line in exported["conversations"]] == ["Hi", "Hello Zoë"]
    assert cli.count("conversations", ANN) == 2
    assert cli.run("check") == (0, "all is well\n")


def _old_database(file: Path, people: list[tuple[object, ...]], lines: list[tuple[object, ...]]) -> None:
    old = sqlite3.connect(file)
    old.execute("CREATE TABLE users (phone_number, name, created_at, updated_at)")
    old.execute("CREATE TABLE conversations (id INTEGER PRIMARY KEY, phone_number, role, message, timestamp)")
    old.executemany("INSERT INTO users VALUES (?, ?, ?, ?)", people)
    query = "INSERT INTO conversations (phone_number, role, message, timestamp) VALUES (?, ?, ?, ?)"
    old.executemany(query, lines)
    old.commit()
    old.close()


def test_one_person_under_two_spellings_keeps_every_line(cli: CommandRunner) -> None:
    """So does one who has lines and no row of their own."""
    people = [("+12025550199", None, 100, 200), ("2025550199", "Zoë", 50, 150)]
    lines = [
        ("+12025550199", "user", "second", 120),
        ("2025550199", "user", "first", 60),
        ("2025550198", "user", "x", 9),
    ]
    _old_database(cli.folder / "old.db", [*people], [*lines])
    assert "imported 2 people with 3 messages" in cli.run("import-sms-users", "old.db")[1]
    exported = json.loads(cli.run("export-user", "sms", "+12025550199")[1])
    assert exported["user"][0]["name"] == "Zoë"
    assert exported["user"][0]["created_at"] == "1970-01-01T00:00:50.000Z"
    assert [line["message"] for line in exported["conversations"]] == ["first", "second"]
    assert cli.count("conversations", UserId("+12025550198")) == 1
    assert cli.run("check") == (0, "all is well\n")


@pytest.mark.parametrize(
    ("moment", "shown"),
    [
        (1_700_000_000_000, "2023-11-14T22:13:20.000Z"),
        (1e300, "1970-01-01T00:00:00.000Z"),
        (float("inf"), "1970-01-01T00:00:00.000Z"),
        (-5, "1970-01-01T00:00:00.000Z"),
        ("0001-01-01 00:00:00", "1970-01-01T00:00:00.000Z"),
    ],
)
def test_a_moment_that_cannot_be_shown_is_not_taken_over(cli: CommandRunner, moment: object, shown: str) -> None:
    """Milliseconds are understood; nothing that is imported makes a status or an export fail."""
    _old_database(cli.folder / "old.db", [("+12025550199", "Zoë", moment, moment)], [])
    cli.run("import-sms-users", "old.db")
    exported = json.loads(cli.run("export-user", "sms", "+12025550199")[1])
    assert exported["user"][0]["created_at"] == shown


def test_a_name_of_any_language_is_exported_to_any_terminal(cli: CommandRunner) -> None:
    """UTF-8, whatever the settings of the terminal say."""
    _old_database(cli.folder / "old.db", [("+12025550199", "Zoë 😀", 1, 1)], [])
    cli.run("import-sms-users", "old.db")
    status, text = cli.type("export-user", "sms", "+12025550199", PYTHONIOENCODING="ascii")
    assert status == 0
    assert json.loads(text)["user"][0]["name"] == "Zoë 😀"
