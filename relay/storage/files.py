"""Files of SQLite databases: online backup, restore, and reading databases of the older product.

Each function raises StorageError when it cannot do its work, and has then changed nothing.
"""

from __future__ import annotations

import os
import sqlite3
from collections import defaultdict
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote

import phonenumbers

from relay.core.errors import StorageError
from relay.core.messages import UserId, db_safe
from relay.storage.maintenance import OldUser, missing
from relay.storage.revisions import revisions
from relay.storage.sqlite_file import SqliteFile

_YEAR_5138 = 1e11
"""A larger number is one of milliseconds."""


def sqlite_path(url: str, verb: str) -> Path:
    """The file of an SQLite URL. Raises StorageError for PostgreSQL, which has its own tools."""
    if not url.startswith("sqlite:///"):
        raise StorageError(f"{verb} works on SQLite files; for PostgreSQL use pg_dump and pg_restore")
    return Path(url.removeprefix("sqlite:///")).absolute()


def backup(source: Path, target: Path) -> int:
    """Copy the database as it is at one moment, while servers read and write it; its size in bytes.

    The copy is written beside the target, checked, synced and then renamed. An existing target is an error.
    """
    if target.exists():
        raise StorageError(f"{target} already exists: choose another file")
    partial = target.with_name(target.name + ".partial")
    try:
        with closing(_connect(source, "ro")) as original, closing(sqlite3.connect(partial)) as copy:
            original.backup(copy)
            copy.execute("PRAGMA journal_mode=DELETE")
            _must_be_whole(copy, partial)
        with partial.open("rb") as written:
            os.fsync(written.fileno())
        partial.rename(target)
    except (sqlite3.Error, OSError) as error:
        raise StorageError(f"the backup of {source} failed: {error}") from error
    finally:
        partial.unlink(missing_ok=True)
    return target.stat().st_size


def restore(source: Path, target: Path, now: datetime) -> Path | None:
    """Replace the content of the database by that of a backup; the file with the former content, if there was any.

    A copy is migrated first, which finds out what would fail. Then one transaction of SQLite's replaces the content, so
    running servers see the old or the new one, both complete.
    """
    if not source.exists():
        raise StorageError(f"{source} does not exist")
    saved, copy = None, target.with_name(f"{target.name}.restoring")
    try:
        with closing(_connect(source, "ro")) as backup_file:
            _must_be_whole(backup_file, source)
            _must_be_ours(backup_file, source)
        copy.unlink(missing_ok=True)
        backup(source, copy)
        _migrate(copy, source)
        if target.exists():
            saved = target.with_name(f"{target.name}.before-restore-{now:%Y%m%d-%H%M%S}")
            backup(target, saved)
        with closing(_connect(copy, "ro")) as restored, closing(_connect(target, "rwc")) as live:
            restored.backup(live)
    except sqlite3.Error as error:
        raise StorageError(f"restoring {source} failed: {error}") from error
    finally:
        for suffix in ("", "-wal", "-shm"):
            copy.with_name(copy.name + suffix).unlink(missing_ok=True)
    return saved


def _migrate(copy: Path, source: Path) -> None:
    """Bring the tables of a copy to the newest revision. Raises StorageError, also when something is missing then."""
    file = SqliteFile(copy, timeout=30)
    try:
        file.prepare()
    except StorageError as error:
        raise StorageError(f"{source} cannot be brought to the newest revision: {error}") from error
    engine = file.engine("BEGIN")
    with engine.connect() as connection:
        gaps = missing(connection)
    engine.dispose()
    if gaps:
        raise StorageError(f"{source} cannot be used: {gaps[0]}")


def _connect(path: Path, mode: str) -> sqlite3.Connection:
    return sqlite3.connect(f"file:{quote(str(path))}?mode={mode}", uri=True, timeout=30)


def _must_be_whole(connection: sqlite3.Connection, path: Path) -> None:
    result = connection.execute("PRAGMA quick_check").fetchone()
    if result != ("ok",):
        raise StorageError(f"{path} is damaged: {result[0] if result else 'no answer'}")


def _must_be_ours(connection: sqlite3.Connection, path: Path) -> None:
    tables = {row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    if not {"alembic_version", "users", "conversations", "inbound", "outbound"} <= tables:
        raise StorageError(f"{path} is not a backup of a messaging database")
    (revision,) = connection.execute("SELECT version_num FROM alembic_version").fetchone() or ("",)
    if revision not in revisions():
        raise StorageError(f"{path} has revision {revision!r}, which is unknown here: a newer version made it")


# -- the older product -------------------------------------------------------------------------------------------------


def read_old_users(path: Path, region: str) -> tuple[list[OldUser], list[str]]:
    """Users and messages of an old `sms_users.db`, and the invalid numbers, which are left out.

    Spellings of one number become one user; a number with messages and without a row becomes a user too.
    """
    if not path.exists():
        raise StorageError(f"{path} does not exist")
    try:
        with closing(_connect(path, "ro")) as connection:
            messages = _old_messages(connection)
            people = connection.execute("SELECT phone_number, name, created_at, updated_at FROM users").fetchall()
    except sqlite3.Error as error:
        raise StorageError(f"{path} is not an old database of text messages: {error}") from error
    rows = {str(number): (name, _moment(created), _moment(updated)) for number, name, created, updated in people}
    found: dict[UserId, OldUser] = {}
    refused: list[str] = []
    for number in dict.fromkeys([*rows, *messages]):
        user_id = _e164(number, region)
        if user_id is None:
            refused.append(number)
            continue
        theirs = tuple(messages.get(number, ()))
        name, made, changed = rows[number] if number in rows else (None, theirs[0][2], theirs[-1][2])
        clean = db_safe(str(name)).strip()[:50] if name else None
        old = OldUser(user_id, clean or None, made, max(made, changed), theirs)
        found[user_id] = _as_one(found[user_id], old) if user_id in found else old
    return list(found.values()), refused


def _as_one(one: OldUser, other: OldUser) -> OldUser:
    return OldUser(
        one.user_id,
        one.name or other.name,
        min(one.created_at, other.created_at),
        max(one.updated_at, other.updated_at),
        tuple(sorted([*one.messages, *other.messages], key=lambda message: message[2])),
    )


def _old_messages(connection: sqlite3.Connection) -> dict[str, list[tuple[str, str, float]]]:
    found: dict[str, list[tuple[str, str, float]]] = defaultdict(list)
    rows = connection.execute("SELECT phone_number, role, message, timestamp FROM conversations ORDER BY id")
    for number, role, message, moment in rows:
        if role in {"user", "assistant"} and message:
            found[str(number)].append((role, db_safe(str(message)), _moment(moment)))
    return found


def _e164(text: str, region: str) -> UserId | None:
    try:
        number = phonenumbers.parse(text, region)
    except phonenumbers.NumberParseException:
        return None
    if not phonenumbers.is_possible_number(number):
        return None
    return UserId(phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164))


def _moment(value: object) -> float:
    """A time in seconds, milliseconds or ISO 8601, in UTC, as seconds; 0 for anything else."""
    if isinstance(value, (int, float)):
        seconds = value / 1000 if value >= _YEAR_5138 else float(value)
        return seconds if 0 <= seconds < _YEAR_5138 else 0.0
    try:
        moment = datetime.fromisoformat(str(value))
    except ValueError:
        return 0.0
    return max(0.0, (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp())
