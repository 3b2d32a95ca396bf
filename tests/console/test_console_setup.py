"""The set-up in the browser: every step asks its provider, writes .env when that is content, and shows no secret."""

from __future__ import annotations

import asyncio
import os
import stat
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from relay.console.setup import FACTS_FILE, STEPS
from relay.launcher.control import serve_control
from tests.console.running import browsing, nothing, settings_after, settings_for
from tests.launcher.provider_stand_in import Answers, ProviderStandIn, provider_stand_in

SID, NUMBER, NUMBER_SID = "AC" + "5e" * 16, "+12025550123", "PN" + "5e" * 16
AUTH_TOKEN, BOT_TOKEN, PASSWORD = "0123456789abcdef0123456789abcdef", "123:abc-DEF", "J2nVxw0Zr8tq3LmCkP5yTg"
NUMBERS = f"GET /2010-04-01/Accounts/{SID}/IncomingPhoneNumbers.json"
ROW = {"sid": NUMBER_SID, "phone_number": NUMBER, "capabilities": {"sms": True}, "sms_url": "https://old.example/"}
READY = {"choices": [{"message": {"role": "assistant", "content": "ready"}, "finish_reason": "stop"}]}


def answers() -> Answers:
    return {
        f"GET /2010-04-01/Accounts/{SID}.json": (200, {"friendly_name": "Shop", "status": "active", "type": "Full"}),
        NUMBERS: (200, {"incoming_phone_numbers": [ROW]}),
        f"POST /2010-04-01/Accounts/{SID}/IncomingPhoneNumbers/{NUMBER_SID}.json": (200, ROW),
        f"POST /bot{BOT_TOKEN}/getMe": (200, {"ok": True, "result": {"username": "shop_bot", "first_name": "Shop"}}),
        f"POST /bot{BOT_TOKEN}/getWebhookInfo": (200, {"ok": True, "result": {"url": ""}}),
        "GET /v1/models": (200, {"data": [{"id": "m"}]}),
        "POST /v1/chat/completions": (200, READY),
    }


class Newcomer:
    """A folder in which nothing was set, a browser at its console, and providers that answer as a test sets."""

    def __init__(self, folder: Path, browser: httpx.AsyncClient, providers: ProviderStandIn) -> None:
        self.folder, self.browser, self.providers = folder, browser, providers

    @property
    def env(self) -> str:
        path = self.folder / ".env"
        return path.read_text("utf-8") if path.exists() else ""

    async def submit(self, step: str, **form: str) -> httpx.Response:
        response = await self.browser.post(f"/setup/{step}", data=form)
        for secret in (AUTH_TOKEN, BOT_TOKEN, "sk-secret-1"):
            assert secret not in response.text
        return response


@asynccontextmanager
async def set_up(folder: Path, **headers: str) -> AsyncIterator[Newcomer]:
    with provider_stand_in(answers()) as providers:
        os.environ |= {"TWILIO_API_BASE_URL": providers.url, "TELEGRAM_API_BASE_URL": providers.url}
        os.environ |= {"OPENAI_BASE_URL": f"{providers.url}/v1"}
        async with browsing(await settings_after(nothing, folder, simulated=True), **headers) as browser:
            yield Newcomer(folder, browser, providers)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, free_port: Callable[[], int]) -> Path:
    """The settings folder, in which the console runs as under the launcher."""
    monkeypatch.chdir(tmp_path)
    for key in ("TWILIO_API_BASE_URL", "TELEGRAM_API_BASE_URL", "OPENAI_BASE_URL", "SIMULATED"):
        monkeypatch.setenv(key, "true" if key == "SIMULATED" else "")
    for server in ("SMS", "TELEGRAM", "LLM", "ADMIN"):
        monkeypatch.setenv(f"{server}_SERVER_PORT", str(free_port()))
    return tmp_path


RIGHT: list[tuple[str, dict[str, str], str, str]] = [
    ("password", {"admin_token": PASSWORD}, "strong enough", f"ADMIN_TOKEN={PASSWORD}\n"),
    ("model", {"llm_source": "openai", "openai_api_key": "sk-secret-1"}, "m: answered &#34;ready&#34;",
     "LLM_SOURCE=openai\nOPENAI_API_KEY=sk-secret-1\n"),
    ("assistant", {"business_name": "Ann's Bakery", "instructions": "Be kind.\r\nBrief.", "timezone": "UTC"}, "saved",
     "BUSINESS_NAME='Ann\\'s Bakery'\nINSTRUCTIONS='Be kind.\nBrief.'\n"),
    ("telegram", {"telegram_bot_token": BOT_TOKEN}, "@shop_bot (Shop)", f"TELEGRAM_BOT_TOKEN={BOT_TOKEN}\n"),
    ("sms", {"twilio_account_sid": SID, "twilio_auth_token": AUTH_TOKEN, "twilio_phone_number": NUMBER},
     "belongs to the account and can do SMS",
     f"TWILIO_ACCOUNT_SID={SID}\nTWILIO_AUTH_TOKEN={AUTH_TOKEN}\nTWILIO_PHONE_NUMBER={NUMBER}\n"),
]  # fmt: skip


@pytest.mark.parametrize(("step", "form", "found", "written"), RIGHT, ids=[row[0] for row in RIGHT])
async def test_what_the_provider_confirms_is_written(
    folder: Path, step: str, form: dict[str, str], found: str, written: str
) -> None:
    """Below what the owner wrote there; with who did it in the audit log."""
    (folder / ".env").write_text("# mine\n")
    async with set_up(folder) as newcomer:
        page = await newcomer.submit(step, **form)
        assert (page.status_code, found in page.text) == (200, True)
        assert "No launcher runs in this folder" in page.text
        assert newcomer.env == f"# mine\n{written}"
        assert "<strong>set up" in (await newcomer.browser.get("/audit")).text
    assert stat.S_IMODE((folder / ".env").stat().st_mode) == 0o600


UNAUTHORIZED = (401, {"ok": False, "error_code": 401, "description": "Unauthorized"})
WRONG: list[tuple[str, str, dict[str, str], Answers, str]] = [
    ("an empty password", "password", {"admin_token": " "}, {}, "enter one"),
    ("a weak password", "password", {"admin_token": "secret-token"}, {}, "placeholder"),
    ("a short password", "password", {"admin_token": "h7Gq2"}, {}, "fewer than 16 characters"),
    ("a bot of nobody", "telegram", {"telegram_bot_token": BOT_TOKEN}, {f"POST /bot{BOT_TOKEN}/getMe": UNAUTHORIZED},
     "Unauthorized"),
    ("no token at all", "telegram", {}, {}, "still needed: Bot token"),
    ("the example of a guide", "telegram", {"telegram_bot_token": "1:the-string-from-BotFather"}, {}, "example"),
    ("a key instead of the account", "sms", {"twilio_account_sid": "SK" + "5e" * 16}, {}, "AC and 32 hex digits"),
    ("another account's number", "sms",
     {"twilio_account_sid": SID, "twilio_auth_token": AUTH_TOKEN, "twilio_phone_number": "+12025550177"}, {},
     "no number of this account"),
    ("wrong credentials", "sms", {"twilio_account_sid": SID, "twilio_auth_token": AUTH_TOKEN},
     {NUMBERS: (401, {"code": 20003, "message": "Authenticate"})}, "20003"),
    ("a model that is not there", "model", {"llm_source": "openai", "openai_model": "n"}, {}, "there are: m"),
    ("what .env changes", "assistant", {"instructions": "Cost: ${A}", "timezone": "UTC"}, {}, "another setting"),
    ("an unknown time zone", "assistant", {"timezone": "Mars/Base"}, {}, "time zone database"),
    ("an address without a password", "address", {"public_url": "https://relay.example.org"}, {}, "password first"),
    ("nobody to call", "alerts", {}, {}, "skip this step"),
    ("an address that takes nothing", "alerts", {"alert_urls": "json://127.0.0.1:9/alert"}, {}, "took no test message"),
    ("an address without https", "address", {"public_url": "http://relay.example.org"}, {}, "https://"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("step", "form", "changed", "words"), [row[1:] for row in WRONG], ids=[row[0] for row in WRONG]
)
async def test_what_would_not_work_is_not_written(
    folder: Path, step: str, form: dict[str, str], changed: Answers, words: str
) -> None:
    """The reason is on the page, and what was entered stays in the form unless it is secret."""
    (folder / ".env").write_text("# mine\n")
    async with set_up(folder) as newcomer:
        newcomer.providers.answers |= changed
        page = await newcomer.submit(step, **form)
        assert (page.status_code, words in page.text) == (422, True)
        assert newcomer.env == "# mine\n"


async def test_the_numbers_of_the_account_are_offered(folder: Path) -> None:
    """With SID and token alone nothing is written yet: one of them is chosen first, the token is not entered again."""
    async with set_up(folder) as newcomer:
        page = await newcomer.submit("sms", twilio_account_sid=SID, twilio_auth_token=AUTH_TOKEN)
        assert f"<option>{NUMBER}</option>" in page.text
        assert "set; leave empty to keep it" in page.text
        assert newcomer.env == ""
        wrong = await newcomer.submit("sms", twilio_account_sid=SID, twilio_phone_number="+12025550199")
        assert (wrong.status_code, newcomer.env) == (422, "")
        await newcomer.submit("sms", twilio_account_sid=SID, twilio_phone_number=NUMBER)
        assert f"TWILIO_AUTH_TOKEN={AUTH_TOKEN}\n" in newcomer.env


async def test_a_token_that_the_provider_refused_is_not_kept_for_the_next_try(folder: Path) -> None:
    """Nor is one of another channel: an empty field then means that none is entered."""
    async with set_up(folder) as newcomer:
        newcomer.providers.answers[NUMBERS] = (401, {"code": 20003, "message": "Authenticate"})
        await newcomer.submit("sms", twilio_account_sid=SID, twilio_auth_token=AUTH_TOKEN)
        page = await newcomer.submit("sms", twilio_account_sid=SID, twilio_phone_number=NUMBER)
    assert "still needed: Auth token" in page.text


async def test_the_public_address_and_the_webhook(folder: Path) -> None:
    """A request goes out and comes in again; then a click replaces the old address at the provider."""
    async with set_up(folder) as newcomer:
        (folder / ".env").write_text("".join(written for step, _, _, written in RIGHT if step in {"password", "sms"}))
        here = f"http://127.0.0.1:{os.environ['SMS_SERVER_PORT']}"
        elsewhere = await newcomer.submit("address", public_url=newcomer.providers.url)
        assert (elsewhere.status_code, "does not lead to this machine" in elsewhere.text) == (422, True)
        page = await newcomer.submit("address", public_url=f"{here}/sms/webhook")
        assert f"{here} leads to {here}" in page.text
        assert "https://old.example/" in page.text
        assert f"PUBLIC_URL={here}/sms/webhook\n" in newcomer.env
        connected = await newcomer.browser.post("/setup-connect", data={"platform": "sms"})
        assert f"go to {here}/sms/webhook#rc=3&amp;rp=all now" in connected.text
        assert any(f"/IncomingPhoneNumbers/{NUMBER_SID}.json" in line for line in newcomer.providers.requests)
        assert "Next: Alerts" in connected.text
        assert "Skip: to the console" in (await newcomer.browser.get("/setup/alerts")).text
        refused = await newcomer.browser.post("/setup-connect", data={"platform": "telegram"})
        assert refused.status_code == 422


async def test_secrets_stay_and_other_values_are_emptied(folder: Path) -> None:
    """An empty secret keeps the one there is; a switch that config.json turns on is turned off by name."""
    (folder / "config.json").write_text('{"knowledge_only": true}')
    async with set_up(folder) as newcomer:
        for step in ("sms", "assistant"):
            await newcomer.submit(step, **next(form for name, form, *_ in RIGHT if name == step))
        page = await newcomer.submit("sms", twilio_account_sid=SID, twilio_phone_number=NUMBER)
        assert (page.status_code, f"TWILIO_AUTH_TOKEN={AUTH_TOKEN}" in newcomer.env) == (200, True)
        assert "set; leave empty to keep it" in (await newcomer.browser.get("/setup/sms")).text
        await newcomer.submit("assistant", timezone="UTC")
        assert "BUSINESS_NAME" not in newcomer.env
        assert "KNOWLEDGE_ONLY=false" in newcomer.env


async def test_what_others_write_during_a_check_stays(folder: Path) -> None:
    """Two steps in two browsers at once; both are in .env afterwards."""
    async with set_up(folder) as newcomer:
        await asyncio.gather(
            newcomer.submit("telegram", telegram_bot_token=BOT_TOKEN),
            newcomer.submit("model", llm_source="openai", openai_api_key="sk-secret-1"),
        )
    assert f"TELEGRAM_BOT_TOKEN={BOT_TOKEN}\n" in newcomer.env
    assert "OPENAI_API_KEY=sk-secret-1\n" in newcomer.env


async def test_facts_become_a_document(folder: Path) -> None:
    """It is listed, shown again, and removed when it is emptied."""
    async with set_up(folder) as newcomer:
        await newcomer.submit("assistant", timezone="UTC", facts="# Hours\r\nWe open at <9>.")
        document = folder / "knowledge" / FACTS_FILE
        assert document.read_text() == "# Hours\nWe open at <9>.\n"
        page = (await newcomer.browser.get("/setup/assistant")).text
        assert ("We open at &lt;9&gt;." in page, FACTS_FILE in page) == (True, True)
        await newcomer.submit("assistant", timezone="UTC", facts=" ")
        assert not document.exists()


async def test_a_test_question_shows_the_prompt_and_why_there_is_no_answer(folder: Path) -> None:
    """The prompt is that of the channel's own program, with the documents; here no LLM server runs."""
    async with set_up(folder) as newcomer:
        await newcomer.submit("assistant", timezone="UTC", facts="We open at nine.", business_name="Ann & Co")
        form = {"platform": "sms", "question": "-- When <do> you open?"}
        page = (await newcomer.browser.post("/setup-test", data=form)).text
    assert "You speak for Ann &amp; Co." in page
    assert "We open at nine." in page
    assert "You answer text messages (SMS)" in page
    assert "the LLM server" in page
    assert "-- When &lt;do&gt; you open?" in page


async def test_the_launcher_is_asked_to_put_it_into_force(folder: Path) -> None:
    """The page names what restarts, awaits the console's own restart, or shows why the launcher refuses."""
    responses: list[dict[str, Any]] = [
        {"restarted": ["telegram"]},
        {"restarted": ["admin"], "stopped": ["simulator"]},
        {"error": "ports are <taken>"},
    ]
    close = serve_control(folder, lambda: responses.pop(0))
    try:
        async with set_up(folder) as newcomer:
            pages = [(await newcomer.submit("telegram", telegram_bot_token=BOT_TOKEN)).text for _ in range(3)]
            current = (await newcomer.browser.get("/setup/instance")).text
    finally:
        close()
    assert "Restarted: telegram." in pages[0]
    assert f'data-wait="{current}"' in pages[1]
    assert [("the simulator has stopped" in page) for page in pages] == [False, True, False]
    assert "ports are &lt;taken&gt;" in pages[2]


async def test_who_is_called_gets_a_test_before_it_is_written(folder: Path) -> None:
    """Each of the addresses; they are never shown again, and an empty field keeps them."""
    async with set_up(folder) as newcomer:
        newcomer.providers.answers["POST /alert"] = (200, {})
        url = newcomer.providers.url.replace("http://", "json://") + "/alert"
        page = await newcomer.submit("alerts", alert_urls=f"{url} {url}")
        assert (page.status_code, page.text.count("took a test message")) == (200, 2)
        assert newcomer.env == f"ALERT_URLS='{url} {url}'\n"
        shown = (await newcomer.browser.get("/setup/alerts")).text
    assert url not in shown
    assert "leave empty to keep it" in shown


async def test_the_first_open_step_comes_first(folder: Path) -> None:
    """Password, model, instructions, channels, address; a file that is refused is named on every page."""
    assert list(STEPS) == ["password", "model", "assistant", "telegram", "sms", "whatsapp", "address", "alerts"]
    async with set_up(folder) as newcomer:
        assert (await newcomer.browser.get("/setup")).headers["Location"] == "/setup/password"
        await newcomer.submit("password", admin_token=PASSWORD)
        assert (await newcomer.browser.get("/setup")).headers["Location"] == "/setup/assistant"
        (folder / ".env").write_text("NONSENSE=1\n")
        assert "there is no setting called NONSENSE" in (await newcomer.browser.get("/setup/model")).text
        assert (await newcomer.browser.get("/setup/nowhere")).status_code == 404


async def test_who_sets_the_password_is_signed_in(folder: Path) -> None:
    """The cookie opens the console after its restart with the new password."""
    async with set_up(folder) as newcomer:
        page = await newcomer.submit("password", admin_token=PASSWORD)
        cookie = page.headers["set-cookie"].partition(";")[0]
    async with browsing(settings_for(folder, admin_token=PASSWORD), Cookie=cookie) as browser:
        assert (await browser.get("/setup/model")).status_code == 200
    async with browsing(settings_for(folder, admin_token=PASSWORD)) as browser:
        assert (await browser.get("/setup/model")).headers["Location"] == "/login?next=%2Fsetup%2Fmodel"


async def test_strangers_and_other_sites_change_nothing(folder: Path) -> None:
    """Through a tunnel, or from a page elsewhere in the owner's own browser."""
    for headers in ({"X-Forwarded-For": "203.0.113.9"}, {"Origin": "https://evil.example"}):
        async with set_up(folder, **headers) as newcomer:
            refused = await newcomer.submit("password", admin_token=PASSWORD)
            assert (refused.status_code, newcomer.env) == (403, "")
