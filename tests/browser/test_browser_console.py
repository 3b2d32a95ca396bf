"""The console as a process of its own, in a real browser: a conversation that goes on while somebody writes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from messaging_database import MessagingDatabase
from relay.channels.sms.spec import SMS
from tests.console.running import Story, console_process, opened, settings_for
from tests.console.sample_data import ALICE, SampleData, alice_asks

pytestmark = [pytest.mark.processes, pytest.mark.browser]


def fill_database(folder: Path, story: Story) -> None:
    """Let something happen in the database of this folder, as another process would."""

    async def happen() -> None:
        async with opened(settings_for(folder)) as database:
            await story(database)

    with ThreadPoolExecutor(1) as other_thread:  # the browser's driver has a loop in this one
        other_thread.submit(asyncio.run, happen()).result()


@pytest.fixture
def console(
    page: Page, tmp_path: Path, product_environ: dict[str, str], wait_for_health: Callable[..., None]
) -> Iterator[str]:
    """The address of a console that shows what Alice asked, on a page as small as a phone."""
    page.set_viewport_size({"width": 390, "height": 700})
    fill_database(tmp_path, alice_asks)
    with console_process(tmp_path, product_environ):
        wait_for_health(product_environ["ADMIN_SERVER_PORT"])
        yield f"http://127.0.0.1:{product_environ['ADMIN_SERVER_PORT']}"


def test_a_conversation_is_followed_live_without_disturbing_the_writer(
    page: Page, console: str, tmp_path: Path
) -> None:
    """New words appear by themselves at the end; what the operator was typing stays, and nothing in the page breaks."""
    broken: list[str] = []
    page.on("console", lambda message: broken.append(message.text) if message.type == "error" else None)
    page.goto(console)
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


def test_a_message_that_cannot_be_sent_stays_in_its_box(page: Page, console: str) -> None:
    """Ctrl+Enter sends; while the SMS server is down the page says so and keeps the words."""
    page.goto(f"{console}/person?platform=sms&id=%2B12025550147")
    page.get_by_label("Message by hand").fill("Hello Alice")
    page.keyboard.press("Control+Enter")
    expect(page.get_by_role("alert")).to_contain_text("The SMS server is not running, nothing was sent.")
    expect(page.get_by_label("Message by hand")).to_have_value("Hello Alice")
    expect(page.get_by_role("button", name="Send")).to_be_enabled()
