"""The error tree of the relay.

    RelayError
    |-- StorageError           the database cannot be used now: nothing was committed, try again later
    |-- PayloadError           a provider sent something that cannot be parsed; it becomes a dead letter
    |-- LeaseLost              another process works on this row now; do not send, do not record
    |-- SendError              a provider certainly refused a part; `kind`: the consequence
    |   `-- OutcomeUnknown     the part may or may not have been sent; look it up before sending it again
    |-- ModelError             the LLM server gave no answer; `kind`: the reason
    `-- AttachmentError        what came with a message cannot be fetched or read; `kind`: the reason

SettingsError stands apart, in relay.config.errors: settings are read before anything of this tree can happen.
Only the entry files turn these into HTTP answers; only the conversation and the outbox turn them into states.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class RelayError(Exception):
    """Base of every error that this product raises on purpose."""


class StorageError(RelayError):
    """The database cannot be used now (locked, full, read-only, gone); nothing of the verb was committed."""


class PayloadError(RelayError):
    """A provider's payload cannot be parsed; the receiver stores it raw as a dead letter."""


class LeaseLost(RelayError):
    """The lease on a claimed row has passed to another process; neither send nor record."""


class SendFailure(StrEnum):
    """What a refused send means for us, whatever the provider calls it."""

    CONFIG = "config"  # our account or sender is wrong: every part would fail, pause the channel
    DESTINATION = "destination"  # our sender is refused for this address, perhaps only for it: others go on
    COUNTRY = "country"  # our sender is refused for all of this country: parts to it wait, others go on
    RECIPIENT = "recipient"  # this address can never be reached
    OPTED_OUT = "opted_out"  # the user opted out at the provider; wait for START or /start
    BLOCKED = "blocked"  # the user blocked our bot; wait until they unblock it
    REJECTED = "rejected"  # this very text will never be accepted: do not repeat it
    BUSY = "busy"  # nothing was sent; the same part may be sent again after a pause
    OUTAGE = "outage"  # nothing was sent: the provider cannot be reached, for any part
    LIMIT = "limit"  # nothing was sent, and nothing will be before tomorrow: again every hour
    WINDOW = "window"  # nothing arrived, and nothing will before the user writes: the part waits for that
    LATER = "later"  # nothing arrived; one careful repetition much later is worth it
    UNKNOWN = "unknown"  # it may have been sent: look it up first


class SendError(RelayError):
    """A provider did not accept a part.

    code: the provider's own error code or HTTP status as text ("21610", "429", "timeout").
    retry_after: seconds to wait by the provider's answer, if given.
    """

    def __init__(
        self,
        kind: SendFailure,
        code: str,
        message: str,
        *,
        retry_after: float | None = None,
        moved_to: str | None = None,
    ) -> None:
        super().__init__(message)
        self.kind = kind
        self.code = code
        self.message = message
        self.retry_after = retry_after
        self.moved_to = moved_to  # Telegram's migrate_to_chat_id: the group's new address


class OutcomeUnknown(SendError):
    """The request was sent and the outcome is unknown (timeout, 5xx, broken body): look it up before repeating.

    answered: whether the provider responded with an error, so that the connection to it works.
    """

    def __init__(self, code: str, message: str, *, answered: bool = False) -> None:
        super().__init__(SendFailure.UNKNOWN, code, message)
        self.answered = answered


class ModelFailure(StrEnum):
    """Why there is no answer from a model; the LLM server sends these words as `kind`."""

    AUTH = "auth"
    CREDITS = "credits"
    RATE_LIMIT = "rate_limit"
    CONTEXT_TOO_LONG = "context_too_long"
    REFUSED = "refused"
    NOT_FOUND = "not_found"
    UNAVAILABLE = "unavailable"
    TIMEOUT = "timeout"
    IMAGES_UNSUPPORTED = "cannot_see"
    BAD_REQUEST = "bad_request"
    FORBIDDEN = "forbidden"  # the source refused this question, for no reason that it states
    EMPTY = "empty"  # the model answered without any text
    UNUSABLE = "unusable"  # as many answers as allowed were paid for, and none could be used


@dataclass(frozen=True, slots=True)
class UnusableAnswers:
    """Answers that were paid for and could not be used (empty, broken off, over a limit), and their known cost."""

    count: int = 0
    cost_usd: float = 0.0

    def and_one(self, cost_usd: float = 0.0) -> UnusableAnswers:
        """These and one more."""
        return UnusableAnswers(self.count + 1, self.cost_usd + cost_usd)


NONE_UNUSABLE = UnusableAnswers()


class ModelError(RelayError):
    """The model gave no usable answer.

    retry_after: seconds to wait by the provider's answer, if given. hint: what to do; empty: the advice for the kind.
    unusable: the answers paid for in vain.
    """

    def __init__(self, kind: ModelFailure, message: str, *, retry_after: float | None = None, hint: str = "") -> None:
        super().__init__(message)
        self.kind = kind
        self.message = message
        self.retry_after = retry_after
        self.hint = hint
        self.unusable = NONE_UNUSABLE

    @property
    def passing(self) -> bool:
        """Whether the same question, unchanged, may be answered later."""
        return self.kind not in {
            ModelFailure.CONTEXT_TOO_LONG,
            ModelFailure.REFUSED,
            ModelFailure.IMAGES_UNSUPPORTED,
            ModelFailure.BAD_REQUEST,
            ModelFailure.FORBIDDEN,
            ModelFailure.UNUSABLE,
        }


class AttachmentFailure(StrEnum):
    """Why an attachment cannot be used; the words are for the model and the operator."""

    TOO_LARGE = "it is too large"
    EMPTY = "it is empty"
    GONE = "it cannot be fetched"
    UNREADABLE = "its format is not supported"
    NOT_TRANSCRIBED = "there is nothing here that listens"
    SILENT = "no words are spoken in it"
    OFF = "attachments are not fetched here"
    TOO_MANY = "too much came at once"
    UNAVAILABLE = "it could not be fetched in time"


class AttachmentError(RelayError):
    """An attachment cannot be fetched or read."""

    def __init__(self, kind: AttachmentFailure, message: str = "") -> None:
        super().__init__(message or kind)
        self.kind = kind

    @property
    def passing(self) -> bool:
        """Whether the same attachment may be had later."""
        return self.kind is AttachmentFailure.UNAVAILABLE


class NotRepaired(RelayError):
    """An operator's act on a failure changed nothing; the text is the reason."""
