"""Concurrency limiter of one provider: round robin over users, bounded waiting, refusal beyond.

Ollama does not bound its own queue for a loaded model, so requests wait here, where they are visible and cancellable.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict, deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from relay.core.errors import ModelError, ModelFailure
from relay.llm.chat import RequestTiming

_SMOOTHING = 0.2


class FairQueue:
    """Hands out `max_active` slots; at most `max_waiting` requests wait for one.

    Slots go round robin over users, so ten requests of one user do not delay others.
    """

    def __init__(
        self, provider: str, max_active: int, max_waiting: int, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._provider = provider
        self._max_active = max_active
        self._max_waiting = max_waiting
        self._clock = clock
        self._queues: OrderedDict[str, deque[asyncio.Future[None]]] = OrderedDict()
        self._usual_seconds = 1.0
        self.active = 0
        self.waiting = 0

    @asynccontextmanager
    async def slot(self, user: str, timing: RequestTiming) -> AsyncIterator[None]:
        """Hold a slot for the block. Raises ModelError(UNAVAILABLE) with retry_after when the queue is full.

        While it waits, `timing.place` returns the position in the queue.
        """
        if self.active >= self._max_active:
            before = self._clock()
            await self._wait(user, timing)
            timing.waited_seconds += self._clock() - before
        else:
            self.active += 1
        began = self._clock()
        try:
            yield
        finally:
            self._usual_seconds += _SMOOTHING * (self._clock() - began - self._usual_seconds)
            self._release()

    async def _wait(self, user: str, timing: RequestTiming) -> None:
        if self.waiting >= self._max_waiting:
            raise ModelError(
                ModelFailure.UNAVAILABLE,
                f"too many questions wait for {self._provider} already",
                retry_after=max(1.0, self._usual_seconds * self.waiting / self._max_active),
            )
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._queues.setdefault(user, deque()).append(waiter)
        self.waiting += 1
        timing.place = lambda: self._place(user, waiter)
        try:
            await waiter
        except asyncio.CancelledError:
            if not waiter.cancelled():
                self._release()  # the slot was granted while the caller was being cancelled
            elif waiter in self._queues.get(user, ()):
                self._remove(user, waiter)
            raise
        finally:
            timing.place = None

    def _release(self) -> None:
        """Pass a freed slot to the next waiter."""
        while self._queues:
            user, queue = next(iter(self._queues.items()))
            waiter = queue[0]
            self._remove(user, waiter)
            if user in self._queues:
                self._queues.move_to_end(user)
            if not waiter.cancelled():
                waiter.set_result(None)
                return
        self.active -= 1

    def _remove(self, user: str, waiter: asyncio.Future[None]) -> None:
        queue = self._queues[user]
        queue.remove(waiter)
        self.waiting -= 1
        if not queue:
            del self._queues[user]

    def _place(self, user: str, waiter: asyncio.Future[None]) -> int:
        """Position from 1: waiters of earlier rounds, and those ahead in the same round."""
        own = self._queues.get(user)
        if own is None or waiter not in own:
            return 1
        rounds, place, ahead = own.index(waiter), 1, 1
        for other, queue in self._queues.items():
            if other == user:
                ahead = 0
                place += rounds
            else:
                place += min(len(queue), rounds + ahead)
        return place
