"""Reads one update of the Bot API, as raw JSON, into an InboundMessage.

No field of an update is trusted: one of the wrong type is a PayloadError (a dead letter). An unknown kind of update is
not answered. Commands are carried out by the Telegram service.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from relay.channels.telegram.markdown import clean_telegram
from relay.channels.telegram.spec import TELEGRAM
from relay.core.errors import PayloadError
from relay.core.messages import InboundMessage, Kind, UserId
from relay.core.names import name_or_none
from relay.core.text import is_blank

T = TypeVar("T")

MEDIA: Final = {
    "photo": "image/jpeg",
    "sticker": "image/webp",
    "voice": "audio/ogg",
    "audio": "audio/mpeg",
    "video": "video/mp4",
    "video_note": "video/mp4",
    "animation": "video/mp4",
    "document": "application/octet-stream",
    "paid_media": "application/octet-stream",
    "story": "video/mp4",
    "contact": "text/vcard",
    "location": "application/geo+json",
    "venue": "application/geo+json",
    "poll": "application/x-poll",
    "dice": "application/x-dice",
    "game": "application/x-game",
    "checklist": "application/x-checklist",
}
"""Fields of a message besides text, each with its content type where the message gives none."""

COMMAND = re.compile(r"/([A-Za-z0-9_]{1,32})(?:@([A-Za-z0-9_]{1,64}))?(?=\s|$)")

_GONE = frozenset({"kicked", "left"})
_HERE = frozenset({"member", "administrator", "creator", "restricted"})


@dataclass(frozen=True, slots=True)
class Identity:
    """The bot: its id (the start of its token), its name without the @, and the names of its commands."""

    id: int
    username: str
    commands: frozenset[str]


def read_update(update: Any, me: Identity, received_at: float) -> InboundMessage:
    """One update as a message. Raises PayloadError when it cannot be understood."""
    if not isinstance(update, dict):
        raise PayloadError("an update must be a JSON object")
    external_id = f"{me.id}:{_required(update, 'update_id', int)}"
    if "message" in update:
        return _UpdateParser(_required(update, "message", dict), me, external_id, received_at).message()
    if "edited_message" in update:
        return _UpdateParser(_required(update, "edited_message", dict), me, external_id, received_at).edited()
    if "my_chat_member" in update:
        return _UpdateParser(_required(update, "my_chat_member", dict), me, external_id, received_at).membership()
    return _unanswered(update, me, external_id, received_at)


class _UpdateParser:
    """Parses the body of one update: a message, or a change of membership."""

    def __init__(self, source: dict[str, Any], me: Identity, external_id: str, received_at: float) -> None:
        self._source = source
        self._me = me
        self._external_id = external_id
        self._received_at = received_at
        self._chat = _required(source, "chat", dict)
        self._chat_id = _required(self._chat, "id", int)
        self._chat_type = _optional(self._chat, "type", str) or "private"
        self._private = self._chat_type == "private"
        # An anonymous administrator, or a member who writes as a channel, has the account of a machine in "from".
        self._sender = _optional(source, "sender_chat", dict) or _optional(source, "from", dict) or {}
        text = _optional(source, "text", str) or _optional(source, "caption", str) or ""
        self._has_text = bool(text)
        self._text = "" if is_blank(text) else clean_telegram(text).strip()

    def message(self) -> InboundMessage:
        attachments = self._attachments()
        from_machine = self._sender.get("is_bot") is True or self._source.get("is_automatic_forward") is True
        if self._chat_type == "channel" or from_machine or not (self._has_text or attachments) or not self._is_for_us():
            return self._made(Kind.SERVICE)
        if attachments and not self._text:
            return self._made(Kind.MEDIA, attachments=attachments)
        return self._made(Kind.TEXT, text=self._prompt_text(), attachments=attachments)

    def edited(self) -> InboundMessage:
        """Only an edit of text in a private chat: Telegram also calls a location that moves an edit."""
        answered = self._private and self._text and self._sender.get("is_bot") is not True
        return self._made(Kind.EDITED, text=self._text) if answered else self._made(Kind.SERVICE)

    def membership(self) -> InboundMessage:
        """We were blocked, unblocked, added or removed."""
        before, after = self._status("old_chat_member"), self._status("new_chat_member")
        if self._chat_type != "channel" and after in _GONE:
            return self._made(Kind.LEFT)
        if self._chat_type != "channel" and before in _GONE and after in _HERE:
            return self._made(Kind.RETURNED)
        return self._made(Kind.SERVICE)

    def _status(self, key: str) -> str:
        return _required(_required(self._source, key, dict), "status", str)

    def _attachments(self) -> tuple[str, ...]:
        found = []
        for key, usual in MEDIA.items():
            if self._source.get(key):
                file = self._source[key]
                given = file.get("mime_type") if isinstance(file, dict) else None
                found.append(clean_telegram(given)[:100] if isinstance(given, str) and given else usual)
        return tuple(found)

    def _is_for_us(self) -> bool:
        """In a group only messages that mention us, reply to us, or are a command of ours."""
        if self._private:
            return True
        command = COMMAND.match(self._text)
        if command is not None and command[2] is not None:
            return command[2].casefold() == self._me.username.casefold()
        if command is not None:
            return command[1].lower() in self._me.commands
        return bool(self._mention().search(self._text)) or self._replies_to_us()

    def _mention(self) -> re.Pattern[str]:
        return re.compile(rf"(?<!\w)@{re.escape(self._me.username)}(?!\w)", re.IGNORECASE)

    def _replies_to_us(self) -> bool:
        earlier = _optional(self._source, "reply_to_message", dict) or {}
        author = _optional(earlier, "from", dict) or {}
        # In a topic every message formally replies to the note that created the topic.
        return author.get("id") == self._me.id and "forum_topic_created" not in earlier

    def _prompt_text(self) -> str:
        """The text; in a group without the mention of us, and with the sender's name in front."""
        if self._private or COMMAND.match(self._text):
            return self._text
        text = self._mention().sub("", self._text).strip(" ,:\n")
        sender = self._sender_name()
        return f"{sender}: {text}" if sender and text else text

    def _sender_name(self) -> str | None:
        first, last = self._sender.get("first_name"), self._sender.get("last_name")
        return name_or_none(" ".join(part for part in (first, last) if isinstance(part, str))) or name_or_none(
            _text_of(self._sender, "title")
        )

    def _made(self, kind: Kind, *, text: str = "", attachments: tuple[str, ...] = ()) -> InboundMessage:
        whose = self._sender if self._private else self._chat
        return InboundMessage(
            platform=TELEGRAM,
            external_id=self._album_item() if kind is Kind.MEDIA else self._external_id,
            user_id=UserId(str(self._chat_id)),
            text=text,
            received_at=self._received_at,
            kind=kind,
            name=self._sender_name() if self._private else name_or_none(_text_of(self._chat, "title")),
            username=_text_of(whose, "username"),
            language=_text_of(self._sender, "language_code") if self._private else None,
            reply_to=self._reply_to(),
            attachments=attachments,
            options={"chat_type": self._chat_type},
            sender=self._sender_id(),
        )

    def _sender_id(self) -> UserId | None:
        """Who wrote in a group; in a private chat that is its user."""
        number = self._sender.get("id")
        return None if self._private or not _is_integer(number) else UserId(str(number))

    def _album_item(self) -> str:
        """One id for all pictures of an album, which arrive one by one, so that they get one answer."""
        album = self._source.get("media_group_id")
        if not isinstance(album, str) or not album:
            return self._external_id
        return f"{self._me.id}:album:{clean_telegram(album)[:64]}"

    def _reply_to(self) -> str | None:
        """Where the reply goes: "message", or "message/thread" within a topic."""
        message, thread = self._source.get("message_id"), self._source.get("message_thread_id")
        if not _is_integer(message):
            return None
        in_topic = self._source.get("is_topic_message") is True and _is_integer(thread)
        return f"{message}/{thread}" if in_topic else f"{message}"


def _unanswered(update: Mapping[str, Any], me: Identity, external_id: str, received_at: float) -> InboundMessage:
    """An update of a kind that needs no answer: a channel post, a reaction, a kind invented later."""
    body = next((value for key, value in update.items() if key != "update_id" and isinstance(value, dict)), {})
    places = (body.get(key) for key in ("chat", "from", "user", "user_chat_id"))
    ids = (place.get("id") if isinstance(place, dict) else place for place in places)
    whose = next((number for number in ids if _is_integer(number)), me.id)
    return InboundMessage(
        TELEGRAM,
        external_id,
        UserId(str(whose)),
        "",
        received_at,
        Kind.SERVICE,
        options={"chat_type": "other"},
    )


def _is_integer(value: Any) -> bool:
    """Ids have at most 52 significant bits: https://core.telegram.org/bots/api#chat"""
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) < 1 << 63


def is_group(chat: str) -> bool:
    """https://core.telegram.org/bots/api#chat: groups have negative ids."""
    return chat.startswith("-")


def _required(source: Mapping[str, Any], key: str, kind: type[T]) -> T:
    value = source.get(key)
    if not isinstance(value, kind) or (kind is int and not _is_integer(value)):
        raise PayloadError(f"{key} is missing or is not {_KIND_NAMES[kind]}")
    return value


def _optional(source: Mapping[str, Any], key: str, kind: type[T]) -> T | None:
    return None if source.get(key) is None else _required(source, key, kind)


def _text_of(source: Mapping[str, Any], key: str) -> str | None:
    value = source.get(key)
    return clean_telegram(value)[:200] or None if isinstance(value, str) else None


_KIND_NAMES: Final[Mapping[type, str]] = {int: "a whole number", str: "a text", dict: "an object"}
