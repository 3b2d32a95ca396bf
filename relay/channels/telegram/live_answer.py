"""Shows an answer while it is written, in a draft or in a message of its own.

What is shown is cosmetic: a call for which the budget has no room is dropped, and the next one shows all there is.
Telegram's refusal of one ends what is shown, never the answer.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, Protocol

from relay.channels.telegram.bot_api import BotCalls
from relay.channels.telegram.call_budget import CallBudget, Cosmetic
from relay.channels.telegram.entities import entities_of
from relay.core.errors import SendError
from relay.core.messages import UserId
from relay.core.parts import PlannedPart
from relay.core.progress import Progress
from relay.core.text import is_blank
from relay.core.unfinished_markdown import closed

log = logging.getLogger("relay.telegram")

CALL_SECONDS: Final = 5.0
MAX_CHARS: Final = 20_000
"""A longer answer is not formatted anew each second; what is shown of it stays as it is."""


class View(Protocol):
    """Where an answer is shown while it grows."""

    kind: Cosmetic
    delay: float
    """Seconds from the first text until it is shown."""
    end_seconds: float
    """The longest wait for a call under way when the answer is complete: one that came later would hide the answer."""

    def interval(self, calls: int) -> float:
        """Seconds from this call, counted from 1, to the next."""
        ...

    renewal: float | None
    """Seconds after which what is shown must be shown again; None when it stays."""

    async def show(self, parts: Sequence[PlannedPart], progress: Progress) -> None:
        """Show the answer as it is now, in parts as they would be sent. Raises SendError."""
        ...


class LiveAnswer(Progress):
    """One answer in one chat, shown from its first text on. `plan` cuts a text into messages."""

    def __init__(
        self,
        view: View,
        budget: CallBudget,
        chat: UserId,
        plan: Callable[[str], list[PlannedPart]],
        sleep: Callable[[float], Awaitable[None]],
    ) -> None:
        super().__init__()
        self._view = view
        self._budget = budget
        self._chat = chat
        self._plan = plan
        self._sleep = sleep
        self._grown = asyncio.Event()
        self._over = self._sending = False
        self._task: asyncio.Task[None] | None = None

    @property
    def shown(self) -> bool:
        """Whether the answer is shown, in place of a typing indicator: the two replace each other."""
        return self._task is not None and not self._task.done()

    def changed(self) -> None:
        self._grown.set()
        if self._task is None:
            self._task = asyncio.create_task(self._show(), name="telegram-live-answer")

    async def end(self) -> None:
        """Show no more; returns when the call under way has arrived, or after the view's `end_seconds`."""
        self._over = True
        if self._task is None:
            return
        if self._sending:
            await asyncio.wait((self._task,), timeout=self._view.end_seconds)
        self._task.cancel()

    async def _show(self) -> None:
        calls = 0
        await self._sleep(self._view.delay)
        while not self._over:
            self._grown.clear()
            text = self.text.strip()
            text = closed(text) if len(text) <= MAX_CHARS else ""
            if not is_blank(text):
                if self._budget.try_acquire(self._chat, self._view.kind):
                    calls += 1
                    if not await self._call(text):
                        return
                else:
                    self._grown.set()  # shown after the interval, even if the text has not grown further by then
            if not self._over:
                await self._pause(self._view.interval(calls))

    async def _call(self, text: str) -> bool:
        """Show this text; False when Telegram refuses for good."""
        self._sending = True
        parts = self._plan(text)
        try:
            await self._view.show([part for part in (self.join or list)(parts) if not part.file_name], self)
        except SendError as error:
            log.debug("an answer is not shown while it grows: %s", error)
            self._budget.pause_cosmetics(self._chat, error.retry_after or 0.0)
            self._grown.set()
            return error.retry_after is not None
        finally:
            self._sending = False
        return True

    async def _pause(self, seconds: float) -> None:
        """Wait until there is more to show, but no less than `seconds`."""
        await self._sleep(seconds)
        try:
            async with asyncio.timeout(self._view.renewal):
                await self._grown.wait()
        except TimeoutError:
            return


class DraftView:
    """A preview in a private chat, which the final message replaces.

    It lasts 30 s and is never a message, so nothing of it is stored and none has to be removed:
    https://core.telegram.org/bots/api#sendmessagedraft
    """

    kind = Cosmetic.DRAFT
    delay = 0.0
    end_seconds = 0.5
    renewal: float | None = 20.0

    def __init__(self, calls: BotCalls, chat: UserId, thread: int | None, draft_id: int) -> None:
        self._calls = calls
        self._chat = chat
        self._thread = thread
        self._draft_id = draft_id

    def interval(self, calls: int) -> float:  # noqa: ARG002 (always the same)
        return 1.0

    async def show(self, parts: Sequence[PlannedPart], progress: Progress) -> None:  # noqa: ARG002 (no message)
        parameters: dict[str, Any] = {
            "chat_id": int(self._chat),
            "draft_id": self._draft_id,
            "text": parts[-1].text,
            "can_stop": True,
            **entities_of(parts[-1].style),
            **({"message_thread_id": self._thread} if self._thread else {}),
        }
        await self._calls.call("sendMessageDraft", parameters, seconds=CALL_SECONDS)
