"""Whether users waited for each other: counts how often any other user was served while one had to wait. Pure.

A user who is next waits for at most one round of all others, so each of them is served about once meanwhile. Waiting
has two legs: from the acknowledged message, or the response to the user's last one, to the request to the model; from
its response, or the user's last part, to the first part on the phone. Messages that failed themselves (retried,
postponed, resent) are left out: they wait for their own pause.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from tests.chaos.chaos_questions import markers_in, user_of

MAX_ROUNDS = 8
"""One round is the rule. A short lock of the database or a restart costs some users, not others, a sweep or two."""


@dataclass(frozen=True, slots=True)
class Served:
    """At this moment something was done for this user: a question was put to the model, or a part arrived."""

    moment: float
    user: str


@dataclass(slots=True)
class ModelLog:
    """Every request to the model that had markers: when each question was asked first, and answered last."""

    asked: dict[tuple[str, ...], float] = field(default_factory=dict)
    answered: dict[tuple[str, ...], float] = field(default_factory=dict)

    def add(self, text: str, began: float, ended: float | None) -> None:
        """One request; ended is None when it got no whole response."""
        if markers := tuple(markers_in(text)):
            self.asked.setdefault(markers, began)
            if ended is not None:
                self.answered[markers] = ended


@dataclass(frozen=True, slots=True)
class Wait:
    """How many rounds a user waited: `rounds` times `other` was served between `since` and `until`."""

    marker: str
    leg: str
    other: str
    rounds: int
    seconds: float

    def __str__(self) -> str:
        return f"{self.marker}: {self.leg} took {self.rounds} rounds ({self.seconds:.1f} s), of {self.other}"


def waits(
    log: ModelLog, settled: dict[str, float], arrived: Sequence[Served], first_part: dict[str, float], failed: set[str]
) -> list[Wait]:
    """The waits of all questions that went to the model and did not fail themselves.

    settled: when each question was acknowledged. arrived: the parts on all phones. first_part: when the first part
    with a marker arrived. failed: the markers to leave out. All in seconds of one clock.
    """
    requests = _by_platform(Served(moment, user_of(markers[0])) for markers, moment in log.asked.items())
    parts = _by_platform(arrived)
    free_at: dict[str, float] = {}
    found: list[Wait] = []
    for markers, asked in sorted(log.asked.items(), key=lambda item: item[1]):
        head, user = markers[0], user_of(markers[0])
        ready = max(settled.get(head, asked), free_at.get(user, 0.0))
        answered = log.answered.get(markers)
        free_at[user] = max(answered or asked, free_at.get(user, 0.0))
        if failed.intersection(markers):
            continue
        found.append(_wait(head, "asking", requests[user[0]], ready, asked))
        if answered is not None and head in first_part:
            first = first_part[head]
            own = (part.moment for part in parts[user[0]] if part.user == user and part.moment < first)
            found.append(_wait(head, "sending", parts[user[0]], max([answered, *own]), first))
    return found


def _by_platform(events: Iterable[Served]) -> dict[str, list[Served]]:
    found: dict[str, list[Served]] = defaultdict(list)
    for event in sorted(events, key=lambda event: event.moment):
        found[event.user[0]].append(event)
    return found


def _wait(marker: str, leg: str, events: list[Served], since: float, until: float) -> Wait:
    first = bisect_right(events, since, key=lambda event: event.moment)
    last = bisect_left(events, until, key=lambda event: event.moment)
    served = Counter(event.user for event in events[first:last] if event.user != user_of(marker))
    [(other, rounds)] = served.most_common(1) or [("", 0)]
    return Wait(marker, leg, other, rounds, until - since)
