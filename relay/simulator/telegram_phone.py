"""Actions of people in Telegram (write, edit, press, block, ...), each queued as an update."""

from __future__ import annotations

from typing import Any

from relay.channels.telegram.spec import TELEGRAM
from relay.simulator.control_bodies import TelegramText
from relay.simulator.people import Person
from relay.simulator.sent_files import SAMPLE, SentFile
from relay.simulator.telegram_chats import Chats
from relay.simulator.telegram_entities import found_in
from relay.simulator.telegram_methods import BotApi
from relay.simulator.telegram_updates import UpdateQueue
from relay.simulator.world import World
from relay.web.errors import ApiError

_FILE: dict[str, Any] = {"file_id": SAMPLE.id, "file_unique_id": SAMPLE.id, "file_size": len(SAMPLE.content)}
_CONTENT: dict[str, dict[str, Any]] = {
    "photo": {"photo": [{**_FILE, "width": 90, "height": 90}, {**_FILE, "width": 320, "height": 320}]},
    "sticker": {
        "sticker": {
            **_FILE,
            "type": "regular",
            "width": 512,
            "height": 512,
            "is_animated": False,
            "is_video": False,
            "emoji": "👍",
        }
    },
    "voice": {"voice": {**_FILE, "duration": 3, "mime_type": "audio/ogg"}},
    "audio": {"audio": {**_FILE, "duration": 3, "mime_type": "audio/mpeg", "title": "song"}},
    "video_note": {"video_note": {**_FILE, "length": 240, "duration": 3}},
    "video": {"video": {**_FILE, "width": 320, "height": 240, "duration": 3, "mime_type": "video/mp4"}},
    "document": {"document": {**_FILE, "file_name": "notes.pdf", "mime_type": "application/pdf"}},
    "location": {"location": {"latitude": 52.52, "longitude": 13.405}},
    "contact": {"contact": {"phone_number": "+12025550199", "first_name": "Sam"}},
}


_NAMED = {"document", "audio", "video"}
"""Kinds whose files have a name; of the others only the content travels."""


def _content_of(kind: str, file: SentFile | None, album: str | None) -> dict[str, Any] | None:
    """The fields of a message with this file, or with a sample of its kind."""
    content = _CONTENT.get(kind)
    if content is None:
        return None
    if file is not None:
        own = {"file_id": file.id, "file_unique_id": file.id, "file_size": len(file.content)}
        if kind in _NAMED:
            own |= {"mime_type": file.media_type, "file_name": file.name or kind}
        content = {key: _with(value, own) for key, value in content.items()}
    return {**content, "media_group_id": album} if album else content


def _with(value: Any, own: dict[str, Any]) -> Any:
    return [{**one, **own} for one in value] if isinstance(value, list) else {**value, **own}


def _not_found(sentence: str) -> ApiError:
    return ApiError(404, sentence, "GET /sim/people and /sim/transcript show what there is")


class TelegramPhones:
    """The Telegram apps of all people. A returned update_id is None when allowed_updates excludes the kind."""

    def __init__(self, world: World, chats: Chats, updates: UpdateQueue, bot: BotApi) -> None:
        self._world = world
        self._chats = chats
        self._updates = updates
        self._bot = bot

    def _author(self, chat_id: int, sender: int | None = None) -> Person:
        """The author of a message; missing people and groups are added."""
        people = self._world.people
        if chat_id < 0 and chat_id not in people.groups:
            people.add_group(f"Group {-chat_id}", chat_id=chat_id)
        own = sender if sender is not None else chat_id
        if own < 0:
            own = people.all[0].chat_id
        return people.with_chat(own) or people.add(f"Person {own}", chat_id=own)

    def write(self, body: TelegramText) -> tuple[int | None, int]:
        """Send a message; returns the ids of the update and of the message."""
        person = self._author(body.chat_id, body.sender)
        person.started = True
        group = self._world.people.groups.get(body.chat_id)
        is_post = body.kind == "channel_post"
        file = self._world.files.find(body.file) if body.file else None
        if body.file and file is None:
            raise _not_found(f"there is no file {body.file}")
        if is_post:
            group = group or self._world.people.add_group("Channel", chat_id=body.chat_id)
            group.kind = "channel"
        message = self._chats.add(
            body.chat_id,
            body.text or body.caption,
            person,
            entities=body.entities,
            content=_content_of(body.kind, file, body.album),
            kind=body.kind,
            reply_to=body.reply_to,
            thread=body.thread,
        )
        if file is not None:
            message.bubble.sent_files = [file.id]
            self._world.transcripts.announce_bubble(message.bubble)
        update = {"channel_post" if is_post else "message": self._chats.to_json(message)}
        update_id = self._updates.put(update, body.chat_id, text=message.bubble.text, bubble=message.bubble)
        return update_id, message.message_id

    def edit(self, chat_id: int, message_id: int, text: str) -> tuple[int | None, int]:
        """Edit a person's message. Raises ApiError 404."""
        message = self._chats.find(chat_id, message_id)
        if message is None or message.sender is None:
            raise _not_found(f"chat {chat_id} has no message {message_id} by a person")
        self._chats.edit(message, text, found_in(text), None)
        body = {"edited_message": self._chats.to_json(message)}
        return self._updates.put(body, chat_id, text=text, bubble=message.bubble), message_id

    def raw(self, body: dict[str, Any]) -> int | None:
        """Queue any update without validation."""
        inner = next((value for name, value in body.items() if name != "update_id"), None)
        chat = inner.get("chat") if isinstance(inner, dict) else None
        chat_id = chat.get("id") if isinstance(chat, dict) else None
        return self._updates.put(body, chat_id if isinstance(chat_id, int) else 0)

    def set_blocked(self, chat_id: int, blocked: bool) -> int | None:
        """Block or unblock the bot, or remove it from a group. Raises ApiError 404."""
        person = self._world.people.with_chat(chat_id)
        group = self._world.people.groups.get(chat_id)
        if person is None and group is None:
            raise _not_found(f"there is no chat {chat_id}")
        if person is not None:
            person.blocked = blocked
        if group is not None:
            group.removed = blocked
        self._world.transcripts.announce("people")
        away = "left" if group else "kicked"
        before, after = ("member", away) if blocked else (away, "member")
        body = {
            "my_chat_member": {
                "chat": self._chats.chat(chat_id),
                "from": self._chats.user(person or self._author(chat_id)),
                "date": int(self._world.clock()),
                "old_chat_member": self._member(before),
                "new_chat_member": self._member(after),
            }
        }
        return self._updates.put(body, chat_id)

    def _member(self, status: str) -> dict[str, Any]:
        return {"user": self._chats.bot(), "status": status, **({"until_date": 0} if status == "kicked" else {})}

    def press(self, chat_id: int, message_id: int, data: str, sender: int | None = None) -> int | None:
        """Press an inline button; in a group `sender` does. Raises ApiError 404."""
        message = self._chats.find(chat_id, message_id)
        buttons = [button for row in (message.bubble.buttons if message else []) for button in row]
        if message is None or not any(button.get("callback_data") == data for button in buttons):
            raise _not_found(f"message {message_id} in chat {chat_id} has no such button")
        query_id = str(self._chats.next_message_id())
        self._bot.open_callback_queries[query_id] = chat_id
        body = {
            "callback_query": {
                "id": query_id,
                "from": self._chats.user(self._author(chat_id, sender)),
                "message": self._chats.to_json(message),
                "chat_instance": str(chat_id),
                "data": data,
            }
        }
        return self._updates.put(body, chat_id, text=data)

    def query(self, chat_id: int, text: str) -> tuple[int | None, str]:
        """Write behind the bot's name in another chat; returns the ids of the update and of the query."""
        return self._bot.inline.write_query(self._author(chat_id), text)

    def guest(self, chat_id: int, text: str, sender: int | None) -> tuple[int | None, int]:
        """Mention the bot in a group without it; returns the ids of the update and of the message."""
        return self._bot.inline.write_as_guest(self._author(chat_id, sender), chat_id, text)

    def results(self, query: str) -> list[dict[str, Any]] | None:
        """What the bot answered to a query; None before it has."""
        return self._bot.inline.results.get(query)

    def stop_draft(self, chat_id: int) -> int | None:
        """Press Stop on a draft that offers it. Raises ApiError 404."""
        draft = self._world.transcripts.draft(TELEGRAM, str(chat_id))
        if draft is None or not draft.can_stop:
            raise _not_found(f"chat {chat_id} shows no draft that can be stopped")
        self._world.transcripts.show_draft(TELEGRAM, str(chat_id), None)
        body = {"stopped_message_generation": {"chat": self._chats.chat(chat_id), "draft_id": draft.draft_id}}
        return self._updates.put(body, chat_id)

    def migrate(self, chat_id: int) -> tuple[int | None, int]:
        """Turn a group into a supergroup: a new chat id, announced by a service message. Raises ApiError 404."""
        group = self._world.people.groups.get(chat_id)
        if group is None or group.moved_to is not None:
            raise _not_found(f"there is no group {chat_id}")
        new = -1_000_000_000_000 + group.chat_id
        group.moved_to = new
        self._world.people.add_group(group.title, chat_id=new, members=group.members, kind="supergroup")
        message: dict[str, Any] = {
            "message_id": self._chats.next_message_id(),
            "from": self._chats.user(self._author(chat_id)),
            "chat": self._chats.chat(chat_id),
            "date": int(self._world.clock()),
            "migrate_to_chat_id": new,
        }
        return self._updates.put({"message": message}, chat_id), new
