"""What is started for which settings and flags."""

from __future__ import annotations

from typing import Any

import pytest

from relay.channels.sms.settings import SIMULATED_PHONE_NUMBER
from relay.config.errors import SettingsError
from relay.launcher.addresses import address_rows, title
from relay.launcher.plan import SERVERS, Selection, make_plan
from tests.settings import Settings

TWILIO: dict[str, Any] = {
    "twilio_account_sid": "AC" + "0" * 32,
    "twilio_auth_token": "token",
    "twilio_phone_number": "+12345678900",
}
TELEGRAM: dict[str, Any] = {"telegram_bot_token": "123456:" + "a" * 35}
ALL = frozenset(SERVERS)


def asked(*servers: str, demo: bool = False) -> Selection:
    return Selection(frozenset(servers), demo)


STARTS: list[tuple[str, dict[str, Any], Selection, list[str], list[str], bool]] = [
    ("nothing configured, nothing asked", {}, asked(), ["llm", "simulator", "sms", "telegram", "admin"], [], True),
    ("nothing configured, all asked", {}, Selection(ALL), ["llm", "simulator", "sms", "telegram", "admin"], [], True),
    ("nothing configured, one channel asked", {}, asked("sms"), ["simulator", "sms"], [], True),
    ("nothing configured, no channel asked", {}, asked("llm", "admin"), ["llm", "admin"], [], True),
    ("both configured", {**TWILIO, **TELEGRAM}, Selection(ALL), ["llm", "sms", "telegram", "admin"], [], False),
    ("Telegram alone, nothing asked", TELEGRAM, asked(), ["llm", "telegram", "admin"], ["sms"], False),
    ("Twilio alone, nothing asked", TWILIO, asked(), ["llm", "sms", "admin"], ["telegram"], False),
    ("Twilio in part, nothing asked", {"twilio_account_sid": "AC" + "0" * 32}, asked(), ["llm", "admin"],
     ["sms", "telegram"], False),
    ("the configured one by name", TELEGRAM, asked("llm", "telegram"), ["llm", "telegram"], [], False),
    ("demo in spite of credentials", {**TWILIO, **TELEGRAM}, asked(demo=True),
     ["llm", "simulator", "sms", "telegram", "admin"], [], True),
    ("demo of one channel", TWILIO, asked("telegram", demo=True), ["simulator", "telegram"], [], True),
    ("SIMULATED in the environment", {**TWILIO, "simulated": True}, asked(),
     ["llm", "simulator", "sms", "telegram", "admin"], [], True),
    ("the LLM server is elsewhere", {**TELEGRAM, "llm_server_url": "http://10.0.0.5:8033"}, asked(),
     ["telegram", "admin"], ["sms", "llm"], False),
    ("the LLM server's own address is written out", {**TELEGRAM, "llm_server_url": "http://localhost:8033"}, asked(),
     ["llm", "telegram", "admin"], ["sms"], False),
    ("the LLM server is elsewhere but asked for", {**TELEGRAM, "llm_server_url": "http://10.0.0.5:8033"},
     asked("llm"), ["llm"], [], False),
]  # fmt: skip


@pytest.mark.parametrize(("settings", "command", "started", "left_out", "simulated"), [row[1:] for row in STARTS],
                         ids=[row[0] for row in STARTS])  # fmt: skip
def test_the_plan_follows_settings_and_flags(
    settings: dict[str, Any], command: Selection, started: list[str], left_out: list[str], simulated: bool
) -> None:
    """What starts, in which order; what is left out; and whether it is simulated."""
    plan = make_plan(Settings(**settings), command)
    assert [program.name for program in plan.programs] == started
    assert [name for name, _ in plan.left_out] == left_out
    assert plan.simulated is simulated


REFUSALS: list[tuple[str, dict[str, Any], Selection, str]] = [
    ("--all without Twilio", TELEGRAM, Selection(ALL), "sms was asked for (--all) but is not configured: not set: "),
    ("--all with a number missing", {**TELEGRAM, **TWILIO, "twilio_phone_number": None}, Selection(ALL),
     "not set: twilio_phone_number (or twilio_messaging_service_sid)"),
    ("--telegram without a token", TWILIO, asked("telegram"), "not set: telegram_bot_token"),
    ("--sms with a half", {"twilio_account_sid": "AC" + "0" * 32}, asked("sms"), "not set: twilio_auth_token"),
    ("one port for two", {"sms_server_port": 9000, "admin_server_port": 9000}, asked(), "the same port, 9000"),
]  # fmt: skip


@pytest.mark.parametrize(("settings", "command", "sentence"), [row[1:] for row in REFUSALS],
                         ids=[row[0] for row in REFUSALS])  # fmt: skip
def test_what_cannot_be_started_as_asked_is_refused_with_a_sentence(
    settings: dict[str, Any], command: Selection, sentence: str
) -> None:
    """A platform that is asked for and lacks its credentials is never silently simulated."""
    with pytest.raises(SettingsError) as refusal:
        make_plan(Settings(**settings), command)
    assert sentence in str(refusal.value)


def test_channels_wait_for_the_llm_server_and_the_simulator_of_the_same_plan_only() -> None:
    """A channel that is started without an LLM server does not wait for one."""
    both = {program.name: program.waits_for for program in make_plan(Settings(), asked()).programs}
    assert both == {
        "llm": (),
        "simulator": (),
        "sms": ("llm", "simulator"),
        "telegram": ("llm", "simulator"),
        "admin": (),
    }
    alone = make_plan(Settings(**TELEGRAM), asked("telegram")).programs
    assert [program.waits_for for program in alone] == [()]


@pytest.mark.parametrize(
    ("bind_host", "host"), [("127.0.0.1", "127.0.0.1"), ("0.0.0.0", "127.0.0.1"), ("::", "::1"), ("10.0.0.5",) * 2]
)
def test_a_server_is_reached_where_it_listens(bind_host: str, host: str) -> None:
    """bind_host moves the servers; the console and the simulator stay on loopback."""
    programs = {program.name: program for program in make_plan(Settings(bind_host=bind_host), asked()).programs}
    assert programs["sms"].host == host
    assert programs["admin"].host == programs["simulator"].host == "127.0.0.1"


def test_the_table_names_what_to_open_and_what_is_missing() -> None:
    """Simulated: the page of the simulator comes first; what is not up and what was left out is said."""
    plan = make_plan(Settings(), asked())
    rows = address_rows(plan, frozenset({"simulator", "admin", "sms", "llm"}))
    assert rows[0] == (
        "try it",
        "http://127.0.0.1:8043  (an SMS phone and a Telegram chat in the browser; everything there is simulated)",
    )
    assert ("console", "http://127.0.0.1:8042") in rows
    assert ("not up yet", "telegram") in rows
    assert SIMULATED_PHONE_NUMBER not in str(rows)


@pytest.mark.parametrize(
    ("up", "unready", "expected"),
    [
        ({"llm", "admin"}, set(), "Everything is up."),
        ({"llm", "admin"}, {"llm"}, "Everything is running, but not everything is ready yet."),
        ({"admin"}, set(), "Not everything is up."),
        ({"llm"}, {"llm"}, "Not everything is up."),
    ],
)
def test_the_title_claims_no_more_than_is_true(up: set[str], unready: set[str], expected: str) -> None:
    """The words "Everything is up" are said only when all can do their work, and who cannot has a row of its own."""
    plan = make_plan(Settings(), Selection(frozenset({"llm", "admin"})))
    assert title(plan, frozenset(up), frozenset(unready)) == expected
    named = [value for label, value in address_rows(plan, frozenset(up), frozenset(unready)) if label == "not ready"]
    assert named == [f"{name}: http://127.0.0.1:8033/ready says why" for name in unready]


def test_the_table_of_a_real_start_names_number_webhook_and_what_was_left_out() -> None:
    """Real: where to text, and what to enter at Twilio."""
    plan = make_plan(Settings(**TWILIO, public_url="https://example.org/"), asked())
    rows = address_rows(plan, frozenset({"sms", "llm", "admin"}))
    assert ("text to", "+12345678900") in rows
    assert ("Twilio's webhook", "https://example.org/sms/webhook#rc=3&rp=all") in rows
    assert ("left out", "telegram: not set: telegram_bot_token") in rows


def test_without_a_public_url_the_table_says_that_twilio_cannot_reach_us() -> None:
    """The most common mistake of a first real start is said before it is made."""
    rows = dict(address_rows(make_plan(Settings(**TWILIO), asked()), frozenset({"sms"})))
    assert "set public_url" in rows["Twilio's webhook"]
