"""Cuts a long answer into messages that Telegram takes, and writes its styles as Telegram's entities.

Entities cannot fail to parse, as MarkdownV2 and HTML can, so nothing that a model writes makes a message unsendable.
A message ends where a reader would end it: between blocks, lines, sentences, words; a code block is broken only when
it is longer than a message, and then goes on in the same language. Sending is the service's business.
"""

from __future__ import annotations

import json
import re
import unicodedata
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from itertools import accumulate
from typing import Any

from relay.channels.telegram.markdown import Span, Styled, clean_telegram, render
from relay.core.messages import PlannedPart

MAX_UNITS = 4096  # UTF-16 code units of one message: https://core.telegram.org/bots/api#sendmessage
MAX_ENTITIES = 100  # more are not shown: python-telegram-bot's constants.MessageLimit.MESSAGE_ENTITIES
CUT_NOTICE = "\n\n[The answer was longer; the rest was cut.]"
EMPTY_NOTICE = "(There was nothing in the answer.)"

_UNBROKEN = frozenset({"pre", "code", "text_link"})
_BLOCK_END = re.compile(r"\n[ \t]*\n+")
_LINE_END = re.compile(r"\n")
_SENTENCE_END = re.compile(r"[.!?\u2026\u3002\uff01\uff1f][\"'\u201d\u00bb)]?\s+|[\u3002\uff01\uff1f]")
_WORD_END = re.compile(r"\s+")
_JOINER = "\u200d"


def plan(markdown: str, max_parts: int) -> list[PlannedPart]:
    """A whole reply as messages: at least one, at most `max_parts`; what is beyond them is cut, with a word.

    The style of a part is a JSON list of entities as sendMessage wants it, or None when it has none.
    """
    shown = markdown[: max_parts * MAX_UNITS * 3]  # what can never be sent need not be converted
    styled = render(shown)
    if not styled.text.strip():
        styled = Styled(clean_telegram(shown).strip() or EMPTY_NOTICE)
    cutter = _Cutter(styled)
    parts: list[PlannedPart] = []
    start = 0
    while start < len(styled.text):
        end = cutter.end_of_part(start, MAX_UNITS)
        if len(parts) + 1 == max_parts and (end < len(styled.text) or len(shown) < len(markdown)):
            end = cutter.end_of_part(start, MAX_UNITS - len(CUT_NOTICE))
            return [*parts, cutter.part(start, end, CUT_NOTICE)]
        parts.append(cutter.part(start, end))
        start = end
    return parts


def units(text: str) -> int:
    """Length in UTF-16 code units, Telegram's measure."""
    return len(text) + sum(char > "\uffff" for char in text)


class _Cutter:
    """One text to be cut. Positions are Python's; `_units[i]` is how many UTF-16 code units come before text[i]."""

    def __init__(self, styled: Styled) -> None:
        self._text = styled.text
        self._spans = styled.spans
        self._starts = [span.start for span in styled.spans]
        self._units = [0, *accumulate(2 if char > "\uffff" else 1 for char in styled.text)]

    def end_of_part(self, start: int, limit: int) -> int:
        """Where the message that begins at `start` ends; always further on, and what is left is never only blanks."""
        furthest = bisect_right(self._units, self._units[start] + limit) - 1
        furthest = min(furthest, self._entity_limit(start))
        if furthest < len(self._text):
            furthest = self._good_end(start, furthest, limit)
        return furthest if self._text[furthest:].strip() else len(self._text)

    def part(self, start: int, end: int, notice: str = "") -> PlannedPart:
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
        """Where one entity more would begin than a message may have."""
        first = bisect_left(self._starts, start)
        carried = sum(span.end > start for span in self._spans[:first])
        last = first + max(MAX_ENTITIES - carried, 0)
        if last < len(self._spans) and self._starts[last] > start:
            return self._starts[last]
        return len(self._text)

    def _good_end(self, start: int, furthest: int, limit: int) -> int:
        block = self._broken_at(furthest, {"pre"})
        if block and block.start > start and self._text[start : block.start].strip():
            whole = self._units[block.end] - self._units[block.start] <= limit
            if whole or furthest - block.start < limit // 4:
                return block.start
        middle = start + (furthest - start) // 2
        unbroken = {"code"} if block else _UNBROKEN
        for boundary, earliest in (
            (_BLOCK_END, middle),
            (_LINE_END, middle),
            (_SENTENCE_END, middle),
            (_WORD_END, start + 1),
        ):
            for match in reversed(list(boundary.finditer(self._text, earliest, furthest))):
                if not self._broken_at(match.end(), unbroken):
                    return self._before_heading(start, match.end())
        return self._between_characters(start, furthest)

    def _before_heading(self, start: int, end: int) -> int:
        """A heading belongs to what follows it: a part that would end with one ends before it."""
        last = end
        while last > start and self._text[last - 1].isspace():
            last -= 1
        line = self._text.rfind("\n", start, last) + 1
        whole_line = (span for span in self._overlapping(line, last) if span.start <= line and span.end >= last)
        return line if line > start and any(span.type == "underline" for span in whole_line) else end

    def _broken_at(self, position: int, types: frozenset[str] | set[str]) -> Span | None:
        """The span of one of these types that a cut here would break."""
        return next((span for span in self._spans if span.type in types and span.start < position < span.end), None)

    def _between_characters(self, start: int, furthest: int) -> int:
        """Not between a letter and its accent, nor within a family of emoji."""
        position = furthest
        while position > max(start + 1, furthest - 40):
            after, before = self._text[position], self._text[position - 1]
            modifier = unicodedata.category(after) in {"Mn", "Me", "Mc", "Sk"} or after == _JOINER
            if not modifier and before != _JOINER:
                return position
            position -= 1
        return furthest

    def _overlapping(self, start: int, end: int) -> Iterator[Span]:
        return (span for span in self._spans if span.start < end and span.end > start)

    def _style(self, start: int, end: int) -> str | None:
        entities = [self._entity(span, start, end) for span in self._overlapping(start, end)][:MAX_ENTITIES]
        return json.dumps(entities, ensure_ascii=False) if entities else None

    def _entity(self, span: Span, start: int, end: int) -> dict[str, Any]:
        first, last = max(span.start, start), min(span.end, end)
        entity: dict[str, Any] = {
            "type": span.type,
            "offset": self._units[first] - self._units[start],
            "length": self._units[last] - self._units[first],
        }
        if span.url:
            entity["url"] = span.url
        if span.language:
            entity["language"] = span.language
        return entity
