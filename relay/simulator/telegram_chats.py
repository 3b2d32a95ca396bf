"""Telegram's chats and messages: their JSON, and where the bot may write."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from relay.channels.telegram.settings import SIMULATED_BOT_TOKEN
from relay.channels.telegram.spec import TELEGRAM
from relay.simulator.people import Person
from relay.simulator.telegram_entities import Entity, found_in
from relay.simulator.telegram_params import BotError, Upload, bad_request
from relay.simulator.telegram_updates import first_id
from relay.simulator.transcripts import PhoneBubble
from relay.simulator.world import World

BOT_NAME = "Simulated relay"
BOT_USERNAME = "simulated_relay_bot"
_NAMES = ("first_name", "username")


@dataclass(slots=True)
class TelegramMessage:
    """One message in a chat; sender is None for the bot's own. The bubble has its text and entities."""

    message_id: int
    chat_id: int
    sender: Person | None
    bubble: PhoneBubble
    content: dict[str, Any]
    markup: dict[str, Any] | None
    edited_at: float | None = None


class Chats:
    """All chats of the bot; message ids rise across chats."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._messages: dict[tuple[int, int], TelegramMessage] = {}
        self._threads: set[tuple[int, int]] = set()
        self.files: dict[str, Upload] = {}
        self._next_message_id = first_id(world.clock())

    def clear(self) -> None:
        """Remove all messages; ids keep rising."""
        self._messages.clear()
        self._threads.clear()
        self.files.clear()

    def next_message_id(self) -> int:
        self._next_message_id += 1
        return self._next_message_id

    def keep(self, file: Upload) -> dict[str, Any]:
        """Keep a file of the bot until all messages are removed; the JSON of its Document."""
        file_id = f"sent-{self.next_message_id()}"
        self.files[file_id] = file
        about = {"file_name": file.name, "mime_type": file.media_type, "file_size": len(file.content)}
        return {"file_id": file_id, "file_unique_id": file_id, **about}

    # -- users and chats ----------------------------------------------------------------------------------------------

    @staticmethod
    def bot() -> dict[str, Any]:
        number = int(SIMULATED_BOT_TOKEN.partition(":")[0])
        return {"id": number, "is_bot": True, "first_name": BOT_NAME, "username": BOT_USERNAME}

    @staticmethod
    def user(person: Person) -> dict[str, Any]:
        user = {"id": person.chat_id, "is_bot": False, "first_name": person.name, "language_code": person.language}
        return {**user, **({"username": person.username} if person.username else {})}

    def chat(self, chat_id: int) -> dict[str, Any]:
        group = self._world.people.groups.get(chat_id)
        if group is not None:
            return {"id": chat_id, "type": group.kind, "title": group.title}
        person = self._world.people.with_chat(chat_id)
        user = self.user(person) if person else {}
        return {"id": chat_id, "type": "private", **{name: user[name] for name in _NAMES if name in user}}

    def writable(self, chat_id: int) -> None:
        """Raise BotError unless the bot may write to this chat now."""
        group = self._world.people.groups.get(chat_id)
        if group is not None and group.moved_to is not None:
            description = "Bad Request: group chat was upgraded to a supergroup chat"
            raise BotError(400, description, migrate_to_chat_id=group.moved_to)
        if group is not None and group.removed:
            raise BotError(403, f"Forbidden: bot was kicked from the {group.kind} chat")
        if group is not None:
            return
        person = self._world.people.with_chat(chat_id)
        if person is None:
            raise bad_request("chat not found")
        if person.blocked:
            raise BotError(403, "Forbidden: bot was blocked by the user")
        if not person.started:
            raise BotError(403, "Forbidden: bot can't initiate conversation with a user")

    # -- messages -----------------------------------------------------------------------------------------------------

    def find(self, chat_id: int, message_id: int) -> TelegramMessage | None:
        return self._messages.get((chat_id, message_id))

    def known_thread(self, chat_id: int, thread: int) -> bool:
        return (chat_id, thread) in self._threads

    def add(
        self,
        chat_id: int,
        text: str,
        sender: Person | None,
        *,
        entities: list[Entity] | None = None,
        content: dict[str, Any] | None = None,
        kind: str = "text",
        markup: dict[str, Any] | None = None,
        reply_to: int | None = None,
        thread: int | None = None,
    ) -> TelegramMessage:
        """Add a message, and its bubble to the transcript of the chat. entities: None to detect them."""
        message_id = self.next_message_id()
        if thread is not None and sender is not None:
            self._threads.add((chat_id, thread))
        bubble = PhoneBubble(
            TELEGRAM,
            str(chat_id),
            "in" if sender else "out",
            text,
            message_id,
            "sent" if sender else "delivered",
            sender="person" if sender else "bot",
            entities=found_in(text) if entities is None else entities,
            kind=kind,
            author=sender.name if sender else BOT_NAME,
            reply_to=reply_to,
            thread=thread,
            buttons=_buttons(markup),
            files=_files(content),
        )
        self._world.transcripts.add(bubble)
        message = TelegramMessage(message_id, chat_id, sender, bubble, content or {}, markup)
        self._messages[chat_id, message_id] = message
        return message

    def edit(self, message: TelegramMessage, text: str, entities: list[Entity], markup: dict[str, Any] | None) -> None:
        message.markup, message.edited_at = markup, self._world.clock()
        bubble = message.bubble
        bubble.text, bubble.entities, bubble.edited, bubble.buttons = text, entities, True, _buttons(markup)
        self._world.transcripts.announce_bubble(bubble)

    def delete(self, message: TelegramMessage) -> None:
        self._messages.pop((message.chat_id, message.message_id), None)
        self._world.transcripts.remove(message.bubble)

    def to_json(self, message: TelegramMessage, *, with_reply: bool = True) -> dict[str, Any]:
        """The JSON of a Message."""
        bubble, chat = message.bubble, self.chat(message.chat_id)
        author = self.bot() if message.sender is None else self.user(message.sender)
        body: dict[str, Any] = {
            "message_id": message.message_id,
            **({"sender_chat": chat} if chat["type"] == "channel" else {"from": author}),
            "chat": chat,
            "date": int(bubble.at),
            **message.content,
        }
        if bubble.text:
            body["caption" if message.content else "text"] = bubble.text
        if bubble.entities:
            body["caption_entities" if message.content else "entities"] = bubble.entities
        if message.edited_at is not None:
            body["edit_date"] = int(message.edited_at)
        if bubble.thread is not None:
            body |= {"message_thread_id": bubble.thread, "is_topic_message": True}
        if message.markup is not None and "inline_keyboard" in message.markup:
            body["reply_markup"] = message.markup
        answered = self.find(message.chat_id, bubble.reply_to) if bubble.reply_to and with_reply else None
        if answered is not None:
            body["reply_to_message"] = self.to_json(answered, with_reply=False)
        return body


def _buttons(markup: dict[str, Any] | None) -> list[list[dict[str, Any]]]:
    rows = (markup or {}).get("inline_keyboard") or []
    return [[dict(button) for button in row] for row in rows]


def _files(content: dict[str, Any] | None) -> list[dict[str, Any]]:
    """The files of a message that can be opened on the page."""
    document = (content or {}).get("document") or {}
    return [document] if str(document.get("file_id", "")).startswith("sent-") else []
