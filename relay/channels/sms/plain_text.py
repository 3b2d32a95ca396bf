"""Converts a model's Markdown to plain text, which is all that a telephone shows.

Nothing that carries meaning is lost: links keep their address, lists their marks, tables become lines, code stays as it
is. Length and alphabet are left to segments.py.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from relay.core.markdown_source import Event
from relay.core.markup import parse

_SHOWN_SCHEMES = ("http://", "https://", "mailto:", "tel:")
NO_MARKS: Mapping[str, str] = {}
# Deeper levels are shown without their marks, which bounds the cost of deeply nested input.
_MAX_DEPTH = 6


def to_plain_text(markdown: str, marks: Mapping[str, str] = NO_MARKS) -> str:
    """The Markdown as plain text; blocks are separated by an empty line.

    marks: what surrounds the text of an element by its kind, such as {"Strong": "*"}, where a channel shows it.
    """
    renderer = _PlainTextRenderer(marks)
    for event in parse(markdown):
        renderer.handle(event)
    return renderer.frames[0].text


@dataclass(slots=True)
class _Frame:
    """An open element: its kind, the details of its event, and its text so far."""

    kind: str
    details: Any = None
    text: str = ""
    ended_block: bool = False
    ended_heading: bool = False
    rows: list[list[str]] = field(default_factory=list)

    def inline(self, text: str) -> None:
        if self.ended_block and text:
            self.text, self.ended_block = self.text + "\n", False
        self.text += text

    def block(self, text: str, *, heading: bool = False) -> None:
        """Add a block; within a list item, and after a heading, no empty line precedes it."""
        if not text.strip("\n"):
            return
        if self.text:
            close = self.kind == "Item" or self.ended_heading
            self.text = self.text.rstrip("\n") + ("\n" if close else "\n\n")
        self.text += text
        self.ended_block, self.ended_heading = True, heading


class _PlainTextRenderer:
    """Handles the parser's events in order; `frames[0]` is the document."""

    def __init__(self, marks: Mapping[str, str]) -> None:
        self.frames = [_Frame("Document")]
        self._marks = marks
        self._anchors: list[tuple[_Frame, int, str]] = []  # of open HTML links: where the label begins, the address

    def handle(self, event: Event) -> None:
        top = self.frames[-1]
        match event.name:
            case "Start":
                self.frames.append(_Frame(event.kind, event.value))
            case "End":
                self._end(self.frames.pop())
            case "Text" | "Code" | "InlineHtml" | "Html":
                top.inline(self._marked(event.name, event.value))
            case "Formula":
                top.inline(event.value.text)
            case "SoftBreak" | "HardBreak":
                top.inline("\n")
            case "TaskListMarker":
                top.inline("[x] " if event.value else "[ ] ")
            case "FootnoteReference":
                top.inline(f"[{event.value}]")
            case "Open" if event.kind == "text_link":
                self._anchors.append((top, len(top.text), event.value))
            case "Close" if event.kind == "text_link":
                self._end_anchor(top)
            case _:
                pass  # a style, or a rule between two blocks, which an empty line separates anyway

    def _end(self, done: _Frame) -> None:
        top = self.frames[-1]
        match done.kind:
            case "Emphasis" | "Strong" | "Strikethrough" | "Superscript" | "Subscript":
                top.inline(self._marked(done.kind, done.text))
            case "Link" | "Image":
                top.inline(_with_address(done.text, done.details["dest_url"]))
            case "Item":
                top.inline(self._item(top, done))
            case "BlockQuote":
                text = f"{done.details}: {done.text}" if done.details else done.text
                top.block(_prefixed(text, "> ") if self._depth("BlockQuote") < _MAX_DEPTH else text)
            case "FootnoteDefinition":
                top.block(f"[{done.details}] {done.text}")
            case "TableCell":
                top.rows.append([done.text.replace("\n", " ").strip()])
            case "TableHead" | "TableRow":
                top.rows.append([cell for [cell] in done.rows])
            case "Table":
                top.block(_table_lines(done.rows))
            case _:
                top.block(self._marked(done.kind, done.text.rstrip("\n")), heading=done.kind == "Heading")

    def _marked(self, kind: str, text: str) -> str:
        """The text between the marks of its kind; those of a style end at the end of a line and are set again."""
        mark = self._marks.get(kind, "")
        if kind == "CodeBlock":
            return _surrounded(text, mark)
        return "\n".join(_surrounded(line, mark) for line in text.split("\n")) if mark else text

    def _end_anchor(self, top: _Frame) -> None:
        frame, start, address = self._anchors.pop()
        label = top.text[start:] if frame is top else ""
        top.text = top.text[: len(top.text) - len(label)] + _with_address(label, address)

    def _depth(self, kind: str) -> int:
        return sum(frame.kind == kind for frame in self.frames[-2 * _MAX_DEPTH :])

    def _item(self, top: _Frame, item: _Frame) -> str:
        """One line of a list, further lines indented; a number is kept as written, unless it does not rise."""
        mark = "- "
        if top.details is not None:
            number = max(item.details or 0, top.details)
            top.details, mark = number + 1, f"{number}. "
        body = item.text.strip("\n")
        if self._depth("Item") < _MAX_DEPTH:
            body = body.replace("\n", "\n  ")
        return f"\n{mark}{body}" if top.text else f"{mark}{body}"


def _surrounded(text: str, mark: str) -> str:
    """The marks stand at the words, not at spaces around them; a blank text has none."""
    words = text.strip()
    if not words:
        return text
    start = text.index(words)
    return f"{text[:start]}{mark}{words}{mark}{text[start + len(words) :]}"


def _prefixed(text: str, prefix: str) -> str:
    return "\n".join(f"{prefix}{line}".rstrip() for line in text.split("\n"))


def _with_address(text: str, address: str) -> str:
    """The label of a link and its address, once if they are the same; addresses without a host are left out."""
    if not address.lower().startswith(_SHOWN_SCHEMES):
        return text
    bare = re.sub(r"^(https?://(www\.)?|mailto:|tel:)", "", address, flags=re.IGNORECASE).rstrip("/")
    shown = address if address.lower().startswith("http") else bare
    label = re.sub(r"^(https?://)?(www\.)?", "", text.strip(), flags=re.IGNORECASE).rstrip("/")
    return shown if label in {"", bare} else f"{text} ({shown})"


def _table_lines(rows: list[list[str]]) -> str:
    """Rows as lines: "A: B" for two columns; with more columns each cell carries the name of its column."""
    head, body = rows[0], rows[1:]
    if len(head) <= 2 or not body:
        return "\n".join(": ".join(cell for cell in row if cell) for row in rows if any(row))
    return "\n".join(_row_line(head, row) for row in body if any(row))


def _row_line(head: list[str], row: list[str]) -> str:
    named = [f"{name}: {cell}" if name else cell for name, cell in zip(head[1:], row[1:], strict=False) if cell]
    return " - ".join(text for text in (row[0], ", ".join(named)) if text)
