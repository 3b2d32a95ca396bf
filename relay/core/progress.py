"""An answer while it is written: its text so far, and whether the user wants it to end there."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


async def _record_nothing(_: str) -> None:
    pass


class Progress:
    """The text of one answer as it grows, without markup of the model. A channel that shows it overrides `changed`.

    shown_as: the provider's id of the message in which it grows, None when there is none. record_shown: commits that id
    before the answer goes on growing in it; raises LeaseLost, StorageError.
    """

    def __init__(self) -> None:
        self.shown_as: str | None = None
        self.record_shown: Callable[[str], Awaitable[None]] = _record_nothing
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
        """The result, or None when the answer was stopped before; `asking` has ended then."""
        if self.is_stopped:
            asking.close()
            return None
        ask, stop = asyncio.create_task(asking), asyncio.create_task(self._stop.wait())
        try:
            await asyncio.wait((ask, stop), return_when=asyncio.FIRST_COMPLETED)
            return ask.result() if ask.done() else None
        finally:
            ask.cancel()
            stop.cancel()
            await asyncio.wait((ask, stop))
