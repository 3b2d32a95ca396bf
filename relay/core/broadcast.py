"""A text for many people of a channel: who gets it, in which parts, and within which caps on spending."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from enum import StrEnum

from relay.config.settings import SpendingCaps
from relay.core.messages import Platform, Spending, UserId
from relay.core.parts import PlannedPart


class BroadcastState(StrEnum):
    """running -> stopped -> running, until it is done: then no person is left who may get it."""

    RUNNING = "running"
    STOPPED = "stopped"
    DONE = "done"


@dataclass(frozen=True, slots=True)
class Audience:
    """Who of a channel's people may get a broadcast: those who wrote, and may be written to now.

    wrote_after: only people who wrote since then (epoch seconds). reply_seconds: how long after their last message the
    provider lets us write to people; None: without end. group_prefix: how addresses of groups begin, which get nothing.
    """

    platform: Platform
    wrote_after: float | None = None
    reply_seconds: float | None = None
    group_prefix: str = ""
    blocklist: Collection[str] = ()
    allowlist: Collection[str] = ()


@dataclass(frozen=True, slots=True)
class Broadcast:
    """A broadcast on one channel. beyond_caps: the operator wants it sent even if a cap on spending is reached.

    hours: when each person may get it, in the form of relay.config.weekly_times; always when empty.
    """

    id: int
    platform: Platform
    text: str
    wrote_after: float | None
    beyond_caps: bool
    hours: str = ""


PlanForName = Callable[[str | None], Sequence[PlannedPart]]
"""The parts of a text for a person of this name, if any."""

HoursBegin = Callable[[UserId, float], float]
"""When the hours in which a person may get a broadcast begin, as Unix time; the given time while they last."""


def at_any_time(_: UserId, now: float) -> float:
    """The HoursBegin of a broadcast without hours."""
    return now


@dataclass(frozen=True, slots=True)
class Terms:
    """What a channel gives to broadcasts. per_second: segments, or messages where there are none.

    plan: the parts of a text for a name, if any; raises ValueError. audience: by the time since when its people must
    have written. begin: when these hours begin for a person, as HoursBegin.
    """

    plan: Callable[[str, str | None], list[PlannedPart]]
    audience: Callable[[float | None], Audience]
    per_second: float
    caps: SpendingCaps
    begin: Callable[[str, UserId, float], float] = lambda _hours, _user, now: now


def plan_for(plan: Callable[[str, str | None], list[PlannedPart]], text: str, name: str | None) -> list[PlannedPart]:
    """The parts for a person of this name; a name that makes the text too long is left out. Raises ValueError."""
    try:
        return plan(text, name)
    except ValueError:
        return plan(text, None)


def caps_of(caps: SpendingCaps, spent: Spending) -> list[tuple[str, float, float]]:
    """The caps on all spending that there are: what is reached with them, what was spent, the cap; in USD."""
    today = ("the cap of today is reached", spent.day, caps.day)
    month = ("the cap of this month is reached", spent.month, caps.month)
    return [(reason, usd, cap) for reason, usd, cap in (today, month) if cap is not None]
