"""The answers that are being written, by the name that their client gave them and by which it may stop one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from relay.llm.chat import RequestTiming


class AnswersInFlight:
    """The timing of each named answer of this process, whichever version of the settings it began with."""

    def __init__(self) -> None:
        self._timings: dict[str, RequestTiming] = {}

    @contextmanager
    def registered(self, name: str, timing: RequestTiming) -> Iterator[None]:
        """Register an answer while the block runs; one without a name cannot be stopped."""
        if not name:
            yield
            return
        self._timings[name] = timing
        try:
            yield
        finally:
            self._timings.pop(name, None)

    def stop(self, name: str) -> bool:
        """End an answer where it is, such that its client gets its end with what was used; False when none is written.

        One that waits in a queue has used nothing: its client leaves instead.
        """
        timing = self._timings.get(name)
        if timing is None or timing.stop is None:
            return False
        timing.stop()
        return True
