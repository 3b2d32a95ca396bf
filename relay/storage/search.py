"""Search in what people wrote and were answered, newest first: a plain scan of the latest messages, no index.

An index of words would be written with every message; this reads the newest SEARCHED rows when an operator asks.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, func, or_, select

from relay.core.messages import Platform
from relay.storage.queries import plain
from relay.storage.schema import conversations

SEARCHED = 200_000
"""How many of the newest messages are searched, for which SQLite takes about a tenth of a second."""


def find_messages(
    connection: Connection, platforms: Sequence[Platform], words: str, limit: int
) -> list[dict[str, Any]]:
    """The newest messages that contain these words in this order, in any case where the database knows the letters."""
    newest = connection.execute(select(func.max(conversations.c.id))).scalar() or 0
    text = conversations.c.message
    if connection.dialect.name == "postgresql":
        contains = text.icontains(words, autoescape=True)
    else:  # LIKE ignores the case of ASCII letters there, and lower() would take twice as long and do no more
        spellings = {words} if words.isascii() else {words, words.lower(), words.upper(), words.title()}
        contains = or_(*(text.contains(spelling, autoescape=True) for spelling in spellings))
    chosen = (
        select(conversations)
        .where(conversations.c.id > newest - SEARCHED, contains, conversations.c.platform.in_(platforms))
        .order_by(conversations.c.id.desc())
        .limit(limit)
    )
    return [
        plain(row, "id", "platform", "user_id", "role", "message", "timestamp") for row in connection.execute(chosen)
    ]
