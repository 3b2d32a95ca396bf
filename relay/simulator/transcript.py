"""What each person sees, bubble by bubble, and the news of it for everybody who watches.

Knows no provider: the stand-ins add and change bubbles, the control API and the page read them.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from relay.core.messages import Platform

MAX_QUEUED_EVENTS = 500
DRAFT_SECONDS = 30.0  # how long a draft is shown, by the Bot API's own text on sendMessageDraft
TYPING_SECONDS = 5.0  # likewise for sendChatAction

Clock = Callable[[], float]


@dataclass(slots=True)
class Bubble:
    """One message as the person sees it. direction: in is what the person wrote, out what the person got."""

    platform: Platform
    key: str
    direction: str
    text: str
    message_id: str | int
    status: str
    sender: str = "bot"
    entities: list[dict[str, Any]] = field(default_factory=list)
    id: int = 0
    at: float = 0.0
    error_code: int | None = None
    edited: bool = False
    deleted: bool = False
    kind: str = "text"
    media: list[str] = field(default_factory=list)
    part_key: str | None = None
    author: str | None = None
    reply_to: int | None = None
    thread: int | None = None
    buttons: list[list[dict[str, Any]]] = field(default_factory=list)

    def shown(self) -> dict[str, Any]:
        hidden = {"platform", "key", "author"}
        seen = {name: getattr(self, name) for name in self.__dataclass_fields__ if name not in hidden}
        return {**seen, "from": self.author}


@dataclass(frozen=True, slots=True)
class Draft:
    """A streamed preview of a message."""

    draft_id: int
    text: str
    entities: list[dict[str, Any]]
    can_stop: bool
    until: float

    def shown(self) -> dict[str, Any]:
        return {
            "draft_id": self.draft_id,
            "text": self.text,
            "entities": self.entities,
            "can_stop": self.can_stop,
        }


@dataclass(slots=True)
class Conversation:
    """One person's side of one channel."""

    platform: Platform
    key: str
    bubbles: list[Bubble] = field(default_factory=list)
    typing_until: float = 0.0
    draft: Draft | None = None

    def outgoing(self) -> list[Bubble]:
        return [bubble for bubble in self.bubbles if bubble.direction == "out"]


class Watcher:
    """One listener's news, oldest first; when it falls too far behind it is told to read everything anew."""

    def __init__(self) -> None:
        self._news: deque[dict[str, Any]] = deque()
        self._arrived = asyncio.Event()

    def tell(self, event: dict[str, Any]) -> None:
        if len(self._news) >= MAX_QUEUED_EVENTS:
            self._news.clear()
            event = {"type": "reload"}
        self._news.append(event)
        self._arrived.set()

    async def next(self) -> dict[str, Any]:
        """The next piece of news; waits for it."""
        while not self._news:
            self._arrived.clear()
            await self._arrived.wait()
        return self._news.popleft()


class Board:
    """All conversations. Every change goes through here, so that whoever waits or watches hears of it."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._conversations: dict[tuple[Platform, str], Conversation] = {}
        self._watchers: set[Watcher] = set()
        self._waiting: dict[tuple[Platform, str], set[asyncio.Event]] = {}
        self._last_id = 0

    def conversation(self, platform: Platform, key: str) -> Conversation:
        """Somebody's conversation; an empty one that is not kept for whoever has none yet."""
        return self._conversations.get((platform, key)) or Conversation(platform, key)

    def _kept(self, platform: Platform, key: str) -> Conversation:
        return self._conversations.setdefault((platform, key), Conversation(platform, key))

    def conversations(self) -> list[Conversation]:
        return list(self._conversations.values())

    def clear(self) -> None:
        self._conversations.clear()
        self.announce({"type": "reload"})
        self.wake_all()

    def add(self, bubble: Bubble) -> Bubble:
        """Put a bubble at the end. A message of the bot ends its typing and its draft."""
        self._last_id += 1
        bubble.id, bubble.at = self._last_id, self._clock()
        conversation = self._kept(bubble.platform, bubble.key)
        conversation.bubbles.append(bubble)
        if bubble.direction == "out":
            conversation.typing_until, conversation.draft = 0.0, None
        self.tell_of(bubble)
        return bubble

    def tell_of(self, bubble: Bubble) -> None:
        """Announce that a bubble is new or has changed."""
        event = {"type": "bubble", "platform": bubble.platform, "key": bubble.key, "bubble": bubble.shown()}
        self.announce(event)
        for waiter in self._waiting.get((bubble.platform, bubble.key), ()):
            waiter.set()

    def remove(self, bubble: Bubble) -> None:
        bubble.deleted = True
        bubbles = self.conversation(bubble.platform, bubble.key).bubbles
        if bubble in bubbles:
            bubbles.remove(bubble)
        self.tell_of(bubble)

    def show_typing(self, platform: Platform, key: str) -> None:
        self._kept(platform, key).typing_until = self._clock() + TYPING_SECONDS
        self.announce({"type": "typing", "platform": platform, "key": key, "seconds": TYPING_SECONDS})

    def show_draft(
        self, platform: Platform, key: str, draft_id: int, text: str, entities: list[dict[str, Any]], *, can_stop: bool
    ) -> None:
        draft = Draft(draft_id, text, entities, can_stop, self._clock() + DRAFT_SECONDS)
        self._kept(platform, key).draft = draft
        self.announce({"type": "draft", "platform": platform, "key": key, "draft": draft.shown()})

    def drop_draft(self, platform: Platform, key: str) -> None:
        self.conversation(platform, key).draft = None
        self.announce({"type": "draft", "platform": platform, "key": key, "draft": None})

    def transcript(self, platform: Platform, key: str) -> dict[str, Any]:
        """The conversation as the person sees it now."""
        conversation, now = self.conversation(platform, key), self._clock()
        draft = conversation.draft if conversation.draft and conversation.draft.until > now else None
        return {
            "platform": platform,
            "bubbles": [bubble.shown() for bubble in conversation.bubbles],
            "outgoing": len(conversation.outgoing()),
            "typing": conversation.typing_until > now,
            "draft": draft.shown() if draft else None,
            "simulated": True,
        }

    # -- listening -----------------------------------------------------------------------------------------------------

    def announce(self, event: dict[str, Any]) -> None:
        for watcher in self._watchers:
            watcher.tell(event)

    def wake_all(self) -> None:
        """Let everybody who waits look again."""
        for waiters in self._waiting.values():
            for waiter in waiters:
                waiter.set()

    @contextlib.contextmanager
    def watching(self) -> Iterator[Watcher]:
        """A Watcher that hears all news as long as the context lasts."""
        watcher = Watcher()
        self._watchers.add(watcher)
        try:
            yield watcher
        finally:
            self._watchers.discard(watcher)

    async def wait_until(self, platform: Platform, key: str, condition: Callable[[], bool], seconds: float) -> None:
        """Wait until a change in this conversation brings the condition about, or until the time is over."""
        changed = asyncio.Event()
        waiters = self._waiting.setdefault((platform, key), set())
        waiters.add(changed)
        try:
            async with asyncio.timeout(seconds):
                while not condition():
                    changed.clear()
                    await changed.wait()
        except TimeoutError:
            return
        finally:
            waiters.discard(changed)
            if not waiters:
                self._waiting.pop((platform, key), None)
