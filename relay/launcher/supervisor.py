"""Keeps the servers running: starts them in order, restarts what dies, gives up on what cannot live, stops them all.

One loop owns all state; it is told events and looks at the clock, and acts through what it was given: a way to start a
process, and a screen to say things on. So every order of events can be tried without a process.
"""

from __future__ import annotations

import queue
import signal
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import Protocol, assert_never

from relay.core.retry import Backoff
from relay.launcher.events import Event, Exited, Health, Ready, StopAsked
from relay.launcher.plan import Program

BAD_SETTINGS = 2
"""Exit status of a server whose settings are refused: starting it again would change nothing."""


class Process(Protocol):
    """One running process."""

    pid: int

    def ask_to_stop(self) -> None: ...

    def kill(self) -> None: ...


class Screen(Protocol):
    """Where the launcher says what happens, in sentences."""

    def note(self, name: str, text: str) -> None: ...

    def alarm(self, name: str, text: str) -> None: ...


Start = Callable[[Program, int], Process]
Announce = Callable[[frozenset[str], frozenset[str]], None]
"""Told once: the names of those that answer, and of those among them that cannot do their work yet."""
Clock = Callable[[], float]

RESTART_BACKOFF = Backoff(1.0, 30.0)


@dataclass(frozen=True, slots=True)
class Patience:
    """How long the supervisor waits for what, in seconds."""

    quick_death: float = 10  # a life shorter than this counts towards giving up
    good_life: float = 60  # after one this long the pauses begin anew
    quick_deaths: int = 5
    health: float = 20  # a process without health for this long is talked about
    second_ask: float = 1  # make and timeout pass one signal on twice; only a later one means impatience
    readiness: float = 5  # when all are healthy for this long, they are announced, ready or not
    prerequisite: float = 30  # then a program is started although what it waits for is not healthy
    stop: tuple[float, ...] = (9, 11.5, 14)  # when what is left of the first, second, third wave is killed


class State(Enum):
    """Where a server stands."""

    WAITING = auto()  # for others to be healthy, or for the end of a pause
    RUNNING = auto()
    ENDED = auto()  # given up, refused or stopped: it is not started again


class Server:
    """What the supervisor knows about one program."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.name = program.name
        self.state = State.WAITING
        self.process: Process | None = None
        self.life = 0
        self.started_at = 0.0
        self.start_after = 0.0
        self.pauses = 0
        self.quick_deaths = 0
        self.healthy = False
        self.ready = False
        self.was_ever_healthy = False
        self.healthy_since = 0.0
        self.unhealthy_since = 0.0
        self.complained = False

    def began(self, process: Process, now: float) -> None:
        self.process, self.state = process, State.RUNNING
        self.started_at = self.unhealthy_since = now
        self.healthy = self.ready = self.complained = False

    def pause_after_death(self, now: float, patience: Patience) -> float | None:
        """Seconds to wait before the next life; None when it died too quickly too often."""
        lived = now - self.started_at
        if lived >= patience.good_life:
            self.pauses = 0
        self.quick_deaths = self.quick_deaths + 1 if lived < patience.quick_death else 0
        if self.quick_deaths >= patience.quick_deaths:
            return None
        self.pauses += 1
        return RESTART_BACKOFF.delay(self.pauses)


class Supervisor:
    """Runs a plan's programs until it is told to stop, or until none is left that can live."""

    def __init__(
        self,
        programs: Sequence[Program],
        start: Start,
        screen: Screen,
        announce: Announce,
        clock: Clock,
        patience: Patience | None = None,
    ) -> None:
        self._servers = {program.name: Server(program) for program in programs}
        self._start = start
        self._screen = screen
        self._announce = announce
        self._clock = clock
        self._patience = patience or Patience()
        self._began_at = clock()
        self._announced = False
        self._unready: set[str] = set()
        self._failed = False
        self._stopping_since: float | None = None
        self._waves = stop_waves(programs)
        self._asked: set[str] = set()
        self._killed: set[str] = set()

    def run(self, events: queue.SimpleQueue[Event], tick: float = 0.2) -> int:
        """Supervise until the end; gives the exit status: 0, or 1 when a server was given up or had to be killed."""
        while True:
            self.advance()
            if self.done:
                return self.exit_status
            try:
                self.handle(events.get(timeout=tick))
            except queue.Empty:
                continue

    @property
    def done(self) -> bool:
        if all(server.state is State.ENDED for server in self._servers.values()):
            return True
        # A process that even SIGKILL does not end (a dead disk) must not hold up the machine's shutdown.
        return self._stopping_since is not None and self._clock() > self._stopping_since + self._patience.stop[-1] + 0.5

    @property
    def exit_status(self) -> int:
        return 1 if self._failed or self._killed else 0

    # -- what it is told -------------------------------------------------------------------------------------------

    def handle(self, event: Event) -> None:
        """Take one event into account; news of an earlier life are old news."""
        if isinstance(event, StopAsked):
            self._stop_was_asked(event.why)
            return
        server = self._servers[event.name]
        if event.life != server.life or server.state is not State.RUNNING:
            return
        match event:
            case Exited():
                self._ended(server, event.status)
            case Health():
                self._health(server, ok=event.ok)
            case Ready():
                self._is_ready(server)
            case _:
                assert_never(event)

    def _stop_was_asked(self, why: str) -> None:
        now = self._clock()
        if self._stopping_since is None:
            self._stopping_since = now
            self._screen.note("launcher", f"stopping everything ({why}); a second signal kills what is left")
            for server in self._servers.values():
                if server.state is State.WAITING:
                    server.state = State.ENDED
        elif now - self._stopping_since >= self._patience.second_ask:
            self._kill(server for server in self._servers.values() if server.state is State.RUNNING)

    def _ended(self, server: Server, status: int) -> None:
        server.process = None
        server.healthy = False
        how = in_words(status)
        if self._stopping_since is not None:
            server.state = State.ENDED
            self._screen.note(server.name, "stopped" if server.name in self._asked else f"ended: {how}")
        elif status == BAD_SETTINGS:
            self._give_up(server, "its settings were refused, see its message above; it will not be restarted")
        else:
            self._restart_later(server, how)

    def _restart_later(self, server: Server, how: str) -> None:
        now = self._clock()
        pause = server.pause_after_death(now, self._patience)
        if pause is None:
            self._give_up(server, f"{how}; it died quickly {server.quick_deaths} times in a row, GIVEN UP")
            return
        server.state = State.WAITING
        server.start_after = now + pause
        self._screen.alarm(server.name, f"{how}; starting it again in {pause:g} s")

    def _give_up(self, server: Server, why: str) -> None:
        server.state = State.ENDED
        self._failed = True
        self._screen.alarm(server.name, why)

    def _health(self, server: Server, *, ok: bool) -> None:
        if ok and not server.healthy and (server.complained or server.was_ever_healthy):
            self._screen.note(server.name, "is healthy again")
        if ok:
            server.was_ever_healthy, server.complained = True, False
        if ok and not server.healthy:
            server.healthy_since = self._clock()
        elif server.healthy and not ok:
            server.unhealthy_since = self._clock()
        server.healthy = ok

    def _is_ready(self, server: Server) -> None:
        server.ready = True
        if server.name in self._unready:
            self._unready.discard(server.name)
            self._screen.note(server.name, "can do its work now")

    # -- what the clock says ---------------------------------------------------------------------------------------

    def advance(self) -> None:
        """Do what is due now."""
        now = self._clock()
        if self._stopping_since is not None:
            self._stop_in_waves(now - self._stopping_since)
            return
        for server in self._servers.values():
            if self._is_due(server, now):
                self._begin(server, now)
            elif server.state is State.RUNNING:
                self._mention_missing_health(server, now)
        self._announce_once(now)

    def _is_due(self, server: Server, now: float) -> bool:
        if server.state is not State.WAITING or now < server.start_after:
            return False
        if server.life > 0 or now - self._began_at > self._patience.prerequisite:
            return True
        needed = [self._servers[name] for name in server.program.waits_for]
        return all(other.was_ever_healthy or other.state is State.ENDED for other in needed)

    def _begin(self, server: Server, now: float) -> None:
        server.life += 1
        server.started_at = now
        try:
            server.began(self._start(server.program, server.life), now)
        except OSError as error:
            self._restart_later(server, f"cannot be started: {error}")

    def _mention_missing_health(self, server: Server, now: float) -> None:
        if server.healthy or server.complained or now - server.unhealthy_since < self._patience.health:
            return
        server.complained = True
        self._screen.alarm(
            server.name,
            f"runs (process {server.process.pid if server.process else '?'}) but has not answered GET /health "
            f"for {self._patience.health:g} s; it is left running",
        )

    def _announce_once(self, now: float) -> None:
        living = [server for server in self._servers.values() if server.state is not State.ENDED]
        if self._announced or not living:
            return
        if not self._is_settled(living, now) and now - self._began_at <= self._patience.health:
            return
        self._announced = True
        up = frozenset(server.name for server in living if server.healthy)
        self._unready = {server.name for server in living if server.healthy and not server.ready}
        self._announce(up, frozenset(self._unready))

    def _is_settled(self, living: Sequence[Server], now: float) -> bool:
        """Whether all are up: ready, or for so long healthy without being ready that somebody should be told."""
        return all(
            server.healthy and (server.ready or now - server.healthy_since >= self._patience.readiness)
            for server in living
        )

    # -- the end ---------------------------------------------------------------------------------------------------

    def _stop_in_waves(self, elapsed: float) -> None:
        """Ask the first wave that still runs to stop; kill it when its time is over; then the next."""
        deadlines = self._patience.stop[-len(self._waves) :]
        for wave, deadline in zip(self._waves, deadlines, strict=True):
            running = [self._servers[name] for name in wave if self._servers[name].state is State.RUNNING]
            if not running:
                continue
            self._ask(running)
            if elapsed < deadline:
                return
            self._kill(running)

    def _ask(self, servers: Iterable[Server]) -> None:
        for server in servers:
            if server.process and server.name not in self._asked:
                self._asked.add(server.name)
                server.process.ask_to_stop()

    def _kill(self, servers: Iterable[Server]) -> None:
        for server in servers:
            if server.process and server.name not in self._killed:
                self._killed.add(server.name)
                self._screen.alarm(server.name, "is being killed, it has not stopped yet")
                server.process.kill()


def stop_waves(programs: Sequence[Program]) -> list[list[str]]:
    """The start in reverse: first, together, all that nobody waits for; then the others, the last started first."""
    waited_for = {name for program in programs for name in program.waits_for}
    first = [program.name for program in reversed(programs) if program.name not in waited_for]
    return [first, *([program.name] for program in reversed(programs) if program.name in waited_for)]


def in_words(status: int) -> str:
    """What an exit status means."""
    if status >= 0:
        return f"ended with status {status}"
    try:
        return f"was ended by {signal.Signals(-status).name}"
    except ValueError:
        return f"was ended by signal {-status}"
