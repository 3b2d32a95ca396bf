"""Transcripts: the bubbles on each phone, and events about their changes.

The simulated providers add and change bubbles; the control API and the page read them.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
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
    sent_files: list[str] = field(default_factory=list)
    part_key: str | None = None
    author: str | None = None
    reply_to: int | None = None
    thread: int | None = None
    buttons: list[list[dict[str, Any]]] = field(default_factory=list)
    files: list[dict[str, Any]] = field(default_factory=list)

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


@dataclass(slots=True)
class Transcript:
    """The bubbles of one person or chat on one platform. changed: set, and replaced, at the next change."""

    platform: Platform
    key: str
    bubbles: list[PhoneBubble] = field(default_factory=list)
    typing_until: float = 0.0
    draft: Draft | None = None
    draft_until: float = 0.0
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    def outgoing(self) -> list[PhoneBubble]:
        return [bubble for bubble in self.bubbles if bubble.direction == "out"]

    def notify(self) -> None:
        """Wake all tasks that wait for a change."""
        self.changed.set()
        self.changed = asyncio.Event()


class Transcripts:
    """All transcripts, and the events about their changes."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._transcripts: dict[tuple[Platform, str], Transcript] = {}
        self._subscribers: set[asyncio.Queue[dict[str, Any]]] = set()
        self._last_id = 0

    def get(self, platform: Platform, key: str) -> Transcript:
        """The transcript of a phone; for an unknown one an empty transcript, which is not kept."""
        return self._transcripts.get((platform, key)) or Transcript(platform, key)

    def _get_or_add(self, platform: Platform, key: str) -> Transcript:
        return self._transcripts.setdefault((platform, key), Transcript(platform, key))

    def all(self) -> list[Transcript]:
        return list(self._transcripts.values())

    def clear(self) -> None:
        before, self._transcripts = self.all(), {}
        self.announce("reload")
        for transcript in before:
            transcript.notify()

    def stop(self) -> None:
        """End all waits and event streams, whose conditions must be true from now on."""
        self.announce("stopping")
        for transcript in self.all():
            transcript.notify()

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
        self.announce("bubble", platform=bubble.platform, key=bubble.key, bubble=bubble.to_json())
        self.get(bubble.platform, bubble.key).notify()

    def remove(self, bubble: PhoneBubble) -> None:
        bubble.deleted = True
        bubbles = self.get(bubble.platform, bubble.key).bubbles
        if bubble in bubbles:
            bubbles.remove(bubble)
        self.announce_bubble(bubble)

    def show_typing(self, platform: Platform, key: str) -> None:
        self._get_or_add(platform, key).typing_until = self._clock() + TYPING_SECONDS
        self.announce("typing", platform=platform, key=key, seconds=TYPING_SECONDS)

    def show_draft(self, platform: Platform, key: str, draft: Draft | None) -> None:
        """Show a draft for DRAFT_SECONDS in place of the one before; None removes it."""
        transcript = self._get_or_add(platform, key)
        transcript.draft, transcript.draft_until = draft, self._clock() + DRAFT_SECONDS
        self.announce("draft", platform=platform, key=key, draft=asdict(draft) if draft else None)

    def draft(self, platform: Platform, key: str) -> Draft | None:
        """The draft that is shown now."""
        transcript = self.get(platform, key)
        return transcript.draft if transcript.draft_until > self._clock() else None

    def snapshot(self, platform: Platform, key: str) -> dict[str, Any]:
        """The transcript as the person sees it now."""
        transcript, draft = self.get(platform, key), self.draft(platform, key)
        return {
            "platform": platform,
            "bubbles": [bubble.to_json() for bubble in transcript.bubbles],
            "outgoing": len(transcript.outgoing()),
            "typing": transcript.typing_until > self._clock(),
            "draft": asdict(draft) if draft else None,
            "simulated": True,
        }

    def announce(self, kind: str, **details: Any) -> None:
        """Send an event to all subscribers; one whose queue is full gets a "reload" instead of its content."""
        for queue in self._subscribers:
            full = queue.full()
            while full and not queue.empty():
                queue.get_nowait()
            queue.put_nowait({"type": "reload"} if full else {"type": kind, **details})

    @contextlib.contextmanager
    def subscribe(self) -> Iterator[asyncio.Queue[dict[str, Any]]]:
        """A queue that receives all events while the context is open."""
        queue: asyncio.Queue[dict[str, Any]] = asyncio.Queue(MAX_QUEUED_EVENTS)
        self._subscribers.add(queue)
        try:
            yield queue
        finally:
            self._subscribers.discard(queue)

    async def wait_until(self, platform: Platform, key: str, condition: Callable[[], bool], seconds: float) -> None:
        """Wait until a change in this transcript makes the condition true, at most `seconds`."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while not condition():
                    await self._get_or_add(platform, key).changed.wait()
