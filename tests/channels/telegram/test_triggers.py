"""What the bot answers in a group, by the setting `telegram_triggers`."""

from __future__ import annotations

from typing import Any

import pytest

from relay.channels.telegram.commands import COMMANDS
from relay.channels.telegram.triggers import Triggers
from relay.channels.telegram.updates import Identity, read_update
from relay.core.messages import Kind
from tests.channels.telegram.scripted_bot_api import BOT_ID, ME, USERNAME, group, private

REPLY_TO_US = {"message_id": 5, "date": 1790000000, "chat": group(0)["message"]["chat"], "from": ME, "text": "Hello"}
PHOTO = [{"file_id": "a", "file_unique_id": "b", "width": 90, "height": 60, "file_size": 1234}]

TALK = group(1, "hello all")
MENTIONED = group(1, f"@{USERNAME} hello")
REPLIED = group(1, "why?", reply_to_message=REPLY_TO_US)
PICTURE = {"update_id": 1, "message": {**{k: v for k, v in TALK["message"].items() if k != "text"}, "photo": PHOTO}}


def edit(update: dict[str, Any]) -> dict[str, Any]:
    return {"update_id": 1, "edited_message": {**update["message"], "edit_date": 1790000050}}


def kind(update: dict[str, Any], *triggers: str) -> Kind:
    bot = Identity(BOT_ID, USERNAME, frozenset(COMMANDS), Triggers.of(triggers))
    return read_update(update, bot, 1790000001.0).kind


@pytest.mark.parametrize(
    ("what", "update", "triggers", "expected"),
    [
        ("talk, always", TALK, ["always"], Kind.TEXT),
        ("a picture, always", PICTURE, ["always"], Kind.MEDIA),
        ("an edit of talk, always", edit(TALK), ["ALWAYS"], Kind.EDITED),
        ("a picture, mention", PICTURE, ["mention", "reply"], Kind.SERVICE),
        ("a command of another bot, always", group(1, "/roll@dicebot"), ["always"], Kind.SERVICE),
        ("a command that is not ours, always", group(1, "/roll"), ["always"], Kind.SERVICE),
        ("a command of ours, mention", group(1, "/clear"), ["mention"], Kind.TEXT),
        ("a mention, mention", MENTIONED, ["mention"], Kind.TEXT),
        ("a reply, mention", REPLIED, ["mention"], Kind.SERVICE),
        ("a reply, reply", REPLIED, ["reply"], Kind.TEXT),
        ("a mention, reply", MENTIONED, ["reply"], Kind.SERVICE),
        ("a keyword", group(1, "Hey Bot, hello"), ["bot"], Kind.TEXT),
        ("a keyword within a word", group(1, "the robots and the bottle"), ["bot"], Kind.SERVICE),
        ("a keyword of two words", group(1, "your Opening-Hours please"), ["opening hours"], Kind.TEXT),
        ("only one of its words", group(1, "it opens in two hours"), ["opening hours"], Kind.SERVICE),
        ("its words in another order", group(1, "hours of opening"), ["opening hours"], Kind.SERVICE),
        ("a keyword with an accent", group(1, "un CAFE por favor"), ["café"], Kind.TEXT),
        ("a keyword without spaces around it", group(1, "请问机器人在吗"), ["机器人"], Kind.TEXT),
        ("half of that keyword", group(1, "机器很大"), ["机器人"], Kind.SERVICE),
        ("an edit that adds a keyword", edit(group(1, "bot, hello")), ["bot"], Kind.EDITED),
        ("a mention beside keywords alone", MENTIONED, ["bot"], Kind.SERVICE),
        ("a keyword without letters", TALK, ["!!"], Kind.SERVICE),
        ("a private chat", private(1, "hello"), ["bot"], Kind.TEXT),
    ],
)
def test_what_is_answered(what: str, update: dict[str, Any], triggers: list[str], expected: Kind) -> None:
    """By name, by reply, by keyword, or all of it; commands and private chats in any case."""
    assert kind(update, *triggers) is expected, what
