"""The commands of the bot, the menus that offer them, and who may use those that concern a whole group."""

from __future__ import annotations

from typing import Any, Final

from relay.channels.telegram.bot_api import BotCalls
from relay.channels.telegram.personal_commands import ADMINS_ONLY as PERSONAL_OF_ADMINS
from relay.channels.telegram.personal_commands import COMMANDS as PERSONAL
from relay.core.messages import InboundMessage
from relay.texts import ENGLISH
from relay.texts.sentences import localize, offered_languages

COMMANDS: Final = {
    "start": "menu-start",
    "help": "menu-help",
    "stop": "menu-stop",
    "setname": "menu-setname",
    "language": "menu-language",
    "clear": "menu-clear",
    "status": "menu-status",
    **PERSONAL,
}
"""The menu, in the order in which Telegram shows it, with the keys of the descriptions."""

PRIVATE_ONLY: Final = frozenset({"setname"})
ADMINS_ONLY: Final = frozenset({"clear", "language", *PERSONAL_OF_ADMINS})
"""In a group, whose whole history it concerns."""

_ADMINS: Final = frozenset({"creator", "administrator"})


def descriptions(language: str) -> dict[str, str]:
    """What each command does."""
    return {name: localize(key, language) for name, key in COMMANDS.items()}


def menus(language: str) -> dict[str, dict[str, str]]:
    """The commands of each scope that differs: https://core.telegram.org/bots/api#botcommandscope"""
    every = descriptions(language)
    group = {name: text for name, text in every.items() if name not in PRIVATE_ONLY | ADMINS_ONLY}
    admins = {name: text for name, text in every.items() if name not in PRIVATE_ONLY}
    return {"default": every, "all_group_chats": group, "all_chat_administrators": admins}


async def register_menus(calls: BotCalls) -> None:
    """Put the commands into Telegram's menus: in English for all, and in the other languages. Raises SendError.

    https://core.telegram.org/bots/api#setmycommands
    """
    for language in offered_languages():
        others = {} if language == ENGLISH else {"language_code": language}
        for scope, commands in menus(language).items():
            listed = [{"command": name, "description": text} for name, text in commands.items()]
            await calls.call("setMyCommands", {"commands": listed, "scope": {"type": scope}, **others})


async def is_admin(calls: BotCalls, message: InboundMessage) -> bool:
    """Whether an administrator of a group wrote this. Raises SendError.

    An anonymous one writes as the group: https://core.telegram.org/bots/api#message (sender_chat).
    """
    if message.sender == message.user_id:
        return True
    who = {"chat_id": int(message.user_id), "user_id": int(message.sender or 0)}
    member: Any = await calls.call("getChatMember", who)
    return isinstance(member, dict) and member.get("status") in _ADMINS
