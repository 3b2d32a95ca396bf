"""How fast a provider lets us write, kept on our side so that answers are not punished: sliding windows per chat.

What counts and what the numbers are is the channel's knowledge; who waits, and how, the caller's. No clock of its own,
no sleep: it only reckons.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Allowance:
    """At most `count` calls within any `seconds`."""

    count: int
    seconds: float


class _Window:
    """The moments of the last calls under one allowance, those that are reserved for later included."""

    def __init__(self, allowance: Allowance) -> None:
        self._allowance = allowance
        self._moments: deque[float] = deque(maxlen=allowance.count)

    def earliest(self, now: float) -> float:
        full = len(self._moments) == self._allowance.count
        return max(now, self._moments[0] + self._allowance.seconds) if full else now

    def take(self, moment: float) -> None:
        self._moments.append(moment)

    def used(self, now: float) -> int:
        return sum(moment > now - self._allowance.seconds for moment in self._moments)

    def is_idle(self, now: float) -> bool:
        return self.used(now) == 0


class Pace:
    """Slots for one sender's calls: everybody together, and each chat by itself.

    `of_chat` gives the allowances of a chat by its name. A chat that the provider has paused gets no slot before the
    pause ends; other chats do not wait for it.
    """

    def __init__(
        self,
        overall: Allowance,
        of_chat: Callable[[str], Sequence[Allowance]],
        clock: Callable[[], float],
    ) -> None:
        self._overall = _Window(overall)
        self._of_chat = of_chat
        self._clock = clock
        self._chats: dict[str, list[_Window]] = {}
        self._paused: dict[str, float] = {}

    def wait(self, chat: str) -> float:
        """Seconds until a call to this chat would be in order; 0 when it is now. Takes nothing."""
        now = self._clock()
        moments = [window.earliest(now) for window in (*self._windows(chat), self._overall)]
        return max(*moments, self._paused.get(chat, 0.0)) - now

    def take(self, chat: str, patience: float) -> float:
        """Reserve the next slot of this chat if it comes within `patience` seconds; how long it is until then.

        A slot further away is not reserved: others must not wait behind a chat that cannot write for a minute.
        """
        seconds = self.wait(chat)
        if seconds <= patience:
            for window in (*self._windows(chat), self._overall):
                window.take(self._clock() + seconds)
        return seconds

    def take_spare(self, chat: str) -> bool:
        """Reserve a slot for something that nobody would miss, only if it is free now and half of the room is left."""
        now = self._clock()
        windows = self._windows(chat)
        crowded = any(
            window.used(now) * 2 >= limit.count for window, limit in zip(windows, self._of_chat(chat), strict=True)
        )
        if self.wait(chat) > 0 or crowded:
            return False
        self.take(chat, 0.0)
        return True

    def pause(self, chat: str, seconds: float) -> None:
        """The provider wants silence in this chat for so long."""
        self._paused[chat] = max(self._paused.get(chat, 0.0), self._clock() + seconds)

    def is_paused(self, chat: str) -> bool:
        return self._paused.get(chat, 0.0) > self._clock()

    def _windows(self, chat: str) -> list[_Window]:
        if chat not in self._chats:
            self._forget_idle_chats()
            self._chats[chat] = [_Window(allowance) for allowance in self._of_chat(chat)]
        return self._chats[chat]

    def _forget_idle_chats(self) -> None:
        if len(self._chats) < 1000:
            return
        now = self._clock()
        self._paused = {chat: until for chat, until in self._paused.items() if until > now}
        self._chats = {
            chat: windows for chat, windows in self._chats.items() if not all(window.is_idle(now) for window in windows)
        }
