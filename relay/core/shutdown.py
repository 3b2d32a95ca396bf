"""The shutdown budget: shares of `stop_seconds` for each step of a stop, and the forced exit after it.

The shares are spent one after the other and add up to `stop_seconds`. A step that is cut off loses nothing: unfinished
messages and parts are processed after the next start.
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
"""The poll at Telegram, and the lease of the polling server."""
ANSWERS: Final = 1 / 4
"""Answers that the model is still writing."""
SENDS: Final = 1 / 8
"""Parts that are being sent."""
LEASES: Final = 1 / 8
"""Releasing claims, so that no successor waits for a lease to end."""
DATABASE: Final = 1 / 8
"""Committing open transactions."""

SHARES: Final = (REQUESTS, UPDATES, ANSWERS, SENDS, LEASES, DATABASE)

CLOSING_SECONDS: Final = 0.5
"""For closing files and connections, after all shares; the launcher waits for a second."""


def end_at_the_latest(stop_seconds: float) -> None:
    """Start a timer that exits the process with status 1 when it still runs after the budget."""
    timer = threading.Timer(stop_seconds + CLOSING_SECONDS, _leave, (stop_seconds,))
    timer.daemon = True
    timer.start()


def _leave(stop_seconds: float) -> None:
    log.error("not stopped within %g s: exiting now; unfinished work resumes after the next start", stop_seconds)
    os._exit(1)
