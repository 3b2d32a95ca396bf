"""Answers people who mention the bot in a chat of which it is no member, if @BotFather's guest mode is on.

Such a question is answered once, within seconds, by a message that Telegram puts into the chat and that can be edited
afterwards: a short one opens it, and the answer grows in it. https://core.telegram.org/bots/api#answerguestquery

The answer is seen by others and the bot sees nothing of the chat, so each question has a topic, and thereby a history,
of its own. What does not fit into the message goes to the person's own chat with the bot.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from functools import partial
from typing import Any, Final

from relay.channels.telegram import texts
from relay.channels.telegram.bot_api import BotCalls
from relay.core.decisions import Decision
from relay.core.errors import SendError
from relay.core.messages import InboundMessage
from relay.core.records import Records

log = logging.getLogger("relay.telegram")

GUEST: Final = "guest_message"
"""The kind of update, and the key of its query among the options of a message."""

OPENING: Final = "\u2026"
ANSWER_SECONDS: Final = 5.0


def is_inline(message_id: str) -> bool:
    """Whether this names a message in a chat that the bot cannot see."""
    return not message_id.isdecimal()


def target(chat: str, message_id: str) -> dict[str, Any]:
    """The parameters of a method that changes a message."""
    if is_inline(message_id):
        return {"inline_message_id": message_id}
    return {"chat_id": int(chat), "message_id": int(message_id)}


def decide(calls: BotCalls, message: InboundMessage, decision: Decision) -> Decision:
    """The decision about a guest's question, which is never a command; `decision` has what changes the user."""
    return replace(decision, prompt=texts.prompt(message), resolve=partial(_opened, calls, message, decision))


async def _opened(calls: BotCalls, message: InboundMessage, decision: Decision, _: Records) -> Decision:
    """Open the message in which the answer will grow; when it is too late for that, the answer goes to the person."""
    asking = replace(decision, prompt=texts.prompt(message))
    article = {
        "type": "article",
        "id": "1",
        "title": OPENING,
        "input_message_content": {"message_text": OPENING},
    }
    query = {"guest_query_id": message.options[GUEST], "result": article}
    try:
        sent = await calls.call("answerGuestQuery", query, seconds=ANSWER_SECONDS)
    except SendError as error:
        log.info("a guest's question could not be opened: %s", error)
        return asking
    message_id = sent.get("inline_message_id") if isinstance(sent, dict) else None
    return replace(asking, shown_as=message_id if isinstance(message_id, str) else None)
