"""From the try-out to a number that answers, by the browser alone; another simulator plays the providers outside."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from relay.channels.sms.settings import SIMULATED_ACCOUNT_SID, SIMULATED_AUTH_TOKEN, SIMULATED_PHONE_NUMBER
from relay.channels.telegram.settings import SIMULATED_BOT_TOKEN
from relay.channels.whatsapp.checks import SANDBOX
from tests.browser.pictures import WANTED, take
from tests.launcher.provider_stand_in import provider_stand_in
from tests.ports import Ports
from tests.product.running_product import ROOT, RunningProduct
from tests.product.scripted_model import ScriptedModel

pytestmark = [pytest.mark.processes, pytest.mark.browser, pytest.mark.campaign]


class FreshFolder(RunningProduct):
    """The product as `make run` starts it in a folder without any account; the providers are at `outside`."""

    flags = ()

    def __init__(self, folder: Path, outside: str) -> None:
        super().__init__(folder)
        del self.environment["DATABASE_URL"]
        addresses = {"twilio_api_base_url": outside, "telegram_api_base_url": outside}
        (folder / "config.json").write_text(json.dumps(addresses))


@pytest.fixture
def outside(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A Twilio, a Telegram and phones that belong to no launcher."""
    ports = Ports()
    port = ports.take()
    environment = {**os.environ, "SIMULATOR_PORT": str(port), "PYTHONPATH": str(ROOT)}
    folder = tmp_path_factory.mktemp("outside")
    with subprocess.Popen([sys.executable, "-m", "simulator"], cwd=folder, env=environment) as process:
        yield f"http://127.0.0.1:{port}"
        process.terminate()
    ports.give_back()


@pytest.fixture
def model() -> Iterator[ScriptedModel]:
    scripted = ScriptedModel()
    yield scripted
    scripted.close()


@pytest.fixture
def fresh(tmp_path: Path, outside: str) -> Iterator[FreshFolder]:
    running = FreshFolder(tmp_path, outside)
    running.start()
    yield running
    running.close()


class SetupSteps:
    """The pages of the set-up in the browser, one after the other."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.password = ""

    def submit(self, name: str, found: str, **values: str) -> None:
        """Fill in a step, have it checked and saved; its page shows what was found."""
        page = self.page
        expect(page).to_have_url(re.compile(f"/setup/{name}"))
        for key, value in values.items():
            page.fill(f"#{key}", value)
        page.get_by_role("button", name="Check and save").click()
        expect(page.get_by_role("status").first).to_contain_text(found)
        self.picture(name)

    def go_on(self) -> None:
        """On to the next step, behind the restart of the console and, in another database, a login."""
        expect(self.page.locator("[data-wait]")).to_have_count(0)
        self.page.locator("a.button").click()
        self.page.wait_for_load_state()
        if "/login" in self.page.url:
            self.page.fill("#token", self.password)
            self.page.get_by_role("button", name="Sign in").last.click()

    def picture(self, name: str) -> None:
        """Renew the picture of the guides: `make pictures`."""
        if WANTED:
            take(self.page, f"setup-{name}", whole=True)


@pytest.mark.timeout(900)  # it passes a dozen restarts
def test_from_the_try_out_to_a_number_that_answers_by_the_browser_alone(
    page: Page, fresh: FreshFolder, model: ScriptedModel, outside: str
) -> None:
    """Every step confirms itself, the relay changes over while it runs, and a text is answered by the model."""
    page.goto(fresh.url("simulator"))
    page.click("#open-connect")
    page.get_by_role("link", name="Open the set-up").click()
    steps = SetupSteps(page)
    steps.password = page.input_value("#admin_token")
    steps.submit("password", "saved")
    steps.go_on()
    page.select_option("#llm_source", "openai")
    steps.submit("model", "scripted: answered", openai_base_url=model.url)
    steps.go_on()
    steps.submit("assistant", "saved", business_name="Willow Cafe", facts="We open at nine.")
    trial = page.locator("#trial .text")
    # The LLM server takes the model over within two seconds; until then the demo answers.
    while not trial.count() or "You said: When do you open?" not in trial.inner_text():
        page.fill("#question", "When do you open?")
        page.get_by_role("button", name="Ask").click()
        expect(page.locator("#trial")).to_be_visible()
    steps.picture("question")
    page.get_by_text("The prompt as it was sent").click()
    expect(page.locator("#trial pre")).to_contain_text("We open at nine.")
    page.goto(fresh.url("admin_server") + "/setup/telegram")
    steps.submit("telegram", "@", telegram_bot_token=SIMULATED_BOT_TOKEN)
    steps.go_on()
    account = {"twilio_account_sid": SIMULATED_ACCOUNT_SID, "twilio_auth_token": SIMULATED_AUTH_TOKEN}
    steps.submit("sms", "still needed: Number", **account)
    page.select_option("#twilio_phone_number", SIMULATED_PHONE_NUMBER)
    steps.submit("sms", "can do SMS")
    steps.go_on()
    steps.submit("whatsapp", "Twilio's sandbox", whatsapp_number=SANDBOX)
    steps.go_on()
    steps.submit("address", "leads to", public_url=fresh.url("sms_server"))
    expect(page.locator("[data-wait]")).to_have_count(0)
    page.get_by_role("button", name="Have SMS come here").click()
    if "/login" in page.url:
        pytest.fail("the login did not survive a restart with the same database")
    expect(page.get_by_role("status").first).to_contain_text("/sms/webhook#rc=3&rp=all now")
    steps.go_on()
    with provider_stand_in({"POST /alert": (200, {})}) as called:
        steps.submit("alerts", "took a test message", alert_urls=called.url.replace("http://", "json://") + "/alert")
    steps.go_on()
    expect(page.get_by_role("heading", name="Servers")).to_be_visible()
    fresh.await_ready("sms_server")
    page.goto(outside)
    answers = page.locator("#sms-log .bubble[data-direction=out]")
    for count, (text, expected) in enumerate((("name=Ada", "Ada"), ("When do you open?", "You said: When")), 1):
        page.fill("#sms-input", text)
        page.click("#sms-send")
        expect(answers).to_have_count(count)
        expect(answers.nth(count - 1)).to_contain_text(expected)
    assert "We open at nine." in str(model.questions("When do you open?")[-1][0])
