r"""Keeps what a row of a table has beyond its columns, which parsers leave out: "|" within code, and cells too many.

A line without "|" directly below a table is a paragraph to those who write it, and a row to parsers.
https://github.github.com/gfm/#tables-extension-
"""

from __future__ import annotations

import re
from typing import Final

from relay.core.unfinished_markdown import FENCE

_DELIMITER: Final = re.compile(r"[ \t>]*\|?[ \t]*:?-+:?[ \t]*(?:\|[ \t]*:?-+:?[ \t]*)*\|?[ \t]*\Z")
_CODE: Final = re.compile(r"(?<!`)(`{1,3})(?!`)([^`]+)\1(?!`)")
_PIPE: Final = re.compile(r"(?<!\\)\|")


def with_all_cells(text: str) -> str:
    """The Markdown with these signs escaped in rows that have more cells than their table has columns."""
    if "|" not in text or "-" not in text:
        return text
    lines, fence, columns = text.split("\n"), "", 0
    for number, line in enumerate(lines):
        if found := FENCE.match(line):
            fence = "" if fence and found[1].startswith(fence) else fence or found[1]
        if fence or not line.strip():
            columns = 0
        elif not columns and number and "|" in line and _DELIMITER.match(line):
            width = _cells(line)
            columns = width if _cells(lines[number - 1]) == width else 0
        elif columns > 1 and "|" not in line:
            lines[number], columns = f"\n{line}", 0
        elif columns and _cells(line) > columns:
            lines[number] = _narrowed(line, columns)
    return "\n".join(lines)


def _cells(line: str) -> int:
    return len(_PIPE.findall(line.strip(" \t>").removeprefix("|").removesuffix("|"))) + 1


def _narrowed(line: str, columns: int) -> str:
    """The row with its code in one cell each, and what is still too much in the last one."""
    line = _CODE.sub(lambda code: _PIPE.sub(r"\\|", code[0]), line)
    begins = line.lstrip(" \t>").startswith("|")
    places = [found.start() for found in _PIPE.finditer(line.rstrip())]
    inner = places[begins : len(places) - line.rstrip().endswith("|")]
    for place in reversed(inner[columns - 1 :]):
        line = f"{line[:place]}\\{line[place:]}"
    return line
