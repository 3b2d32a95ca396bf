"""The answers that this process is asking for, by the message they answer: they can be ended, and asked for again."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial

from relay.core.messages import Claim, InboundId
from relay.core.progress import Progress


class AnswersUnderWay:
    """The progress of each claimed message. record_shown: commits the provider's id of the message of an answer."""

    def __init__(self, record_shown: Callable[[Claim, str], Awaitable[None]]) -> None:
        self._record_shown = record_shown
        self._claimed: dict[InboundId, Progress] = {}

    @property
    def rows(self) -> list[InboundId]:
        """The claimed messages, in the order of their ids."""
        return sorted(self._claimed)

    def claimed(self, claim: Claim) -> None:
        """A message was claimed, and may be ended before its answer begins."""
        progress = self._claimed[claim.id] = Progress()
        progress.shown_as = claim.shown_as
        if claim.stopped:
            progress.stop()

    def shown(self, claim: Claim, message_id: str) -> None:
        """A message was sent in which the answer will grow."""
        self._claimed[claim.id].shown_as = message_id

    def begin(self, claim: Claim, progress: Progress) -> None:
        """An answer begins; it goes on in the message of an earlier attempt, and is ended when that was."""
        earlier = self._claimed.get(claim.id)
        self._claimed[claim.id] = progress
        progress.record_shown = partial(self._record_shown, claim)
        if earlier is not None:
            progress.shown_as = earlier.shown_as
            if earlier.is_stopped:
                progress.stop()

    def stop(self, row: InboundId) -> None:
        """End the answer to this message, if it is still claimed."""
        if (progress := self._claimed.get(row)) is not None:
            progress.stop()

    def completed(self, claim: Claim) -> None:
        self._claimed.pop(claim.id, None)
