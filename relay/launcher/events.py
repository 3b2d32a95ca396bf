"""Events of the supervisor, put into its queue by threads and signal handlers, and the outages that it reports."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from relay.launcher.plan import Program


@dataclass(frozen=True, slots=True)
class Exited:
    """A process ended and its output was shown. status is negative when a signal ended it."""

    name: str
    run: int
    status: int


@dataclass(frozen=True, slots=True)
class Health:
    """The result of GET /health, sent when it changes."""

    name: str
    run: int
    ok: bool


@dataclass(frozen=True, slots=True)
class Ready:
    """The first 200 of a run to GET /ready: the server can do its work, its database included."""

    name: str
    run: int


@dataclass(frozen=True, slots=True)
class StopRequested:
    """All servers shall stop; `why` is the name of the signal."""

    why: str


@dataclass(frozen=True, slots=True)
class Outage:
    """Why a server does not run, and the seconds until its next start."""

    reason: str
    restart_in: float


@dataclass(frozen=True, slots=True)
class PlanChanged:
    """These programs, in start order, shall run from now on."""

    programs: tuple[Program, ...]


Event = Exited | Health | Ready | StopRequested | PlanChanged
Notify = Callable[[Event], None]
