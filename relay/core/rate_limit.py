"""Sliding-window rate limits, per chat and over all chats, kept on our side so that providers need not enforce them.

The numbers are the channel's. Pure bookkeeping: clock and sleep are the caller's.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

MIN_CHATS = 1000
"""Chats of which the calls are remembered before idle ones are forgotten."""


@dataclass(frozen=True, slots=True)
class RateLimit:
    """At most `count` calls within any `seconds`."""

    count: int
    seconds: float


class _SlidingWindow:
    """The times of the last calls under one limit, reserved future slots included."""

    def __init__(self, limit: RateLimit) -> None:
        self._seconds = limit.seconds
        self.count = limit.count
        self._times: deque[float] = deque(maxlen=limit.count)

    def earliest(self, now: float) -> float:
        full = len(self._times) == self.count
        return max(now, self._times[0] + self._seconds) if full else now

    def add(self, time: float) -> None:
        self._times.append(time)

    def used(self, now: float) -> int:
        return sum(time > now - self._seconds for time in self._times)


class RateLimiter:
    """Slots for the calls of one sender, limited per chat and over all chats.

    `of_chat` returns the limits of a chat by its id. A chat that the provider has paused gets no slot before the pause
    ends; other chats do not wait for it.
    """

    def __init__(
        self,
        overall: RateLimit,
        of_chat: Callable[[str], Sequence[RateLimit]],
        clock: Callable[[], float],
    ) -> None:
        self._overall = _SlidingWindow(overall)
        self._of_chat = of_chat
        self._clock = clock
        self._chats: dict[str, list[_SlidingWindow]] = {}
        self._paused: dict[str, float] = {}
        self._most_chats = MIN_CHATS

    def chat_wait(self, chat: str) -> float:
        """Seconds until this chat's own limits and pause allow a call, 0 when they do now."""
        now = self._clock()
        return max(now, self._paused.get(chat, 0.0), *(window.earliest(now) for window in self._windows(chat))) - now

    def acquire(self, chat: str) -> float:
        """Reserve the next slot of this chat; return the seconds until it. Slots are given in the order of the calls.

        Called when `chat_wait` is 0, or the reserved slot is out of use for all chats until this one is allowed.
        """
        now = self._clock()
        seconds = max(self.chat_wait(chat), self._overall.earliest(now) - now)
        for window in (*self._windows(chat), self._overall):
            window.add(now + seconds)
        return seconds

    def try_acquire(self, chat: str, share: float = 0.5) -> bool:
        """Reserve a slot for an optional call, if it is free now and less than this share of each limit is used."""
        now = self._clock()
        windows = (*self._windows(chat), self._overall)
        if self.chat_wait(chat) > 0 or any(window.used(now) >= window.count * share for window in windows):
            return False
        self.acquire(chat)
        return True

    def pause(self, chat: str, seconds: float) -> None:
        """Give this chat no slot for `seconds`, the provider's retry-after."""
        self._paused[chat] = max(self._paused.get(chat, 0.0), self._clock() + seconds)

    def is_paused(self, chat: str) -> bool:
        return self._paused.get(chat, 0.0) > self._clock()

    def _windows(self, chat: str) -> list[_SlidingWindow]:
        if chat not in self._chats:
            self._forget_idle_chats()
            self._chats[chat] = [_SlidingWindow(limit) for limit in self._of_chat(chat)]
        return self._chats[chat]

    def _forget_idle_chats(self) -> None:
        """Whenever the chats are twice as many as were left the last time, so that each costs the same on average."""
        if len(self._chats) < self._most_chats:
            return
        now = self._clock()
        self._paused = {chat: until for chat, until in self._paused.items() if until > now}
        self._chats = {
            chat: windows for chat, windows in self._chats.items() if any(window.used(now) for window in windows)
        }
        self._most_chats = max(MIN_CHATS, 2 * len(self._chats))
