"""State shared by the simulated providers: people, transcripts, faults, options, counters, clock, background tasks."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
import random
from collections import Counter, defaultdict
from collections.abc import Callable, Coroutine
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from relay.channels.sms.settings import SmsSettings
from relay.config.settings import Settings
from relay.simulator.faults import ActiveFaults, Seconds
from relay.simulator.people import People
from relay.simulator.sent_files import SentFiles
from relay.simulator.transcripts import Transcripts

log = logging.getLogger("simulator")

MAX_TEXT_SHOWN = 120


class SimulatorOptions(BaseModel):
    """Options that can be changed at runtime; durations in seconds."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    twilio_webhook_url: str = Field("", pattern=r"^https?://")
    status_seconds: Seconds = 0.15
    telegram_limits: bool = True
    telegram_retry_seconds: Annotated[float, Field(gt=0, le=60)] = 1.0
    twilio_read_seconds: Annotated[float, Field(gt=0, le=15)] = 15.0


class World:
    """The shared state, which reset() renews, and the background tasks, which reset() and close() end."""

    def __init__(self, settings: Settings, clock: Callable[[], float], rng: random.Random) -> None:
        self.settings = settings
        self.clock = clock
        self.rng = rng
        self.stopping = asyncio.Event()
        self.transcripts = Transcripts(clock)
        self.faults = ActiveFaults(rng, clock, functools.partial(self.transcripts.announce, "faults"))
        sms_port = settings.group(SmsSettings).sms_server_port
        self.options = SimulatorOptions(twilio_webhook_url=f"http://127.0.0.1:{sms_port}/sms/webhook")
        self._tasks: set[asyncio.Task[Any]] = set()
        self._renew()

    def _renew(self) -> None:
        self.people = People(functools.partial(self.transcripts.announce, "people"))
        self.files = SentFiles()
        self.counters: defaultdict[str, Counter[str]] = defaultdict(Counter)

    def reset(self, seed: int | None = None) -> None:
        """Clear everything but the options and cancel all tasks; `seed` makes faults repeatable."""
        for task in self._tasks:
            task.cancel()
        if seed is not None:
            self.rng.seed(seed)
        self.faults.remove()
        self.faults.strikes.clear()
        self._renew()
        self.transcripts.clear()

    def count_call(self, method: str, status: int) -> None:
        self.counters["calls"][method] += 1
        self.counters["answers"][f"{method} {status}"] += 1

    def stats(self) -> dict[str, Any]:
        """Calls, answers, webhooks; and texts or parts that a person received more than once."""
        counted = {name: dict(self.counters[name]) for name in ("calls", "answers", "webhooks", "callbacks", "pushes")}
        limited = sum(count for name, count in counted["answers"].items() if name.endswith(" 429"))
        return {
            "simulated": True,
            **counted,
            "too_many_requests": limited,
            "duplicate_texts": self._repeated("text"),
            "duplicate_parts": self._repeated("part_key"),
        }

    def _repeated(self, field: str) -> list[dict[str, Any]]:
        """The values of a field that one transcript holds more than once among the bot's messages."""
        return [
            {"platform": transcript.platform, "key": transcript.key, field: value[:MAX_TEXT_SHOWN], "count": count}
            for transcript in self.transcripts.all()
            for value, count in Counter(
                getattr(bubble, field) for bubble in transcript.outgoing() if bubble.sender == "bot"
            ).items()
            if value and count > 1
        ]

    def spawn(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Run a background task until it ends, or reset() or close() cancels it."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._finished)
        return task

    def _finished(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
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
        self.transcripts.stop()

    async def close(self) -> None:
        """Cancel all background tasks and wait until they have ended."""
        self.stop()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
