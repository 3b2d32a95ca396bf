"""Compares tokens: wrong ones are counted, and when they are too many, none is looked at for a while."""

from __future__ import annotations

import hmac
import time
from collections import deque
from collections.abc import Callable

MOST_MISTAKES = 5
WINDOW_SECONDS = 30.0


def same_secret(given: str, wanted: str) -> bool:
    """Compare two secrets in constant time."""
    return hmac.compare_digest(given.encode("utf-8", "surrogateescape"), wanted.encode("utf-8", "surrogateescape"))


class Door:
    """Compares tokens. After five wrong ones within half a minute nobody's token is looked at until it has passed.

    It counts for all together: behind a proxy everybody has the same address, and an address costs an attacker nothing.
    """

    def __init__(self, admin_token: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._token = admin_token
        self._clock = clock
        self._mistakes: deque[float] = deque(maxlen=MOST_MISTAKES)

    def closed_for(self) -> float:
        """Seconds until the next token is looked at; 0 when one may be tried now."""
        if len(self._mistakes) < MOST_MISTAKES:
            return 0.0
        return max(0.0, self._mistakes[0] + WINDOW_SECONDS - self._clock())

    def fits(self, token: str) -> bool:
        """Whether this is the token; nothing is counted."""
        return same_secret(token, self._token)

    def opens(self, token: str) -> bool:
        """Whether this is the token. Only to be asked while `closed_for` is 0."""
        if self.fits(token):
            self._mistakes.clear()
            return True
        self._mistakes.append(self._clock())
        return False
