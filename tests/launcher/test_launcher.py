"""The launcher as a real process over real processes: small stand-ins that start at once and play the servers."""

from __future__ import annotations

import io
import os
import queue
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

import psutil
import pytest
from rich.console import Console

import start_all_servers
from relay.launcher.events import Event, Exited, Outage, StopRequested
from relay.launcher.plan import Program
from relay.launcher.processes import Processes, ServerProcess
from relay.launcher.screen import Screen
from relay.launcher.supervisor import Supervisor, Timeouts

SERVERS = ("llm_server", "sms_server", "telegram_server", "admin_server", "simulator")
STAND_IN = Path(__file__).with_name("stand_in.py")
PATIENCE = 60


class Run:
    """One run of the launcher, its lines as they come."""

    def __init__(self, folder: Path, environ: dict[str, str], *flags: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "start_all_servers.py", *flags],
            cwd=folder,
            env=environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self.lines: list[str] = []
        self._grown = threading.Condition()
        self._ended = False
        threading.Thread(target=self._read, args=(self.process.stdout,), daemon=True).start()

    def _read(self, pipe: IO[str]) -> None:
        for line in pipe:
            with self._grown:
                self.lines.append(line.rstrip("\n"))
                self._grown.notify_all()
        with self._grown:
            pipe.close()
            self._ended = True
            self._grown.notify_all()

    def until(self, pattern: str, after: int = 0) -> re.Match[str]:
        """The first line from number `after` on that matches."""

        def found() -> re.Match[str] | None:
            return next((match for line in self.lines[after:] if (match := re.search(pattern, line))), None)

        with self._grown:
            self._grown.wait_for(lambda: found() or self._ended, PATIENCE)
            match = found()
        assert match, f"{pattern!r} was never printed:\n" + "\n".join(self.lines)
        return match

    def pid_of(self, name: str, after: int = 0) -> int:
        return int(self.until(rf"^{name} +\| pid (\d+)", after)[1])

    def end(self) -> int:
        status = self.process.wait(PATIENCE)
        with self._grown:
            self._grown.wait_for(lambda: self._ended, PATIENCE)
        return status


@pytest.fixture
def project(project_folder: Path) -> Path:
    """The product with stand-ins in place of its servers."""
    for server in SERVERS:
        shutil.copy(STAND_IN, project_folder / f"{server}.py")
    return project_folder


@pytest.fixture
def launch(project: Path, product_environ: dict[str, str]) -> Iterator[Callable[..., Run]]:
    runs: list[Run] = []

    def start(*flags: str, **environ: str) -> Run:
        runs.append(Run(project, {**product_environ, **environ}, *flags))
        return runs[-1]

    yield start
    for run in runs:
        run.process.kill()
        run.end()


@pytest.mark.parametrize("signal_", [signal.SIGINT, signal.SIGTERM])
def test_everything_starts_in_order_and_a_signal_stops_it_in_reverse(
    launch: Callable[..., Run], signal_: signal.Signals
) -> None:
    """From the first line to exit status 0, with the try-out mode said loudly."""
    run = launch("--all")
    run.until("Everything is up")
    run.until("Ctrl-C stops everything")
    run.process.send_signal(signal_)
    assert run.end() == 0
    started = [line.split()[0] for line in run.lines if "simulated true" in line]
    assert set(started) == {"llm", "simulator", "sms", "telegram", "admin"}
    assert max(started.index("llm"), started.index("simulator")) < min(started.index("sms"), started.index("telegram"))
    stopped = [line.split()[0] for line in run.lines if line.endswith("| stopped")]
    assert set(stopped[:3]) == {"sms", "telegram", "admin"}
    assert stopped[3:] == ["simulator", "llm"]
    assert "SIMULATED" in "\n".join(run.lines[:4])


def test_with_one_platform_configured_the_other_is_left_out_and_nothing_is_simulated(
    launch: Callable[..., Run],
) -> None:
    """The children learn of no try-out mode, and the reason is said."""
    run = launch(TELEGRAM_BOT_TOKEN="123456:" + "a" * 35)
    run.until("Everything is up")
    run.process.send_signal(signal.SIGTERM)
    assert run.end() == 0
    text = "\n".join(run.lines)
    assert "left out: sms (not set: twilio_account_sid" in text
    assert "simulated None" in text
    assert "simulator" not in text


def test_a_child_killed_with_9_is_started_again(launch: Callable[..., Run]) -> None:
    """After its pause, with a new process, while the others run on."""
    run = launch("--llm", "--admin")
    run.until("Everything is up")
    before = len(run.lines)
    os.kill(run.pid_of("admin"), signal.SIGKILL)
    run.until(r"admin +\| !! was ended by SIGKILL; starting it again in 1 s", before)
    run.until(r"admin +\| is healthy again", before)
    assert psutil.pid_exists(run.pid_of("admin", before))
    run.process.send_signal(signal.SIGTERM)
    assert run.end() == 0


def test_a_server_that_cannot_do_its_work_is_named_instead_of_claiming_that_all_is_up(
    launch: Callable[..., Run], project: Path
) -> None:
    """Its process is healthy, yet /ready says no: a locked database, no model, a wrong token."""
    (project / "llm_server.mode").write_text("unready")
    run = launch("--llm")
    run.until("^Everything is running, but not everything is ready yet")
    run.until(r"^  not ready +llm: http://127\.0\.0\.1:\d+/ready says why")


def test_no_child_outlives_a_launcher_that_was_killed_with_9(launch: Callable[..., Run]) -> None:
    """The pipe on their stdin ends with it."""
    run = launch("--all")
    run.until("Everything is up")
    children = psutil.Process(run.process.pid).children()
    assert len(children) == 5
    run.process.kill()
    _, alive = psutil.wait_procs(children, timeout=PATIENCE)
    assert alive == []


def test_a_port_in_use_is_named_before_anything_starts(
    launch: Callable[..., Run], product_environ: dict[str, str]
) -> None:
    """Status 1, for it may pass; the port and its owner, and no server was started."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        run = launch("--all", SMS_SERVER_PORT=str(port))
        assert run.end() == 1
    sentence, end = run.lines
    assert end == "Still in use after 5 s; nothing was started."
    owner = rf"it is in use by .+ \(process {os.getpid()}\)\. "
    assert re.fullmatch(
        rf"sms cannot use port {port}: {owner}Stop that, or set SMS_SERVER_PORT to another number\.", sentence
    )


def test_a_port_that_is_free_again_after_a_moment_is_waited_for(launch: Callable[..., Run]) -> None:
    """As after a restart; the wait is announced."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        run = launch("--llm", LLM_SERVER_PORT=str(other.getsockname()[1]))
        run.until("it is in use by")
    run.until("Everything is up")
    run.process.send_signal(signal.SIGTERM)
    assert run.end() == 0


def test_a_second_launcher_in_the_same_folder_ends_with_a_sentence(launch: Callable[..., Run], project: Path) -> None:
    """Status 3, and the first runs on; after its end, even by kill -9, another one may start."""
    first = launch("--llm")
    first.until("Everything is up")
    second = launch("--admin")
    assert second.end() == 3
    assert second.lines == [f"Another launcher runs in {project} already (process {first.process.pid}). Stop it first."]
    first.process.kill()
    first.end()
    third = launch("--admin")
    third.until("Everything is up")
    third.process.send_signal(signal.SIGTERM)
    assert third.end() == 0
    assert not (project / "launcher.json").exists()


def test_a_launcher_with_another_folder_runs_beside_the_first(
    launch: Callable[..., Run], tmp_path: Path, free_port: Callable[[], int]
) -> None:
    """The settings and the lock are those of its folder, the programs are the same."""
    other = tmp_path / "other"
    other.mkdir()
    port = free_port()
    (other / "config.json").write_text(f'{{"llm_server_port": {port}}}')
    first = launch("--llm")
    first.until("Everything is up")
    second = launch("--llm", "--folder", str(other), LLM_SERVER_PORT="")
    second.until(f"LLM server +http://127.0.0.1:{port}$")
    assert psutil.Process(second.pid_of("llm")).cwd() == str(other)


@pytest.mark.parametrize("flags", [["--llm"], ["--check"]])
def test_a_folder_that_does_not_exist_is_refused(capsys: pytest.CaptureFixture[str], flags: list[str]) -> None:
    """No server could start in it, however often it is tried."""
    assert start_all_servers.main([*flags, "--folder", "/no/such/folder"]) == 2
    assert capsys.readouterr().err == "--folder: there is no folder /no/such/folder. Create it, or name another.\n"


def test_a_folder_that_cannot_be_locked_is_no_reason_not_to_run(launch: Callable[..., Run], project: Path) -> None:
    """A folder may be read-only; that two launchers are not noticed there is said."""
    (project / "launcher.lock").mkdir()
    run = launch("--llm")
    run.until("a second launcher in this folder would not be noticed")
    run.until("Everything is up")
    run.process.send_signal(signal.SIGTERM)
    assert run.end() == 0


def test_of_two_launchers_started_at_once_one_runs_everything(launch: Callable[..., Run]) -> None:
    """Never each a part of the servers."""
    both = [launch("--all"), launch("--all")]
    outcomes = {run: run.until("Another launcher runs|starting llm")[0] for run in both}
    [loser] = [run for run, outcome in outcomes.items() if outcome == "Another launcher runs"]
    winner = both[1 - both.index(loser)]
    assert loser.end() == 3
    winner.until("^Everything is up")
    winner.process.send_signal(signal.SIGTERM)
    assert winner.end() == 0


def test_systemd_hears_ready_the_watchdog_and_outages(launch: Callable[..., Run], tmp_path: Path) -> None:
    """READY=1 when all is up, WATCHDOG=1 meanwhile and after; no server gets the socket."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(tmp_path / "notify"))
        systemd.settimeout(PATIENCE)
        run = launch("--llm", NOTIFY_SOCKET=str(tmp_path / "notify"), WATCHDOG_USEC="400000")
        received = {systemd.recv(1000)}
        while b"READY=1" not in received:
            received.add(systemd.recv(1000))
        assert b"WATCHDOG=1" in received
        child = psutil.Process(run.pid_of("llm"))
        assert {"NOTIFY_SOCKET", "WATCHDOG_USEC"}.isdisjoint(child.environ())
        child.kill()
        while not (message := systemd.recv(1000)).startswith(b"STATUS=llm"):
            pass
    assert message.startswith(b"STATUS=llm: was ended by SIGKILL; the launcher starts it again at ")


def test_a_process_that_is_stopped_with_sigstop_is_killed_and_started_again(
    project: Path, product_environ: dict[str, str]
) -> None:
    """A real process that hangs, under the real supervisor with shorter limits."""
    (project / "llm_server.mode").write_text("unready")  # then health is probed twice a second
    program = Program("llm", "llm_server", int(product_environ["LLM_SERVER_PORT"]), "llm_server_port")
    events: queue.SimpleQueue[Event] = queue.SimpleQueue()
    processes = Processes(project, product_environ, events.put, lambda *_: None)
    started: list[ServerProcess] = []
    outages: list[Outage | None] = []

    def start(program: Program, run: int) -> ServerProcess:
        started.append(processes.start(program, run))
        return started[-1]

    def on_outage(_: str, outage: Outage | None) -> None:
        outages.append(outage)
        if outages == [None]:
            os.kill(started[0].pid, signal.SIGSTOP)
        elif outage is None:
            events.put(StopRequested("the end of the test"))

    screen = Screen(Console(file=io.StringIO()))
    supervisor = Supervisor(
        [program],
        start,
        screen.note,
        screen.alarm,
        lambda *_: None,
        on_outage,
        time.monotonic,
        Timeouts(health=0.1, hang=0.2),
    )
    try:
        assert supervisor.run(events, lambda: None) == 0
    finally:
        processes.kill_all()
        screen.close()
    assert outages == [None, Outage("hung and was killed", outages[1].restart_in if outages[1] else 0.0), None]
    assert len(started) == 2


def test_a_server_that_refuses_its_settings_is_not_started_again_soon_and_the_rest_runs(
    launch: Callable[..., Run], project: Path
) -> None:
    """Its own sentence is shown, and the exit status of the launcher tells in the end."""
    (project / "sms_server.mode").write_text("refuse")
    run = launch("--all")
    run.until(r"sms +\| there is no setting called")
    run.until(r"sms +\| !! its settings were refused")
    run.until("Not everything is up")
    run.until(r"not up yet +sms")
    run.process.send_signal(signal.SIGTERM)
    assert run.end() == 1
    assert sum("there is no setting" in line for line in run.lines) == 1


def test_a_launcher_whose_only_server_refuses_its_settings_ends(launch: Callable[..., Run], project: Path) -> None:
    """There is nothing left to wait for, and nothing that a service manager could improve by a restart."""
    (project / "llm_server.mode").write_text("refuse")
    assert launch("--llm").end() == 2


def test_a_server_that_crashes_at_once_is_tried_with_growing_pauses(launch: Callable[..., Run], project: Path) -> None:
    """The pauses are said; Ctrl-C in the midst of one ends at once."""
    (project / "llm_server.mode").write_text("crash")
    run = launch("--llm")
    run.until("starting it again in 1 s")
    run.until("starting it again in 2 s")
    run.process.send_signal(signal.SIGINT)
    assert run.end() == 0


def test_asking_twice_kills_a_stubborn_server(launch: Callable[..., Run], project: Path) -> None:
    """Nobody has to wait for the deadline who does not want to."""
    (project / "llm_server.mode").write_text("stubborn")
    run = launch("--llm")
    run.until("Everything is up")
    run.process.send_signal(signal.SIGINT)
    run.until(r"llm +\| asked to stop")
    threading.Event().wait(1.1)  # an echo within a second is no second ask
    run.process.send_signal(signal.SIGINT)
    assert run.end() == 1
    run.until(r"llm +\| !! is being killed")


def test_a_mistake_in_the_settings_is_one_sentence_and_status_2(launch: Callable[..., Run]) -> None:
    """No traceback."""
    run = launch("--all", TELEGRAM_MODE="carrier pigeon")
    assert run.end() == 2
    assert len(run.lines) == 1
    assert "telegram_mode" in run.lines[0]


def test_check_starts_nothing_and_says_that_nothing_is_in_the_way(launch: Callable[..., Run]) -> None:
    """The real flag, in a real process."""
    run = launch("--check")
    assert run.end() == 0
    assert run.lines[-1] == "No problems found."


def test_a_reader_that_goes_away_stops_no_server(project: Path, product_environ: dict[str, str]) -> None:
    """`start_all_servers.py | head -1` keeps the servers running, and they still stop cleanly."""
    command = [sys.executable, "start_all_servers.py", "--llm"]
    with subprocess.Popen(
        command, cwd=project, env=product_environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout
        assert process.stderr
        process.stdout.readline()
        process.stdout.close()
        [child] = wait_for_children(psutil.Process(process.pid))
        os.kill(child.pid, signal.SIGKILL)
        [successor] = wait_for_children(psutil.Process(process.pid), besides=child)
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE) == 0
        assert process.stderr.read() == b""
    assert psutil.wait_procs([successor], timeout=PATIENCE)[1] == []


def wait_for_children(parent: psutil.Process, besides: psutil.Process | None = None) -> list[psutil.Process]:
    """Its children as soon as there are any: another process, there is no event to await."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        children = [child for child in parent.children() if child != besides]
        if children:
            return children
        time.sleep(0.02)
    pytest.fail("no child was started")


def test_without_the_requirements_the_command_to_run_is_named(project: Path) -> None:
    """One line, whichever program was started."""
    done = subprocess.run(
        [sys.executable, "-S", "start_all_servers.py"], cwd=project, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 1
    assert done.stderr.rstrip().endswith("Run: make setup")


def test_without_the_requirements_the_command_to_run_is_named_from_where_it_was_started(
    project: Path, tmp_path: Path
) -> None:
    """The command works as it is printed, from another folder and with a space in the path."""
    spaced = project.rename(project.with_name("a project"))
    program = str(spaced / "start_all_servers.py")
    done = subprocess.run([sys.executable, "-S", program], cwd=tmp_path, capture_output=True, text=True, check=False)
    (spaced / "Makefile").write_text("setup:\n\t@echo set up\n")
    command = done.stderr.rpartition("Run: ")[2].strip()
    done = subprocess.run(["/bin/sh", "-c", command], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert "set up" in done.stdout.splitlines()


def test_killing_a_process_ends_what_it_started_as_well(tmp_path: Path) -> None:
    """The whole group dies, and its last lines come before the news of its end."""
    (tmp_path / "parent.py").write_text(
        "import subprocess, sys\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])\n"
        "print(child.pid, flush=True)\n"
        "child.wait()\n"
    )
    shown: list[str] = []
    events: list[Event] = []
    spoke, ended = threading.Event(), threading.Event()

    def show(_: str, text: str) -> None:
        shown.append(text)
        spoke.set()

    def on_event(event: Event) -> None:
        events.append(event)
        ended.set()

    process = Processes(tmp_path, os.environ, on_event, show).start(Program("parent", "parent", 1, "parent_port"), 1)
    assert spoke.wait(PATIENCE)
    grandchild = psutil.Process(int(shown[0]))
    process.kill()
    assert ended.wait(PATIENCE)
    assert events == [Exited("parent", 1, -signal.SIGKILL)]
    assert psutil.wait_procs([grandchild], timeout=PATIENCE)[1] == []
