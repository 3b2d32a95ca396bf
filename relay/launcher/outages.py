"""The file in which the launcher notes which servers do not run and when it starts them again; the console reads it."""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Callable
from pathlib import Path

import psutil

from relay.launcher.events import Outage

FILE = "launcher.json"


class OutageFile:
    """Holds a sentence for each server that does not run. `clock` returns Unix time."""

    def __init__(self, folder: Path, clock: Callable[[], float] = time.time) -> None:
        self._path = folder / FILE
        self._clock = clock
        self._outages: dict[str, str] = {}

    @property
    def summary(self) -> str:
        """All outages in one line."""
        return "; ".join(f"{name}: {text}" for name, text in self._outages.items()) or "running"

    def set(self, name: str, outage: Outage | None) -> None:
        """Note or end the outage of a server. A file that cannot be written is left out."""
        self._outages.pop(name, None)
        if outage is not None:
            at = time.strftime("%H:%M:%S", time.gmtime(self._clock() + outage.restart_in))
            self._outages[name] = f"{outage.reason}; the launcher starts it again at {at} UTC"
        self.write()

    def write(self) -> None:
        beside = self._path.with_suffix(".new")
        with contextlib.suppress(OSError):
            beside.write_text(json.dumps({"pid": os.getpid(), "outages": self._outages}), encoding="utf-8")
            beside.replace(self._path)

    def remove(self) -> None:
        with contextlib.suppress(OSError):
            self._path.unlink()


def read_launcher(folder: Path) -> tuple[int, dict[str, str]] | None:
    """Process id and outages by server name of the launcher of a folder; None when none runs."""
    try:
        noted = json.loads((folder / FILE).read_text(encoding="utf-8"))
        pid, outages = int(noted["pid"]), {str(name): str(text) for name, text in noted["outages"].items()}
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None
    # A launcher that was killed leaves its file.
    return (pid, outages) if psutil.pid_exists(pid) else None
