"""Fills the full-text index of messages behind them: no message waits for it, and old databases are filled in steps."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, Protocol

from relay.core.periodic import Periodic

ROWS_AT_ONCE: Final = 50
"""Few enough that a message is stored between two transactions without a noticeable delay."""

PAUSE_SECONDS: Final = 0.1
ROUND_SECONDS: Final = 3.0


class IndexedStore(Protocol):
    """The verb of the store that the index needs; it raises StorageError."""

    async def index_messages(self, most: int) -> int: ...


def indexing(store: IndexedStore, *, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep) -> Periodic:
    """The task that indexes new messages every few seconds, the newest first; servers on one database may all do it."""

    async def index() -> None:
        while await store.index_messages(ROWS_AT_ONCE) == ROWS_AT_ONCE:
            await sleep(PAUSE_SECONDS)

    return Periodic("message-index", ROUND_SECONDS, index, first_after=ROUND_SECONDS, sleep=sleep)
