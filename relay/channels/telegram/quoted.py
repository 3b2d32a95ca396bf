"""Words that a message carries and its sender did not write: forwards, quotes and the messages that it replies to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from relay.channels.telegram.entity_text import read_entity_text
from relay.channels.telegram.json_fields import object_at, objects, optional, text_at
from relay.channels.telegram.rendering import clean_telegram
from relay.channels.telegram.rich_text import rich_markdown
from relay.core.names import name_or_none
from relay.core.text import is_blank

MAX_QUOTED: Final = 4096
_SENDERS: Final = ("sender_user", "sender_chat", "chat")
_BOT: Final = "you"


@dataclass(frozen=True, slots=True)
class Quoted:
    """Words of an author; `author` is "you" for the bot and empty when it is unknown."""

    author: str
    text: str

    @property
    def is_by_bot(self) -> bool:
        return self.author == _BOT


def display_name(account: Mapping[str, Any]) -> str:
    """The name of a user, or the title of a chat; empty when there is none."""
    names = " ".join(text_at(account, key) for key in ("first_name", "last_name"))
    return name_or_none(names) or name_or_none(text_at(account, "title")) or ""


def forwarded_from(message: Mapping[str, Any]) -> str | None:
    """The author of a forwarded message, or the bot through which it was sent; None for the sender's own words.

    https://core.telegram.org/bots/api#messageorigin
    """
    origin = optional(message, "forward_origin", dict)
    if origin is not None:
        return f"Forwarded from {_origin_name(origin) or 'somebody else'}"
    bot = optional(message, "via_bot", dict)
    return f"Sent through @{text_at(bot, 'username') or 'a bot'}" if bot is not None else None


def _origin_name(origin: Mapping[str, Any]) -> str:
    named = (display_name(object_at(origin, key)) for key in _SENDERS)
    return name_or_none(text_at(origin, "sender_user_name")) or next((name for name in named if name), "")


def replied_to(message: Mapping[str, Any], bot_id: int, username: str) -> Quoted | None:
    """What a message replies to: the part that was selected, else the whole text; None when there is no text.

    In a topic every message formally replies to the note that created the topic.
    """
    earlier = optional(message, "reply_to_message", dict) or {}
    external = object_at(message, "external_reply")
    if "forum_topic_created" in earlier:
        return None
    whole = read_entity_text(earlier, bot_id, username).text or clean_telegram(rich_markdown(earlier) or _poll(earlier))
    text = clean_telegram(text_at(object_at(message, "quote"), "text")) or whole
    if is_blank(text):
        return None
    return Quoted(_author(earlier, external, bot_id), _shortened(text.strip()))


def _poll(message: Mapping[str, Any]) -> str:
    """The question of a poll with its options; empty when there is none."""
    poll = object_at(message, "poll")
    options = (f"- {text_at(option, 'text')}" for option in objects(poll.get("options")))
    return "\n".join((text_at(poll, "question"), *options)).strip()


def _author(earlier: Mapping[str, Any], external: Mapping[str, Any], bot_id: int) -> str:
    if not earlier:
        return _origin_name(object_at(external, "origin")) or display_name(object_at(external, "chat"))
    if object_at(earlier, "from").get("id") == bot_id:
        return _BOT
    return display_name(object_at(earlier, "sender_chat")) or display_name(object_at(earlier, "from"))


def _shortened(text: str) -> str:
    return text if len(text) <= MAX_QUOTED else text[: MAX_QUOTED - 1] + "…"
