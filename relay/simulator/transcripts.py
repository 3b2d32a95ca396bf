"""Transcripts: the bubbles on each phone, and events about their changes.

Independent of the providers: they add and change bubbles, the control API and the page read them.
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
class PhoneBubble:
    """One message as a phone shows it. direction: "in" was written by the person, "out" received by them."""

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

    def to_json(self) -> dict[str, Any]:
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

    def to_json(self) -> dict[str, Any]:
        return {
            "draft_id": self.draft_id,
            "text": self.text,
            "entities": self.entities,
            "can_stop": self.can_stop,
        }


@dataclass(slots=True)
class Transcript:
    """The bubbles of one person or chat on one platform."""

    platform: Platform
    key: str
    bubbles: list[PhoneBubble] = field(default_factory=list)
    typing_until: float = 0.0
    draft: Draft | None = None

    def outgoing(self) -> list[PhoneBubble]:
        return [bubble for bubble in self.bubbles if bubble.direction == "out"]


class EventSubscriber:
    """A queue of events; when it is full, one "reload" event replaces its content."""

    def __init__(self) -> None:
        self._events: deque[dict[str, Any]] = deque()
        self._arrived = asyncio.Event()

    def put(self, event: dict[str, Any]) -> None:
        if len(self._events) >= MAX_QUEUED_EVENTS:
            self._events.clear()
            event = {"type": "reload"}
        self._events.append(event)
        self._arrived.set()

    async def next(self) -> dict[str, Any]:
        """Wait for the next event."""
        while not self._events:
            self._arrived.clear()
            await self._arrived.wait()
        return self._events.popleft()


class Transcripts:
    """All conversations. Every change goes through here, so that waiting requests are notified."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._transcripts: dict[tuple[Platform, str], Transcript] = {}
        self._subscribers: set[EventSubscriber] = set()
        self._waiters: dict[tuple[Platform, str], set[asyncio.Event]] = {}
        self._last_id = 0

    def get(self, platform: Platform, key: str) -> Transcript:
        """The transcript of a phone; for an unknown one an empty transcript, which is not kept."""
        return self._transcripts.get((platform, key)) or Transcript(platform, key)

    def _get_or_add(self, platform: Platform, key: str) -> Transcript:
        return self._transcripts.setdefault((platform, key), Transcript(platform, key))

    def all(self) -> list[Transcript]:
        return list(self._transcripts.values())

    def clear(self) -> None:
        self._transcripts.clear()
        self.announce({"type": "reload"})
        self.notify_waiters()

    def add(self, bubble: PhoneBubble) -> PhoneBubble:
        """Put a bubble at the end. A message of the bot ends its typing and its draft."""
        self._last_id += 1
        bubble.id, bubble.at = self._last_id, self._clock()
        transcript = self._get_or_add(bubble.platform, bubble.key)
        transcript.bubbles.append(bubble)
        if bubble.direction == "out":
            transcript.typing_until, transcript.draft = 0.0, None
        self.announce_bubble(bubble)
        return bubble

    def announce_bubble(self, bubble: PhoneBubble) -> None:
        """Announce that a bubble is new or has changed."""
        event = {"type": "bubble", "platform": bubble.platform, "key": bubble.key, "bubble": bubble.to_json()}
        self.announce(event)
        for waiter in self._waiters.get((bubble.platform, bubble.key), ()):
            waiter.set()

    def remove(self, bubble: PhoneBubble) -> None:
        bubble.deleted = True
        bubbles = self.get(bubble.platform, bubble.key).bubbles
        if bubble in bubbles:
            bubbles.remove(bubble)
        self.announce_bubble(bubble)

    def show_typing(self, platform: Platform, key: str) -> None:
        self._get_or_add(platform, key).typing_until = self._clock() + TYPING_SECONDS
        self.announce({"type": "typing", "platform": platform, "key": key, "seconds": TYPING_SECONDS})

    def show_draft(
        self, platform: Platform, key: str, draft_id: int, text: str, entities: list[dict[str, Any]], *, can_stop: bool
    ) -> None:
        draft = Draft(draft_id, text, entities, can_stop, self._clock() + DRAFT_SECONDS)
        self._get_or_add(platform, key).draft = draft
        self.announce({"type": "draft", "platform": platform, "key": key, "draft": draft.to_json()})

    def clear_draft(self, platform: Platform, key: str) -> None:
        self.get(platform, key).draft = None
        self.announce({"type": "draft", "platform": platform, "key": key, "draft": None})

    def snapshot(self, platform: Platform, key: str) -> dict[str, Any]:
        """The transcript as the person sees it now."""
        transcript, now = self.get(platform, key), self._clock()
        draft = transcript.draft if transcript.draft and transcript.draft.until > now else None
        return {
            "platform": platform,
            "bubbles": [bubble.to_json() for bubble in transcript.bubbles],
            "outgoing": len(transcript.outgoing()),
            "typing": transcript.typing_until > now,
            "draft": draft.to_json() if draft else None,
            "simulated": True,
        }

    # -- listening ----------------------------------------------------------------------------------------------------

    def announce(self, event: dict[str, Any]) -> None:
        for subscriber in self._subscribers:
            subscriber.put(event)

    def notify_waiters(self) -> None:
        """Let all who waits look again."""
        for waiters in self._waiters.values():
            for waiter in waiters:
                waiter.set()

    @contextlib.contextmanager
    def subscribe(self) -> Iterator[EventSubscriber]:
        """A EventSubscriber that hears all news while the context is open."""
        subscriber = EventSubscriber()
        self._subscribers.add(subscriber)
        try:
            yield subscriber
        finally:
            self._subscribers.discard(subscriber)

    async def wait_until(self, platform: Platform, key: str, condition: Callable[[], bool], seconds: float) -> None:
        """Wait until a change in this transcript brings the condition about, or until the time is over."""
        changed = asyncio.Event()
        waiters = self._waiters.setdefault((platform, key), set())
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
                self._waiters.pop((platform, key), None)
