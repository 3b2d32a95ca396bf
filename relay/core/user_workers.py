"""Keyed worker pool: one task per user, so that a user's work is done in order and users do not wait for each other.

A worker exists only while there is work. Notifying a busy worker makes it check once more before it ends, which closes
the race between an empty queue and the end of its worker. A periodic sweep notifies users whose work became due:
retries, and work that a killed process left behind.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractContextManager, asynccontextmanager

from relay.config.logs import REQUEST_ID
from relay.core.errors import StorageError
from relay.core.messages import UserId
from relay.core.priority import Priority

log = logging.getLogger("relay.core.user_workers")

SWEEP_SECONDS = 2.0
ERROR_PAUSE_SECONDS = 1.0
CANCEL_SECONDS = 0.3
_TIMER_MARGIN_SECONDS = 0.01  # a timer that fires before the row is due would find nothing

Step = Callable[[UserId], Awaitable[bool]]


class UserWorkers:
    """Runs `step` for each notified user until it returns False; `due` lists the users whose work is due now.

    step processes one item of a user's queue and returns whether the next may follow at once. At most `concurrency`
    steps run at the same time; the slots go round robin over users. renew is called before every sweep. priority:
    shared by all workers of a process, it delays steps while messages are being stored, urgent ones least.
    """

    def __init__(
        self,
        name: str,
        step: Step,
        due: Callable[[], Awaitable[list[UserId]]],
        *,
        concurrency: int,
        renew: Callable[[], Awaitable[None]],
        priority: Priority | None = None,
        urgent: bool = False,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._name = name
        self._step = step
        self._due = due
        self._renew = renew
        self._sleep = sleep
        self._slots = asyncio.Semaphore(concurrency)
        self._priority = priority or Priority()
        self._urgent = urgent
        self._workers: dict[UserId, asyncio.Task[None]] = {}
        self._again: set[UserId] = set()
        self._timers: set[asyncio.TimerHandle] = set()
        self._sweeper: asyncio.Task[None] | None = None
        self._stopping = False
        self._last_error = ""

    @property
    def busy(self) -> int:
        """Number of users being served or waiting for a slot."""
        return len(self._workers)

    @property
    def has_free_slot(self) -> bool:
        """Whether a step of one more user would begin at once."""
        return not self._stopping and not self._slots.locked()

    def start(self) -> None:
        """Start the sweep; the first one resumes the work of an earlier process."""
        self._sweeper = asyncio.create_task(self._sweep(), name=f"{self._name}-sweep")

    def notify(self, user_id: UserId) -> None:
        """Check for work of this user now. Never waits; does nothing after `stop`."""
        if self._stopping:
            return
        if user_id in self._workers:
            self._again.add(user_id)
            return
        self._workers[user_id] = asyncio.create_task(self._run(user_id), name=f"{self._name}-worker")

    def notify_later(self, seconds: float, user_id: UserId) -> None:
        """Notify this user's worker in `seconds`, without waiting for the sweep."""
        if self._stopping:
            return

        def fire() -> None:
            self._timers.discard(handle)
            self.notify(user_id)

        handle = asyncio.get_running_loop().call_later(seconds + _TIMER_MARGIN_SECONDS, fire)
        self._timers.add(handle)

    async def stop(self, seconds: float) -> None:
        """Start no further step, wait up to `seconds` for the running ones, then cancel them.

        Leases are renewed meanwhile. A task that ignores its cancellation is abandoned after `CANCEL_SECONDS`.
        """
        self._stopping = True
        for timer in self._timers:
            timer.cancel()
        self._timers.clear()
        tasks = set(self._workers.values())
        if tasks:
            await asyncio.wait(tasks, timeout=seconds)
        if self._sweeper is not None:
            tasks.add(self._sweeper)
        for task in tasks:
            task.cancel()
        if tasks:
            _, stubborn = await asyncio.wait(tasks, timeout=CANCEL_SECONDS)
            for task in stubborn:
                log.error("%s: %s does not stop; its work resumes after the next start", self._name, task.get_name())

    async def _run(self, user_id: UserId) -> None:
        """Take a slot for one step at a time: they go round, so a user who never stops delays others by one round."""
        try:
            while not self._stopping:
                async with self._slots, self._priority.step(urgent=self._urgent):
                    if self._stopping:
                        break
                    self._again.discard(user_id)
                    error, more = await self._one_step(user_id)
                if error:
                    await self._sleep(ERROR_PAUSE_SECONDS)
                if not more and user_id not in self._again:
                    break
        finally:
            del self._workers[user_id]
            self._again.discard(user_id)

    @asynccontextmanager
    async def without_slot(self) -> AsyncIterator[None]:
        """For waiting inside a step: the slot is free for other users, and taken again at the end.

        A cancellation while it is taken again leaves one slot too many; workers are cancelled only when they stop.
        """
        with self.waiting():
            self._slots.release()
            try:
                yield
            finally:
                await self._slots.acquire()

    def waiting(self) -> AbstractContextManager[None]:
        """For a call of the model or of the provider, during which the step keeps its slot but delays no other."""
        return self._priority.paused()

    async def _one_step(self, user_id: UserId) -> tuple[bool, bool]:
        """Run one step: whether it failed, and whether the next may follow. The sweep retries a user after an error."""
        REQUEST_ID.set("")  # a task begins with that of the step which notified it
        try:
            return False, await self._step(user_id)
        except StorageError as error:
            log.warning("%s: the database cannot be used now: %s", self._name, error)
        except Exception:
            log.exception("%s: unforeseen error; the work of this user is retried", self._name)
        return True, False

    def _log_once(self, error: str) -> None:
        """Log only changes: an outage of an hour takes one line, not one every two seconds."""
        if error != self._last_error:
            if error:
                log.warning("%s: the database cannot be used now: %s", self._name, error)
            else:
                log.info("%s: the database can be used again", self._name)
        self._last_error = error

    async def _sweep(self) -> None:
        while True:
            try:
                await self._renew()
                for user_id in await self._due():
                    self.notify(user_id)
                self._log_once("")
            except StorageError as error:
                self._log_once(str(error))
            except Exception:
                log.exception("%s: unforeseen error in the sweep", self._name)
            await self._sleep(SWEEP_SECONDS)
