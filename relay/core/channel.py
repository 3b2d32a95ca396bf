"""The contract of a channel: everything that conversation and outbox need from one provider."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from relay.core.decisions import Decision
from relay.core.download import Write
from relay.core.messages import Attachment, HistoryMessage, InboundMessage, Platform, User, UserId
from relay.core.parts import Part, PlannedPart, Receipt
from relay.core.progress import Progress
from relay.texts import ENGLISH


class Channel(Protocol):
    """Text and HTTP of one provider. It reads and writes no row."""

    platform: Platform
    supports_lookup: bool
    """Whether the provider can look up an earlier attempt; otherwise a part of unknown outcome is resent once."""

    lookup_seconds: float
    """How long after an attempt began `lookup` may still find it; a part that is not found by then was not sent."""

    joins_messages: bool
    """Whether `continues` may ever be true: then a question is checked for more of it while the model works."""

    is_billed: bool
    """Whether the provider bills each message, so that caps on spending count."""

    rate_limited: bool
    """Whether `wait_for_rate_limit` may wait: then a part is marked as being sent only after it."""

    def decide(self, message: InboundMessage, user: User | None) -> Decision:
        """The decision on commands, keywords and registration. Pure; `user` is None for a first contact."""
        ...

    def language(self, user: User | None, message: InboundMessage | None = None) -> str:
        """The language of our own words to a user, in reply to this message: one that is offered (relay.texts)."""
        ...

    def country(self, user_id: UserId) -> str | None:
        """The country of an address, as ISO 3166-1; None where an address has none."""
        ...

    def why_ignored(self, message: InboundMessage, history: Sequence[HistoryMessage]) -> str | None:
        """Why a message needs no answer after the latest of the history: a reaction, a repetition; None to answer."""
        ...

    def system_prompt(self, user: User | None) -> str:
        """The system prompt for this channel and user."""
        ...

    def debounce_seconds(self, message: InboundMessage) -> float:
        """Seconds that more of this message may be under way: a piece of a long paste is no message by itself."""
        ...

    def continues(self, earlier: InboundMessage, later: InboundMessage) -> bool:
        """Whether the later message belongs to the earlier one: an edit of it, a forward that it comments on."""
        ...

    def follow_seconds(self, message: InboundMessage) -> float:
        """Seconds within which a message that belongs to this one may follow; the model is asked meanwhile."""
        ...

    def merge(self, messages: Sequence[InboundMessage]) -> str:
        """Several messages in a row as one text, as the user meant it."""
        ...

    async def download_attachment(self, attachment: Attachment, write: Write, max_bytes: int) -> None:
        """Pass the content of an attachment to `write`, from the provider's own hosts. Raises AttachmentError."""
        ...

    def plan(self, markdown: str, language: str = ENGLISH) -> list[PlannedPart]:
        """Cut and format a whole reply into parts that the provider takes; never empty, whatever the text.

        language: of what we add in our own words, such as a note that the rest was cut.
        """
        ...

    def typing(self, message: InboundMessage, language: str = ENGLISH) -> AbstractAsyncContextManager[Progress | None]:
        """Show a typing indicator where this message was written while the context lasts; never raises.

        It returns the Progress that shows the answer as it grows, or None where only whole answers are shown.
        language: of our own words about it, such as on a button.
        """
        ...

    async def wait_for_rate_limit(self, part: Part) -> None:
        """Return when the provider's pace allows this part; nothing was sent. Raises SendError when that is far off."""
        ...

    async def send(self, part: Part) -> Receipt:
        """Send one part, once. Raises SendError when it was refused, OutcomeUnknown when its outcome is unknown."""
        ...

    async def lookup(self, part: Part, taken: Collection[str]) -> Receipt | None:
        """Find out whether an earlier attempt was sent; None when it was not.

        taken are the provider's ids of other parts: the same text may have been sent to the same user before.
        Raises SendError, OutcomeUnknown included, when the provider cannot answer now.
        """
        ...

    async def probe(self) -> None:
        """Call the method that sends such that nothing is sent. Raises SendError (OUTAGE, UNKNOWN) while it fails."""
        ...


def history_text(parts: Sequence[PlannedPart]) -> str:
    """The text of a reply in the history: what the user reads, without the numbers of the parts."""
    return "".join(part.history_text for part in parts)
