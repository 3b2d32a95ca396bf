"""Reads one update of the Bot API, as raw JSON, into an InboundMessage.

No field of an update is trusted: one of the wrong type is a PayloadError (a dead letter). An unknown kind of update is
not answered. Commands are carried out by the Telegram service.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Final

from telegram import Message

from relay.channels.telegram.buttons import PRESSED, read_press
from relay.channels.telegram.entity_text import read_entity_text, read_plain_text
from relay.channels.telegram.guests import GUEST
from relay.channels.telegram.inline_queries import INLINE, read_query
from relay.channels.telegram.json_fields import is_integer, object_at, optional, required, text_at
from relay.channels.telegram.media import read_media
from relay.channels.telegram.quoted import display_name, forwarded_from, replied_to
from relay.channels.telegram.rendering import clean_telegram
from relay.channels.telegram.rich_text import as_quote, rich_markdown
from relay.channels.telegram.spec import TELEGRAM
from relay.channels.telegram.triggers import Triggers
from relay.core.decisions import REPLIES_TO, STOPS, STOPS_MESSAGE, Stops
from relay.core.errors import PayloadError
from relay.core.messages import Attachment, InboundMessage, Kind, UserId

STOP_PRESSED: Final = "stopped_message_generation"
"""The update about a person who pressed Stop on a draft: https://core.telegram.org/bots/api#sendmessagedraft"""

BUSINESS: Final = "business_message"
"""The update about a message to an account that the bot manages for its owner; such messages are only counted."""

MOVES: Final = ("migrate_to_chat_id", "migrate_from_chat_id")
"""Fields of the notes in the old and in the new chat when a group becomes a supergroup."""

MAX_EDIT_AGE = 600
"""Seconds in which an edit of a group message may still address the bot."""

_KNOWN_FIELDS: Final = {name for kind in Message.__mro__ for name in getattr(kind, "__slots__", ())} | {"from"}

COMMAND = re.compile(r"/([A-Za-z0-9_]{1,32})(?:@([A-Za-z0-9_]{1,64}))?(?=\s|$)")

_NAME = re.compile(r"(?<![\w.@])(?:/\w+)?@(\w{4,32})(?!\w)", re.ASCII)

_GONE = frozenset({"kicked", "left"})
_HERE = frozenset({"member", "administrator", "creator", "restricted"})


@dataclass(frozen=True, slots=True)
class Identity:
    """The bot: its id (the start of its token), its name without the @, the names of its commands, and its triggers."""

    id: int
    username: str
    commands: frozenset[str]
    triggers: Triggers = field(default_factory=Triggers)


def read_update(update: Any, me: Identity, received_at: float) -> InboundMessage:
    """One update as a message. Raises PayloadError when it cannot be understood."""
    if not isinstance(update, dict):
        raise PayloadError("an update must be a JSON object")
    external_id = f"{me.id}:{required(update, 'update_id', int)}"
    for kind, read in _BODIES.items():
        if kind in update:
            return read(_UpdateParser(required(update, kind, dict), me, external_id, received_at))
    if INLINE in update:
        return read_query(required(update, INLINE, dict), external_id, received_at)
    if PRESSED in update:
        return read_press(required(update, PRESSED, dict), external_id, received_at)
    return _unanswered(update, me, external_id, received_at)


def mentions_another_bot(update: Any, me: Identity) -> bool:
    """Whether a message in a group is addressed to a name that is not ours: we may have got a new one."""
    message = object_at(update, "message") if isinstance(update, dict) else {}
    if object_at(message, "chat").get("type", "private") == "private":
        return False
    text = text_at(message, "text") or text_at(message, "caption")
    return any(name.casefold() != me.username.casefold() for name in _NAME.findall(text))


class _UpdateParser:
    """Parses the body of one update: a message, or a change of membership."""

    def __init__(self, source: dict[str, Any], me: Identity, external_id: str, received_at: float) -> None:
        self._source = source
        self._me = me
        self._external_id = external_id
        self._received_at = received_at
        self._chat = required(source, "chat", dict)
        self._chat_id = required(self._chat, "id", int)
        self._chat_type = optional(self._chat, "type", str) or "private"
        self._private = self._chat_type == "private"
        # An anonymous administrator, or a member who writes as a channel, has the account of a machine in "from".
        self._sender = optional(source, "sender_chat", dict) or optional(source, "from", dict) or {}
        words = read_entity_text(source, me.id, me.username)
        if not words.text and (rich := rich_markdown(source)):
            words = read_plain_text(rich, me.username)
        self._words = words
        self._has_text = bool(words.text or source.get("text") or source.get("caption"))
        self._foreign = forwarded_from(source)
        self._quoted = replied_to(source, me.id, me.username)

    def message(self) -> InboundMessage:
        attachments = self._attachments()
        if self._unanswerable() or not (self._has_text or attachments):
            return self._made(Kind.SERVICE)
        if not self._is_for_us():  # the others of an album may be
            return self._made(Kind.SERVICE, attachments=attachments if self._album() else ())
        if attachments and not self._words.text:
            return self._made(Kind.MEDIA, attachments=attachments)
        return self._made(Kind.TEXT, text=self._prompt_text(), attachments=attachments)

    def guest(self) -> InboundMessage:
        """A mention in a chat of which the bot is no member: its writer asks, and only this message is known."""
        who = required(self._source, "from", dict)
        query = required(self._source, "guest_query_id", str)
        text = self._words.unaddressed.strip(" ,:\n")
        if not text and self._quoted is not None:
            text, self._quoted = self._quoted.text, None
        if who.get("is_bot") is True or not text:
            return self._made(Kind.SERVICE)
        return replace(
            self._made(Kind.TEXT, text=text),
            user_id=UserId(str(required(who, "id", int))),
            name=display_name(who) or None,
            username=_text_of(who, "username"),
            language=_text_of(who, "language_code"),
            reply_to=None,
            options={**self._options(), "chat_type": "guest", GUEST: query},
            sender=None,
            topic=f"guest {self._external_id}",
        )

    def edited(self) -> InboundMessage:
        """An edit of text: in a private chat, or in a group soon after and with a text that is for us.

        Telegram also calls a location that moves an edit.
        """
        if self._unanswerable() or not self._words.text:
            return self._made(Kind.SERVICE)
        answered = self._private or (self._calls_us() and self._is_fresh_edit())
        if not answered:
            return self._made(Kind.SERVICE)
        return self._made(Kind.EDITED, text=self._prompt_text(), attachments=self._attachments())

    def _is_fresh_edit(self) -> bool:
        edited_at, sent_at = (optional(self._source, key, int) or 0 for key in ("edit_date", "date"))
        return 0 <= edited_at - sent_at <= MAX_EDIT_AGE

    def _unanswerable(self) -> bool:
        """A channel's post, also where it is forwarded for comments, and what another bot writes."""
        if self._chat_type == "channel" or self._source.get("is_automatic_forward") is True:
            return True
        return self._sender.get("is_bot") is True

    def membership(self) -> InboundMessage:
        """We were blocked, unblocked, added or removed."""
        before, after = self._status("old_chat_member"), self._status("new_chat_member")
        if self._chat_type != "channel" and after in _GONE:
            return self._made(Kind.LEFT)
        if self._chat_type != "channel" and before in _GONE and after in _HERE:
            return self._made(Kind.RETURNED)
        return self._made(Kind.SERVICE)

    def _status(self, key: str) -> str:
        return required(required(self._source, key, dict), "status", str)

    def _attachments(self) -> tuple[Attachment, ...]:
        return read_media(self._source) or self._replied_media() or self._unknown_content()

    def _replied_media(self) -> tuple[Attachment, ...]:
        """What the message that this one asks about carries: "what is this?" as a reply to a picture of a person."""
        if not self._has_text or self._command() is not None:
            return ()
        earlier = object_at(self._source, "reply_to_message")
        if object_at(earlier, "from").get("id") == self._me.id:
            return ()
        media = read_media(earlier or object_at(self._source, "external_reply"))
        return tuple(one for one in media if one.reference)

    def _unknown_content(self) -> tuple[Attachment, ...]:
        """Content without a text of a kind that was invented later; in a private chat the sender gets a reply."""
        if self._has_text or not self._private:
            return ()
        unknown = [key for key in self._source if key not in _KNOWN_FIELDS and isinstance(self._source[key], dict)]
        return tuple(Attachment(f"application/x-{clean_telegram(key)[:50]}") for key in unknown[:1])

    def _command(self) -> re.Match[str] | None:
        """A command in the sender's own words: one in a forward is another person's."""
        return None if self._foreign else COMMAND.match(self._words.text)

    def _is_stop(self) -> bool:
        command = self._command()
        return command is not None and command[1].lower() == "stop" and self._is_for_us()

    def _stops(self) -> dict[str, str]:
        """Which answers a stop ends; as a reply to a message of ours, the one that grows there."""
        number = self._replied_to()
        return {STOPS: Stops.ALL if self._private else Stops.OWN, **({STOPS_MESSAGE: number} if number else {})}

    def _is_for_us(self) -> bool:
        """In a group only commands of ours and what one of the triggers finds: by default a mention or a reply."""
        if self._private:
            return True
        command = self._command()
        if command is not None and command[2] is not None:
            return command[2].casefold() == self._me.username.casefold()
        if command is not None:
            return command[1].lower() in self._me.commands
        return self._calls_us() or (self._me.triggers.reply and self._replies_to_us())

    def _calls_us(self) -> bool:
        return self._me.triggers.in_text(self._words.unaddressed, mentions_bot=self._words.mentions_bot)

    def _replies_to_us(self) -> bool:
        earlier = optional(self._source, "reply_to_message", dict) or {}
        author = optional(earlier, "from", dict) or {}
        # In a topic every message formally replies to the note that created the topic.
        return author.get("id") == self._me.id and "forum_topic_created" not in earlier

    def _prompt_text(self) -> str:
        """The text; in a group without the mention of us, and with the sender's name in front.

        A mention alone, as a reply, asks about the message that it replies to.
        """
        text = self._words.text
        if self._command() is not None:
            return text
        if not self._private:
            text = self._words.unaddressed.strip(" ,:\n")
        if not text and self._quoted is not None and not self._quoted.is_by_bot:
            quoted, self._quoted = self._quoted, None
            return f"{quoted.author}: {quoted.text}" if quoted.author else quoted.text
        if text and self._foreign:
            text = f"{self._foreign}:\n{as_quote(text)}"
        sender = display_name(self._sender)
        return f"{sender}: {text}" if sender and text and not self._private else text

    def _made(self, kind: Kind, *, text: str = "", attachments: tuple[Attachment, ...] = ()) -> InboundMessage:
        whose = self._sender if self._private else self._chat
        return InboundMessage(
            platform=TELEGRAM,
            external_id=self._external_id,
            user_id=UserId(str(self._chat_id)),
            text=text,
            received_at=self._received_at,
            kind=kind,
            name=display_name(self._sender if self._private else self._chat) or None,
            username=_text_of(whose, "username"),
            language=_text_of(self._sender, "language_code") if self._private else None,
            reply_to=(reply_to := self._reply_to()),
            attachments=attachments,
            options=self._options(),
            sender=self._sender_id(),
            topic=(reply_to or "").partition("/")[2] or None,
        )

    def _options(self) -> dict[str, Any]:
        """What the channel uses later: the kind of chat, when the message was sent, and what it replies to."""
        sent_at = self._source.get("date")
        return {
            "chat_type": self._chat_type,
            **({"is_forum": True} if self._chat.get("is_forum") is True else {}),
            **({"sent_at": sent_at} if is_integer(sent_at) else {}),
            **{key: str(moved) for key in MOVES if is_integer(moved := self._source.get(key))},
            **({"forwarded": True} if self._foreign else {}),
            **(self._stops() if self._is_stop() else {}),
            **({REPLIES_TO: number} if (number := self._replied_to()) else {}),
            **({"album": album} if (album := self._album()) else {}),
            **({"quoted": asdict(self._quoted)} if self._quoted else {}),
        }

    def _replied_to(self) -> str | None:
        """The id of our message that this one replies to."""
        if not self._replies_to_us():
            return None
        number = self._source["reply_to_message"].get("message_id")
        return str(number) if is_integer(number) else None

    def _sender_id(self) -> UserId | None:
        """Who wrote in a group; in a private chat that is its user."""
        number = self._sender.get("id")
        return None if self._private or not is_integer(number) else UserId(str(number))

    def _album(self) -> str:
        album = self._source.get("media_group_id")
        return clean_telegram(album)[:64] if isinstance(album, str) else ""

    def _reply_to(self) -> str | None:
        """Where the reply goes: "message", or "message/thread" within a topic."""
        message, thread = self._source.get("message_id"), self._source.get("message_thread_id")
        if not is_integer(message):
            return None
        in_topic = self._source.get("is_topic_message") is True and is_integer(thread)
        return f"{message}/{thread}" if in_topic else f"{message}"


_BODIES: Final[dict[str, Callable[[_UpdateParser], InboundMessage]]] = {
    "message": _UpdateParser.message,
    "edited_message": _UpdateParser.edited,
    "my_chat_member": _UpdateParser.membership,
    GUEST: _UpdateParser.guest,
}


def _unanswered(update: Mapping[str, Any], me: Identity, external_id: str, received_at: float) -> InboundMessage:
    """An update of a kind that needs no answer: a channel post, a reaction, a kind invented later."""
    body = next((value for key, value in update.items() if key != "update_id" and isinstance(value, dict)), {})
    places = (body.get(key) for key in ("chat", "from", "user", "user_chat_id"))
    ids = (place.get("id") if isinstance(place, dict) else place for place in places)
    whose = next((number for number in ids if is_integer(number)), me.id)
    kind = BUSINESS if BUSINESS in update else "other"
    return InboundMessage(
        TELEGRAM,
        external_id,
        UserId(str(whose)),
        "",
        received_at,
        Kind.SERVICE,
        options={
            "chat_type": kind,
            **({STOPS: Stops.ALL} if STOP_PRESSED in update else {}),
        },
    )


def typing_thread(message: InboundMessage) -> int | None:
    """The thread of a typing indicator; the topic General of a forum has none in messages, and 1 here.

    https://core.telegram.org/bots/api#sendchataction
    """
    thread = (message.reply_to or "").partition("/")[2]
    if thread.isdecimal():
        return int(thread)
    return 1 if message.options.get("is_forum") else None


def _text_of(source: Mapping[str, Any], key: str) -> str | None:
    value = source.get(key)
    return clean_telegram(value)[:200] or None if isinstance(value, str) else None
