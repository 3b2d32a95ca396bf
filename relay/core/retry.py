"""Exponential backoff with jitter: when to try again, from what failed, how often, and how old the work is.

Giving up depends on age, not on the count, so that an outage of an hour loses no answer.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from relay.core.errors import RelayError, SendError, SendFailure

log = logging.getLogger("relay.core.retry")

JITTER: Final = 0.2
"""Share by which a delay is spread in both directions."""

MAX_EXTRA_SECONDS: Final = 15.0
"""The longest delay by our own count where the provider named a shorter one."""


LONGEST_DELAY: Final = 86_400.0
"""A part whose next attempt is further off waits for its user: a message of theirs makes it due."""

_WINDOW_SECONDS: Final = 30 * 86_400.0


@dataclass(frozen=True, slots=True)
class Backoff:
    """Delays in seconds: `first`, doubled after each failure, at most `longest`; after `max_attempts` there is none.

    max_age: seconds after which nothing is tried any more, instead of the limit that the caller has; None: that limit.
    """

    first: float
    longest: float
    max_attempts: int = 10_000
    max_age: float | None = None

    def delay(self, failures: int, *, rng: Callable[[], float] | None = None) -> float:
        """Seconds to wait after so many failures in a row (at least 1); rng (0 to 1) adds jitter."""
        delay = min(self.first * 2.0 ** min(failures - 1, 30), self.longest)
        return delay if rng is None else delay * (1 - JITTER + 2 * JITTER * rng())


SEND_BACKOFF: Final = {
    SendFailure.BUSY: Backoff(1.0, 300.0),
    SendFailure.OUTAGE: Backoff(1.0, 60.0),  # the circuit decides which part is tried meanwhile
    SendFailure.UNKNOWN: Backoff(2.0, 60.0),  # between two lookups; resends are counted elsewhere
    SendFailure.LIMIT: Backoff(3600.0, 3600.0),
    SendFailure.LATER: Backoff(600.0, 3600.0, 2),
    SendFailure.WINDOW: Backoff(_WINDOW_SECONDS, _WINDOW_SECONDS, max_age=_WINDOW_SECONDS),
    SendFailure.DESTINATION: Backoff(60.0, 900.0),  # the outbox gives up sooner where others are accepted
    SendFailure.COUNTRY: Backoff(1.0, 1.0),  # relay.core.holds decides when
    SendFailure.CONFIG: Backoff(60.0, 900.0),  # the channel is paused meanwhile
}
"""The failures worth another attempt; every other one is final."""

MODEL_BACKOFF: Final = Backoff(1.0, 60.0)
ACCOUNT_BACKOFF: Final = Backoff(1.0, 60.0)
"""Of calls about our account at a provider, such as registering a webhook."""
REFUSED_BACKOFF: Final = Backoff(60.0, 900.0)
"""Of such a call while the provider refuses our credentials."""


def next_delay(
    backoff: Backoff | None,
    *,
    attempts: int,
    age: float,
    give_up_after: float,
    retry_after: float | None = None,
    rng: Callable[[], float] = random.random,
) -> float | None:
    """Seconds until the next attempt, at least `retry_after`; None to give up, always for a failure without backoff.

    attempts: attempts made so far, at least 1. age, give_up_after, retry_after (from the provider): seconds. A provider
    that names the time is not avoided much longer, however often it did.
    """
    if backoff is None or attempts >= backoff.max_attempts:
        return None
    if age >= (give_up_after if backoff.max_age is None else backoff.max_age):
        return None
    delay = backoff.delay(attempts, rng=rng)
    return delay if retry_after is None else max(min(delay, max(MAX_EXTRA_SECONDS, backoff.first)), retry_after)


async def retry_forever(
    what: str,
    call: Callable[[], Awaitable[None]],
    *,
    on_failure: Callable[[str], None] = lambda _: None,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> None:
    """Repeat a call until it raises no RelayError, at least the provider's retry_after apart.

    what: names the call in the log. on_failure: called with each error's text before the pause.
    """
    for failures in itertools.count(1):
        try:
            await call()
        except RelayError as error:
            retry_after = error.retry_after if isinstance(error, SendError) else None
            refused = isinstance(error, SendError) and error.kind is SendFailure.CONFIG  # repeating seldom helps
            delay = max((REFUSED_BACKOFF if refused else ACCOUNT_BACKOFF).delay(failures), retry_after or 0.0)
            log.warning("%s failed: %s; next try in %.0f s", what, error, delay)
            on_failure(str(error))
            await sleep(delay)
        else:
            return
