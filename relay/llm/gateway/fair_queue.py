"""A bounded queue in front of one source: so many answers at once, turns dealt out between persons, the rest refused.

Ollama does not bound its own queue for a model that is loaded, so waiting is done here, where it can be seen and ended.
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
    """At most `max_active` hold a turn and at most `max_waiting` wait for one.

    A person who asks ten things waits for nobody but delays nobody either: the next turn goes to the person whose last
    one is longest ago.
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
    async def slot(self, person: str, timing: RequestTiming) -> AsyncIterator[None]:
        """Hold a turn for the block. Raises ModelError(UNAVAILABLE) with retry_after when too many wait already.

        While it waits, `trace.place` tells the place in the queue.
        """
        if self.active >= self._max_active:
            before = self._clock()
            await self._wait(person, timing)
            timing.waited_seconds += self._clock() - before
        else:
            self.active += 1
        began = self._clock()
        try:
            yield
        finally:
            self._usual_seconds += _SMOOTHING * (self._clock() - began - self._usual_seconds)
            self._pass_on()

    async def _wait(self, person: str, timing: RequestTiming) -> None:
        if self.waiting >= self._max_waiting:
            raise ModelError(
                ModelFailure.UNAVAILABLE,
                f"too many questions wait for {self._provider} already",
                retry_after=max(1.0, self._usual_seconds * self.waiting / self._max_active),
            )
        called: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._queues.setdefault(person, deque()).append(called)
        self.waiting += 1
        timing.place = lambda: self._place(person, called)
        try:
            await called
        except asyncio.CancelledError:
            if not called.cancelled():
                self._pass_on()  # the turn came in the same moment in which the caller left
            elif called in self._queues.get(person, ()):
                self._remove(person, called)
            raise
        finally:
            timing.place = None

    def _pass_on(self) -> None:
        """Give a turn that has ended to whoever is next and still waits."""
        while self._queues:
            person, queue = next(iter(self._queues.items()))
            called = queue[0]
            self._remove(person, called)
            if person in self._queues:
                self._queues.move_to_end(person)
            if not called.cancelled():
                called.set_result(None)
                return
        self.active -= 1

    def _remove(self, person: str, called: asyncio.Future[None]) -> None:
        queue = self._queues[person]
        queue.remove(called)
        self.waiting -= 1
        if not queue:
            del self._queues[person]

    def _place(self, person: str, called: asyncio.Future[None]) -> int:
        """1 for the next one: everybody ahead in this round, and everybody's rounds before it."""
        own = self._queues.get(person)
        if own is None or called not in own:
            return 1
        rounds, place, ahead = own.index(called), 1, 1
        for other, queue in self._queues.items():
            if other == person:
                ahead = 0
                place += rounds
            else:
                place += min(len(queue), rounds + ahead)
        return place
