"""The console as a process of its own: where it listens, how it stops, and how it refuses a bad setting."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path

import psutil

from tests.console.running import console_process


def test_it_listens_on_loopback_alone_and_stops_cleanly(
    tmp_path: Path, product_environ: dict[str, str], wait_for_health: Callable[..., None]
) -> None:
    """Whatever bind_host says; SIGTERM ends it well within its deadline."""
    with console_process(tmp_path, product_environ, BIND_HOST="0.0.0.0") as process:
        wait_for_health(product_environ["ADMIN_SERVER_PORT"])
        listening = [
            connection.laddr.ip
            for connection in psutil.Process(process.pid).net_connections("inet")
            if connection.status == psutil.CONN_LISTEN
        ]
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) in {0, -signal.SIGTERM}  # uvicorn raises the signal again when all is closed
        assert listening == ["127.0.0.1"]


def test_a_bad_setting_is_one_sentence(tmp_path: Path, product_environ: dict[str, str]) -> None:
    """Exit status 2 and a line that names the setting, no traceback."""
    with console_process(tmp_path, product_environ, ADMIN_SERVER_PORT="console") as process:
        assert process.wait(120) == 2
    shown = (tmp_path / "console.log").read_text()
    assert "admin_server_port is not valid" in shown
    assert "Traceback" not in shown
