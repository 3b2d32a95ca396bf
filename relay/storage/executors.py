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
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from contextlib import nullcontext, suppress
from dataclasses import dataclass
from functools import partial
from itertools import zip_longest
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError, SQLAlchemyError

from relay.core.errors import StorageError
from relay.storage.transactions import Tx, Work, storage_error

log = logging.getLogger("relay.storage.executors")

T = TypeVar("T")

BATCH = 64
CLOSE_SECONDS = 3.0
_ATTEMPTS = 3

_TRY_AGAIN = {"40P01", "40001"}
"""PostgreSQL: a deadlock or a serialization failure; the transaction was rolled back and may run again."""

_MOMENT = text("SELECT extract(epoch FROM clock_timestamp())")

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
                connection.begin()  # all that is read is of one moment
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
