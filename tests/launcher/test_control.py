"""The control socket, and what changed settings restart."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from relay.channels.registry import AllSettings
from relay.config.loading import load_settings
from relay.launcher.control import FILE, NoLauncherError, request_reload, serve_control
from relay.launcher.events import Event, PlanChanged
from relay.launcher.plan import SERVERS, Selection, make_plan
from relay.launcher.running_plan import RunningPlan

BOT = "TELEGRAM_BOT_TOKEN=123:abc\n"
TWILIO = f"TWILIO_ACCOUNT_SID=AC{'5e' * 16}\nTWILIO_AUTH_TOKEN=0123456789abcdef\nTWILIO_PHONE_NUMBER=+12025550123\n"


def test_a_request_gets_the_response_of_the_launcher(tmp_path: Path) -> None:
    """Over a socket that its owner alone may open, however long the path; afterwards there is none."""
    folder = tmp_path / ("long" * 40)
    folder.mkdir()
    (folder / FILE).write_text("left by a launcher that was killed")
    with pytest.raises(NoLauncherError):
        request_reload(folder)
    close = serve_control(folder, lambda: {"restarted": ["sms"]})
    before = Path.cwd()
    os.chdir(folder)
    try:
        assert request_reload(folder) == {"restarted": ["sms"]}
    finally:
        os.chdir(before)
        mode = stat.S_IMODE((folder / FILE).stat().st_mode)
        close()
    assert mode == 0o600
    with pytest.raises(NoLauncherError):
        request_reload(folder)


class RunningLauncher:
    """The plan of a launcher in a folder whose .env a test changes."""

    def __init__(self, folder: Path, env: str, selection: Selection) -> None:
        self.folder = folder
        self.events: list[Event] = []
        self.write(env)
        settings = load_settings(AllSettings, folder)
        self.running = RunningPlan(folder, selection, make_plan(settings, selection))

    def write(self, env: str) -> None:
        (self.folder / ".env").write_text(env)

    def reload(self, env: str) -> dict[str, object]:
        self.write(env)
        return self.running.reload(self.events.append, lambda _: None)


Launch = Callable[..., RunningLauncher]


@pytest.fixture
def launched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Launch:
    for key in [key for key in os.environ if key.lower() in AllSettings.model_fields]:
        monkeypatch.delenv(key)
    # What listens on this machine is no subject here.
    monkeypatch.setattr("relay.launcher.running_plan.port_problems", lambda _programs: [])
    return lambda env, *servers, demo=False: RunningLauncher(tmp_path, env, Selection(frozenset(servers), demo))


RESTARTS: list[tuple[str, str, str, list[str], list[str]]] = [
    ("nothing", BOT, BOT, [], []),
    ("a remark", BOT, f"# mine\n{BOT}", [], []),
    (
        "the model, which is taken over live",
        BOT,
        f"{BOT}OPENROUTER_API_KEY=sk-1234567\nLLM_SOURCE=openrouter\n",
        [],
        [],
    ),
    ("instructions, which are taken over live", BOT, f"{BOT}INSTRUCTIONS=Hi\nKNOWLEDGE_ONLY=true\n", [], []),
    ("one channel", BOT, "TELEGRAM_BOT_TOKEN=123:def\n", ["telegram", "admin"], []),
    ("a channel more", BOT, BOT + TWILIO, ["sms", "admin"], []),
    ("a channel less", BOT + TWILIO, BOT, ["admin"], ["sms"]),
    ("the password", BOT, f"{BOT}ADMIN_TOKEN=J2nVxw0Zr8tq3LmC\n", ["llm", "telegram", "admin"], []),
    ("the first account", "", BOT, ["llm", "telegram", "admin"], ["simulator", "sms"]),
    ("the model in try-out mode", "", "OPENAI_BASE_URL=http://127.0.0.1:9/v1\n", [], []),
]


@pytest.mark.parametrize(
    ("before", "after", "restarted", "stopped"), [row[1:] for row in RESTARTS], ids=[row[0] for row in RESTARTS]
)
def test_what_a_change_restarts(
    launched: Launch, before: str, after: str, restarted: list[str], stopped: list[str]
) -> None:
    """No server that does not read the setting, so that no text meets a closed port without need."""
    launcher = launched(before)
    response = launcher.reload(after)
    assert (response["restarted"], sorted(response["stopped"])) == (restarted, stopped)  # type: ignore[call-overload]
    assert len(launcher.events) == bool(restarted or stopped)


def test_what_was_asked_for_and_is_half_entered_is_left_out(launched: Launch) -> None:
    """`--all` refuses to start so; a launcher that runs must not end over it."""
    launcher = launched("", *SERVERS)
    assert launcher.reload(BOT)["left_out"] == [
        ["sms", "not set: twilio_account_sid, twilio_auth_token, twilio_phone_number (or twilio_messaging_service_sid)"]
    ]
    [event] = launcher.events
    assert isinstance(event, PlanChanged)
    assert [program.simulated for program in event.programs] == [False, False, False]


@pytest.mark.parametrize(
    ("env", "words"),
    [("TELEGRAM_BOT_TOKEN=nonsense\n", "telegram_bot_token"), ("SMS_SERVER_PORT=8041\n", "same port")],
    ids=["a value", "two servers on one port"],
)
def test_settings_that_are_refused_change_nothing(launched: Launch, env: str, words: str) -> None:
    """The response has the sentence; the servers go on with the old ones."""
    launcher = launched("")
    assert words in str(launcher.reload(env)["error"])
    assert launcher.events == []


def test_the_demo_stays_the_demo(launched: Launch) -> None:
    """An operator who starts it with --demo wants no account used."""
    assert launched("", demo=True).reload(BOT)["simulated"] is True
