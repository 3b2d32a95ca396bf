"""Who may act for a group, and who may press the buttons below an answer."""

from __future__ import annotations

import asyncio
import logging
from typing import Any, Final

from relay.channels.telegram.bot_api import BotCalls
from relay.channels.telegram.spec import is_group
from relay.core.errors import SendError
from relay.core.messages import InboundMessage, UserId

log = logging.getLogger("relay.telegram")

ASK_SECONDS: Final = 3.0
_ADMINS: Final = frozenset({"creator", "administrator"})


async def is_admin(calls: BotCalls, message: InboundMessage) -> bool:
    """Whether an administrator of a group wrote this. Raises SendError.

    An anonymous one writes as the group: https://core.telegram.org/bots/api#message (sender_chat).
    """
    if message.sender == message.user_id:
        return True
    who = {"chat_id": int(message.user_id), "user_id": int(message.sender or 0)}
    member: Any = await calls.call("getChatMember", who)
    return isinstance(member, dict) and member.get("status") in _ADMINS


async def may_press(calls: BotCalls, press: InboundMessage, asker: UserId | None) -> bool:
    """Whether the person who pressed may have asked; never raises. asker: None in a private chat.

    A press names its person even where a message names a chat: the group, for an anonymous administrator, or a channel
    of its member, of which Telegram does not tell who owns it. https://core.telegram.org/bots/api#callbackquery
    """
    if asker is None or asker == press.sender:
        return True
    if asker != press.user_id:
        return is_group(asker)
    try:
        async with asyncio.timeout(ASK_SECONDS):
            return await is_admin(calls, press)
    except (SendError, TimeoutError) as error:
        log.info("whether an administrator pressed a button could not be read: %s", error)
        return False
