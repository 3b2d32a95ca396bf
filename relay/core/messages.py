"""Value types shared by all components: inbound messages, users, the history, answers.

All of them are frozen; ids and states have types of their own. Times are seconds since the Unix epoch, as float.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, NewType

from relay.core.errors import NONE_UNUSABLE, SendFailure, UnusableAnswers

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
