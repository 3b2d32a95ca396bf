"""Reads the data of a user's page: the conversation in order, with the delivery state of each part of each reply."""

from __future__ import annotations

from collections.abc import Container, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection

from relay.core.attachments import PICTURES, RECORDINGS, Content, note
from relay.core.messages import Attachment, Platform, UserId
from relay.core.person_settings import PersonSettings
from relay.core.text import timestamp
from relay.storage import listings, queries

MESSAGES_PER_PAGE = 50
TROUBLED_PARTS = 20


@dataclass(frozen=True, slots=True)
class Address:
    """Identifies a user."""

    platform: Platform
    user_id: UserId

    @property
    def key(self) -> tuple[Platform, UserId]:
        return self.platform, self.user_id


@dataclass(frozen=True, slots=True)
class ShownAttachment:
    """What came with a message. kind: how a browser shows it: "picture", "recording", or "file", which it saves."""

    kind: str
    label: str
    name: str
    sha256: str

    @classmethod
    def of(cls, attachment: Attachment) -> ShownAttachment:
        kinds = {**dict.fromkeys(PICTURES, "picture"), **dict.fromkeys(RECORDINGS, "recording")}
        kind = kinds.get(attachment.media_type, "file")
        return cls(kind, note(Content(attachment)).strip("[]"), attachment.name, attachment.sha256)


@dataclass(frozen=True, slots=True)
class ConversationEntry:
    """One message of the conversation as the page shows it; `key` is stable across reloads.

    kind: "spoken" is in the history; "waiting" is an inbound message without a reply; "unspoken" is a reply that
    waits or failed and is not in the history.
    """

    key: str
    kind: str
    from_person: bool
    text: str
    at: str
    parts: Sequence[dict[str, Any]] = ()
    origin: str | None = None
    model: str | None = None
    source: str | None = None
    cost_usd: float | None = None
    estimated: bool = False
    total_seconds: float | None = None
    sources: Sequence[str] = ()
    attachments: Sequence[ShownAttachment] = ()
    failures: int = 0
    error: str | None = None
    due: str | None = None


def read_person(connection: Connection, address: Address, before: int | None, now: float) -> dict[str, Any] | None:
    """The user and a page of the conversation, oldest first; None for an unknown address.

    before: id of a history message to page back from; without it the newest page, waiting messages included.
    """
    user = queries.find_user(connection, address.platform, address.user_id)
    if user is None:
        return None
    own = PersonSettings.of(user.settings)
    history = listings.conversation(connection, address.platform, address.user_id, MESSAGES_PER_PAGE + 1, before)
    older = len(history) > MESSAGES_PER_PAGE
    history = history[-MESSAGES_PER_PAGE:]
    parts = listings.parts_of(connection, [message["reply_id"] for message in history if message["reply_id"]])
    entries = [_from_history(message, parts.get(message["reply_id"] or "", [])) for message in history]
    if before is None:
        entries = _with_undelivered(entries, _undelivered(connection, address, set(parts)), has_older=older)
        waiting = listings.waiting_messages_of(connection, address.platform, address.user_id, MESSAGES_PER_PAGE)
        entries += [_waiting(message) for message in waiting]
    return {
        "person": {
            **listings.user_fields(user),
            "language": user.language,
            "with_person": user.is_with_person(now),
            "human_until": timestamp(user.human_until),
            "own": own,
            "not_answered_until": timestamp(own.paused_until) if own.is_paused(now) else None,
            "paused": user.settings.get("paused"),
            "paused_until": timestamp(user.settings.get("paused_until")),
        },
        "bubbles": entries,
        "older": history[0]["id"] if older else None,
        "newest": before is None,
    }


def _from_history(message: dict[str, Any], parts: Sequence[dict[str, Any]]) -> ConversationEntry:
    """The entry of a history message."""
    return ConversationEntry(
        key=f"line-{message['id']}",
        kind="spoken",
        from_person=message["role"] == "user",
        text=message["message"],
        at=message["timestamp"],
        parts=parts,
        origin=parts[0]["origin"] if parts else None,
        model=message["model"],
        source=message["source"],
        cost_usd=message["cost_usd"],
        estimated=bool(message["estimated"]),
        total_seconds=message["total_seconds"],
        sources=message["sources"] or (),
        attachments=[ShownAttachment.of(one) for one in queries.stored_attachments(message["attachments"])],
    )


def _waiting(message: dict[str, Any]) -> ConversationEntry:
    """The entry of an inbound message without a reply; it enters the history together with its reply."""
    return ConversationEntry(
        key=f"waiting-{message['id']}",
        kind="waiting",
        from_person=True,
        text=message["text"] or "",
        at=message["received_at"],
        attachments=[ShownAttachment.of(Attachment(kind)) for kind in message["attachments"]],
        failures=message["failures"],
        error=message["error"],
        due=message["due"],
    )


def _undelivered(connection: Connection, address: Address, shown: Container[str]) -> list[ConversationEntry]:
    """The entries of replies that wait or failed and are not in the history."""
    troubled = listings.troubled_parts_of(connection, address.platform, address.user_id, TROUBLED_PARTS)
    reply_ids = list(dict.fromkeys(part["reply_id"] for part in troubled if part["reply_id"] not in shown))
    return [
        ConversationEntry(
            key=f"reply-{reply_id}",
            kind="unspoken",
            from_person=False,
            text="\n".join(part["text"] for part in parts),
            at=parts[0]["created_at"],
            parts=parts,
            origin=parts[0]["origin"],
        )
        for reply_id, parts in listings.parts_of(connection, reply_ids).items()
    ]


def _with_undelivered(
    history: Sequence[ConversationEntry], replies: Sequence[ConversationEntry], *, has_older: bool
) -> list[ConversationEntry]:
    """Insert each reply behind the last older history message, whose order is kept."""
    merged = list(history)
    for reply in replies:
        place = next((index for index in range(len(merged), 0, -1) if merged[index - 1].at <= reply.at), 0)
        if place > 0 or not has_older:
            merged.insert(place, reply)
    return merged
