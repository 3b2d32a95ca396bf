"""A channel is one folder and one line of the registry, shown by a third one in a copy of the product."""

from __future__ import annotations

import json
import queue
import re
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

from tests.channels.contract import STATUS_ROWS, Row

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "tests" / "channels"
PATIENCE = 60
PYTEST = ("-m", "pytest", "-q", "-x", "-p", "no:cacheprovider")
CONFIGURED = {"echo_url": "http://127.0.0.1:9/", "llm_source": "demo"}

LOOK = f"""
import json
from relay.channels.registry import CHANNELS, PLATFORMS, AllSettings
from relay.console.pages import templates
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
    "titles": templates().globals["TITLES"],
    "page": settings_page(AllSettings, CHAPTERS),
    "colours": COLOURS,
}}))
"""
"""Prints what launcher, console and settings page of the copy make of its registry."""


def git(folder: Path, *words: str) -> str:
    who = ("-c", "user.name=Test", "-c", "user.email=test@example.org", "-c", "commit.gpgsign=false")
    done = subprocess.run(["git", *who, *words], cwd=folder, check=True, capture_output=True, text=True)
    return done.stdout


@pytest.fixture(scope="module")
def product(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the tracked files, as a repository with one commit; with their bytecode, valid by their times."""
    folder = tmp_path_factory.mktemp("product")
    names = [name for name in git(ROOT, "ls-files", "-z").split("\0") if name and (ROOT / name).exists()]
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, folder / name)
    git(folder, "init", "--quiet")
    git(folder, "add", "--all", "--force")
    git(folder, "commit", "--quiet", "--message=before")
    for cache in {Path(name).parent / "__pycache__" for name in names}:
        if (ROOT / cache).exists():
            shutil.copytree(ROOT / cache, folder / cache)
    return folder


def add_channel(product: Path, name: str) -> None:
    """One folder, and one line of the registry."""
    ignored = shutil.ignore_patterns("__pycache__", "contract.py")  # the contract stays where the tests look for it
    shutil.copytree(EXAMPLES / name, product / "relay/channels" / name, ignore=ignored)
    registry = product / "relay/channels/registry.py"
    text = registry.read_text("utf-8")
    changed = re.sub(r"(?<=FOLDERS = \()[^)]*", lambda found: f'{found[0]}    "{name}",\n', text)
    assert len(changed) > len(text)
    registry.write_text(changed, "utf-8")


@pytest.fixture(scope="module")
def with_echo(product: Path) -> Path:
    """The copy with the third channel."""
    add_channel(product, "echo")
    return product


@pytest.fixture(scope="module")
def with_parrot(with_echo: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy with a fourth channel, which the third one hosts."""
    folder = tmp_path_factory.mktemp("with_parrot")
    shutil.copytree(with_echo, folder, dirs_exist_ok=True)
    add_channel(folder, "parrot")
    return folder


def run_python(product: Path, environ: dict[str, str], *words: str) -> str:
    """What a command of the copy prints; it succeeds."""
    command = [sys.executable, "-B", *words]
    done = subprocess.run(command, cwd=product, env=environ, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def look(product: Path, environ: dict[str, str]) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(run_python(product, environ, "-c", LOOK))
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


def test_new_channels_keep_the_rules_of_the_repository_and_inherit_the_contract(
    with_parrot: Path, product_environ: dict[str, str]
) -> None:
    """Imports, generated pages and the contract are checked for them without a word about them in the tests.

    One class with recorded payloads, and every test of the contract runs; a hosted channel is tested at its host.
    """
    run_python(with_parrot, product_environ, "-m", "relay.launcher.settings_docs")
    rules = [f"test_{name}.py" for name in ("imports", "settings_in_step", "contracts")]
    files = [*(f"tests/repository/{name}" for name in rules), "tests/channels/test_contract.py"]
    chosen = " or ".join([*rules, "echo", "parrot"])
    printed = run_python(with_parrot, product_environ, *PYTEST, "-vvv", *files, "-k", chosen)
    for rule in rules:
        assert f"tests/repository/{rule}::" in printed, rule
    for channel in ("echo", "parrot"):
        missing = {"media", "edited", "keyword"} | (STATUS_ROWS if channel == "parrot" else set())
        for row in Row:
            assert (f"{channel}-{row}]" in printed) == (row not in missing), (channel, row)


def test_a_channel_may_be_hosted_by_another_one(with_parrot: Path, product_environ: dict[str, str]) -> None:
    """It has a title and a status at its host's address, and neither a program nor a chapter of settings."""
    found = look(with_parrot, product_environ)
    assert list(found["programs"]) == ["llm", "echo", "admin"]
    assert ["Parrot status", "http://127.0.0.1:8044/parrot/status"] in found["rows"]
    assert set(found["servers"]) == {"LLM server", "SMS server", "Telegram server", "Echo server", "Simulator"}
    assert found["titles"]["parrot"] == "Parrot"
    assert "Parrot" not in found["page"]


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
def test_new_channels_work_from_the_launcher_to_the_outbox(
    with_parrot: Path,
    product_environ: dict[str, str],
    free_port: Callable[[], int],
    wait_for_health: Callable[..., None],
) -> None:
    """Messages are answered over HTTP, also those of a channel whose routes are its host's; the console shows both."""
    port = free_port()
    with peer() as (url, received):
        environ = {**product_environ, "ECHO_SERVER_PORT": str(port), "ECHO_URL": url, "LLM_SOURCE": "demo"}
        with launched(with_parrot, environ):
            for one in (port, environ["ADMIN_SERVER_PORT"]):
                wait_for_health(one, PATIENCE)
            with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=PATIENCE, trust_env=False) as client:
                for channel, address_key in (("echo", "caller"), ("parrot", "bird")):
                    _converse(client, channel, address_key, received)
                    _steer(client, channel, address_key, with_parrot / "messaging_users.db")
                assert client.get("/").json()["server"] == "Echo server"
                assert client.get("/ready").json()["ready"] is True
                assert {"/echo/status", "/parrot/status"} <= set(client.get("/openapi.json").json()["paths"])
            console = f"http://127.0.0.1:{environ['ADMIN_SERVER_PORT']}"
            with httpx.Client(base_url=console, timeout=PATIENCE, trust_env=False) as admin:
                home = admin.get("/").text
                assert "Echo server" in home
                assert 'id="person-echo-ann"' in home
                assert 'id="person-parrot-ann"' in home
                person = admin.get("/person", params={"platform": "echo", "id": "ann"})
                assert person.status_code == 200


def _converse(client: httpx.Client, channel: str, address_key: str, received: queue.Queue[dict[str, str]]) -> None:
    """A message is answered, its repetition is not, and the operator writes."""
    message = {"id": "1", address_key: "ann", "text": "Hello, who are you?"}
    assert client.post(f"/{channel}/webhook", json=message).json() == {"stored": True}
    answer = received.get(timeout=PATIENCE)
    assert (answer["to"], bool(answer["text"])) == ("ann", True)
    assert client.post(f"/{channel}/webhook", json=message).json() == {"stored": False}

    sent = client.post(f"/{channel}/send", json={address_key: "ann", "message": "By hand."})
    assert (sent.status_code, sent.json()[address_key]) == (202, "ann")
    assert received.get(timeout=PATIENCE)["text"] == "By hand."


def _steer(client: httpx.Client, channel: str, address_key: str, database: Path) -> None:
    """Status, release and clear."""
    status = client.get(f"/{channel}/status").json()
    assert [user["user_id"] for user in status["users"]] == ["ann"]
    assert status["users_by_platform"][channel] == 1

    assert client.post(f"/{channel}/user/ann/release").status_code == 409
    with sqlite3.connect(database, timeout=PATIENCE) as connection:
        connection.execute("UPDATE users SET state = 'paused' WHERE user_id = 'ann' AND platform = ?", (channel,))
    connection.close()
    assert client.post(f"/{channel}/user/ann/release").json() == {address_key: "ann", "released": True}
    assert client.delete(f"/{channel}/user/ann/history").json()["removed"] >= 2
    assert client.delete(f"/{channel}/user/bob/history").status_code == 404
