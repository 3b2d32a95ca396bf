"""Notifies systemd of the start (READY=1), of liveness (WATCHDOG=1) and of the state (STATUS=): sd_notify(3)."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable, MutableMapping

BEATS = 10
"""Signs of life in the watchdog's time. With two, as sd_watchdog_enabled(3) advises, a machine that is so busy that
starting the servers takes half of that time would lose them all."""


class ServiceManager:
    """Sends notifications to systemd; does nothing when another program started this one. `clock` is monotonic."""

    def __init__(self, environ: MutableMapping[str, str], clock: Callable[[], float]) -> None:
        """Take the variables of systemd out of `environ`: they are not meant for the servers."""
        self._address = environ.pop("NOTIFY_SOCKET", "")
        microseconds = environ.pop("WATCHDOG_USEC", "")
        environ.pop("WATCHDOG_PID", None)
        self._interval = int(microseconds) / 1_000_000 / BEATS if microseconds.isdigit() else None
        self._clock = clock
        self._next = clock()

    def notify(self, message: str) -> None:
        """Send one message, such as READY=1; an error of the socket is ignored."""
        if not self._address:
            return
        with contextlib.suppress(OSError, ValueError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            sender.setblocking(False)
            # A leading @ means the abstract namespace of Linux.
            sender.sendto(message.encode(), "\0" + self._address[1:] if self._address[0] == "@" else self._address)

    def heartbeat(self) -> None:
        """Send WATCHDOG=1 when a part of the watchdog's time has passed since the last one."""
        if self._interval is not None and self._clock() >= self._next:
            self._next = self._clock() + self._interval
            self.notify("WATCHDOG=1")
