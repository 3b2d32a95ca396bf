"""Opens the database of a URL: settings of connections, migrations under a lock, a file that may be replaced.

This module has the differences of SQLite and PostgreSQL in opening, `relay.storage.transactions` those in use.
"""

from __future__ import annotations

import logging
import math
import sqlite3
import time
from pathlib import Path
from typing import Any
from urllib.parse import quote

from sqlalchemy import Connection, Engine, QueuePool, create_engine, event, text
from sqlalchemy.exc import InvalidatePoolError, SQLAlchemyError

from relay.core.errors import StorageError
from relay.storage.executors import Pooled, Transactions
from relay.storage.group_commit import GroupCommit
from relay.storage.prepared import run_text
from relay.storage.revisions import migrate
from relay.storage.transactions import storage_error

log = logging.getLogger("relay.storage.engine")

_MIN_IDLE_SECONDS = 3  # pauses amid our transactions take milliseconds, except on a busy machine
_UNUSED_SECONDS = 1.0  # after which a connection may be one of a server that was restarted
_MIGRATION_IDLE_SECONDS = 60  # Alembic is imported amid the transaction

MAX_WAL_BYTES = 32_000_000
"""Size to which SQLite cuts its write-ahead log when no reader needs it."""

_PRAGMAS = ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", f"journal_size_limit={MAX_WAL_BYTES}")

WAL_WARNING_BYTES = 100_000_000
"""Size from which the log is reported: a reader that never ends keeps SQLite from reusing it."""

_GRACE_SECONDS = 1.0
"""How much longer than the database's own timeouts a caller waits: their errors are more precise."""
_MIGRATION_LOCK = 0x72656C6179  # any number, the same in every process


def open_transactions(url: str, timeout: float, *, limited: bool = True) -> Transactions:
    """The transactions of a database, which `prepare` opens.

    timeout: seconds to wait for a lock or a connection; and, if `limited`, for any answer, with a second of grace.
    """
    limit = timeout + _GRACE_SECONDS if limited else None
    if url.startswith("sqlite:///"):
        return GroupCommit(SqliteFile(Path(url.removeprefix("sqlite:///")), timeout), limit)
    engine = _postgresql_engine(url, timeout, limited=limited)
    return Pooled(engine, lambda: _prepare_postgresql(engine), limit)


class SqliteFile:
    """One SQLite file with WAL and full sync; only `prepare` creates it, and `check` detects that it was replaced."""

    def __init__(self, path: Path, timeout: float) -> None:
        self._path = path.absolute()
        self._timeout = timeout
        self._inode: tuple[int, int] | None = None
        self._engines: list[Engine] = []
        self._warned = False

    def engine(self, begin: str, mode: str = "rw") -> Engine:
        """Connections to the existing file: with mode=rw a missing file is an error, not a new, empty database."""

        def connect() -> sqlite3.Connection:
            name = f"file:{quote(str(self._path))}?mode={mode}"
            connection = sqlite3.connect(
                name, uri=True, timeout=self._timeout, check_same_thread=False, isolation_level=None
            )
            for pragma in _PRAGMAS:
                connection.execute(f"PRAGMA {pragma}")
            return connection

        # A QueuePool, because its dispose does not close connections in use by other threads.
        engine = create_engine("sqlite://", creator=connect, poolclass=QueuePool)
        event.listen(engine, "begin", lambda connection: run_text(connection, begin))
        self._engines.append(engine)
        return engine

    def prepare(self) -> None:
        """Create or migrate the tables. Raises StorageError when the file cannot be used."""
        engine = self.engine("BEGIN EXCLUSIVE", mode="rwc")
        try:
            with engine.begin() as connection:
                migrate(connection)
            self._inode = self._identity()
        except (SQLAlchemyError, OSError, StorageError) as error:
            raise StorageError(f"the database file {self._path} cannot be used: {storage_error(error)}") from error
        finally:
            engine.dispose()
            self._engines.remove(engine)

    def is_unchanged(self) -> bool:
        """Whether the path still leads to the file that was prepared."""
        try:
            return self._identity() == self._inode
        except OSError:
            return False

    def begin_patiently(self, connection: Connection) -> None:
        """Begin a transaction, and wait for a lock of another process."""
        driver: Any = connection.connection.dbapi_connection
        driver.execute(f"PRAGMA busy_timeout={self._timeout * 1000:.0f}")
        try:
            connection.begin()
        finally:
            driver.execute("PRAGMA busy_timeout=0")

    def check(self) -> None:
        """Raise StorageError when the file was deleted: writes to it would be lost with the last open handle.

        Another file in its place (a restored backup) is migrated and used from now on.
        """
        try:
            identity = self._identity()
        except OSError as error:
            raise StorageError(
                f"the database file {self._path} is gone: put it back, or restart the servers"
            ) from error
        if identity != self._inode:
            for engine in self._engines:
                engine.dispose()
            self.prepare()

    def wal_warning(self) -> str | None:
        """A warning when the write-ahead log has grown large."""
        try:
            size = self._path.with_name(self._path.name + "-wal").stat().st_size
        except FileNotFoundError:
            size = 0
        if size < WAL_WARNING_BYTES:
            self._warned = False
            return None
        warning = f"the write-ahead log has {size // 1_000_000} MB: a program has been reading the database for long"
        if not self._warned:
            log.warning("%s; end it (a forgotten sqlite3 shell?), and the log shrinks by itself", warning)
        self._warned = True
        return warning

    def _identity(self) -> tuple[int, int]:
        status = self._path.stat()
        return status.st_dev, status.st_ino


def _postgresql_engine(url: str, timeout: float, *, limited: bool) -> Engine:
    seconds = max(1, int(timeout))
    engine = create_engine(
        url,
        pool_size=8,
        max_overflow=2,
        pool_timeout=timeout,
        connect_args={
            "connect_timeout": seconds,
            # A server that vanished without closing its connections is detected sooner than by TCP's defaults.
            "keepalives_idle": seconds,
            "keepalives_interval": 2,
            "keepalives_count": 3,
            "tcp_user_timeout": 2000 * seconds,
            # The last: a client that is stopped amid a transaction holds locks on the counters that all others need,
            # so it loses them before the others stop waiting.
            "options": f"-c lock_timeout={seconds}s -c statement_timeout={seconds if limited else 0}s"
            f" -c idle_in_transaction_session_timeout={max(_MIN_IDLE_SECONDS, seconds // 2)}s",
        },
    )
    _ping_when_idle(engine)
    return engine


def _ping_when_idle(engine: Engine) -> None:
    """Ping connections that were not used for a moment; under load that would be a sixth of all round trips."""

    def note_use(_: Any, record: Any) -> None:
        record.info["used_at"] = time.monotonic()

    def ping(connection: Any, record: Any, _: Any) -> None:
        if time.monotonic() - record.info.get("used_at", math.inf) > _UNUSED_SECONDS:
            try:
                engine.dialect.do_ping(connection)
            except engine.dialect.loaded_dbapi.Error as error:
                raise InvalidatePoolError("a connection broke while it was idle, perhaps as all did") from error

    event.listen(engine, "checkin", note_use)
    event.listen(engine, "checkout", ping)


def _prepare_postgresql(engine: Engine) -> None:
    try:
        with engine.begin() as connection:
            connection.execute(text(f"SET LOCAL idle_in_transaction_session_timeout = '{_MIGRATION_IDLE_SECONDS}s'"))
            connection.execute(text(f"SELECT pg_advisory_xact_lock({_MIGRATION_LOCK})"))
            connection.execute(text("SET LOCAL statement_timeout = 0"))  # a revision may rewrite a large table
            migrate(connection)
    except SQLAlchemyError as error:
        raise StorageError(f"the database cannot be used: {storage_error(error)}") from error
