"""Queries on the path of a message, and the figures of a platform. They change nothing.

Each takes a connection and returns plain values; `relay.storage.listings` has the rows that operators see. Totals are
the counters kept by the writing transactions, so that the cost of a status does not depend on the number of messages.
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
    bindparam,
    case,
    func,
    literal_column,
    select,
    union_all,
)

from relay.core.errors import ModelFailure
from relay.core.messages import (
    Attachment,
    HistoryMessage,
    InboundMessage,
    Limit,
    Outcome,
    PartId,
    Platform,
    Usage,
    User,
    UserId,
    UserState,
)
from relay.core.parts import OPEN_PART_STATES, Part, PartState
from relay.core.retry import LONGEST_DELAY
from relay.core.text import timestamp
from relay.storage.prepared import Prepared
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

HELD = "held "
"""The beginning of the name of the state of a country whose parts are held (relay.storage.holds); it follows."""

PRUNED_MESSAGES = "pruned_messages"
"""The counter of history messages that were deleted because of their age; totals include them."""

_USER = Prepared(select(users).where(of_bound_user(users)))
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
_EXCHANGES = Prepared(_exchanges(conversations.c.topic.is_(None)))
_TOPIC_EXCHANGES = Prepared(_exchanges(conversations.c.topic == bindparam("of_topic")))

MAX_RECENT_MESSAGES = 40
_RECENT = Prepared(
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
_USAGES = Prepared(
    union_all(
        _USAGE.where(of_bound_user(inbound), inbound.c.sender.is_(None)),
        _USAGE.where(_in_groups, inbound.c.sender.is_not(None)),
    )
)


_TIMES = {column.name for table in metadata.sorted_tables for column in table.c if isinstance(column.type, Double)}
_TIMES -= {"usd", "billed_usd", "cost_usd", "first_token_seconds", "total_seconds", "value", "lease_until"}


def plain(row: Any, *names: str) -> dict[str, Any]:
    """These columns of a row for JSON, times as ISO 8601."""
    values = ((name, getattr(row, name)) for name in names)
    return {name: timestamp(value) if name in _TIMES else value for name, value in values}


def find_user(connection: Connection, platform: Platform, user_id: UserId) -> User | None:
    row = _USER.run(connection, user_parameters(platform, user_id)).first()
    return user_of(row) if row else None


def user_of(row: Row[Any]) -> User:
    """A row of `users` as a user."""
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
    rows: Sequence[Any] = _RECENT.run(connection, key)[::-1]
    shown: Sequence[Any] = [row for row in rows if row.in_context and row.topic == topic]
    questions = [place for place, row in enumerate(shown) if row.role == "user"][-exchanges:] if exchanges else []
    if len(questions) < exchanges and len(rows) == MAX_RECENT_MESSAGES:
        of_topic = {} if topic is None else {"of_topic": topic}
        statement = _EXCHANGES if topic is None else _TOPIC_EXCHANGES
        shown = statement.run(connection, {**key, "exchanges": exchanges, **of_topic})
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
    rows = _USAGES.run(connection, {**user_parameters(platform, writer), **moments})
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


def read_holds(connection: Connection, platform: Platform) -> dict[str, Any]:
    """The held countries of a channel; each has the fields of relay.core.holds.Hold."""
    named = (saved_state.c.platform == platform) & saved_state.c.name.startswith(HELD)
    rows = connection.execute(select(saved_state.c.name, saved_state.c.value).where(named))
    return {row.name.removeprefix(HELD): row.value for row in rows if row.value}


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
            "estimated_usd": round(own.get("estimated_cost_usd", 0.0), 6),
            "unusable_usd": round(own.get("unusable_cost_usd", 0.0), 6),
            "unusable_answers": int(own.get("unusable_answers", 0)),
            "prompt_tokens": int(own.get("prompt_tokens", 0)),
            "answer_tokens": int(own.get("answer_tokens", 0)),
            "segments": int(own.get("segments", 0)),
        },
    }


UNSENT = is_open(outbound) & (outbound.c.user_id >= "")
"""Every part has an address; with this condition SQLite uses the index of open parts, not one of all parts."""

_ALL_MESSAGES = ("messages", PRUNED_MESSAGES)


_COUNTED = (
    *("users", "inbound", "dead_letters", "dismissed_parts", "resends", "segments", "prompt_tokens", "answer_tokens"),
    *("model_cost_usd", "estimated_cost_usd", "unusable_cost_usd", "unusable_answers"),
    *_ALL_MESSAGES,
    *(f"part:{state}" for state in PartState),
)
"""The counters of the status: there are others for each day that has passed."""


def _counts(connection: Connection, platforms: Sequence[Platform]) -> dict[str, dict[str, float]]:
    found: dict[str, dict[str, float]] = {name: {} for name in platforms}
    chosen = select(counters).where(counters.c.platform.in_(platforms), counters.c.name.in_(_COUNTED))
    for row in connection.execute(chosen):
        found[row.platform][row.name] = row.value
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
        "parts_waiting_for_user": _waiting_for_user(connection, platform, now),
    }


def _waiting_for_user(connection: Connection, platform: Platform, now: float) -> int:
    """How many parts leave when their user writes again, and not before."""
    which = UNSENT & (outbound.c.platform == platform) & (outbound.c.due > now + LONGEST_DELAY)
    return connection.execute(select(func.count()).select_from(outbound).where(which)).scalar_one()


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
