"""Full-text search over passages: the same in every language and with every database.

The index is an FTS5 table in memory, made from the files. Its tokens are ours: folded words, bigrams where a script has
no spaces, and 4-grams, by which inflected and compound words find each other. See docs/decisions/0008.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence

from relay.core.words import tokens
from relay.knowledge.passages import Passage

_GRAM = 4
_WEIGHTS = "0.0, 2.0, 1.0, 0.6, 0.3"
"""Of the columns: number, words of the title, words of the text, their 4-grams. BM25 multiplies by them."""


class PassageIndex:
    """An index over `passages`; `find` may be called from any thread, one call at a time. size: of all, in bytes."""

    def __init__(self, passages: Sequence[Passage]) -> None:
        self.passages = passages
        self.size = sum(passage.size for passage in passages)
        self._connection = sqlite3.connect(":memory:", check_same_thread=False)
        self._connection.execute(
            "CREATE VIRTUAL TABLE passages USING fts5(number UNINDEXED, title, words, title_grams, grams,"
            " tokenize = 'unicode61 remove_diacritics 0')"
        )
        rows = [_row(number, passage) for number, passage in enumerate(passages)]
        self._connection.executemany("INSERT INTO passages VALUES (?, ?, ?, ?, ?)", rows)

    def find(self, question: str, limit: int) -> list[Passage]:
        """The passages that share words with the question, the best first."""
        words = list(dict.fromkeys(tokens(question))) if self.passages else []
        if not words:
            return []
        query = f"{{title words}} : ({_any(words)})"
        if found := list(dict.fromkeys(grams(words))):
            query += f" OR {{title_grams grams}} : ({_any(found)})"
        rows = self._connection.execute(
            f"SELECT number FROM passages WHERE passages MATCH ? ORDER BY bm25(passages, {_WEIGHTS}) LIMIT ?",  # noqa: S608
            (query, limit),
        )
        return [self.passages[number] for (number,) in rows]


def _row(number: int, passage: Passage) -> tuple[int, str, str, str, str]:
    title, words = list(tokens(f"{passage.source} {passage.title}")), list(tokens(passage.text))
    return number, " ".join(title), " ".join(words), " ".join(grams(title)), " ".join(grams(words))


def _any(words: Iterable[str]) -> str:
    return " OR ".join(f'"{word}"' for word in words)


def grams(words: Iterable[str]) -> Iterator[str]:
    """Each four neighbouring letters of the words: "open" is in "opening"."""
    for word in words:
        yield from (word[at : at + _GRAM] for at in range(len(word) - _GRAM + 1))
