"""simulator.py as a process: it listens on this machine alone, and stops at once whatever is open."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import psutil
import pytest

from relay.channels.telegram.settings import SIMULATED_BOT_TOKEN
from tests.simulator.running_simulator import PATIENCE

Start = Callable[..., "tuple[subprocess.Popen[str], str]"]


@pytest.fixture
def start(
    project_folder: Path, product_environ: dict[str, str], wait_for_health: Callable[..., None]
) -> Iterator[Start]:
    """Starts simulator.py with more environment; the process, and its address."""
    started: list[subprocess.Popen[str]] = []

    def run(**environ: str) -> tuple[subprocess.Popen[str], str]:
        process = subprocess.Popen(
            [sys.executable, "simulator.py"],
            cwd=project_folder,
            env={**product_environ, **environ},
            stderr=subprocess.PIPE,
            stdin=subprocess.DEVNULL,
            text=True,
        )
        started.append(process)
        wait_for_health(product_environ["SIMULATOR_PORT"])
        return process, f"http://127.0.0.1:{product_environ['SIMULATOR_PORT']}"

    yield run
    for process in started:
        process.kill()
        process.communicate()


def test_open_polls_waits_and_event_streams_do_not_hold_up_the_stop(start: Start) -> None:
    """SIGTERM ends them politely; nothing has to be cancelled."""
    process, base = start()
    poll = f"/bot{SIMULATED_BOT_TOKEN}/getUpdates?timeout=50"
    paths = (poll, "/sim/wait?platform=sms&person=Ada&timeout=60", "/sim/events")
    with ExitStack() as stack:
        clients = [stack.enter_context(closing(HTTPConnection(urlsplit(base).netloc, timeout=PATIENCE))) for _ in paths]
        for client, path in zip(clients, paths, strict=True):
            client.request("GET", path)
        for _ in range(3):  # what was asked before these is being worked on when they are answered
            httpx.get(f"{base}/health")
        process.send_signal(signal.SIGTERM)
        _, log = process.communicate(timeout=PATIENCE)
        outputs = [client.getresponse().read().decode() for client in clients]
    assert "graceful shutdown exceeded" not in log
    assert '{"ok":true,"result":[]}' in outputs[0]
    assert '"reached":false' in outputs[1]
    assert "simulated" in outputs[2]


def test_it_listens_on_this_machine_alone_and_leaves_real_credentials_out(start: Start) -> None:
    """Whatever bind_host says; a token of a real bot opens nothing here, and is not printed."""
    process, base = start(BIND_HOST="0.0.0.0", TELEGRAM_BOT_TOKEN="123456789:" + "r" * 35)
    listening = [one.laddr.ip for one in psutil.Process(process.pid).net_connections() if one.status == "LISTEN"]
    assert listening == ["127.0.0.1"]
    assert httpx.get(f"{base}/bot123456789:{'r' * 35}/getMe").status_code == 401
    assert httpx.get(f"{base}/bot{SIMULATED_BOT_TOKEN}/getMe").json()["ok"]
    os.kill(process.pid, signal.SIGINT)
    _, log = process.communicate(timeout=PATIENCE)
    assert "r" * 35 not in log


def test_a_bad_setting_is_one_sentence(project_folder: Path, product_environ: dict[str, str]) -> None:
    """Exit status 2, no traceback."""
    done = subprocess.run(
        [sys.executable, "simulator.py"],
        cwd=project_folder,
        env={**product_environ, "SIMULATOR_PORT": "no"},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 2
    assert "simulator_port" in done.stderr
    assert "Traceback" not in done.stderr
