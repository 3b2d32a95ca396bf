"""A channel is one folder and one line of the registry, shown by a third one in a copy of the product."""

from __future__ import annotations

import json
import queue
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest

ROOT = Path(__file__).resolve().parents[2]
ECHO = Path(__file__).parent / "echo"
LAST_LINE = '    "telegram",\n'
PATIENCE = 60
CONFIGURED = {"echo_url": "http://127.0.0.1:9/", "llm_source": "demo"}

LOOK = f"""
import json
from relay.channels.registry import CHANNELS, PLATFORMS, AllSettings
from relay.console.pages import Pages
from relay.console.servers import known_servers
from relay.launcher.addresses import address_rows
from relay.launcher.plan import Selection, make_plan
from relay.launcher.screen import COLOURS
from relay.launcher.settings_docs import CHAPTERS
from relay.config.docs import settings_page
settings = AllSettings(**{CONFIGURED!r})
plan = make_plan(settings, Selection())
print(json.dumps({{
    "programs": {{program.name: program.module for program in plan.programs}},
    "left_out": dict(plan.left_out),
    "rows": address_rows(plan, frozenset(program.name for program in plan.programs)),
    "servers": {{server.name: server.url for server in known_servers(settings)}},
    "titles": Pages(settings)._environment.globals["TITLES"],
    "page": settings_page(AllSettings, CHAPTERS),
    "colours": COLOURS,
}}))
"""
"""Prints what launcher, console and settings page of the copy make of its registry."""

HOSTED_SETTINGS = '''"""The settings of a hosted channel."""

from relay.config.settings import Settings


class ParrotSettings(Settings):
    """The common settings and those of the hosted channel."""

    parrot_words: int = 3
    """How many words are repeated."""
'''

HOSTED_SPEC = '''"""A channel that is served by the program of another one."""

from relay.channels.echo.spec import CHANNEL as ECHO
from relay.channels.parrot.settings import ParrotSettings
from relay.channels.spec import ChannelSpec
from relay.core.messages import Platform

CHANNEL = ChannelSpec(
    platform=Platform("parrot"),
    title="Parrot",
    about="Hosted.",
    colour="white",
    settings=ParrotSettings,
    chapter=("Parrot", "Served by the echo server."),
    missing=lambda settings: (),
    address_key="bird",
    address_help="A name.",
    message_help="Text.",
    host=ECHO,
)
'''


def git(folder: Path, *words: str) -> str:
    who = ("-c", "user.name=Test", "-c", "user.email=test@example.org", "-c", "commit.gpgsign=false")
    done = subprocess.run(["git", *who, *words], cwd=folder, check=True, capture_output=True, text=True)
    return done.stdout


@pytest.fixture
def product(tmp_path: Path) -> Path:
    """A copy of the tracked files, as a repository with one commit."""
    folder = tmp_path / "product"
    for name in git(ROOT, "ls-files", "-z").split("\0"):
        if name and (ROOT / name).exists():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)
    git(folder, "init", "--quiet")
    git(folder, "add", "--all", "--force")
    git(folder, "commit", "--quiet", "--message=before")
    return folder


def enter(product: Path, name: str, after: str) -> None:
    """The one line of the registry."""
    registry = product / "relay" / "channels" / "registry.py"
    text = registry.read_text("utf-8")
    assert text.count(after) == 1
    registry.write_text(text.replace(after, f'{after}    "{name}",\n'), "utf-8")


@pytest.fixture
def with_echo(product: Path) -> Path:
    """The copy with the third channel: one folder, one line."""
    shutil.copytree(ECHO, product / "relay" / "channels" / "echo", ignore=shutil.ignore_patterns("__pycache__"))
    enter(product, "echo", LAST_LINE)
    return product


def look(product: Path, environ: dict[str, str]) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-B", "-c", LOOK], cwd=product, env=environ, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_a_channel_is_known_everywhere_by_its_folder_and_one_line(
    with_echo: Path, product_environ: dict[str, str]
) -> None:
    """Launcher, console and settings page find it in the registry; the diff is one line outside of its folder."""
    found = look(with_echo, product_environ)
    assert found["programs"] == {
        "llm": "llm_server",
        "echo": "relay.channels.echo.server",
        "admin": "admin_server",
    }
    assert set(found["left_out"]) == {"sms", "telegram"}
    assert ["Echo webhook", "http://127.0.0.1:8044/echo/webhook"] in found["rows"]
    assert ["Echo status", "http://127.0.0.1:8044/echo/status"] in found["rows"]
    assert found["servers"]["Echo server"] == "http://127.0.0.1:8044"
    assert found["titles"]["echo"] == "Echo"
    assert found["colours"]["echo"] == "red"
    assert "\n## Echo\n" in found["page"]
    assert "| `echo_url` | `ECHO_URL` |" in found["page"]
    git(with_echo, "add", "--all")
    changed = git(with_echo, "diff", "--cached", "--numstat").splitlines()
    outside = [line.split("\t") for line in changed if "\trelay/channels/echo/" not in line]
    assert outside == [["1", "0", "relay/channels/registry.py"]]


def test_a_new_channel_keeps_the_rules_of_the_repository(with_echo: Path, product_environ: dict[str, str]) -> None:
    """Imports and generated pages are checked for it without a word about it in the tests."""
    for command in (
        ["-m", "relay.launcher.settings_docs"],
        [
            *("-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "tests/repository/test_imports.py"),
            *("tests/repository/test_settings_in_step.py",),
        ],
    ):
        done = subprocess.run(
            [sys.executable, "-B", *command],
            cwd=with_echo,
            env=product_environ,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr


def test_a_channel_may_be_hosted_by_another_one(with_echo: Path, product_environ: dict[str, str]) -> None:
    """It has settings, a title and a status at its host's address, and no program of its own."""
    folder = with_echo / "relay" / "channels" / "parrot"
    folder.mkdir()
    (folder / "__init__.py").write_text('"""A hosted channel: no program and no port."""\n')
    (folder / "settings.py").write_text(HOSTED_SETTINGS)
    (folder / "spec.py").write_text(HOSTED_SPEC)
    enter(with_echo, "parrot", '    "echo",\n')
    found = look(with_echo, product_environ)
    assert list(found["programs"]) == ["llm", "echo", "admin"]
    assert ["Parrot status", "http://127.0.0.1:8044/parrot/status"] in found["rows"]
    assert set(found["servers"]) == {"LLM server", "SMS server", "Telegram server", "Echo server", "Simulator"}
    assert found["titles"]["parrot"] == "Parrot"
    assert "\n## Parrot\n" in found["page"]
    assert "| `parrot_words` |" in found["page"]


@contextmanager
def peer() -> Iterator[tuple[str, queue.Queue[dict[str, str]]]]:
    """Takes what the channel sends; yields its address and what came."""
    received: queue.Queue[dict[str, str]] = queue.Queue()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            received.put(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Logs nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/", received
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextmanager
def launched(product: Path, environ: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    """The launcher over real servers, stopped cleanly at the end."""
    with (product / "launcher.log").open("wb") as log:
        command = [sys.executable, "start_all_servers.py"]
        with subprocess.Popen(command, cwd=product, env=environ, stdout=log, stderr=log) as process:
            try:
                yield process
                process.send_signal(signal.SIGTERM)
                assert process.wait(PATIENCE) == 0
            finally:
                process.kill()


@pytest.mark.processes
def test_a_new_channel_works_from_the_launcher_to_the_outbox(
    with_echo: Path,
    product_environ: dict[str, str],
    free_port: Callable[[], int],
    wait_for_health: Callable[..., None],
) -> None:
    """A message is answered over HTTP; status, send, clear and release work; the console shows the conversation."""
    port = free_port()
    with peer() as (url, received):
        environ = {**product_environ, "ECHO_SERVER_PORT": str(port), "ECHO_URL": url, "LLM_SOURCE": "demo"}
        with launched(with_echo, environ):
            for one in (port, environ["ADMIN_SERVER_PORT"]):
                wait_for_health(one, PATIENCE)
            with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=PATIENCE, trust_env=False) as echo:
                _converse(echo, received, with_echo / "messaging_users.db")
            console = f"http://127.0.0.1:{environ['ADMIN_SERVER_PORT']}"
            with httpx.Client(base_url=console, timeout=PATIENCE, trust_env=False) as admin:
                home = admin.get("/").text
                assert "Echo server" in home
                assert 'id="person-echo-ann"' in home
                person = admin.get("/person", params={"platform": "echo", "id": "ann"})
                assert person.status_code == 200


def _converse(echo: httpx.Client, received: queue.Queue[dict[str, str]], database: Path) -> None:
    message = {"id": "1", "caller": "ann", "text": "Hello, who are you?"}
    assert echo.post("/echo/webhook", json=message).json() == {"stored": True}
    answer = received.get(timeout=PATIENCE)
    assert (answer["to"], bool(answer["text"])) == ("ann", True)
    assert echo.post("/echo/webhook", json=message).json() == {"stored": False}

    sent = echo.post("/echo/send", json={"caller": "ann", "message": "By hand."})
    assert (sent.status_code, sent.json()["caller"]) == (202, "ann")
    assert received.get(timeout=PATIENCE)["text"] == "By hand."

    status = echo.get("/echo/status").json()
    assert [user["user_id"] for user in status["users"]] == ["ann"]
    assert status["users_by_platform"] == {"sms": 0, "telegram": 0, "echo": 1}
    assert echo.get("/").json()["server"] == "Echo server"

    assert echo.post("/echo/user/ann/release").status_code == 409
    with sqlite3.connect(database, timeout=PATIENCE) as connection:
        connection.execute("UPDATE users SET state = 'paused' WHERE user_id = 'ann'")
    connection.close()
    assert echo.post("/echo/user/ann/release").json() == {"caller": "ann", "released": True}
    cleared = echo.delete("/echo/user/ann/history").json()
    assert cleared["removed"] >= 2
    assert echo.delete("/echo/user/bob/history").status_code == 404
