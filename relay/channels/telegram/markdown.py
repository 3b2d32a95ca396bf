r"""Converts a model's Markdown to plain text with spans: bold, code, a link ...

The conversion is telegramify-markdown's. This module protects characters that CommonMark would remove unexpectedly
("List<String>", "2*3*4", "__init__.py", "\( x \)"). Cutting the text into messages is left to `entities`.
"""

from __future__ import annotations

import logging
import re
import string
from bisect import bisect_right
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pyromark
from telegramify_markdown import MessageEntity, RenderConfig, convert
from telegramify_markdown.converter import STANDARD_OPTIONS

from relay.core.cutting import utf16_offsets

log = logging.getLogger("relay.channels.telegram.markdown")

# Unicode noncharacters as placeholders for characters that Markdown must not interpret.
_LESS, _STAR, _UNDERSCORE = "\ufdd0", "\ufdd1", "\ufdd2"
_RESTORED = {ord(_LESS): "<", ord(_STAR): "*", ord(_UNDERSCORE): "_"}
_UNSENDABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff]")

_LESS_THAN = re.compile(r"(?<!\\)((?:\\\\)*)<(?!https?://[^\s<>]{1,2000}>)")
_BREAK_TAG = re.compile(_LESS + r"br\s{0,3}/?>", re.IGNORECASE)
_PRODUCT = re.compile(r"(?<=[0-9A-Za-z)\]])\*(?=[0-9A-Za-z(])")
_POWER = re.compile(r"(?<=[0-9A-Za-z)\]])\*\*(?=[0-9])|(?<=[0-9)\]])\*\*(?=\()")
_DUNDER = re.compile(
    r"(?<!\w)__(?:(?:init|main|name|file|all|dict|class|str|repr|call|new|del|len|iter|next|enter|exit|eq|hash|doc"
    r"|version|slots|future|pycache|getattr|setattr|getitem|setitem|post_init|annotations|module|import)__(?!\w)"
    r"|[a-z0-9_]{1,40}__(?=[.(/]\w|\(\)))"
)
# Bounded, or a text of opening brackets would be searched to its end from each of them.
_INLINE_MATH = re.compile(r"\\\(((?:(?!\n[ \t]{0,20}\n|\$).){1,300}?)\\\)", re.DOTALL)
_DISPLAY_MATH = re.compile(r"\\\[((?:(?!\n[ \t]{0,20}\n|\$).){1,1500}?)\\\]", re.DOTALL)
_LOOKS_LIKE_MATH = re.compile(r"\\[A-Za-z]|[=^_{}+<>" + _LESS + r"]|^\s*[A-Za-z]\s*$")

_KEPT_TYPES = frozenset(
    {"bold", "italic", "underline", "strikethrough", "spoiler", "blockquote", "code", "pre", "text_link"}
)


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of text with a style, in Python's own character positions; `end` is exclusive."""

    type: str
    start: int
    end: int
    url: str | None = None
    language: str | None = None


@dataclass(frozen=True, slots=True)
class Styled:
    """A text and its spans, those that begin earlier or reach further first."""

    text: str
    spans: tuple[Span, ...] = ()


def render(markdown: str) -> Styled:
    """The text and its spans. Never raises: a reply that cannot be converted is sent as plain text."""
    plain = clean_telegram(markdown)
    try:
        text, entities = convert(_protected(plain), latex_escape=False, config=_plain_symbols())
    except Exception:
        log.exception("the formatting of an answer failed, it is sent as plain text")
        return Styled(plain)
    spans = tuple(_usable_spans(text, entities))
    return Styled(text.translate(_RESTORED), spans)


def clean_telegram(text: str) -> str:
    """The text without control characters and lone surrogates, which no message may contain; lines end in LF."""
    return _UNSENDABLE.sub("", text.replace("\r\n", "\n").replace("\r", "\n"))


def escape(text: str) -> str:
    """Escape a text, such as a name, so that it reads the same as Markdown."""
    return "".join(f"&#{ord(char)};" if char in string.punctuation else char for char in text)


def _plain_symbols() -> RenderConfig:
    """Headings without pictures, an open task that looks open, quotes that are not folded away."""
    config = RenderConfig.isolated()  # the shared one is state that any other user of the library may change
    symbols = config.markdown_symbol
    symbols.heading_level_1 = symbols.heading_level_2 = symbols.heading_level_3 = symbols.heading_level_4 = ""
    symbols.task_completed, symbols.task_uncompleted = "\u2611", "\u2610"
    symbols.unordered_list_item = "\u2022"
    config.cite_expandable = False
    return config


def _protected(markdown: str) -> str:
    """Placeholders for characters that CommonMark would remove; code is left alone."""
    # "<" comes first: within what the parser takes for raw HTML it would recognise no code.
    text = _LESS_THAN.sub(lambda match: match[1] + _LESS, markdown)
    return _outside_code(text, _protected_prose)


def _protected_prose(text: str) -> str:
    text = _with_line_breaks(text)
    text = _POWER.sub(_STAR * 2, text)
    text = _PRODUCT.sub(_STAR, text)
    text = _DUNDER.sub(lambda match: match[0].replace("_", _UNDERSCORE), text)
    text = _DISPLAY_MATH.sub(lambda match: _dollars(match, "$$"), text)
    return _INLINE_MATH.sub(lambda match: _dollars(match, "$"), text)


def _with_line_breaks(text: str) -> str:
    """<br> is a line break, but within a row of a table, which must stay on its line, a space."""
    if not _BREAK_TAG.search(text):
        return text
    return "\n".join(_BREAK_TAG.sub(" " if "|" in line else "\n", line) for line in text.split("\n"))


def _dollars(match: re.Match[str], fence: str) -> str:
    """Mathematics between dollars, the only form that the parser reads; other escaped brackets are left alone."""
    content = match[1].strip()
    return f"{fence}{content}{fence}" if content and _LOOKS_LIKE_MATH.search(content) else match[0]


def _outside_code(text: str, change: Callable[[str], str]) -> str:
    """Apply `change` to everything that the parser does not read as code."""
    data = text.encode()
    pieces: list[str] = []
    cursor = 0
    for start, end in _code_ranges(text):
        pieces += [change(data[cursor:start].decode()), data[start:end].decode()]
        cursor = end
    return "".join([*pieces, change(data[cursor:].decode())])


def _code_ranges(text: str) -> Iterator[tuple[int, int]]:
    """Byte ranges of code blocks and code spans, in order."""
    if not any(sign in text for sign in ("`", "~~~", "    ", "\t")):
        return
    for event, place in pyromark.events_with_range(text, options=STANDARD_OPTIONS):
        start = event.get("Start") if isinstance(event, dict) else None
        if (isinstance(event, dict) and "Code" in event) or (isinstance(start, dict) and "CodeBlock" in start):
            yield place["start"], place["end"]


def _usable_spans(text: str, entities: list[MessageEntity]) -> Iterator[Span]:
    """Entities count UTF-16 code units, spans count characters; those that Telegram refuses are left out."""
    starts = utf16_offsets(text)
    for entity in sorted(entities, key=lambda entity: (entity.offset, -entity.length)):
        start = bisect_right(starts, entity.offset) - 1
        end = bisect_right(starts, entity.offset + entity.length) - 1
        url = entity.url.translate(_RESTORED) if entity.url else None
        if entity.type not in _KEPT_TYPES or not text[start:end].strip():
            continue
        # A link that leads nowhere on the internet (#anchor, ./file) is refused or forgotten.
        if entity.type == "text_link" and not (url or "").startswith(("http://", "https://")):
            continue
        language = entity.language.translate(_RESTORED) if entity.language else None
        yield Span(entity.type, start, end, url, language)
