"""A circuit breaker for one model of one source: left alone when it keeps failing, then tried with one question."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum

from relay.core.errors import ModelError, ModelFailure
from relay.core.retry import Backoff

_TOLERATED = 4
_FAILURE_BACKOFF = Backoff(5.0, 300.0)
_ACCESS_BACKOFF = Backoff(60.0, 600.0)
"""After a refused key or used-up credits, which take an operator to end."""
_LONGEST_OBEYED = 3600.0
_ENDED_BY_A_RETURN = frozenset({ModelFailure.AUTH, ModelFailure.UNAVAILABLE, ModelFailure.TIMEOUT})
"""What is over when a source that was away is back; what it asked us to wait for, and money, are not."""
_ABOUT_THE_SOURCE = frozenset(
    {
        ModelFailure.AUTH,
        ModelFailure.CREDITS,
        ModelFailure.RATE_LIMIT,
        ModelFailure.UNAVAILABLE,
        ModelFailure.TIMEOUT,
    }
)


class Circuit(StrEnum):
    CLOSED = "closed"  # questions pass
    OPEN = "open"  # nothing passes until the rest is over
    HALF_OPEN = "half_open"  # one question is on its way to find out


class Breaker:
    """What the outcomes of the last questions mean for the next one. `clock` is in seconds and only moves forward."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._failures = 0
        self._rests = 0
        self._until = 0.0
        self._trying = False
        self._cause: ModelError | None = None

    @property
    def state(self) -> Circuit:
        if self._cause is None:
            return Circuit.CLOSED
        return Circuit.HALF_OPEN if self._clock() >= self._until else Circuit.OPEN

    @property
    def rest_seconds(self) -> float:
        """How long nothing passes any more; 0 when something does."""
        return max(0.0, self._until - self._clock()) if self._cause is not None else 0.0

    def enter(self, who: str) -> bool:
        """Ask to pass; true when this is the one question that finds out whether the rest is over.

        Raises the error that opened the circuit, with the time that it stays open.
        """
        cause = self._cause
        if cause is None:
            return False
        rest = self.rest_seconds
        if rest > 0 or self._trying:
            raise ModelError(cause.kind, f"{who} is left alone for now: {cause.message}", retry_after=max(rest, 1.0))
        self._trying = True
        return True

    def check(self, who: str) -> None:
        """Raises like `enter` when nothing passes now, without trying anything."""
        if self.rest_seconds > 0:
            self.enter(who)

    def came_back(self) -> None:
        """The source was away and answers again: the next question finds out at once, without waiting for the rest."""
        if self._cause is not None and self._cause.kind in _ENDED_BY_A_RETURN:
            self._until = self._clock()
            self._rests = 0

    def succeeded(self) -> None:
        self._failures = self._rests = 0
        self._cause = None
        self._trying = False

    def abandoned(self) -> None:
        """The question that was to find out left before the outcome was known."""
        self._trying = False

    def failed(self, error: ModelError) -> None:
        """Count an error; those that say nothing about the source count as a sign of life."""
        trying, self._trying = self._trying, False
        # Many questions that were under way when the circuit opened fail with it: they are one failure, not many rests.
        known = self._cause is not None and not trying
        match error.kind:
            case kind if known and kind in _ABOUT_THE_SOURCE:
                pass
            case ModelFailure.AUTH | ModelFailure.CREDITS:
                self._open(error, _ACCESS_BACKOFF.delay(self._rests + 1))
            case ModelFailure.RATE_LIMIT if error.retry_after is not None:
                self._open(error, min(max(error.retry_after, 1.0), _LONGEST_OBEYED))
            case ModelFailure.RATE_LIMIT | ModelFailure.UNAVAILABLE | ModelFailure.TIMEOUT:
                self._failures += 1
                if trying or self._failures >= _TOLERATED:
                    self._open(error, _FAILURE_BACKOFF.delay(self._rests + 1))
            case _:
                self.succeeded()

    def _open(self, error: ModelError, rest: float) -> None:
        self._cause = error
        self._until = self._clock() + rest
        self._rests += 1
