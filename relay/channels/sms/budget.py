"""Keeps an answer within its budget of segments; what is left can be asked for with MORE, without the model."""

from __future__ import annotations

import re
from dataclasses import replace

from relay.channels.sms.segments import split, units
from relay.core.cutting import best_cut, reach, utf16_length, utf16_offsets
from relay.core.parts import PlannedPart
from relay.core.text import folded

_WORDS = """
more|more please|please more|send more|the rest|rest|go on|continue|mehr|mehr bitte|weiter|mas|mas por favor|sigue|plus
|la suite|suite|mais|mais por favor|continua|altro|ancora|di piu|meer|meer graag|wiecej|еще|дальше|продолжи
|ще|більше|далі|更多|继续|もっと|더|المزيد|أكمل|और|और भेजो|आगे
"""
_MORE_WORDS = frozenset(map(folded, _WORDS.split("|")))
_FENCE = re.compile("`+")


def asks_for_more(text: str) -> bool:
    """Whether the whole text asks for the rest of an answer; "more about prices" is a question."""
    return folded(text) in _MORE_WORDS


def verbatim(text: str) -> str:
    """Markdown that reads exactly as this text, its lines and indentation included."""
    fence = "`" * max([2, *map(len, _FENCE.findall(text))]) + "`"
    return f"{fence}\n{text}\n{fence}"


def plan_within(text: str, note: str, max_segments: int, max_parts: int, limit: int) -> list[PlannedPart]:
    """The parts of a text, at most so many segments and parts; the last one has the `rest`, and the note on it."""
    parts = split(text, limit)
    if _fits(parts, max_segments, max_parts):
        return parts
    offsets, room = utf16_offsets(text), _most_units(text, note, max_segments, max_parts, limit)
    while True:
        end = best_cut(text, 0, reach(offsets, 0, max(room, 1)))
        parts = split(text[:end].rstrip() + note, limit)
        if _fits(parts, max_segments, max_parts) or room <= 1:
            return [*parts[:-1], replace(parts[-1], rest=text[end:].lstrip("\n"))]
        over = sum(part.segments for part in parts) / max_segments
        room = min(room - 8, int(room / max(over, 1.0)))


def _fits(parts: list[PlannedPart], max_segments: int, max_parts: int) -> bool:
    return len(parts) <= max_parts and sum(part.segments for part in parts) <= max_segments


def _most_units(text: str, note: str, max_segments: int, max_parts: int, limit: int) -> int:
    """The UTF-16 units that can be within the budget at best, the note about the rest not counted."""
    each = 153 if units(text + note)[1] > 100 else 67
    return min(max_segments * each, max_parts * limit) - utf16_length(note)
