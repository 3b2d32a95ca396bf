"""A named lease on the shared database: of several servers that could do a thing, one does it, and another takes over.

It is taken, renewed in the background while it is held, and given back. What is done under it, and what those do who
must wait, is its user's business.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable

from relay.core.errors import StorageError
from relay.core.messages import Platform
from relay.core.store import Store

log = logging.getLogger("relay.core.lease")

LONGEST_LOOK_SECONDS = 2.0
"""Longest pause between two attempts to take a lease that another process holds."""


class Lease:
    """One lease, seen from one server. It counts as lost as soon as another server could have taken it.

    That is counted by our own clock from before each renewal, so we never think that we hold it longer than the
    database does.
    """

    def __init__(
        self,
        store: Store,
        platform: Platform,
        name: str,
        seconds: float,
        *,
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._store = store
        self._platform = platform
        self._name = name
        self._seconds = seconds
        self._monotonic = monotonic
        self._sleep = sleep
        self._ends = float("-inf")
        self._renewing: asyncio.Task[None] | None = None
        self.holder: str | None = None

    @property
    def held(self) -> bool:
        return self._monotonic() < self._ends

    async def take(self) -> bool:
        """Take it, committed, unless another server holds it; `holder` tells who. Raises StorageError."""
        await self._stop_renewing()
        if not await self._hold():
            return False
        self._renewing = asyncio.create_task(self._renew(), name=f"lease-{self._name}")
        return True

    async def wait_a_while(self) -> None:
        """Sleep until it is worth to try again."""
        await self._sleep(min(self._seconds / 5, LONGEST_LOOK_SECONDS))

    async def give_back(self) -> None:
        """Another server may take it at once. While the database is away, it ends by itself."""
        await self._stop_renewing()
        if not self.held:
            return
        self._ends, self.holder = float("-inf"), None
        try:
            await self._store.release_lease(self._platform, self._name)
        except StorageError as error:
            log.warning("the lease %s ends by itself: %s", self._name, error)

    async def _hold(self) -> bool:
        asked_at = self._monotonic()
        self.holder = await self._store.hold_lease(self._platform, self._name, self._seconds)
        ours = self.holder == self._store.owner
        self._ends = asked_at + self._seconds if ours else float("-inf")
        return ours

    async def _renew(self) -> None:
        """An expired lease is not renewed but taken anew: another process may have held it in between."""
        while True:
            await self._sleep(self._seconds / 4)
            if not self.held:
                log.warning("the lease %s is over: it could not be renewed in time", self._name)
                return
            try:
                if not await self._hold():
                    log.warning("the lease %s is held by %s now", self._name, self.holder)
                    return
            except StorageError as error:
                log.warning("the lease %s cannot be renewed now: %s", self._name, error)

    async def _stop_renewing(self) -> None:
        if self._renewing is not None:
            self._renewing.cancel()
            await asyncio.wait({self._renewing})
            self._renewing = None
