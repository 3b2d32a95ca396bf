"""How the time that a server may take to stop is shared out, and what happens when even that is not enough.

The shares are spent one after the other and add up to `stop_seconds`. What is cut off loses nothing: a message or part
that was not finished is taken up after the next start.
"""

from __future__ import annotations

import logging
import os
import threading
from typing import Final

log = logging.getLogger("relay.core.shutdown")

REQUESTS: Final = 1 / 4
"""Requests that are still being answered."""
UPDATES: Final = 1 / 8
"""The poll at Telegram, and the lease of the one who polls."""
ANSWERS: Final = 1 / 4
"""Answers that the model is still writing."""
SENDS: Final = 1 / 8
"""Parts that a provider is just taking."""
LEASES: Final = 1 / 8
"""Releasing claims, so that no successor waits for a lease to end."""
DATABASE: Final = 1 / 8
"""Committing what was begun."""

SHARES: Final = (REQUESTS, UPDATES, ANSWERS, SENDS, LEASES, DATABASE)

CLOSING_SECONDS: Final = 0.5
"""For closing files and connections, after all shares; the launcher waits for a second."""


def end_at_the_latest(stop_seconds: float) -> None:
    """Begin to count: a process that still runs when its time is over, whatever it hangs on, ends with status 1."""
    timer = threading.Timer(stop_seconds + CLOSING_SECONDS, _leave, (stop_seconds,))
    timer.daemon = True
    timer.start()


def _leave(stop_seconds: float) -> None:
    log.error("not stopped within %g s: exiting now; unfinished work resumes after the next start", stop_seconds)
    os._exit(1)
