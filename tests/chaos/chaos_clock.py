"""The clock of the servers of a campaign, stepped by libfaketime where it is installed; timers are not affected."""

from __future__ import annotations

import os
from pathlib import Path

PLACES = ("/usr/lib/*/faketime/libfaketimeMT.so.1", "/usr/local/lib/faketime/libfaketimeMT.so.1")
LIBRARY = "LIBFAKETIME"
"""Names the library in the environment when it is in another place."""


class FakedClock:
    """The difference to the real time is in a file, which the library reads again every second."""

    def __init__(self, file: Path) -> None:
        self._file = file
        found = [str(path) for place in PLACES for path in Path("/").glob(place.lstrip("/"))]
        self._library = os.environ.get(LIBRARY) or next(iter(found), None)

    @property
    def installed(self) -> bool:
        return self._library is not None

    def environment(self) -> dict[str, str]:
        """What the servers need in their environment; nothing when the library is not installed."""
        if self._library is None:
            return {}
        self.set(0)
        return {
            "LD_PRELOAD": self._library,
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_CACHE_DURATION": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "FAKETIME_DISABLE_SHM": "1",
            "NO_FAKE_STAT": "1",
        }

    def set(self, seconds: int) -> None:
        """From now on the servers' clock differs by so many seconds."""
        new = self._file.with_suffix(".new")
        new.write_text(f"{seconds:+d}\n", encoding="ascii")
        new.replace(self._file)
