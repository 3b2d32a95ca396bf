"""Access of one process to the messaging database: readiness, transactions, and the work done on it by hand.

`messaging_database.MessagingDatabase` adds the verbs of the message path.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any, TypeVar

from sqlalchemy import Connection, false, select

from relay.core.errors import StorageError
from relay.core.messages import Platform, UserId
from relay.core.priority import Priority
from relay.storage import logins, maintenance
from relay.storage.charges import SpendingReports
from relay.storage.executors import CLOSE_SECONDS, Transactions
from relay.storage.maintenance import OldUser
from relay.storage.saved_state import set_state
from relay.storage.schema import metadata
from relay.storage.transactions import Tx

log = logging.getLogger("relay.database")

T = TypeVar("T")

PREPARE_PAUSE_SECONDS = 2.0
CHECK_SECONDS = 0.45
"""Age at which a check is made anew, and the longest wait for one: together /ready shows a failure within a second."""
REFUSAL_SECONDS = 5.0
"""How long the database counts as unavailable after a refused write: a full disk may have room for the check alone."""

_WRITE_CHECK = Platform("database")
"""Platform of the row that `check` writes."""

_READS = [select(table).where(false()) for table in metadata.sorted_tables]
"""Fail when a table or a column is missing."""


class Database:
    """The database of one process. `owner` is the stable name under which this process holds leases."""

    def __init__(
        self,
        transactions: Transactions,
        *,
        owner: str,
        lease_seconds: float = 15.0,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._transactions = transactions
        self._sleep = sleep
        self._ready = False
        self._preparing: asyncio.Task[None] | None = None
        self.owner = owner
        self._lease = lease_seconds
        self._monotonic = monotonic
        self._written_at = self._refused_at = self._passed_at = float("-inf")
        self._checking: asyncio.Task[StorageError | None] | None = None
        self._complaint = ""
        self._clock = transactions.clock = clock
        self.priority = Priority()
        self._spending_reports = SpendingReports()

    async def start(self) -> None:
        """Create or migrate the tables; when that fails, or takes long, it goes on in the background.

        Until it succeeds every verb raises StorageError, so that webhooks answer 503 and polling keeps its offset.
        """
        first = asyncio.create_task(self._prepare())
        await asyncio.wait({first}, timeout=self._transactions.limit)
        if not self._ready:
            self._preparing = asyncio.create_task(self._keep_preparing(first))

    async def prepare(self) -> None:
        """Create or migrate the tables, once. Raises StorageError."""
        await self._transactions.prepare()
        self._ready = True

    async def _prepare(self) -> None:
        try:
            await self.prepare()
        except StorageError as error:
            if self._complaint != str(error):
                log.error("%s; it is tried again and again", error)  # noqa: TRY400 (the traceback adds nothing)
            self._complaint = str(error)

    async def _keep_preparing(self, first: asyncio.Task[None]) -> None:
        await first
        while not self._ready:
            await self._sleep(PREPARE_PAUSE_SECONDS)
            await self._prepare()
        log.info("the database can be used now")

    async def stop(self, seconds: float = CLOSE_SECONDS) -> None:
        """Finish running transactions within `seconds`, abandon the others, and close the connections."""
        for task in (self._preparing, self._checking):
            if task is not None:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
        await asyncio.get_running_loop().run_in_executor(None, self._transactions.close, seconds)

    async def _store(self, work: Callable[[Tx], T], *, urgent: bool = False) -> T:
        """Write what came in, before any step of answering that has not begun."""
        with self.priority.storing():
            return await self._write(work, urgent=urgent, brief=True)

    async def _write(self, work: Callable[[Tx], T], *, urgent: bool = False, brief: bool = False) -> T:
        """Run `work` in a transaction and commit it. brief: it reads and changes the few rows of one message."""
        self._must_be_ready()
        try:
            result = await self._transactions.write(work, urgent=urgent, brief=brief)
        except StorageError:
            self._refused_at = self._monotonic()
            raise
        self._written_at, self._refused_at = self._monotonic(), float("-inf")
        return result

    def _must_be_ready(self) -> None:
        if not self._ready:
            raise StorageError("the database is not ready yet; the log of this server says why")

    def _due(self, tx: Tx, due: float) -> float:
        """A time of our clock as one of the database's."""
        return tx.now + due - self._clock()

    async def query(self, query: Callable[[Connection], T], *, brief: bool = False) -> T:
        """Run a query, such as those of `relay.storage.queries` and of `listings`; `brief` as in `_write`."""
        self._must_be_ready()
        return await self._transactions.read(query, brief=brief)

    @property
    def warning(self) -> str | None:
        """A sentence about a danger to the database that does not stop it yet, for operators."""
        return self._transactions.warning

    async def check(self) -> None:
        """Raise StorageError unless the database is complete and writable; returns within CHECK_SECONDS.

        It is cheap enough for a public route: concurrent checks share one transaction. A write of a verb that was
        refused counts for REFUSAL_SECONDS, or until one succeeds.
        """
        if self._monotonic() - self._refused_at < REFUSAL_SECONDS:
            raise StorageError("the database refused to write a moment ago")
        if self._monotonic() - self._passed_at < CHECK_SECONDS:
            return
        if self._checking is None:
            self._checking = asyncio.create_task(self._check())
        checking = self._checking
        await asyncio.wait({checking}, timeout=CHECK_SECONDS)
        if not checking.done():
            if self._monotonic() - self._written_at < CHECK_SECONDS:
                return  # it is busy, and works
            raise StorageError(f"the database has not answered for {CHECK_SECONDS:g} s")
        if error := checking.result():
            raise error

    async def _check(self) -> StorageError | None:
        """Read the columns of all tables and write a row; the error, if any."""

        def work(tx: Tx) -> None:
            for read in _READS:
                tx.run(read)
            set_state(tx, _WRITE_CHECK, "written_at", tx.now)

        try:
            await self._write(work)
        except StorageError as error:
            return error
        finally:
            self._checking = None
        self._passed_at = self._monotonic()
        return None

    # -- logins of the console -----------------------------------------------------------------------------------------

    async def create_login(self, login_id: str, seconds: float) -> None:
        """Add a login that ends after `seconds`, and delete those that have ended, committed together."""
        await self._write(lambda tx: logins.create_login(tx, login_id, seconds))

    async def use_login(self, login_id: str) -> bool:
        """Whether there is such a login and it has not ended; its use is recorded if the database is writable."""
        valid, recorded = await self.query(lambda c: logins.find_login(c, login_id, self._transactions.now(c)))
        if valid and not recorded:
            with contextlib.suppress(StorageError):  # an operator has to see that the disk is full
                await self._write(lambda tx: logins.record_use(tx, login_id))
        return valid

    async def end_login(self, login_id: str) -> None:
        """Delete a login, committed; no change when there is none."""
        await self._write(lambda tx: logins.end_login(tx, login_id))

    # -- maintenance ---------------------------------------------------------------------------------------------------

    async def problems(self) -> list[str]:
        """A sentence for each inconsistency; reads every row once."""
        return await self.query(maintenance.problems)

    async def export_user(self, platform: Platform, user_id: UserId) -> dict[str, Any] | None:
        """All rows about a user as JSON values, by table; None when there are none."""
        return await self.query(lambda c: maintenance.export_user(c, platform, user_id))

    async def forget_user(self, platform: Platform, user_id: UserId) -> dict[str, int]:
        """Delete every row about a user, committed; the number of rows by table."""
        return await self._write(lambda tx: maintenance.forget_user(tx, platform, user_id))

    async def prune(self, older_than_days: float, *, with_conversations: bool = False) -> dict[str, int]:
        """Delete old finished rows; the number of rows by table.

        They are searched without a lock and deleted in several transactions, so that messages are stored meanwhile.
        """
        before = await self.query(lambda c: maintenance.oldest_kept(self._transactions.now(c), older_than_days))
        tables = [name for name in maintenance.PRUNED if with_conversations or name != "conversations"]
        return {name: await self._prune(name, before) for name in tables}

    async def prune_oldest(self, older_than_days: float, at_once: int, pause: Callable[[], Awaitable[None]]) -> None:
        """Delete old finished rows of all tables, at most `at_once` in one transaction, with a pause after each.

        A table is read from its oldest row up to `at_once` rows in a row that stay, so the cost is that of the rows
        that go, whatever the number of those that stay.
        """
        before = await self.query(lambda c: maintenance.oldest_kept(self._transactions.now(c), older_than_days))
        for name in maintenance.PRUNED:
            await self._prune(name, before, at_once, pause)

    async def _prune(
        self,
        name: str,
        before: float,
        at_once: int = maintenance.PRUNED_AT_ONCE,
        pause: Callable[[], Awaitable[None]] | None = None,
    ) -> int:
        """Delete the old rows of a table in the order of its rows; with a pause, up to the first that all stay."""
        removed, last = 0, 0
        look = partial(maintenance.next_rows, name=name, before=before, most=at_once)
        while rows := await self.query(partial(look, after_row=last)):
            old = [row for row, is_old in rows if is_old]
            if old:
                removed += await self._write(partial(maintenance.delete_rows, name=name, before=before, rows=old))
            if pause is not None:
                if not old:
                    break
                await pause()
            last = rows[-1][0]
        return removed

    async def import_users(self, people: Sequence[OldUser]) -> dict[str, int]:
        """Add the users of an old database in one transaction; users who exist already stay unchanged."""
        return await self._write(lambda tx: maintenance.import_users(tx, people))
