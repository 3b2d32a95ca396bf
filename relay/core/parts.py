"""Value types of what is sent: the parts of a reply, what the provider returned for each, and what it reported later.

All of them are frozen. Times are seconds since the Unix epoch, as float.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from relay.core.errors import SendFailure
from relay.core.messages import InboundId, PartId, Platform, ReplyId, UserId, UserState


@dataclass(frozen=True, slots=True)
class PlannedPart:
    """One part of a reply, cut and formatted by its channel, ready to be stored.

    text is sent. history_text is its share of the history, without numbers like "(1/3)": joined without a
    separator, the history texts of all parts are the whole reply as the user reads it.
    style is the channel's own formatting as JSON text (Telegram: the entities), None for plain text.
    segments is what the part will be billed as (SMS); 1 elsewhere. rest, of the last part, is the end of the reply that
    was left out, and that the user may ask for. file_name: the text is sent as a file of this name. buttons: the
    channel's names of the buttons below it, with commas. media: URLs of pictures that the provider sends with it.
    language: of what the channel shows with it in our own words, such as on buttons; None: nothing, or in English.
    """

    text: str
    history_text: str
    style: str | None = None
    segments: int = 1
    rest: str = ""
    file_name: str | None = None
    buttons: str | None = None
    media: tuple[str, ...] = ()
    language: str | None = None


class Origin(StrEnum):
    """Why a reply is sent."""

    ANSWER = "answer"  # the model's
    COMMAND = "command"  # our own words to a command, a registration, a refusal
    NOTICE = "notice"  # our own words because an answer is late or will not come
    OPERATOR = "operator"  # written by hand
    BROADCAST = "broadcast"  # written by an operator to many


class PartState(StrEnum):
    """State of one part. planned, sending and unknown are open; the others are outcomes.

    accepted (the provider took it) -> sent -> delivered -> read only move forward; undelivered, failed, delivered, read
    and canceled are final, save that delivered may still become read.
    """

    PLANNED = "planned"
    SENDING = "sending"
    UNKNOWN = "unknown"
    ACCEPTED = "accepted"
    SENT = "sent"
    DELIVERED = "delivered"
    READ = "read"
    UNDELIVERED = "undelivered"
    FAILED = "failed"
    CANCELED = "canceled"


OPEN_PART_STATES = (PartState.PLANNED, PartState.SENDING, PartState.UNKNOWN)


_RANK = {
    PartState.PLANNED: 0,
    PartState.SENDING: 1,
    PartState.UNKNOWN: 1,
    PartState.ACCEPTED: 2,
    PartState.SENT: 3,
    PartState.DELIVERED: 5,
    PartState.READ: 6,
    PartState.UNDELIVERED: 5,
    PartState.FAILED: 5,
    PartState.CANCELED: 5,
}


def advance(current: PartState, reported: PartState) -> PartState:
    """The state after a delivery status, which may come late, twice and out of order: it only ever moves forward."""
    return reported if _RANK[reported] > _RANK[current] else current


@dataclass(frozen=True, slots=True)
class Part:
    """One part of a reply, claimed for sending.

    number runs from 1 to count. attempts counts the claims including this one and is the fence of it; lease_until
    is when the claim ends. outcome_unknown is True when an earlier attempt (at attempted_at) may have been sent.
    resends counts the repetitions after an unknown outcome. A NOTICE by origin is harmless when it arrives twice.
    withdrawn is True when the user opted out after it was planned: it must not be sent.
    sender is our address that it is sent from, None for the usual one.
    replaces is the provider's id of a message of ours that becomes this part, or is removed by a part without text.
    stopped is True when the user ended the answer before its end. inbound_id: the message that it answers. file_name,
    buttons, media, language: as in PlannedPart.
    """

    id: PartId
    platform: Platform
    user_id: UserId
    number: int
    count: int
    text: str
    style: str | None
    reply_to: str | None
    created_at: float
    owner: str
    attempts: int
    lease_until: float
    outcome_unknown: bool = False
    attempted_at: float | None = None
    resends: int = 0
    origin: Origin = Origin.ANSWER
    withdrawn: bool = False
    sender: str | None = None
    replaces: str | None = None
    stopped: bool = False
    file_name: str | None = None
    buttons: str | None = None
    media: tuple[str, ...] = ()
    language: str | None = None
    reply_id: str = ""
    inbound_id: InboundId | None = None

    @property
    def repeatable(self) -> bool:
        """Whether sending it twice does no harm: a notice, or a change of a message."""
        return self.origin is Origin.NOTICE or self.replaces is not None


@dataclass(frozen=True, slots=True)
class CompletedMessage:
    """What follows from the end of an inbound message: its reply, if any, and whether more messages of the user wait.

    first: the first part of the reply, when it was claimed in the same transaction.
    """

    reply_id: ReplyId | None
    first: Part | None
    more: bool


@dataclass(frozen=True, slots=True)
class Receipt:
    """A provider took a part: its own id of the message, and the state it reported.

    pause: seconds to wait for the status "sent" before the next part of the reply may follow. cost_usd: what the
    provider bills for it, as estimated.
    """

    provider_id: str
    state: PartState = PartState.ACCEPTED
    segments: int | None = None
    pause: float = 0.0
    cost_usd: float = 0.0


@dataclass(frozen=True, slots=True)
class DeliveryEvent:
    """A provider's later word about a part, found by our part id when it carries one, else by the provider's id.

    failure classifies a failed delivery, as for a refused send. user_id: to whom, where the status has it.
    """

    platform: Platform
    provider_id: str
    state: PartState
    received_at: float
    part_id: PartId | None = None
    error_code: str | None = None
    error: str | None = None
    user_state: UserState | None = None
    failure: SendFailure | None = None
    user_id: UserId | None = None


NextTry = Callable[[int, float], float | None]
"""From the attempts and the age of a part that was lost on its way: seconds until it is sent again, None for never."""
