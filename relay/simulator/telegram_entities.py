"""Formatting entities of Telegram messages: validation, trimming, and detection in people's texts.

Offsets and lengths are UTF-16 units (https://core.telegram.org/bots/api#messageentity).
"""

from __future__ import annotations

import itertools
import re
from typing import Any

from relay.simulator.provider_api import utf16_units
from relay.simulator.telegram_constants import ENTITY_TYPES
from relay.simulator.telegram_params import bad_request

_FOUND = re.compile(
    r"(?P<bot_command>(?<![\w/])/[A-Za-z0-9_]{1,32}(?:@\w{3,32})?)|(?P<url>https?://[^\s<>\"]+)|(?P<mention>(?<!\w)@\w{3,32})"
)

Entity = dict[str, Any]


def checked(text: str, raw: Any) -> list[Entity]:
    """Validate the entities of a call. Raises BotError for one that Telegram would refuse."""
    if raw is None:
        return []
    if not isinstance(raw, list) or not all(isinstance(one, dict) for one in raw):
        raise bad_request("can't parse entities: an Array of MessageEntity is expected")
    allowed = {0, *itertools.accumulate(map(utf16_units, text))}  # never within a surrogate pair
    end = utf16_units(text)
    return [_checked_one(one, allowed, end) for one in raw]


def _checked_one(raw: Entity, allowed: set[int], end: int) -> Entity:
    kind, offset, length = raw.get("type"), raw.get("offset"), raw.get("length")
    if kind not in ENTITY_TYPES:
        raise bad_request(f"can't parse MessageEntity: unsupported type {str(kind)[:40]!r}")
    if type(offset) is not int or type(length) is not int:
        raise bad_request("can't parse MessageEntity: offset and length must be integers")
    if offset < 0 or length <= 0:
        raise bad_request(f"entity with incorrect offset {offset} or length {length}")
    if offset + length > end:
        raise bad_request(f"entity beginning at UTF-16 offset {offset} ends after the end of the text at {end}")
    if offset not in allowed or offset + length not in allowed:
        raise bad_request(f"entity beginning at UTF-16 offset {offset} cuts a UTF-16 symbol in two")
    if kind == "text_link" and not isinstance(raw.get("url"), str):
        raise bad_request("can't parse MessageEntity: text_link needs a url")
    kept = ("type", "offset", "length", "url", "language", "user", "custom_emoji_id")
    return {name: raw[name] for name in kept if name in raw}


def trimmed(text: str, entities: list[Entity]) -> tuple[str, list[Entity]]:
    """The text without surrounding white space, and its entities shifted accordingly."""
    body = text.lstrip()
    shift = utf16_units(text) - utf16_units(body)
    body = body.rstrip()
    end = utf16_units(body)
    moved = []
    for entity in entities:
        start = max(0, entity["offset"] - shift)
        stop = min(end, entity["offset"] + entity["length"] - shift)
        if stop > start:
            moved.append({**entity, "offset": start, "length": stop - start})
    return body, moved


def found_in(text: str) -> list[Entity]:
    """The entities that Telegram adds to a person's text: commands, links, mentions."""
    return [
        {"type": match.lastgroup, "offset": utf16_units(text[: match.start()]), "length": utf16_units(match.group())}
        for match in _FOUND.finditer(text)
    ]
