"""The pictures of the console in docs/CONSOLE.md: every page, wide and on a phone, light and dark."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.pictures import WANTED, take
from tests.console.running_sample import product_with_sample_data
from tests.console.sample_data import ALICE
from tests.product.running_product import Phone, RunningProduct

pytestmark = [
    pytest.mark.browser,
    pytest.mark.processes,
    pytest.mark.skipif(not WANTED, reason="only for renewing the pictures: make pictures"),
]

PERSON = f"platform=sms&id=%2B{ALICE[1:]}"
PAGES = {
    "home": "/",
    "people-found": "/?q=parsley",
    "person": f"/person?{PERSON}#newest",
    "person-days": f"/person/days?{PERSON}",
    "clear": f"/person/clear?{PERSON}",
    "messages": "/messages?q=times",
    "failures": "/failures",
    "dead-letters": "/failures?kind=dead",
    "parts": "/parts?state=delivered",
    "broadcasts": "/broadcasts",
    "alerts": "/alerts",
    "audit": "/audit",
    "story": "/message?id=3",
    "error": "/no",
}
LOOKS = {"": (1120, 840, "light"), "-phone": (390, 844, "dark")}


@pytest.fixture(scope="module")
def product(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningProduct]:
    """Everything that the pages can show, and a text to many that is done."""
    with product_with_sample_data(tmp_path_factory.mktemp("pictures")) as running:
        Phone(running, "sms", "Zoe").ask("name=Zoe")
        words = "Hello {name|there}, we are closed on Monday.\nReply STOP to stop."
        text = {"text": words, "platform": "sms", "hours": ""}
        console = running.url("admin_server")
        preview = running.http.post(f"{console}/broadcasts/preview", data=text).text
        form = re.findall(r'name="form" value="(\w+)"', preview)[0]
        running.http.post(f"{console}/broadcasts", data={**text, "form": form})
        running.http.post(f"{console}/person/takeover", data={"platform": "telegram", "id": "70001"})
        yield running


@pytest.mark.parametrize("name", PAGES)
def test_a_page_of_the_console_is_pictured(page: Page, product: RunningProduct, name: str) -> None:
    """As much of it as a window shows."""
    for look, (width, height, scheme) in LOOKS.items():
        page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
        page.set_viewport_size({"width": width, "height": height})
        page.goto(product.url("admin_server") + PAGES[name])
        expect(page.get_by_text("not ready")).to_have_count(0)
        take(page, f"console-{name}{look}")


def test_the_preview_of_a_text_to_many_is_pictured(page: Page, product: RunningProduct) -> None:
    """Behind a form that is filled in."""
    for look, (width, height, scheme) in LOOKS.items():
        page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
        page.set_viewport_size({"width": width, "height": height})
        page.goto(product.url("admin_server") + "/broadcasts")
        page.get_by_label("Text").fill("Hello {name|there}, fresh bread from nine today.\nReply STOP to stop.")
        page.get_by_label("SMS").check()
        page.get_by_role("button", name="Preview").click()
        expect(page.locator("#preview-sms")).to_contain_text("What they read")
        take(page, f"console-preview{look}")
