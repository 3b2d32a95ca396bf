"""Runs short synchronous transactions in threads: their order, their durability, and how long a caller waits.

SQLite has a single writer, so one thread runs all waiting transactions and commits them together with one fsync
(measured: five times the throughput on a fast disk, fifteen times on a common one). PostgreSQL has a few threads.
On both, urgent transactions (outcomes of sends) go before new messages: a receipt that waits is a text sent twice when
the process is killed. Reads have threads of their own. One instance serves one event loop.
"""

from __future__ import annotations

import asyncio
import logging
import queue
import threading
import time
from collections import defaultdict, deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import nullcontext, suppress
from dataclasses import dataclass, field
from functools import partial
from itertools import zip_longest
from typing import Any, TypeVar, cast

from sqlalchemy import Connection, Engine, Executable, Row, bindparam, dialects, select, text, update
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
"""PostgreSQL: a deadlock or a serialization failure; the transaction was rolled back and may run again."""


# -- statements --------------------------------------------------------------------------------------------------------
# Building a statement costs ten times its run on SQLite, so those on the way of every message are built once, with
# parameters. Values of an INSERT or UPDATE are named by their columns; the parameters of a WHERE have other names.


class Upsert:
    """An INSERT to which `finish` adds ON CONFLICT; SQLAlchemy has a class of its own for each dialect.

    It is built at its first use for the dialect in use; the other dialect, 2 MB for PostgreSQL, is never loaded.
    """

    def __init__(self, table: Any, finish: Callable[[Any], Executable]) -> None:
        self._table = table
        self._finish = finish
        self._built: dict[str, Executable] = {}

    def built_for(self, connection: Connection) -> Executable:
        name = connection.dialect.name
        if name not in self._built:
            self._built[name] = self._finish(getattr(dialects, name).insert(self._table))
        return self._built[name]


def of_user(table: Any, platform: Platform, user_id: UserId) -> Any:
    """The rows of one user."""
    return (table.c.platform == platform) & (table.c.user_id == user_id)


def of_bound_user(table: Any) -> Any:
    """The rows of one user, given by the parameters of `user_parameters`."""
    return (table.c.platform == bindparam("of_platform")) & (table.c.user_id == bindparam("of_user"))


def user_parameters(platform: Platform, user_id: UserId) -> dict[str, Any]:
    return {"of_platform": platform, "of_user": user_id}


_ADD_TO_COUNTER = Upsert(
    counters,
    lambda row: row.on_conflict_do_update(
        index_elements=["platform", "name"], set_={"value": counters.c.value + row.excluded.value}
    ),
)
_MOMENT = text("SELECT extract(epoch FROM clock_timestamp())")
_LOCKED_USER = select(users).where(of_bound_user(users)).with_for_update()
_ADD_TO_MESSAGE_COUNT = (
    update(users)
    .where(of_bound_user(users))
    .values(message_count=users.c.message_count + bindparam("more"), updated_at=bindparam("moment"))
)


# -- one transaction ---------------------------------------------------------------------------------------------------


Work = Callable[["Tx"], T]
"""Short, synchronous and repeatable: after a rollback it may run again from the beginning."""


@dataclass(slots=True)
class Tx:
    """A running transaction: connection, time, and the changes of counters to write at its end.

    Rows are locked in the order inbox, user, outbox, counters, so that transactions do not deadlock on PostgreSQL.
    """

    connection: Connection
    now: float
    _counters: dict[tuple[Platform, str], float] = field(default_factory=lambda: defaultdict(float))
    _messages: dict[tuple[Platform, UserId], int] = field(default_factory=lambda: defaultdict(int))

    def run(
        self, statement: Executable | Upsert, values: Mapping[str, Any] | Sequence[Mapping[str, Any]] | None = None
    ) -> Any:
        """Run a statement, once for each of several values; the result is that of the last."""
        if isinstance(statement, Upsert):
            statement = statement.built_for(self.connection)
        if values is None or isinstance(values, Mapping) or self.connection.dialect.name != "postgresql":
            return self.connection.execute(statement, values)
        # psycopg would send them as one pipeline. A client that is stopped amid a pipeline (a frozen machine, SIGSTOP)
        # keeps its locks while it is stopped: PostgreSQL takes it for active, so no timeout ends the transaction.
        result = None
        for each in values:
            result = self.connection.execute(statement, each)
        return result

    def count(self, platform: Platform, name: str, change: float = 1) -> None:
        self._counters[platform, name] += change

    def count_messages(self, platform: Platform, user_id: UserId, change: int) -> None:
        """Count messages added to the history of a user, or removed from it when `change` is negative."""
        self._messages[platform, user_id] += change
        self.count(platform, "messages", change)

    def locked_user(self, platform: Platform, user_id: UserId) -> Row[Any] | None:
        """The user's row, locked until the end of this transaction; None when there is none."""
        return cast("Row[Any] | None", self.run(_LOCKED_USER, user_parameters(platform, user_id)).first())

    def do(self, work: Work[T]) -> T:
        """Run a verb, and write the message counts of users, which the next verb may read."""
        result = work(self)
        for user, change in sorted(self._messages.items()):
            if change:
                self.run(_ADD_TO_MESSAGE_COUNT, {**user_parameters(*user), "more": change, "moment": self.now})
        self._messages.clear()
        return result

    def write_counters(self) -> None:
        """Write the changes of counters, last and in one order, so that transactions do not deadlock on them."""
        changes = [(*key, change) for key, change in sorted(self._counters.items()) if change]
        if changes:
            self.run(_ADD_TO_COUNTER, [dict(zip(("platform", "name", "value"), row, strict=True)) for row in changes])


def storage_error(error: BaseException) -> StorageError:
    """The database's error message in one line, without the statement and its values."""
    if isinstance(error, StorageError):
        return error
    cause = error.orig if isinstance(error, DBAPIError) and error.orig is not None else error
    lines = str(cause).strip().splitlines() or ["no detail"]
    return StorageError(f"{type(cause).__name__}: {lines[0]}")


# -- running them ------------------------------------------------------------------------------------------------------

IsAbandoned = Callable[[], bool]
"""Whether the caller has stopped waiting; then nothing may be committed any more."""


class Threads:
    """A few daemon threads for blocking calls, one call a thread at a time.

    A caller may stop waiting. A call that has begun then keeps its thread until it ends, so at most as many calls hang
    as there are threads; further callers wait for a thread.
    """

    def __init__(self, count: int, name: str) -> None:
        self._calls: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._idle = asyncio.Semaphore(count)
        self._threads = [threading.Thread(target=self._run, name=name, daemon=True) for _ in range(count)]
        for thread in self._threads:
            thread.start()

    async def run(self, work: Callable[[IsAbandoned], T]) -> T:
        """Call `work` in a thread; its result or exception."""
        await self._idle.acquire()
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()

        def finish(resolve: Callable[[], None]) -> None:
            self._idle.release()
            if not future.done():
                resolve()

        def call() -> None:
            try:
                result = work(future.cancelled)
                resolve = partial(future.set_result, result)
            except Exception as error:  # noqa: BLE001 (the caller gets it, whatever it is)
                resolve = partial(future.set_exception, error)
            with suppress(RuntimeError):  # the event loop is closed
                loop.call_soon_threadsafe(finish, resolve)

        self._calls.put(call)
        return await future

    def _run(self) -> None:
        while (call := self._calls.get()) is not None:
            call()

    def close(self, ends: float) -> bool:
        """Let queued calls finish until `ends` (monotonic); False when some still run, which end with the process."""
        for _ in self._threads:
            self._calls.put(None)
        for thread in self._threads:
            thread.join(max(0.0, ends - time.monotonic()))
        return not any(thread.is_alive() for thread in self._threads)


class Transactions:
    """Runs `write` and `read`, each one transaction. A caller waits `limit` seconds, or for ever when it is None."""

    def __init__(self, engine: Engine, readers: int, prepare: Callable[[], None], limit: float | None) -> None:
        self._engine = engine
        self._prepare = prepare
        self._readers = Threads(readers, "db-read")
        self._closed = False
        self.limit = limit
        self.warning: str | None = None
        self.clock: Callable[[], float] = time.time

    def now(self, connection: Connection) -> float:  # noqa: ARG002 (PostgreSQL needs it)
        """The time by which rows are due: of our clock for SQLite, of PostgreSQL's, which several machines share."""
        return self.clock()

    async def prepare(self) -> None:
        """Create or migrate the tables, under a lock, however long it takes; may be repeated. Raises StorageError."""
        await self._readers.run(lambda _: self._prepare())

    async def write(self, work: Work[T], *, urgent: bool = False) -> T:
        """Run `work` in a transaction and commit it durably. Raises StorageError.

        After the limit, or when it is cancelled, the transaction is committed only if its commit had begun.
        """
        self._must_be_open()
        return await self._within_limit(self._queued(work, urgent=urgent))

    async def _queued(self, work: Work[T], *, urgent: bool) -> T:
        raise NotImplementedError

    async def read(self, work: Callable[[Connection], T]) -> T:
        """Run `work` on a connection that never waits for a writer. Raises StorageError."""
        self._must_be_open()
        return await self._within_limit(self._readers.run(partial(self._read, work)))

    def _read(self, work: Callable[[Connection], T], is_abandoned: IsAbandoned) -> T:
        try:
            with self._engine.connect() as connection:
                result = work(connection)
                if is_abandoned():
                    connection.invalidate()  # perhaps the pool is closed already
                return result
        except SQLAlchemyError as error:
            raise storage_error(error) from error

    async def _within_limit(self, answer: Awaitable[T]) -> T:
        try:
            async with asyncio.timeout(self.limit):
                return await answer
        except TimeoutError as error:
            raise StorageError(f"the database has not answered for {self.limit:g} s") from error

    def _must_be_open(self) -> None:
        if self._closed:
            raise StorageError("the database is closed")

    def close(self, seconds: float = CLOSE_SECONDS) -> None:
        """Finish queued transactions within `seconds` and end the threads; later calls raise StorageError."""
        ends = time.monotonic() + seconds
        self._closed = True
        if not self._close_writers(ends) & self._readers.close(ends):
            log.warning("the database is locked or does not answer; uncommitted transactions are abandoned")
        self._engine.dispose()

    def _close_writers(self, ends: float) -> bool:
        """Let queued writes finish until `ends` (monotonic); False when some still run."""
        raise NotImplementedError


@dataclass(slots=True)
class _Waiting:
    """A verb in the queue of the writer, and the future that its caller awaits."""

    work: Work[Any]
    future: asyncio.Future[Any]


class GroupCommit(Transactions):
    """SQLite: one writer thread, one commit for all waiting transactions."""

    def __init__(
        self,
        engine: Engine,
        readers: Engine,
        check_file: Callable[[], str | None],
        prepare: Callable[[], None],
        limit: float | None,
    ) -> None:
        super().__init__(readers, 2, prepare, limit)
        self._writer_engine = engine
        self._check_file = check_file
        self._urgent: deque[_Waiting] = deque()
        self._normal: deque[_Waiting] = deque()
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._run, name="db-write", daemon=True)
        self._thread.start()

    async def _queued(self, work: Work[T], *, urgent: bool) -> T:
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        waiting, waiters = _Waiting(work, future), self._urgent if urgent else self._normal
        with self._changed:
            self._must_be_open()
            waiters.append(waiting)
            self._changed.notify()
        try:
            return await future
        finally:
            if future.cancelled():
                with self._changed, suppress(ValueError):  # the writer has taken it already
                    waiters.remove(waiting)

    def _close_writers(self, ends: float) -> bool:
        with self._changed:
            self._changed.notify()
        self._thread.join(max(0.0, ends - time.monotonic()))
        if not self._thread.is_alive():
            self._writer_engine.dispose()
        return not self._thread.is_alive()

    def _run(self) -> None:
        again: list[_Waiting] = []
        while again or self._wait_for_work():
            again = self._commit(again)

    def _wait_for_work(self) -> bool:
        """Sleep until there is work; False when the database was closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._urgent or self._normal or self._closed)
            return bool(self._urgent or self._normal)

    def _take(self, most: int | None) -> list[_Waiting]:
        """Remove at most `most` waiting verbs from the queue, urgent ones first."""
        batch: list[_Waiting] = []
        with self._changed:
            while (self._urgent or self._normal) and (most is None or len(batch) < most):
                batch.append((self._urgent or self._normal).popleft())
        return [waiting for waiting in batch if not waiting.future.cancelled()]

    def _commit(self, again: list[_Waiting]) -> list[_Waiting]:
        """Run `again`, or all that waits, in one transaction; the verbs to run again because one of them failed.

        The batch is taken after the lock, so verbs that came during the wait for it need no second wait.
        """
        batch, begun, failing = again, False, None
        results: list[Any] = []
        try:
            self.warning = self._check_file()
            with self._writer_engine.begin() as connection:
                begun, batch, tx = True, again or self._take(BATCH), Tx(connection, self.clock())
                for failing in batch:
                    results.append(tx.do(failing.work))  # noqa: PERF401 (`failing` is used below)
                failing = None
                tx.write_counters()
        except Exception as error:  # noqa: BLE001 (every caller must get it)
            if failing is not None and not isinstance(error, (OperationalError, InterfaceError)):
                _resolve([failing], error=error)
                return [waiting for waiting in batch if waiting is not failing]
            if not begun:
                batch = [*again, *self._take(None)]  # all of them, so that no verb waits for the same lock twice
            _resolve(batch, error=error)
        else:
            _resolve(batch, results)
        return []


def _resolve(batch: Sequence[_Waiting], results: Sequence[Any] = (), *, error: Exception | None = None) -> None:
    """Resolve the futures of a batch, with one call of the event loop for all of them."""

    def resolve() -> None:
        for waiting, result in zip_longest(batch, results):
            if waiting.future.done():
                continue
            if error is None:
                waiting.future.set_result(result)
            else:
                waiting.future.set_exception(storage_error(error) if isinstance(error, SQLAlchemyError) else error)

    if batch:
        try:
            batch[0].future.get_loop().call_soon_threadsafe(resolve)
        except RuntimeError:
            log.warning("%d transactions ended after the event loop", len(batch))


class Pooled(Transactions):
    """PostgreSQL: a few writers in parallel; new messages use one at a time, so that urgent work never queues."""

    def __init__(self, engine: Engine, prepare: Callable[[], None], limit: float | None) -> None:
        # Each statement of a read sees what was committed before it in any case, so BEGIN and ROLLBACK do nothing.
        super().__init__(engine.execution_options(isolation_level="AUTOCOMMIT"), 4, prepare, limit)
        self._writer_engine = engine
        self._writers = Threads(4, "db-write")
        self._new_work = asyncio.Semaphore(1)

    def now(self, connection: Connection) -> float:
        return float(connection.execute(_MOMENT).scalar_one())

    async def _queued(self, work: Work[T], *, urgent: bool) -> T:
        async with nullcontext() if urgent else self._new_work:
            return await self._writers.run(partial(self._write, work))

    def _write(self, work: Work[T], is_abandoned: IsAbandoned) -> T:
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                with self._writer_engine.begin() as connection:
                    tx = Tx(connection, self.now(connection))
                    result = tx.do(work)
                    tx.write_counters()
                    if is_abandoned():
                        connection.invalidate()
                        raise StorageError("rolled back: its caller has stopped waiting")
                    return result
            except SQLAlchemyError as error:
                if attempt == _ATTEMPTS or not _may_run_again(error):
                    raise storage_error(error) from error
        raise AssertionError  # the last attempt returns or raises

    def _close_writers(self, ends: float) -> bool:
        return self._writers.close(ends)


def _may_run_again(error: SQLAlchemyError) -> bool:
    return isinstance(error, DBAPIError) and getattr(error.orig, "sqlstate", None) in _TRY_AGAIN
