"""Rate-limits guesses of the admin token: after MAX_FAILURES within WINDOW_SECONDS every attempt is refused."""

from __future__ import annotations

import hmac
import time
from collections import deque
from collections.abc import Callable

MAX_FAILURES = 5
WINDOW_SECONDS = 30.0


def same_secret(given: str, wanted: str) -> bool:
    """Compare two secrets in constant time."""
    return hmac.compare_digest(given.encode("utf-8", "surrogateescape"), wanted.encode("utf-8", "surrogateescape"))


class TokenGuard:
    """Compares tokens with the admin token and locks itself after too many failures.

    Failures are counted over all clients: behind a proxy all have the same address, and an attacker has many addresses.
    """

    def __init__(self, admin_token: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._token = admin_token
        self._clock = clock
        self._failures: deque[float] = deque(maxlen=MAX_FAILURES)

    def locked_for(self) -> float:
        """Seconds until `check` may be called again; 0 when it may be called now."""
        if len(self._failures) < MAX_FAILURES:
            return 0.0
        return max(0.0, self._failures[0] + WINDOW_SECONDS - self._clock())

    def matches(self, token: str) -> bool:
        """Whether this is the admin token; a failure is not counted."""
        return same_secret(token, self._token)

    def check(self, token: str) -> bool:
        """Whether this is the admin token; counts a failure, clears the count on success. Call while not locked."""
        if self.matches(token):
            self._failures.clear()
            return True
        self._failures.append(self._clock())
        return False
