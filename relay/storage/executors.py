"""Runs short synchronous transactions: their order, their durability, and how long a caller waits.

PostgreSQL has a few threads; relay.storage.group_commit has what SQLite does. On both, urgent transactions (outcomes of
sends) go before new messages: a receipt that waits is a text sent twice when the process is killed. One instance serves
one event loop.
"""

from __future__ import annotations

import asyncio
import logging
import queue
import threading
import time
from collections.abc import Awaitable, Callable
from contextlib import nullcontext, suppress
from functools import partial
from typing import TypeVar

from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from relay.core.errors import StorageError
from relay.storage.transactions import Tx, Work, storage_error

log = logging.getLogger("relay.storage.executors")

T = TypeVar("T")

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
        self._closed = False
        self._threads = [threading.Thread(target=self._run, name=name, daemon=True) for _ in range(count)]
        for thread in self._threads:
            thread.start()

    async def run(self, work: Callable[[IsAbandoned], T]) -> T:
        """Call `work` in a thread; its result or exception. Raises StorageError when they are closed."""
        await self._idle.acquire()
        if self._closed:
            self._idle.release()
            raise StorageError("the database is closed")
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
        self._closed = True
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

    async def write(self, work: Work[T], *, urgent: bool = False, brief: bool = False) -> T:
        """Run `work` in a transaction and commit it durably. Raises StorageError.

        brief: it reads and changes the few rows of one message, so that it need not have a thread. After the limit, or
        when it is cancelled, the transaction is committed only if its commit had begun.
        """
        self._must_be_open()
        return await self._within_limit(self._queued(work, urgent=urgent, brief=brief))

    async def _queued(self, work: Work[T], *, urgent: bool, brief: bool) -> T:
        raise NotImplementedError

    async def read(self, work: Callable[[Connection], T], *, brief: bool = False) -> T:  # noqa: ARG002 (all have threads)
        """Run `work` on a connection that never waits for a writer; `brief` as in `write`. Raises StorageError."""
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

    async def _queued(self, work: Work[T], *, urgent: bool, brief: bool) -> T:  # noqa: ARG002 (all have threads)
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
