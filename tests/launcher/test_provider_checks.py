"""`--check` with accounts: what the providers answer, one mistake of an owner a row, and what would work."""

from __future__ import annotations

import asyncio
import base64
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from relay.channels.sms.checks import check
from relay.config.checks import Finding, Severity
from relay.launcher.diagnosis import SUMMARY, diagnose, examine
from relay.launcher.plan import Selection
from tests.launcher.provider_stand_in import Answers, provider_stand_in
from tests.settings import Settings

PORTS = [key.upper() for key in Settings.model_fields if key.endswith("_port")]
SID, SERVICE, NUMBER = "AC" + "5e" * 16, "MG" + "5e" * 16, "+12025550123"
ACCOUNT = f"GET /2010-04-01/Accounts/{SID}.json"
SENDERS = "GET /v2/Channels/Senders"
NUMBERS = f"GET /2010-04-01/Accounts/{SID}/IncomingPhoneNumbers.json"
SERVICES = f"GET /v1/Services/{SERVICE}"
GET_ME, HOOK = "POST /bot123:abc/getMe", "POST /bot123:abc/getWebhookInfo"
MODELS, CHAT = "GET /v1/models", "POST /v1/chat/completions"
ANSWER = {"choices": [{"message": {"role": "assistant", "content": "ready"}, "finish_reason": "stop"}]}


def number_row(**changes: Any) -> dict[str, Any]:
    row = {"phone_number": NUMBER, "capabilities": {"sms": True}, "sms_url": "", "sms_method": "POST"}
    return row | changes


def numbers(*rows: dict[str, Any]) -> tuple[int, Any]:
    return 200, {"incoming_phone_numbers": list(rows)}


class Doctor:
    """An owner's set-up in which everything works, on ports of its own; a test changes one thing."""

    def __init__(self, folder: Path, free_port: Callable[[], int]) -> None:
        self.folder = folder
        self.environ = {key: str(free_port()) for key in PORTS}
        self.public_url = f"http://127.0.0.1:{self.environ['SMS_SERVER_PORT']}"
        self.webhook = f"{self.public_url}/sms/webhook"
        self.environ |= {
            "TWILIO_ACCOUNT_SID": SID,
            "TWILIO_AUTH_TOKEN": "0123456789abcdef0123456789abcdef",
            "TWILIO_PHONE_NUMBER": NUMBER,
            "TELEGRAM_BOT_TOKEN": "123:abc",
            "PUBLIC_URL": self.public_url,
            "ADMIN_TOKEN": "J2nVxw0Zr8tq3LmCkP5yTg",
            "LLM_SOURCE": "openai",
        }
        self.answers: Answers = {
            ACCOUNT: (200, {"friendly_name": "Corner Shop", "status": "active", "type": "Full"}),
            NUMBERS: numbers(number_row(sms_url=f"{self.webhook}#rc=3&rp=all")),
            GET_ME: (200, {"ok": True, "result": {"id": 123, "username": "corner_shop_bot", "first_name": "Corner"}}),
            HOOK: (200, {"ok": True, "result": {"url": ""}}),
            MODELS: (200, {"data": [{"id": "m"}]}),
            CHAT: (200, ANSWER),
        }

    def findings(self, **environ: str) -> list[Finding]:
        with provider_stand_in(self.answers) as providers:
            addresses = {
                "TWILIO_API_BASE_URL": providers.url,
                "TELEGRAM_API_BASE_URL": providers.url,
                "OPENAI_BASE_URL": f"{providers.url}/v1",
            }
            return list(examine(self.folder, Selection(), {**addresses, **self.environ, **environ}))

    def problems(self, **environ: str) -> str:
        found = self.findings(**environ)
        return "\n".join(f"{one.what}: {one.text}" for one in found if one.severity is Severity.PROBLEM)


@pytest.fixture
def doctor(tmp_path: Path, free_port: Callable[[], int]) -> Doctor:
    return Doctor(tmp_path, free_port)


def test_a_set_up_that_works_is_confirmed(doctor: Doctor) -> None:
    """Account, number, webhook, public address, bot and model each have a line, and the sum is yes."""
    found = {finding.what: finding for finding in doctor.findings()}
    assert doctor.problems() == ""
    assert found["twilio account"].text == "Corner Shop is active"
    assert found["twilio number"].text == f"{NUMBER} belongs to the account and can do SMS"
    assert found["twilio webhook"].severity is Severity.FINE
    assert found["public_url"].text == f"{doctor.public_url} leads to {doctor.public_url}"
    assert found["telegram bot"].text == "@corner_shop_bot (Corner)"
    assert 'm: answered "ready"' in found["model"].text
    assert found[SUMMARY].text == "Would work: SMS yes, Telegram yes"


def test_an_api_key_and_the_auth_token_are_both_tried(doctor: Doctor) -> None:
    """The account is read with the token, as the usual key may not; numbers with the key that will send."""
    key = {"TWILIO_API_KEY_SID": "SK" + "5e" * 16, "TWILIO_API_KEY_SECRET": "secret-of-the-key"}
    with provider_stand_in(doctor.answers) as providers:
        settings = Settings(
            twilio_api_base_url=providers.url,
            **{name.lower(): value for name, value in {**doctor.environ, **key}.items() if name.startswith("TWILIO")},
        )
        asyncio.run(check(settings))
    used = dict(zip(providers.requests, providers.credentials, strict=True))
    names = {line.partition("?")[0]: base64.b64decode(one[6:]).decode()[:2] for line, one in used.items()}
    assert names == {ACCOUNT: "AC", NUMBERS: "SK"}


TWILIO_REFUSES = (401, {"code": 20003, "message": "Authenticate"})
MISTAKES: list[tuple[str, Answers, dict[str, str], list[str]]] = [
    ("a wrong bot token", {GET_ME: (401, {"ok": False, "error_code": 401, "description": "Unauthorized"})}, {},
     ["telegram bot", "telegram_bot_token", "@BotFather"]),
    ("wrong Twilio credentials", {ACCOUNT: TWILIO_REFUSES}, {}, ["twilio_account_sid", "20003"]),
    ("a suspended account", {ACCOUNT: (200, {"friendly_name": "Shop", "status": "suspended"})}, {}, ["is suspended"]),
    ("a number of another account", {NUMBERS: numbers(number_row(phone_number="+12025550177"))}, {},
     [NUMBER, "no number of this account", "+12025550177"]),
    ("an account without numbers", {NUMBERS: numbers()}, {}, ["it has: none"]),
    ("a number for calls only", {NUMBERS: numbers(number_row(capabilities={"sms": False}))}, {}, ["cannot send or"]),
    ("a webhook of an earlier tunnel", {NUMBERS: numbers(number_row(sms_url="https://old.example/sms/webhook"))}, {},
     ["https://old.example/sms/webhook", "/sms/webhook#rc=3&rp=all", "HTTP POST"]),
    ("a number without a webhook", {NUMBERS: numbers(number_row())}, {}, ["go to no address"]),
    ("a TwiML App", {NUMBERS: numbers(number_row(sms_application_sid="AP1"))}, {}, ["TwiML App", "AP1"]),
    ("Messaging Service of another account", {SERVICES: (404, {"code": 20404, "message": "not found"})},
     {"TWILIO_MESSAGING_SERVICE_SID": SERVICE}, ["20404"]),
    ("a Messaging Service with its own webhook", {SERVICES: (200, {"inbound_request_url": "https://crm.example/"})},
     {"TWILIO_MESSAGING_SERVICE_SID": SERVICE}, [SERVICE, "https://crm.example/"]),
    ("a page instead of Twilio", {ACCOUNT: (200, "hello")}, {}, ["twilio account"]),
    ("a tunnel to elsewhere", {}, {"PUBLIC_URL": "{stand_in}"}, ["public_url", "does not lead to this machine's port"]),
    ("a model that is not in the list", {}, {"OPENAI_MODEL": "does-not-exist"},
     ["no model 'does-not-exist'; there are: m", "openai_model"]),
    ("an address without /v1", {}, {"OPENAI_BASE_URL": "{stand_in}"}, ["Not Found", "/v1"]),
    ("a model that refuses", {CHAT: (401, {"error": {"message": "Incorrect API key provided"}})}, {},
     ["model", "Incorrect API key"]),
    ("a model server that is not running", {}, {"OPENAI_BASE_URL": "http://127.0.0.1:9/v1"}, ["cannot be reached"]),
    ("no model at all", {}, {"LLM_SOURCE": "openrouter"}, ["openrouter is not configured", "OPENROUTER_API_KEY"]),
]  # fmt: skip


@pytest.mark.parametrize(
    ("answers", "environ", "expected"), [row[1:] for row in MISTAKES], ids=[r[0] for r in MISTAKES]
)
def test_a_mistake_is_a_problem_with_words_that_help(
    doctor: Doctor, answers: Answers, environ: dict[str, str], expected: list[str]
) -> None:
    """What a person could not see before the first customer wrote."""
    doctor.answers |= answers
    with provider_stand_in({}) as elsewhere:
        problems = doctor.problems(**{key: text.format(stand_in=elsewhere.url) for key, text in environ.items()})
    for text in expected:
        assert text in problems


HARMLESS: list[tuple[str, Answers, dict[str, str], str]] = [
    ("a trial account", {ACCOUNT: (200, {"friendly_name": "Shop", "status": "active", "type": "Trial"})}, {},
     "is a trial account"),
    ("a webhook that is not repeated", {NUMBERS: numbers(number_row(sms_url="{webhook}"))}, {}, "loses a text"),
    ("a webhook in capitals", {NUMBERS: numbers(number_row(sms_url="HTTP://{host}/sms/webhook#rc=5"))}, {},
     "go to http"),
    ("a short code", {}, {"TWILIO_PHONE_NUMBER": "12345"}, "is a short code"),
    ("a webhook at Telegram", {HOOK: (200, {"ok": True, "result": {"url": "https://old.example/x"}})}, {},
     "https://old.example/x"),
    ("a service whose numbers have webhooks", {SERVICES: (200, {"use_inbound_webhook_on_number": True})},
     {"TWILIO_MESSAGING_SERVICE_SID": SERVICE}, "belongs to the account"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("answers", "environ", "expected"), [row[1:] for row in HARMLESS], ids=[r[0] for r in HARMLESS]
)
def test_what_works_all_the_same_is_no_problem(
    doctor: Doctor, answers: Answers, environ: dict[str, str], expected: str
) -> None:
    """A note at most."""
    names = {"{webhook}": doctor.webhook, "{host}": doctor.public_url.partition("//")[2]}
    for _, value in answers.values():
        for row in value.get("incoming_phone_numbers", ()):
            for name, text in names.items():
                row["sms_url"] = row["sms_url"].replace(name, text)
    doctor.answers |= answers
    found = doctor.findings(**environ)
    assert [one for one in found if one.severity is Severity.PROBLEM] == []
    assert any(expected in one.text for one in found)


def sender(**changes: Any) -> tuple[int, Any]:
    """What Twilio lists of our WhatsApp sender, which leads to `{webhook}`."""
    hook = {"callback_url": "{webhook}", "callback_method": "POST"}
    return 200, {"senders": [{"sender_id": f"whatsapp:{NUMBER}", "status": "ONLINE", "webhook": hook} | changes]}


WHATSAPP: list[tuple[str, tuple[int, Any], str, list[tuple[Severity, str]]]] = [
    ("online", sender(), NUMBER, [(Severity.FINE, "is online"), (Severity.FINE, "messages go to")]),
    ("elsewhere", sender(webhook={"callback_url": "https://old.example"}), NUMBER,
     [(Severity.FINE, "is online"), (Severity.PROBLEM, "go to https://old.example: enter")]),
    ("no webhook", sender(webhook=None), NUMBER,
     [(Severity.FINE, "is online"), (Severity.PROBLEM, "go to no address")]),
    ("offline", sender(status="OFFLINE"), NUMBER, [(Severity.PROBLEM, "is offline")]),
    ("of nobody", sender(sender_id="whatsapp:+12025550177"), NUMBER, [(Severity.PROBLEM, "it has: +12025550177")]),
    ("not listed", (404, {"code": 20404, "message": "not found"}), NUMBER, [(Severity.NOTE, "20404")]),
    ("sandbox", (404, {}), "+14155238886", [(Severity.NOTE, "sandbox"), (Severity.NOTE, "enter http")]),
]  # fmt: skip


@pytest.mark.parametrize(("answer", "number", "expected"), [row[1:] for row in WHATSAPP], ids=[r[0] for r in WHATSAPP])
def test_the_sender_of_whatsapp_is_looked_up(
    doctor: Doctor, answer: tuple[int, Any], number: str, expected: list[tuple[Severity, str]]
) -> None:
    """Whether it is ours, online, and leads here; an account that may not list its senders is no problem."""
    status, body = answer
    doctor.answers[SENDERS] = status, json.loads(json.dumps(body).replace("{webhook}", doctor.webhook))
    found = [one for one in doctor.findings(WHATSAPP_NUMBER=number) if one.what.startswith("whatsapp ")]
    assert [one.severity for one in found] == [severity for severity, _ in expected]
    for one, (_, words) in zip(found, expected, strict=True):
        assert words in one.text


def test_a_proxy_that_passes_on_webhooks_alone_is_enough(doctor: Doctor) -> None:
    """Our Caddyfile answers 404 to everything else."""
    with provider_stand_in({}) as proxy:
        doctor.environ["PUBLIC_URL"] = proxy.url
        # As the server on the port would, while it runs.
        refused = {"POST /sms/webhook": (403, {"error": "unsigned"}), "GET /health": (200, {"status": "ok"})}
        with provider_stand_in(refused) as running:
            doctor.environ["SMS_SERVER_PORT"] = str(running.server_port)
            proxy.answers["POST /sms/webhook"] = refused["POST /sms/webhook"]
            doctor.answers[NUMBERS] = numbers(number_row(sms_url=f"{proxy.url}/sms/webhook#rc=3"))
            assert doctor.problems() == ""


def test_each_channel_is_summed_up_with_its_own_reason(doctor: Doctor) -> None:
    """A mistake of one account does not concern the other channel; one of the model concerns both."""
    doctor.answers[ACCOUNT] = TWILIO_REFUSES
    assert ", Telegram yes" in doctor.findings()[-1].text
    assert "SMS no because twilio account: Twilio refused our credentials" in doctor.findings()[-1].text
    doctor.answers[CHAT] = (500, {})
    assert "Telegram no because model: " in doctor.findings()[-1].text


def test_a_channel_that_is_not_configured_is_summed_up_too(doctor: Doctor) -> None:
    """With the settings that it lacks."""
    del doctor.environ["TWILIO_PHONE_NUMBER"]
    assert "SMS no because not set: twilio_phone_number" in doctor.findings()[-1].text


def test_a_closed_console_is_noted_with_the_way_in(doctor: Doctor) -> None:
    """The page in the browser cannot be reached otherwise."""
    del doctor.environ["ADMIN_TOKEN"]
    note = next(finding for finding in doctor.findings() if finding.what == "console")
    assert "ADMIN_TOKEN=" in note.text


def test_the_exit_status_and_the_last_lines_name_what_would_work(doctor: Doctor) -> None:
    """For a script, and for a person who reads the end only."""
    doctor.answers[GET_ME] = (404, {"ok": False, "error_code": 404, "description": "Not Found"})
    out = io.StringIO()
    with provider_stand_in(doctor.answers) as providers:
        doctor.environ |= {"TWILIO_API_BASE_URL": providers.url, "TELEGRAM_API_BASE_URL": providers.url}
        doctor.environ["OPENAI_BASE_URL"] = f"{providers.url}/v1"
        status = diagnose(doctor.folder, Selection(), doctor.environ, Console(file=out, width=300))
    *_, last_but_one, last = out.getvalue().splitlines()
    assert (status, last) == (1, "Problems to solve first: 1.")
    assert "Would work: SMS yes, Telegram no because telegram bot: " in last_but_one
