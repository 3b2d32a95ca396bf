"""`--check`: each finding, good and bad, in a folder made for it."""

from __future__ import annotations

import io
import os
import socket
import sqlite3
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from rich.console import Console

from relay.config.checks import Finding, Severity
from relay.launcher import diagnosis
from relay.launcher.diagnosis import diagnose, examine
from relay.launcher.plan import Selection
from tests.settings import Settings

PORTS = [key.upper() for key in Settings.model_fields if key.endswith("_port")]


@pytest.fixture
def environ(free_port: Callable[[], int]) -> dict[str, str]:
    return {key: str(free_port()) for key in PORTS}


def findings(folder: Path, environ: dict[str, str], asked: Selection | None = None) -> dict[str, Finding]:
    return {finding.what: finding for finding in examine(folder, asked or Selection(), environ)}


def test_an_empty_folder_is_fine(tmp_path: Path, environ: dict[str, str]) -> None:
    """Everything is free, the database will be created, and the try-out mode is named."""
    found = findings(tmp_path, environ)
    assert {finding.what for finding in found.values() if finding.severity is Severity.PROBLEM} == set()
    assert found["would start"].text == "llm, simulator, sms, telegram, admin"
    assert found["database"].text.endswith("messaging_users.simulated.db will be created")
    assert "simulator plays" in found["mode"].text


def test_a_weak_token_is_a_problem_once_the_servers_are_public(tmp_path: Path, environ: dict[str, str]) -> None:
    """The example of a guide opens the status to all who read it."""
    told = {**environ, "PUBLIC_URL": "https://relay.example.com", "ADMIN_TOKEN": "a-long-random-string"}
    found = findings(tmp_path, told)
    assert found["settings"].severity is Severity.PROBLEM
    assert "admin_token is a placeholder" in found["settings"].text


def test_refused_settings_are_the_last_finding(tmp_path: Path, environ: dict[str, str]) -> None:
    """Ports and files cannot be looked at without settings."""
    (tmp_path / "config.json").write_text('{"sms_server_prt": 1}')
    found = findings(tmp_path, environ)
    assert list(found) == ["python", "requirements", "settings"]
    assert found["settings"].severity is Severity.PROBLEM
    assert "Did you mean sms_server_port?" in found["settings"].text


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        (".env", "LOG_LEVEL=info\n# later\n\nlog_level=debug\n", [".env sets LOG_LEVEL in the lines 1, 4; the last"]),
        (".env", "LOG_LEVEL=info\nLOG_LEVEL=\nLOG_FORMAT=json\nLOG_FORMAT=json\n", []),
        (".env.txt", "LOG_LEVEL=info\n", ["there is a file .env.txt, which is not read"]),
    ],
    ids=["two values", "the same value, and an empty one", "a name of an editor's making"],
)
def test_a_setting_that_does_not_count_is_noted(
    tmp_path: Path, environ: dict[str, str], name: str, text: str, expected: list[str]
) -> None:
    """It is no mistake, but perhaps not what its owner thinks."""
    (tmp_path / name).write_text(text)
    found = [one for one in examine(tmp_path, Selection(), environ) if one.what == "settings"]
    notes = [one.text for one in found if one.severity is Severity.NOTE]
    assert [note[: len(start)] for note, start in zip(notes, expected, strict=True)] == expected


def test_installed_requirements_are_compared_with_the_lock(
    tmp_path: Path, environ: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another version and a missing one are named; one for other systems only is not missed."""
    lock = tmp_path / "requirements.lock"
    monkeypatch.setattr(diagnosis, "LOCK_FILE", lock)
    lock.write_text(
        "fastapi==0.0.1 \\\n    --hash=sha256:0\nno-such-thing==1.0\nwinonly==1 ; sys_platform == 'win32'\n"
    )
    found = findings(tmp_path, environ)["requirements"]
    assert found.severity is Severity.NOTE
    assert found.text.startswith("2 differ (fastapi ")
    assert "no-such-thing missing, locked 1.0" in found.text


def hang_up_on_the_first(listener: socket.socket) -> None:
    listener.accept()[0].close()


def test_a_port_of_another_program_is_a_problem(tmp_path: Path, environ: dict[str, str]) -> None:
    """A listener that answers nothing is not ours."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        threading.Thread(target=hang_up_on_the_first, args=(other,), daemon=True).start()
        found = findings(tmp_path, {**environ, "SMS_SERVER_PORT": str(port)})[f"port {port}"]
    assert found.severity is Severity.PROBLEM
    assert f"process {os.getpid()}" in found.text


class Healthy(BaseHTTPRequestHandler):
    """A server that is already up."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (the name is the base class's)
        pass


def test_a_server_that_runs_already_is_only_noted(tmp_path: Path, environ: dict[str, str]) -> None:
    """--check beside a running launcher finds the servers running."""
    with HTTPServer(("127.0.0.1", 0), Healthy) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        found = findings(tmp_path, {**environ, "LLM_SERVER_PORT": str(server.server_port)})
        server.shutdown()
    assert found[f"port {server.server_port}"].severity is Severity.NOTE
    assert "llm seems to be running already" in found[f"port {server.server_port}"].text


def test_a_database_that_can_be_written_is_fine(tmp_path: Path, environ: dict[str, str]) -> None:
    """Looking at it changes nothing in it."""
    path = tmp_path / "people.db"
    sqlite3.connect(path).execute("CREATE TABLE t (x)").connection.close()
    before = path.read_bytes()
    found = findings(tmp_path, {**environ, "DATABASE_URL": "sqlite:///people.db"})["database"]
    assert found == Finding(Severity.FINE, "database", f"{path} can be written")
    assert path.read_bytes() == before


def test_a_file_that_is_no_database_is_a_problem(tmp_path: Path, environ: dict[str, str]) -> None:
    """The reason is SQLite's own."""
    (tmp_path / "people.db").write_text("these are my notes\n" * 100)
    found = findings(tmp_path, {**environ, "DATABASE_URL": "sqlite:///people.db"})["database"]
    assert found.severity is Severity.PROBLEM
    assert "file is not a database" in found.text


def test_a_database_in_a_folder_that_is_missing_is_a_problem(tmp_path: Path, environ: dict[str, str]) -> None:
    """It could not be created."""
    found = findings(tmp_path, {**environ, "DATABASE_URL": "sqlite:///no/such/people.db"})["database"]
    assert found.severity is Severity.PROBLEM


def test_a_postgresql_that_does_not_answer_is_a_problem_and_its_password_stays_unsaid(
    tmp_path: Path, environ: dict[str, str], free_port: Callable[[], int]
) -> None:
    """Host and port are enough to find the mistake."""
    port = free_port()
    url = f"postgresql+psycopg://relay:hunter2@127.0.0.1:{port}/relay"
    found = findings(tmp_path, {**environ, "DATABASE_URL": url})["database"]
    assert found.severity is Severity.PROBLEM
    assert f"nothing answers at 127.0.0.1:{port}" in found.text
    assert "hunter2" not in found.text


def test_a_model_that_does_not_answer_is_a_problem_although_the_demo_would(
    tmp_path: Path, environ: dict[str, str], free_port: Callable[[], int]
) -> None:
    """Naming a server is asking for its answers."""
    environ["OLLAMA_HOST"] = f"http://127.0.0.1:{free_port()}"
    found = findings(tmp_path, environ)["model"]
    assert found.severity is Severity.PROBLEM
    assert f"{environ['OLLAMA_HOST']} cannot be reached" in found.text


def test_without_a_model_the_demo_is_named(tmp_path: Path, environ: dict[str, str]) -> None:
    """Nothing is wrong with trying it out."""
    found = findings(tmp_path, {**environ, "LLM_SOURCE": "demo"})
    assert found["model"].severity is Severity.NOTE
    assert "faq.json" in found["model"].text
    assert found["Would work"].text == "Would work: SMS in the simulator only, Telegram in the simulator only"


@pytest.mark.parametrize(("selection", "severity"), [(frozenset(), Severity.PROBLEM), ({"sms"}, Severity.NOTE)])
def test_an_llm_server_elsewhere_must_run_unless_it_may_start_later(
    tmp_path: Path,
    environ: dict[str, str],
    free_port: Callable[[], int],
    selection: set[str],
    severity: Severity,
) -> None:
    """With a server named on the command line, the LLM server is somebody else's business."""
    environ["LLM_SERVER_URL"] = f"http://127.0.0.1:{free_port()}"
    found = findings(tmp_path, environ, Selection(frozenset(selection)))["llm_server_url"]
    assert found.severity is severity
    assert "Is it running?" in found.text


def test_a_log_folder_that_cannot_be_made_is_a_problem(tmp_path: Path, environ: dict[str, str]) -> None:
    """A file stands in its way."""
    (tmp_path / "logs").write_text("")
    assert findings(tmp_path, {**environ, "LOG_DIR": "logs/relay"})["log_dir"].severity is Severity.PROBLEM
    assert findings(tmp_path, {**environ, "LOG_DIR": "elsewhere/relay"})["log_dir"].severity is Severity.FINE


def test_the_exit_status_says_whether_anything_is_in_the_way(tmp_path: Path, environ: dict[str, str]) -> None:
    """0 when it could start, 1 when not, with a last line in words."""
    out = io.StringIO()
    assert diagnose(tmp_path, Selection(), environ, Console(file=out, width=200)) == 0
    assert out.getvalue().endswith("No problems found.\n")
    assert diagnose(tmp_path, Selection(), {**environ, "LOG_FORMAT": "yaml"}, Console(file=out, width=200)) == 1
    assert out.getvalue().endswith("Problems to solve first: 1.\n")
