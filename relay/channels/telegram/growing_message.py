"""Shows an answer in a message that grows by edits: in groups, which have no drafts, and where edits are preferred.

The id of the message is committed before its first edit, so that after a kill of the server the whole answer still
becomes this message instead of another one. Only a kill between Telegram's acceptance and that commit leaves the first
words behind.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any, Final

from relay.channels.telegram.bot_api import BotCalls
from relay.channels.telegram.call_budget import Cosmetic
from relay.channels.telegram.entities import entities_of
from relay.channels.telegram.guests import is_inline, target
from relay.channels.telegram.live_answer import CALL_SECONDS
from relay.channels.telegram.message_form import MessageForm
from relay.core.errors import LeaseLost, OutcomeUnknown, SendError, SendFailure, StorageError
from relay.core.messages import UserId
from relay.core.parts import PlannedPart
from relay.core.progress import Progress

log = logging.getLogger("relay.telegram")

FIRST_SECONDS: Final = 2.0
GROWTH: Final = 1.3
MAX_SECONDS: Final = 12.0
"""The time between two edits grows from FIRST_SECONDS on, so that a long answer leaves room for other messages."""

UNCHANGED: Final = "message is not modified"
GONE: Final = ("message to edit not found", "message can't be edited", "message_id_invalid")
NO_TEXT: Final = "there is no text in the message to edit"


def is_unchanged(error: SendError) -> bool:
    """Whether the message has this very content already."""
    return error.code == "400" and UNCHANGED in error.message.lower()


def is_gone(error: SendError) -> bool:
    """Whether the message was deleted, or cannot be changed any more."""
    return error.code == "400" and any(sign in error.message.lower() for sign in GONE)


def is_file(error: SendError) -> bool:
    """Whether the message to edit is a file, which becomes no text."""
    return error.code == "400" and NO_TEXT in error.message.lower()


class GrowingMessage:
    """The message of one answer in one chat.

    form: how it is sent, None when it was sent already. keyboard: below it while it grows.
    """

    kind = Cosmetic.EDIT
    delay = 1.0  # a short answer is complete by then, and a notification shows more than its first word
    end_seconds = CALL_SECONDS + 1.0  # with the commit of the message's id
    renewal: float | None = None

    def __init__(self, calls: BotCalls, chat: UserId, form: MessageForm | None, keyboard: Mapping[str, Any]) -> None:
        self._calls = calls
        self._chat = chat
        self._form = form
        self._keyboard = keyboard
        self._shown = ""

    def interval(self, calls: int) -> float:
        return min(FIRST_SECONDS * GROWTH ** max(calls - 1, 0), MAX_SECONDS)

    async def show(self, parts: Sequence[PlannedPart], progress: Progress) -> None:
        """Send the message, or edit it. An edit of unknown outcome is followed by the next one."""
        part = parts[0]
        if part.text == self._shown:
            return
        if progress.shown_as is not None:
            await self._edit(part, progress.shown_as)
        elif self._form is not None:
            await self._send(part, self._form, progress)
        self._shown = part.text

    def _content(self, part: PlannedPart) -> dict[str, Any]:
        return {
            "text": part.text,
            "link_preview_options": {"is_disabled": True},
            **entities_of(part.style),
            **self._keyboard,
        }

    async def _send(self, part: PlannedPart, form: MessageForm, progress: Progress) -> None:
        parameters = {"chat_id": int(self._chat), **self._content(part), **form.place()}
        sent = await self._calls.call("sendMessage", parameters, seconds=CALL_SECONDS)
        message_id = sent_id(sent)
        try:
            await progress.record_shown(message_id)
        except (LeaseLost, StorageError) as error:
            await delete_message(self._calls, self._chat, message_id)
            raise SendError(SendFailure.REJECTED, "unrecorded", f"the message is not recorded: {error}") from error
        progress.shown_as = message_id

    async def _edit(self, part: PlannedPart, message_id: str) -> None:
        parameters = {**self._content(part), **target(self._chat, message_id)}
        try:
            await self._calls.call("editMessageText", parameters, seconds=CALL_SECONDS)
        except OutcomeUnknown as error:
            log.debug("an edit may have failed: %s", error)
        except SendError as error:
            if not is_unchanged(error):
                raise


def sent_id(sent: Any) -> str:
    """The id of a sent message. Raises OutcomeUnknown when the answer of Telegram has none."""
    if not (isinstance(sent, dict) and isinstance(sent.get("message_id"), int)):
        raise OutcomeUnknown("body", "Telegram's answer could not be understood")
    return str(sent["message_id"])


async def delete_message(calls: BotCalls, chat: UserId, message_id: str) -> bool:
    """Remove a message of ours; whether that worked, or it was gone already. Never raises.

    Telegram refuses it for messages older than 48 h, and has no way to remove one in a chat of others:
    https://core.telegram.org/bots/api#deletemessage
    """
    if is_inline(message_id):
        return False
    try:
        await calls.call("deleteMessage", target(chat, message_id), seconds=CALL_SECONDS)
    except SendError as error:
        log.info("message %s could not be removed: %s", message_id, error)
        return error.code == "400" and "not found" in error.message.lower()
    return True
