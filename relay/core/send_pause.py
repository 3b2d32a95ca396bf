"""Stops the sends of a channel for a while after an error that concerns our account: every part would fail alike.

Nothing is lost: parts stay planned. The pause is stored for the console, and the first success ends it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from relay.core.errors import SendError, StorageError
from relay.core.messages import Platform
from relay.core.store import PAUSED, Store

log = logging.getLogger("relay.core.send_pause")


class SendPause:
    """The pause of one channel, if there is one; `reason` is in words, until a send works again.

    clock: seconds since the Unix epoch, for what is shown; monotonic: for the pause itself.
    """

    def __init__(
        self, store: Store, platform: Platform, clock: Callable[[], float], monotonic: Callable[[], float]
    ) -> None:
        self._store = store
        self._platform = platform
        self._clock = clock
        self._monotonic = monotonic
        self._until = 0.0
        self._may_be_stored = True  # by an earlier process: the first success removes it
        self.reason: str | None = None

    @property
    def is_on(self) -> bool:
        """Whether nothing may be sent now; afterwards parts are tried, though `reason` stays until one is accepted."""
        return self._monotonic() < self._until

    async def begin(self, error: SendError, seconds: float) -> None:
        """Stop sending for `seconds`."""
        if self.reason is None:
            log.error("sending on %s is PAUSED: %s (%s). Nothing is lost.", self._platform, error.message, error.code)
        self._until = self._monotonic() + seconds
        self.reason = f"{error.message} ({error.code})"
        self._may_be_stored = True
        await self._keep({"reason": self.reason, "until": self._clock() + seconds})

    async def end(self) -> None:
        """End it after a send that worked; if it cannot be removed from the database now, the next send tries again."""
        if not self._may_be_stored:
            return
        if self.reason is not None:
            log.info("sending on %s works again", self._platform)
        self.reason, self._until = None, 0.0
        self._may_be_stored = not await self._keep(None)

    async def _keep(self, value: dict[str, Any] | None) -> bool:
        """Store the pause; errors are logged only, so that no part depends on it."""
        try:
            await self._store.set_state(self._platform, PAUSED, value)
        except StorageError as error:
            log.warning("the pause of %s cannot be noted now: %s", self._platform, error)
            return False
        return True
