"""Shows "typing" to users while their replies are written."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Final

from telegram import Bot

from relay.channels.telegram.bot_api import bot_errors
from relay.channels.telegram.call_budget import CallBudget, Cosmetic
from relay.channels.telegram.live_answer import LiveAnswer
from relay.core.errors import SendError
from relay.core.messages import UserId

log = logging.getLogger("relay.telegram")

TYPING_SECONDS: Final = 4.5  # an indicator lasts 5 s: https://core.telegram.org/bots/api#sendchataction


class TypingIndicator:
    """Sends chat actions through `bot` as far as the budget allows, without delaying the messages."""

    def __init__(
        self,
        bot: Bot,
        budget: CallBudget,
        sleep: Callable[[float], Awaitable[None]],
    ) -> None:
        self._bot = bot
        self._budget = budget
        self._sleep = sleep
        self._tasks: set[asyncio.Task[None]] = set()

    @contextlib.asynccontextmanager
    async def shown(
        self, user_id: UserId, thread: int | None = None, live: LiveAnswer | None = None
    ) -> AsyncIterator[None]:
        """Show it, in this topic of the chat, while the context lasts, but not beside the answer itself.

        Never raises and is never waited for.
        """
        task = asyncio.create_task(self._keep_showing(user_id, thread, live), name="telegram-typing")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        try:
            yield
        finally:
            task.cancel()

    async def _keep_showing(self, user_id: UserId, thread: int | None, live: LiveAnswer | None) -> None:
        try:
            while True:
                if not (live and live.shown) and self.allowed(user_id):
                    with bot_errors():
                        await self._bot.send_chat_action(int(user_id), "typing", message_thread_id=thread)
                await self._sleep(TYPING_SECONDS)
        except SendError as error:
            log.debug("no typing indicator: %s", error)
            if error.retry_after:
                self._budget.pause_cosmetics(user_id, error.retry_after)

    def allowed(self, user_id: UserId) -> bool:
        """Whether the budget has room for an indicator, which is counted then."""
        return self._budget.try_acquire(user_id, Cosmetic.TYPING)

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
