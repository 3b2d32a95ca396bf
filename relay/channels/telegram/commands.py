"""The commands of the bot, the menus that offer them, and who may use those that concern a whole group."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any, Final

from relay.channels.telegram.bot_api import BotCalls
from relay.channels.telegram.personal_commands import ADMINS_ONLY as PERSONAL_OF_ADMINS
from relay.channels.telegram.personal_commands import COMMANDS as PERSONAL
from relay.channels.telegram.personal_commands import OPERATOR_COMMAND
from relay.core.errors import SendError, SendFailure
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

log = logging.getLogger("relay.telegram")

_NO_CHAT: Final = frozenset({SendFailure.RECIPIENT, SendFailure.REJECTED, SendFailure.BLOCKED})


def descriptions(language: str) -> dict[str, str]:
    """What each command does."""
    return {name: localize(key, language) for name, key in COMMANDS.items()}


def menus(language: str) -> dict[str, dict[str, str]]:
    """The commands of each scope that differs: https://core.telegram.org/bots/api#botcommandscope"""
    every = descriptions(language)
    group = {name: text for name, text in every.items() if name not in PRIVATE_ONLY | ADMINS_ONLY}
    admins = {name: text for name, text in every.items() if name not in PRIVATE_ONLY}
    return {"default": every, "all_group_chats": group, "all_chat_administrators": admins}


async def register_menus(calls: BotCalls, operators: Sequence[str]) -> None:
    """Put the commands into Telegram's menus: in English for all, and in the other languages. Raises SendError.

    operators: the private chats that are offered /admin as well. https://core.telegram.org/bots/api#setmycommands
    """
    for language in offered_languages():
        for scope, commands in menus(language).items():
            await _register(calls, {"type": scope}, commands, language)
    for chat in operators:
        await register_operator(calls, chat)


async def register_operator(calls: BotCalls, chat: str) -> None:
    """Offer /admin in the menu of one private chat; one that has not written to the bot has none. Raises SendError."""
    scope = {"type": "chat", "chat_id": int(chat)}
    try:
        for language in offered_languages():
            offered = {**descriptions(language), OPERATOR_COMMAND: localize("menu-admin", language)}
            await _register(calls, scope, offered, language)
    except SendError as error:
        if error.kind not in _NO_CHAT:
            raise
        log.info("%s is not offered /%s before they write to the bot: %s", chat, OPERATOR_COMMAND, error)


async def _register(calls: BotCalls, scope: dict[str, Any], commands: Mapping[str, str], language: str) -> None:
    others = {} if language == ENGLISH else {"language_code": language}
    listed = [{"command": name, "description": text} for name, text in commands.items()]
    await calls.call("setMyCommands", {"commands": listed, "scope": scope, **others})
