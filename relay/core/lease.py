"""A named lease on the shared database: one of several servers works, and another takes over when it stops.

The lease is taken, renewed in the background while it is held, and released.
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

MAX_RETRY_SECONDS = 2.0
"""The longest pause between two attempts to take a lease that another process holds."""


class Lease:
    """One lease, as one server holds it; lost as soon as another server could have taken it.

    The time counts on this server's clock from before each renewal, so it ends here no later than in the database.
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
        """Take the lease, committed, unless another server holds it: then False, and `holder` is that server's id.

        Raises StorageError.
        """
        await self._stop_renewing()
        if not await self._hold():
            return False
        self._renewing = asyncio.create_task(self._renew(), name=f"lease-{self._name}")
        return True

    async def wait_to_retry(self) -> None:
        """Sleep until the next attempt to take the lease is due."""
        await self._sleep(min(self._seconds / 5, MAX_RETRY_SECONDS))

    async def release(self) -> None:
        """Release the lease, committed; while the database is away it expires instead."""
        await self._stop_renewing()
        if not self.held:
            return
        self._ends, self.holder = float("-inf"), None
        try:
            await self._store.release_lease(self._platform, self._name)
        except StorageError as error:
            log.warning("the lease %s will expire, it could not be released: %s", self._name, error)

    async def _hold(self) -> bool:
        asked_at = self._monotonic()
        self.holder = await self._store.hold_lease(self._platform, self._name, self._seconds)
        ours = self.holder == self._store.owner
        self._ends = asked_at + self._seconds if ours else float("-inf")
        return ours

    async def _renew(self) -> None:
        """Renew until the lease is lost. An expired one is not renewed: another process may have held it since."""
        while True:
            await self._sleep(self._seconds / 4)
            if not self.held:
                log.warning("the lease %s expired: it could not be renewed in time", self._name)
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
