"""Telegram's rate limits for bots, strictly interpreted.

About one message a second in a private chat, 20 a minute in a group, 30 a second in all
(https://core.telegram.org/bots/faq#my-bot-is-hitting-limits-how-do-i-avoid-this); typing and live drafts 20 in 5 s
and 40 in 30 s a chat. Edits have a budget of their own. A call before `retry_after` is over doubles the wait.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from enum import StrEnum

_GRACE_SECONDS = 0.02  # tolerance for clock differences and network latency
_MAX_PENALTY_SECONDS = 3600.0


class Family(StrEnum):
    """Calls that share a budget."""

    MESSAGE = "message"
    EDIT = "edit"
    COSMETIC = "cosmetic"  # typing and drafts


_PRIVATE = ((1, 1.0),)
_GROUP = ((20, 60.0),)
_COSMETIC = ((20, 5.0), (40, 30.0))
_BOT = ((30, 1.0),)


class SlidingWindow:
    """Sliding-window rate limit. rules: (calls, seconds) pairs that all apply."""

    def __init__(self, rules: tuple[tuple[int, float], ...]) -> None:
        self._rules = rules
        self._calls: deque[float] = deque(maxlen=max(count for count, _ in rules))

    def wait(self, now: float) -> float:
        """Seconds until the next call is allowed; 0 when it is allowed now."""
        waits = [
            self._calls[-count] + seconds - _GRACE_SECONDS - now
            for count, seconds in self._rules
            if len(self._calls) >= count
        ]
        return max(0.0, *waits) if waits else 0.0

    def record(self, now: float) -> None:
        self._calls.append(now)


class ChatBudget:
    """One chat's window and its current flood wait."""

    def __init__(self, rules: tuple[tuple[int, float], ...]) -> None:
        self.window = SlidingWindow(rules)
        self._until = 0.0
        self._penalty = 0.0

    def penalty_seconds(self, now: float) -> float:
        """Seconds to wait, or 0; a call during the wait doubles it."""
        if now < self._until - _GRACE_SECONDS:
            self._penalty = min(_MAX_PENALTY_SECONDS, self._penalty * 2)
        else:
            self._penalty = math.ceil(self.window.wait(now))
        self._until = now + self._penalty
        return self._penalty


class FloodLimits:
    """The budgets of every chat and of the bot as a whole."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._chats: dict[tuple[int, Family], ChatBudget] = {}
        self._bot = SlidingWindow(_BOT)

    def retry_after(self, chat_id: int, family: Family) -> int | None:
        """Seconds that the caller must wait; None when the call is allowed, which counts it."""
        now = self._clock()
        budget = self._chats.setdefault((chat_id, family), ChatBudget(_rules(chat_id, family)))
        wait = budget.penalty_seconds(now)
        if wait == 0 and family is not Family.COSMETIC:
            wait = math.ceil(self._bot.wait(now))
        if wait:
            return max(1, int(wait))
        budget.window.record(now)
        if family is not Family.COSMETIC:
            self._bot.record(now)
        return None


def _rules(chat_id: int, family: Family) -> tuple[tuple[int, float], ...]:
    if family is Family.COSMETIC:
        return _COSMETIC
    return _PRIVATE if chat_id > 0 else _GROUP
