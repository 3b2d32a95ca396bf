"""Shows an answer while it is written: in private chats as a draft, which the final message replaces.

A draft is a preview of 30 s and never a message (https://core.telegram.org/bots/api#sendmessagedraft), so nothing of it
is stored and none has to be removed. Drafts and typing indicators are cosmetic: one that may not be sent now is left
out, and Telegram's refusal of one stops them alone.
"""

from __future__ import annotations

import asyncio
import json
import logging
import re
from collections.abc import Awaitable, Callable
from typing import Any, Final

from relay.channels.telegram.bot_api import BotCalls
from relay.core.errors import SendError
from relay.core.messages import PlannedPart, UserId
from relay.core.progress import Progress
from relay.core.rate_limit import RateLimit, RateLimiter
from relay.core.text import is_blank

log = logging.getLogger("relay.telegram")

DRAFT_SECONDS: Final = 1.0
"""Between two drafts of an answer."""
RENEWAL_SECONDS: Final = 20.0
"""After which a draft that has not changed is sent again: it lasts 30 s."""
CALL_SECONDS: Final = 5.0
LAST_CALL_SECONDS: Final = 0.5
"""The longest wait for a draft under way when the answer is complete: one that arrived later would stay above it."""

MAX_CHARS: Final = 20_000
"""A longer answer is not formatted anew each second; its draft stays as it is."""

# Telegram names no numbers. 40 calls of a chat in 30 s were not refused; `try_acquire` takes half of a chat's limit,
# which leaves room for the typing indicator.
OVERALL: Final = RateLimit(20, 1.05)
CHAT: Final = (RateLimit(60, 30.5),)

_MARKS: Final = ("**", "__", "~~", "`")
_UNFINISHED_LINK: Final = re.compile(r"!?\[([^\]\n]*)(?:\](?:\([^)\s]*)?)?\Z")


def closed(text: str) -> str:
    """The beginning of an answer in Markdown, with what is still open at its end closed, so that no sign is shown."""
    if sum(line.lstrip().startswith("```") for line in text.splitlines()) % 2:
        return text  # a block of code, which may end anywhere
    text = _UNFINISHED_LINK.sub(r"\1", text)
    paragraph = text.rpartition("\n\n")[2]
    still_open = sorted((paragraph.rfind(mark), mark) for mark in _MARKS if paragraph.count(mark) % 2)
    for _, mark in reversed(still_open):
        text = text.removesuffix(mark) if text.endswith(mark) else text + mark
    return text


def draft_limiter(monotonic: Callable[[], float]) -> RateLimiter:
    """The limits of all drafts of a bot."""
    return RateLimiter(OVERALL, lambda _: CHAT, monotonic)


class LiveAnswer(Progress):
    """One answer in one private chat, shown from its first text on. `plan` cuts a text into messages."""

    def __init__(
        self,
        calls: BotCalls,
        limiter: RateLimiter,
        chat: UserId,
        thread: int | None,
        draft_id: int,
        plan: Callable[[str], list[PlannedPart]],
        sleep: Callable[[float], Awaitable[None]],
        refused: Callable[[UserId, float], None],
    ) -> None:
        super().__init__()
        self._calls = calls
        self._limiter = limiter
        self._chat = chat
        self._thread = thread
        self._draft_id = draft_id
        self._plan = plan
        self._sleep = sleep
        self._refused = refused
        self._grown = asyncio.Event()
        self._over = self._sending = False
        self._task: asyncio.Task[None] | None = None

    @property
    def shown(self) -> bool:
        """Whether a draft is shown, in place of a typing indicator: the two replace each other."""
        return self._task is not None and not self._task.done()

    def changed(self) -> None:
        self._grown.set()
        if self._task is None:
            self._task = asyncio.create_task(self._show(), name="telegram-draft")

    async def end(self) -> None:
        """Send no further draft; returns when the one under way has arrived, or after LAST_CALL_SECONDS."""
        self._over = True
        if self._task is None:
            return
        if self._sending:
            await asyncio.wait((self._task,), timeout=LAST_CALL_SECONDS)
        self._task.cancel()

    async def _show(self) -> None:
        try:
            while not self._over:
                self._grown.clear()
                text = self.text.strip()
                text = closed(text) if len(text) <= MAX_CHARS else ""
                if not is_blank(text) and self._limiter.try_acquire(self._chat):
                    await self._send(self._plan(text)[-1])
                if not self._over:
                    await self._pause()
        except SendError as error:
            log.debug("no draft: %s", error)
            self._refused(self._chat, error.retry_after or 0.0)

    async def _pause(self) -> None:
        """Wait until there is more to show, but no less than the time between two drafts."""
        await self._sleep(DRAFT_SECONDS)
        try:
            async with asyncio.timeout(RENEWAL_SECONDS):
                await self._grown.wait()
        except TimeoutError:
            return

    async def _send(self, part: PlannedPart) -> None:
        parameters: dict[str, Any] = {
            "chat_id": int(self._chat),
            "draft_id": self._draft_id,
            "text": part.text,
            "can_stop": True,
            **({"entities": json.loads(part.style)} if part.style else {}),
            **({"message_thread_id": self._thread} if self._thread else {}),
        }
        self._sending = True
        try:
            await self._calls.call("sendMessageDraft", parameters, seconds=CALL_SECONDS)
        finally:
            self._sending = False
