"""The people of the simulation, each with a phone number and a Telegram account, and Telegram groups."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

FIRST_CHAT = 700_000_001
FIRST_GROUP = -4_000_000_001
_PHONE_PREFIX = "+1202555"


class AddressTaken(Exception):
    """The phone number or chat id is in use."""


@dataclass(slots=True)
class Person:
    """One person. started: has written to the bot; blocked and opted_out: refuses messages from Telegram and Twilio."""

    id: str
    name: str
    phone_number: str
    chat_id: int
    username: str | None = None
    language: str = "en"
    started: bool = False
    blocked: bool = False
    opted_out: bool = False


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
    """All people and groups; two people exist from the start."""

    def __init__(self) -> None:
        self.all: list[Person] = []
        self.groups: dict[int, TelegramGroup] = {}
        self._by_phone: dict[str, Person] = {}
        self._by_chat: dict[int, Person] = {}
        self.add("Ada", username="ada")
        self.add("Ben", username="ben")

    def add(
        self,
        name: str,
        *,
        phone_number: str | None = None,
        chat_id: int | None = None,
        username: str | None = None,
        language: str = "en",
    ) -> Person:
        """Add a person with generated values for missing arguments. Raises AddressTaken."""
        phone_number = phone_number or self._free_phone()
        chat_id = chat_id if chat_id is not None else self._free_chat()
        if phone_number in self._by_phone:
            raise AddressTaken(f"{phone_number} belongs to {self._by_phone[phone_number].name} already")
        if chat_id in self._by_chat or chat_id in self.groups:
            raise AddressTaken(f"chat {chat_id} exists already")
        person = Person(f"p{len(self.all) + 1}", name, phone_number, chat_id, username, language)
        self.all.append(person)
        self._by_phone[phone_number] = person
        self._by_chat[chat_id] = person
        return person

    def add_group(
        self, title: str, *, chat_id: int | None = None, members: list[int] | None = None, kind: str = "group"
    ) -> TelegramGroup:
        """Add a group or channel. Raises AddressTaken."""
        chat_id = chat_id if chat_id is not None else FIRST_GROUP - len(self.groups)
        if chat_id in self.groups:
            raise AddressTaken(f"chat {chat_id} exists already")
        self.groups[chat_id] = TelegramGroup(chat_id, title, kind, list(members or []))
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
        matches = (one for one in self.all if text in {one.id, one.name})
        return next(matches, None)

    def _free_phone(self) -> str:
        number = len(self.all)
        while True:
            number += 1
            # 555-0100 to 555-0199 are kept free for fiction; beyond a hundred people the rest of the block is used.
            phone = f"{_PHONE_PREFIX}{100 + number if number < 100 else number + 1000:04d}"
            if phone not in self._by_phone:
                return phone

    def _free_chat(self) -> int:
        chat_id = FIRST_CHAT + len(self.all)
        while chat_id in self._by_chat:
            chat_id += 1
        return chat_id
