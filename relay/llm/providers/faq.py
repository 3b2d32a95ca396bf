"""The demo provider's FAQ: finds the entry of the operator's file that is most like a question, in any language.

Reloads a changed file. A missing or invalid file becomes a message in `problem`, never an exception.
"""

from __future__ import annotations

import logging
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from relay.core.faq_file import FaqError, read_faq
from relay.core.text import bare_letters

log = logging.getLogger("relay.faq")

_MIN_SIMILARITY = 0.7
_ALMOST_EQUAL = 0.95
_MIN_SHARE = 0.29
_WORD = re.compile(r"\w+")


class _Features(NamedTuple):
    """A normalised text for comparison."""

    joined: str
    words: frozenset[str]
    trigrams: frozenset[str]


@dataclass(frozen=True, slots=True)
class Entry:
    """One answer and its normalised questions. for_demo: it is about the demo itself."""

    questions: tuple[_Features, ...]
    answer: str
    for_demo: bool


class Match(NamedTuple):
    """The answer of an entry. yields: it is about the demo, and the question holds more than the entry's."""

    answer: str
    yields: bool


class Faq:
    """The entries of one file, reloaded when it changes. `default` answers unknown questions; empty: there is none."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._version: tuple[float, int] | None = None
        self._entries: tuple[Entry, ...] = ()
        self.default = ""
        self.problem = ""

    def find(self, question: str) -> Match | None:
        """The most similar entry; None below the similarity threshold."""
        self._refresh()
        asked = _features(question)
        scores = [max((_similarity(asked, known) for known in entry.questions), default=0.0) for entry in self._entries]
        best = max(range(len(scores)), key=scores.__getitem__, default=None)
        if best is None or scores[best] < _MIN_SIMILARITY:
            return None
        entry = self._entries[best]
        return Match(entry.answer, entry.for_demo and scores[best] < _ALMOST_EQUAL)

    def _refresh(self) -> None:
        version = file_version(self._path)
        if version is not None and version == self._version:
            return
        self._version = version
        try:
            entries, self.default = read_faq(self._path)
            self._entries = tuple(
                Entry(tuple(map(_features, entry.questions)), entry.answer, entry.for_demo) for entry in entries
            )
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


def _features(text: str) -> _Features:
    """Normalise a text: no case, accents, punctuation. Trigrams match scripts without spaces."""
    words = _WORD.findall(bare_letters(text[:2000]))
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
