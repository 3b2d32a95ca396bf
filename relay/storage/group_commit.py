"""SQLite's transactions: one at a time, in which all verbs that wait run, committed together with one fsync.

A statement of a message takes SQLite some microseconds. A thread beside a busy event loop waits for Python's lock after
each of them, a thousand times as long, so brief verbs run in the thread of the event loop. What waits for the disk or
for another process has the writer's thread: the commit, a lock that is held, and verbs that are not brief.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from contextvars import Context
from dataclasses import dataclass, field
from itertools import zip_longest
from typing import Any, TypeVar

from sqlalchemy import Connection
from sqlalchemy.exc import InterfaceError, OperationalError, SQLAlchemyError

from relay.storage.executors import Threads, Transactions
from relay.storage.sqlite_file import SqliteFile
from relay.storage.transactions import Tx, Work, storage_error

T = TypeVar("T")

BATCH = 64
"""Verbs that are committed together at most; together they hold up the event loop for some milliseconds."""


@dataclass(slots=True, eq=False)
class _Waiting:
    """A verb in the queue of the writer, and the future that its caller awaits."""

    work: Work[Any]
    brief: bool
    future: asyncio.Future[Any]


@dataclass(slots=True)
class _Batch:
    """Verbs that run in one transaction; `failing` is the one that runs, `finished` whether all have."""

    verbs: Sequence[_Waiting]
    begun: bool = False
    finished: bool = False
    failing: _Waiting | None = None
    results: list[Any] = field(default_factory=list)

    def run(self, tx: Tx) -> None:
        for verb in self.verbs:
            self.failing = verb
            self.results.append(tx.do(verb.work))
        self.failing = None
        tx.write_counters()
        self.finished = True

    def resolve(self, error: Exception | None = None) -> None:
        """Give the callers their results, or all of them the error."""
        if isinstance(error, SQLAlchemyError):
            error = storage_error(error)
        for waiting, result in zip_longest(self.verbs, () if error else self.results):
            if waiting.future.done():
                continue
            if error is None:
                waiting.future.set_result(result)
            else:
                waiting.future.set_exception(error)


class GroupCommit(Transactions):
    """One commit for all waiting transactions."""

    def __init__(self, file: SqliteFile, limit: float | None) -> None:
        super().__init__(file.engine("BEGIN"), 2, file.prepare, limit)
        self._file = file
        self._writer_engine = file.engine("BEGIN IMMEDIATE")
        self._writer = Threads(1, "db-write")
        self._connection: Connection | None = None
        self._reader: Connection | None = None
        self._urgent: deque[_Waiting] = deque()
        self._normal: deque[_Waiting] = deque()
        self._running: asyncio.Task[None] | None = None
        self._idle = threading.Event()
        self._idle.set()

    async def _queued(self, work: Work[T], *, urgent: bool, brief: bool) -> T:
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        waiting, waiters = _Waiting(work, brief, future), self._urgent if urgent else self._normal
        waiters.append(waiting)
        if self._running is None:
            self._idle.clear()
            self._running = loop.create_task(self._run(), name="db-write", context=Context())
        try:
            return await future
        finally:
            if future.cancelled():
                with suppress(ValueError):  # it runs already
                    waiters.remove(waiting)

    async def read(self, work: Callable[[Connection], T], *, brief: bool = False) -> T:
        """As that of all; brief reads of a file take no longer than the way to a thread and back."""
        if not brief:
            return await super().read(work)
        self._must_be_open()
        try:
            self._reader = self._reader or self._engine.connect()
            with self._reader.begin():
                return work(self._reader)
        except SQLAlchemyError as error:
            self._drop_reader()
            raise storage_error(error) from error

    def _close_writers(self, ends: float) -> bool:
        finished = self._idle.wait(max(0.0, ends - time.monotonic()))
        ended = self._writer.close(ends)
        if finished and ended:
            self._drop_writer()
            self._drop_reader()
            self._writer_engine.dispose()
        return finished and ended

    async def _run(self) -> None:
        again: list[_Waiting] = []
        try:
            while again or self._urgent or self._normal:
                again = await self._commit(again)
        finally:
            self._running = None
            self._idle.set()

    def _take(self, most: int | None) -> list[_Waiting]:
        """Remove at most `most` waiting verbs from the queue, urgent ones first."""
        batch: list[_Waiting] = []
        while (self._urgent or self._normal) and (most is None or len(batch) < most):
            batch.append((self._urgent or self._normal).popleft())
        return [waiting for waiting in batch if not waiting.future.cancelled()]

    async def _commit(self, again: list[_Waiting]) -> list[_Waiting]:
        """Run `again`, or all that waits, in one transaction; the verbs to run again because one of them failed."""
        batch, committed = _Batch(again), False
        try:
            if self._can_begin():
                self._fill(batch)
                if all(waiting.brief for waiting in batch.verbs):
                    batch.run(Tx(self._open_connection, self.clock()))
            await self._writer.run(lambda _: self._finish(batch))
            committed = True
        except Exception as error:  # noqa: BLE001 (every caller must get it)
            failing = batch.failing
            if failing is not None and not isinstance(error, (OperationalError, InterfaceError)):
                _Batch([failing]).resolve(error)
                return [waiting for waiting in batch.verbs if waiting is not failing]
            if not batch.begun:
                batch.verbs = [*again, *self._take(None)]  # all of them, so that none waits for the same lock twice
            batch.resolve(error)
        else:
            batch.resolve()
        finally:
            if not committed:
                self._drop_writer()
        return []

    def _can_begin(self) -> bool:
        """Begin a transaction, unless another process writes or the file may have been replaced."""
        if self._connection is None or not self._file.is_unchanged():
            self._drop_reader()
            return False
        try:
            self._connection.begin()
        except OperationalError:
            self._drop_writer()
            return False
        return True

    def _fill(self, batch: _Batch) -> None:
        """Take the verbs after the lock, so that those which came during the wait for it need no second wait."""
        batch.begun, batch.verbs = True, batch.verbs or self._take(BATCH)

    def _finish(self, batch: _Batch) -> None:
        """Begin, if that is not done, run what has not run, and commit; in the writer's thread.

        A lock that was waited for is not kept until the event loop comes to it.
        """
        if not batch.begun:
            self._begin_after_lock()
            self._fill(batch)
        if not batch.finished:
            batch.run(Tx(self._open_connection, self.clock()))
        self._open_connection.commit()
        self.warning = self._file.wal_warning()

    def _begin_after_lock(self) -> None:
        self._drop_writer()
        self._file.check()
        self._connection = self._writer_engine.connect()
        self._file.begin_after_lock(self._connection)

    @property
    def _open_connection(self) -> Connection:
        assert self._connection is not None  # noqa: S101 (a transaction has begun)
        return self._connection

    def _drop_writer(self) -> None:
        """Close the writer's connection, which rolls back what was not committed."""
        if self._connection is not None:
            self._connection.close()
        self._connection = None

    def _drop_reader(self) -> None:
        if self._reader is not None:
            self._reader.close()
        self._reader = None
