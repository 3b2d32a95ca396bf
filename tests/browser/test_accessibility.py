"""axe-core over every page of the console and the simulator, and the way through them without a mouse."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.resources import files

import pytest
from playwright.sync_api import Browser, Page

from tests.console.running_sample import product_with_sample_data
from tests.console.sample_data import ALICE
from tests.product.running_product import RunningProduct

pytestmark = [pytest.mark.browser, pytest.mark.processes]

AXE = files("axe_playwright_python").joinpath("axe.min.js").read_text()
PERSON = f"platform=sms&id=%2B{ALICE[1:]}"
CONSOLE = (
    *("/", "/?q=Ada", f"/person?{PERSON}", f"/person?{PERSON}&before=60", f"/person/days?{PERSON}", "/failures"),
    *("/failures?kind=waiting", "/failures?kind=dead", "/audit", "/alerts", "/broadcasts", "/day?day=2026-01-01"),
    *("/messages", "/messages?q=lentils", "/messages?q=zzz", "/parts?state=delivered", "/no", "/message"),
    *("/message?id=1", "/message?id=no", "/setup", "/setup/model", "/setup/sms", "/setup/telegram"),
    *("/setup/whatsapp", "/setup/address", "/setup/alerts"),
)
LIGHT, DARK = ("light", 1280), ("dark", 390)
"""Scheme and width. axe computes for a second at each look, so the second look at all pages is a campaign."""
FINDINGS = """
async () => (await axe.run()).violations.map(
    found => found.id + ": " + found.nodes.slice(0, 3).map(node => node.html.slice(0, 150)))
"""


@pytest.fixture(scope="module")
def product(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningProduct]:
    """Everything that the pages can show; without a browser, nothing is started."""
    with product_with_sample_data(tmp_path_factory.mktemp("pages")) as running:
        yield running


def problems(page: Page, scheme: str, width: int) -> list[str]:
    """What axe finds with everything unfolded, and whether the page is too wide."""
    page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
    page.set_viewport_size({"width": width, "height": 900})
    page.evaluate("for (const one of document.querySelectorAll('details')) one.open = true")
    page.evaluate(AXE)
    found = list(page.evaluate(FINDINGS))
    if page.evaluate("document.documentElement.scrollWidth > innerWidth"):
        found.append("wider than the window")
    return found


@pytest.mark.parametrize("look", [LIGHT, pytest.param(DARK, marks=pytest.mark.campaign)], ids=["light", "dark"])
@pytest.mark.parametrize("path", CONSOLE)
def test_axe_finds_nothing_on_a_page_of_the_console(
    page: Page, product: RunningProduct, path: str, look: tuple[str, int]
) -> None:
    """Names, roles, contrast, order of headings; nothing is wider than the window, or than a phone."""
    page.goto(product.url("admin_server") + path)
    assert problems(page, *look) == []


def test_axe_finds_nothing_in_the_simulator(page: Page, product: RunningProduct) -> None:
    """With both phones, and with the faults open."""
    page.goto(product.url("simulator"))
    page.wait_for_load_state("networkidle")
    assert [problems(page, *look) for look in (LIGHT, DARK)] == [[], []]


def test_the_console_is_used_without_a_mouse(page: Page, product: RunningProduct) -> None:
    """The first stop skips to the content; a search, a person, a taken over conversation: by keys alone."""
    page.goto(product.url("admin_server"))
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the content"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"
    page.keyboard.press("Tab")
    page.keyboard.type("Alice")
    page.keyboard.press("Enter")
    page.wait_for_url("**q=Alice")
    link = page.locator("#people table a").first
    for _ in range(60):
        page.keyboard.press("Tab")
        if link.evaluate("one => one === document.activeElement"):
            break
    page.keyboard.press("Enter")
    page.wait_for_url("**/person**")
    for _ in range(200):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.textContent.trim()") == "Take over":
            break
    page.keyboard.press("Enter")
    page.wait_for_url("**done=taken**")
