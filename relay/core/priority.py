"""Storing and acknowledging goes before answering: while messages are being stored, few steps run.

The event loop runs whatever is ready, one after the other, so each step of a conversation or a send that is ready
delays the acknowledgements behind it. A step counts as running while it uses the processor or the database; one that
waits for the model, a provider or a rate limit does not.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Final

MAX_STEPS: Final = 16
"""Running steps of a process; enough that the commits of many share one write to the disk."""

MAX_STEPS_WHILE_STORING: Final = 4
"""The same while a message is being stored: more than one, so that a step which hangs stops no other."""

PACE_SECONDS: Final = 0.05
"""How long after another a step begins meanwhile: several times what it takes, so that most of the time is for storing,
and not for ever, so that a flood of messages stops no answer."""


class Priority:
    """Admits steps in the order in which they ask, urgent ones first, as many as may run now."""

    def __init__(self, pace: float = PACE_SECONDS) -> None:
        self._pace = pace
        self._next_at = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._storing = 0
        self._running = 0
        self._urgent: deque[asyncio.Future[None]] = deque()
        self._normal: deque[asyncio.Future[None]] = deque()

    @contextmanager
    def storing(self) -> Iterator[None]:
        """While it lasts, a message is being stored."""
        self._storing += 1
        try:
            yield
        finally:
            self._storing -= 1
            self._admit()

    @asynccontextmanager
    async def step(self, *, urgent: bool = False) -> AsyncIterator[None]:
        """One step, begun as soon as fewer run than may."""
        admitted: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        (self._urgent if urgent else self._normal).append(admitted)
        self._admit()
        try:
            if not admitted.done():
                await admitted
            yield
        finally:
            if admitted.done() and not admitted.cancelled():
                self._end()

    @contextmanager
    def paused(self) -> Iterator[None]:
        """For a wait inside a step; afterwards it goes on at once, before any step that has not begun."""
        self._end()
        try:
            yield
        finally:
            self._running += 1

    def _end(self) -> None:
        self._running -= 1
        self._admit()

    def _admit(self) -> None:
        while (waiting := self._urgent or self._normal) and self._may_begin():
            admitted = waiting.popleft()
            if not admitted.done():
                admitted.set_result(None)
                self._running += 1

    def _may_begin(self) -> bool:
        """Whether one more step may begin now; if it is too early for one, this is asked again in time."""
        if not self._storing:
            return self._running < MAX_STEPS
        if self._running >= MAX_STEPS_WHILE_STORING:
            return False
        loop = asyncio.get_running_loop()
        if (wait := self._next_at - loop.time()) > 0:
            self._timer = self._timer or loop.call_later(wait, self._admit_paced)
            return False
        self._next_at = loop.time() + self._pace
        return True

    def _admit_paced(self) -> None:
        self._timer = None
        self._admit()
