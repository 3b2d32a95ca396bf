"""Ends Markdown that is cut off, so that no sign of it is shown and what follows is not taken for code."""

from __future__ import annotations

import re
from typing import Final

_MARKS: Final = ("**", "__", "~~", "`")
_UNFINISHED_LINK: Final = re.compile(r"!?\[([^\]\n]*)(?:\](?:\([^)\s]*)?)?\Z")
_FENCE: Final = re.compile(r"(?m)^[ \t]*(?:>[ \t]*|[-*+][ \t]+|\d{1,9}[.)][ \t]+)*(`{3,}|~{3,})([^\n]*)$")


def open_fence(text: str) -> str:
    """The fence of the block of code in which the text ends; empty outside of code."""
    fence = ""
    for match in _FENCE.finditer(text):
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
    still_open = sorted((paragraph.rfind(mark), mark) for mark in _MARKS if paragraph.count(mark) % 2)
    for _, mark in reversed(still_open):
        text = text.removesuffix(mark) if text.endswith(mark) else text + mark
    return text


def ended(text: str) -> str:
    """The same, and a block of code is closed as well: other text may follow."""
    fence = open_fence(text)
    return f"{text}\n{fence}" if fence else closed(text)
