"""What the launcher notes about servers that do not run, and what the console makes of it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from relay.console.servers import Condition, KnownServer, probe_servers
from relay.launcher.events import Outage
from relay.launcher.outages import FILE, OutageFile, read_launcher
from tests.ports import Ports


def test_an_outage_is_noted_with_the_time_of_the_next_start_until_it_ends(tmp_path: Path) -> None:
    """Whatever the reason is."""
    noted = OutageFile(tmp_path, lambda: 1_800_000_000)
    noted.set("sms", Outage("was ended by SIGKILL", 300))
    noted.set("llm", Outage("its settings were refused", 240))
    launcher = read_launcher(tmp_path)
    assert launcher is not None
    assert launcher[1] == {
        "sms": "was ended by SIGKILL; the launcher starts it again at 08:05:00 UTC",
        "llm": "its settings were refused; the launcher starts it again at 08:04:00 UTC",
    }
    assert noted.summary.startswith("sms: was ended by SIGKILL; ")
    noted.set("sms", None)
    noted.set("llm", None)
    launcher = read_launcher(tmp_path)
    assert launcher is not None
    assert launcher[1] == {}
    assert noted.summary == "running"


@pytest.mark.parametrize("content", ["", "{", "[]", '{"pid": "x", "outages": {}}', '{"pid": 1}'])
def test_a_broken_file_is_no_launcher(tmp_path: Path, content: str) -> None:
    """Neither is a missing one."""
    assert read_launcher(tmp_path) is None
    (tmp_path / FILE).write_text(content)
    assert read_launcher(tmp_path) is None


def test_the_file_of_a_launcher_that_was_killed_is_ignored(tmp_path: Path) -> None:
    """Its outages are not those of now."""
    with subprocess.Popen([sys.executable, "-c", ""]) as ended:
        pass
    (tmp_path / FILE).write_text(json.dumps({"pid": ended.pid, "outages": {"sms": "x"}}))
    assert read_launcher(tmp_path) is None


async def test_the_console_shows_when_a_server_that_is_down_is_started_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beside "not running", among its facts; a server without an outage has none."""
    monkeypatch.chdir(tmp_path)
    OutageFile(tmp_path, lambda: 1_800_000_000).set("sms", Outage("was ended by SIGKILL", 300))
    ports = Ports()
    servers = [KnownServer(name, f"http://127.0.0.1:{ports.take()}", name) for name in ("sms", "telegram")]
    async with httpx.AsyncClient() as http:
        sms, telegram = await probe_servers(http, servers, 30)
    ports.give_back()
    assert sms.condition is telegram.condition is Condition.DOWN
    assert sms.facts == {"launcher": "was ended by SIGKILL; the launcher starts it again at 08:05:00 UTC"}
    assert telegram.facts == {}
