"""The tables of the messaging database, as SQLAlchemy Core; the revisions in `migrations/` build exactly these.

Times are seconds since the Unix epoch (double precision), so that both databases compare them alike. Open rows have
partial indexes, so the cost of the queue does not depend on the number of finished rows. The revisions state the
conditions for both databases; this module states SQLite's only, because naming PostgreSQL would load its dialect (2 MB)
into every server.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import fields
from typing import Any

import orjson
from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    ColumnElement,
    Dialect,
    Double,
    FromClause,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    Table,
    TypeDecorator,
    UniqueConstraint,
    literal_column,
    text,
)
from sqlalchemy import Text as _AnyText

from relay.core.messages import db_safe, db_safe_value
from relay.core.parts import OPEN_PART_STATES, PartState

metadata = MetaData()

WORDS = "message_words"
"""The full-text index of messages (relay.storage.search), which each database makes in a way of its own."""


class Text(TypeDecorator[str]):
    """Text from any source; characters that no database accepts are removed on the way in."""

    impl = _AnyText
    cache_ok = True

    def bind_processor(self, dialect: Dialect) -> Callable[[str | None], str | None]:  # noqa: ARG002 (SQLAlchemy's)
        return _db_safe_or_none


def _db_safe_or_none(value: str | None) -> str | None:
    if value is None or (type(value) is str and value.isascii() and "\x00" not in value):
        return value
    return db_safe(str(value))


def to_json(value: Any) -> str:
    """A value as JSON, without the characters that no database accepts."""
    try:
        written = orjson.dumps(value)
    except TypeError:  # half characters, or keys that are no text
        return json.dumps(db_safe_value(value))
    return json.dumps(db_safe_value(value)) if b"\\u0000" in written else written.decode()


def constant(value: str) -> ColumnElement[str]:
    """A value of ours written into the statement: one that is bound costs time each time the statement runs."""
    return literal_column(f"'{value}'")


def in_states(table: FromClause, *states: str) -> ColumnElement[bool]:
    """Rows in these states, written as literals: with bound values a database does not use the partial indexes."""
    written = [constant(state) for state in states]
    # SQLite before 3.41 does not match IN with one value to the "=" of an index, and reads every row.
    return table.c.state == written[0] if len(written) == 1 else table.c.state.in_(written)


def is_open(table: FromClause) -> ColumnElement[bool]:
    """Messages or parts that are not finished: the condition of the partial index of the queue."""
    return in_states(table, *(OPEN_PART_STATES if "part_id" in table.c else ("received",)))


def indexed_parts() -> tuple[ColumnElement[bool], ...]:
    """Open, left, never left: each is the condition of an index by user, and a part meets one of them at least.

    Order the rows of each by id, or SQLite reads the parts of everybody.
    """
    never_left = outbound.c.provider_id.is_(None) & in_states(outbound, PartState.FAILED, PartState.CANCELED)
    return is_open(outbound), outbound.c.provider_id.is_not(None), never_left


def as_columns(table: Table, value: Any) -> dict[str, Any]:
    """The fields of a dataclass that are columns of the table."""
    return {field.name: getattr(value, field.name) for field in fields(value) if field.name in table.c}


# SQLite counts rows by itself only in a column that is declared INTEGER.
_RowId = BigInteger().with_variant(Integer, "sqlite")

users = Table(
    "users",
    metadata,
    Column("platform", Text, nullable=False),
    Column("user_id", Text, nullable=False),
    Column("name", Text),
    Column("username", Text),
    Column("language", Text),
    Column("state", Text, nullable=False, server_default="new"),
    Column("settings", JSON, nullable=False, server_default=text("'{}'")),
    Column("message_count", Integer, nullable=False, server_default="0"),
    Column("created_at", Double, nullable=False),
    Column("updated_at", Double, nullable=False),
    Column("last_message_at", Double),
    Column("human_since", Double),  # a person answers since then, and until then, instead of the AI
    Column("human_until", Double),
    PrimaryKeyConstraint("platform", "user_id", name="users_pk"),
)
Index("users_recent", users.c.platform, users.c.last_message_at)
# Those of a state are few, but for the active ones, whom users_recent finds.
NOT_ACTIVE = text("state <> 'active'")
Index("users_state", users.c.platform, users.c.state, users.c.last_message_at, sqlite_where=NOT_ACTIVE)
Index("users_human", users.c.platform, users.c.human_until, sqlite_where=text("human_until IS NOT NULL"))

conversations = Table(
    "conversations",
    metadata,
    Column("id", _RowId, primary_key=True, autoincrement=True),
    Column("user_id", Text, nullable=False),
    Column("platform", Text, nullable=False),
    Column("role", Text, nullable=False),
    Column("message", Text, nullable=False),
    Column("topic", Text),
    Column("timestamp", Double, nullable=False),
    Column("reply_id", Text),
    Column("in_context", Boolean, nullable=False),  # false for commands and notices, which are not part of the prompt
    Column("source", Text),
    Column("model", Text),
    Column("prompt_tokens", Integer),
    Column("answer_tokens", Integer),
    Column("cost_usd", Double),
    Column("estimated", Boolean),  # the tokens and the cost, of an answer that its user ended
    Column("first_token_seconds", Double),
    Column("total_seconds", Double),
    Column("sources", JSON(none_as_null=True)),
    Column("attachments", JSON(none_as_null=True)),
    Column("request_id", Text),  # of the inbound message, as in the logs
    Column("generation_id", Text),  # the provider's id of the answer
    Column("indexed", Boolean),  # its words are in the full-text index, which is outside of these tables
    sqlite_autoincrement=True,
)
_has_attachments = text("attachments IS NOT NULL")
Index("conversations_attachments", conversations.c.id, sqlite_where=_has_attachments)
Index("conversations_not_indexed", conversations.c.id, sqlite_where=text("indexed IS NULL"))
Index("conversations_person", conversations.c.platform, conversations.c.user_id, conversations.c.id)
Index("conversations_reply", conversations.c.reply_id)
_is_answer = text("request_id IS NOT NULL")
Index("conversations_request", conversations.c.request_id, sqlite_where=_is_answer)
_columns = (conversations.c.platform, conversations.c.user_id, conversations.c.role, conversations.c.id)
Index("conversations_context", *_columns, sqlite_where=text("in_context = 1"))

inbound = Table(
    "inbound",
    metadata,
    Column("id", _RowId, primary_key=True, autoincrement=True),
    Column("platform", Text, nullable=False),
    Column("external_id", Text, nullable=False),
    Column("user_id", Text),
    Column("sender", Text),
    Column("state", Text, nullable=False),
    Column("body", JSON(none_as_null=True)),
    Column("raw", Text),
    Column("received_at", Double, nullable=False),
    Column("due", Double, nullable=False),
    Column("owner", Text),
    Column("lease_until", Double, nullable=False, server_default="0"),
    Column("tries", Integer, nullable=False, server_default="0"),
    Column("failures", Integer, nullable=False, server_default="0"),
    Column("unusable", Integer, nullable=False, server_default="0"),
    Column("noticed_at", Double),
    Column("shown_as", Text),  # the provider's id of the message in which the answer grows
    Column("stopped_at", Double),  # when the user asked for the answer to end
    Column("outcome", Text),
    Column("reason", Text),
    Column("error", Text),
    Column("finished_at", Double),
    Column("updated_at", Double),
    UniqueConstraint("platform", "external_id", name="inbound_once"),
    sqlite_autoincrement=True,
)
Index("inbound_person", inbound.c.platform, inbound.c.user_id, inbound.c.received_at)
_in_group = text("sender IS NOT NULL")
Index("inbound_sender", inbound.c.platform, inbound.c.sender, inbound.c.received_at, sqlite_where=_in_group)
Index("inbound_open", inbound.c.platform, inbound.c.user_id, inbound.c.id, sqlite_where=text("state = 'received'"))
Index("inbound_dead", inbound.c.platform, inbound.c.id, sqlite_where=text("state = 'dead'"))
Index("inbound_held", inbound.c.platform, inbound.c.user_id, inbound.c.id, sqlite_where=text("state = 'held'"))

outbound = Table(
    "outbound",
    metadata,
    Column("id", _RowId, primary_key=True, autoincrement=True),
    Column("part_id", Text, nullable=False, unique=True),
    Column("reply_id", Text, nullable=False),
    Column("platform", Text, nullable=False),
    Column("user_id", Text, nullable=False),
    Column("inbound_id", BigInteger),
    Column("origin", Text, nullable=False),
    Column("number", Integer, nullable=False),
    Column("part_count", Integer, nullable=False),
    Column("text", Text, nullable=False),
    Column("source", Text, nullable=False),
    Column("style", Text),
    Column("media", JSON(none_as_null=True)),  # URLs of pictures that go with the part
    Column("segments", Integer, nullable=False, server_default="1"),
    Column("cost_usd", Double),
    Column("reply_to", Text),
    Column("sender", Text),
    Column("state", Text, nullable=False),
    Column("provider_id", Text),
    Column("replaces", Text),  # the provider's id of the message that becomes this part
    Column("stopped", Boolean),  # the answer was ended by its user
    Column("file_name", Text),  # the text is sent as a file
    Column("buttons", Text),  # the channel's names of those below it
    Column("language", Text),  # of what stands on them
    Column("error_code", Text),
    Column("error", Text),
    Column("due", Double, nullable=False),
    Column("owner", Text),
    Column("lease_until", Double, nullable=False, server_default="0"),
    Column("attempts", Integer, nullable=False, server_default="0"),
    Column("resends", Integer, nullable=False, server_default="0"),
    Column("attempted_at", Double),
    Column("created_at", Double, nullable=False),
    Column("accepted_at", Double),
    Column("updated_at", Double, nullable=False),
    Column("dismissed_at", Double),  # by an operator, so that a failure leaves the lists
    Column("about", Text),  # of a notice to an operator: "platform address" of the user whom it is about
    sqlite_autoincrement=True,
)
_is_open_part = text("state IN ('planned', 'sending', 'unknown')")
_has_left = text("provider_id IS NOT NULL")
Index("outbound_open", outbound.c.platform, outbound.c.user_id, outbound.c.id, sqlite_where=_is_open_part)
_is_accepted = text("state = 'accepted'")  # and no status was reported since
Index("outbound_accepted", outbound.c.platform, outbound.c.accepted_at, sqlite_where=_is_accepted)
_in_trouble = text("state IN ('failed', 'undelivered') AND dismissed_at IS NULL")
Index("outbound_trouble", outbound.c.platform, outbound.c.id, sqlite_where=_in_trouble)
Index("outbound_trouble_user", outbound.c.platform, outbound.c.user_id, outbound.c.id, sqlite_where=_in_trouble)
Index("outbound_trouble_code", outbound.c.platform, outbound.c.error_code, outbound.c.id, sqlite_where=_in_trouble)
Index("outbound_reply", outbound.c.reply_id)
Index("outbound_about", outbound.c.about, sqlite_where=text("about IS NOT NULL"))
# Without the condition SQLite uses it for queries of the platform alone, and reads every row.
Index("outbound_provider_id", outbound.c.platform, outbound.c.provider_id, sqlite_where=_has_left)
Index("outbound_sent", outbound.c.platform, outbound.c.user_id, outbound.c.id, sqlite_where=_has_left)
_never_left = text("provider_id IS NULL AND state IN ('failed', 'canceled')")
Index("outbound_unsent", outbound.c.platform, outbound.c.user_id, outbound.c.id, sqlite_where=_never_left)

delivery_events = Table(
    "delivery_events",
    metadata,
    Column("id", _RowId, primary_key=True, autoincrement=True),
    Column("platform", Text, nullable=False),
    Column("provider_id", Text, nullable=False),
    Column("part_id", Text),
    Column("state", Text, nullable=False),
    Column("error_code", Text, nullable=False, server_default=""),
    Column("error", Text),
    Column("received_at", Double, nullable=False),
    Column("applied", Boolean, nullable=False),
    UniqueConstraint("platform", "provider_id", "state", "error_code", name="delivery_events_once"),
    sqlite_autoincrement=True,
)
Index("delivery_events_part", delivery_events.c.part_id)

counters = Table(
    "counters",
    metadata,
    Column("platform", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("value", Double, nullable=False),
    PrimaryKeyConstraint("platform", "name", name="counters_pk"),
)

charges = Table(
    "charges",
    metadata,
    Column("platform", Text, nullable=False),
    Column("day", Text, nullable=False),  # of UTC, as 2026-11-27
    Column("user_id", Text, nullable=False),
    Column("segments_in", Integer, nullable=False),
    Column("segments_out", Integer, nullable=False),
    Column("media", Integer, nullable=False),
    Column("usd", Double, nullable=False),
    Column("billed_usd", Double),
    PrimaryKeyConstraint("platform", "day", "user_id", name="charges_pk"),
)
Index("charges_person", charges.c.platform, charges.c.user_id)

saved_state = Table(
    "notes",
    metadata,
    Column("platform", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("value", JSON, nullable=False),
    Column("updated_at", Double, nullable=False),
    PrimaryKeyConstraint("platform", "name", name="notes_pk"),
)

passage_vectors = Table(
    "passage_vectors",
    metadata,
    Column("model", Text, nullable=False),
    Column("text_hash", Text, nullable=False),  # SHA-256 of the passage
    Column("vector", LargeBinary, nullable=False),  # of 32-bit floats
    Column("used_at", Double, nullable=False),
    PrimaryKeyConstraint("model", "text_hash", name="passage_vectors_pk"),
)

logins = Table(
    "logins",
    metadata,
    Column("login_id", Text, nullable=False),  # a hash of the cookie, so that the table opens nothing
    Column("created_at", Double, nullable=False),
    Column("expires_at", Double, nullable=False),
    Column("used_at", Double, nullable=False),
    PrimaryKeyConstraint("login_id", name="logins_pk"),
)

audit = Table(
    "audit",
    metadata,
    Column("id", _RowId, primary_key=True, autoincrement=True),
    Column("at", Double, nullable=False),
    Column("who", Text, nullable=False),
    Column("action", Text, nullable=False),
    Column("platform", Text),
    Column("user_id", Text),
    Column("detail", Text, nullable=False),
    sqlite_autoincrement=True,
)
Index("audit_person", audit.c.platform, audit.c.user_id)

broadcasts = Table(
    "broadcasts",
    metadata,
    Column("id", _RowId, primary_key=True, autoincrement=True),
    Column("form", Text, nullable=False),  # the submitted form, so that a repeated one starts nothing
    Column("platform", Text, nullable=False),
    Column("text", Text, nullable=False),
    Column("who", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("reason", Text),
    Column("wrote_after", Double),
    Column("beyond_caps", Boolean, nullable=False),
    Column("hours", Text, nullable=False, server_default=""),  # when people may get it: relay.config.weekly_times
    Column("people", Integer, nullable=False),
    Column("planned", Integer, nullable=False, server_default="0"),
    Column("usd", Double, nullable=False),
    Column("last_user", Text, nullable=False, server_default=""),  # the people up to this one were added or passed over
    Column("due", Double, nullable=False, server_default="0"),  # until then all who are left wait for their hours
    Column("created_at", Double, nullable=False),
    Column("updated_at", Double, nullable=False),
    UniqueConstraint("form", "platform", name="broadcasts_once"),
    sqlite_autoincrement=True,
)
Index("broadcasts_running", broadcasts.c.platform, broadcasts.c.id, sqlite_where=text("state = 'running'"))

broadcast_people = Table(
    "broadcast_people",
    metadata,
    Column("broadcast_id", BigInteger, nullable=False),
    Column("platform", Text, nullable=False),
    Column("user_id", Text, nullable=False),
    Column("reply_id", Text),
    Column("planned_at", Double, nullable=False),
    Column("due", Double),  # when the hours of a person begin who waits for them
    PrimaryKeyConstraint("broadcast_id", "user_id", name="broadcast_people_pk"),
)
Index(
    "broadcast_people_waiting",
    broadcast_people.c.broadcast_id,
    broadcast_people.c.due,
    sqlite_where=broadcast_people.c.due.is_not(None),
)
Index("broadcast_people_person", broadcast_people.c.platform, broadcast_people.c.user_id)


def is_described(name: str | None, kind: str, _: Any) -> bool:
    """Whether a table or index of a database should be one of these: all but the full-text index."""
    return kind != "table" or name is None or not name.startswith(WORDS)
