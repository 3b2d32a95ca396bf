"""An answer while it is written: its text so far, and whether the user wants it to end there."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Final, TypeVar

from relay.core.decisions import Join
from relay.core.errors import ModelError

T = TypeVar("T")

FINISH_SECONDS: Final = 1.0
"""How long a stopped answer waits for its end with the cost; then the connection is closed."""


async def _record_nothing(_: str) -> None:
    pass


class Progress:
    """The text of one answer as it grows, without markup of the model. A channel that shows it overrides `changed`.

    shown_as: the provider's id of the message in which it grows, None when there is none. record_shown: commits that id
    before the answer goes on growing in it; raises LeaseLost, StorageError. finish: has the model's server end the
    answer so that it is returned with what it cost; False when it cannot. join: as in Decision.
    """

    def __init__(self) -> None:
        self.shown_as: str | None = None
        self.record_shown: Callable[[str], Awaitable[None]] = _record_nothing
        self.finish: Callable[[], Awaitable[bool]] | None = None
        self.join: Join | None = None
        self._pieces: list[str] = []
        self._stop = asyncio.Event()

    @property
    def text(self) -> str:
        return "".join(self._pieces)

    def add(self, text: str) -> None:
        """The answer goes on with this text."""
        if text:
            self._pieces.append(text)
            self.changed()

    def restart(self) -> None:
        """What came so far was no answer, but reasoning."""
        self._pieces.clear()

    def changed(self) -> None:
        """Called after each addition; must not wait."""

    @property
    def is_stopped(self) -> bool:
        return self._stop.is_set()

    def stop(self) -> None:
        """End the answer here, at the user's request."""
        self._stop.set()

    async def until_stopped(self, asking: Coroutine[Any, Any, T]) -> T | None:
        """The result, also of a stopped answer that its server could finish; None for another one.

        `asking` has ended on return.
        """
        if self.is_stopped:
            asking.close()
            return None
        ask, stop = asyncio.create_task(asking), asyncio.create_task(self._stop.wait())
        try:
            await asyncio.wait((ask, stop), return_when=asyncio.FIRST_COMPLETED)
            if not ask.done():
                return await self._finished(ask)
            return ask.result()
        finally:
            ask.cancel()
            stop.cancel()
            await asyncio.wait((ask, stop))

    async def _finished(self, ask: asyncio.Task[T]) -> T | None:
        """The result of a stopped answer, if its server finishes it within FINISH_SECONDS."""
        try:
            async with asyncio.timeout(FINISH_SECONDS):
                if self.finish is None or not await self.finish():
                    return None
                return await asyncio.shield(ask)
        except (TimeoutError, ModelError):
            return None
