"""Rows for an export of people, messages or costs, read in batches in the order of a key; nothing is locked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Column, Connection, Table, select, tuple_

from relay.storage.queries import plain
from relay.storage.schema import charges, conversations, users

BATCH = 500


@dataclass(frozen=True, slots=True)
class Export:
    """One table as it is exported: its columns, and those of its key, in the order of the rows."""

    table: Table
    columns: tuple[str, ...]
    key: tuple[str, ...]


EXPORTS = {
    "people": Export(
        users,
        (
            *("platform", "user_id", "name", "username", "language", "state", "message_count"),
            *("created_at", "last_message_at"),
        ),
        ("platform", "user_id"),
    ),
    "messages": Export(
        conversations,
        (
            *("id", "platform", "user_id", "timestamp", "role", "message", "model", "source"),
            *("prompt_tokens", "answer_tokens", "cost_usd", "total_seconds", "estimated"),
        ),
        ("id",),
    ),
    "costs": Export(
        charges,
        ("platform", "day", "user_id", "segments_in", "segments_out", "media", "usd", "billed_usd"),
        ("platform", "day", "user_id"),
    ),
}


def next_rows(connection: Connection, export: Export, after: Sequence[Any] | None) -> list[dict[str, Any]]:
    """The next BATCH rows behind the key `after`, times as ISO 8601."""
    columns: list[Column[Any]] = [export.table.c[name] for name in export.columns]
    key = [export.table.c[name] for name in export.key]
    chosen = select(*columns).order_by(*key).limit(BATCH)
    if after is not None:
        chosen = chosen.where(tuple_(*key) > tuple(after))
    return [plain(row, *export.columns) for row in connection.execute(chosen)]
