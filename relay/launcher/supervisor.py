"""Keeps the servers running: starts them in order, restarts those that end or hang, for as long as it runs.

One loop owns all state. Its inputs are events and a clock, its effects a function that starts a process and a log, so
tests can try every order of events without processes.
"""

from __future__ import annotations

import contextlib
import queue
import signal
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import assert_never

from relay.core.retry import Backoff
from relay.launcher.events import Event, Exited, Health, Outage, PlanChanged, Ready, StopRequested
from relay.launcher.plan import Program
from relay.launcher.processes import ServerProcess

BAD_SETTINGS = 2
"""Exit status of a server whose settings are refused: only their correction would change anything."""


Start = Callable[[Program, int], ServerProcess]
Notify = Callable[[str, str], None]
"""Called with the name of a server and a sentence for the operator."""
Announce = Callable[[frozenset[str], frozenset[str]], None]
"""Called once with the names of the healthy servers, and of those among them that are not ready."""
OnOutage = Callable[[str, Outage | None], None]
"""Called when a server ended without a stop, and with None when it is healthy again."""
Clock = Callable[[], float]

RESTART_BACKOFF = Backoff(1.0, 30.0)


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Time limits of the supervisor in seconds, and the number of crashes that make a crash loop."""

    crash_window: float = 10  # a run shorter than this is a crash
    stable_after: float = 60  # after a run this long the delays start again at the first
    max_crashes: int = 5
    crash_loop_delay: float = 300  # between two starts after `max_crashes` crashes in a row
    health: float = 20  # an unhealthy process is reported after this time
    hang: float = 60  # one that was healthy before is killed after this time
    startup: float = 600  # and one that never was; even during a migration /health answers after seconds
    second_signal: float = 1  # make and timeout forward one signal twice; only a later one kills
    readiness: float = 5  # healthy for this long: announced, ready or not
    dependency: float = 30  # then a program is started without its dependencies
    stop: tuple[float, ...] = (9, 11.5, 14)  # when the rest of the first, second, third wave is killed


class State(Enum):
    """The state of a server."""

    WAITING = auto()  # for dependencies, or for the restart delay
    RUNNING = auto()
    REFUSED = auto()  # its settings were refused; tried again while other servers run
    ENDED = auto()  # stopped; final


OVER = frozenset({State.REFUSED, State.ENDED})
"""States of a server that has no process and for which nothing waits."""


@dataclass(slots=True, eq=False)
class SupervisedServer:
    """The state of one program under supervision, and of its latest run."""

    program: Program
    state: State = State.WAITING
    start_after: float = 0.0
    restarts: int = 0
    crashes: int = 0
    was_ever_healthy: bool = False

    run: int = 0
    started_at: float = 0.0
    process: ServerProcess | None = None
    healthy: bool = False
    ready: bool = False
    health_changed_at: float = 0.0
    healthy_in_run: bool = False
    reported: bool = False
    hung: bool = False
    stop_requested: bool = False
    killed: bool = False
    leaving_since: float | None = None
    successor: Program | None = None

    @property
    def name(self) -> str:
        return self.program.name

    def started(self, process: ServerProcess, now: float) -> None:
        self.process, self.state, self.health_changed_at = process, State.RUNNING, now
        self.healthy = self.ready = self.healthy_in_run = self.reported = self.hung = False
        self.stop_requested = self.killed = False

    def restart_delay(self, now: float, timeouts: Timeouts) -> float:
        """Seconds until the next start, by the length of the last runs."""
        duration = now - self.started_at
        if duration >= timeouts.stable_after:
            self.restarts = 0
        self.crashes = self.crashes + 1 if duration < timeouts.crash_window else 0
        if self.crashes >= timeouts.max_crashes:
            return timeouts.crash_loop_delay
        self.restarts += 1
        return RESTART_BACKOFF.delay(self.restarts)


class Supervisor:
    """Runs the programs of a plan until a stop is requested or the settings of all are refused."""

    def __init__(
        self,
        programs: Sequence[Program],
        start: Start,
        note: Notify,
        alarm: Notify,
        announce: Announce,
        on_outage: OnOutage,
        clock: Clock,
        timeouts: Timeouts | None = None,
    ) -> None:
        self._servers = {program.name: SupervisedServer(program) for program in programs}
        self._start = start
        self._note, self._alarm = note, alarm
        self._announce = announce
        self._on_outage = on_outage
        self._clock = clock
        self._timeouts = timeouts or Timeouts()
        self._started_at = clock()
        self._announced = False
        self._unready: set[str] = set()
        self._stopping_since: float | None = None
        self._waves = stop_waves(programs)

    def run(self, events: queue.SimpleQueue[Event], heartbeat: Callable[[], None], tick: float = 0.2) -> int:
        """Supervise until all have ended; returns the exit status. Calls `heartbeat` at least every `tick` seconds."""
        while True:
            heartbeat()
            self.advance()
            if self.done:
                return self.exit_status
            with contextlib.suppress(queue.Empty):
                self.handle(events.get(timeout=tick))

    @property
    def done(self) -> bool:
        if all(server.state in OVER for server in self._servers.values()):
            return True
        # A process that even SIGKILL does not end (a dead disk) must not hold up the machine's shutdown.
        return self._stopping_since is not None and self._clock() > self._stopping_since + self._timeouts.stop[-1] + 0.5

    @property
    def exit_status(self) -> int:
        """BAD_SETTINGS when no server is left to run; 1 after a stop with one refused or killed; else 0."""
        refused = any(server.state is State.REFUSED for server in self._servers.values())
        if refused and self._stopping_since is None:
            return BAD_SETTINGS
        return 1 if refused or any(server.killed for server in self._servers.values()) else 0

    # -- events ----------------------------------------------------------------------------------------------------

    def handle(self, event: Event) -> None:
        """Apply one event; events of an earlier run are ignored."""
        if isinstance(event, StopRequested):
            self._stop(event.why)
            return
        if isinstance(event, PlanChanged):
            self._change(event.programs)
            return
        server = self._servers.get(event.name)
        if server is None or event.run != server.run or server.state is not State.RUNNING:
            return
        match event:
            case Exited():
                self._on_exit(server, event.status)
            case Health():
                self._on_health(server, ok=event.ok)
            case Ready():
                self._on_ready(server)
            case _:
                assert_never(event)

    def _stop(self, why: str) -> None:
        now = self._clock()
        if self._stopping_since is None:
            self._stopping_since = now
            self._note("launcher", f"stopping everything ({why}); a second signal kills what is left")
            for server in self._servers.values():
                if server.state is State.WAITING:
                    server.state = State.ENDED
        elif now - self._stopping_since >= self._timeouts.second_signal:
            self._kill(server for server in self._servers.values() if server.state is State.RUNNING)

    def _on_exit(self, server: SupervisedServer, status: int) -> None:
        server.process = None
        server.healthy = False
        how = in_words(status)
        if self._stopping_since is not None:
            server.state = State.ENDED
            self._note(server.name, "stopped" if server.stop_requested else f"ended: {how}")
        elif server.leaving_since is not None:
            self._note(server.name, "stopped")
            self._succeed(server)
        elif status == BAD_SETTINGS:
            delay, reason = self._timeouts.crash_loop_delay, "its settings were refused"
            server.state, server.start_after = State.REFUSED, self._clock() + delay
            self._alarm(server.name, f"{reason}, see its message above; starting it again in {delay:g} s")
            self._on_outage(server.name, Outage(reason, delay))
        else:
            self._restart_later(server, "hung and was killed" if server.hung else how)

    def _restart_later(self, server: SupervisedServer, how: str) -> None:
        now = self._clock()
        delay = server.restart_delay(now, self._timeouts)
        looping = server.crashes >= self._timeouts.max_crashes
        reason = f"{how}, {server.crashes} times in a row right after its start" if looping else how
        server.state = State.WAITING
        server.start_after = now + delay
        advice = "; IT KEEPS CRASHING, see its messages above" if looping else ""
        self._alarm(server.name, f"{reason}; starting it again in {delay:g} s{advice}")
        self._on_outage(server.name, Outage(reason, delay))

    def _on_health(self, server: SupervisedServer, *, ok: bool) -> None:
        if ok == server.healthy:
            return
        server.healthy, server.health_changed_at = ok, self._clock()
        if ok:
            if server.reported or server.was_ever_healthy:
                self._note(server.name, "is healthy again")
            server.was_ever_healthy, server.healthy_in_run, server.reported = True, True, False
            self._on_outage(server.name, None)

    def _on_ready(self, server: SupervisedServer) -> None:
        server.ready = True
        if server.name in self._unready:
            self._unready.discard(server.name)
            self._note(server.name, "can do its work now")

    # -- another plan ----------------------------------------------------------------------------------------------

    def _change(self, programs: Sequence[Program]) -> None:
        """Run these programs: start new ones, restart those that differ, stop the others. Not during a stop."""
        if self._stopping_since is not None:
            return
        wanted = {program.name: program for program in programs}
        for server in list(self._servers.values()):
            self._replace(server, wanted.get(server.name))
        for name, program in wanted.items():
            self._servers.setdefault(name, SupervisedServer(program))
        self._waves = stop_waves(programs)
        self._announced, self._started_at = False, self._clock()

    def _replace(self, server: SupervisedServer, program: Program | None) -> None:
        if server.leaving_since is not None:
            server.successor = program
        elif server.program != program:
            server.successor = program
            if server.process is None:
                self._succeed(server)
                return
            server.leaving_since, server.stop_requested = self._clock(), True
            self._note(server.name, "is being stopped, it is not needed now" if program is None else "is restarted")
            server.process.request_stop()

    def _succeed(self, server: SupervisedServer) -> None:
        """Forget a server without a process, or have its successor started in its place."""
        self._on_outage(server.name, None)
        if server.successor is None:
            del self._servers[server.name]
            return
        server.program, server.successor, server.leaving_since = server.successor, None, None
        server.state, server.start_after, server.crashes, server.restarts = State.WAITING, self._clock(), 0, 0

    # -- timers ----------------------------------------------------------------------------------------------------

    def advance(self) -> None:
        """Start, stop and report whatever is due."""
        now = self._clock()
        if self._stopping_since is not None:
            self._stop_in_waves(now - self._stopping_since)
            return
        for server in self._servers.values():
            if self._is_due(server, now):
                self._start_run(server, now)
            elif server.leaving_since is not None:
                if now - server.leaving_since > self._timeouts.stop[0]:
                    self._kill([server])
            elif server.state is State.RUNNING:
                self._watch_health(server, now)
        self._announce_once(now)

    def _is_due(self, server: SupervisedServer, now: float) -> bool:
        if server.state not in {State.WAITING, State.REFUSED} or now < server.start_after:
            return False
        if server.run > 0 or now - self._started_at > self._timeouts.dependency:
            return True
        needed = [self._servers[name] for name in server.program.waits_for if name in self._servers]
        return all(other.was_ever_healthy or other.state in OVER for other in needed)

    def _start_run(self, server: SupervisedServer, now: float) -> None:
        server.run += 1
        server.started_at = now
        try:
            server.started(self._start(server.program, server.run), now)
        except OSError as error:
            self._restart_later(server, f"cannot be started: {error}")

    def _watch_health(self, server: SupervisedServer, now: float) -> None:
        """Report a server without health; kill it when it hangs. A slow start may take long, a migration longer."""
        if server.healthy or server.hung or server.process is None:
            return
        limits, silent = self._timeouts, now - server.health_changed_at
        what = f"runs (process {server.process.pid}) but has not answered GET /health for"
        limit = limits.hang if server.healthy_in_run else limits.startup
        if silent >= limit:
            server.hung = True
            self._alarm(server.name, f"{what} {limit:g} s; it is being killed and started again")
            server.process.kill()
        elif not server.reported and silent >= limits.health:
            server.reported = True
            self._alarm(server.name, f"{what} {limits.health:g} s; it is killed after {limit:g} s")

    def _announce_once(self, now: float) -> None:
        """Announce when all are ready or healthy for the readiness timeout, or at the end of the health timeout."""
        living = [server for server in self._servers.values() if server.state not in OVER]
        all_up = all(
            server.healthy
            and server.leaving_since is None
            and (server.ready or now - server.health_changed_at >= self._timeouts.readiness)
            for server in living
        )
        if self._announced or not living or not (all_up or now - self._started_at > self._timeouts.health):
            return
        self._announced = True
        up = frozenset(server.name for server in living if server.healthy)
        self._unready = {server.name for server in living if server.healthy and not server.ready}
        self._announce(up, frozenset(self._unready))

    # -- stop ------------------------------------------------------------------------------------------------------

    def _stop_in_waves(self, elapsed: float) -> None:
        """Ask the first wave that still runs to stop, kill it at its deadline, then go on with the next."""
        deadlines = self._timeouts.stop[-len(self._waves) :]
        for wave, deadline in zip(self._waves, deadlines, strict=True):
            running = [self._servers[name] for name in wave if self._servers[name].state is State.RUNNING]
            if not running:
                continue
            for server in running:
                if server.process and not server.stop_requested:
                    server.stop_requested = True
                    server.process.request_stop()
            if elapsed < deadline:
                return
            self._kill(running)

    def _kill(self, servers: Iterable[SupervisedServer]) -> None:
        for server in servers:
            if server.process and not server.killed:
                server.killed = True
                self._alarm(server.name, "is being killed, it has not stopped yet")
                server.process.kill()


def stop_waves(programs: Sequence[Program]) -> list[list[str]]:
    """Names in stop order: first, together, all that no program waits for; then the others, the last started first."""
    waited_for = {name for program in programs for name in program.waits_for}
    first = [program.name for program in reversed(programs) if program.name not in waited_for]
    return [first, *([program.name] for program in reversed(programs) if program.name in waited_for)]


def in_words(status: int) -> str:
    """Describe an exit status."""
    if status >= 0:
        return f"ended with status {status}"
    try:
        return f"was ended by {signal.Signals(-status).name}"
    except ValueError:
        return f"was ended by signal {-status}"
