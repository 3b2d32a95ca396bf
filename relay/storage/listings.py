"""The rows that operators see: users, their conversations, what waits and what failed. Queries that change nothing.

Each takes a connection and returns dictionaries for JSON.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import fields
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    Table,
    exists,
    func,
    or_,
    select,
)

from relay.core.messages import Platform, ReplyId, User, UserId, UserState
from relay.core.parts import Origin, PartState
from relay.core.person_settings import PersonSettings
from relay.core.text import timestamp
from relay.storage.queries import UNSENT, plain, stored_attachments
from relay.storage.schema import (
    NOT_ACTIVE,
    conversations,
    in_states,
    inbound,
    is_open,
    outbound,
    users,
)
from relay.storage.transactions import of_user

AUTOMATIC = (Origin.COMMAND, Origin.NOTICE, Origin.BROADCAST)
"""What no person wrote to this user, and the model neither."""

MAX_READ = 50_000
"""How many rows a page of a state reads at most; no index begins with the state."""


def list_all_users(
    connection: Connection, platforms: Sequence[Platform], search: str, limit: int, offset: int, state: str = ""
) -> list[dict[str, Any]]:
    """All users of these platforms, with or without a name, the latest first.

    search: part of a name or an address, in any case; empty for all users. state: a UserState, empty for any.
    """
    found_by = matching(search) if search else None
    found: list[Row[Any]] = []
    for platform in platforms:  # one at a time: the index of the latest users begins with the platform
        chosen = select(users).where(users.c.platform == platform)
        if found_by is not None:
            chosen = chosen.where(found_by)
        if state:
            chosen = chosen.where(users.c.state == state)
        if state not in {"", UserState.ACTIVE}:
            chosen = chosen.where(NOT_ACTIVE)  # or SQLite does not see that the index of these users will do
        newest = users.c.last_message_at.desc().nulls_last()
        found += connection.execute(chosen.order_by(newest, users.c.user_id).limit(offset + limit)).all()
    found.sort(key=lambda row: -(row.last_message_at or 0))
    return [user_fields(row) for row in found[offset : offset + limit]]


def matching(search: str) -> ColumnElement[bool]:
    """Users whose name or address contains `search`; SQLite ignores the case of ASCII only, so others are listed."""
    spellings = {search} if search.isascii() else {search, search.lower(), search.upper(), search.title()}
    named = [
        column.icontains(text, autoescape=True) for column in (users.c.name, users.c.username) for text in spellings
    ]
    address = "".join(char for char in search if char not in " ()-./")
    return or_(*named, users.c.user_id.contains(address or search, autoescape=True))


def with_persons(connection: Connection, platforms: Sequence[Platform], now: float, limit: int) -> list[dict[str, Any]]:
    """Users whom a person answers instead of the AI; `waiting_since` is the first message without an answer, or None.

    Those who wait come first, the longest wait at the top.
    """
    answered_by_person = users.c.human_until.is_not(None) & (users.c.human_until > now)
    chosen = select(users).where(users.c.platform.in_(platforms), answered_by_person).limit(limit)
    found = [
        {**user_fields(row), **plain(row, "human_since", "human_until"), "waiting_since": _unanswered(connection, row)}
        for row in connection.execute(chosen).all()
    ]
    return sorted(found, key=lambda user: (user["waiting_since"] is None, user["waiting_since"] or user["human_since"]))


def _unanswered(connection: Connection, user: Row[Any]) -> str | None:
    """When a user wrote the first message behind our last one; since the takeover only a person's count as ours."""
    theirs = of_user(conversations, user.platform, user.user_id)
    is_automatic = (outbound.c.reply_id == conversations.c.reply_id) & outbound.c.origin.in_(AUTOMATIC)
    counts = (conversations.c.timestamp < user.human_since) | ~exists().where(is_automatic)
    ours = select(conversations.c.id).where(theirs, conversations.c.role == "assistant", counts)
    last = ours.order_by(conversations.c.id.desc()).limit(1).scalar_subquery()
    later = select(func.min(conversations.c.timestamp)).where(
        theirs, conversations.c.role == "user", conversations.c.id > func.coalesce(last, 0)
    )
    return timestamp(connection.execute(later).scalar())


def names_of(connection: Connection, keys: Iterable[tuple[str, str]]) -> dict[tuple[str, str], str]:
    """The names of these users, given as (platform, address), as far as they have one."""
    by_platform: dict[str, set[str]] = {}
    for platform, user_id in keys:
        by_platform.setdefault(platform, set()).add(user_id)
    found: dict[tuple[str, str], str] = {}
    for platform, user_ids in by_platform.items():  # SQLite finds no row of pairs by an index, and reads all users
        theirs = (users.c.platform == platform) & users.c.user_id.in_(sorted(user_ids))
        chosen = select(users.c.user_id, users.c.name).where(theirs, users.c.name.is_not(None))
        found |= {(platform, row.user_id): row.name for row in connection.execute(chosen)}
    return found


def user_fields(row: Row[Any] | User) -> dict[str, Any]:
    """One user in the form of the status routes."""
    profile = plain(row, "platform", "user_id", "name", "username", "state", "message_count")
    link = {"start": start} if (start := (row.settings or {}).get("start")) else {}
    chosen = PersonSettings.of(row.settings)
    own = {"by_operator": _by_operator(chosen)} if chosen != PersonSettings(language=chosen.language) else {}
    return {**profile, **link, **own, **plain(row, "created_at", "updated_at", "last_message_at")}


def _by_operator(chosen: PersonSettings) -> dict[str, Any]:
    """What an operator has set for a person."""
    own = {field.name: getattr(chosen, field.name) for field in fields(chosen)}
    return {**own, "paused_until": timestamp(chosen.paused_until or None)}


def reply(connection: Connection, reply_id: ReplyId) -> list[dict[str, Any]]:
    """The parts of one reply with their states."""
    rows = connection.execute(select(outbound).where(outbound.c.reply_id == reply_id).order_by(outbound.c.number))
    return [part(row) for row in rows]


def part(row: Row[Any]) -> dict[str, Any]:
    """One part in the form for operators."""
    place = plain(row, "reply_id", "platform", "user_id", "origin", "number", "text", "segments", "due", "created_at")
    outcome = plain(row, "state", "provider_id", "error_code", "error", "attempts", "accepted_at")
    return {"id": row.part_id, "count": row.part_count, **place, **outcome}


def conversation(
    connection: Connection, platform: Platform, user_id: UserId, limit: int, before: int | None = None
) -> list[dict[str, Any]]:
    """The last messages of a history, oldest first; `before` is the id of a message to page back from."""
    chosen = select(conversations).where(of_user(conversations, platform, user_id))
    if before is not None:
        chosen = chosen.where(conversations.c.id < before)
    rows = connection.execute(chosen.order_by(conversations.c.id.desc()).limit(limit)).all()
    return [
        plain(row, "id", "role", "message", "timestamp", "in_context", "reply_id")
        | plain(row, "model", "source", "cost_usd", "estimated", "total_seconds", "sources", "attachments")
        for row in reversed(rows)
    ]


def parts_of(connection: Connection, reply_ids: Sequence[str]) -> dict[str, list[dict[str, Any]]]:
    """The parts of several replies at once, by reply."""
    found: dict[str, list[dict[str, Any]]] = {}
    chosen = select(outbound).where(outbound.c.reply_id.in_(reply_ids)).order_by(outbound.c.id)
    for row in connection.execute(chosen) if reply_ids else ():
        found.setdefault(row.reply_id, []).append(part(row))
    return found


def waiting_messages(connection: Connection, platforms: Sequence[Platform], limit: int) -> list[dict[str, Any]]:
    """Inbound messages not answered yet, oldest first."""
    return [message(row) for row in _first_rows(connection, inbound, is_open(inbound), limit, platforms)]


def waiting_messages_of(
    connection: Connection, platform: Platform, user_id: UserId, limit: int
) -> list[dict[str, Any]]:
    """One user's messages that are not answered yet, oldest first."""
    waiting = select(inbound).where(of_user(inbound, platform, user_id), is_open(inbound))
    rows = connection.execute(waiting.order_by(inbound.c.id).limit(limit))
    return [message(row) for row in rows]


def dead_letters(connection: Connection, platforms: Sequence[Platform], limit: int) -> list[dict[str, Any]]:
    """Inbound messages that were given up or could not be parsed, newest first."""
    dead = in_states(inbound, "dead")
    return [message(row) for row in _first_rows(connection, inbound, dead, limit, platforms, newest_first=True)]


def _first_rows(
    connection: Connection,
    table: Table,
    which: ColumnElement[bool],
    limit: int,
    platforms: Sequence[Platform],
    *,
    newest_first: bool = False,
) -> list[Row[Any]]:
    """The first such rows, in the order of their ids; one platform at a time, because the indexes begin with it."""
    order = table.c.id.desc() if newest_first else table.c.id
    found: list[Row[Any]] = []
    for platform in platforms:
        chosen = select(table).where(table.c.platform == platform, which)
        found += connection.execute(chosen.order_by(order).limit(limit)).all()
    return sorted(found, key=lambda row: int(row.id), reverse=newest_first)[:limit]


def message(row: Row[Any]) -> dict[str, Any]:
    """One inbound message in the form for operators."""
    stored = plain(row, "id", "platform", "external_id", "user_id", "raw", "received_at")
    state = plain(row, "due", "failures", "outcome", "error")
    body = row.body or {}
    types = [one.media_type for one in stored_attachments(body.get("attachments"))]
    return {"text": body.get("text"), "attachments": types, **stored, **state}


def unsent_parts(connection: Connection, platforms: Sequence[Platform], limit: int) -> list[dict[str, Any]]:
    """Parts that wait to be sent, oldest first."""
    return [part(row) for row in _first_rows(connection, outbound, UNSENT, limit, platforms)]


def parts_in_state(
    connection: Connection, platforms: Sequence[Platform], state: PartState, limit: int, before: int | None
) -> tuple[list[dict[str, Any]], int | None]:
    """Parts of one state, newest first, with the id `row`; and the id to page back from, None behind the last page.

    A call reads at most MAX_READ rows, so a page of a rare state may have fewer parts than `limit`.
    """
    end = before or (connection.execute(select(func.max(outbound.c.id))).scalar() or 0) + 1
    first = max(1, end - MAX_READ)
    theirs = (func.coalesce(outbound.c.state, "") == state) & func.coalesce(outbound.c.platform, "").in_(platforms)
    chosen = select(outbound).where(theirs, outbound.c.id >= first, outbound.c.id < end)
    rows = connection.execute(chosen.order_by(outbound.c.id.desc()).limit(limit)).all()
    older = int(rows[-1].id) if len(rows) == limit else first if first > 1 else None
    return [{"row": row.id, **part(row)} for row in rows], older


def in_trouble(table: Table) -> ColumnElement[bool]:
    """Parts that could not be sent or delivered and that no operator has dismissed: the condition of their index."""
    return in_states(table, PartState.FAILED, PartState.UNDELIVERED) & table.c.dismissed_at.is_(None)


def failed_parts(connection: Connection, platforms: Sequence[Platform], limit: int) -> list[dict[str, Any]]:
    """Parts that could not be sent or delivered, newest first."""
    trouble = in_trouble(outbound)
    return [part(row) for row in _first_rows(connection, outbound, trouble, limit, platforms, newest_first=True)]


def troubled_parts_of(connection: Connection, platform: Platform, user_id: UserId, limit: int) -> list[dict[str, Any]]:
    """One user's open and recently failed parts, oldest first."""
    mine = of_user(outbound, platform, user_id)
    waiting = connection.execute(
        select(outbound).where(mine, is_open(outbound)).order_by(outbound.c.id).limit(limit)
    ).all()
    trouble = in_trouble(outbound)
    failed = connection.execute(select(outbound).where(mine, trouble).order_by(outbound.c.id.desc()).limit(limit)).all()
    return [part(row) for row in sorted([*failed, *waiting], key=lambda row: row.id)]
