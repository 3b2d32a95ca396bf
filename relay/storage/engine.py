"""Opens the database of a URL: connections as the queue needs them, migrations under a lock, a file that may vanish.

Only this file knows how SQLite and PostgreSQL differ in being opened; `relay.storage.transactions` knows how in use.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path
from urllib.parse import quote

from sqlalchemy import Engine, QueuePool, create_engine, event, text
from sqlalchemy.exc import SQLAlchemyError

from relay.core.errors import StorageError
from relay.storage.revisions import migrate
from relay.storage.transactions import GroupCommit, Pooled, Transactions, storage_error

_LEAST_IDLE_SECONDS = 3  # ours take milliseconds, but not on a machine that has other things to do
_MIGRATION_IDLE_SECONDS = 60  # Alembic is imported amid the transaction, and a slow machine takes its time for that
_MIGRATION_LOCK = 0x72656C6179  # any number, the same in every process


def open_transactions(url: str, timeout: float) -> Transactions:
    """Ready to use, but nothing is opened yet: `prepare` makes or migrates the tables.

    timeout: seconds to wait for a lock or a connection.
    """
    if url.startswith("sqlite:///"):
        file = SqliteFile(Path(url.removeprefix("sqlite:///")), timeout)
        return GroupCommit(file.engine("BEGIN IMMEDIATE"), file.engine("BEGIN"), file.check, file.prepare)
    engine = _postgresql_engine(url, timeout)
    return Pooled(engine, lambda: _prepare_postgresql(engine))


class SqliteFile:
    """One SQLite file: WAL and full sync, never created by accident, noticed when it is taken away or replaced."""

    def __init__(self, path: Path, timeout: float) -> None:
        self._path = path.absolute()
        self._timeout = timeout
        self._inode: tuple[int, int] | None = None
        self._engines: list[Engine] = []

    def engine(self, begin: str) -> Engine:
        """Connections to the file as it is; with mode=rw a missing file is an error, not a new and empty database."""
        return self._engine("rw", begin)

    def _engine(self, mode: str, begin: str) -> Engine:
        def connect() -> sqlite3.Connection:
            name = f"file:{quote(str(self._path))}?mode={mode}"
            connection = sqlite3.connect(
                name, uri=True, timeout=self._timeout, check_same_thread=False, isolation_level=None
            )
            for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
                connection.execute(f"PRAGMA {pragma}")
            return connection

        # A queue, because its dispose leaves alone what another thread is using at the moment.
        engine = create_engine("sqlite://", creator=connect, poolclass=QueuePool)
        event.listen(engine, "begin", lambda connection: connection.exec_driver_sql(begin))
        self._engines.append(engine)
        return engine

    def prepare(self) -> None:
        """Create or migrate the tables. Raises StorageError with a sentence when the file cannot be used."""
        engine = self._engine("rwc", "BEGIN EXCLUSIVE")
        try:
            with engine.begin() as connection:
                migrate(connection)
            self._inode = self._identity()
        except (SQLAlchemyError, OSError, StorageError) as error:
            raise StorageError(f"the database file {self._path} cannot be used: {storage_error(error)}") from error
        finally:
            engine.dispose()
            self._engines.remove(engine)

    def check(self) -> None:
        """Refuse to write into a file that is no longer there: it would be lost with its last open handle.

        Another file in its place (a backup that was put back) is migrated, and used from now on. Raises StorageError.
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

    def _identity(self) -> tuple[int, int]:
        status = self._path.stat()
        return status.st_dev, status.st_ino


def _postgresql_engine(url: str, timeout: float) -> Engine:
    seconds = max(1, int(timeout))
    return create_engine(
        url,
        pool_size=8,
        max_overflow=2,
        pool_timeout=timeout,
        pool_pre_ping=True,
        connect_args={
            "connect_timeout": seconds,
            # A server that vanished without a word must not hold the verbs for as long as TCP would.
            "keepalives_idle": seconds,
            "keepalives_interval": 2,
            "keepalives_count": 3,
            "tcp_user_timeout": 2000 * seconds,
            # The last: a process that is stopped amid a transaction would hold the counters that all others need,
            # so it loses them while the others still wait.
            "options": f"-c lock_timeout={seconds}s -c statement_timeout={seconds * 2}s"
            f" -c idle_in_transaction_session_timeout={max(_LEAST_IDLE_SECONDS, seconds // 2)}s",
        },
    )


def _prepare_postgresql(engine: Engine) -> None:
    try:
        with engine.begin() as connection:
            connection.execute(text(f"SET LOCAL idle_in_transaction_session_timeout = '{_MIGRATION_IDLE_SECONDS}s'"))
            connection.execute(text(f"SELECT pg_advisory_xact_lock({_MIGRATION_LOCK})"))
            connection.execute(text("SET LOCAL statement_timeout = 0"))  # a revision may rewrite a large table
            migrate(connection)
    except SQLAlchemyError as error:
        raise StorageError(f"the database cannot be used: {storage_error(error)}") from error
