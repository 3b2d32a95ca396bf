"""What is read and never changed: the context of a question, and everything that operators look at.

Each query takes a connection and returns plain values. Totals come from the counters that the writing transactions
keep, so that a status costs the same with ten messages as with ten million.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, Row, Select, func, select

from relay.messages import OPEN_PART_STATES, Exchange, PartState, Platform, ReplyId, User, UserId, UserState
from relay.schema import conversations, counters, inbound, notes, outbound, users
from relay.transactions import of_person

PAGE_LIMIT = 500


def timestamp(seconds: float | None) -> str | None:
    """Seconds since the epoch as RFC 3339 in UTC, the way every answer of ours shows a moment."""
    if seconds is None:
        return None
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def find_user(connection: Connection, platform: Platform, user_id: UserId) -> User | None:
    row = connection.execute(select(users).where(of_person(users, platform, user_id))).first()
    return _user(row) if row else None


def _user(row: Row[Any]) -> User:
    return User(
        platform=Platform(row.platform),
        user_id=UserId(row.user_id),
        name=row.name,
        username=row.username,
        state=UserState(row.state),
        message_count=row.message_count,
        created_at=row.created_at,
        updated_at=row.updated_at,
        last_message_at=row.last_message_at,
        language=row.language,
        settings=row.settings,
    )


def context(
    connection: Connection, platform: Platform, user_id: UserId, exchanges: int
) -> tuple[User | None, list[Exchange]]:
    """The person, and the last `exchanges` questions with what was answered to them, oldest first."""
    user = find_user(connection, platform, user_id)
    if user is None or exchanges == 0:
        return user, []
    shown = of_person(conversations, platform, user_id) & conversations.c.in_context
    questions = select(conversations.c.id).where(shown, conversations.c.role == "user")
    first = connection.execute(questions.order_by(conversations.c.id.desc()).limit(exchanges)).all()
    if not first:
        return user, []
    lines = select(conversations).where(shown, conversations.c.id >= first[-1].id).order_by(conversations.c.id)
    return user, [Exchange(row.role, row.message, row.timestamp) for row in connection.execute(lines)]


def note(connection: Connection, platform: Platform, name: str) -> Any:
    row = connection.execute(select(notes.c.value).where(notes.c.platform == platform, notes.c.name == name)).first()
    return row.value if row else None


def all_notes(connection: Connection) -> list[dict[str, Any]]:
    rows = connection.execute(select(notes).order_by(notes.c.platform, notes.c.name))
    return [
        {"platform": row.platform, "name": row.name, "value": row.value, "updated_at": timestamp(row.updated_at)}
        for row in rows
    ]


def status(connection: Connection, platform: Platform, now: float) -> dict[str, Any]:
    """The figures of one platform, with the totals of both, in the words of the status routes."""
    counts = _counts(connection)
    own = counts[platform]
    users_by = {name: int(counts[name].get("users", 0)) for name in Platform}
    messages_by = {name: int(counts[name].get("messages", 0)) for name in Platform}
    return {
        "platform": platform,
        "total_users": sum(users_by.values()),
        "users_by_platform": users_by,
        "total_messages": sum(messages_by.values()),
        "messages_by_platform": messages_by,
        "received": int(own.get("inbound", 0)),
        "dead_letters": int(own.get("dead_letters", 0)),
        **_queue(connection, platform, now),
        "delivery": {state: int(own.get(f"part:{state}", 0)) for state in PartState},
        "resends_after_unknown_outcome": int(own.get("resends", 0)),
        "cost": {
            "model_usd": round(own.get("model_cost_usd", 0.0), 6),
            "prompt_tokens": int(own.get("prompt_tokens", 0)),
            "answer_tokens": int(own.get("answer_tokens", 0)),
            "segments": int(own.get("segments", 0)),
        },
    }


def _counts(connection: Connection) -> dict[str, dict[str, float]]:
    found: dict[str, dict[str, float]] = {name: {} for name in Platform}
    for row in connection.execute(select(counters)):
        found.setdefault(row.platform, {})[row.name] = row.value
    return found


def _queue(connection: Connection, platform: Platform, now: float) -> dict[str, Any]:
    """What waits; it reads open rows only, of which there are few."""
    waiting = select(func.count(), func.min(inbound.c.received_at)).where(
        inbound.c.platform == platform, inbound.c.state == "received"
    )
    depth, oldest = connection.execute(waiting).one()
    unsent = select(func.count()).where(outbound.c.platform == platform, outbound.c.state.in_(OPEN_PART_STATES))
    return {
        "queue_depth": depth,
        "oldest_unanswered_seconds": None if oldest is None else round(max(0.0, now - oldest), 1),
        "unsent_parts": connection.execute(unsent).scalar_one(),
    }


def list_users(connection: Connection, platform: Platform, limit: int, offset: int) -> list[dict[str, Any]]:
    """Registered people, the one who wrote last first."""
    chosen = select(users).where(users.c.platform == platform, users.c.name.is_not(None))
    page = chosen.order_by(users.c.last_message_at.desc(), users.c.user_id).limit(limit).offset(offset)
    return [person(row) for row in connection.execute(page)]


def list_people(connection: Connection, platform: Platform | None, limit: int, offset: int) -> list[dict[str, Any]]:
    """Everybody who ever wrote or was written to, with or without a name, of one platform or of both."""
    chosen = select(users) if platform is None else select(users).where(users.c.platform == platform)
    page = chosen.order_by(users.c.updated_at.desc(), users.c.user_id).limit(limit).offset(offset)
    return [person(row) for row in connection.execute(page)]


def person(row: Row[Any] | User) -> dict[str, Any]:
    """One person as the status routes show them."""
    return {
        "platform": row.platform,
        "user_id": row.user_id,
        "name": row.name,
        "username": row.username,
        "state": row.state,
        "message_count": row.message_count,
        "created_at": timestamp(row.created_at),
        "updated_at": timestamp(row.updated_at),
        "last_message_at": timestamp(row.last_message_at),
    }


def reply(connection: Connection, reply_id: ReplyId) -> list[dict[str, Any]]:
    """The parts of one reply and what became of them."""
    rows = connection.execute(select(outbound).where(outbound.c.reply_id == reply_id).order_by(outbound.c.number))
    return [part(row) for row in rows]


def part(row: Row[Any]) -> dict[str, Any]:
    """One part as operators see it."""
    return {
        "id": row.part_id,
        "reply_id": row.reply_id,
        "platform": row.platform,
        "user_id": row.user_id,
        "origin": row.origin,
        "number": row.number,
        "count": row.part_count,
        "text": row.text,
        "segments": row.segments,
        "state": row.state,
        "provider_id": row.provider_id,
        "error_code": row.error_code,
        "error": row.error,
        "attempts": row.attempts,
        "due": timestamp(row.due),
        "created_at": timestamp(row.created_at),
        "accepted_at": timestamp(row.accepted_at),
    }


def conversation(
    connection: Connection, platform: Platform, user_id: UserId, limit: int, before: int | None = None
) -> list[dict[str, Any]]:
    """The last lines of a history, oldest first; `before` is the id of a line to page back from."""
    chosen = select(conversations).where(of_person(conversations, platform, user_id))
    if before is not None:
        chosen = chosen.where(conversations.c.id < before)
    rows = connection.execute(chosen.order_by(conversations.c.id.desc()).limit(limit)).all()
    return [
        {
            "id": row.id,
            "role": row.role,
            "message": row.message,
            "timestamp": timestamp(row.timestamp),
            "in_context": row.in_context,
            "reply_id": row.reply_id,
            "model": row.model,
            "cost_usd": row.cost_usd,
        }
        for row in reversed(rows)
    ]


def parts_of(connection: Connection, reply_ids: Sequence[str]) -> dict[str, list[dict[str, Any]]]:
    """The parts of several replies at once, by reply."""
    found: dict[str, list[dict[str, Any]]] = {}
    chosen = select(outbound).where(outbound.c.reply_id.in_(reply_ids)).order_by(outbound.c.id)
    for row in connection.execute(chosen) if reply_ids else ():
        found.setdefault(row.reply_id, []).append(part(row))
    return found


def waiting_messages(connection: Connection, limit: int) -> list[dict[str, Any]]:
    """Inbound messages not answered yet, oldest first."""
    return _inbound(
        connection, select(inbound).where(inbound.c.state == "received").order_by(inbound.c.id).limit(limit)
    )


def dead_letters(connection: Connection, limit: int) -> list[dict[str, Any]]:
    """Inbound messages that were given up or not understood, newest first."""
    return _inbound(
        connection, select(inbound).where(inbound.c.state == "dead").order_by(inbound.c.id.desc()).limit(limit)
    )


def _inbound(connection: Connection, chosen: Select[Any]) -> list[dict[str, Any]]:
    return [
        {
            "id": row.id,
            "platform": row.platform,
            "external_id": row.external_id,
            "user_id": row.user_id,
            "text": (row.body or {}).get("text"),
            "raw": row.raw,
            "received_at": timestamp(row.received_at),
            "due": timestamp(row.due),
            "failures": row.failures,
            "outcome": row.outcome,
            "error": row.error,
        }
        for row in connection.execute(chosen)
    ]


def unsent_parts(connection: Connection, limit: int) -> list[dict[str, Any]]:
    """Parts that wait to be sent, oldest first."""
    chosen = select(outbound).where(outbound.c.state.in_(OPEN_PART_STATES)).order_by(outbound.c.id).limit(limit)
    return [part(row) for row in connection.execute(chosen)]


def failed_parts(connection: Connection, limit: int) -> list[dict[str, Any]]:
    """Parts that could not be sent or delivered, newest first."""
    trouble = outbound.c.state.in_((PartState.FAILED, PartState.UNDELIVERED))
    chosen = select(outbound).where(trouble).order_by(outbound.c.id.desc()).limit(limit)
    return [part(row) for row in connection.execute(chosen)]
