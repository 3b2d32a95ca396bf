"""Delivers one part: as a message of its own, or in place of an earlier message."""

from __future__ import annotations

import logging
from collections import Counter
from typing import Any, Final

from relay.channels.telegram.bot_api import BotCalls
from relay.channels.telegram.buttons import Buttons
from relay.channels.telegram.call_budget import CallBudget
from relay.channels.telegram.entities import entities_of
from relay.channels.telegram.growing_message import delete_message, is_file, is_gone, is_unchanged, sent_id
from relay.channels.telegram.guests import target
from relay.channels.telegram.inline_queries import InlineQueries, is_query
from relay.channels.telegram.message_form import MessageForm
from relay.core.errors import SendError
from relay.core.parts import Part, PartState, Receipt
from relay.texts import ENGLISH
from relay.texts.sentences import localize

log = logging.getLogger("relay.telegram")

MAX_FLOOD_SECONDS: Final = 5.0
"""The longest wait for an edit; edits may be refused for hours while messages are not, so a message replaces it."""

NO_PREVIEW: Final = {"link_preview_options": {"is_disabled": True}}


class Delivery:
    """Sends parts through `calls`. options: further parameters of every message."""

    def __init__(
        self, calls: BotCalls, budget: CallBudget, buttons: Buttons, inline: InlineQueries, **options: Any
    ) -> None:
        self._calls = calls
        self._budget = budget
        self._buttons = buttons
        self._inline = inline
        self._options = options
        self.left_out: Counter[str] = Counter()
        """How often Telegram refused a property of a message, by its name in MessageForm; it was then sent without."""

    async def send(self, part: Part) -> Receipt:
        """Deliver one part; if Telegram refuses its formatting, buttons, reply or topic, the same text without that.

        Raises SendError, OutcomeUnknown.
        """
        form = MessageForm.of(part)
        while True:
            try:
                return Receipt(provider_id=await self._deliver(part, form), state=PartState.SENT)
            except SendError as error:
                if error.retry_after:
                    self._budget.pause(part.user_id, error.retry_after)
                if (simpler := form.without_refused(error)) is None:
                    raise
                form, refused = simpler
                self.left_out[refused] += 1
                log.warning("Telegram refused the %s of part %s, it is sent without: %s", refused, part.id, error)

    async def _deliver(self, part: Part, form: MessageForm) -> str:
        """Send or change one message; the id of the message that has the part now."""
        if part.replaces and is_query(part.replaces):
            await self._inline.deliver(part, part.replaces)
            return part.replaces
        if part.file_name:
            if part.replaces:
                await self._remove(part, part.replaces)
            return await self._upload(part, form, part.file_name)
        if part.replaces and not part.text:
            await self._remove(part, part.replaces)
            return part.replaces
        if part.replaces and await self._becomes(part, form, part.replaces):
            return part.replaces
        return await self._send(part, form)

    def _content(self, part: Part, form: MessageForm) -> dict[str, Any]:
        return {"text": part.text, **entities_of(form.style), **NO_PREVIEW, **self._below(part, form)}

    def _below(self, part: Part, form: MessageForm) -> dict[str, Any]:
        return self._buttons.below(part) if form.buttons else {}

    async def _send(self, part: Part, form: MessageForm) -> str:
        where = {"chat_id": int(part.user_id), **form.place()}
        sent = await self._calls.call("sendMessage", {**where, **self._content(part, form), **self._options})
        return sent_id(sent)

    async def _upload(self, part: Part, form: MessageForm, name: str) -> str:
        """Send a part as a file."""
        where = {"chat_id": int(part.user_id), **form.place(), **self._options, **self._below(part, form)}
        return sent_id(await self._calls.upload("sendDocument", where, "document", name, part.text.encode()))

    async def _becomes(self, part: Part, form: MessageForm, message_id: str) -> bool:
        """Edit a message into a part; False when it is gone, or was removed because it cannot be edited now.

        It is removed first, so that whatever happens then, the part is never shown twice.
        """
        try:
            await self._edit(part, message_id, self._content(part, form))
        except SendError as error:
            if is_unchanged(error):
                return True
            has_to_go = is_file(error) or (error.retry_after or 0.0) > MAX_FLOOD_SECONDS
            if is_gone(error) or (has_to_go and await delete_message(self._calls, part.user_id, message_id)):
                return False
            raise
        return True

    async def _edit(self, part: Part, message_id: str, what: dict[str, Any]) -> None:
        await self._calls.call("editMessageText", {**target(part.user_id, message_id), **what})

    async def _remove(self, part: Part, message_id: str) -> None:
        """Remove a message that is no part of the reply any more; one that is too old gets a text that says so."""
        if not await delete_message(self._calls, part.user_id, message_id):
            try:
                await self._edit(
                    part, message_id, {"text": localize("telegram-part-of-above", part.language or ENGLISH)}
                )
            except SendError as error:
                if not (is_gone(error) or is_unchanged(error)):
                    raise
