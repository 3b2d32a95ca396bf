"""Reads what came with a message before the model is asked. Nothing but the lease is held meanwhile."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

from relay.core.attachments import AttachmentReader, Content, read_all
from relay.core.channel import Channel
from relay.core.merging import Question, with_contents
from relay.core.messages import Claim, InboundMessage

PATIENCE_SECONDS = 120.0
"""Age of a message until which an attachment that cannot be fetched now is tried again, before it goes without it."""

_FIRST_PAUSE = 5.0
_MAX_DOUBLINGS = 4


class Reading:
    """Reads the attachments of one channel's messages.

    without_slot: the worker's slot is free for other users within it.
    """

    def __init__(
        self,
        reader: AttachmentReader,
        channel: Channel,
        *,
        clock: Callable[[], float],
        without_slot: Callable[[], AbstractAsyncContextManager[None]],
    ) -> None:
        self._reader = reader
        self._channel = channel
        self._clock = clock
        self._without_slot = without_slot

    async def question(self, question: Question) -> Question:
        """The question with what came with it. Raises AttachmentError when that may be had later."""
        message = question.claim.message
        if not message.attachments:
            return question
        is_old = self._clock() - message.received_at > PATIENCE_SECONDS
        return question.with_contents(await self._contents(message, last=is_old))

    async def claim(self, claim: Claim) -> Claim:
        """The claim with what came with its message, as far as that can be had now."""
        if not claim.message.attachments:
            return claim
        return with_contents(claim, await self._contents(claim.message, last=True))

    async def _contents(self, message: InboundMessage, *, last: bool) -> tuple[Content, ...]:
        async with self._without_slot():
            return await read_all(self._reader, message, self._channel.download_attachment, last=last)


def pause_before(failures: int) -> float:
    """Seconds until an attachment is tried again."""
    return _FIRST_PAUSE * 2.0 ** min(failures, _MAX_DOUBLINGS)
