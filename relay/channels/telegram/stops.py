"""Which answer a stop ends: in a private chat all, in a group that to its writer, or the one that it points at.

A stop acts when it is stored, before the messages ahead of it are answered, so what it may end is decided here.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import replace
from typing import Final

from relay.channels.telegram.administrators import is_admin
from relay.channels.telegram.bot_api import BotCalls
from relay.core.decisions import STOPS, STOPS_MESSAGE, Stops
from relay.core.errors import SendError
from relay.core.messages import InboundMessage, UserId

log = logging.getLogger("relay.telegram")

ADMIN_SECONDS: Final = 2.0
"""The longest wait for Telegram: the messages of everybody wait behind this one."""
REMEMBERED_SECONDS: Final = 60.0


class StopRights:
    """Gives administrators of a group the right to end the answer under way there, also one to another member."""

    def __init__(self, calls: BotCalls, monotonic: Callable[[], float]) -> None:
        self._calls = calls
        self._monotonic = monotonic
        self._known: dict[tuple[UserId, UserId], tuple[bool, float]] = {}

    async def applied(self, message: InboundMessage) -> InboundMessage:
        """The message; a stop of an administrator of its group may end more. Never raises."""
        if message.options.get(STOPS) != Stops.OWN or message.sender is None or STOPS_MESSAGE in message.options:
            return message
        if not await self._is_admin(message, message.sender):
            return message
        return replace(message, options={**message.options, STOPS: Stops.UNDER_WAY})

    async def _is_admin(self, message: InboundMessage, sender: UserId) -> bool:
        now, key = self._monotonic(), (message.user_id, sender)
        self._known = {who: known for who, known in self._known.items() if known[1] > now}
        if key not in self._known:
            try:
                async with asyncio.timeout(ADMIN_SECONDS):
                    self._known[key] = (await is_admin(self._calls, message), now + REMEMBERED_SECONDS)
            except (SendError, TimeoutError) as error:
                log.info("whether an administrator stops an answer could not be read: %s", error)
                return False
        return self._known[key][0]
