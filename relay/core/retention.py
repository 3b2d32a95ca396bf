"""Deletes finished messages that are older than the setting keep_days, in small steps, while the server runs.

Users, their consent, totals and costs stay: they are rows and counters of their own.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Final

from relay.core.errors import StorageError
from relay.core.store import Store

log = logging.getLogger("relay.core.retention")

ROWS_AT_ONCE: Final = 200
"""Few enough that a message is stored between two transactions without a noticeable delay."""

PAUSE_SECONDS: Final = 0.2
ROUND_SECONDS: Final = 3600.0


class Retention:
    """Prunes at the start and every hour. Servers on one database may all do it: none deletes what another has."""

    def __init__(
        self, store: Store, keep_days: int | None, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    ) -> None:
        self._store = store
        self._keep_days = keep_days
        self._sleep = sleep
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin; nothing is done without keep_days."""
        if self._keep_days is not None:
            self._task = asyncio.create_task(self._run(self._keep_days), name="retention")

    async def stop(self) -> None:
        """End; a transaction under way is committed or not, and the next start goes on."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})

    async def _run(self, keep_days: int) -> None:
        while True:
            try:
                await self._store.prune_oldest(keep_days, ROWS_AT_ONCE, lambda: self._sleep(PAUSE_SECONDS))
            except StorageError as error:
                log.warning("old messages cannot be deleted now, it is tried again in an hour: %s", error)
            await self._sleep(ROUND_SECONDS)
