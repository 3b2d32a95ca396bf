"""Cuts a long text into parts where a reader would pause. Lengths are UTF-16 code units, the measure of the providers.

Apart from text.py, because only the channels need the module `regex`, which finds graphemes.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from itertools import accumulate
from typing import Final

import regex

_PAUSES: Final = (
    (re.compile(r"(?=\n[ \t]*\n)"), 0.6),
    (re.compile(r"(?=\n)"), 0.6),
    (re.compile(r"(?<!\d)[.!?\u2026][\"'\u2019\u201d\u00bb)\]]*(?=\s)|[\u3002\uff01\uff1f]"), 0.5),
    (re.compile(r"(?=\s)"), 0.3),
)
"""Where a paragraph, a line, a sentence and a word end, and how much of the part has to stand before it."""

_LEAST_SHARE: Final = 0.3
_SPACE = re.compile(r"\s*\n|[^\S\n]+")
_URL = re.compile(r"(?:https?://|www\.)[^\s<>\"]+", re.IGNORECASE)
_SHORTEST_URL = len("https://x")
_GRAPHEME = regex.compile(r"\X")


def utf16_length(text: str) -> int:
    """Length in UTF-16 code units: an emoji counts two or more."""
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


def utf16_offsets(text: str) -> list[int]:
    """For each position of the text, its end included, the number of UTF-16 code units before it."""
    return [0, *accumulate(2 if char > "\uffff" else 1 for char in text)]


def reach(offsets: Sequence[int], start: int, limit: int) -> int:
    """The furthest end of a part that begins at `start` and has at most `limit` units; at least one character on."""
    return max(bisect_right(offsets, offsets[start] + limit) - 1, start + 1)


def best_cut(text: str, start: int, furthest: int, unbroken: Iterable[tuple[int, int]] = ()) -> int:
    """Where a part that begins at `start` and whose characters end at `furthest` or before ends best.

    Best is the end of a paragraph, then of a line, a sentence, a word; else between two graphemes. Web addresses and
    the ranges in `unbroken` (start, end) are cut only when they are longer than a whole part. White space after the
    part belongs to it, even beyond `furthest`, except the indentation of the next line.
    """
    urls = (found.span() for found in _URL.finditer(text, start, furthest + _SHORTEST_URL))
    ranges = [*unbroken, *urls]
    end = _pause(text, start, furthest, ranges) or _hard_end(text, start, furthest, ranges)
    space = _SPACE.match(text, end)
    return space.end() if space else end


def _pause(text: str, start: int, furthest: int, ranges: Sequence[tuple[int, int]]) -> int | None:
    for pattern, share in _PAUSES:
        earliest = start + max(int((furthest - start) * share), 1)
        ends = [found.end() for found in pattern.finditer(text, earliest, furthest + 2) if found.end() <= furthest]
        for end in reversed(ends):
            if not any(first < end < last for first, last in ranges):
                return end
    return None


def _hard_end(text: str, start: int, furthest: int, ranges: Sequence[tuple[int, int]]) -> int:
    """Before the range or grapheme that would be torn, unless the part begins with it.

    A range that no part can hold is torn all the same, so it does not make a part of a few characters.
    """
    size = furthest - start
    for first, last in ranges:
        if start < first < furthest < last and (last - first <= size or first - start >= size * _LEAST_SHARE):
            return first
    ends = (found.end() for found in _GRAPHEME.finditer(text, start, furthest + 1))
    return max((end for end in ends if end <= furthest), default=furthest)
