"""The people of the simulation, each with a phone number and a Telegram account, and Telegram groups."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable
from dataclasses import dataclass, field

from relay.web.errors import ApiError

FIRST_CHAT = 700_000_001
FIRST_GROUP = -4_000_000_001
_PHONE_PREFIX = "+1202555"


@dataclass(slots=True)
class Person:
    """One person. started: has written to the bot; blocked and opted_out: refuses messages from Telegram and Twilio.

    whatsapp_at: when they last wrote on WhatsApp, in epoch seconds.
    """

    id: str
    name: str
    phone_number: str
    chat_id: int
    username: str | None = None
    language: str = "en"
    started: bool = False
    blocked: bool = False
    opted_out: bool = False
    whatsapp_at: float | None = None


@dataclass(slots=True)
class TelegramGroup:
    """A group, supergroup or channel; moved_to: the chat id after its migration to a supergroup."""

    chat_id: int
    title: str
    kind: str = "group"
    members: list[int] = field(default_factory=list)
    moved_to: int | None = None
    removed: bool = False


class People:
    """All people and groups; two people exist from the start. on_change: called after each addition."""

    def __init__(self, on_change: Callable[[], None]) -> None:
        self.groups: dict[int, TelegramGroup] = {}
        self._on_change = on_change
        self._by_phone: dict[str, Person] = {}
        self._by_chat: dict[int, Person] = {}
        self.add("Ada", username="ada")
        self.add("Ben", username="ben")

    @property
    def all(self) -> list[Person]:
        return list(self._by_phone.values())

    def add(
        self,
        name: str,
        *,
        phone_number: str | None = None,
        chat_id: int | None = None,
        username: str | None = None,
        language: str = "en",
    ) -> Person:
        """Add a person with generated values for missing arguments. Raises ApiError 409 for an address in use."""
        count = len(self._by_phone)
        if phone_number is None:
            free = (phone for phone in map(_phone, itertools.count(count + 1)) if phone not in self._by_phone)
            phone_number = next(free)
        if chat_id is None:
            chat_id = next(chat for chat in itertools.count(FIRST_CHAT + count) if chat not in self._by_chat)
        if phone_number in self._by_phone:
            raise _taken(f"{phone_number} belongs to {self._by_phone[phone_number].name}")
        if chat_id in self._by_chat:
            raise _taken(f"chat {chat_id} exists")
        person = Person(f"p{count + 1}", name, phone_number, chat_id, username, language)
        self._by_phone[phone_number] = self._by_chat[chat_id] = person
        self._on_change()
        return person

    def add_group(
        self, title: str, *, chat_id: int | None = None, members: list[int] | None = None, kind: str = "group"
    ) -> TelegramGroup:
        """Add a group or channel. Raises ApiError 409 for an id in use."""
        chat_id = chat_id if chat_id is not None else FIRST_GROUP - len(self.groups)
        if chat_id in self.groups:
            raise _taken(f"chat {chat_id} exists")
        self.groups[chat_id] = TelegramGroup(chat_id, title, kind, list(members or []))
        self._on_change()
        return self.groups[chat_id]

    def with_phone(self, phone_number: str) -> Person:
        """The owner of a number, added when there is none."""
        return self._by_phone.get(phone_number) or self.add(phone_number, phone_number=phone_number)

    def with_chat(self, chat_id: int) -> Person | None:
        return self._by_chat.get(chat_id)

    def find(self, text: str) -> Person | None:
        """Look up a person by phone number, chat id, id or name."""
        text = text.strip()
        if text in self._by_phone:
            return self._by_phone[text]
        if re.fullmatch(r"\d{1,15}", text):
            return self._by_chat.get(int(text)) or self._by_phone.get(f"+{text}")
        return next((one for one in self.all if text in {one.id, one.name}), None)


def _phone(number: int) -> str:
    """555-0100 to 555-0199 are kept free for fiction; beyond a hundred people the rest of the block is used."""
    return f"{_PHONE_PREFIX}{100 + number if number < 100 else number + 1000:04d}"


def _taken(sentence: str) -> ApiError:
    return ApiError(409, f"{sentence} already", "leave it out and one is made up")
