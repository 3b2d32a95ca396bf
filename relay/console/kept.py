"""Keeps what was counted from many rows for a while, so that a page that is open costs little however much there is."""

from __future__ import annotations

from typing import Generic, TypeVar

T = TypeVar("T")

ROWS_PER_SECOND = 1000
LONGEST_SECONDS = 60.0


class Kept(Generic[T]):
    """Values by key, each kept a second for each thousand rows it was counted from; from fewer, it is not kept."""

    def __init__(self) -> None:
        self._values: dict[object, tuple[float, T]] = {}

    def get(self, key: object, now: float) -> T | None:
        """The value of a key; None when it has to be counted. now: Unix time."""
        until, value = self._values.get(key, (now, None))
        return value if now < until else None

    def put(self, key: object, value: T, now: float, rows: int, least_seconds: float = 0.0) -> T:
        """Keep a value that was counted from so many rows; the value."""
        self._values = {key: kept for key, kept in self._values.items() if now < kept[0]}
        seconds = max(min(LONGEST_SECONDS, rows // ROWS_PER_SECOND), least_seconds)
        if seconds:
            self._values[key] = (now + seconds, value)
        return value
