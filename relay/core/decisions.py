"""What a channel decides about an inbound message before the model is called, and which answers a message ends."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from relay.core.messages import Platform, ReplyId, UserId, UserState
from relay.core.parts import PlannedPart
from relay.texts import ENGLISH

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
