"""The whole story of one inbound message, found by any id of it: arrival, model, parts, statuses. Changes nothing."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import takewhile
from typing import Any

from sqlalchemy import Connection, Row, select

from relay.core.messages import Platform
from relay.storage.listings import part
from relay.storage.queries import plain
from relay.storage.schema import conversations, delivery_events, inbound, indexed_parts, outbound
from relay.storage.transactions import of_user

MAX_PARTS = 200
_MAX_ID = 2**63 - 1
_MAX_MERGED = 20


def read_trace(connection: Connection, platforms: Sequence[Platform], sought: str) -> dict[str, Any] | None:
    """The story of the message that this id belongs to; None when there is no such id.

    sought: the id of an inbound row, also as it stands in the logs ("sms-12"), the provider's id of what came in or of
    a part, the id of a part or of a reply.
    """
    message = _inbound(connection, platforms, sought)
    parts = _parts_by_id(connection, platforms, sought) if message is None else _parts_of(connection, message)
    if message is None:
        if not parts:
            return None
        message = _row(connection, parts[0].inbound_id)
        parts = _parts_of(connection, message) if message is not None else parts
    replies = list(dict.fromkeys(row.reply_id for row in parts))
    lines = _lines(connection, replies)
    return {
        "message": _arrival(message, _question(connection, message, lines)) if message is not None else None,
        "lines": lines,
        "parts": [_sent(row) for row in parts],
        "events": _events(connection, parts),
    }


def _inbound(connection: Connection, platforms: Sequence[Platform], sought: str) -> Row[Any] | None:
    platform, dash, number = sought.rpartition("-")
    if number.isdecimal() and number.isascii() and int(number) <= _MAX_ID:
        found = _row(connection, int(number))
        if found is not None and (not dash or platform == found.platform):
            return found
    chosen = select(inbound).where(inbound.c.external_id == sought, inbound.c.platform.in_(platforms))
    return connection.execute(chosen.limit(1)).first()


def _row(connection: Connection, inbound_id: int | None) -> Row[Any] | None:
    return connection.execute(select(inbound).where(inbound.c.id == inbound_id)).first() if inbound_id else None


def _parts_by_id(connection: Connection, platforms: Sequence[Platform], sought: str) -> list[Row[Any]]:
    """The parts of the reply that has this id, or one of whose parts has it, here or at the provider."""
    is_named = (
        outbound.c.part_id == sought,
        outbound.c.reply_id == sought,
        (outbound.c.provider_id == sought) & outbound.c.platform.in_(platforms),
    )
    for condition in is_named:
        found = connection.execute(select(outbound.c.reply_id).where(condition).limit(1)).scalar()
        if found is not None:
            whole = select(outbound).where(outbound.c.reply_id == found).order_by(outbound.c.id)
            return list(connection.execute(whole.limit(MAX_PARTS)))
    return []


def _parts_of(connection: Connection, message: Row[Any]) -> list[Row[Any]]:
    """The parts that answer this message, in the order in which they were planned."""
    if message.user_id is None:
        return []
    theirs = (
        select(outbound)
        .where(of_user(outbound, message.platform, message.user_id), outbound.c.inbound_id == message.id)
        .order_by(outbound.c.id)
        .limit(MAX_PARTS)
    )
    found = (row for condition in indexed_parts() for row in connection.execute(theirs.where(condition)))
    return sorted({row.id: row for row in found}.values(), key=lambda row: row.id)


def _arrival(row: Row[Any], question: str) -> dict[str, Any]:
    """What came in; once it is answered, its text is in the history alone."""
    names = ("id", "platform", "user_id", "external_id", "state", "outcome", "reason", "error", "raw")
    return plain(row, *names, "tries", "failures", "received_at", "noticed_at", "finished_at") | {
        "text": (row.body or {}).get("text") or question
    }


def _question(connection: Connection, message: Row[Any], lines: Sequence[dict[str, Any]]) -> str:
    """The messages of the user right before the first reply: what was answered together."""
    if not lines or message.user_id is None:
        return ""
    theirs = of_user(conversations, message.platform, message.user_id) & (conversations.c.id < lines[0]["id"])
    before = select(conversations).where(theirs).order_by(conversations.c.id.desc()).limit(_MAX_MERGED)
    found = takewhile(lambda row: row.role == "user", connection.execute(before).all())
    return "\n".join(reversed([row.message for row in found]))


def _sent(row: Row[Any]) -> dict[str, Any]:
    return part(row) | plain(row, "part_id", "attempted_at", "resends", "updated_at", "cost_usd")


def _lines(connection: Connection, replies: Iterable[str]) -> list[dict[str, Any]]:
    """The messages of the history that came of it, with what the model reported."""
    names = ("id", "role", "message", "timestamp", "source", "model", "prompt_tokens", "answer_tokens", "cost_usd")
    chosen = select(conversations).where(conversations.c.reply_id.in_(list(replies))).order_by(conversations.c.id)
    return [
        plain(row, *names, "generation_id", "first_token_seconds", "total_seconds")
        for row in connection.execute(chosen)
    ]


def _events(connection: Connection, parts: Sequence[Row[Any]]) -> list[dict[str, Any]]:
    """What the provider reported about the parts, in the order of arrival."""
    by_provider = {(row.platform, row.provider_id) for row in parts if row.provider_id}
    found: dict[int, Any] = {}
    for platform, provider_id in by_provider:
        is_its = (delivery_events.c.platform == platform) & (delivery_events.c.provider_id == provider_id)
        found |= {row.id: row for row in connection.execute(select(delivery_events).where(is_its))}
    is_named = delivery_events.c.part_id.in_([row.part_id for row in parts])
    found |= {row.id: row for row in connection.execute(select(delivery_events).where(is_named))}
    names = ("id", "provider_id", "part_id", "state", "error_code", "error", "received_at", "applied")
    return [plain(found[key], *names) for key in sorted(found)]
