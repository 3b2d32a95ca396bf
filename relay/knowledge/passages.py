"""Passages: Markdown cut by its headings, each with the headings above it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

MAX_PASSAGE_CHARS = 1500
"""A longer section is cut between paragraphs, so that a search returns what fits the question and little else."""

_HEADING = re.compile(r"(#{1,6})\s+(.+?)\s*#*\s*$")
_FENCE = re.compile(r"\s*(```|~~~)")


@dataclass(frozen=True, slots=True)
class Passage:
    """source: path of the file below the folder. title: the headings above the text, outermost first."""

    source: str
    title: str
    text: str

    @property
    def label(self) -> str:
        """Where it stands, for people: `file: heading`."""
        return f"{self.source}: {self.title}" if self.title else self.source

    @property
    def size(self) -> int:
        """Bytes of UTF-8, a measure of tokens that holds for every script better than characters do."""
        return len(f"{self.source}{self.title}{self.text}".encode()) + 40


def cut(markdown: str, source: str) -> Iterator[Passage]:
    """The passages of a document, in its order; a section without text of its own is none."""
    for title, text in _sections(markdown):
        for piece in _pieces(text):
            yield Passage(source, title, piece)


def _sections(markdown: str) -> Iterator[tuple[str, str]]:
    headings: list[str] = []
    lines: list[str] = []
    fenced = False
    for line in markdown.splitlines():
        fenced ^= _FENCE.match(line) is not None
        if fenced or not (found := _HEADING.match(line)):
            lines.append(line)
            continue
        yield " > ".join(filter(None, headings)), "\n".join(lines)
        level = len(found[1])
        headings[level - 1 :] = [*[""] * (level - 1 - len(headings)), found[2]]
        lines = []
    yield " > ".join(filter(None, headings)), "\n".join(lines)


def _pieces(text: str) -> Iterator[str]:
    """The text in pieces of at most MAX_PASSAGE_CHARS, cut at blank lines, else at lines, else anywhere."""
    text = text.strip()
    while len(text) > MAX_PASSAGE_CHARS:
        window = text[:MAX_PASSAGE_CHARS]
        at = next((found for mark in ("\n\n", "\n", " ") if (found := window.rfind(mark)) > 0), MAX_PASSAGE_CHARS)
        yield text[:at].strip()
        text = text[at:].strip()
    if text:
        yield text
