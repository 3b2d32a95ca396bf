"""Entities: how trimming a text moves them, and which ones Telegram adds to a person's text."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from telegram.constants import ChatAction, MessageEntityType, MessageLimit

from relay.simulator import telegram_constants
from relay.simulator.provider_api import utf16_units
from relay.simulator.telegram_entities import found_in, trimmed


def marks(entities: list[dict[str, Any]]) -> list[tuple[str, int, int]]:
    return [(one["type"], one["offset"], one["length"]) for one in entities]


@given(st.text(max_size=30), st.integers(0, 40), st.integers(1, 40))
def test_trimming_keeps_entities_on_the_same_characters(text: str, offset: int, length: int) -> None:
    """What an entity covers after trimming is what it covered before, without the blanks around the text."""
    offset, length = min(offset, utf16_units(text)), min(length, utf16_units(text))
    before = {"type": "bold", "offset": offset, "length": length}
    body, moved = trimmed(text, [before])
    wide = text.encode("utf-16-le")
    covered = wide[offset * 2 : (offset + length) * 2]
    assert body == text.strip()
    for entity in moved:
        assert entity["offset"] + entity["length"] <= utf16_units(body)
        assert body.encode("utf-16-le")[entity["offset"] * 2 : (entity["offset"] + entity["length"]) * 2] in covered


def test_commands_links_and_mentions_are_found_in_peoples_texts() -> None:
    """Offsets count UTF-16; a slash within a word is no command."""
    assert marks(found_in("😀 /start@bot see https://x.org/a and/or @someone")) == [
        ("bot_command", 3, 10),
        ("url", 18, 15),
        ("mention", 41, 8),
    ]


def test_the_values_are_those_of_python_telegram_bot() -> None:
    """The simulator does not load that package."""
    assert set(MessageEntityType) == set(telegram_constants.ENTITY_TYPES)
    assert set(ChatAction) == set(telegram_constants.CHAT_ACTIONS)
    limits = (MessageLimit.MAX_TEXT_LENGTH, MessageLimit.CAPTION_LENGTH, MessageLimit.MESSAGE_ENTITIES)
    assert limits == (telegram_constants.MAX_TEXT, telegram_constants.MAX_CAPTION, telegram_constants.MAX_ENTITIES)
