"""Queries: the history for a prompt, and everything that operators see. They change nothing.

Each takes a connection and returns plain values. Totals are the counters kept by the writing transactions, so that the
cost of a status does not depend on the number of messages.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import fields
from typing import Any

from sqlalchemy import (
    ColumnElement,
    CompoundSelect,
    Connection,
    Double,
    Integer,
    Row,
    Table,
    bindparam,
    case,
    func,
    literal_column,
    or_,
    select,
    tuple_,
    union_all,
)

from relay.core.errors import ModelFailure
from relay.core.messages import (
    OPEN_PART_STATES,
    Attachment,
    HistoryMessage,
    InboundMessage,
    Limit,
    Outcome,
    Part,
    PartId,
    PartState,
    Platform,
    ReplyId,
    Usage,
    User,
    UserId,
    UserState,
)
from relay.core.text import timestamp
from relay.storage.schema import (
    constant,
    conversations,
    counters,
    in_states,
    inbound,
    is_open,
    metadata,
    outbound,
    saved_state,
    users,
)
from relay.storage.transactions import of_bound_user, of_user, user_parameters

PAGE_LIMIT = 500

PRUNED_MESSAGES = "pruned_messages"
"""The counter of history messages that were deleted because of their age; totals include them."""

_USER = select(users).where(of_bound_user(users))
_message_columns = (
    *(conversations.c.role, conversations.c.message, conversations.c.timestamp),
    conversations.c.attachments,
)


def _exchanges(of_topic: ColumnElement[bool]) -> CompoundSelect[Any]:
    """The last questions and their answers; one role at a time: the index begins with it, and no command is read."""
    shown = of_bound_user(conversations) & conversations.c.in_context & of_topic
    questions = select(conversations.c.id).where(shown, conversations.c.role == "user")
    newest = questions.order_by(conversations.c.id.desc()).limit(bindparam("exchanges")).subquery()
    first = select(func.min(newest.c.id)).scalar_subquery()
    columns = select(conversations.c.id, *_message_columns)
    roles = (columns.where(shown, conversations.c.role == role, conversations.c.id >= first) for role in _ROLES)
    return union_all(*roles).order_by("id")


_ROLES = ("user", "assistant")
_EXCHANGES = _exchanges(conversations.c.topic.is_(None))
_TOPIC_EXCHANGES = _exchanges(conversations.c.topic == bindparam("of_topic"))

MAX_RECENT_MESSAGES = 40
_RECENT = (
    select(*_message_columns, conversations.c.topic, conversations.c.in_context)
    .where(of_bound_user(conversations))
    .order_by(conversations.c.id.desc())
    .limit(MAX_RECENT_MESSAGES)
)
# An answer that could not be used was paid for as well, so it counts for the limits.
_answered = (inbound.c.outcome == constant(Outcome.ANSWERED)) | (inbound.c.reason == constant(ModelFailure.UNUSABLE))
_told = inbound.c.outcome == constant(Outcome.TOLD)
_over_minute, _over_day = (inbound.c.reason == constant(limit) for limit in (Limit.MINUTE, Limit.DAY))
_over_spending = inbound.c.reason.in_((constant(Limit.USER_SPENDING), constant(Limit.SPENDING)))


def _count_of(condition: ColumnElement[bool], name: str) -> ColumnElement[int]:
    return func.sum(case((condition, literal_column("1", Integer)), else_=literal_column("0", Integer))).label(name)


_since_a_minute = inbound.c.received_at > bindparam("minute")
_USAGE = select(
    _count_of(_answered & _since_a_minute, "minute"),
    _count_of(_answered, "day"),
    _count_of(_told & _over_minute & _since_a_minute, "notified_minute"),
    _count_of(_told & _over_day, "notified_day"),
    _count_of(_told & _over_spending, "notified_spending"),
).where(inbound.c.received_at.between(bindparam("day"), bindparam("now")))  # not from before the clock was set back
_in_groups = (inbound.c.platform == bindparam("of_platform")) & (inbound.c.sender == bindparam("of_user"))
_USAGES = union_all(
    _USAGE.where(of_bound_user(inbound), inbound.c.sender.is_(None)),
    _USAGE.where(_in_groups, inbound.c.sender.is_not(None)),
)


_TIMES = {column.name for table in metadata.sorted_tables for column in table.c if isinstance(column.type, Double)}
_TIMES -= {"cost_usd", "first_token_seconds", "total_seconds", "value", "lease_until"}


def plain(row: Any, *names: str) -> dict[str, Any]:
    """These columns of a row for JSON, times as ISO 8601."""
    values = ((name, getattr(row, name)) for name in names)
    return {name: timestamp(value) if name in _TIMES else value for name, value in values}


def find_user(connection: Connection, platform: Platform, user_id: UserId) -> User | None:
    row = connection.execute(_USER, user_parameters(platform, user_id)).first()
    return _user(row) if row else None


def _user(row: Row[Any]) -> User:
    return User(**{field.name: getattr(row, field.name) for field in fields(User)} | {"state": UserState(row.state)})


Messages = tuple[HistoryMessage, ...]


def recent_messages(
    connection: Connection, platform: Platform, user_id: UserId, exchanges: int, topic: str | None = None
) -> tuple[Messages, Messages]:
    """The latest messages of a history, those outside the prompt included, and those of the prompt; oldest first.

    The prompt has the last `exchanges` questions of a topic with their answers. It is read by itself only where the
    latest messages, most of them commands or of other topics, do not contain it.
    """
    key = user_parameters(platform, user_id)
    rows: Sequence[Any] = connection.execute(_RECENT, key).all()[::-1]
    shown: Sequence[Any] = [row for row in rows if row.in_context and row.topic == topic]
    questions = [place for place, row in enumerate(shown) if row.role == "user"][-exchanges:] if exchanges else []
    if len(questions) < exchanges and len(rows) == MAX_RECENT_MESSAGES:
        of_topic = {} if topic is None else {"of_topic": topic}
        statement = _EXCHANGES if topic is None else _TOPIC_EXCHANGES
        shown = connection.execute(statement, {**key, "exchanges": exchanges, **of_topic}).all()
    else:
        shown = shown[questions[0] :] if questions else ()
    return _messages(rows), _messages(shown)


def _messages(rows: Iterable[Any]) -> Messages:
    return tuple(
        HistoryMessage(row.role, row.message, row.timestamp, stored_attachments(row.attachments)) for row in rows
    )


def stored_attachments(value: Any) -> tuple[Attachment, ...]:
    """Attachments as they are stored; before there were references, a message had their types alone."""
    return tuple(Attachment(one) if isinstance(one, str) else Attachment(**one) for one in value or ())


def kept_contents(connection: Connection) -> frozenset[str]:
    """The SHA-256 of the content of every attachment in the history."""
    chosen = select(conversations.c.attachments).where(conversations.c.attachments.is_not(None))
    rows = connection.execute(chosen).scalars()
    return frozenset(one.sha256 for row in rows for one in stored_attachments(row) if one.sha256)


def usage(connection: Connection, platform: Platform, writer: UserId, now: float) -> Usage:
    """How many messages of a writer were answered lately, in all chats, and whether a notice about a limit was sent."""
    moments = {"minute": now - 60, "day": now - 86_400, "now": now}
    rows = connection.execute(_USAGES, {**user_parameters(platform, writer), **moments}).all()
    minute, day, *notified = (sum(value or 0 for value in column) for column in zip(*rows, strict=True))
    of_minute, of_day, of_spending = map(bool, notified)
    return Usage(minute, day, of_minute, of_day, of_spending)


def has_reply(connection: Connection, message: InboundMessage) -> bool:
    """Whether one of the latest parts to this user replies to the message with the same id at the provider."""
    own = of_user(outbound, message.platform, message.user_id) & outbound.c.provider_id.is_not(None)
    latest = select(outbound.c.reply_to).where(own).order_by(outbound.c.id.desc()).limit(MAX_RECENT_MESSAGES)
    return message.reply_to in set(connection.execute(latest).scalars())


def read_state(connection: Connection, platform: Platform, name: str) -> Any:
    """The value under a name, or None."""
    chosen = (saved_state.c.platform == platform) & (saved_state.c.name == name)
    return connection.execute(select(saved_state.c.value).where(chosen)).scalar()


def status(connection: Connection, platform: Platform, platforms: Sequence[Platform], now: float) -> dict[str, Any]:
    """The figures of one platform with the totals of all `platforms`, under the keys of the status routes."""
    counts = _counts(connection, platforms)
    own = counts[platform]
    users_by = {name: int(counts[name].get("users", 0)) for name in platforms}
    messages_by = {name: int(sum(counts[name].get(key, 0) for key in _ALL_MESSAGES)) for name in platforms}
    return {
        "platform": platform,
        "total_users": sum(users_by.values()),
        "users_by_platform": users_by,
        "total_messages": sum(messages_by.values()),
        "messages_by_platform": messages_by,
        "received": int(own.get("inbound", 0)),
        "dead_letters": int(own.get("dead_letters", 0)),
        **_queue(connection, platform, own, now),
        "delivery": {state: int(own.get(f"part:{state}", 0)) for state in PartState},
        "dismissed_parts": int(own.get("dismissed_parts", 0)),
        "resends_after_unknown_outcome": int(own.get("resends", 0)),
        "cost": {
            "model_usd": round(own.get("model_cost_usd", 0.0), 6),
            "unusable_usd": round(own.get("unusable_cost_usd", 0.0), 6),
            "unusable_answers": int(own.get("unusable_answers", 0)),
            "prompt_tokens": int(own.get("prompt_tokens", 0)),
            "answer_tokens": int(own.get("answer_tokens", 0)),
            "segments": int(own.get("segments", 0)),
        },
    }


_ALL_MESSAGES = ("messages", PRUNED_MESSAGES)


def _counts(connection: Connection, platforms: Sequence[Platform]) -> dict[str, dict[str, float]]:
    found: dict[str, dict[str, float]] = {name: {} for name in platforms}
    for row in connection.execute(select(counters)):
        found.setdefault(row.platform, {})[row.name] = row.value
    return found


def waiting(connection: Connection, platform: Platform) -> tuple[int, float | None]:
    """How many messages are not answered yet, and when the oldest came."""
    found = select(func.count(), func.min(inbound.c.received_at)).where(
        inbound.c.platform == platform, is_open(inbound)
    )
    depth, oldest = connection.execute(found).one()
    return depth, oldest


def backlog(connection: Connection, platform: Platform) -> tuple[int, float | None, int]:
    """How many messages are not answered, when the oldest of them came, and how many parts are not sent."""
    own = _counts(connection, [platform])[platform]
    return *waiting(connection, platform), sum(int(own.get(f"part:{state}", 0)) for state in OPEN_PART_STATES)


def count_of(connection: Connection, platform: Platform, name: str) -> int:
    """One counter of a platform."""
    chosen = select(counters.c.value).where(counters.c.platform == platform, counters.c.name == name)
    return int(connection.execute(chosen).scalar() or 0)


def _queue(connection: Connection, platform: Platform, counts: dict[str, float], now: float) -> dict[str, Any]:
    """The length and age of the queues, from counters and open rows."""
    depth, oldest = waiting(connection, platform)
    return {
        "queue_depth": depth,
        "oldest_unanswered_seconds": None if oldest is None else round(max(0.0, now - oldest), 1),
        "unsent_parts": sum(int(counts.get(f"part:{state}", 0)) for state in OPEN_PART_STATES),
    }


def list_all_users(
    connection: Connection, platforms: Sequence[Platform], search: str, limit: int, offset: int
) -> list[dict[str, Any]]:
    """All users of these platforms, with or without a name, the latest first.

    search: part of a name or an address, in any case; empty for all users.
    """
    found_by = matching(search) if search else None
    found: list[Row[Any]] = []
    for platform in platforms:  # one at a time: the index of the latest users begins with the platform
        chosen = select(users).where(users.c.platform == platform)
        if found_by is not None:
            chosen = chosen.where(found_by)
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
    """When a user wrote the first message behind our last one."""
    theirs = of_user(conversations, user.platform, user.user_id)
    ours = select(func.max(conversations.c.id)).where(theirs, conversations.c.role == "assistant").scalar_subquery()
    later = select(func.min(conversations.c.timestamp)).where(
        theirs, conversations.c.role == "user", conversations.c.id > func.coalesce(ours, 0)
    )
    return timestamp(connection.execute(later).scalar())


def names_of(connection: Connection, keys: Iterable[tuple[str, str]]) -> dict[tuple[str, str], str]:
    """The names of these users, given as (platform, address), as far as they have one."""
    chosen = select(users.c.platform, users.c.user_id, users.c.name).where(
        tuple_(users.c.platform, users.c.user_id).in_(sorted(keys)), users.c.name.is_not(None)
    )
    return {(row.platform, row.user_id): row.name for row in connection.execute(chosen)}


def user_fields(row: Row[Any] | User) -> dict[str, Any]:
    """One user in the form of the status routes."""
    profile = plain(row, "platform", "user_id", "name", "username", "state", "message_count")
    link = {"start": start} if (start := (row.settings or {}).get("start")) else {}
    return {**profile, **link, **plain(row, "created_at", "updated_at", "last_message_at")}


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
        | plain(row, "model", "source", "cost_usd", "total_seconds", "sources", "attachments")
        for row in reversed(rows)
    ]


def accepted_ids(connection: Connection, part: Part) -> frozenset[str]:
    """The provider's ids of the newest parts sent to this user; for a part being resent, that of the failed attempt."""
    theirs = of_user(outbound, part.platform, part.user_id)
    known = select(outbound.c.provider_id).where(theirs, outbound.c.provider_id.is_not(None))
    return frozenset(connection.execute(known.order_by(outbound.c.id.desc()).limit(PAGE_LIMIT)).scalars())


def parts_without_status(
    connection: Connection, platform: Platform, after: float, before: float
) -> list[tuple[PartId, str, float]]:
    """The oldest parts accepted between these times of which nothing was reported: id, provider's id, acceptance."""
    theirs = (outbound.c.platform == platform) & in_states(outbound, PartState.ACCEPTED)
    chosen = theirs & outbound.c.accepted_at.between(after, before) & outbound.c.provider_id.is_not(None)
    columns = (outbound.c.part_id, outbound.c.provider_id, outbound.c.accepted_at)
    rows = connection.execute(select(*columns).where(chosen).order_by(outbound.c.accepted_at).limit(PAGE_LIMIT))
    return [(PartId(row.part_id), row.provider_id, row.accepted_at) for row in rows]


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
    # Every part has an address; with this condition SQLite uses the index of open parts, not one of all parts.
    waiting = is_open(outbound) & (outbound.c.user_id >= "")
    return [part(row) for row in _first_rows(connection, outbound, waiting, limit, platforms)]


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
    # Among the newest of the platform: otherwise a user without failures costs a scan of all failed parts.
    lately = (
        select(outbound)
        .where(outbound.c.platform == platform, trouble)
        .order_by(outbound.c.id.desc())
        .limit(PAGE_LIMIT)
        .subquery()
    )
    failed = connection.execute(
        select(lately).where(lately.c.user_id == user_id).order_by(lately.c.id.desc()).limit(limit)
    ).all()
    return [part(row) for row in sorted([*failed, *waiting], key=lambda row: row.id)]
