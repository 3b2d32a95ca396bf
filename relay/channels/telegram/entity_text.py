"""The text of an incoming message by its entities: addresses behind words are written out, mentions are found.

Offsets and lengths count UTF-16 code units: https://core.telegram.org/bots/api#messageentity
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from relay.channels.telegram.json_fields import is_integer, object_at, objects, optional, text_at
from relay.channels.telegram.rendering import clean_telegram
from relay.core.text import is_blank

_MAX_URL = 2048


@dataclass(frozen=True, slots=True)
class EntityText:
    """text: with the address behind each linked word. unaddressed: the same without the mentions of the bot."""

    text: str
    unaddressed: str
    mentions_bot: bool


def read_entity_text(message: Mapping[str, Any], bot_id: int, username: str) -> EntityText:
    """The text or caption of a message. Without any entities a mention is searched in the text itself."""
    text, caption = optional(message, "text", str), optional(message, "caption", str)
    raw, entities = text or caption or "", objects(message.get("entities" if text else "caption_entities"))
    return _read(raw, entities, bot_id, username) if entities else read_plain_text(raw, username)


def read_plain_text(raw: str, username: str) -> EntityText:
    """A text that comes without entities."""
    unaddressed, mentions = _mention(username).subn("", raw)
    return EntityText(_cleaned(raw), _cleaned(unaddressed), mentions > 0)


def _read(raw: str, entities: list[dict[str, Any]], bot_id: int, username: str) -> EntityText:
    encoded = raw.encode("utf-16-le", "surrogatepass")
    text = unaddressed = encoded
    mentioned = False
    for entity, start, end in _latest_first(entities, len(encoded)):
        words = encoded[start:end].decode("utf-16-le", "replace")
        if _is_mention(entity, words, bot_id, username):
            mentioned = True
            unaddressed = unaddressed[:start] + unaddressed[end:]
        elif address := _hidden_address(entity, words):
            added = f" ({address})".encode("utf-16-le", "surrogatepass")
            text = text[:end] + added + text[end:]
            unaddressed = unaddressed[:end] + added + unaddressed[end:]
    return EntityText(_decoded(text), _decoded(unaddressed), mentioned)


def _latest_first(entities: list[dict[str, Any]], size: int) -> Iterator[tuple[dict[str, Any], int, int]]:
    """The entities with their ranges in bytes, the last one first, so that a change moves none of the others."""
    ranged = [one for one in entities if is_integer(one.get("offset")) and is_integer(one.get("length"))]
    for entity in sorted(ranged, key=lambda one: int(one["offset"]), reverse=True):
        start, end = entity["offset"] * 2, (entity["offset"] + entity["length"]) * 2
        if 0 <= start < end <= size:
            yield entity, start, end


def _is_mention(entity: Mapping[str, Any], words: str, bot_id: int, username: str) -> bool:
    if entity.get("type") == "text_mention":
        return object_at(entity, "user").get("id") == bot_id
    return entity.get("type") == "mention" and words.casefold() == f"@{username}".casefold()


def _hidden_address(entity: Mapping[str, Any], words: str) -> str:
    """The address behind a linked word, unless the word shows it."""
    url = text_at(entity, "url")[:_MAX_URL] if entity.get("type") == "text_link" else ""
    return "" if url.rstrip("/") == words.rstrip("/") else url


def _mention(username: str) -> re.Pattern[str]:
    return re.compile(rf"(?<![\w/@.])@{re.escape(username)}(?!\w)", re.IGNORECASE)


def _decoded(encoded: bytes) -> str:
    return _cleaned(encoded.decode("utf-16-le", "surrogatepass"))


def _cleaned(text: str) -> str:
    return "" if is_blank(text) else clean_telegram(text).strip()
