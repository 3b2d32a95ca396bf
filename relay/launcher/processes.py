"""One run of a server as a process of the operating system: started, read, stopped, killed.

Each process leads a session of its own, so that Ctrl-C in the terminal reaches only the launcher, which then stops
them in order. Its stdin is a pipe without data: when the launcher ends, even by kill -9, the pipe ends and the server
stops by itself. Its output is printed line by line; the supervisor gets an event at its end.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO

import psutil

from relay.launcher.events import Exited, Health, Notify, Ready
from relay.launcher.plan import Program

PROGRAM_FOLDER = Path(__file__).resolve().parents[2]
MAX_LINE_BYTES = 16_384
_MAX_BODY_BYTES = 100_000
WINDOWS = sys.platform == "win32"  # no sessions, process groups or signals there, but groups of consoles
Show = Callable[[str, str], None]


class Processes:
    """Starts programs of one folder with one environment; each start is a run with a number."""

    def __init__(self, folder: Path, environ: Mapping[str, str], notify: Notify, show: Show) -> None:
        self._folder = folder
        self._environ = {
            **environ,
            "PYTHONPATH": os.pathsep.join(filter(None, (str(PROGRAM_FOLDER), environ.get("PYTHONPATH")))),
            "RELAY_SUPERVISED": "1",
            "PYTHONUNBUFFERED": "1",
            "PYTHONUTF8": "1",
        }
        self._notify = notify
        self._show = show
        self._started: list[ServerProcess] = []

    def start(self, program: Program, run: int) -> ServerProcess:
        """Start one run; raises OSError when the system refuses."""
        popen = subprocess.Popen(  # noqa: S603 (our own programs, by our own interpreter)
            [sys.executable, "-m", program.module],
            cwd=self._folder,
            env=self._environ | _environ_of(program),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=not WINDOWS,
            creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),
        )
        process = ServerProcess(popen)
        self._started = [*self._living(), process]
        reader = threading.Thread(target=self._read, args=(program.name, popen.stdout), daemon=True)
        reader.start()
        threading.Thread(target=self._wait, args=(program.name, run, process, reader), daemon=True).start()
        threading.Thread(target=self._watch_health, args=(program, run, process), daemon=True).start()
        return process

    def kill_all(self) -> None:
        """Kill all processes that still run."""
        for process in self._living():
            process.kill()

    def _living(self) -> list[ServerProcess]:
        return [process for process in self._started if not process.ended.is_set()]

    def _read(self, name: str, pipe: IO[bytes]) -> None:
        with contextlib.suppress(OSError), pipe:
            while line := pipe.readline(MAX_LINE_BYTES):
                self._show(name, line.decode("utf-8", "replace").rstrip("\r\n"))

    def _wait(self, name: str, run: int, process: ServerProcess, reader: threading.Thread) -> None:
        status = process.wait()
        # Its output comes before the event; a grandchild that holds the pipe delays that by at most a second.
        reader.join(timeout=1)
        self._notify(Exited(name, run, status))

    def _watch_health(self, program: Program, run: int, process: ServerProcess) -> None:
        healthy = ready = False
        # Probed often while a change is expected.
        while not process.ended.wait((5.0 if ready else 0.5) if healthy else 0.05):
            # While it is unhealthy, a slow answer still shows that it does not hang.
            ok = returns_200(program, "/health", 2 if healthy else 10)
            if ok != healthy:
                self._notify(Health(program.name, run, ok))
            healthy = ok
            if ok and not ready and returns_200(program, "/ready"):
                ready = True
                self._notify(Ready(program.name, run))


def _environ_of(program: Program) -> dict[str, str]:
    """The settings that a program gets beside those of the folder."""
    address = {"PUBLIC_URL": program.public_url} if program.public_url else {}
    return ({"SIMULATED": "true"} if program.simulated else {}) | address


class ServerProcess:
    """A handle on one running process (and, on Windows, its descendants; elsewhere its process group)."""

    def __init__(self, popen: subprocess.Popen[bytes]) -> None:
        self._popen = popen
        self.pid = popen.pid
        self.ended = threading.Event()

    def wait(self) -> int:
        """Wait for the end; closes the pipe and returns the exit status."""
        status = self._popen.wait()
        self.ended.set()
        if self._popen.stdin:
            with contextlib.suppress(OSError):
                self._popen.stdin.close()
        return status

    def request_stop(self) -> None:
        """Ask for a clean stop; no error when the process has ended."""
        with contextlib.suppress(OSError):
            self._popen.send_signal(getattr(signal, "CTRL_BREAK_EVENT", signal.SIGTERM))

    def kill(self) -> None:
        """Kill the process and its descendants."""
        if WINDOWS:
            with contextlib.suppress(psutil.Error):
                for child in psutil.Process(self.pid).children(recursive=True):
                    child.kill()
            self._popen.kill()
        else:
            with contextlib.suppress(OSError):
                os.killpg(self.pid, signal.SIGKILL)


def returns_200(program: Program, path: str, timeout: float = 2) -> bool:
    """Whether GET `path` returns 200 within `timeout` seconds."""
    status, _ = _get(program, path, timeout)
    return status == 200


def why_not_ready(program: Program) -> str | None:
    """The reason in the program's /ready; None when it names none or is ready."""
    _, body = _get(program, "/ready", 2)
    try:
        reason = json.loads(body).get("reason")
    except (ValueError, AttributeError):
        return None
    return reason if isinstance(reason, str) else None


def _get(program: Program, path: str, timeout: float) -> tuple[int, bytes]:
    """Status and body of a response; (0, b"") when there is none within `timeout` seconds."""
    # The standard library's client is enough for one call, and ignores proxies of the environment.
    with contextlib.closing(http.client.HTTPConnection(program.host, program.port, timeout=timeout)) as connection:
        try:
            connection.request("GET", path, headers={"Connection": "close"})
            response = connection.getresponse()
            return response.status, response.read(_MAX_BODY_BYTES)
        except (OSError, http.client.HTTPException):
            return 0, b""
