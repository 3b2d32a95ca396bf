"""The file of an SQLite database: its connections, its migrations, and what is done when it was replaced."""

from __future__ import annotations

import logging
import sqlite3
import time
from pathlib import Path
from typing import Any
from urllib.parse import quote

from sqlalchemy import Connection, Engine, QueuePool, create_engine, event
from sqlalchemy.exc import SQLAlchemyError

from relay.core.errors import StorageError
from relay.storage.prepared import run_text
from relay.storage.revisions import migrate
from relay.storage.schema import to_json
from relay.storage.transactions import storage_error

log = logging.getLogger("relay.storage.sqlite_file")

MAX_WAL_BYTES = 32_000_000
"""Size to which SQLite cuts its write-ahead log when no reader needs it."""

_PRAGMAS = ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", f"journal_size_limit={MAX_WAL_BYTES}")

_SWITCH_SECONDS = 0.02

WAL_WARNING_BYTES = 100_000_000
"""Size from which the log is reported: a reader that never ends keeps SQLite from reusing it."""


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
            if mode == "rwc":
                _switch_to_wal(connection, self._timeout)
            for pragma in _PRAGMAS:
                connection.execute(f"PRAGMA {pragma}")
            return connection

        # A QueuePool, because its dispose does not close connections in use by other threads.
        engine = create_engine("sqlite://", creator=connect, poolclass=QueuePool, json_serializer=to_json)
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

    def begin_after_lock(self, connection: Connection) -> None:
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


def _switch_to_wal(connection: sqlite3.Connection, seconds: float) -> None:
    """Set the journal mode; when another process sets it at the same moment, SQLite fails without waiting for it."""
    ends = time.monotonic() + seconds
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() >= ends:
                raise
            time.sleep(_SWITCH_SECONDS)
        else:
            return
