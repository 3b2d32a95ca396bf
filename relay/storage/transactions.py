"""Runs short synchronous transactions off the event loop: who waits for whom, and when the disk must be sure.

SQLite has one writer anyway, so one thread writes and commits together whatever is waiting; they share the fsync
(measured: five times the throughput on a fast disk, fifteen times on a common one). PostgreSQL gets a few threads.
In both, urgent work (what became of a send) goes before new work, because a receipt that waits behind new messages is
what doubles a text when the process is killed. Reads have threads of their own. How a file or a server is opened is
`relay.storage.engine`'s business; this one serves one event loop.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections import defaultdict, deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, TypeVar, cast

from sqlalchemy import Connection, Engine, Executable, Row, bindparam, dialects, select, update
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError, SQLAlchemyError

from relay.core.errors import StorageError
from relay.core.messages import Platform, UserId
from relay.storage.schema import counters, users

log = logging.getLogger("relay.storage.transactions")

T = TypeVar("T")

BATCH = 64
CLOSE_SECONDS = 3.0
_ATTEMPTS = 3

_TRY_AGAIN = {"40P01", "40001"}
"""PostgreSQL: a deadlock or a serialization failure; the transaction was rolled back and may simply run again."""


# -- statements --------------------------------------------------------------------------------------------------------
# Building a statement costs ten times its run on SQLite, so those on the way of every message are built once, with
# parameters. Values of an INSERT or UPDATE are named by their columns; the parameters of a WHERE have other names.


class Upsert:
    """An INSERT that `finish` gives its ON CONFLICT; both databases know it alike, SQLAlchemy builds it apart.

    It is built when it is first run, by the dialect in use; the other one, 2 MB for PostgreSQL, is never loaded.
    """

    def __init__(self, table: Any, finish: Callable[[Any], Executable]) -> None:
        self._table = table
        self._finish = finish
        self._built: dict[str, Executable] = {}

    def built_for(self, connection: Connection) -> Executable:
        name = connection.dialect.name
        if name not in self._built:
            self._built[name] = self._finish(insert(connection, self._table))
        return self._built[name]


def insert(connection: Connection, table: Any) -> Any:
    """INSERT of the dialect in use, which its engine has loaded; for what is rarely done, see `Upsert`."""
    return getattr(dialects, connection.dialect.name).insert(table)


def of_user(table: Any, platform: Platform, user_id: UserId) -> Any:
    """The rows of one user."""
    return (table.c.platform == platform) & (table.c.user_id == user_id)


def of_bound_user(table: Any) -> Any:
    """The rows of the user whom the parameters of `user_parameters` name."""
    return (table.c.platform == bindparam("of_platform")) & (table.c.user_id == bindparam("of_user"))


def user_parameters(platform: Platform, user_id: UserId) -> dict[str, Any]:
    return {"of_platform": platform, "of_user": user_id}


_ADD_TO_COUNTER = Upsert(
    counters,
    lambda row: row.on_conflict_do_update(
        index_elements=["platform", "name"], set_={"value": counters.c.value + row.excluded.value}
    ),
)
_LOCKED_USER = select(users).where(of_bound_user(users)).with_for_update()
_ADD_TO_MESSAGE_COUNT = (
    update(users)
    .where(of_bound_user(users))
    .values(message_count=users.c.message_count + bindparam("more"), updated_at=bindparam("moment"))
)


# -- one transaction ---------------------------------------------------------------------------------------------------


class CounterDeltas:
    """Changes of the counters, added up and written last, in one order: so two transactions cannot deadlock on them."""

    def __init__(self) -> None:
        self._changes: dict[tuple[str, str], float] = defaultdict(float)

    def add(self, platform: Platform, name: str, change: float) -> None:
        self._changes[platform, name] += change

    def flush(self, connection: Connection) -> None:
        rows = [
            {"platform": platform, "name": name, "value": change}
            for (platform, name), change in sorted(self._changes.items())
            if change
        ]
        if rows:
            execute(connection, _ADD_TO_COUNTER, rows)


Work = Callable[[Connection, CounterDeltas], T]
"""Short, synchronous, and repeatable: after a rollback it may be run once more from the beginning."""


def execute(
    connection: Connection,
    statement: Executable | Upsert,
    values: Mapping[str, Any] | Sequence[Mapping[str, Any]] | None = None,
) -> Any:
    """Run a statement, for each of several values if there are any; the result is that of the last."""
    if isinstance(statement, Upsert):
        statement = statement.built_for(connection)
    if values is None or isinstance(values, Mapping) or connection.dialect.name != "postgresql":
        return connection.execute(statement, values)
    # psycopg would send them as one pipeline. A process that is stopped in the middle of a pipeline (a frozen machine,
    # SIGSTOP) keeps its locks for as long as it is stopped: to PostgreSQL it is active, so no time limit ends it.
    result = None
    for each in values:
        result = connection.execute(statement, each)
    return result


@dataclass(slots=True)
class Tx:
    """One verb at work in a transaction: its connection, its moment, and what it will count at its end.

    Rows are locked in one order, inbox, user, outbox, counters, so that PostgreSQL has no deadlocks to break.
    """

    connection: Connection
    now: float
    deltas: CounterDeltas = field(default_factory=CounterDeltas)
    message_changes: dict[tuple[Platform, UserId], int] = field(default_factory=lambda: defaultdict(int))

    def run(
        self, statement: Executable | Upsert, values: Mapping[str, Any] | Sequence[Mapping[str, Any]] | None = None
    ) -> Any:
        return execute(self.connection, statement, values)

    def insert(self, table: Any) -> Any:
        return insert(self.connection, table)

    def count(self, platform: Platform, name: str, change: float = 1) -> None:
        self.deltas.add(platform, name, change)

    def count_messages(self, platform: Platform, user_id: UserId, change: int) -> None:
        """The history of this user grew, or shrank, by so many messages."""
        self.message_changes[platform, user_id] += change
        self.count(platform, "messages", change)

    def locked_user(self, platform: Platform, user_id: UserId) -> Row[Any] | None:
        """The user's row, which nobody else changes until the end of this transaction."""
        return cast("Row[Any] | None", self.run(_LOCKED_USER, user_parameters(platform, user_id)).first())

    def finish(self) -> None:
        """Write what the verb counted about people; the counters of all are the transaction's to write."""
        for user, change in sorted(self.message_changes.items()):
            if change:
                self.run(_ADD_TO_MESSAGE_COUNT, {**user_parameters(*user), "more": change, "moment": self.now})


def storage_error(error: BaseException) -> StorageError:
    """The database's complaint in one short line, without the statement and its values."""
    if isinstance(error, StorageError):
        return error
    cause = error.orig if isinstance(error, DBAPIError) and error.orig is not None else error
    lines = str(cause).strip().splitlines() or ["no detail"]
    return StorageError(f"{type(cause).__name__}: {lines[0]}")


# -- who runs them -----------------------------------------------------------------------------------------------------


class Transactions:
    """What the database room needs: `write` and `read`, each one transaction, awaited."""

    def __init__(self, engine: Engine, readers: int, prepare: Callable[[], None]) -> None:
        self._engine = engine
        self._prepare = prepare
        self._readers = ThreadPoolExecutor(readers, thread_name_prefix="db-read")
        self._closed = False

    async def prepare(self) -> None:
        """Create or migrate the tables, under a lock. Raises StorageError; may be called again until it succeeds."""
        await asyncio.get_running_loop().run_in_executor(self._readers, self._prepare)

    async def write(self, work: Work[T], *, urgent: bool = False) -> T:
        """Run `work` in a transaction; it is committed, durably, when this returns. Raises StorageError otherwise.

        Cancelled, it may or may not be committed.
        """
        raise NotImplementedError

    async def read(self, work: Callable[[Connection], T]) -> T:
        """Run `work` on a connection that never waits for a writer. Raises StorageError."""
        self._must_be_open()
        return await asyncio.get_running_loop().run_in_executor(self._readers, self._read, work)

    def _read(self, work: Callable[[Connection], T]) -> T:
        try:
            with self._engine.connect() as connection:
                return work(connection)
        except SQLAlchemyError as error:
            raise storage_error(error) from error

    def _must_be_open(self) -> None:
        if self._closed:
            raise StorageError("the database is closed")

    def close(self, seconds: float = CLOSE_SECONDS) -> None:  # noqa: ARG002 (whoever has a writer that may hang needs it)
        """Finish what was begun, within `seconds`, and let the threads go; later calls raise StorageError."""
        self._closed = True
        self._readers.shutdown(wait=True)
        self._engine.dispose()


@dataclass(slots=True)
class _Waiting:
    """A verb in the queue of the writer, and the future that its caller awaits."""

    work: Work[Any]
    future: asyncio.Future[Any]


class GroupCommit(Transactions):
    """SQLite: one writer thread, one commit for all that waits."""

    def __init__(
        self, engine: Engine, readers: Engine, check_file: Callable[[], None], prepare: Callable[[], None]
    ) -> None:
        super().__init__(readers, 2, prepare)
        self._writer_engine = engine
        self._check_file = check_file
        self._urgent: deque[_Waiting] = deque()
        self._normal: deque[_Waiting] = deque()
        self._something = threading.Condition()
        self._thread = threading.Thread(target=self._run, name="db-write", daemon=True)
        self._thread.start()

    async def write(self, work: Work[T], *, urgent: bool = False) -> T:
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        with self._something:
            self._must_be_open()
            (self._urgent if urgent else self._normal).append(_Waiting(work, future))
            self._something.notify()
        return await future

    def close(self, seconds: float = CLOSE_SECONDS) -> None:
        with self._something:
            self._closed = True
            self._something.notify()
        self._thread.join(seconds)
        if self._thread.is_alive():
            log.warning("the database is locked by somebody else; what was not committed by now is given up")
        else:
            self._writer_engine.dispose()
        super().close(seconds)

    def _run(self) -> None:
        again: list[_Waiting] = []
        while again or self._something_waits():
            again = self._commit(again)

    def _something_waits(self) -> bool:
        """Sleep until there is work; False at the end."""
        with self._something:
            self._something.wait_for(lambda: self._urgent or self._normal or self._closed)
            return bool(self._urgent or self._normal)

    def _take(self, most: int | None) -> list[_Waiting]:
        """What is waiting, urgent first, without those whose callers are gone."""
        batch: list[_Waiting] = []
        with self._something:
            while (self._urgent or self._normal) and (most is None or len(batch) < most):
                batch.append((self._urgent or self._normal).popleft())
        return [waiting for waiting in batch if not waiting.future.cancelled()]

    def _commit(self, again: list[_Waiting]) -> list[_Waiting]:
        """One transaction of all that waits, or of `again`; gives those to run again because one among them failed.

        The batch is taken after the lock: whoever came while we waited for it needs no second wait.
        """
        batch, begun, failing = again, False, None
        results: list[Any] = []
        try:
            self._check_file()
            with self._writer_engine.begin() as connection:
                begun, batch, deltas = True, again or self._take(BATCH), CounterDeltas()
                for failing in batch:
                    results.append(failing.work(connection, deltas))  # noqa: PERF401 (`failing` tells who it was)
                failing = None
                deltas.flush(connection)
        except Exception as error:  # noqa: BLE001 (whatever it was, those who wait must hear of it)
            if failing is not None and not isinstance(error, (OperationalError, InterfaceError)):
                _fail([failing], error)
                return [waiting for waiting in batch if waiting is not failing]
            if not begun:
                batch = [*again, *self._take(None)]  # all of them: nobody waits for the same lock twice
            _fail(batch, error)
        else:
            _succeed(batch, results)
        return []


def _succeed(batch: Sequence[_Waiting], results: Sequence[Any]) -> None:
    def tell() -> None:
        for waiting, result in zip(batch, results, strict=True):
            if not waiting.future.done():
                waiting.future.set_result(result)

    _wake(batch, tell)


def _fail(batch: Sequence[_Waiting], error: Exception) -> None:
    def tell() -> None:
        for waiting in batch:
            if not waiting.future.done():
                waiting.future.set_exception(storage_error(error) if isinstance(error, SQLAlchemyError) else error)

    _wake(batch, tell)


def _wake(batch: Sequence[_Waiting], tell: Callable[[], None]) -> None:
    """Wake the event loop once for all of them; behind a loop that is closed nobody waits any more."""
    if not batch:
        return
    try:
        batch[0].future.get_loop().call_soon_threadsafe(tell)
    except RuntimeError:
        log.warning("%d transactions ended after the event loop", len(batch))


class Pooled(Transactions):
    """PostgreSQL: a few writers side by side; new work passes one at a time, so that receipts never queue behind it."""

    def __init__(self, engine: Engine, prepare: Callable[[], None]) -> None:
        super().__init__(engine, 4, prepare)
        self._writers = ThreadPoolExecutor(4, thread_name_prefix="db-write")
        self._new_work = asyncio.Semaphore(1)

    async def write(self, work: Work[T], *, urgent: bool = False) -> T:
        loop = asyncio.get_running_loop()
        if urgent:
            self._must_be_open()
            return await loop.run_in_executor(self._writers, self._write, work)
        async with self._new_work:
            self._must_be_open()
            return await loop.run_in_executor(self._writers, self._write, work)

    def _write(self, work: Work[T]) -> T:
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                with self._engine.begin() as connection:
                    deltas = CounterDeltas()
                    result = work(connection, deltas)
                    deltas.flush(connection)
                    return result
            except SQLAlchemyError as error:
                if attempt == _ATTEMPTS or not _may_run_again(error):
                    raise storage_error(error) from error
        raise AssertionError  # the last attempt returns or raises

    def close(self, seconds: float = CLOSE_SECONDS) -> None:
        self._closed = True
        self._writers.shutdown(wait=True)  # the server's own timeout of a statement ends what hangs
        super().close(seconds)


def _may_run_again(error: SQLAlchemyError) -> bool:
    return isinstance(error, DBAPIError) and getattr(error.orig, "sqlstate", None) in _TRY_AGAIN
