"""How the time that a server may take to stop is shared out, and what happens when even that is not enough.

The shares follow one after the other and add up to `stop_seconds`. What is cut off loses nothing: a message or part
that was not finished is taken up after the next start.
"""

from __future__ import annotations

import logging
import os
import threading

log = logging.getLogger("relay.stopping")

REQUESTS = 1 / 4
"""Requests that are still being answered."""
UPDATES = 1 / 8
"""The poll at Telegram, and the lease of the one who polls."""
ANSWERS = 3 / 8
"""Answers that the model is still writing."""
SENDS = 1 / 8
"""Parts that a provider is just taking."""
LEASES = 1 / 8
"""Giving back what was claimed, so that nobody waits for a lease to end."""

CLOSING_SECONDS = 0.5
"""For closing files and connections, after all shares; the launcher waits for a second."""


def end_at_the_latest(stop_seconds: float) -> None:
    """Begin to count: a process that still runs when its time is over, whatever it hangs on, ends with status 1."""
    timer = threading.Timer(stop_seconds + CLOSING_SECONDS, _leave, (stop_seconds,))
    timer.daemon = True
    timer.start()


def _leave(stop_seconds: float) -> None:
    log.error("not stopped within %g s: leaving now; what was under way is taken up after the next start", stop_seconds)
    os._exit(1)
