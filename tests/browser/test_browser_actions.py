"""What an operator does in the console, action by action, in a browser: one running product over the sample data."""

from __future__ import annotations

import asyncio
import csv
import json
import re
import time
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from queue import Queue
from threading import Thread
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from messaging_database import MessagingDatabase, open_database
from relay.channels.sms.spec import SMS
from relay.core.errors import SendError, SendFailure
from relay.core.messages import UserId
from relay.core.parts import PlannedPart
from tests.console.running_sample import product_with_sample_data
from tests.console.sample_data import ALICE, SampleData
from tests.product.running_product import Phone, RunningProduct
from tests.settings import Settings

pytestmark = [pytest.mark.browser, pytest.mark.processes, pytest.mark.campaign]

OPERATOR = 700_900_001
HOUR = 3600.0
WAITING = {"Jo": "+12025550191", "Pat": "+12025550192"}


@dataclass
class Receiver:
    """Takes what apprise posts to a `json://` address."""

    received: Queue[Any] = field(default_factory=Queue)

    def __post_init__(self) -> None:
        received = self.received

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                received.put(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = f"json://127.0.0.1:{self.server.server_port}/"


def zone_at_night() -> str:
    """A time zone in which it is about three at night, so that hours of the day begin later."""
    ahead = (time.gmtime().tm_hour - 3 + 12) % 24 - 12
    return f"Etc/GMT{ahead:+d}"


def happen(product: RunningProduct, story: Callable[[MessagingDatabase], Awaitable[None]]) -> None:
    """Let something happen in the database of the product, as in another process."""

    async def run() -> None:
        database = open_database(Settings(database_url=product.environment["DATABASE_URL"]), "sms_server")
        await database.prepare()
        await database.start()
        try:
            await story(database)
        finally:
            await database.stop()

    with ThreadPoolExecutor(1) as other_thread:  # the browser's driver has a loop in this one
        other_thread.submit(asyncio.run, run()).result()


async def two_wait(database: MessagingDatabase) -> None:
    """Two people to whom something is sent in an hour."""
    sample = SampleData(database)
    for name, number in WAITING.items():
        await sample.register(SMS, number, name)
        await database.plan_message(SMS, UserId(number), [PlannedPart(f"Written to {name}", f"Written to {name}")])
        busy = SendError(SendFailure.BUSY, "20429", "Too Many Requests")
        await database.record_retry(await sample.next_part(SMS, UserId(number)), time.time() + HOUR, busy)


@pytest.fixture(scope="module")
def receiver() -> Iterator[Receiver]:
    taking = Receiver()
    yield taking
    taking.server.shutdown()
    taking.server.server_close()


@pytest.fixture(scope="module")
def product(browser: Browser, tmp_path_factory: pytest.TempPathFactory, receiver: Receiver) -> Iterator[RunningProduct]:
    """With an operator on Telegram, somebody to call, and a night in which nothing is sent to many."""
    settings = {"OPERATORS": f"telegram:{OPERATOR}", "ALERT_URLS": receiver.url, "TIMEZONE": zone_at_night()}
    folder = tmp_path_factory.mktemp("actions")
    with product_with_sample_data(folder, lambda running: happen(running, two_wait), **settings) as running:
        yield running


@pytest.fixture
def home(product: RunningProduct) -> str:
    return product.url("admin_server")


def open_person(page: Page, home: str, phone: Phone) -> None:
    """Find a person by the address, as on a long list, and open the conversation."""
    page.goto(home)
    page.get_by_label("Name, number, or words of a message").fill(phone.address)
    page.keyboard.press("Enter")
    page.locator("#people table a").first.click()
    expect(page.locator("#who h1")).to_be_visible()


# -- taking over -------------------------------------------------------------------------------------------------------


def test_who_asks_for_a_human_is_answered_from_the_operators_telegram(
    page: Page, product: RunningProduct, home: str
) -> None:
    """The queue of the home page shows who waits; a reply on Telegram is sent, `/back` ends it; the page follows."""
    operator = Phone(product, "telegram", "Olga", chat_id=OPERATOR)
    operator.ask("/start")
    phone = Phone(product, "sms", "Hans")
    phone.ask("name=Hans")
    phone.ask("human")
    assert "Waits for you: Hans" in operator.next_reply()
    notice = operator.bubbles()[-1]["message_id"]
    page.goto(home)
    queue = page.locator("#humans li", has_text="Hans")
    expect(queue).to_contain_text("waits for you")
    queue.get_by_role("link").click()
    expect(page.locator("#hands")).to_contain_text("You have taken over")
    answer = {"chat_id": OPERATOR, "text": "Olga here, one moment.", "reply_to": notice}
    product.sim("POST", "telegram/send", json=answer)
    assert phone.next_reply() == "Olga here, one moment."
    expect(page.locator("#talk li", has_text="Olga here")).to_contain_text("by hand")
    product.sim("POST", "telegram/send", json={**answer, "text": "/back"})
    expect(page.locator("#hands")).to_contain_text("The AI answers")
    assert "I" in phone.ask("What can you do?")


def test_a_program_takes_over_when_it_asks_for_it(page: Page, product: RunningProduct, home: str) -> None:
    """A notice of a script changes nothing; with `takeover` the person is in the queue; the button gives back."""
    phone = Phone(product, "sms", "Ida")
    phone.ask("name=Ida")
    send = f"{product.url('sms_server')}/sms/send"
    notice = {"phone_number": phone.address, "message": "Your parcel is here."}
    product.call("POST", send, json=notice)
    assert phone.next_reply() == "Your parcel is here."
    page.goto(home)
    expect(page.locator("#servers")).to_be_visible()
    expect(page.locator("#humans li", has_text="Ida")).to_have_count(0)
    product.call("POST", send, json={**notice, "message": "Ida, a person writes.", "takeover": True})
    assert phone.next_reply() == "Ida, a person writes."
    page.locator("#humans li", has_text="Ida").get_by_role("link").click()
    page.get_by_role("button", name="Back to the AI").click()
    expect(page.get_by_role("status").nth(1)).to_contain_text("The AI answers again")


# -- what failed -------------------------------------------------------------------------------------------------------


def test_failures_are_filtered_and_dealt_with_one_by_one_and_together(
    page: Page, product: RunningProduct, home: str
) -> None:
    """By code, person, channel and time; nothing chosen does nothing; what was done is in the audit log."""
    page.goto(home)
    page.get_by_role("link", name="Failures", exact=True).click()
    rows = page.locator("main .items > li")
    page.get_by_label("Code").fill("30006")
    page.get_by_label("When").select_option("in the last day")
    page.get_by_role("button", name="Show").click()
    expect(rows).to_have_count(1)
    expect(rows.first).to_contain_text("Landline or unreachable carrier")
    page.get_by_role("button", name="Dismiss").click()
    expect(page.locator("#main").get_by_role("status")).to_contain_text("Nothing was chosen")
    rows.first.get_by_role("checkbox").check()
    page.get_by_role("button", name="Send again").click()
    expect(page.locator("#main").get_by_role("status")).to_contain_text("Done: 1.")
    expect(rows).to_have_count(0)
    page.get_by_role("link", name="Parts that failed").click()
    page.get_by_label("Channel").select_option("Telegram")
    page.get_by_role("button", name="Show").click()
    expect(rows.first).to_contain_text("this person never started the bot")
    page.get_by_label("everything that matches").check()
    page.get_by_role("button", name="Send again").click()
    expect(page.locator("#main").get_by_role("status")).to_contain_text(
        re.compile(r"Done: 0\. Not done: \d \(nothing may be sent")
    )
    page.get_by_label("everything that matches").check()
    page.get_by_role("button", name="Dismiss").click()
    expect(page.locator("#main").get_by_role("status")).to_contain_text(re.compile(r"Done: [12]\."))
    expect(rows).to_have_count(0)
    page.get_by_role("link", name="Dead letters").click()
    page.get_by_label("Channel").select_option("all")
    page.get_by_label("Person").fill("Berta")
    page.get_by_role("button", name="Show").click()
    expect(rows).to_have_count(1)
    rows.first.get_by_role("checkbox").check()
    page.get_by_role("button", name="Answer again").click()
    expect(page.locator("#main").get_by_role("status")).to_contain_text("Done: 1.")
    page.get_by_role("link", name="What was done about it, and by whom").click()
    for act in ("Dismiss (parts that failed)", "Send again", "Answer again"):
        expect(page.locator("main .items > li", has_text=act).first).to_contain_text("by this machine")


def test_what_waits_is_sent_now_cancelled_answered_or_left(page: Page, product: RunningProduct, home: str) -> None:
    """Parts and messages that would be tried in an hour, each by its button."""
    jo, pat = (Phone(product, "sms", name, phone_number=number) for name, number in WAITING.items())

    async def the_model_is_away(database: MessagingDatabase) -> None:
        sample = SampleData(database)
        for number in WAITING.values():
            await sample.receive(SMS, number, "What can you do?")
            claim = await sample.claim(SMS, number)
            await database.postpone_inbound(claim, time.time() + HOUR, "the model is away")

    happen(product, the_model_is_away)
    page.goto(home)
    page.get_by_role("link", name="Failures", exact=True).click()
    rows = page.locator("main .items > li")
    for tab, acts in (
        ("Parts not sent yet", {"Pat": "Cancel", "Jo": "Send now"}),
        ("Waiting for an answer", {"Pat": "Leave without an answer", "Jo": "Answer now"}),
    ):
        page.get_by_role("link", name=tab).click()
        for name, act in acts.items():
            rows.filter(has_text=name).get_by_role("checkbox").check()
            page.get_by_role("button", name=act).click()
            expect(page.locator("#main").get_by_role("status")).to_contain_text("Done: 1.")
    assert jo.next_reply() == "Written to Jo"
    assert "I" in jo.next_reply()
    assert pat.received() == []


# -- people and messages -----------------------------------------------------------------------------------------------


def test_people_and_messages_are_found(page: Page, product: RunningProduct, home: str) -> None:
    """By name, by words, by channel and day, by state; each result leads to its place in the conversation."""
    page.goto(home)
    search = page.get_by_label("Name, number, or words of a message")
    search.fill("lemon")
    search.press("Enter")
    page.get_by_role("link", name="All of them, by channel and day").click()
    page.get_by_label("Channel").select_option("SMS")
    today = time.strftime("%Y-%m-%d", time.gmtime(time.time() + 12 * HOUR))
    page.get_by_label("From").fill(time.strftime("%Y-%m-%d", time.gmtime(time.time() - 36 * HOUR)))
    page.get_by_label("To").fill(today)
    page.get_by_role("button", name="Search").click()
    found = page.get_by_role("list", name="Messages found").get_by_role("listitem")
    expect(found).to_have_count(2)
    found.last.get_by_role("link", name="What can I cook").click()
    expect(page).to_have_url(re.compile(rf"id=%2B{ALICE[1:]}.*#line-"))
    expect(page.locator(":target")).to_contain_text("What can I cook with lentils and a lemon?")
    page.get_by_role("link", name="To the newest").click()
    page.get_by_role("link", name="All people").click()
    people = page.locator(".people tbody tr")
    page.get_by_label("State").select_option("unreachable")
    page.get_by_role("button", name="Show").click()
    expect(people.first).to_contain_text("unreachable")
    assert all("unreachable" in text for text in people.all_inner_texts())
    page.get_by_label("Channel").select_option("SMS")
    page.get_by_label("State").select_option("blocked")
    page.get_by_role("button", name="Show").click()
    page.get_by_role("link", name="Show everybody").click()
    expect(people).to_have_count(25)
    page.get_by_role("link", name="Next page").click()
    expect(page.locator("#people")).to_contain_text("26 to")
    page.get_by_role("link", name="Previous page").click()
    expect(page.locator("#people")).to_contain_text("1 to 25")


def test_a_person_is_blocked_and_answered_in_another_language(page: Page, product: RunningProduct, home: str) -> None:
    """What is written meanwhile is stored, not answered; our own words are in the chosen language."""
    phone = Phone(product, "sms", "Kim")
    phone.ask("name=Kim")
    open_person(page, home, phone)
    page.get_by_text("Block, pause, limits, language, notes").click()
    page.get_by_label("Language of our own words").select_option("Deutsch")
    page.get_by_role("button", name="Save").click()
    expect(page.locator("#who")).to_contain_text("Deutsch")
    page.get_by_role("button", name="Block this person").click()
    expect(page.locator("#who")).to_contain_text("Blocked by you")
    phone.send("Is anybody there?")
    expect(page.locator("#talk")).to_contain_text("Is anybody there?")
    page.get_by_role("button", name="Answer this person again").click()
    expect(page.locator("#who")).not_to_contain_text("Blocked by you")
    phone.send("STOP")
    expect(page.locator("#who")).to_contain_text("This person texted STOP")
    assert len(phone.received()) == 2, "the greeting and the confirmation alone"


def test_a_history_is_cleared_after_a_question(page: Page, product: RunningProduct, home: str) -> None:
    """Keeping it changes nothing."""
    phone = Phone(product, "sms", "Lea")
    phone.ask("name=Lea")
    open_person(page, home, phone)
    page.get_by_role("link", name="Clear the history").click()
    page.get_by_role("link", name="Keep them").click()
    expect(page.locator("#talk li").first).to_be_visible()
    page.get_by_role("link", name="Clear the history").click()
    page.get_by_role("button", name="Clear 2 messages").click()
    expect(page.get_by_text("2 messages were removed")).to_be_visible()
    expect(page.locator("#empty")).to_be_visible()


# -- to many -----------------------------------------------------------------------------------------------------------


def test_a_text_to_many_waits_for_its_hours_is_stopped_and_goes_on(
    page: Page, product: RunningProduct, home: str
) -> None:
    """With each person's own name; at night it waits; stopped, it is taken up again."""
    phone = Phone(product, "telegram", "Mia")
    phone.ask("/start")
    page.goto(home)
    page.get_by_role("link", name="Write to many").click()
    page.get_by_label("Text").fill("Good day {name|there}, and {day}: fresh bread.")
    page.get_by_role("button", name="Preview").click()
    expect(page.get_by_text("choose a channel")).to_be_visible()
    page.go_back()
    page.get_by_label("Telegram").check()
    page.get_by_role("button", name="Preview").click()
    expect(page.locator("#preview-telegram")).to_contain_text("for it to begin: in")
    expect(page.get_by_text("is sent as it is: the only placeholder is")).to_be_visible()
    expect(page.locator("#preview-telegram")).to_contain_text("and {day}: fresh bread")
    page.get_by_role("button", name="Send to").click()
    newest = page.locator("[id^=broadcast-]").first
    expect(newest).to_contain_text(re.compile("people wait until it is .* where they are; for the first in"))
    newest.get_by_role("button", name="Stop").click()
    expect(newest).to_contain_text("stopped by you")
    newest.get_by_role("button", name="Go on with who is left").click()
    expect(newest).to_contain_text("being sent")
    newest.get_by_role("button", name="Stop").click()
    expect(newest.locator(".chip").first).to_have_text("stopped")


# -- figures, stories, exports, the audit log, alerts ------------------------------------------------------------------


def test_every_figure_of_the_home_page_leads_to_its_rows(page: Page, product: RunningProduct, home: str) -> None:
    """Tiles, today's table, deliveries, and the bars of the pictures, each link of them."""
    page.goto(home)
    selectors = (".tiles a", "#days td a", "#delivery a", "#charts svg a")
    links = {one: page.locator(one).evaluate_all("all => all.map(a => a.getAttribute('href'))") for one in selectors}
    assert all(links.values())
    for path in sorted({path for found in links.values() for path in found}):
        if path.startswith("#"):
            expect(page.locator(path)).to_be_attached()
            continue
        answer = page.request.get(home + path)
        assert answer.status == 200, path
    page.locator("#charts svg a").first.click()
    expect(page.locator("main h1")).to_contain_text("Messages of ")
    expect(page.locator("main .items > li").first).to_be_visible()
    page.get_by_role("link", name="Parts sent").click()
    page.locator("main .items > li").first.get_by_role("link", name="its story").click()
    expect(page.locator(".story")).to_contain_text("accepted")


def test_the_story_of_a_message_is_found_by_each_of_its_ids(page: Page, product: RunningProduct, home: str) -> None:
    """By ours and by the provider's, from the foot of the home page."""
    page.goto(f"{home}/person?platform=sms&id=%2B{ALICE[1:]}")
    page.get_by_role("link", name="its story").last.click()
    ids = page.locator(".story code").all_inner_texts()
    assert any(one.startswith("SM") for one in ids)
    steps = page.locator(".story li")
    count = steps.count()
    for one in sorted(set(ids)):
        page.goto(home)
        page.get_by_role("link", name="Find a message by its id").click()
        page.get_by_label("Any id of a message").fill(one)
        page.get_by_role("button", name="Find").click()
        expect(steps).to_have_count(count)
    page.get_by_label("Any id of a message").fill("SM0")
    page.get_by_role("button", name="Find").click()
    expect(page.get_by_role("status")).to_have_text("No message has this id.")


def test_exports_are_downloaded_and_recorded(page: Page, product: RunningProduct, home: str) -> None:
    """CSV and JSON have the same people; the audit log has who took them."""
    page.goto(home)
    files = {}
    for form in ("CSV", "JSON"):
        with page.expect_download() as download:
            page.locator(".foot").get_by_role("link", name=form).first.click()
        assert download.value.suggested_filename == f"people.{form.lower()}"
        files[form] = download.value.path().read_text("utf-8-sig")
    rows = list(csv.DictReader(files["CSV"].splitlines()))
    assert [row["user_id"].lstrip("'") for row in rows] == [row["user_id"] for row in json.loads(files["JSON"])]
    page.get_by_role("link", name="What was done").click()
    expect(page.locator("main .items")).to_contain_text("people.csv")


def test_a_test_of_the_alerts_reaches_who_is_called(
    page: Page, product: RunningProduct, home: str, receiver: Receiver
) -> None:
    """By the button, through the address of the settings."""
    page.goto(home)
    page.get_by_role("link", name="Alerts").click()
    page.get_by_role("button", name="Send a test").click()
    expect(page.get_by_role("status")).to_contain_text("the test was taken")
    while "test" not in json.dumps(receiver.received.get(timeout=60)).lower():
        continue  # alerts that are not over were sent before


# -- the simulator -----------------------------------------------------------------------------------------------------


def test_among_many_people_one_is_found_and_an_opt_out_is_seen(page: Page, product: RunningProduct) -> None:
    """By the search, which appears when there are many; after STOP the phone says why it is silent."""
    for number in range(12):
        product.sim("POST", "people", json={"name": f"Extra {number}"})
    page.goto(product.url("simulator"))
    page.get_by_label("Find a person").fill("Extra 11")
    page.locator("[data-testid=person]", has_text="Extra 11").click()
    page.fill("#sms-input", "STOP")
    page.click("#sms-send")
    expect(page.locator("#sms-stopped")).to_contain_text("Opted out by STOP")
    page.click("#open-connect")
    expect(page.get_by_role("link", name="Open the set-up")).to_be_visible()


@pytest.mark.parametrize("name", ["127.0.0.1", "localhost"])
def test_the_simulator_leads_to_the_console_by_the_name_of_this_machine_that_was_entered(
    page: Page, product: RunningProduct, name: str
) -> None:
    """A login counts for one name alone, so a person who changes it would have to sign in again."""
    page.goto(product.url("simulator").replace("127.0.0.1", name))
    console = product.url("admin_server").replace("127.0.0.1", name)
    expect(page.locator("#console-link")).to_have_attribute("href", re.compile(f"{console}/?$"))
    expect(page.locator("#setup-link")).to_have_attribute("href", f"{console}/setup")
