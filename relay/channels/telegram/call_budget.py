"""One budget for the calls of a bot: by chat and over all chats, shared by calls of different importance.

Messages wait for their slot and are never dropped. Other calls are cosmetic: one for which too little of the budget is
left is dropped, and the less a call matters the more must be left. A flood wait that Telegram answers to a cosmetic
call ends cosmetic calls in its chat alone. Telegram publishes no exact limits; these are a strict reading:
https://core.telegram.org/bots/faq#my-bot-is-hitting-limits-how-do-i-avoid-this
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from enum import Enum
from typing import Final

from relay.channels.telegram.spec import is_group
from relay.core.rate_limit import RateLimit, RateLimiter

# 1 message a second in a chat, 20 a minute in a group; each a little longer, because requests do not all travel
# equally fast. A group counts calls of all kinds, for all its topics together.
PRIVATE: Final = (RateLimit(1, 1.05),)
GROUP: Final = (RateLimit(20, 60.5),)
PREVIEWS: Final = (RateLimit(40, 30.5),)
"""Drafts and typing indicators of a private chat, which are one method to Telegram; 40 in 30 s were not refused."""


class Cosmetic(Enum):
    """Kinds of cosmetic calls: the share of a limit that may be used before such a call is dropped."""

    EDIT = 0.6  # of a message in which an answer grows
    DRAFT = 0.75  # counted among the previews alone
    TYPING = 0.3


class CallBudget:
    """The budget of one bot. per_second: messages to all chats together; chats are ids in decimal."""

    def __init__(self, per_second: int, monotonic: Callable[[], float]) -> None:
        self._limiter = RateLimiter(RateLimit(per_second, 1.05), _limits, monotonic)
        self._monotonic = monotonic
        self._refused_until: dict[str, float] = {}
        self.flood_waits: Counter[str] = Counter()
        """How often Telegram refused a message, or a cosmetic call, with a time to wait."""

    def message_wait(self, chat: str) -> float:
        """Seconds until the limits of this chat allow a message, 0 when they do now."""
        return self._limiter.chat_wait(chat)

    def acquire_message(self, chat: str) -> float:
        """Reserve the next slot for a message, when `message_wait` is 0; the seconds until it."""
        return self._limiter.acquire(chat)

    def try_acquire(self, chat: str, kind: Cosmetic) -> bool:
        """Reserve a slot for a cosmetic call now; False when it must be dropped."""
        if not self.allows_cosmetics(chat):
            return False
        is_preview = kind is not Cosmetic.EDIT and not is_group(chat)
        return self._limiter.try_acquire(chat + _PREVIEW if is_preview else chat, kind.value)

    def allows_cosmetics(self, chat: str) -> bool:
        """Whether no flood wait of this chat forbids cosmetic calls now."""
        refused = self._refused_until.get(chat, 0.0) > self._monotonic()
        return not refused and not self._limiter.is_paused(chat)

    def pause(self, chat: str, seconds: float) -> None:
        """Make no call in this chat for `seconds`, which Telegram asked for in answer to a message."""
        self.flood_waits["messages"] += 1
        self._limiter.pause(chat, seconds)

    def pause_cosmetics(self, chat: str, seconds: float) -> None:
        """Make no cosmetic call in this chat for `seconds`, which Telegram asked for in answer to one."""
        now = self._monotonic()
        self.flood_waits["cosmetic"] += seconds > 0
        self._refused_until = {other: until for other, until in self._refused_until.items() if until > now}
        self._refused_until[chat] = max(self._refused_until.get(chat, 0.0), now + seconds)


_PREVIEW: Final = " previews"


def _limits(chat: str) -> tuple[RateLimit, ...]:
    if chat.endswith(_PREVIEW):
        return PREVIEWS
    return GROUP if is_group(chat) else PRIVATE
