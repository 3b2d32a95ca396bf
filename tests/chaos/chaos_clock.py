"""The clock of the servers of a campaign, stepped by libfaketime; timers are not affected."""

from __future__ import annotations

import os
from pathlib import Path

PLACES = ("/usr/lib/*/faketime/libfaketimeMT.so.1", "/usr/local/lib/faketime/libfaketimeMT.so.1")
LIBRARY = "LIBFAKETIME"
"""Names the library in the environment when it is in another place."""


class FakedClock:
    """The difference to the real time is in a file, which the library reads again every second.

    Not used unless `stepped`, because the library makes the servers much slower.
    """

    def __init__(self, file: Path, *, stepped: bool) -> None:
        self._file = file
        self.stepped = stepped

    def environment(self) -> dict[str, str]:
        """What the servers need in their environment."""
        if not self.stepped:
            return {}
        self.set(0)
        return {
            "LD_PRELOAD": _library(),
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


def _library() -> str:
    installed = [str(path) for place in PLACES for path in Path("/").glob(place.lstrip("/"))]
    found = [os.environ[LIBRARY]] if LIBRARY in os.environ else installed
    assert found, f"libfaketime is not installed; {LIBRARY} may name it"
    return found[0]
