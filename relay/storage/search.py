"""Full-text search in what people wrote and were answered, newest first, and the index behind it.

The index has a row for each message: an FTS5 table on SQLite, a tsvector on PostgreSQL, both of our own words
(relay.core.words). It is filled behind the messages; triggers of the database remove the words of a message in the
transaction that deletes or changes it, whatever does that. What is not indexed yet is searched without the index.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any, Final

from sqlalchemy import Connection, Row, bindparam, select, text, update

from relay.core.messages import Platform
from relay.core.words import tokens
from relay.storage.daily_totals import by_id_of, first_since
from relay.storage.queries import plain
from relay.storage.schema import conversations
from relay.storage.transactions import Tx

MAX_WORD: Final = 100
"""Characters of a word that are indexed; a database takes no word of any length."""

MIN_PREFIX: Final = 3
"""Letters of a last word that may be the beginning of another one: shorter ones begin too many."""

SEARCHED_DIRECTLY: Final = 200
"""How many of the newest messages without an index are searched; in a running relay there are fewer."""

ALL_IDS: Final = range(2**63 - 1)

_ADD: Final = {
    "sqlite": text("INSERT OR REPLACE INTO message_words (rowid, words) VALUES (:id, :words)"),
    "postgresql": text(
        "INSERT INTO message_words (id, words) VALUES (:id, array_to_tsvector(string_to_array(:words, ' ')))"
        " ON CONFLICT (id) DO UPDATE SET words = excluded.words"
    ),
}
MAX_BEGUN: Final = 300
"""How many words with the same beginning are named in one search."""

_NEXT_WORD: Final = text("SELECT term FROM message_words_terms WHERE term >= :first AND term < :end LIMIT 1")
_SHOWN: Final = ("id", "platform", "user_id", "role", "message", "timestamp")
_COLUMNS: Final = ", ".join(f"c.{name}" for name in _SHOWN)
_FIND: Final = {
    # CROSS JOIN: SQLite reads the index first, from its newest row, and stops at the limit.
    "sqlite": text(
        f"SELECT {_COLUMNS} FROM message_words w CROSS JOIN conversations c ON c.id = w.rowid"  # noqa: S608
        " WHERE w.message_words MATCH :query AND w.rowid >= :first AND w.rowid < :end AND c.platform IN :platforms"
        " ORDER BY w.rowid DESC LIMIT :most"
    ),
    "postgresql": text(
        f"SELECT {_COLUMNS} FROM message_words w JOIN conversations c ON c.id = w.id"  # noqa: S608
        " WHERE w.words @@ CAST(:query AS tsquery) AND w.id >= :first AND w.id < :end AND c.platform IN :platforms"
        " ORDER BY w.id DESC LIMIT :most"
    ),
}
_not_indexed = conversations.c.indexed.is_(None)
_NEWEST_NOT_INDEXED = select(conversations).where(_not_indexed).order_by(conversations.c.id.desc())


def index_messages(tx: Tx, most: int) -> int:
    """Index at most `most` messages that are not, the newest first; how many."""
    rows = tx.run(_NEWEST_NOT_INDEXED.limit(most).with_for_update(skip_locked=True)).all()
    for row in rows:
        if words := _words(row.message):
            tx.run(_ADD[tx.connection.dialect.name], {"id": row.id, "words": " ".join(words)})
    indexed = [row.id for row in rows]
    tx.run(update(conversations).where(conversations.c.id.in_(indexed)).values(indexed=True))
    return len(rows)


def has_more_to_index(connection: Connection) -> bool:
    return connection.execute(_NEWEST_NOT_INDEXED.limit(1)).first() is not None


def find_messages(
    connection: Connection,
    platforms: Sequence[Platform],
    words: str,
    limit: int,
    *,
    ids: range = ALL_IDS,
    beginnings: bool | None = None,
) -> list[dict[str, Any]]:
    """The newest messages with all of these words, without regard to case and accents; only those with an id in `ids`.

    The last word may be the beginning of one: always (beginnings=True), never, or where there are too few messages
    with the word itself (None).
    """
    wanted = _words(words)
    if not wanted:
        return []
    queries = _queries(connection, wanted)
    if beginnings is not None:
        queries = iter(list(queries)[-1:]) if beginnings else islice(queries, 1)
    unindexed = _unindexed(connection, platforms, wanted, beginnings)
    found: dict[int, Any] = {row.id: row for row in unindexed if row.id in ids}
    for query in queries:
        if len(found) < limit:
            span = {"first": ids.start, "end": ids.stop}
            values = {"query": query, "platforms": list(platforms), "most": limit, **span}
            statement = _FIND[connection.dialect.name].bindparams(bindparam("platforms", expanding=True))
            found |= {row.id: row for row in connection.execute(statement, values)}
    newest = sorted(found.values(), key=lambda row: -int(row.id))[:limit]
    return [plain(row, *_SHOWN) for row in newest]


def ids_between(connection: Connection, begin: float | None, end: float | None) -> range:
    """The ids of the messages since `begin` and before `end`, Unix times; None: without a bound."""

    def first(moment: float) -> int:
        return first_since(connection, conversations, conversations.c.timestamp, moment)

    return range(ALL_IDS.start if begin is None else first(begin), ALL_IDS.stop if end is None else first(end))


def newest_messages(
    connection: Connection, platforms: Sequence[Platform], limit: int, ids: range = ALL_IDS
) -> list[dict[str, Any]]:
    """All messages with an id in `ids`, newest first, in the form of find_messages."""
    within = (conversations.c.id >= ids.start) & (conversations.c.id < ids.stop)
    chosen = select(conversations).where(within, by_id_of(conversations, platforms))
    rows = connection.execute(chosen.order_by(conversations.c.id.desc()).limit(limit))
    return [plain(row, *_SHOWN) for row in rows]


def _words(text: str) -> list[str]:
    return list(dict.fromkeys(word[:MAX_WORD] for word in tokens(text)))


def _unindexed(
    connection: Connection, platforms: Sequence[Platform], wanted: Sequence[str], beginnings: bool | None
) -> list[Row[Any]]:
    """Messages among the newest that are not indexed yet."""
    rows = connection.execute(_NEWEST_NOT_INDEXED.limit(SEARCHED_DIRECTLY)).all()
    return [row for row in rows if row.platform in platforms and _contains(_words(row.message), wanted, beginnings)]


def _contains(words: Sequence[str], wanted: Sequence[str], beginnings: bool | None) -> bool:
    *whole, last = wanted
    begins = beginnings is not False and _may_begin(last) and any(word.startswith(last) for word in words)
    return set(whole) <= set(words) and (begins or last in words)


def _may_begin(word: str) -> bool:
    """Whether words that begin with this one are found by it."""
    return len(word) >= MIN_PREFIX or not word.isascii()


def _queries(connection: Connection, wanted: Sequence[str]) -> Iterator[str]:
    """The words themselves; then the last one as a beginning. Words have no signs, so that none needs an escape.

    For a beginning SQLite first collects the rows of all words that begin so, however many, and sorts them. It finds
    the newest rows of words that are named at once, so those are named, unless they are too many.
    """
    is_sqlite = connection.dialect.name == "sqlite"
    quote, join, prefix = ('"', " AND ", "*") if is_sqlite else ("'", " & ", ":*")
    quoted = [f"{quote}{word}{quote}" for word in wanted]
    yield join.join(quoted)
    if not _may_begin(wanted[-1]):
        return
    begun = _begun_words(connection, wanted[-1]) if is_sqlite else []
    if begun:
        named = " OR ".join(f'"{word}"' for word in begun)
        yield join.join([*quoted[:-1], f"({named})"])
    if not is_sqlite or len(begun) == MAX_BEGUN:
        yield join.join(quoted) + prefix


def _begun_words(connection: Connection, beginning: str) -> list[str]:
    """The first words in the index that begin so, at most MAX_BEGUN; one jump in the index for each."""
    found: list[str] = []
    bounds = {"first": beginning, "end": f"{beginning}{chr(sys.maxunicode)}"}
    while len(found) < MAX_BEGUN and (word := connection.execute(_NEXT_WORD, bounds).scalar()) is not None:
        found.append(word)
        bounds["first"] = f"{word}\x01"
    return found
