r"""Prepares a model's Markdown for the parser, outside code: what models mean and CommonMark reads otherwise.

Mathematics, "==marks==", "||spoilers||" and harmless HTML become numbered marks, which stand for events; signs that are
meant as they are ("2*3*4", "__init__", "~5") are escaped; emphasis next to Chinese gets a letter that is not shown.
"""

from __future__ import annotations

import html
import re
import string
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

import pyromark

from relay.core.latex import looks_like_math, subscript, superscript, to_unicode
from relay.core.markdown_signs import (
    ATTRIBUTED_TAGS,
    BLOCK_TAGS,
    CONTAINER_TAGS,
    FIRST,
    LESS,
    LIST_TAGS,
    STYLES,
    sign_at,
)

OPTIONS = (
    pyromark.Options.ENABLE_TABLES
    | pyromark.Options.ENABLE_STRIKETHROUGH
    | pyromark.Options.ENABLE_TASKLISTS
    | pyromark.Options.ENABLE_FOOTNOTES
    | pyromark.Options.ENABLE_GFM
)

# Noncharacters of Unicode, letters to the parser: the ends of a mark's number, and a letter that is not shown.
_MARK, _JOINER = "\ufdd1", "\ufdd2"
_MARKS = re.compile(f"{_MARK}(\\d+){_MARK}")
_RESERVED = dict.fromkeys(map(ord, (LESS, _MARK, _JOINER)))
_RESTORED = {ord(LESS): "<", ord(_JOINER): None}
_ADDRESS_OR_LESS = re.compile(
    r"<((?:https?|tg|mailto|tel|ftp):[^\s<>]{1,2000}>|[\w.+-]{1,64}@[\w.-]{1,255}>|(?<=\]\(<)[^<>\n]{1,2000}>(?=[\s)]))|<",
    re.IGNORECASE,
)
_LINE_START = re.compile(r"\n[ \t]*(?:>[ \t]*)*")
_MAX_LOOK_BACK = 200
_ENDS_WITH_TAG = re.compile(rf"{LESS}[^>{LESS}]+>\Z")
_HREF = re.compile(r"""href\s*=\s*["']?([^"'\s>]+)""", re.IGNORECASE)
_SRC = re.compile(r"""\ssrc\s*=\s*["']?(https?://[^"'\s>]+)""", re.IGNORECASE)
_ALT = re.compile(r"""\salt\s*=\s*(["'])(.*?)\1""", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Event:
    """What the parser met: an event of pulldown-cmark, or Open, Close (kind: the style) and Formula.

    `after_blank` tells whether an empty line of the source precedes it.
    """

    name: str
    kind: str = ""
    value: Any = None
    after_blank: bool = False


@dataclass(frozen=True, slots=True)
class Formula:
    """Mathematics as Unicode text; `display` stands in lines of its own."""

    text: str
    display: bool


def escape_markdown(text: str) -> str:
    """Escape a text so that it reads the same as Markdown: a backslash could begin mathematics."""
    return "".join(f"&#{ord(char)};" if char in string.punctuation else char for char in text)


@dataclass(slots=True)
class _Tag:
    """A sign that means something only with its partner: its place among the pieces, and what stands there then.

    begins: where it stands in the source.
    """

    place: int
    begins: int
    opens: str
    closes: str


class PreparedMarkdown:
    """One text on its way to the parser, with the events that its marks stand for."""

    def __init__(self, markdown: str) -> None:
        text = markdown.translate(_RESERVED)
        self._text = _ADDRESS_OR_LESS.sub(lambda found: f"<{found[1]}" if found[1] else LESS, text)
        self._pieces: list[str] = []
        self._marks: list[tuple[Event, str]] = []
        self._open: dict[str, list[_Tag]] = {}
        self._lists: list[int | None] = []  # of the open HTML lists, the last number; None: bullets
        self._program_at = -1  # where the last tag stands that is of no text: what is around it is shown as typed

    def source(self) -> str:
        """The text for the parser."""
        cursor, end = 0, len(self._text)
        for code_start, code_end in [*code_ranges(self._text), (end, end)]:
            for first in FIRST.finditer(self._text, cursor, code_start):
                found = sign_at(self._text, first.start(), code_start) if first.start() >= cursor else None
                if found is None:
                    continue
                self._pieces.append(self._text[cursor : found.start()])
                replaced = self._replaced(found)
                cursor = found.start() if replaced is None else found.end()
                self._pieces.append(replaced or "")
            self._pieces.append(self._text[cursor:code_end])
            cursor = code_end
        return "".join(self._pieces)

    def text_events(self, text: str) -> Iterator[Event]:
        """A text of the parser as Text events and those of its marks."""
        for index, piece in enumerate(_MARKS.split(text)):
            if index % 2:
                yield self._marks[int(piece)][0]
            elif piece:
                yield Event("Text", value=piece.translate(_RESTORED))

    def restored(self, value: Any) -> Any:
        """An address, a language or code, with what was written in place of marks."""
        if isinstance(value, dict):
            return {key: self.restored(inner) for key, inner in value.items()}
        if isinstance(value, str):
            return _MARKS.sub(lambda found: self._marks[int(found[1])][1], value).translate(_RESTORED)
        return value

    def _mark(self, name: str, kind: str, value: Any, literal: str) -> str:
        self._marks.append((Event(name, kind, value), literal))
        return f"{_MARK}{len(self._marks) - 1}{_MARK}"

    def _replaced(self, found: re.Match[str]) -> str | None:
        """What the parser reads instead of a match of a sign; None: the sign is what the parser takes it for."""
        group = str(found.lastgroup)
        if group == "program":
            self._program_at = found.start()
        match group:
            case "tag" | "attributes" | "pair":
                return self._tag(found)
            case "paragraph":
                self._open = {name: tags for name, tags in self._open.items() if name in BLOCK_TAGS}
                return found[0]
            case "line_break":
                return " " if _in_table_row(found) else "\n"
            case "block":
                return f"\n\n```{found['language'] or ''}\n{html.unescape(found['block'])}\n```\n\n"
            case "display_math" | "bracket_math" | "environment" | "paren_math" | "dollar_math":
                return self._formula(group, found)
            case _:
                return _REPLACED[group](found[group])

    def _formula(self, group: str, found: re.Match[str]) -> str | None:
        latex = _LINE_START.sub("\n", found[group]).translate(_RESTORED)
        text = to_unicode(latex) if group == "environment" or looks_like_math(latex) else ""
        display = group not in {"paren_math", "dollar_math"}
        return self._mark("Formula", "", Formula(text, display), found[0]) if text else None

    def _tag(self, found: re.Match[str]) -> str:
        """Both signs of a pair get their meaning when the second one comes; alone, each is the text that it is."""
        name = found[0] if _is_pair(found) else found["tag"].lower()
        waiting = self._open.setdefault(name, [])
        if waiting and _may_close(name, found):
            tag = waiting.pop()
            if name in CONTAINER_TAGS and tag.begins < self._program_at:
                return found[0]
            self._pieces[tag.place] = tag.opens
            if name in LIST_TAGS and self._lists:
                self._lists.pop()
            return tag.closes
        if _may_open(name, found):
            opens, closes = self._pair(name, found)
            waiting.append(_Tag(len(self._pieces), found.start(), opens, closes))
        return found[0]

    def _pair(self, name: str, found: re.Match[str]) -> tuple[str, str]:
        """What stands for the two signs in the source of the parser."""
        style, address = STYLES.get(name), None
        if name == "a":
            href = _HREF.search(found["attributes"] or "")
            style, address = ("text_link", html.unescape(href[1])) if href else (None, None)
        if name == "summary":
            style = "bold"
        opens = self._mark("Open", style, address, found[0]) if style else ""
        closes = self._mark("Close", style, None, name if _is_pair(found) else f"</{name}>") if style else ""
        if name not in BLOCK_TAGS:
            return opens, closes
        if _in_table_row(found):
            return (" \u2022 " if name == "li" else opens), closes
        before, after = self._block(name)
        return before + opens, closes + after

    def _block(self, name: str) -> tuple[str, str]:
        if name in LIST_TAGS:
            gap = "" if self._lists else "\n\n"
            self._lists.append(0 if name == "ol" else None)
            return gap, gap
        if name == "li":
            number = self._lists[-1] if self._lists else None
            indent = "    " * (len(self._lists) - 1)
            if number is None:
                return f"\n{indent}- ", ""
            self._lists[-1] = number + 1
            return f"\n{indent}{number + 1}. ", ""
        return f"\n\n{'#' * int(name[1])} " if name[0] == "h" else "\n\n", "\n\n"


def _is_pair(found: re.Match[str]) -> bool:
    """Whether the sign begins and ends with the same characters, as "||" does; an HTML tag does not."""
    return found.lastgroup == "pair"


def _may_open(name: str, found: re.Match[str]) -> bool:
    """Whether the sign begins something; "use <b> for bold" and "a || b" begin nothing."""
    before, after = _around(found)
    if _is_pair(found):
        return bool(after.strip()) and before not in _BEFORE_NO_OPENER
    if found["closing"]:
        return False
    if name in ATTRIBUTED_TAGS:
        return bool(found["attributes"])
    if name in CONTAINER_TAGS:
        return bool(found["attributes"]) or _begins_a_line(found)
    if name in LIST_TAGS or name == "details":
        inner = f"{LESS}li" if name in LIST_TAGS else f"{LESS}summary"
        return found.string[found.end() : found.end() + 40].lstrip().lower().startswith(inner)
    return name in BLOCK_TAGS or bool(after.strip())


_WORD_CHARACTERS = frozenset(string.ascii_letters + string.digits + "_|")
_BEFORE_NO_OPENER, _AFTER_NO_CLOSER = _WORD_CHARACTERS | set("\\)]}"), _WORD_CHARACTERS | set("([{")


def _around(found: re.Match[str]) -> tuple[str, str]:
    """The characters before and after a sign; a space at the ends of the text."""
    text, start, end = found.string, found.start(), found.end()
    return text[start - 1] if start else " ", text[end] if end < len(text) else " "


def _may_close(name: str, found: re.Match[str]) -> bool:
    before, after = _around(found)
    if _is_pair(found):
        return not before.isspace() and after not in _AFTER_NO_CLOSER
    return bool(found["closing"]) and (name in BLOCK_TAGS or not before.isspace())


def _begins_a_line(found: re.Match[str]) -> bool:
    """Whether nothing but blanks, signs of quotes and HTML tags stands before it in its line."""
    nearest = found.string[max(found.start() - _MAX_LOOK_BACK, 0) : found.start()]
    before = nearest[nearest.rfind("\n") + 1 :].rstrip(" \t")
    return not before.strip(" \t>") or _ENDS_WITH_TAG.search(before) is not None


def _image(attributes: str) -> str | None:
    """The picture in Markdown; None for one without an address in the web."""
    src, alt = _SRC.search(attributes), _ALT.search(attributes)
    if src is None:
        return None
    return f"![{escape_markdown(html.unescape(alt[2])) if alt else ''}](<{html.unescape(src[1])}>)"


def _in_table_row(found: re.Match[str]) -> bool:
    start, end = found.string.rfind("\n", 0, found.start()) + 1, found.string.find("\n", found.end())
    return "|" in found.string[start : end if end >= 0 else None]


def _code_span(text: str) -> str:
    return f"`{html.unescape(text)}`"


def _unescaped(sign: str) -> str:
    """A backslash before "<" is dropped here: to the parser the letter that stands for it is no punctuation."""
    return LESS if sign[1:] == LESS else sign


_REPLACED: Final[dict[str, Callable[[str], str | None]]] = {
    "image": _image,
    "program": lambda tag: tag,
    "escaped": _unescaped,
    "path": escape_markdown,
    "address": lambda address: re.sub(r"([*_~])", r"\\\1", address),
    "dunder": escape_markdown,
    "step": escape_markdown,
    "mailbox": escape_markdown,
    "operator": escape_markdown,
    "tilde": escape_markdown,
    "comment": lambda _: "",
    "rule": lambda _: "\n\n---\n\n",
    "code": _code_span,
    "sub": lambda text: escape_markdown(subscript(text)),
    "lowered": lambda text: escape_markdown(subscript(text)),
    "sup": lambda text: escape_markdown(superscript(text)),
    "raised": lambda text: escape_markdown(superscript(text)),
    "closer": lambda run: _JOINER + run,
    "punctuated": lambda run: _JOINER + run,
    "opener": lambda run: run + _JOINER,
}


def code_ranges(text: str) -> Iterator[tuple[int, int]]:
    """Ranges of code blocks and code spans as the parser reads them, in order."""
    if not any(sign in text for sign in ("`", "~~~", "    ", "\t")):
        return
    data, cursor, position = text.encode(), 0, 0
    for event, place in pyromark.events_with_range(text, options=OPTIONS):
        start = event.get("Start") if isinstance(event, dict) else None
        if (isinstance(event, dict) and "Code" in event) or (isinstance(start, dict) and "CodeBlock" in start):
            first = position + len(data[cursor : place["start"]].decode())
            position = first + len(data[place["start"] : place["end"]].decode())
            cursor = place["end"]
            yield first, position
