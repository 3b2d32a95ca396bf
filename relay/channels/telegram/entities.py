"""Cuts a long reply into messages of Telegram, with their formatting as entities.

Entities cannot fail to parse, as MarkdownV2 and HTML can, so no reply of a model makes a message unsendable. A code
block is broken only when it is longer than a message, between its statements, and continues in the same language.
"""

from __future__ import annotations

import json
import re
from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from relay.channels.telegram.code_cuts import best_code_cut
from relay.channels.telegram.rendering import clean_telegram, render
from relay.channels.telegram.spans import Span, Styled
from relay.core.cutting import best_cut, reach, utf16_offsets
from relay.core.parts import PlannedPart
from relay.core.text import is_blank
from relay.texts import ENGLISH
from relay.texts.sentences import localize

MAX_UNITS = 4096  # UTF-16 code units of one message: https://core.telegram.org/bots/api#sendmessage
MAX_ENTITIES = 100  # more are not shown: python-telegram-bot's constants.MessageLimit.MESSAGE_ENTITIES

_SHORTEST_PART = 400  # units; a shorter rest takes more from the part before it
_FEWEST_NUMBERED = 3  # two messages after each other need no numbers
_INTRODUCTION = re.compile(r"[^\n]{1,200}[:\uff1a]\Z")

_UNBROKEN = frozenset({"pre", "code", "text_link"})


def plan(markdown: str, max_parts: int, language: str = ENGLISH) -> list[PlannedPart]:
    """A whole reply as messages: at least one, at most `max_parts`; a rest beyond them is replaced by a note.

    The style of a part is a JSON list of entities as sendMessage wants it, or None when it has none. Three parts and
    more are numbered in their text, not in the history.
    """
    shown = markdown[: max_parts * MAX_UNITS * 3]  # more could never be sent
    styled = render(shown)
    if is_blank(styled.text):
        plain = clean_telegram(shown).strip()
        styled = Styled(f"({localize('telegram-empty-answer', language)})" if is_blank(plain) else plain)
    cutter = _Cutter(styled, f"\n\n[{localize('telegram-cut', language)}]", is_whole=len(shown) == len(markdown))
    parts = cutter.parts(MAX_UNITS, max_parts)
    if len(parts) < _FEWEST_NUMBERED:
        return parts
    numbers = "\n\n({}/{})"
    parts = cutter.parts(MAX_UNITS - len(numbers.format(max_parts, max_parts)), max_parts)
    return [replace(part, text=part.text + numbers.format(number, len(parts))) for number, part in enumerate(parts, 1)]


def entities_of(style: str | None) -> dict[str, Any]:
    """The formatting of a text as a parameter."""
    return {"entities": json.loads(style)} if style else {}


class _Cutter:
    """One text to be cut. Positions are Python's, lengths are UTF-16 code units. note: ends a text that was cut."""

    def __init__(self, styled: Styled, note: str, *, is_whole: bool) -> None:
        self._note = note
        self._is_whole = is_whole
        self._text = styled.text
        self._spans = styled.spans
        self._headings = styled.headings
        self._starts = [span.start for span in styled.spans]
        self._offsets = utf16_offsets(styled.text)

    def parts(self, limit: int, max_parts: int) -> list[PlannedPart]:
        """The whole text in messages of at most `limit` units."""
        parts: list[PlannedPart] = []
        start = 0
        while start < len(self._text):
            end = self._end_of_part(start, limit)
            if len(parts) + 1 == max_parts and (end < len(self._text) or not self._is_whole):
                end = self._end_of_part(start, limit - len(self._note))
                return [*parts, self._part(start, end, self._note)]
            parts.append(self._part(start, end))
            start = end
        return [part for part in parts if not is_blank(part.text)]  # blanks alone, however many, are no message

    def _end_of_part(self, start: int, limit: int) -> int:
        """Where the message that begins at `start` ends; always after `start`, and the rest is empty or not blank."""
        end = min(reach(self._offsets, start, limit), self._entity_limit(start))
        if end < len(self._text):
            end = self._best_end(start, self._leaving_enough(start, end), limit)
        return end if self._text[end:].strip() else len(self._text)

    def _leaving_enough(self, start: int, end: int) -> int:
        """An earlier end if the rest would be a message of a few words."""
        missing = _SHORTEST_PART - (self._offsets[-1] - self._offsets[end])
        length = self._offsets[end] - self._offsets[start] - missing
        return reach(self._offsets, start, length) if missing > 0 and length > _SHORTEST_PART else end

    def _part(self, start: int, end: int, notice: str = "") -> PlannedPart:
        """The message for text[start:end]. Blanks around it, which Telegram strips, are only in its history text."""
        history_text = self._text[start:end] + notice
        verbatim = min((span.start for span in self._overlapping(start, end) if span.type == "pre"), default=end)
        while start < verbatim and self._text[start].isspace():
            start += 1  # but not the indentation of code
        while end > start and self._text[end - 1].isspace():
            end -= 1
        text = self._text[start:end] + notice
        return PlannedPart(text=text, history_text=history_text, style=self._style(start, end))

    def _entity_limit(self, start: int) -> int:
        """Where the first entity beyond the maximum of a message begins."""
        first = bisect_left(self._starts, start)
        carried = sum(span.end > start for span in self._spans[:first])
        last = first + max(MAX_ENTITIES - carried, 0)
        if last < len(self._spans) and self._starts[last] > start:
            return self._starts[last]
        return len(self._text)

    def _best_end(self, start: int, furthest: int, limit: int) -> int:
        """Before a code block that fits into the next part; else as for any text, with links and code kept whole."""
        block = next((span for span in self._spans if span.type == "pre" and span.start < furthest < span.end), None)
        if block and block.start > start and self._text[start : block.start].strip():
            fits = self._offsets[block.end] - self._offsets[block.start] <= limit
            if fits or furthest - block.start < limit // 4:
                return self._before_heading(start, block.start)
        if block and (cut := best_code_cut(self._text, max(block.start, start), furthest)):
            return cut
        types = {"code"} if block else _UNBROKEN
        unbroken = ((span.start, span.end) for span in self._overlapping(start, furthest) if span.type in types)
        return self._before_heading(start, best_cut(self._text, start, furthest, unbroken))

    def _before_heading(self, start: int, end: int) -> int:
        """A heading, and a line that ends in a colon, belong to what follows: a part that would end so ends before."""
        earliest = start + (end - start) // 2
        last = len(self._text[:end].rstrip())
        line = self._text.rfind("\n", start, last) + 1
        if any(first <= line < last <= after for first, after in self._headings) and line > start:
            return self._before_heading(start, line)
        return line if line > earliest and _INTRODUCTION.fullmatch(self._text, line, last) else end

    def _overlapping(self, start: int, end: int) -> Iterator[Span]:
        return (span for span in self._spans if span.start < end and span.end > start)

    def _style(self, start: int, end: int) -> str | None:
        entities = [self._entity(span, start, end) for span in self._overlapping(start, end)][:MAX_ENTITIES]
        return json.dumps(entities, ensure_ascii=False) if entities else None

    def _entity(self, span: Span, start: int, end: int) -> dict[str, Any]:
        first, last = max(span.start, start), min(span.end, end)
        entity: dict[str, Any] = {
            "type": span.type,
            "offset": self._offsets[first] - self._offsets[start],
            "length": self._offsets[last] - self._offsets[first],
        }
        if span.url:
            entity["url"] = span.url
        if span.language:
            entity["language"] = span.language
        return entity
