"""The console as a process of its own: where it listens, how it stops, and what a real browser makes of it."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest
from playwright.sync_api import Page, expect, sync_playwright

from messaging_database import MessagingDatabase
from relay.channels.sms.spec import SMS
from tests.console.running import Story, opened, settings_for
from tests.console.sample_data import ALICE, SampleData, alice_asks

ROOT = Path(__file__).resolve().parents[2]
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
PATIENCE = 60_000  # milliseconds
expect.set_options(timeout=PATIENCE)
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]


def fill_database(folder: Path, story: Story) -> None:
    """Let something happen in the database of this folder, as another process would."""

    async def happen() -> None:
        async with opened(settings_for(folder)) as database:
            await story(database)

    with ThreadPoolExecutor(1) as other_thread:  # the browser's driver has a loop in this one
        other_thread.submit(asyncio.run, happen()).result()


@pytest.fixture
def environ(tmp_path: Path, product_environ: dict[str, str]) -> dict[str, str]:
    return {**product_environ, "DATABASE_URL": f"sqlite:///{tmp_path / 'messaging.db'}"}


@pytest.fixture
def start(
    environ: dict[str, str], wait_for_health: Callable[..., None]
) -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    """Starts a console with these settings on top; what still runs at the end is killed."""
    started: list[subprocess.Popen[bytes]] = []

    def run(**changes: str) -> subprocess.Popen[bytes]:
        process = subprocess.Popen([sys.executable, "admin_server.py"], cwd=ROOT, env={**environ, **changes})
        started.append(process)
        wait_for_health(environ["ADMIN_SERVER_PORT"])
        return process

    yield run
    for process in started:
        process.kill()
        process.wait()


def test_it_listens_on_loopback_alone_and_stops_cleanly(start: Callable[..., subprocess.Popen[bytes]]) -> None:
    """Whatever bind_host says; SIGTERM ends it well within its deadline."""
    process = start(BIND_HOST="0.0.0.0")
    listening = [
        connection.laddr.ip
        for connection in psutil.Process(process.pid).net_connections("inet")
        if connection.status == psutil.CONN_LISTEN
    ]
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) in {0, -signal.SIGTERM}  # uvicorn raises the signal again when all is closed
    assert listening == ["127.0.0.1"]


def test_a_bad_setting_is_one_sentence(environ: dict[str, str]) -> None:
    """Exit status 2 and a line that names the setting, no traceback."""
    ended = subprocess.run(
        [sys.executable, "admin_server.py"],
        cwd=ROOT,
        env={**environ, "ADMIN_SERVER_PORT": "console"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ended.returncode == 2
    assert "admin_server_port is not valid" in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.fixture
def page() -> Iterator[Page]:
    if CHROMIUM is None:
        reason = "no chromium on this machine (Debian: apt install chromium)"
        if os.environ.get("REQUIRE_BROWSER") == "1":
            pytest.fail(reason)
        pytest.skip(reason)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        page = browser.new_page(viewport={"width": 390, "height": 700})
        page.set_default_timeout(PATIENCE)
        yield page
        browser.close()


@pytest.mark.browser
def test_a_conversation_is_followed_live_without_disturbing_the_writer(
    page: Page, start: Callable[..., subprocess.Popen[bytes]], environ: dict[str, str], tmp_path: Path
) -> None:
    """New words appear by themselves at the end; what the operator was typing stays, and nothing in the page breaks."""
    broken: list[str] = []
    page.on("pageerror", lambda error: broken.append(str(error)))
    page.on("console", lambda message: broken.append(message.text) if message.type == "error" else None)
    fill_database(tmp_path, alice_asks)
    start()
    page.goto(f"http://127.0.0.1:{environ['ADMIN_SERVER_PORT']}/")
    page.get_by_role("link", name="Alice").click()
    expect(page.get_by_role("log").locator("li.bubble")).to_have_count(4)
    page.get_by_label("Message by hand").fill("Dear Alice, ")
    page.evaluate("document.getElementById('line-1').dataset.mine = 'kept'")

    async def she_writes(database: MessagingDatabase) -> None:
        await SampleData(database).receive(SMS, ALICE, "<b>Are you there?</b>")

    fill_database(tmp_path, she_writes)
    newest = page.get_by_text("<b>Are you there?</b>")
    expect(newest).to_be_in_viewport()
    expect(page.get_by_label("Message by hand")).to_have_value("Dear Alice, ")
    assert page.evaluate("document.activeElement.id") == "message"
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert broken == []


@pytest.mark.browser
def test_a_message_that_cannot_be_sent_stays_in_its_box(
    page: Page, start: Callable[..., subprocess.Popen[bytes]], environ: dict[str, str], tmp_path: Path
) -> None:
    """Ctrl+Enter sends; while the SMS server is down the page says so and keeps the words."""
    fill_database(tmp_path, alice_asks)
    start()
    page.goto(f"http://127.0.0.1:{environ['ADMIN_SERVER_PORT']}/person?platform=sms&id=%2B12025550147")
    page.get_by_label("Message by hand").fill("Hello Alice")
    page.keyboard.press("Control+Enter")
    expect(page.get_by_role("alert")).to_contain_text("The SMS server is not running, nothing was sent.")
    expect(page.get_by_label("Message by hand")).to_have_value("Hello Alice")
    expect(page.get_by_role("button", name="Send")).to_be_enabled()
