"""Runs short synchronous transactions off the event loop: who waits for whom, and when the disk must be sure.

SQLite has one writer anyway, so one thread writes and commits together whatever is waiting; they share the fsync
(measured: five times the throughput on a fast disk, fifteen times on a common one). PostgreSQL gets a few threads.
In both, urgent work (what became of a send) goes before new work, because a receipt that waits behind new messages is
what doubles a text when the process is killed. Reads have threads of their own.
"""

from __future__ import annotations

import asyncio
import threading
from collections import defaultdict, deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError, SQLAlchemyError

from relay.errors import StorageError
from relay.messages import Platform, UserId
from relay.schema import counters

T = TypeVar("T")
Work = Callable[[Connection], T]

BATCH = 64


@dataclass(slots=True)
class Tx:
    """One transaction under way: its connection, its moment, and the counters that it will change at its end.

    Counters are flushed last and in one order, so that two transactions on PostgreSQL cannot deadlock over them.
    """

    connection: Connection
    now: float
    tally: dict[tuple[str, str], float] = field(default_factory=lambda: defaultdict(float))

    def run(self, statement: Any) -> Any:
        return self.connection.execute(statement)

    def insert(self, table: Any) -> Any:
        """INSERT of the dialect in use; both know ON CONFLICT alike."""
        dialect = sqlite if self.connection.dialect.name == "sqlite" else postgresql
        return dialect.insert(table)

    def count(self, platform: Platform, name: str, change: float = 1) -> None:
        self.tally[platform, name] += change

    def flush(self) -> None:
        for (platform, name), change in sorted(self.tally.items()):
            if change:
                row = self.insert(counters).values(platform=platform, name=name, value=change)
                more = {"value": counters.c.value + change}
                self.run(row.on_conflict_do_update(index_elements=["platform", "name"], set_=more))


def of_person(table: Any, platform: Platform, user_id: UserId) -> Any:
    """The rows of one person."""
    return (table.c.platform == platform) & (table.c.user_id == user_id)


def storage_error(error: BaseException) -> StorageError:
    """The database's complaint in one short line, without the statement and its values."""
    if isinstance(error, StorageError):
        return error
    cause = error.orig if isinstance(error, DBAPIError) and error.orig is not None else error
    return StorageError(f"{type(cause).__name__}: {str(cause).splitlines()[0] if str(cause) else 'no detail'}")


class Transactions:
    """What the database room needs: `write` and `read`, each one transaction, awaited."""

    def __init__(self, engine: Engine, readers: int, prepare: Callable[[], None]) -> None:
        self._engine = engine
        self._prepare = prepare
        self._readers = ThreadPoolExecutor(readers, thread_name_prefix="db-read")

    async def prepare(self) -> None:
        """Create or migrate the tables, under a lock. Raises StorageError; may be called again until it succeeds."""
        await asyncio.get_running_loop().run_in_executor(self._readers, self._prepare)

    async def write(self, work: Work[T], *, urgent: bool = False) -> T:
        """Run `work` in a transaction; it is committed, durably, when this returns. Raises StorageError otherwise."""
        raise NotImplementedError

    async def read(self, work: Work[T]) -> T:
        """Run `work` on a connection that never waits for a writer. Raises StorageError."""
        return await asyncio.get_running_loop().run_in_executor(self._readers, self._read, work)

    def _read(self, work: Work[T]) -> T:
        try:
            with self._engine.connect() as connection:
                return work(connection)
        except SQLAlchemyError as error:
            raise storage_error(error) from error

    def close(self) -> None:
        """Finish what was begun and let the threads go; later calls fail."""
        self._readers.shutdown(wait=True)
        self._engine.dispose()


class GroupCommit(Transactions):
    """SQLite: one writer thread, one commit for all that waits."""

    def __init__(
        self, engine: Engine, readers: Engine, check_file: Callable[[], None], prepare: Callable[[], None]
    ) -> None:
        super().__init__(readers, 2, prepare)
        self._writer_engine = engine
        self._check_file = check_file
        self._urgent: deque[tuple[Work[Any], Future[Any]]] = deque()
        self._normal: deque[tuple[Work[Any], Future[Any]]] = deque()
        self._something = threading.Condition()
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="db-write", daemon=True)
        self._thread.start()

    async def write(self, work: Work[T], *, urgent: bool = False) -> T:
        future: Future[T] = Future()
        with self._something:
            if self._closing:
                raise StorageError("the database is closed")
            (self._urgent if urgent else self._normal).append((work, future))
            self._something.notify()
        return await asyncio.wrap_future(future)

    def close(self) -> None:
        with self._something:
            self._closing = True
            self._something.notify()
        self._thread.join()
        self._writer_engine.dispose()
        super().close()

    def _run(self) -> None:
        while batch := self._next_batch():
            self._commit(batch)

    def _next_batch(self) -> list[tuple[Work[Any], Future[Any]]]:
        """What is waiting, urgent first; an empty list means the end."""
        with self._something:
            self._something.wait_for(lambda: self._urgent or self._normal or self._closing)
            batch: list[tuple[Work[Any], Future[Any]]] = []
            while len(batch) < BATCH and (self._urgent or self._normal):
                batch.append((self._urgent or self._normal).popleft())
            return batch

    def _commit(self, batch: list[tuple[Work[Any], Future[Any]]]) -> None:
        """Each work in a savepoint of its own, so that one that fails takes no other with it; then one commit."""
        wanted = [(work, future) for work, future in batch if future.set_running_or_notify_cancel()]
        done: list[tuple[Future[Any], Any]] = []
        try:
            self._check_file()
            with self._writer_engine.begin() as connection:
                for work, future in wanted:
                    try:
                        with connection.begin_nested():
                            result = work(connection)
                    except (OperationalError, InterfaceError):
                        raise  # SQLite may have rolled everything back (full disk, I/O error): trust nothing of it
                    except Exception as error:  # noqa: BLE001 (it is handed to the one who waits for it)
                        future.set_exception(storage_error(error) if isinstance(error, SQLAlchemyError) else error)
                    else:
                        done.append((future, result))
        except Exception as error:  # noqa: BLE001 (whatever broke the commit, those who wait must hear of it)
            for _, future in wanted:
                if not future.done():
                    future.set_exception(storage_error(error))
            return
        for future, result in done:
            future.set_result(result)


class Pooled(Transactions):
    """PostgreSQL: a few writers side by side; new work passes one at a time, so that receipts never queue behind it."""

    def __init__(self, engine: Engine, prepare: Callable[[], None]) -> None:
        super().__init__(engine, 4, prepare)
        self._writers = ThreadPoolExecutor(4, thread_name_prefix="db-write")
        self._new_work = asyncio.Semaphore(1)

    async def write(self, work: Work[T], *, urgent: bool = False) -> T:
        loop = asyncio.get_running_loop()
        if urgent:
            return await loop.run_in_executor(self._writers, self._write, work)
        async with self._new_work:
            return await loop.run_in_executor(self._writers, self._write, work)

    def _write(self, work: Work[T]) -> T:
        try:
            with self._engine.begin() as connection:
                return work(connection)
        except SQLAlchemyError as error:
            raise storage_error(error) from error

    def close(self) -> None:
        self._writers.shutdown(wait=True)
        super().close()
