"""The launcher over the real servers: they notice that it is gone, whatever they are doing."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

PATIENCE = 60


@pytest.mark.processes
def test_no_real_server_outlives_a_launcher_that_was_killed_with_9(
    project_folder: Path, product_environ: dict[str, str], wait_for_health: Callable[..., None]
) -> None:
    """All five stop by themselves and leave their ports free for the next start, which stops cleanly."""
    command = [sys.executable, "start_all_servers.py", "--all"]
    ports = [value for key, value in product_environ.items() if key.endswith("_PORT")]
    with (project_folder / "launcher_output.log").open("wb") as log:
        with subprocess.Popen(command, cwd=project_folder, env=product_environ, stdout=log, stderr=log) as first:
            for port in ports:
                wait_for_health(port, PATIENCE)
            servers = psutil.Process(first.pid).children()
            first.kill()
            _, alive = psutil.wait_procs(servers, timeout=PATIENCE)
        assert len(servers) == 5
        assert alive == []
        with subprocess.Popen(command, cwd=project_folder, env=product_environ, stdout=log, stderr=log) as second:
            for port in ports:
                wait_for_health(port, PATIENCE)
            second.send_signal(signal.SIGTERM)
            assert second.wait(PATIENCE) == 0
