"""What the supervisor is told. Threads and signal handlers only put these into its queue; they decide nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Exited:
    """A process ended, after its last line was shown. status is negative when a signal ended it."""

    name: str
    life: int
    status: int


@dataclass(frozen=True, slots=True)
class Health:
    """The answer, or the lack of one, to GET /health; told when it changes and on each failure."""

    name: str
    life: int
    ok: bool


@dataclass(frozen=True, slots=True)
class Ready:
    """The first good answer of a life to GET /ready: the server can do its work, its database included."""

    name: str
    life: int


@dataclass(frozen=True, slots=True)
class StopAsked:
    """Somebody wants everything stopped: the signal's name."""

    why: str


Event = Exited | Health | Ready | StopAsked
Tell = Callable[[Event], None]
