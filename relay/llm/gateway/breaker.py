"""Circuit breaker for one model of one provider: opens after repeated failures, then admits a single trial request.

A failure may be the fault of one question: until a second asker met one too, the circuit is open for the first alone.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable

from relay.core.circuit import Circuit
from relay.core.errors import ModelError, ModelFailure
from relay.core.retry import Backoff
from relay.llm.chat import ProviderError

_FAILURES_TO_OPEN = 4
_FAILURE_BACKOFF = Backoff(5.0, 300.0)
_OUTAGE_BACKOFF = Backoff(5.0, 10.0)
"""After quick failures, whose trial costs neither money nor a user's time: questions wait for the end of the outage."""
_ACCESS_BACKOFF = Backoff(60.0, 600.0)
"""After a refused key or used-up credits, which take an operator to end."""
_MAX_RETRY_AFTER = 3600.0
_ENDED_BY_RECOVERY = frozenset({ModelFailure.AUTH, ModelFailure.UNAVAILABLE, ModelFailure.TIMEOUT})
"""A successful probe ends these; it ends neither a requested delay nor missing credits."""
_PROVIDER_FAILURES = _ENDED_BY_RECOVERY | {ModelFailure.CREDITS, ModelFailure.RATE_LIMIT, ModelFailure.FORBIDDEN}
"""Failures that may be the provider's; all others are caused by the request."""


class Breaker(Circuit):
    """Decides from past outcomes whether a request is admitted. `clock` is monotonic, in seconds.

    asker: whose question it is; equal for requests that may fail for the same reason of their own.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        super().__init__(clock)
        self._failures = 0
        self._failed: set[Hashable] = set()
        self._cause: ModelError | None = None

    def admit(self, target: str, asker: Hashable = "") -> bool:
        """Admit a request; true when it is the trial of a half-open circuit.

        Raises the error that opened the circuit, with retry_after, when it is open or a trial is running.
        """
        cause = self._cause
        if cause is None or not self._concerns(asker):
            return False
        if not self.begin_trial(target):
            wait = max(self.open_seconds, 1.0)
            raise ModelError(cause.kind, f"{target} is left alone for now: {cause.message}", retry_after=wait)
        return True

    def check(self, target: str, asker: Hashable = "") -> None:
        """Raise like `admit` when the circuit is open, without starting a trial."""
        if self.open_seconds > 0:
            self.admit(target, asker)

    @property
    def cause(self) -> ModelError | None:
        """The error that opened the circuit; None when it is closed."""
        return self._cause

    @property
    def concerns_all(self) -> bool:
        """Whether an open circuit holds off every asker: a wrong key does, unless a question may be quoted."""
        cause = self._cause
        quoted = isinstance(cause, ProviderError) and cause.by_words
        certain = cause is not None and cause.kind is ModelFailure.AUTH and not quoted
        return certain or len(self._failed) > 1

    def _concerns(self, asker: Hashable) -> bool:
        return self.concerns_all or asker in self._failed

    def on_recovered(self) -> None:
        """A probe succeeded after an outage: make the circuit half-open at once."""
        if self._cause is not None and self._cause.kind in _ENDED_BY_RECOVERY:
            self._until = self._clock()
            self._openings = 0

    def record_success(self) -> None:
        self.close()
        self._failures = 0
        self._failed.clear()
        self._cause = self._trial = None

    def cancel_trial(self) -> None:
        """The trial request was cancelled before its outcome was known."""
        self._trial = None

    def record_failure(self, error: ModelError, asker: Hashable = "") -> None:
        """Count a failure of the provider; an error caused by the request proves that the provider works."""
        trial, self._trial = self._trial is not None, None
        if error.kind not in _PROVIDER_FAILURES:
            self.record_success()
            return
        if len(self._failed) < 2:
            self._failed.add(asker)
        if self._cause is not None and not trial:
            pass  # requests in flight when the circuit opened fail with it: they are one failure, not many
        elif error.kind is ModelFailure.FORBIDDEN:
            if len(self._failed) > 1:
                outage = ModelError(ModelFailure.UNAVAILABLE, error.message)
                self._fail(outage, _OUTAGE_BACKOFF.delay(self._openings + 1))
        elif error.kind in {ModelFailure.AUTH, ModelFailure.CREDITS}:
            self._fail(error, _ACCESS_BACKOFF.delay(self._openings + 1))
        elif error.kind is ModelFailure.RATE_LIMIT and error.retry_after is not None:
            self._fail(error, min(max(error.retry_after, 1.0), _MAX_RETRY_AFTER))
        else:
            self._failures += 1
            if trial or self._failures >= _FAILURES_TO_OPEN:
                backoff = _OUTAGE_BACKOFF if error.kind is ModelFailure.UNAVAILABLE else _FAILURE_BACKOFF
                self._fail(error, backoff.delay(self._openings + 1))

    def _fail(self, error: ModelError, seconds: float) -> None:
        self._cause = error
        self.open(seconds)
