"""Formatting entities of Telegram messages: validation, trimming, and detection in people's texts.

Offsets and lengths are UTF-16 units (https://core.telegram.org/bots/api#messageentity).
"""

from __future__ import annotations

import re
from typing import Any

from relay.simulator.telegram_params import bad_request

MAX_TEXT = 4096
MAX_ENTITIES = 100
TYPES = frozenset(
    [
        "mention",
        "hashtag",
        "cashtag",
        "bot_command",
        "url",
        "email",
        "phone_number",
        "bold",
        "italic",
        "underline",
        "strikethrough",
        "spoiler",
        "blockquote",
        "expandable_blockquote",
        "code",
        "pre",
        "text_link",
        "text_mention",
        "custom_emoji",
        "date_time",
    ]
)
_FOUND = re.compile(
    r"(?P<bot_command>(?<![\w/])/[A-Za-z0-9_]{1,32}(?:@\w{3,32})?)|(?P<url>https?://[^\s<>\"]+)|(?P<mention>(?<!\w)@\w{3,32})"
)

Entity = dict[str, Any]


def units(text: str) -> int:
    """Length in UTF-16 units."""
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


def _boundaries(text: str) -> set[int]:
    """Offsets at which an entity may begin or end: never within a surrogate pair."""
    found, position = {0}, 0
    for char in text:
        position += 2 if ord(char) > 0xFFFF else 1
        found.add(position)
    return found


def checked(text: str, raw: Any) -> list[Entity]:
    """Validate the entities of a call. Raises BotError for one that Telegram would refuse."""
    if raw is None:
        return []
    if not isinstance(raw, list) or not all(isinstance(one, dict) for one in raw):
        raise bad_request("can't parse entities: an Array of MessageEntity is expected")
    allowed, end = _boundaries(text), units(text)
    return [_checked_one(one, allowed, end) for one in raw]


def _checked_one(raw: Entity, allowed: set[int], end: int) -> Entity:
    kind, offset, length = raw.get("type"), raw.get("offset"), raw.get("length")
    if kind not in TYPES:
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
    shift = units(text) - units(body)
    body = body.rstrip()
    end = units(body)
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
        {"type": match.lastgroup, "offset": units(text[: match.start()]), "length": units(match.group())}
        for match in _FOUND.finditer(text)
    ]
