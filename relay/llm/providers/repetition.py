"""Finds the end of a text that a model repeats without end, which costs tokens and says nothing."""

from __future__ import annotations

from typing import Final

MIN_COPIES: Final = 8
"""So many copies in a row are a loop; a poem's refrain or a table's rule is not."""

_WINDOWS: Final = (800, 4000)
"""Characters at the end of a text in which copies are counted: the short one finds short loops early."""
_SAMPLE_CHARS: Final = 20


def loop_chars(text: str) -> int:
    """How many characters at the end of a text are further copies of what precedes them; 0 when it is no loop."""
    for window in _WINDOWS:
        end = text[-window:]
        if len(end) < window or end.count(end[-_SAMPLE_CHARS:]) < MIN_COPIES - 1:
            continue  # almost every text, at almost no cost
        if (period := _period(end)) * MIN_COPIES <= window:
            return _copies_end(text, period)
    return 0


def without_loop(text: str) -> str:
    """The text with a single copy of a loop at its end."""
    repeated = loop_chars(text)
    return text[: len(text) - repeated] if repeated else text


def _period(text: str) -> int:
    """The smallest p with text[i] == text[i + p] for all i, by the prefix function of Knuth, Morris and Pratt."""
    borders = [0] * len(text)
    for position in range(1, len(text)):
        length = borders[position - 1]
        while length and text[position] != text[length]:
            length = borders[length - 1]
        borders[position] = length + (text[position] == text[length])
    return len(text) - borders[-1]


def _copies_end(text: str, period: int) -> int:
    """The length of the longest end of the text that has this period, without its first copy."""
    start = len(text) - period
    while start > 0 and text[start - 1] == text[start - 1 + period]:
        start -= 1
    return len(text) - start - period
