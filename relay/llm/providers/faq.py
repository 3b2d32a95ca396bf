"""The demo source's knowledge: a JSON file of questions and answers that the operator edits, in any language.

Reads the file again when it changed. A file that is missing or broken is a sentence, never an error.
"""

from __future__ import annotations

import json
import logging
import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

log = logging.getLogger("relay.faq")

_MIN_SIMILARITY = 0.7
_WORD = re.compile(r"\w+")


class _Features(NamedTuple):
    """A text in the form in which texts are compared."""

    joined: str
    words: frozenset[str]
    trigrams: frozenset[str]


@dataclass(frozen=True, slots=True)
class Entry:
    """One answer and the questions that lead to it, in the form in which questions are compared."""

    questions: tuple[_Features, ...]
    answer: str


class FaqError(Exception):
    """The file cannot be used; the text is one sentence that says why and what to do."""


class Faq:
    """The entries of one file, as they are now."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._mark: tuple[float, int] | None = None
        self._entries: tuple[Entry, ...] = ()
        self._default = ""
        self.problem = ""

    def find(self, question: str) -> str | None:
        """The answer of the entry nearest to the question; None when none is near."""
        self._refresh()
        asked = _features(question)
        best, answer = 0.0, None
        for entry in self._entries:
            score = max((_similarity(asked, known) for known in entry.questions), default=0.0)
            if score > best:
                best, answer = score, entry.answer
        return answer if best >= _MIN_SIMILARITY else None

    @property
    def default(self) -> str:
        """What the file says to everything it does not know; empty when it says nothing."""
        return self._default

    def _refresh(self) -> None:
        try:
            stat = self._path.stat()
            mark: tuple[float, int] | None = (stat.st_mtime, stat.st_size)
        except OSError:
            mark = None
        if mark is not None and mark == self._mark:
            return
        self._mark = mark
        try:
            self._entries, self._default = read(self._path)
            problem = ""
        except FaqError as error:
            problem = str(error)
            self._entries, self._default = (), ""
        if problem and problem != self.problem:
            log.warning("%s", problem)
        self.problem = problem


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
    """An answer is a text, or a list of lines, which is easier to edit when it is long; blanks alone are none."""
    if isinstance(value, list):
        value = "\n".join(str(line) for line in value)
    return value if isinstance(value, str) and value.strip() else ""


def _features(text: str) -> _Features:
    """A text without case, accents and punctuation; scripts without spaces live by their trigrams."""
    decomposed = unicodedata.normalize("NFKD", text[:2000].casefold())
    words = _WORD.findall("".join(char for char in decomposed if not unicodedata.combining(char)))
    joined = f" {' '.join(words)} "
    trigrams = frozenset(joined[start : start + 3] for start in range(len(joined) - 2))
    return _Features(joined, frozenset(words), trigrams)


def _similarity(asked: _Features, known: _Features) -> float:
    """0 to 1: how near a question comes to one of the file: it contains it, or all its words, or is written alike."""
    if not known.words or not asked.words:
        return 0.0
    share = len(known.words) / max(len(asked.words), len(known.words))
    if known.joined in asked.joined:
        return 0.9 + 0.1 * share
    if known.words <= asked.words:
        return 0.8 + 0.1 * share
    return 2 * len(known.trigrams & asked.trigrams) / (len(known.trigrams) + len(asked.trigrams))
