"""Puts what follows a stopped answer behind its beginning, in the same message where both fit."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

from relay.channels.telegram.entities import MAX_ENTITIES, MAX_UNITS
from relay.core.cutting import utf16_length
from relay.core.parts import PlannedPart

_NUMBERED_FROM: Final = 3  # parts of a reply, which then have their number in the text
_WIDE: Final = re.compile("[\u2e80-\ua4cf\uac00-\ud7ff\uf900-\ufaff\ufe30-\ufe4f\uff00-\uff60]")
_STICKS: Final = re.compile(r"[,.;:!?)\]}\u2026%]")
_BEGINS_A_LINE: Final = re.compile(r"[\u2022\u2610\u2611]|\d{1,3}\. |[*#>|-] ")


def continued(beginning: PlannedPart, more: Sequence[PlannedPart]) -> list[PlannedPart]:
    """The parts of the whole answer. beginning: as it was sent, with the mark of the stop as its last paragraph."""
    kept = _without_mark(beginning)
    first, *rest = more
    joined = _joined(kept, first) if len(more) < _NUMBERED_FROM else None
    if not kept.text:
        return list(more)
    return [kept, *more] if joined is None else [joined, *rest]


def _without_mark(part: PlannedPart) -> PlannedPart:
    text = part.text.rpartition("\n\n")[0].rstrip()
    end = utf16_length(text)
    clipped = [{**one, "length": min(one["length"], end - one["offset"])} for one in _entities(part)]
    return _part(text, text, [one for one in clipped if one["length"] > 0])


def _joined(before: PlannedPart, after: PlannedPart) -> PlannedPart | None:
    """Both as one part; None when a message has no room for them."""
    earlier, later = _entities(before), _entities(after)
    end = utf16_length(before.text)
    is_one_block = _is_block_at(earlier, end) and bool(later) and _opens_like(later[0], earlier[-1])
    between = "\n" if is_one_block else _between(before.text, after.text, is_block=_is_block_at(earlier, end))
    shift = end + utf16_length(between)
    moved = [{**one, "offset": one["offset"] + shift} for one in later]
    if is_one_block:
        block = earlier.pop()
        moved[0] = {**block, "length": moved[0]["offset"] + moved[0]["length"] - block["offset"]}
    entities = [*earlier, *moved]
    text = before.text + between + after.text
    if utf16_length(text) > MAX_UNITS or len(entities) > MAX_ENTITIES:
        return None
    return replace(_part(text, before.text + between + after.history_text, entities), language=after.language)


def _between(before: str, after: str, *, is_block: bool) -> str:
    """What separates a text that was cut off from the one that goes on with it; neither is blank."""
    if is_block:
        return "\n\n"
    if _BEGINS_A_LINE.match(after):
        return "\n"
    sticks = _STICKS.match(after) or _WIDE.match(after) or _WIDE.match(before[-1:])
    return "" if sticks else " "


def _is_block_at(entities: Sequence[dict[str, Any]], end: int) -> bool:
    """Whether a block of code ends where the text does."""
    return bool(entities) and entities[-1]["type"] == "pre" and entities[-1]["offset"] + entities[-1]["length"] == end


def _opens_like(entity: dict[str, Any], other: dict[str, Any]) -> bool:
    """Whether the text begins with a block of code in the same language as the other's."""
    return bool(
        entity["type"] == "pre" and not entity["offset"] and entity.get("language") in {None, other.get("language")}
    )


def _entities(part: PlannedPart) -> list[dict[str, Any]]:
    return json.loads(part.style) if part.style else []


def _part(text: str, history_text: str, entities: Sequence[dict[str, Any]]) -> PlannedPart:
    return PlannedPart(text, history_text, json.dumps(entities, ensure_ascii=False) if entities else None)
