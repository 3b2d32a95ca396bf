"""Circuit breakers: after a failure no call is made for a while, then a single trial decides.

Pure bookkeeping: clock and calls are the caller's. `Circuit` is the state alone; `SendCircuit` applies it to the calls
by which a channel sends.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from enum import StrEnum
from typing import Any, Final

from relay.core.errors import OutcomeUnknown, SendError, SendFailure

log = logging.getLogger("relay.core.circuit")

OUTAGES: Final = frozenset({SendFailure.OUTAGE, SendFailure.UNKNOWN})
"""Failures that open a circuit; every other one is about one part, one user or our account."""

SEND_PAUSES: Final = (2.0, 5.0, 15.0)
"""Seconds that the circuit stays open after the first failure, the second in a row, and so on; then the last."""

TOLERATED_FAILURES: Final = 2
WORKING_SECONDS: Final = 10.0
"""While a send of these last seconds was accepted, so many failures in a row are those of single calls: a provider that
fails now and then is not down, and a pause after each of them would hold up everybody."""

UNPROVEN_RESEND_SECONDS: Final = 30.0
"""How long after an error of the provider a resend may be the trial although no probe has shown that it is over."""


class CircuitState(StrEnum):
    CLOSED = "closed"  # calls pass
    OPEN = "open"  # no call passes until the pause ends
    HALF_OPEN = "half_open"  # one trial may pass


class Circuit:
    """Closed, open until a moment, or half-open. `clock` is monotonic, in seconds."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._closed = True
        self._until = 0.0
        self._openings = 0
        self._trial: str | None = None

    @property
    def state(self) -> CircuitState:
        if self._closed:
            return CircuitState.CLOSED
        return CircuitState.HALF_OPEN if self.open_seconds == 0 else CircuitState.OPEN

    @property
    def open_seconds(self) -> float:
        """Seconds until a trial is admitted; 0 when it is."""
        return 0.0 if self._closed else max(0.0, self._until - self._clock())

    def begin_trial(self, name: str) -> bool:
        """Make `name` the trial, if the circuit is not open and no trial is running."""
        if self._trial is not None or self.open_seconds > 0:
            return False
        self._trial = name
        return True

    def end_trial(self, name: str) -> bool:
        """The trial is over, with or without an outcome; False, without any effect, when `name` is not the trial."""
        if self._trial != name:
            return False
        self._trial = None
        return True

    def open(self, seconds: float) -> None:
        self._closed = False
        self._until = self._clock() + seconds
        self._openings += 1

    def close(self) -> None:
        self._closed = True
        self._openings = 0


class SendCircuit(Circuit):
    """Whether the method by which a channel sends works, learned from its calls.

    Calls overlap, so each outcome comes with `began`, what the clock showed when the call began: an older call neither
    opens the circuit again nor closes it. Only an accepted part closes it: a refusal shows that the method answers,
    not that it sends. While parts are accepted, the circuit opens at the third failure in a row, else at the first.
    """

    def __init__(self, name: str, clock: Callable[[], float]) -> None:
        super().__init__(clock)
        self._name = name
        self._opened_at = self._failed_at = self._failing_since = self._worked_at = -math.inf
        self._in_a_row = 0
        self._last_was_probe = False
        self.cause: SendError | None = None

    def admits(self, name: str) -> bool:
        """Whether a part of this user may be sent now."""
        return self._closed or self._trial == name

    def has_worked_within(self, seconds: float) -> bool:
        """Whether a call that began in these last seconds sent a part, and none has failed since."""
        return self._closed and self._worked_at > max(self._failed_at, self._clock() - seconds)

    @property
    def risks_resend(self) -> bool:
        """Whether a part's only resend may be the trial, when a probe has just succeeded.

        The probe shows that a connection works again, or a method by which an earlier probe failed. Where a part met
        an error of the provider it may say nothing about real sends, so other parts are tried first.
        """
        if self._last_was_probe or not (isinstance(self.cause, OutcomeUnknown) and self.cause.answered):
            return True
        return self._clock() - self._failed_at >= UNPROVEN_RESEND_SECONDS

    def record_success(self, began: float) -> None:
        """A part was accepted."""
        self._worked_at = max(self._worked_at, began)
        self._in_a_row = 0
        if not self._closed and began > self._opened_at:
            log.info("sending on %s works again, after %.0f s", self._name, self._clock() - self._failing_since)
            self.close()

    def record_idle(self) -> None:
        """A probe succeeded and nothing waits to be sent: the next part is the test, and nothing depends on it yet."""
        log.info("sending on %s answers a probe, and nothing waits any more", self._name)
        self.close()

    def record_failure(self, error: SendError, began: float, *, probe: bool = False) -> None:
        """A call failed; calls in flight when the circuit opened fail with it: they are one failure, not many."""
        if error.kind not in OUTAGES or began <= self._opened_at:
            return
        self.cause, self._failed_at, self._last_was_probe = error, self._clock(), probe
        self._in_a_row += 1
        if not probe and self._in_a_row <= TOLERATED_FAILURES and self._works():
            return
        if self._closed:
            self._failing_since = self._clock()
            log.error(
                "sending on %s fails: %s (%s). Parts wait, one at a time is tried. Nothing is lost.",
                self._name,
                error.message,
                error.code,
            )
        self._opened_at = self._clock()
        self.open(SEND_PAUSES[min(self._openings, len(SEND_PAUSES) - 1)])

    def _works(self) -> bool:
        return self._closed and self._worked_at > self._clock() - WORKING_SECONDS

    def status(self) -> dict[str, Any] | None:
        """For the operator: None while closed, else state, reason, seconds since it failed and until the next trial."""
        if self._closed or self.cause is None:
            return None
        return {
            "state": self.state,
            "reason": f"{self.cause.message} ({self.cause.code})",
            "failing_seconds": round(self._clock() - self._failing_since, 1),
            "next_trial_seconds": round(self.open_seconds, 1),
        }
