"""A circuit breaker for one model of one source: left alone when it keeps failing, then tried with one question."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum

from relay.core.errors import ModelError, ModelFailure
from relay.core.retry import Backoff

_FAILURES_TO_OPEN = 4
_FIRST_OPEN_SECONDS = 5.0
_MAX_OPEN_SECONDS = 300.0
_AUTH_COOLDOWN = 60.0
_MAX_RETRY_AFTER = 3600.0
_ENDED_BY_RECOVERY = frozenset({ModelFailure.AUTH, ModelFailure.UNAVAILABLE, ModelFailure.TIMEOUT})
"""What is over when a source that was away is back; what it asked us to wait for, and money, are not."""
_PROVIDER_FAILURES = frozenset(
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
        self._openings = 0
        self._until = 0.0
        self._trial_running = False
        self._cause: ModelError | None = None

    @property
    def state(self) -> Circuit:
        if self._cause is None:
            return Circuit.CLOSED
        return Circuit.HALF_OPEN if self._clock() >= self._until else Circuit.OPEN

    @property
    def open_seconds(self) -> float:
        """How long nothing passes any more; 0 when something does."""
        return max(0.0, self._until - self._clock()) if self._cause is not None else 0.0

    def admit(self, who: str) -> bool:
        """Ask to pass; true when this is the one question that finds out whether the rest is over.

        Raises the error that opened the circuit, with the time that it stays open.
        """
        cause = self._cause
        if cause is None:
            return False
        rest = self.open_seconds
        if rest > 0 or self._trial_running:
            raise ModelError(cause.kind, f"{who} is left alone for now: {cause.message}", retry_after=max(rest, 1.0))
        self._trial_running = True
        return True

    def check(self, who: str) -> None:
        """Raises like `enter` when nothing passes now, without trying anything."""
        if self.open_seconds > 0:
            self.admit(who)

    def on_recovered(self) -> None:
        """The source was away and answers again: the next question finds out at once, without waiting for the rest."""
        if self._cause is not None and self._cause.kind in _ENDED_BY_RECOVERY:
            self._until = self._clock()
            self._openings = 0

    def record_success(self) -> None:
        self._failures = self._openings = 0
        self._cause = None
        self._trial_running = False

    def cancel_trial(self) -> None:
        """The question that was to find out left before the outcome was known."""
        self._trial_running = False

    def record_failure(self, error: ModelError) -> None:
        """Count an error; those that say nothing about the source count as a sign of life."""
        trial, self._trial_running = self._trial_running, False
        # Many questions that were under way when the circuit opened fail with it: they are one failure, not many rests.
        known = self._cause is not None and not trial
        match error.kind:
            case kind if known and kind in _PROVIDER_FAILURES:
                pass
            case ModelFailure.AUTH | ModelFailure.CREDITS:
                self._open(error, min(_AUTH_COOLDOWN * 2**self._openings, 600.0))
            case ModelFailure.RATE_LIMIT if error.retry_after is not None:
                self._open(error, min(max(error.retry_after, 1.0), _MAX_RETRY_AFTER))
            case ModelFailure.RATE_LIMIT | ModelFailure.UNAVAILABLE | ModelFailure.TIMEOUT:
                self._failures += 1
                if trial or self._failures >= _FAILURES_TO_OPEN:
                    self._open(error, min(_FIRST_OPEN_SECONDS * 2**self._openings, _MAX_OPEN_SECONDS))
            case _:
                self.record_success()

    def _open(self, error: ModelError, rest: float) -> None:
        self._cause = error
        self._until = self._clock() + rest
        self._openings = min(self._openings + 1, 10)
