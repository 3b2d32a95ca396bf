"""One lane a person: their work is done one step after another, and nobody waits for anybody else.

A lane exists only while there is something to do. Waking a busy lane makes it look once more before it ends, so that no
message falls between "the line is empty" and "the lane is gone". A slow sweep wakes whoever is due: retries, and what a
dead process left behind.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from relay.core.errors import StorageError
from relay.core.messages import UserId

log = logging.getLogger("relay.core.user_workers")

SWEEP_SECONDS = 2.0
TROUBLE_PAUSE_SECONDS = 1.0
CANCEL_SECONDS = 0.3
_EARLY_SECONDS = 0.01  # a timer that rings before the row is due would find nothing

Step = Callable[[UserId], Awaitable[bool]]


class Lanes:
    """`step` does the next piece of one person's work and tells whether there was any; `due` lists who has some."""

    def __init__(
        self,
        name: str,
        step: Step,
        due: Callable[[], Awaitable[list[UserId]]],
        *,
        concurrency: int,
        renew: Callable[[], Awaitable[None]],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._name = name
        self._step = step
        self._due = due
        self._renew = renew
        self._sleep = sleep
        self._places = asyncio.Semaphore(concurrency)
        self._lanes: dict[UserId, asyncio.Task[None]] = {}
        self._again: set[UserId] = set()
        self._timers: set[asyncio.TimerHandle] = set()
        self._sweeper: asyncio.Task[None] | None = None
        self._stopping = False
        self._trouble = ""

    @property
    def busy(self) -> int:
        """How many people are being served or wait for a place."""
        return len(self._lanes)

    def start(self) -> None:
        """Begin to sweep; the first sweep takes up what an earlier life left."""
        self._sweeper = asyncio.create_task(self._sweep(), name=f"{self._name}-sweep")

    def wake(self, user_id: UserId) -> None:
        """There may be work for this person: look now. Never waits."""
        if self._stopping:
            return
        if user_id in self._lanes:
            self._again.add(user_id)
            return
        self._lanes[user_id] = asyncio.create_task(self._run(user_id), name=f"{self._name}-lane")

    def wake_in(self, seconds: float, user_id: UserId) -> None:
        """Wake a lane later, without waiting for the sweep."""
        if self._stopping:
            return

        def ring() -> None:
            self._timers.discard(handle)
            self.wake(user_id)

        handle = asyncio.get_running_loop().call_later(seconds + _EARLY_SECONDS, ring)
        self._timers.add(handle)

    async def stop(self, seconds: float) -> None:
        """Begin nothing new, let what is under way end within `seconds`, then cut it off.

        Leases are renewed meanwhile. A task that does not even let itself be cut off is left behind a moment later.
        """
        self._stopping = True
        for timer in self._timers:
            timer.cancel()
        self._timers.clear()
        tasks = set(self._lanes.values())
        if tasks:
            await asyncio.wait(tasks, timeout=seconds)
        if self._sweeper is not None:
            tasks.add(self._sweeper)
        for task in tasks:
            task.cancel()
        if tasks:
            _, stubborn = await asyncio.wait(tasks, timeout=CANCEL_SECONDS)
            for task in stubborn:
                log.error(
                    "%s: %s does not stop; what it was doing is taken up again later", self._name, task.get_name()
                )

    async def _run(self, user_id: UserId) -> None:
        try:
            async with self._places:
                while not self._stopping:
                    self._again.discard(user_id)
                    if not await self._one_step(user_id) and user_id not in self._again:
                        break
        finally:
            del self._lanes[user_id]
            self._again.discard(user_id)

    async def _one_step(self, user_id: UserId) -> bool:
        """A step that never ends the lane: trouble is logged, and the sweep comes back to this person."""
        try:
            return await self._step(user_id)
        except StorageError as error:
            log.warning("%s: the database cannot be used now: %s", self._name, error)
        except Exception:
            log.exception("%s: unforeseen error; this person's work is tried again", self._name)
        await self._sleep(TROUBLE_PAUSE_SECONDS)
        return False

    def _say_once(self, trouble: str) -> None:
        """A database that is away for an hour needs one line, not one every two seconds."""
        if trouble != self._trouble:
            if trouble:
                log.warning("%s: the database cannot be used now: %s", self._name, trouble)
            else:
                log.info("%s: the database can be used again", self._name)
        self._trouble = trouble

    async def _sweep(self) -> None:
        while True:
            try:
                await self._renew()
                for user_id in await self._due():
                    self.wake(user_id)
                self._say_once("")
            except StorageError as error:
                self._say_once(str(error))
            except Exception:
                log.exception("%s: unforeseen error in the sweep", self._name)
            await self._sleep(SWEEP_SECONDS)
