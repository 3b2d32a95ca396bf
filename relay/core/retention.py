"""Deletes finished messages that are older than the setting keep_days, in small steps, while the server runs.

Users, their consent, totals and costs stay: they are rows and counters of their own.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from relay.core.periodic import Periodic
from relay.core.store import Store

ROWS_AT_ONCE: Final = 200
"""Few enough that a message is stored between two transactions without a noticeable delay."""

PAUSE_SECONDS: Final = 0.2
ROUND_SECONDS: Final = 3600.0


def retention(
    store: Store, keep_days: int | None, *, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
) -> Periodic:
    """The task that prunes at the start and every hour; what a stop interrupts is done in the next round.

    Without keep_days nothing is deleted. Servers on one database may all do it: none deletes what another has.
    """

    async def prune() -> None:
        if keep_days is not None:
            await store.prune_oldest(keep_days, ROWS_AT_ONCE, lambda: sleep(PAUSE_SECONDS))

    return Periodic("retention", ROUND_SECONDS, prune, first_after=0, sleep=sleep)
