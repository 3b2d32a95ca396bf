"""Ends Markdown that is cut off, so that no sign of it is shown and what follows is not taken for code."""

from __future__ import annotations

import re
from typing import Final

_MARKS: Final = ("**", "__", "~~")
_BACKTICKS: Final = re.compile(r"`+")
_UNFINISHED_LINK: Final = re.compile(r"!?\[([^\]\n]*)(?:\](?:\([^)\s]*)?)?\Z")
FENCE: Final = re.compile(r"(?m)^[ \t]*(?:>[ \t]*|[-*+][ \t]+|\d{1,9}[.)][ \t]+)*(`{3,}|~{3,})([^\n]*)$")


def open_fence(text: str) -> str:
    """The fence of the block of code in which the text ends; empty outside of code."""
    fence = ""
    for match in FENCE.finditer(text):
        if not fence and not (match[1][0] == "`" and "`" in match[2]):
            fence = match[1]
        elif match[1].startswith(fence) and not match[2].strip():
            fence = ""
    return fence


def closed(text: str) -> str:
    """The beginning of a text with what is still open at its end closed; a block of code may end anywhere."""
    if open_fence(text):
        return text
    text = _UNFINISHED_LINK.sub(r"\1", text)
    paragraph = text.rpartition("\n\n")[2]
    still_open = sorted([*_open_code(paragraph), *((at, mark) for mark in _MARKS for at in _open(paragraph, mark))])
    for _, mark in reversed(still_open):
        text = text.removesuffix(mark) if text.endswith(mark) else text + mark
    return text


def _open(paragraph: str, mark: str) -> list[int]:
    """Where a pair of marks begins that has no end."""
    return [paragraph.rfind(mark)] if paragraph.count(mark) % 2 else []


def _open_code(paragraph: str) -> list[tuple[int, str]]:
    """Where code within a line begins that has no end, and its backticks, which are as many at the end."""
    began: list[tuple[int, str]] = []
    for run in _BACKTICKS.finditer(paragraph):
        if not began:
            began = [(run.start(), run[0])]
        elif began[0][1] == run[0]:
            began = []
    return began


def ended(text: str) -> str:
    """The same, and a block of code is closed as well: other text may follow."""
    fence = open_fence(text)
    return f"{text}\n{fence}" if fence else closed(text)
