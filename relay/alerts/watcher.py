"""Calls the operator once when a condition begins and once when it is over, also across restarts.

A condition begins when it is there in two rounds in a row and is over when it is missing in two, so that a restart of a
server is no reason to call. What was sent is kept in the database; a message that could not be sent is tried again.
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Final

from relay.alerts.conditions import AlertCondition
from relay.core.errors import StorageError
from relay.core.messages import Platform
from relay.core.store import Store

log = logging.getLogger("relay.alerts")

ROUND_SECONDS: Final = 30.0
ROUNDS: Final = 2
ALERTS: Final = Platform("alerts")
"""Under which the state is kept; no channel has this name."""

Send = Callable[[str, str], Awaitable[bool]]
"""Sends a title and a text; whether at least one receiver took it."""
Observe = Callable[[], Awaitable[Iterable[AlertCondition]]]


class AlertWatcher:
    """Watches round by round. One console on a database watches, the others stand by."""

    def __init__(self, store: Store, observe: Observe, send: Send, clock: Callable[[], float] = time.time) -> None:
        self._store = store
        self._observe = observe
        self._send = send
        self._clock = clock
        self._open: dict[str, dict[str, Any]] | None = None
        self._is_saved = True
        self._present: Counter[str] = Counter()
        self._absent: Counter[str] = Counter()

    @property
    def open(self) -> dict[str, dict[str, Any]]:
        """What the operator was called for and is not over: title, remedy and beginning (Unix time), by key."""
        return self._open or {}

    async def watch_once(self) -> None:
        """One round: compare what is wrong with what was sent, send what is due, keep it."""
        try:
            if await self._store.hold_lease(ALERTS, "watch", 4 * ROUND_SECONDS) != self._store.owner:
                self._open = None  # read again when it is our turn
                return
            if self._open is None:
                self._open = await self._store.read_state(ALERTS, "open") or {}
        except StorageError as error:
            log.warning("the state of the alerts cannot be read now: %s", error)
        state = self._open = self._open or {}
        found = {condition.key: condition for condition in await self._observe()}
        for key in self._due(found, state):
            await self._call(state, found.get(key), key)
        await self._save(state)

    def _due(self, found: dict[str, AlertCondition], state: dict[str, dict[str, Any]]) -> list[str]:
        """The conditions that begin, then those that are over."""
        self._present = Counter({key: self._present[key] + 1 for key in found})
        self._absent = Counter({key: self._absent[key] + 1 for key in state if key not in found})
        begun = [key for key, rounds in self._present.items() if rounds >= ROUNDS and key not in state]
        return [*begun, *(key for key, rounds in self._absent.items() if rounds >= ROUNDS)]

    async def _call(self, state: dict[str, dict[str, Any]], begins: AlertCondition | None, key: str) -> None:
        now = self._clock()
        if begins is not None:
            if await self._send(f"Relay: {begins.title}", begins.remedy):
                state[key] = {"title": begins.title, "remedy": begins.remedy, "since": now}
                self._is_saved = False
            return
        minutes = max(1, round((now - state[key]["since"]) / 60))
        if await self._send(f"Relay: over: {state[key]['title']}", f"It lasted {minutes} min. Nothing is left to do."):
            del state[key]
            self._is_saved = False

    async def _save(self, state: dict[str, dict[str, Any]]) -> None:
        if self._is_saved:
            return
        try:
            await self._store.set_state(ALERTS, "open", state)
            self._is_saved = True
        except StorageError as error:
            log.warning("the state of the alerts cannot be kept now, it is tried again: %s", error)
