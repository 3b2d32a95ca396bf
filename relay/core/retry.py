"""When to try again: a pure function of what went wrong, how often, and how old the work is.

Delays double from a start that depends on the failure, are capped, carry jitter, and never undercut what the provider
asked for. Giving up goes by age, so that an outage of an hour costs nobody an answer.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from relay.core.errors import SendFailure


@dataclass(frozen=True, slots=True)
class Pace:
    """How one kind of failure is retried: first pause and longest pause in seconds, and the most attempts."""

    first: float
    longest: float
    attempts: int


SEND_PACES: Final = {
    SendFailure.BUSY: Pace(1.0, 300.0, 10_000),
    SendFailure.UNKNOWN: Pace(2.0, 300.0, 10_000),  # pauses before looking again; resends are counted elsewhere
    SendFailure.LIMIT: Pace(3600.0, 3600.0, 10_000),
    SendFailure.LATER: Pace(600.0, 3600.0, 2),
    SendFailure.CONFIG: Pace(60.0, 900.0, 10_000),  # the channel is paused meanwhile
}
"""What is worth another attempt; every other kind is final."""

MODEL_PACE: Final = Pace(1.0, 60.0, 10_000)

JITTER: Final = 0.2


def next_pause(
    pace: Pace,
    *,
    attempts: int,
    age: float,
    give_up_after: float,
    retry_after: float | None = None,
    chance: Callable[[], float] = random.random,
) -> float | None:
    """Seconds until the next attempt, or None to give up.

    attempts: how many were made, at least 1. age and give_up_after: seconds. retry_after: what the provider asked for.
    """
    if attempts >= pace.attempts or age >= give_up_after:
        return None
    doubled = pace.first * 2.0 ** min(attempts - 1, 30)
    pause = min(doubled, pace.longest) * (1 - JITTER + 2 * JITTER * chance())
    return max(pause, retry_after or 0.0)


def next_send(
    kind: SendFailure,
    *,
    attempts: int,
    age: float,
    give_up_after: float,
    retry_after: float | None = None,
    chance: Callable[[], float] = random.random,
) -> float | None:
    """`next_pause` for a part whose send failed in this way."""
    pace = SEND_PACES.get(kind)
    if pace is None:
        return None
    return next_pause(
        pace, attempts=attempts, age=age, give_up_after=give_up_after, retry_after=retry_after, chance=chance
    )
