"""A task that does one thing again and again while the SMS server runs; a failure is logged, and ends nothing."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from relay.core.errors import SendError, StorageError

log = logging.getLogger("relay.sms.periodic")


class Periodic:
    """Awaits `once` every `seconds`, first after that time. Started and stopped with the server."""

    def __init__(self, name: str, seconds: float, once: Callable[[], Awaitable[None]]) -> None:
        self._name = name
        self._seconds = seconds
        self._once = once
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name=f"sms-{self._name}")

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(self._seconds)
            try:
                await self._once()
            except (StorageError, SendError) as error:
                log.warning("%s: not possible now: %s", self._name, error)
            except Exception:
                log.exception("%s: unforeseen error", self._name)
