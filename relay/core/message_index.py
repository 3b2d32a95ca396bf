"""Fills the full-text index of messages behind them: no message waits for it, and old databases are filled in steps."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from relay.core.periodic import Periodic

ROWS_AT_ONCE: Final = 50
"""Few enough that a message is stored between two transactions without a noticeable delay."""

PAUSE_SECONDS: Final = 0.1
ROUND_SECONDS: Final = 3.0


def indexing(
    index_messages: Callable[[int], Awaitable[int]], *, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
) -> Periodic:
    """The task that indexes new messages every few seconds, the newest first; servers on one database may all do it.

    index_messages: indexes at most so many and returns how many there were; raises StorageError.
    """

    async def index() -> None:
        while await index_messages(ROWS_AT_ONCE) == ROWS_AT_ONCE:
            await sleep(PAUSE_SECONDS)

    return Periodic("message-index", ROUND_SECONDS, index, first_after=ROUND_SECONDS, sleep=sleep)
