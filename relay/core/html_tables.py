"""Turns tables in HTML, outside code, into tables in Markdown; what stands in their cells is left as it is."""

from __future__ import annotations

import re
from typing import Final

_TABLE: Final = re.compile(r"<table\b[^<>]{0,500}>((?:(?!</?table\b)[\s\S]){1,20000})</table\s*>", re.IGNORECASE)
_CAPTION: Final = re.compile(r"<caption\b[^<>]{0,500}>([^<]{1,500})</caption\s*>", re.IGNORECASE)
_ROW: Final = re.compile(r"<tr\b[^<>]{0,500}>", re.IGNORECASE)
_CELL: Final = re.compile(r"<t[hd]\b[^<>]{0,500}>", re.IGNORECASE)
_REST: Final = re.compile(r"</?(?:td|th|tr|thead|tbody|tfoot|colgroup|col|caption)\b[^<>]{0,500}>", re.IGNORECASE)


def has_tables(text: str) -> bool:
    """Whether the text may have a table in HTML."""
    return "</table" in text.lower()


def with_markdown_tables(text: str, code: list[tuple[int, int]]) -> str:
    """The text with its tables in Markdown; those that begin in one of the ranges of code stay as they are."""

    def table(found: re.Match[str]) -> str:
        is_code = any(start <= found.start() < end for start, end in code)
        return found[0] if is_code else _in_markdown(found[1]) or found[0]

    return _TABLE.sub(table, text)


def _in_markdown(inner: str) -> str:
    """The rows between the tags of a table, the first one as its heading; empty when there is none."""
    caption = _CAPTION.search(inner)
    rows = [[_cell(cell) for cell in _CELL.split(row)[1:]] for row in _ROW.split(inner)[1:]]
    width = max(map(len, rows), default=0)
    if not width:
        return ""
    lines = [f"| {' | '.join([*row, *[''] * (width - len(row))])} |" for row in rows if row]
    title = f"{caption[1].strip()}\n\n" if caption else ""
    return "\n\n" + title + "\n".join([lines[0], "|" + "---|" * width, *lines[1:]]) + "\n\n"


def _cell(source: str) -> str:
    return " ".join(_REST.sub(" ", source).replace("|", "\\|").split())
