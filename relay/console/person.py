"""Gathers one person's page: the conversation as it happened, with what became of every part of every answer."""

from __future__ import annotations

from collections.abc import Container, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection

from relay.core.messages import Platform, UserId
from relay.core.text import timestamp
from relay.storage import queries

LINES_A_PAGE = 50
TROUBLED_PARTS = 20


@dataclass(frozen=True, slots=True)
class Address:
    """Who is looked at."""

    platform: Platform
    user_id: UserId


@dataclass(frozen=True, slots=True)
class Bubble:
    """One thing that was said, or is to be said; `key` stays the same as long as it is shown.

    kind: "spoken" is in the history; "waiting" is the person's and not answered yet; "unspoken" is ours, and waits or
    failed without having reached the person.
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
    total_seconds: float | None = None
    failures: int = 0
    error: str | None = None
    due: str | None = None


def read_person(connection: Connection, address: Address, before: int | None) -> dict[str, Any] | None:
    """The person and a page of the conversation, oldest first; None when nobody is known under this address.

    before: the id of a line to page back from; without it the page is the newest, and what is still under way is there.
    """
    user = queries.find_user(connection, address.platform, address.user_id)
    if user is None:
        return None
    lines = queries.conversation(connection, address.platform, address.user_id, LINES_A_PAGE + 1, before)
    older = len(lines) > LINES_A_PAGE
    lines = lines[-LINES_A_PAGE:]
    parts = queries.parts_of(connection, [line["reply_id"] for line in lines if line["reply_id"]])
    bubbles = [_spoken(line, parts.get(line["reply_id"] or "", [])) for line in lines]
    if before is None:
        bubbles = _with_unspoken(bubbles, _unspoken(connection, address, set(parts)), has_older=older)
        waiting = queries.waiting_messages_of(connection, address.platform, address.user_id, LINES_A_PAGE)
        bubbles += [_waiting(message) for message in waiting]
    return {
        "person": {
            **queries.person(user),
            "language": user.language,
            "paused": user.settings.get("paused"),
            "paused_until": timestamp(user.settings.get("paused_until")),
        },
        "bubbles": bubbles,
        "older": lines[0]["id"] if older else None,
        "newest": before is None,
    }


def _spoken(line: dict[str, Any], parts: Sequence[dict[str, Any]]) -> Bubble:
    """A line of the history."""
    return Bubble(
        key=f"line-{line['id']}",
        kind="spoken",
        from_person=line["role"] == "user",
        text=line["message"],
        at=line["timestamp"],
        parts=parts,
        origin=parts[0]["origin"] if parts else None,
        model=line["model"],
        source=line["source"],
        cost_usd=line["cost_usd"],
        total_seconds=line["total_seconds"],
    )


def _waiting(message: dict[str, Any]) -> Bubble:
    """What the person wrote and nobody answered yet; it enters the history together with its answer."""
    return Bubble(
        key=f"waiting-{message['id']}",
        kind="waiting",
        from_person=True,
        text=message["text"] or "",
        at=message["received_at"],
        failures=message["failures"],
        error=message["error"],
        due=message["due"],
    )


def _unspoken(connection: Connection, address: Address, shown: Container[str]) -> list[Bubble]:
    """Replies that wait or failed and have no line in the history."""
    troubled = queries.troubled_parts_of(connection, address.platform, address.user_id, TROUBLED_PARTS)
    reply_ids = list(dict.fromkeys(part["reply_id"] for part in troubled if part["reply_id"] not in shown))
    return [
        Bubble(
            key=f"reply-{reply_id}",
            kind="unspoken",
            from_person=False,
            text="\n".join(part["text"] for part in parts),
            at=parts[0]["created_at"],
            parts=parts,
            origin=parts[0]["origin"],
        )
        for reply_id, parts in queries.parts_of(connection, reply_ids).items()
    ]


def _with_unspoken(lines: Sequence[Bubble], replies: Sequence[Bubble], *, has_older: bool) -> list[Bubble]:
    """The lines in their own order, with each reply put behind the last line that is older than it."""
    merged = list(lines)
    for reply in replies:
        place = next((index for index in range(len(merged), 0, -1) if merged[index - 1].at <= reply.at), 0)
        if place > 0 or not has_older:
            merged.insert(place, reply)
    return merged
