"""Value types shared by all components: inbound messages, decisions, parts, receipts, answers.

All of them are frozen; ids and states have types of their own. Times are seconds since the Unix epoch, as float.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, NewType

from relay.core.errors import NONE_UNUSABLE, SendFailure, UnusableAnswers
from relay.texts import ENGLISH

UserId = NewType("UserId", str)
"""Address of a user on a platform: E.164 ("+12345678900") for SMS, the chat id in decimal for Telegram."""

Platform = NewType("Platform", str)
"""Stored id of a channel, "sms" or "telegram"; relay.channels.registry lists them. Their conversations never mix."""

InboundId = NewType("InboundId", int)
"""Row id of a stored inbound message."""

PartId = NewType("PartId", str)
"""Our own name of one part of a reply (32 hex digits); it rides in the status callback's URL."""

ReplyId = NewType("ReplyId", str)
"""Our own name of one reply (32 hex digits), shared by its parts."""


class Kind(StrEnum):
    """Kind of an inbound message, derived from its form alone."""

    TEXT = "text"
    MEDIA = "media"  # a picture, a voice note ... that came without any text
    EDITED = "edited"  # a message the user changed after sending it
    PRESSED = "pressed"  # a button below a message of ours
    SERVICE = "service"  # nothing to answer: a channel post, a member who joined, a delivery note
    LEFT = "left"  # the user blocked the bot or removed it
    RETURNED = "returned"  # the user unblocked the bot or added it again


class UserState(StrEnum):
    """Whether a user may be written to, and whether the name is known."""

    NEW = "new"  # has written, has no name yet
    ACTIVE = "active"
    STOPPED = "stopped"  # opted out at the provider (STOP); START brings back
    BLOCKED = "blocked"  # blocked the bot; /start brings back
    PAUSED = "paused"  # looks like a machine that answers our answers; time or the operator brings back
    UNREACHABLE = "unreachable"  # by the provider's error; any message brings back


LANGUAGE = "language"
"""Key in the settings of a user: code of the language that was chosen for our texts; empty when that was undone."""

BARRED = "barred"
"""Key in the settings of a user whose messages the operator does not want answered."""

SILENT_STATES = frozenset({UserState.STOPPED, UserState.BLOCKED, UserState.UNREACHABLE})
"""States in which nothing is sent to a user."""

REST = "rest"
"""Name among a user's settings: the end of the last reply, which was left out."""

REPLIES_TO = "replies_to"
"""Name among a message's options: the provider's id of our message that it replies to."""

STOPS = "stops"
"""Name among a message's options: which answers it ends when it is stored, as one of Stops."""

STOPS_MESSAGE = "stops_message"
"""Name among a message's options: the provider's id of the message in which the answer grows that it ends."""


class Stops(StrEnum):
    """Which answers a message ends, unless it points at the message of one: then that one alone."""

    ALL = "all"  # in this chat
    OWN = "own"  # those to its writer
    UNDER_WAY = "under way"  # those to its writer; without any, the one that is being written


USER_STATE_AFTER = {
    SendFailure.OPTED_OUT: UserState.STOPPED,
    SendFailure.BLOCKED: UserState.BLOCKED,
    SendFailure.RECIPIENT: UserState.UNREACHABLE,
}
"""State of the user after a failed send or delivery; other failures do not change it."""


@dataclass(frozen=True, slots=True)
class Attachment:
    """What came with a message besides its text.

    media_type is the provider's label ("image/jpeg"), and what the content really is once that was read. reference is
    what the channel fetches it by; empty: it has no content, such as a location. name was given by the sender. size is
    in bytes, 0 where it is unknown. sha256 (hex) is that of the content, empty until it was fetched.
    """

    media_type: str
    reference: str = ""
    name: str = ""
    size: int = 0
    sha256: str = ""


@dataclass(frozen=True, slots=True)
class InboundMessage:
    """One message of a user, parsed from a provider's payload.

    external_id is unique per platform and makes a repeated delivery a no-op. messages with the same user_id are
    answered in order, one at a time. reply_to is the provider's own id of this message, for channels whose answers may
    quote it. options holds what the channel alone understands (SMS: {"opt_out": "STOP"}; Telegram: {"chat_type":
    "private"}). sender is the member of a group who wrote, None where user_id is the writer: the limits and the access
    lists count for the writer. topic names a part of a chat that has a history of its own. to is our address that it
    was sent to, where we have several: the reply comes from there. segments and cost_usd are what the provider bills
    for it, as estimated.
    """

    platform: Platform
    external_id: str
    user_id: UserId
    text: str
    received_at: float
    kind: Kind = Kind.TEXT
    name: str | None = None
    username: str | None = None
    language: str | None = None
    reply_to: str | None = None
    attachments: tuple[Attachment, ...] = ()
    options: dict[str, Any] = field(default_factory=dict)
    sender: UserId | None = None
    topic: str | None = None
    to: str | None = None
    segments: int = 0
    cost_usd: float = 0.0

    @property
    def writer(self) -> UserId:
        """The person who wrote: the sender in a group, else the user."""
        return self.sender or self.user_id


@dataclass(frozen=True, slots=True)
class Claim:
    """An inbound message that is ours until lease_until; attempts counts the claims and is the fence of this one.

    failures counts the failed calls of the model, unusable the answers that were paid for and could not be used;
    notified is True when the user was asked to wait. shown_as is the provider's id of the message in which the answer
    grew in an earlier attempt. stopped is True when the user has asked for the answer to end.
    """

    id: InboundId
    message: InboundMessage
    owner: str
    attempts: int
    failures: int
    unusable: int
    notified: bool
    lease_until: float
    shown_as: str | None = None
    stopped: bool = False

    @property
    def request_id(self) -> str:
        return request_id_of(self.message.platform, self.id)


def request_id_of(platform: Platform, inbound_id: InboundId | None) -> str:
    """The id of an inbound message in logs and requests, such as "sms-12"; "" for none."""
    return f"{platform}-{inbound_id}" if inbound_id is not None else ""


class Outcome(StrEnum):
    """What became of a finished inbound message; its row has the reason beside it, in a column of its own."""

    ANSWERED = "answered"  # by the model, or by us to a command
    UNANSWERABLE = "unanswerable"  # the model can never answer this; the user was notified
    TOLD = "told"  # not answered, and the user was sent the reason
    SILENT = "silent"  # not answered, without a word
    IGNORED = "ignored"  # nothing to answer
    LEFT_TO_PERSON = "left to a person"  # a person has taken over; the message is in the history
    GAVE_UP = "gave up"  # a dead letter: no answer in time
    NOT_UNDERSTOOD = "not understood"  # a dead letter: the payload could not be parsed


class Limit(StrEnum):
    """The limit that a message exceeded; the reason of its outcome."""

    MINUTE = "over_minute"
    DAY = "over_day"
    USER_SPENDING = "over_user_spending"
    SPENDING = "over_spending"


@dataclass(frozen=True, slots=True)
class Spending:
    """What the messages of one user and of all users have cost today, and of all users this month (UTC), in USD."""

    user_day: float = 0.0
    day: float = 0.0
    month: float = 0.0


@dataclass(frozen=True, slots=True)
class Usage:
    """Messages of a writer answered in the last minute and day, and whether a limit was reported to the writer."""

    minute: int = 0
    day: int = 0
    notified_minute: bool = False
    notified_day: bool = False
    notified_spending: bool = False


@dataclass(frozen=True, slots=True)
class User:
    """A user of one platform. message_count counts the rows of the history, both roles.

    human_since, human_until: when a person took over from the AI, and until when without a further message of theirs.
    """

    platform: Platform
    user_id: UserId
    name: str | None
    username: str | None
    state: UserState
    message_count: int
    created_at: float
    updated_at: float
    last_message_at: float | None = None
    language: str | None = None
    settings: dict[str, Any] = field(default_factory=dict)
    human_since: float | None = None
    human_until: float | None = None

    def is_with_person(self, now: float) -> bool:
        """Whether a person answers this user now, and the AI does not."""
        return self.human_until is not None and self.human_until > now


def reachable_again(user: User | None) -> UserState | None:
    """The new state of a user who writes after nothing could be sent to them; None when it does not change."""
    if user is None or user.state not in SILENT_STATES:
        return None
    return UserState.ACTIVE if user.name else UserState.NEW


@dataclass(frozen=True, slots=True)
class HistoryMessage:
    """One message of the history. role is "user" or "assistant"."""

    role: str
    message: str
    timestamp: float
    attachments: tuple[Attachment, ...] = ()


@dataclass(frozen=True, slots=True)
class InboundContext:
    """What stands around a claimed message, at one moment.

    history: the last exchanges, for the prompt. recent: the latest messages of both roles, commands included.
    following: the open messages behind it. replied_before: whether a reply to this very message was sent, which an edit
    of it finds. spending: None for a channel whose messages cost nothing.
    """

    user: User | None
    history: tuple[HistoryMessage, ...]
    usage: Usage
    recent: tuple[HistoryMessage, ...]
    following: tuple[tuple[InboundId, InboundMessage], ...]
    replied_before: bool = False
    spending: Spending | None = None


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


Join = Callable[[Sequence[PlannedPart]], list[PlannedPart]]


@dataclass(frozen=True, slots=True)
class Decision:
    """The decision of a channel about one inbound message, before the model is called.

    Exactly one of: `reply` (send this Markdown), `prompt` (give this text to the model), or neither (send nothing;
    for a `reason`). `hold` keeps the message unanswered until a decision with `release`; `rest` is the part of its text
    that is answered next, as a message of its own. `preface` and `postscript` (Markdown) go before and after the
    model's answer. left_for_seconds: a person answers the user from now on, for so long.
    more: the reply is the rest of the last answer, of which the model should know. forget: name and settings of the
    user are deleted. language: of our own words to the user.
    from_person: the provider marks machines and this is none, so neither speed nor repetition is taken for one, and a
    command is carried out beyond every limit. resolve: awaited, with the Records, for the decision that takes the place
    of this one, where it depends on what is stored or on what the provider says. replaces: the reply that this one
    replaces, in its messages and in the history. shown_as: the provider's id of a message that the reply becomes, and
    in which it may grow; one that was a reply gets its text back when there is no answer. join: makes the parts of the
    whole reply from those of the answer, which goes on with an earlier one. buttons: the channel's names of those below
    `reply`. files: sent after `reply`. The other fields are changes to the user, committed together with the answer.
    """

    reply: str | None = None
    prompt: str | None = None
    reason: str = ""
    hold: bool = False
    release: bool = False
    rest: str | None = None
    postscript: str = ""
    name: str | None = None
    state: UserState | None = None
    clear_history: bool = False
    forget: bool = False
    paused_until: float | None = None
    left_for_seconds: float | None = None
    from_person: bool = False
    preface: str = ""
    resolve: Callable[[Any], Awaitable[Decision]] | None = None
    replaces: ReplyId | None = None
    shown_as: str | None = None
    join: Join | None = None
    buttons: tuple[str, ...] = ()
    files: tuple[PlannedPart, ...] = ()
    more: bool = False
    language: str = ENGLISH
    settings: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Forward:
    """What an operator's message does to another user: these parts are sent to them.

    takeover_seconds: the AI is silent for so long; None: it answers again.
    """

    platform: Platform
    user_id: UserId
    parts: tuple[PlannedPart, ...]
    takeover_seconds: float | None


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

    failure classifies a failed delivery, as for a refused send.
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


NextTry = Callable[[int, float], float | None]
"""From the attempts and the age of a part that was lost on its way: seconds until it is sent again, None for never."""


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer of the model, and its cost.

    text is Markdown as the model wrote it. cost_usd is None when it is unknown. degraded is True when the answer came
    from a fallback instead of the requested provider. unusable: the answers paid for in vain before it. sources: the
    passages of the operator's documents that it was given for the question. stopped: the user ended it before its end.
    request_id: of the inbound message. generation_id: the provider's own id of the answer, where it has one.
    estimated: its tokens, and with them its cost, were not counted by the provider to the end.
    """

    text: str
    model: str = ""
    source: str = ""
    prompt_tokens: int = 0
    answer_tokens: int = 0
    cost_usd: float | None = None
    first_token_seconds: float | None = None
    total_seconds: float = 0.0
    degraded: bool = False
    unusable: UnusableAnswers = NONE_UNUSABLE
    sources: tuple[str, ...] = ()
    stopped: bool = False
    request_id: str | None = None
    generation_id: str | None = None
    estimated: bool = False


def db_safe(text: str) -> str:
    """The text without what no database takes: NUL, and halves of surrogate pairs (they become U+FFFD)."""
    if text.isascii():
        return text.replace("\x00", "")
    return text.replace("\x00", "").encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def db_safe_value(value: Any) -> Any:
    """The same for all text within a JSON value; tuples become lists."""
    if isinstance(value, str):
        return db_safe(value)
    if isinstance(value, dict):
        return {db_safe(str(key)): db_safe_value(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [db_safe_value(item) for item in value]
    return value
