"""The try-out as a person does it: a real browser, the simulator's page, the real processes behind it."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from subprocess import check_output

import pytest
from playwright.sync_api import APIResponse, Browser, Page, Route, expect

from relay.channels.telegram.settings import SIMULATED_BOT_TOKEN
from relay.simulator.telegram_chats import BOT_USERNAME
from tests.product.running_product import Phone, RunningProduct

pytestmark = [pytest.mark.processes, pytest.mark.browser, pytest.mark.campaign]


@pytest.fixture(scope="module")
def product(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningProduct]:
    running = RunningProduct(tmp_path_factory.mktemp("browser"), LLM_SOURCE="demo")
    running.start()
    yield running
    running.close()


def show_new_person(page: Page, product: RunningProduct, name: str) -> Phone:
    """Show the phones of a person of this test alone, who has written nothing yet."""
    phone = Phone(product, "telegram", name)
    page.goto(product.url("simulator"))
    page.locator("[data-testid=person]", has_text=name).click()
    expect(page.locator("[data-testid=person][aria-pressed=true]")).to_contain_text(name)
    return phone


def test_clicking_through_registration_and_an_answer_by_text_message(page: Page, product: RunningProduct) -> None:
    """Type into the SMS phone, be asked for a name, give it, be greeted and be answered."""
    page.goto(product.url("simulator"))
    expect(page.get_by_text("simulated", exact=False).first).to_be_visible()
    answers = page.locator("#sms-log .bubble[data-direction=out]")
    for text, count, expected in (
        ("Hello", 1, "name="),
        ("name=Ada", 2, "Ada"),
        ("How do I connect an AI?", 3, "AI"),
    ):
        page.fill("#sms-input", text)
        page.click("#sms-send")
        expect(answers).to_have_count(count)
        expect(answers.nth(count - 1)).to_contain_text(expected)
    own = page.locator("#sms-log .bubble[data-direction=in]")
    for number, text in enumerate(("Hello", "name=Ada", "How do I connect an AI?")):
        expect(own.nth(number)).to_contain_text(text)


def test_a_bubble_that_arrives_while_the_transcript_is_fetched_stays(page: Page, product: RunningProduct) -> None:
    """A transcript that was read before the text was sent, and arrives after it, is fetched again."""
    show_new_person(page, product, "Gus")
    held: list[tuple[Route, APIResponse]] = []
    both_phones = 2

    def hold(route: Route) -> None:
        if len(held) < both_phones:
            held.append((route, route.fetch()))
        else:
            route.continue_()

    page.route("**/sim/transcript?*", hold)
    page.locator("[data-testid=person]", has_text="Gus").click()
    while len(held) < both_phones:
        page.evaluate("0")  # lets the routes be handled
    page.fill("#sms-input", "Hello")
    page.click("#sms-send")
    own = page.locator("#sms-log .bubble[data-direction=in]")
    expect(own).to_have_count(1)
    with page.expect_request("**/sim/transcript?platform=telegram*") as repeated:
        for route, response in held:
            route.fulfill(response=response)
    assert repeated.value.response()
    expect(own).to_have_count(1)


def test_a_formatted_answer_is_rendered_in_the_telegram_chat(page: Page, product: RunningProduct) -> None:
    """Start the bot, ask for something long, and see code and bold text instead of Markdown's marks."""
    show_new_person(page, product, "Cleo")
    answers = page.locator("#telegram-log .bubble[data-direction=out]")
    page.fill("#telegram-input", "/start")
    page.press("#telegram-input", "Enter")
    expect(answers).to_have_count(1)
    page.fill("#telegram-input", "Tell me something long")
    page.press("#telegram-input", "Enter")
    expect(page.locator("#telegram-log .bubble[data-direction=out] pre").first).to_be_visible()
    assert "**" not in "".join(answers.all_inner_texts())


def test_an_answer_is_watched_while_it_grows_and_stopped(page: Page, product: RunningProduct) -> None:
    """What was written when Stop is pressed stays, marked; the conversation goes on."""
    show_new_person(page, product, "Dora")
    answers = page.locator("#telegram-log .bubble[data-direction=out]")
    page.fill("#telegram-input", "Tell me something long")
    page.press("#telegram-input", "Enter")
    draft = page.get_by_test_id("draft")
    expect(draft).to_contain_text("something long")
    first = draft.inner_text()
    page.wait_for_function(
        "text => document.querySelector('[data-testid=draft]')?.innerText.length > text.length", arg=first
    )
    draft.get_by_role("button", name="Stop").click()
    expect(answers).to_have_count(1)
    expect(answers.last).to_contain_text("stopped here")
    answers.last.get_by_role("button", name="Continue").click()
    expect(answers.last.get_by_role("button", name="Shorter")).to_be_visible()
    expect(answers.last).not_to_contain_text("stopped here")
    expect(answers).to_have_count(1)
    page.fill("#telegram-input", "Hello")
    page.press("#telegram-input", "Enter")
    expect(answers).to_have_count(2)
    answers.first.get_by_role("button", name="Again").click()
    expect(page.locator("#notice")).to_contain_text("too old to change")
    answers.last.get_by_role("button", name="Again").click()
    expect(answers.last).to_have_attribute("data-edited", "true")
    expect(answers).to_have_count(2)


def test_an_answer_grows_in_a_group_where_its_person_stops_and_continues_it(
    page: Page, product: RunningProduct
) -> None:
    """It stays one message, which has Stop while it grows and Continue when it was stopped."""
    member = show_new_person(page, product, "Emil")
    product.sim("POST", "groups", json={"title": "Chess club", "members": [int(member.address)]})
    page.select_option("#telegram-chat", label="Chess club")
    answers = page.locator("#telegram-log .bubble[data-direction=out]")
    page.fill("#telegram-input", f"@{BOT_USERNAME} Tell me something long")
    page.press("#telegram-input", "Enter")
    expect(answers.last).to_contain_text("something long")
    answers.last.get_by_role("button", name="Stop").click()
    expect(answers.last).to_contain_text("stopped here")
    expect(answers).to_have_count(1)
    answers.last.get_by_role("button", name="Continue").click()
    expect(answers.last.get_by_role("button", name="Shorter")).to_be_visible()
    expect(answers.last).not_to_contain_text("stopped here")
    expect(answers).to_have_count(1)


def test_the_console_shows_the_person_the_servers_and_the_conversation(page: Page, product: RunningProduct) -> None:
    """Name and words of a person who registered by text are found there, readable on a phone as well."""
    phone = Phone(product, "sms", "Flora")
    phone.ask("name=Flora")
    phone.ask("How do I connect an AI?")
    page.goto(product.url("admin_server"))
    page.locator("a[href*='platform=sms']", has_text="Flora").first.click()
    expect(page.get_by_text("How do I connect an AI?").first).to_be_visible()
    page.set_viewport_size({"width": 390, "height": 800})
    overflow = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    assert page.evaluate(overflow) <= 0


def test_a_person_is_taken_over_and_given_back_while_the_phone_watches(page: Page, product: RunningProduct) -> None:
    """A suggested question is answered by the AI, the next one by hand, and the AI again when it is given back."""
    page.goto(product.url("simulator"))
    page.locator("[data-testid=person]", has_text="Ben").click()
    answers = page.locator("#telegram-log .bubble[data-direction=out]")
    page.locator("#telegram-log").get_by_role("button", name="What can you do?").click()
    expect(answers.last).to_contain_text("Without an AI I can answer")
    page.fill("#sms-input", "half a text")
    page.reload()
    expect(page.locator("[data-testid=person][aria-pressed=true]")).to_contain_text("Ben")
    expect(page.locator("#sms-input")).to_have_value("half a text")
    console = page.context.new_page()
    console.goto(product.url("admin_server"))
    console.locator("a[href*='platform=telegram']", has_text="Ben").first.click()
    console.fill("#message", "A person here, one moment.")
    console.get_by_role("button", name="Send").click()
    expect(answers.last).to_contain_text("A person here")
    count = answers.count()
    page.fill("#telegram-input", "Are you still there?")
    page.press("#telegram-input", "Enter")
    console.goto(product.url("admin_server"))
    expect(console.locator("#humans")).to_contain_text("waits for you")
    expect(answers).to_have_count(count)
    console.locator("#humans a", has_text="Ben").click()
    console.get_by_role("button", name="Back to the AI").click()
    expect(console.get_by_text("The AI answers again")).to_be_visible()
    page.fill("#telegram-input", "How do I connect a real AI?")
    page.press("#telegram-input", "Enter")
    expect(answers.last).to_contain_text("OpenRouter")


def test_a_fault_shows_what_it_struck(page: Page, product: RunningProduct) -> None:
    """Its button stays pressed until it has struck; the relay tries again, and the list has both."""
    show_new_person(page, product, "Gil")
    page.click("#open-faults")
    fault = page.locator("#fault-choices button[data-label='Telegram: Bad gateway (502)']")
    fault.click()
    expect(fault).to_have_attribute("aria-pressed", "true")
    page.locator("#faults-dialog [data-close]").click()
    answers = page.locator("#telegram-log .bubble[data-direction=out]")
    page.fill("#telegram-input", "What can you do?")
    page.press("#telegram-input", "Enter")
    expect(answers).to_have_count(1)
    page.click("#open-faults")
    expect(page.get_by_test_id("strikes")).to_contain_text("Telegram answered 502 to sendMessage")
    expect(page.get_by_test_id("strikes")).to_contain_text("tried again after")
    expect(fault).to_have_attribute("aria-pressed", "false")


def test_a_text_to_many_reaches_the_phone_and_its_list_shows_how_far_it_is(page: Page, product: RunningProduct) -> None:
    """Write, preview with reasons and cost, send once, and read it on the phone as it was written."""
    phone = Phone(product, "sms", "Zoe")
    phone.ask("name=Zoe")
    page.goto(product.url("admin_server"))
    page.get_by_role("link", name="Write to many").click()
    page.get_by_label("Text").fill("Closed on Monday.\nReply STOP to stop.")
    page.get_by_label("SMS").check()
    page.locator("select[name=hours]").select_option(label="at any time")
    page.get_by_role("button", name="Preview").click()
    expect(page.locator("#preview-sms")).to_contain_text("Estimated cost")
    page.get_by_role("button", name="Send to").click()
    first = page.locator("[id^=broadcast-]").first
    expect(first).to_contain_text("Closed on Monday")
    assert phone.next_reply() == "Closed on Monday.\nReply STOP to stop."
    expect(first.locator(".chip").first).to_have_text("done")


def test_what_is_set_for_a_person_is_shown_with_them(page: Page, product: RunningProduct) -> None:
    """Notes and a limit are saved; a pause is shown on the page and in the list of people, and is ended."""
    phone = Phone(product, "sms", "Yan")
    phone.ask("name=Yan")
    page.goto(product.url("admin_server"))
    page.locator("a[href*='platform=sms']", has_text="Yan").first.click()
    page.get_by_text("Block, pause, limits, language, notes").click()
    page.get_by_label("Notes, for operators only").fill("Prefers mornings")
    page.get_by_label("Messages answered in 24 hours").fill("50")
    page.get_by_role("button", name="Save").click()
    expect(page.locator("#note")).to_have_text("Prefers mornings")
    expect(page.locator("#who")).to_contain_text("50 a day")
    page.get_by_role("button", name="Pause").click()
    expect(page.locator("#who")).to_contain_text("Paused by you")
    page.goto(product.url("admin_server"))
    expect(page.locator(".people tr", has_text="Yan")).to_contain_text("paused by you")
    page.locator("a[href*='platform=sms']", has_text="Yan").first.click()
    page.get_by_text("Block, pause, limits, language, notes").click()
    page.get_by_role("button", name="Answer this person again").click()
    expect(page.locator("#who")).not_to_contain_text("Paused by you")
    assert "I" in phone.ask("What can you do?")


SCREENSHOT = Path(__file__).resolve().parents[2] / "docs" / "images" / "simulator.png"


@pytest.mark.skipif("MAKE_SCREENSHOT" not in os.environ, reason="only for renewing the README's picture")
def test_the_picture_of_the_readme(page: Page, product: RunningProduct) -> None:
    """Take the README's screenshot anew: `make pictures`."""
    page.emulate_media(reduced_motion="reduce")  # no bubble that is still fading in
    page.goto(product.url("simulator"))
    for phone, text, answered in (
        ("sms", "name=Ada", "Nice to meet you, Ada"),
        ("sms", "How do I connect an AI?", "Ollama"),
        ("telegram", "Tell me something long", "And now?"),
    ):
        page.fill(f"#{phone}-input", text)
        page.click(f"#{phone}-send")
        expect(page.locator(f"#{phone}-log .bubble[data-direction=out]").last).to_contain_text(answered)
    expect(page.locator("#sms-log .bubble[data-direction=out]").last).to_contain_text("delivered")
    expect(page.locator("#connection")).to_have_text("live")
    page.screenshot(path=SCREENSHOT)
    assert SCREENSHOT.stat().st_size > 10_000


GALLERY = Path(__file__).resolve().parents[1] / "channels" / "telegram" / "gallery" / "answers.json"
UNROLL = """() => {
  document.querySelector("#telegram-log").style.width = "390px";
  for (let one = document.querySelector("#telegram-log"); one; one = one.parentElement) {
    Object.assign(one.style, { height: "auto", maxHeight: "none", overflow: "visible" });
  }
}"""
ANSWERS_A_PICTURE = 20
WRITINGS = ("zh-cn", "ja", "ko", "ar", "und-zsye")
"""Whose letters, and emojis, the answers have, as fontconfig calls them."""


@pytest.mark.skipif("MAKE_SCREENSHOT" not in os.environ, reason="only for renewing the pictures of the gallery")
def test_the_pictures_of_the_gallery(page: Page, product: RunningProduct) -> None:
    """Show the gallery of answers on a telephone, 390 pixels wide: `make pictures`."""
    lacking = [lang for lang in WRITINGS if not check_output(["fc-list", f":lang={lang}"])]
    assert not lacking, "boxes would stand for letters (Debian: apt install fonts-noto-cjk fonts-noto-color-emoji)"
    phone = Phone(product, "telegram", "Gallery")
    phone.send("/start")
    phone.next_reply()
    product.sim("POST", "options", json={"telegram_limits": False})
    send = f"{product.url('simulator')}/bot{SIMULATED_BOT_TOKEN}/sendMessage"
    answers = [part for answer in json.loads(GALLERY.read_text("utf-8")) for part in answer["parts"]]
    for part in answers:
        product.call("POST", send, json={"chat_id": phone.address, **part})
    page.goto(product.url("simulator"))
    page.get_by_role("button", name="Gallery").click()
    bubbles = page.locator("#telegram-log .bubble[data-direction=out]")
    expect(bubbles.nth(len(answers))).to_be_attached()
    page.evaluate(UNROLL)
    show = "(all, [from, to]) => all.forEach((one, n) => { one.style.display = n >= from && n < to ? '' : 'none' })"
    for number, start in enumerate(range(0, len(answers), ANSWERS_A_PICTURE), 1):
        bubbles.evaluate_all(show, [start, start + ANSWERS_A_PICTURE])
        page.locator("#telegram-log").screenshot(
            path=SCREENSHOT.with_name(f"telegram-gallery-{number}.png"), animations="disabled"
        )
