"""The demo provider's FAQ: a JSON file of questions and answers, edited by the operator, in any language.

Reloads a changed file. A missing or invalid file becomes a message in `problem`, never an exception.
"""

from __future__ import annotations

import json
import logging
import math
import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

log = logging.getLogger("relay.faq")

_MIN_SIMILARITY = 0.7
_MIN_SHARE = 0.29
_WORD = re.compile(r"\w+")


class _Features(NamedTuple):
    """A normalised text for comparison."""

    joined: str
    words: frozenset[str]
    trigrams: frozenset[str]


@dataclass(frozen=True, slots=True)
class Entry:
    """One answer and its normalised questions."""

    questions: tuple[_Features, ...]
    answer: str


class FaqError(Exception):
    """The file cannot be used; the message is a sentence with reason and remedy."""


class Faq:
    """The entries of one file, reloaded when it changes. `default` answers unknown questions; empty: there is none."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._version: tuple[float, int] | None = None
        self._entries: tuple[Entry, ...] = ()
        self.default = ""
        self.problem = ""

    def find(self, question: str) -> str | None:
        """The answer of the most similar entry; None below the similarity threshold."""
        self._refresh()
        asked = _features(question)
        best, answer = 0.0, None
        for entry in self._entries:
            score = max((_similarity(asked, known) for known in entry.questions), default=0.0)
            if score > best:
                best, answer = score, entry.answer
        return answer if best >= _MIN_SIMILARITY else None

    def _refresh(self) -> None:
        version = file_version(self._path)
        if version is not None and version == self._version:
            return
        self._version = version
        try:
            self._entries, self.default = read(self._path)
            problem = ""
        except FaqError as error:
            problem = str(error)
            self._entries, self.default = (), ""
        if problem and problem != self.problem:
            log.warning("%s", problem)
        self.problem = problem


def closest(question: str, texts: Sequence[str]) -> int | None:
    """The index of the text that is most like a question; None when none is like it.

    Counts the trigrams that they share, each by how few of the texts have it.
    """
    asked, known = _features(question).trigrams, [_features(text).trigrams for text in texts]
    weights = {one: math.log((len(texts) + 1) / max(1, sum(one in text for text in known))) for one in asked}
    scores = [sum(weights[one] for one in asked & text) for text in known]
    best = max(range(len(texts)), key=scores.__getitem__, default=None)
    return best if best is not None and scores[best] > _MIN_SHARE * sum(weights.values()) else None


def file_version(path: Path) -> tuple[float, int] | None:
    """Modification time and size, to detect changes; None when the file is missing or unreadable."""
    try:
        stat = path.stat()
    except OSError:
        return None
    return stat.st_mtime, stat.st_size


def read(path: Path) -> tuple[tuple[Entry, ...], str]:
    """The entries of a file and its default answer; raises FaqError."""
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        raise FaqError(
            f"{path.name} is missing: put it back, or set demo_faq_file to a file with questions and answers."
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise FaqError(f"{path.name} cannot be read: {error}. Make it a readable UTF-8 file.") from None
    except ValueError as error:
        raise FaqError(f"{path.name} is not valid JSON: {error}. Look for a missing comma or quote.") from None
    if not isinstance(content, dict) or not isinstance(content.get("entries"), list):
        raise FaqError(f'{path.name} must look like {{"entries": [{{"questions": ["..."], "answer": "..."}}]}}.')
    return tuple(_entry(path, number, row) for number, row in enumerate(content["entries"], 1)), _text(
        content.get("default", "")
    )


def _entry(path: Path, number: int, row: Any) -> Entry:
    questions = row.get("questions") if isinstance(row, Mapping) else None
    answer = _text(row.get("answer")) if isinstance(row, Mapping) else ""
    if not isinstance(questions, list) or not all(isinstance(text, str) for text in questions) or not answer:
        raise FaqError(f'{path.name}, entry {number}: it needs "questions" (a list of texts) and "answer" (a text).')
    return Entry(tuple(_features(text) for text in questions), answer)


def _text(value: Any) -> str:
    """An answer: a text, or a list of lines; "" for anything else and for white space."""
    if isinstance(value, list):
        value = "\n".join(str(line) for line in value)
    return value if isinstance(value, str) and value.strip() else ""


def _features(text: str) -> _Features:
    """Normalise a text: no case, accents, punctuation. Trigrams match scripts without spaces."""
    decomposed = unicodedata.normalize("NFKD", text[:2000].casefold())
    words = _WORD.findall("".join(char for char in decomposed if not unicodedata.combining(char)))
    joined = f" {' '.join(words)} "
    trigrams = frozenset(joined[start : start + 3] for start in range(len(joined) - 2))
    return _Features(joined, frozenset(words), trigrams)


def _similarity(asked: _Features, known: _Features) -> float:
    """Similarity from 0 to 1: containment, then all words present, then the share of common trigrams."""
    if not known.words or not asked.words:
        return 0.0
    share = len(known.words) / max(len(asked.words), len(known.words))
    if known.joined in asked.joined:
        return 0.9 + 0.1 * share
    if known.words <= asked.words:
        return 0.8 + 0.1 * share
    return 2 * len(known.trigrams & asked.trigrams) / (len(known.trigrams) + len(asked.trigrams))
