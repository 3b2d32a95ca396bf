"""Shows "typing" to users while their replies are written."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Final

from telegram import Bot

from relay.channels.telegram.bot_api import bot_errors
from relay.channels.telegram.live_answer import LiveAnswer
from relay.channels.telegram.updates import is_group
from relay.core.errors import SendError
from relay.core.messages import UserId
from relay.core.rate_limit import RateLimiter

log = logging.getLogger("relay.telegram")

TYPING_SECONDS: Final = 4.5  # an indicator lasts 5 s: https://core.telegram.org/bots/api#sendchataction


class TypingIndicator:
    """Sends chat actions through `bot` as far as `limiter` allows, without delaying the messages."""

    def __init__(
        self,
        bot: Bot,
        limiter: RateLimiter,
        sleep: Callable[[float], Awaitable[None]],
        monotonic: Callable[[], float],
    ) -> None:
        self._bot = bot
        self._limiter = limiter
        self._sleep = sleep
        self._monotonic = monotonic
        self._refused_until: dict[UserId, float] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    @contextlib.asynccontextmanager
    async def shown(
        self, user_id: UserId, thread: int | None = None, live: LiveAnswer | None = None
    ) -> AsyncIterator[None]:
        """Show it, in this topic of the chat, while the context lasts, but not over a draft of the answer.

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
                self.pause(user_id, error.retry_after)

    def pause(self, user_id: UserId, seconds: float) -> None:
        """Show no indicator and no draft in this chat for a while. Its messages go on: Telegram counts them apart."""
        now = self._monotonic()
        self._refused_until = {user: until for user, until in self._refused_until.items() if until > now}
        self._refused_until[user_id] = now + seconds

    def allowed(self, user_id: UserId) -> bool:
        """In a group, where every call may count, only while the limit is far from used up."""
        if self._refused_until.get(user_id, 0.0) > self._monotonic():
            return False
        return self._limiter.try_acquire(user_id) if is_group(user_id) else not self._limiter.is_paused(user_id)

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
