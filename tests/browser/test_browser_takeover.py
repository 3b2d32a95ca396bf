"""How a person gets into an operator's hands and back, in a browser: with a model, from the simulator's page alone."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from messaging_database import MessagingDatabase
from relay.channels.sms.spec import SMS
from relay.core.messages import UserId
from relay.core.prompt import NO_ANSWER
from tests.browser.test_browser_actions import happen, open_person
from tests.console.sample_data import SampleData
from tests.product.running_product import Phone, RunningProduct
from tests.product.scripted_model import Messages, ScriptedModel

pytestmark = [pytest.mark.browser, pytest.mark.processes, pytest.mark.campaign]

OPERATOR = 700_900_001
TOKEN = "a-token-of-the-tests-0123456789"


def answer(messages: Messages) -> str:
    """Nothing about parking in the documents, and something that cannot be used about elephants."""
    question = str(messages[-1]["content"])
    return NO_ANSWER if "park" in question else "" if "elephant" in question else f"You said: {question}"


@pytest.fixture(scope="module")
def product(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningProduct]:
    """With an operator on Telegram, documents, a model, and WhatsApp."""
    folder, model = tmp_path_factory.mktemp("takeover"), ScriptedModel()
    model.answer = answer
    (folder / "knowledge").mkdir()
    (folder / "knowledge" / "shop.md").write_text("# Hours\nFrom 9 to 18.\n")
    settings = {"OPERATORS": f"telegram:{OPERATOR}", "WHATSAPP_NUMBER": "+15550109999", "KNOWLEDGE_FOLDER": "knowledge"}
    settings |= {"LLM_SOURCE": "openai", "OPENAI_BASE_URL": model.url, "MAX_UNUSABLE_ANSWERS": "1"}
    running = RunningProduct(folder, TAKEOVER_WITHOUT_ANSWER="true", TAKEOVER_AFTER_FAILURES="2", **settings)
    running.start()
    Phone(running, "telegram", "Olga", chat_id=OPERATOR).ask("/start")
    yield running
    running.close()
    model.close()


def show_phones(page: Page, product: RunningProduct, name: str) -> None:
    page.goto(product.url("simulator"))
    page.locator("[data-testid=person]", has_text=name).click()
    expect(page.locator("[data-testid=person][aria-pressed=true]")).to_contain_text(name)


def test_what_the_documents_do_not_answer_is_answered_by_a_reply_on_the_operators_telegram(
    page: Page, product: RunningProduct
) -> None:
    """All of it by clicks: the person asks, the notice comes, the operator replies to it, `/back` gives back."""
    home, phone = product.url("admin_server"), Phone(product, "sms", "Paul")
    phone.ask("name=Paul")
    show_phones(page, product, "Paul")
    page.fill("#sms-input", "Where can I park?")
    page.press("#sms-input", "Enter")
    assert "told a person" in phone.next_reply()
    show_phones(page, product, "Olga")
    notice = page.locator("#telegram-log .bubble[data-direction=out]", has_text="Waits for you: Paul")
    notice.get_by_role("button", name="reply").click()
    expect(page.locator("#telegram-editing")).to_contain_text("Replying to: Waits for you: Paul")
    page.get_by_role("button", name="Cancel").click()
    expect(page.locator("#telegram-editing")).to_be_hidden()
    notice.get_by_role("button", name="reply").click()
    page.fill("#telegram-input", "Behind the house.")
    page.press("#telegram-input", "Enter")
    assert phone.next_reply() == "Behind the house."
    own = page.locator("#telegram-log .bubble[data-direction=in]", has_text="Behind the house.")
    expect(own.locator(".reply")).to_contain_text("Waits for you: Paul")
    open_person(page, home, phone)
    expect(page.locator("#hands")).to_contain_text("You have taken over")
    show_phones(page, product, "Olga")
    notice.get_by_role("button", name="reply").click()
    page.fill("#telegram-input", "/back")
    page.press("#telegram-input", "Enter")
    expect(page.locator("#telegram-log")).to_contain_text("The AI answers Paul again")
    assert phone.ask("Thanks") == "You said: Thanks"


def test_the_ai_drafts_and_the_operator_sends(page: Page, product: RunningProduct) -> None:
    """The draft waits in the form, and the page stays live beside it; what is sent is what the operator made of it."""
    home, phone = product.url("admin_server"), Phone(product, "sms", "Dora")
    phone.ask("name=Dora")
    open_person(page, home, phone)
    page.get_by_role("button", name="Take over").click()
    phone.send("Are you there?")
    expect(page.locator("#log")).to_contain_text("Are you there?")
    page.get_by_role("button", name="Draft by the AI").click()
    expect(page.locator("#message")).to_have_value("You said: Are you there?")
    phone.send("Hello?")
    expect(page.locator("#log")).to_contain_text("Hello?")
    page.locator("#message").fill("Yes, I am Olga.")
    page.get_by_role("button", name="Send").click()
    assert phone.next_reply() == "Yes, I am Olga."


def test_after_failures_in_a_row_a_person_is_left_to_the_operators_until_the_time_is_over(
    page: Page, product: RunningProduct
) -> None:
    """The queue of the home page shows them; without a message by hand the AI answers again, and the page follows."""
    home, phone = product.url("admin_server"), Phone(product, "sms", "Fred")
    phone.ask("name=Fred")
    phone.ask("An elephant?")
    phone.ask("A second elephant?")
    page.goto(home)
    page.locator("#humans li", has_text="Fred").get_by_role("link").click()
    expect(page.locator("#hands")).to_contain_text("You have taken over")

    async def the_hours_end(database: MessagingDatabase) -> None:
        await database.take_over(SMS, UserId(phone.address), 0.1)

    happen(product, the_hours_end)
    expect(page.locator("#hands")).to_contain_text("The AI answers")
    assert phone.ask("And now?") == "You said: And now?"


def test_a_person_on_whatsapp_is_seen_answered_and_taken_over(page: Page, product: RunningProduct) -> None:
    """They write on the simulator's page; the console has their conversation, and sends by hand."""
    home, phone = product.url("admin_server"), Phone(product, "sms", "Wanda")
    show_phones(page, product, "Wanda")
    page.get_by_label("By SMS or WhatsApp").select_option("WhatsApp")
    expect(page.locator("#sms-title")).to_have_text("WhatsApp")
    log = page.locator("#sms-log .bubble[data-direction=out]")
    page.fill("#sms-input", "name=Wanda")
    page.press("#sms-input", "Enter")
    expect(log).to_have_count(1)
    page.fill("#sms-input", "Hello")
    page.press("#sms-input", "Enter")
    expect(log.last).to_contain_text("Hello")
    expect(log.last.locator(".state")).to_contain_text("read")
    console = page.context.new_page()
    open_person(console, home, phone)
    expect(console.locator("#who")).to_contain_text("WhatsApp")
    console.locator("#message").fill("Here is *Olga*.")
    console.get_by_role("button", name="Send").click()
    expect(log.last).to_contain_text("Olga")
    expect(console.locator("#hands")).to_contain_text("You have taken over")
    page.get_by_label("By SMS or WhatsApp").select_option("SMS")
    expect(page.locator("#sms-log .bubble")).to_have_count(0)


@pytest.fixture(scope="module")
def closed_office(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningProduct]:
    """With a password, and business hours that are on another day."""
    another_day = time.strftime("%a 9:00-17:00", time.gmtime(time.time() + 3 * 86_400))
    settings = {"OPERATORS": f"telegram:{OPERATOR}", "BUSINESS_HOURS": another_day, "ADMIN_TOKEN": TOKEN}
    running = RunningProduct(tmp_path_factory.mktemp("closed"), LLM_SOURCE="demo", **settings)
    running.start()
    yield running
    running.close()


def sign_in(page: Page) -> None:
    page.get_by_label("Admin token").fill(TOKEN)
    page.get_by_role("button", name="Sign in").click()


def test_outside_business_hours_the_person_is_told_and_the_ai_goes_on(
    page: Page, closed_office: RunningProduct
) -> None:
    """The operators have a note; nobody is taken over."""
    operator = Phone(closed_office, "telegram", "Olga", chat_id=OPERATOR)
    operator.ask("/start")
    phone = Phone(closed_office, "sms", "Nina")
    phone.ask("name=Nina")
    assert "9:00" in phone.ask("human")
    assert "Nina" in operator.next_reply()
    page.goto(closed_office.url("admin_server"))
    sign_in(page)
    open_person(page, closed_office.url("admin_server"), phone)
    expect(page.locator("#hands")).to_contain_text("The AI answers")
    assert "I" in phone.ask("What can you do?")


async def quincy(database: MessagingDatabase) -> None:
    await SampleData(database).register(SMS, "+12025550188", "Quincy")


@pytest.mark.parametrize(
    ("path", "field", "button", "expected"),
    [
        ("/person?platform=sms&id=%2B12025550188", "#message", "Send", "Half a sentence"),
        ("/broadcasts", "[name=text]", "Preview", "choose a channel"),
        ("/failures?kind=failed", "[name=person]", "Show", "Nothing here that matches"),
    ],
)
def test_a_live_page_whose_login_has_ended_keeps_what_was_typed_and_leads_back(
    page: Page, closed_office: RunningProduct, path: str, field: str, button: str, expected: str
) -> None:
    """Sign in again in the other tab, and the form is sent from here."""
    home = closed_office.url("admin_server")
    happen(closed_office, quincy)
    page.goto(home)
    sign_in(page)
    expect(page.locator("#servers")).to_be_visible()
    page.goto(home + path)
    expect(page.locator("#live-state")).to_have_text("live")
    page.locator(field).fill("Half a sentence")
    other = page.context.new_page()
    other.goto(home)
    other.get_by_role("button", name="Sign out").click()
    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")  # as if this tab had been away
    with page.expect_popup() as opened:
        page.get_by_role("link", name="open it again").click()
    sign_in(opened.value)
    expect(opened.value.locator("#live-state")).to_have_text("live")
    expect(page.locator(field)).to_have_value("Half a sentence")
    page.get_by_role("button", name=button, exact=True).click()
    expect(page.locator("#main")).to_contain_text(expected)
