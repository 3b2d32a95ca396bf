"""The buttons below answers: stop and continue, the answer again, shorter or longer in its place.

A button acts on the newest answer of its chat or topic, for the person who asked, and Stop on the answer above it, for
all; every other press is answered with a sentence that Telegram shows above the chat.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Final

from relay.channels.telegram import texts
from relay.channels.telegram.administrators import may_press
from relay.channels.telegram.bot_api import BotCalls
from relay.channels.telegram.continued import continued
from relay.channels.telegram.guests import is_inline
from relay.channels.telegram.json_fields import is_integer, object_at, required, text_at
from relay.channels.telegram.model_buttons import rows
from relay.channels.telegram.quoted import display_name
from relay.channels.telegram.spec import TELEGRAM
from relay.core.decisions import STOPS, STOPS_MESSAGE, Decision, Stops
from relay.core.errors import SendError
from relay.core.messages import InboundMessage, Kind, UserId, UserState
from relay.core.parts import Origin, Part
from relay.core.records import Records, SentReply
from relay.texts import ENGLISH
from relay.texts.sentences import localize

log = logging.getLogger("relay.telegram")

PRESSED: Final = "callback_query"
"""The kind of update: https://core.telegram.org/bots/api#callbackquery"""

STOP, CONTINUE, AGAIN, SHORTER, LONGER = "stop", "continue", "again", "shorter", "longer"
GONE, OF_OTHERS = "telegram-button-gone", "telegram-button-of-others"
ANSWER_SECONDS: Final = 3.0
VERSION_CHARS: Final = 12
FORGET_SECONDS: Final = 3600.0
"""How long a question about a removal can be answered."""

_PROMPTS: Final = {AGAIN: texts.ASK_AGAIN, SHORTER: texts.ASK_SHORTER, LONGER: texts.ASK_LONGER}


def _keyboard(names: Sequence[str], language: str, version: str = "") -> dict[str, Any]:
    """A row of buttons; version: of what is shown above them, so that a press of an earlier one is recognised."""
    row = [
        {
            "text": localize(texts.BUTTONS[name], language),
            "callback_data": f"{name}:{version}" if version else name,
        }
        for name in names
    ]
    return {"reply_markup": {"inline_keyboard": [row]}}


def keyboard_of(part: Part) -> dict[str, Any]:
    """Below the last message of an answer; empty elsewhere."""
    version, language = part.id[:VERSION_CHARS], part.language or ENGLISH
    if part.buttons:
        names = part.buttons.split(",")
        listed = rows(names)
        return {"reply_markup": {"inline_keyboard": listed}} if listed else _keyboard(names, language, version)
    if part.origin is not Origin.ANSWER or part.number != part.count:
        return {}
    return _keyboard((CONTINUE, AGAIN) if part.stopped else (AGAIN, SHORTER, LONGER), language, version)


def read_press(query: Mapping[str, Any], external_id: str, received_at: float) -> InboundMessage:
    """A callback query as a message. Raises PayloadError.

    A press of a button below a message that was sent inline has no chat, and is not answered.
    """
    message, who = object_at(query, "message"), required(query, "from", dict)
    chat, writer = object_at(message, "chat"), required(who, "id", int)
    if not chat:
        return InboundMessage(TELEGRAM, external_id, UserId(str(writer)), "", received_at, Kind.SERVICE)
    place, kind = required(chat, "id", int), text_at(chat, "type") or "private"
    is_private, name = kind == "private", display_name(who) or None
    thread = message.get("message_thread_id") if message.get("is_topic_message") is True else None
    topic = str(thread) if is_integer(thread) else None
    number = required(message, "message_id", int)
    pressed, _, version = text_at(query, "data")[:64].partition(":")
    return InboundMessage(
        TELEGRAM,
        external_id,
        UserId(str(place)),
        "",
        received_at,
        Kind.PRESSED,
        name=name if is_private else None,
        username=text_at(who, "username") or None if is_private else None,
        reply_to=f"{number}/{topic}" if topic else f"{number}",
        options={
            "chat_type": kind,
            "query": required(query, "id", str),
            "pressed": pressed,
            "version": version,
            "presser": name,
            **({STOPS: Stops.OWN, STOPS_MESSAGE: f"{number}"} if pressed == STOP else {}),
        },
        sender=None if is_private else UserId(str(writer)),
        topic=topic,
    )


def _first_message(reply: SentReply) -> str | None:
    """The message in which the next version of an answer grows."""
    return reply.messages[0] if reply.messages else None


class Buttons:
    """Decides about presses, and answers them at Telegram."""

    def __init__(self, calls: BotCalls, *, enabled: bool) -> None:
        self._calls = calls
        self.enabled = enabled

    def below(self, part: Part) -> dict[str, Any]:
        """The parameters of a message for the buttons below it."""
        is_ours = part.replaces is None or not is_inline(part.replaces)
        return keyboard_of(part) if (self.enabled or part.buttons) and is_ours else {}

    def growing(self, language: str) -> dict[str, Any]:
        """Likewise of an answer while it is written."""
        return _keyboard([STOP], language) if self.enabled else {}

    def decide(self, message: InboundMessage, decision: Decision) -> Decision:
        """The decision about a press; `decision` has what any message of this user changes."""
        prompt = _PROMPTS.get(message.options["pressed"], texts.CONTINUE)
        return replace(decision, prompt=prompt, resolve=partial(self._resolved, message, decision))

    async def _resolved(self, message: InboundMessage, decision: Decision, records: Records) -> Decision:
        chat, pressed = message.user_id, message.options["pressed"]
        if pressed == STOP:
            await self.answer(message, "" if message.options.get("stopped") else "telegram-nothing-to-stop", decision)
            return replace(decision, reason="the answer was stopped")
        number = (message.reply_to or "").partition("/")[0]
        reply = await records.find_reply(TELEGRAM, chat, message_id=number)
        if pressed in texts.FORGET_BUTTONS:
            return await self._forget(message, decision, reply)
        refusal = await self._refusal(message, reply)
        await self.answer(message, refusal or "", decision)
        if refusal is not None or reply is None:
            return replace(decision, reason=localize(refusal, ENGLISH) if refusal else "an old button")
        if pressed == CONTINUE:
            return self._continue(message, decision, reply)
        return replace(decision, prompt=_PROMPTS[pressed], replaces=reply.id, shown_as=_first_message(reply))

    def _continue(self, message: InboundMessage, decision: Decision, reply: SentReply) -> Decision:
        """Go on in the message of the stopped answer, unless that has several, or a file; then in a new one."""
        if len(reply.parts) == 1 and not reply.parts[0].file_name:
            go_on = replace(decision, prompt=texts.ASK_TO_GO_ON, replaces=reply.id, shown_as=_first_message(reply))
            return replace(go_on, join=partial(continued, reply.parts[0]))
        name = message.options.get("presser")
        return replace(decision, prompt=f"{name}: {texts.CONTINUE}" if message.sender and name else texts.CONTINUE)

    async def _forget(self, message: InboundMessage, decision: Decision, reply: SentReply | None) -> Decision:
        """Delete everything, or not, in place of the question about it; only its asker may, within FORGET_SECONDS."""
        if reply is None or message.received_at - reply.sent_at > FORGET_SECONDS:
            await self.answer(message, GONE, decision)
            return replace(decision, reason="an old button")
        if not await self.is_askers(message, reply):
            await self.answer(message, OF_OTHERS, decision)
            return replace(decision, reason=localize(OF_OTHERS, ENGLISH))
        await self.answer(message, "", decision)
        if message.options["pressed"] == "keep":
            return replace(decision, reply=localize("telegram-kept", decision.language), replaces=reply.id)
        gone = replace(decision, forget=True, clear_history=True, state=UserState.NEW)
        return replace(gone, reply=localize("telegram-forgotten", decision.language), replaces=reply.id)

    async def is_askers(self, message: InboundMessage, reply: SentReply) -> bool:
        """Whether the person to whom a reply was sent may have pressed its button; never raises."""
        return await may_press(self._calls, message, reply.asker)

    async def _refusal(self, message: InboundMessage, reply: SentReply | None) -> str | None:
        """Why a press changes nothing, as the key of a sentence, possibly none; None when it does."""
        if not self.enabled or message.options["pressed"] not in {*_PROMPTS, CONTINUE}:
            return GONE
        if reply is None or not reply.is_answer or not reply.is_newest:
            return "telegram-button-old"
        if not reply.part.startswith(message.options["version"]):
            return ""  # it was pressed twice
        return None if await self.is_askers(message, reply) else OF_OTHERS

    async def answer(self, message: InboundMessage, key: str, decision: Decision) -> None:
        """End the sign of progress on the button, and show the sentence, if any, above the chat; never raises."""
        shown = {"text": localize(key, decision.language)} if key else {}
        parameters = {"callback_query_id": message.options["query"], **shown}
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                await self._calls.call("answerCallbackQuery", parameters)
        except (
            SendError,
            TimeoutError,
        ) as error:  # it is too old: https://core.telegram.org/bots/api#answercallbackquery
            log.info("a press of a button was not answered: %s", error)
