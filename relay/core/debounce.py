"""Waits for messages that continue a claimed one, so that they become one question. The lease is renewed meanwhile."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import replace

from relay.config.settings import Settings
from relay.core.channel import Channel
from relay.core.decisions import Decision
from relay.core.merging import Merger, Question
from relay.core.messages import Claim, InboundContext
from relay.core.store import Store

MAX_MERGED = 20
"""Maximum number of queued messages that are merged into one question."""

MAX_DEBOUNCES = 20
"""Maximum number of waits for further messages; a user who never stops writing is answered in between."""

MAX_WAIT_SECONDS = 60.0
"""The maximum of the setting merge_window_seconds; a longer wait comes from a clock that was set back."""


class Debounce:
    """Makes the question of a claimed message, with what follows it soon enough.

    without_slot: the worker's slot is free for other users within it.
    """

    def __init__(
        self,
        inbox: Store,
        channel: Channel,
        settings: Settings,
        *,
        clock: Callable[[], float],
        sleep: Callable[[float], Awaitable[None]],
        without_slot: Callable[[], AbstractAsyncContextManager[None]],
    ) -> None:
        self._inbox = inbox
        self._channel = channel
        self._merger = Merger(channel, settings)
        self._clock = clock
        self._sleep = sleep
        self._without_slot = without_slot

    async def question(self, claim: Claim, decision: Decision, context: InboundContext) -> Question:
        """Wait, without a slot, for messages that continue the claimed one; merge them. The lease is renewed."""
        messages = self._merger.mergeable(claim, decision, context)
        for _ in range(MAX_DEBOUNCES):
            if not await self._wait_until(self._merger.wait_until(messages)):
                break
            context = await self._read_again(claim, context)
            messages = self._merger.mergeable(claim, decision, context)
        return self._merger.merge(claim, decision, messages)

    async def _read_again(self, claim: Claim, context: InboundContext) -> InboundContext:
        """The context with what waits behind the message now; nothing else of it changes while the claim is held."""
        return replace(context, following=await self._inbox.messages_behind(claim, MAX_MERGED))

    async def _wait_until(self, moment: float) -> bool:
        """Wait, without a slot, until this time (epoch seconds); False when it has passed or the clock was set back."""
        wait = moment - self._clock()
        if not 0 < wait <= MAX_WAIT_SECONDS:
            return False
        async with self._without_slot():
            await self._sleep(wait)
        return True

    async def continued(self, question: Question, context: InboundContext) -> Question | None:
        """The question with messages that belong to it and came while the model worked; None when there are none."""
        if not self._channel.joins_messages:
            return None
        await self._wait_until(self._merger.hold_until(question))
        context = await self._read_again(question.claim, context)
        claim = replace(question.claim, message=question.claimed)
        messages = self._merger.mergeable(claim, question.decision, context)
        more = self._merger.continued(question, messages)
        return self._merger.merge(claim, question.decision, messages) if more else None
