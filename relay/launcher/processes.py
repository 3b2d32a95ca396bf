"""One life of one server as a process of the operating system: started, listened to, asked to stop, killed.

Each process leads a session of its own, so that Ctrl-C in the terminal reaches only the launcher, which then stops
them in order. Its stdin is a pipe that nobody writes to: when the launcher is gone, even by kill -9, the pipe ends and
the server stops by itself. What a process prints goes to the screen line by line; that it ended goes to the supervisor.
"""

from __future__ import annotations

import contextlib
import http.client
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO

import psutil

from relay.launcher.events import Exited, Health, Ready, Tell
from relay.launcher.plan import Program

LONGEST_LINE = 16_384
WINDOWS = sys.platform == "win32"  # no sessions, process groups or signals there, but groups of consoles
Show = Callable[[str, str], None]


class Processes:
    """Starts programs of one folder with one environment; each start is one life with a number of its own."""

    def __init__(self, folder: Path, environ: Mapping[str, str], tell: Tell, show: Show) -> None:
        self._folder = folder
        self._environ = {
            **environ,
            "RELAY_SUPERVISED": "1",
            "PYTHONUNBUFFERED": "1",
            "PYTHONUTF8": "1",
        }
        self._tell = tell
        self._show = show
        self._started: list[ServerProcess] = []

    def start(self, program: Program, life: int) -> ServerProcess:
        """Start one life; raises OSError when the system refuses."""
        popen = subprocess.Popen(  # noqa: S603 (our own programs, by our own interpreter)
            [sys.executable, program.file],
            cwd=self._folder,
            env=self._environ,
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
        threading.Thread(target=self._wait, args=(program.name, life, process, reader), daemon=True).start()
        threading.Thread(target=self._watch_health, args=(program, life, process), daemon=True).start()
        return process

    def kill_all(self) -> None:
        """End whatever still runs, without asking; for the last moment of the launcher."""
        for process in self._living():
            process.kill()

    def _living(self) -> list[ServerProcess]:
        return [process for process in self._started if not process.ended.is_set()]

    def _read(self, name: str, pipe: IO[bytes]) -> None:
        with contextlib.suppress(OSError), pipe:
            while line := pipe.readline(LONGEST_LINE):
                self._show(name, line.decode("utf-8", "replace").rstrip("\r\n"))

    def _wait(self, name: str, life: int, process: ServerProcess, reader: threading.Thread) -> None:
        status = process.wait()
        # Its last words come before the news of its end; a grandchild that holds the pipe must not delay them for long.
        reader.join(timeout=1)
        self._tell(Exited(name, life, status))

    def _watch_health(self, program: Program, life: int, process: ServerProcess) -> None:
        healthy = ready = False
        while not process.ended.wait(_pause(healthy=healthy, ready=ready)):
            ok = is_healthy(program.host, program.port)
            if ok != healthy or healthy:
                self._tell(Health(program.name, life, ok))
            healthy = ok
            if ok and not ready and is_ready(program.host, program.port):
                ready = True
                self._tell(Ready(program.name, life))


class ServerProcess:
    """A handle on one running process (and, on Windows, its descendants; elsewhere its process group)."""

    def __init__(self, popen: subprocess.Popen[bytes]) -> None:
        self._popen = popen
        self.pid = popen.pid
        self.ended = threading.Event()

    def wait(self) -> int:
        """Wait for the end; gives the exit status and frees the pipe."""
        status = self._popen.wait()
        self.ended.set()
        if self._popen.stdin:
            with contextlib.suppress(OSError):
                self._popen.stdin.close()
        return status

    def ask_to_stop(self) -> None:
        """Ask for a clean stop; a process that is gone already is no error."""
        with contextlib.suppress(OSError):
            self._popen.send_signal(getattr(signal, "CTRL_BREAK_EVENT", signal.SIGTERM))

    def kill(self) -> None:
        """End the process and everything that it started, now."""
        if WINDOWS:
            with contextlib.suppress(psutil.Error):
                for child in psutil.Process(self.pid).children(recursive=True):
                    child.kill()
            self._popen.kill()
        else:
            with contextlib.suppress(OSError):
                os.killpg(self.pid, signal.SIGKILL)


def _pause(*, healthy: bool, ready: bool) -> float:
    """Seconds until the next look: often while something is expected to change."""
    if not healthy:
        return 0.05
    return 5.0 if ready else 0.5


def is_healthy(host: str, port: int) -> bool:
    """Whether the process answers: GET /health with 200 within two seconds."""
    return _says_yes(host, port, "/health")


def is_ready(host: str, port: int) -> bool:
    """Whether the server can do its work now: GET /ready with 200 within two seconds."""
    return _says_yes(host, port, "/ready")


def _says_yes(host: str, port: int, path: str) -> bool:
    """Ask one question.

    The standard library's client is enough for this one call, and asks for no proxy that the environment may name.
    """
    connection = http.client.HTTPConnection(host, port, timeout=2)
    try:
        connection.request("GET", path, headers={"Connection": "close"})
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
