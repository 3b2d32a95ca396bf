"""What is stored about a chat, for decisions that depend on it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from relay.core.messages import HistoryMessage, PartId, Platform, ReplyId, UserId
from relay.core.parts import PlannedPart


@dataclass(frozen=True, slots=True)
class SentReply:
    """A reply that was sent.

    asker: the member of a group whose message it answers. is_newest: no exchange of its topic followed, so it can be
    replaced. is_answer: by the model. part: the one that was asked for. sent_at: when the last part was accepted, in
    epoch seconds. parts: what was sent, in order, and messages: the provider's ids of it.
    """

    id: ReplyId
    asker: UserId | None
    is_newest: bool
    is_answer: bool
    part: PartId
    sent_at: float
    parts: tuple[PlannedPart, ...] = ()
    messages: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class UsageToday:
    """Questions of a person that were answered since midnight UTC, and what their answers cost."""

    messages: int
    cost_usd: float


class Records(Protocol):
    """Reads of the message store. All of them raise StorageError.

    A channel that resolves a decision gets the store as this, because it reads rows then and writes none.
    """

    async def find_reply(
        self, platform: Platform, user_id: UserId, *, message_id: str | None = None, answers: str | None = None
    ) -> SentReply | None:
        """The latest reply with a part of this id at the provider, or to the message with this `reply_to`."""
        ...

    async def read_usage(self, platform: Platform, user_id: UserId, sender: UserId | None) -> UsageToday:
        """What a user used today; in a group, of this sender alone."""
        ...

    async def read_history(self, platform: Platform, user_id: UserId) -> Sequence[HistoryMessage]:
        """The history of a user, of all topics, oldest first."""
        ...

    async def read_numbers(self, platform: Platform) -> dict[str, Any]:
        """Figures of a channel for its operator, by name."""
        ...
