"""A task that does one thing again and again while a server runs; a failure is logged, and ends nothing."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from relay.core.errors import SendError, StorageError

log = logging.getLogger("relay.core.periodic")


class Periodic:
    """Awaits `once` every `seconds`, first after that time, or at once with `at_start`. Started and stopped together
    with the server.
    """

    def __init__(
        self,
        name: str,
        seconds: float,
        once: Callable[[], Awaitable[None]],
        *,
        first_after: float,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._name = name
        self._seconds = seconds
        self._once = once
        self._first_after = first_after
        self._sleep = sleep
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name=self._name)

    async def stop(self) -> None:
        """End; a transaction under way is committed or not."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})

    async def _run(self) -> None:
        if self._first_after:
            await self._sleep(self._first_after)
        while True:
            await self._once_safely()
            await self._sleep(self._seconds)

    async def _once_safely(self) -> None:
        try:
            await self._once()
        except (StorageError, SendError) as error:
            log.warning("%s: not possible now: %s", self._name, error)
        except Exception:
            log.exception("%s: unforeseen error", self._name)
