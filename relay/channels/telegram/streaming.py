"""Chooses how an answer is shown while it is written: as a draft, as a growing message, or by "typing" alone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, nullcontext

from relay.channels.telegram.bot_api import BotCalls
from relay.channels.telegram.buttons import Buttons
from relay.channels.telegram.call_budget import CallBudget
from relay.channels.telegram.growing_message import GrowingMessage
from relay.channels.telegram.guests import GUEST
from relay.channels.telegram.inline_queries import INLINE
from relay.channels.telegram.live_answer import DraftView, LiveAnswer, View
from relay.channels.telegram.message_form import MessageForm
from relay.channels.telegram.settings import TelegramSettings
from relay.channels.telegram.spec import is_group
from relay.channels.telegram.typing_indicator import TypingIndicator
from relay.channels.telegram.updates import typing_thread
from relay.core.messages import InboundMessage, Kind
from relay.core.parts import PlannedPart
from relay.core.progress import Progress


class Streaming:
    """Shows the answers of one bot while they are written. `plan` cuts a text into messages in a language."""

    def __init__(
        self,
        settings: TelegramSettings,
        calls: BotCalls,
        budget: CallBudget,
        typing: TypingIndicator,
        buttons: Buttons,
        plan: Callable[[str, str], list[PlannedPart]],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._settings = settings
        self._calls = calls
        self._budget = budget
        self._typing = typing
        self._buttons = buttons
        self._plan = plan
        self._sleep = sleep

    @asynccontextmanager
    async def shown(self, message: InboundMessage, language: str) -> AsyncIterator[Progress]:
        """Show that an answer is written while the context lasts, where possible the answer itself; never raises."""
        view = self._view(message, language)

        def plan(text: str) -> list[PlannedPart]:
            return self._plan(text, language)

        live = LiveAnswer(view, self._budget, message.user_id, plan, self._sleep) if view else None
        try:
            typing = self._typing.shown(message.user_id, typing_thread(message), live)
            async with nullcontext() if {GUEST, INLINE} & set(message.options) else typing:
                yield live or Progress()
        finally:
            if live is not None:
                await live.end()

    def _view(self, message: InboundMessage, language: str) -> View | None:
        """How the answer to this message is shown; None: as a whole only."""
        chat, how = message.user_id, self._settings.telegram_streaming
        number, _, thread = (message.reply_to or "").partition("/")
        is_guest, is_hidden = GUEST in message.options, how == "off" or INLINE in message.options
        if is_hidden or not (is_guest or self._budget.allows_cosmetics(chat)):
            return None
        if is_guest or message.kind in {Kind.EDITED, Kind.PRESSED}:  # it becomes a message that exists
            return GrowingMessage(self._calls, chat, None, {} if is_guest else self._buttons.growing(language))
        if how in {"auto", "draft"} and not is_group(chat) and number.isdecimal():
            return DraftView(self._calls, chat, int(thread) if thread.isdecimal() else None, int(number))
        if number.isdecimal() and how in {"auto", "edit"}:
            form = MessageForm.of_reply(chat, message.reply_to)
            return GrowingMessage(self._calls, chat, form, self._buttons.growing(language))
        return None
