"""State shared by the simulated providers: people, transcripts, faults, options, counters, clock, background tasks."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any

from relay.channels.sms.settings import SmsSettings
from relay.config.settings import Settings
from relay.simulator.faults import ActiveFaults
from relay.simulator.people import People
from relay.simulator.stats import Stats
from relay.simulator.transcripts import Transcripts

log = logging.getLogger("simulator")


@dataclass(slots=True)
class SimulatorOptions:
    """Options that can be changed at runtime; durations in seconds."""

    twilio_webhook_url: str
    status_seconds: float = 0.15
    telegram_limits: bool = True
    telegram_retry_seconds: float = 1.0
    twilio_read_seconds: float = 15.0


class World:
    """The shared state, which reset() renews, and the background tasks, which close() ends."""

    def __init__(self, settings: Settings, clock: Callable[[], float], rng: random.Random) -> None:
        self.settings = settings
        self.clock = clock
        self.rng = rng
        self.stopping = asyncio.Event()
        self.transcripts = Transcripts(clock)
        self.people = People()
        self.faults = ActiveFaults(rng)
        self.stats = Stats()
        self.options = self._default_options()
        self._tasks: set[asyncio.Task[None]] = set()
        self._permanent: set[asyncio.Task[None]] = set()

    def _default_options(self) -> SimulatorOptions:
        return SimulatorOptions(f"http://127.0.0.1:{self.settings.group(SmsSettings).sms_server_port}/sms/webhook")

    def reset(self, seed: int | None = None) -> None:
        """Clear everything but the options and cancel tasks that are not permanent; `seed` makes faults repeatable."""
        for task in self._tasks - self._permanent:
            task.cancel()
        if seed is not None:
            self.rng.seed(seed)
        self.people = People()
        self.faults.remove()
        self.stats = Stats()
        self.transcripts.clear()

    def spawn(self, work: Coroutine[Any, Any, None], *, permanent: bool = False) -> None:
        """Run a background task until it ends or close() cancels it; reset() cancels those that are not permanent."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        if permanent:
            self._permanent.add(task)
        task.add_done_callback(self._finished)

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._permanent.discard(task)
        if not task.cancelled() and (error := task.exception()):
            log.error("background work failed", exc_info=error)

    async def pause(self, seconds: float) -> None:
        """Sleep, at most until stop()."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self.stopping.wait()

    def stop(self) -> None:
        """End all waits; called on the first stop signal."""
        self.stopping.set()
        self.transcripts.announce({"type": "stopping"})
        self.transcripts.notify_waiters()

    async def close(self) -> None:
        """Cancel all background tasks and wait until they have ended."""
        self.stop()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
