"""Converts a model's Markdown to the text that Telegram shows, with spans: bold, code, a link ...

Nothing that carries meaning is lost. What Telegram has no style for becomes text: marks of lists, tables, headings
(bold), addresses that it does not open. Cutting the text into messages is left to `entities`.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from typing import Any, Final

from relay.channels.telegram.file_names import file_name_spans
from relay.channels.telegram.spans import SpanWriter, Styled, nested
from relay.channels.telegram.tables import write_table
from relay.core.markdown_source import Event
from relay.core.markup import parse

log = logging.getLogger("relay.channels.telegram.rendering")

_UNSENDABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff]")
_NO_BLOCKS: Final = frozenset(
    {"Strong", "Emphasis", "Strikethrough", "Link", "Image", "TableHead", "TableRow", "TableCell"}
)
_STYLES: Final = {"Strong": "bold", "Emphasis": "italic", "Strikethrough": "strikethrough"}
_HEADINGS: Final = {"H5": "italic", "H6": "italic"}
_ALERTS: Final = {
    "Note": "\u2139\ufe0f Note",
    "Tip": "\U0001f4a1 Tip",
    "Important": "\u2757 Important",
    "Warning": "\u26a0\ufe0f Warning",
    "Caution": "\U0001f6d1 Caution",
}
_RULE = "\u2014" * 8
_OPENED_SCHEMES = re.compile(r"(?:https?|tg)://[^\s/?#]|(?:https?|tg):(?!/)\S", re.IGNORECASE)
_SHOWN_SCHEMES = re.compile(r"(?!javascript:|data:|vbscript:)[a-z][a-z0-9+.-]{1,30}:\S", re.IGNORECASE)
_SCHEME = re.compile(r"^(?:[a-z]+://|mailto:|tel:|sms:)(?:www\.)?", re.IGNORECASE)
_UNSAID = re.compile("^(?:mailto|tel|sms):", re.IGNORECASE)
_NUMBER = re.compile(r"[+(\d][\d().\s-]{2,40}")
_IN_NUMBERS = re.compile(r"[().\s-]")
_MAX_PREFIXES = 6  # deeper levels of lists and quotes look like this one, which bounds the text


def render(markdown: str) -> Styled:
    """The text and its spans. Never raises: a reply that cannot be converted is sent as plain text."""
    plain = clean_telegram(markdown)
    try:
        renderer = _Renderer()
        for event in parse(plain):
            renderer.handle(event)
        return renderer.styled()
    except Exception:
        log.exception("the formatting of an answer failed, it is sent as plain text")
        return Styled(plain)


def clean_telegram(text: str) -> str:
    """The text without control characters and lone surrogates, which no message may contain; lines end in LF."""
    return _UNSENDABLE.sub("", text.replace("\r\n", "\n").replace("\r", "\n"))


class _Renderer:
    """Handles the parser's events in order."""

    def __init__(self) -> None:
        self._document = self.writer = SpanWriter()
        self._lists: list[int | None] = []  # of the open lists, the next number; None: bullets
        self._quotes = 0
        self._code: list[str] | None = None
        self._language = ""
        self._alignments: tuple[str, ...] = ()
        self._rows: list[list[Styled]] = []
        self._links: list[tuple[str, int]] = []  # of the open links, the address and the mark where the label begins

    def styled(self) -> Styled:
        """The whole document."""
        text = self._document.text()
        spans = nested(self._document.spans, text)
        return Styled(
            text, tuple(nested([*spans, *file_name_spans(text, spans)], text)), tuple(self._document.headings)
        )

    def handle(self, event: Event) -> None:
        """Write what one event stands for; text of a code block is kept until its end."""
        if event.name == "Start":
            self._start(event)
        elif event.name == "End":
            self._end(event)
        elif event.name == "Text" and self._code is not None:
            self._code.append(event.value)
        else:
            _INLINE_EVENTS[event.name](self, event)

    def _start(self, event: Event) -> None:
        if event.kind not in _NO_BLOCKS:
            self.block(event)
        if event.kind in _STYLES:
            self.writer.open(_STYLES[event.kind])
        elif event.kind in _STARTS:
            _STARTS[event.kind](self, event.value)

    def _end(self, event: Event) -> None:
        if event.kind in _STYLES:
            self.writer.close(_STYLES[event.kind])
        elif event.kind in _ENDS:
            _ENDS[event.kind](self, event.value)
        if event.kind not in _NO_BLOCKS:
            self.writer.separate(1)

    def block(self, event: Event) -> None:
        """Blocks of a list stand close together; elsewhere an empty line of the source is one here."""
        self.writer.separate(2 if event.after_blank and not self._lists else 1)

    def line_break(self, _: Event) -> None:
        self.writer.write(" " if self._in_cell() else "\n")

    def rule(self, event: Event) -> None:
        self.block(event)
        self.writer.write(_RULE)
        self.writer.separate(1)

    def formula(self, event: Event) -> None:
        if not event.value.display or self._in_cell():
            self.writer.write_verbatim(event.value.text.replace("\n", " "), "code")
            return
        self.writer.separate(1)
        self.writer.write_verbatim(event.value.text, "pre")
        self.writer.separate(1)

    def tick(self, event: Event) -> None:
        label = self.writer.take_label().removesuffix("\u2022 ")
        self.writer.label(label + ("\u2611 " if event.value else "\u2610 "))

    def _in_cell(self) -> bool:
        return self.writer is not self._document

    def start_heading(self, heading: dict[str, Any]) -> None:
        self.writer.open_heading(_HEADINGS.get(heading["level"], "bold"))

    def end_heading(self, level: str) -> None:
        self.writer.close_heading(_HEADINGS.get(level, "bold"))

    def start_image(self, image: dict[str, str]) -> None:
        self.open("text_link", image["dest_url"])
        self.writer.write("\U0001f5bc ")

    def start_list(self, number: int | None) -> None:
        self._lists.append(number)

    def end_list(self, _: bool) -> None:
        self._lists.pop()

    def start_item(self, number: int | None) -> None:
        """A number is kept as it was written, unless it does not rise."""
        label = "\u2022 "
        if self._lists[-1] is not None:
            number = max(number or 0, self._lists[-1])
            self._lists[-1] = number + 1
            label = f"{number}. "
        self.writer.indent("  " if 1 < len(self._lists) <= _MAX_PREFIXES else "")
        self.writer.label(label)

    def end_item(self, _: None) -> None:
        self.writer.begin_line()
        self.writer.outdent()

    def start_quote(self, alert: str | None) -> None:
        """Quotes within a quote have no style in Telegram, so they are marked by a sign."""
        self._quotes += 1
        if self._quotes == 1:
            self.writer.open("blockquote")
        self.writer.indent("> " if 1 < self._quotes <= _MAX_PREFIXES else "")
        if alert:
            self.writer.open("bold")
            self.writer.write(_ALERTS[alert])
            self.writer.close("bold")

    def end_quote(self, _: str | None) -> None:
        self._quotes -= 1
        self.writer.outdent()
        if not self._quotes:
            self.writer.close("blockquote")

    def start_footnote(self, label: str) -> None:
        self.writer.label(f"[{label}] ")

    def end_footnote(self, _: None) -> None:
        self.writer.begin_line()

    def start_code(self, kind: dict[str, str] | str) -> None:
        self._code = []
        self._language = kind["Fenced"] if isinstance(kind, dict) else ""

    def end_code(self, _: None) -> None:
        text, self._code = "".join(self._code or ()).removesuffix("\n"), None
        language = re.split(r"[\s,{]", self._language, maxsplit=1)[0]
        if not text:  # a block without a line: what stands behind its sign is no language
            text, language = self._language, ""
        self.writer.write_verbatim(text, "pre", language or None)

    def start_table(self, alignments: tuple[str, ...]) -> None:
        self._alignments, self._rows = alignments, []

    def start_row(self, _: None) -> None:
        self._rows.append([])

    def start_cell(self, _: None) -> None:
        self.writer = SpanWriter()

    def end_cell(self, _: None) -> None:
        text, spans = self.writer.text(), self.writer.spans
        self._rows[-1].append(Styled(text, tuple(nested(spans, text))))
        self.writer = self._document

    def end_table(self, _: None) -> None:
        write_table(self.writer, self._rows, self._alignments)

    def open(self, style: str, address: str | None) -> None:
        self.writer.open(style, address)
        if style == "text_link":
            self._links.append((address or "", self.writer.mark()))

    def close(self, style: str) -> None:
        """A link that Telegram does not open is followed by its address."""
        if style != "text_link":
            self.writer.close(style)
            return
        address, mark = self._links.pop()
        label = self.writer.text_since(mark).strip()
        url = _opened(address)
        if url and not label:
            self.writer.write(address)
        self.writer.close("text_link", url)
        if not url and _SHOWN_SCHEMES.match(address) and _bare(address) != _bare(label):
            self.writer.write(f" ({_UNSAID.sub('', address)})" if label else address)


_INLINE_EVENTS: Final[dict[str, Callable[[_Renderer, Event], None]]] = {
    **dict.fromkeys(("Text", "Html", "InlineHtml"), lambda it, event: it.writer.write(event.value)),
    "Code": lambda it, event: it.writer.write_verbatim(event.value, "code"),
    **dict.fromkeys(("SoftBreak", "HardBreak"), _Renderer.line_break),
    "TaskListMarker": _Renderer.tick,
    "FootnoteReference": lambda it, event: it.writer.write(f"[{event.value}]"),
    "Formula": _Renderer.formula,
    "Rule": _Renderer.rule,
    "Open": lambda it, event: it.open(event.kind, event.value),
    "Close": lambda it, event: it.close(event.kind),
}
_STARTS: Final[dict[str, Callable[[_Renderer, Any], None]]] = {
    "Heading": _Renderer.start_heading,
    "Link": lambda it, link: it.open("text_link", link["dest_url"]),
    "Image": _Renderer.start_image,
    "List": _Renderer.start_list,
    "Item": _Renderer.start_item,
    "BlockQuote": _Renderer.start_quote,
    "FootnoteDefinition": _Renderer.start_footnote,
    "CodeBlock": _Renderer.start_code,
    "Table": _Renderer.start_table,
    "TableHead": _Renderer.start_row,
    "TableRow": _Renderer.start_row,
    "TableCell": _Renderer.start_cell,
}
_ENDS: Final[dict[str, Callable[[_Renderer, Any], None]]] = {
    "Heading": _Renderer.end_heading,
    **dict.fromkeys(("Link", "Image"), lambda it, _: it.close("text_link")),
    "List": _Renderer.end_list,
    "Item": _Renderer.end_item,
    "BlockQuote": _Renderer.end_quote,
    "FootnoteDefinition": _Renderer.end_footnote,
    "CodeBlock": _Renderer.end_code,
    "Table": _Renderer.end_table,
    "TableCell": _Renderer.end_cell,
}


def _opened(address: str) -> str | None:
    """The address that Telegram opens, or None where it refuses or forgets the link (#anchor, ./file, tel:)."""
    if address.lower().startswith("www."):
        return f"https://{address}"
    return address.replace(" ", "%20") if _OPENED_SCHEMES.match(address) else None


def _bare(address: str) -> str:
    """What of an address, or of its label, tells whether they are the same; numbers may be written with spaces."""
    bare = _SCHEME.sub("", address).rstrip("/")
    return _IN_NUMBERS.sub("", bare) if _NUMBER.fullmatch(bare) else bare
