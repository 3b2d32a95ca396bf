"""Opens the database of a URL: a file of SQLite, or the connections of PostgreSQL and its migrations under a lock.

`relay.storage.transactions` has the differences between the two in use.
"""

from __future__ import annotations

import math
import time
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, create_engine, event, text
from sqlalchemy.exc import InvalidatePoolError, SQLAlchemyError

from relay.core.errors import StorageError
from relay.storage.executors import Pooled, Transactions
from relay.storage.group_commit import GroupCommit
from relay.storage.revisions import migrate
from relay.storage.schema import to_json
from relay.storage.sqlite_file import SqliteFile
from relay.storage.transactions import storage_error

_MIN_IDLE_SECONDS = 3  # pauses amid our transactions take milliseconds, except on a busy machine
_UNUSED_SECONDS = 1.0  # after which a connection may be one of a server that was restarted
_MIGRATION_IDLE_SECONDS = 60  # Alembic is imported amid the transaction

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


def _postgresql_engine(url: str, timeout: float, *, limited: bool) -> Engine:
    seconds = max(1, int(timeout))
    engine = create_engine(
        url,
        json_serializer=to_json,
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
