"""The page of failures with its acts, taking over, blocking, the audit log, and the way into a closed console."""

from __future__ import annotations

import re
import time
from pathlib import Path

import pytest

from messaging_database import MessagingDatabase
from relay.channels.registry import PLATFORMS
from relay.channels.sms.spec import SMS
from relay.channels.whatsapp.spec import WHATSAPP
from relay.console.failures import TOGETHER, repair_all
from relay.core.errors import NotRepaired, SendError, SendFailure, StorageError
from relay.core.messages import UserId
from relay.core.parts import PlannedPart
from relay.core.retry import LONGEST_DELAY
from tests.console.running import browsing, nothing, opened, settings_after, settings_for
from tests.console.sample_data import ALICE, SampleData, alice_asks

PERSON = {"platform": "sms", "id": ALICE}


async def much_fails(database: MessagingDatabase) -> None:
    """Sixty answers to Alice that could not be sent, for two reasons, and a message that was given up."""
    sample = SampleData(database)
    await sample.register(SMS, ALICE, "Alice")
    for number in range(60):
        await sample.receive(SMS, ALICE, f"question {number}")
        await sample.answer(SMS, ALICE, f"answer {number}")
        await sample.fail(SMS, ALICE, "30007" if number % 2 else "30006", "the carrier did not take it")
    await sample.receive(SMS, ALICE, "lost for good")
    await database.dead_letter_inbound(await sample.claim(SMS, ALICE), "no answer from the model", ())


def rows_of(page: str) -> list[str]:
    return re.findall(r'<li id="row-([0-9a-f]+)">', page)


async def test_figures_lead_to_their_rows_with_filters_and_pages(tmp_path: Path) -> None:
    """Nothing is out of reach behind the first twenty, and each page goes on where the one before ended."""
    async with browsing(await settings_after(much_fails, tmp_path)) as browser:
        home = (await browser.get("/")).text
        for kind in ("failed", "dead", "waiting", "unsent"):
            assert f'href="/failures?kind={kind}"' in home
        first = (await browser.get("/failures?kind=failed")).text
        (following,) = re.findall(r'href="([^"]*)">Next page', first)
        second = (await browser.get(following.replace("&amp;", "&"))).text
        assert (len(rows_of(first)), len(rows_of(second))) == (50, 10)
        assert not set(rows_of(first)) & set(rows_of(second))
        assert len(rows_of((await browser.get("/failures?code=30007&person=ali&days=1")).text)) == 30
        assert "Nothing here that matches" in (await browser.get("/failures?platform=telegram")).text
        assert "lost for good" in (await browser.get("/failures?kind=dead")).text
        assert (await browser.get("/failures?kind=nonsense")).status_code == 422


async def test_an_act_that_the_database_ends_says_how_far_it_came() -> None:
    """What was done stays done; the rest is not tried while the database is away, and the operator can repeat it."""
    tried: list[str] = []

    async def repair(row_id: str) -> None:
        tried.append(row_id)
        if row_id == "3":
            raise NotRepaired("it did not fail")
        if int(row_id) >= TOGETHER:
            raise StorageError("the disk is full")

    done = await repair_all(repair, map(str, range(5 * TOGETHER)))
    left = 4 * TOGETHER + 1
    assert done == f"Done: {TOGETHER - 1}. Not done: {left} (the database could not be used; try again in a moment)."
    assert len(tried) == 2 * TOGETHER


async def test_chosen_rows_are_dealt_with_and_the_log_has_it(tmp_path: Path) -> None:
    """One by one, then all that match; a repeated form is told that there is nothing left to do."""
    settings = await settings_after(much_fails, tmp_path)
    async with browsing(settings) as browser:
        rows = rows_of((await browser.get("/failures?code=30006")).text)[:2]
        for sentence in ("Done: 2.", "Done: 0. Not done: 2 (it did not fail, or was dealt with already)."):
            done = await browser.post("/failures?code=30006", data={"act": "send-again", "row": rows})
            page = (await browser.get(done.headers["Location"])).text
            assert sentence in page
            assert not set(rows) & set(rows_of(page))
        everything = await browser.post("/failures?code=30007", data={"act": "dismiss", "everything": "true"})
        assert "Done: 30." in (await browser.get(everything.headers["Location"])).text
        assert (await browser.get("/api/overview")).json()["platforms"]["sms"]["failed_parts"] == 28
        wrong = await browser.post("/failures?kind=waiting", data={"act": "dismiss", "row": "1"})
        assert wrong.status_code == 422
        log = (await browser.get("/audit")).text
        dismissed = log.count("<strong>Dismiss (parts that failed)</strong>")
        assert (dismissed, "this machine" in log, "Alice" in log) == (30, True, True)
    async with opened(settings) as database:
        unsent = await database.find_failures("unsent", PLATFORMS, 50)
    assert len(unsent) == 2


async def one_waits_for_its_user(database: MessagingDatabase) -> None:
    """Two parts that were refused: one until the person writes, one for a minute."""
    sample = SampleData(database)
    for platform, person, failure, seconds in (
        (WHATSAPP, ALICE, SendFailure.WINDOW, 2 * LONGEST_DELAY),
        (SMS, ALICE, SendFailure.BUSY, 90.0),
    ):
        await sample.register(platform, person, "Alice")
        await database.plan_message(platform, UserId(person), [PlannedPart("hello", "hello")])
        part = await sample.next_part(platform, person)
        await database.record_retry(part, time.time() + seconds, SendError(failure, "1", "refused"))


async def test_the_list_tells_what_waits_for_its_person(tmp_path: Path) -> None:
    """Weeks off is when the person writes; a minute is a minute."""
    async with browsing(await settings_after(one_waits_for_its_user, tmp_path)) as browser:
        page = " ".join((await browser.get("/failures?kind=unsent")).text.split())
    assert page.count(", next when the person writes") == 1
    assert re.search(r', next <time class="ago" datetime="[^"]+">in 1 min</time>', page)


async def test_a_person_is_taken_over_and_given_back(tmp_path: Path) -> None:
    """By a button; the home page lists who waits, and the page of the person says whose turn it is."""
    settings = await settings_after(alice_asks, tmp_path)
    async with browsing(settings) as browser:
        taken = await browser.post("/person/takeover", data=PERSON)
        page = (await browser.get(taken.headers["Location"].partition("#")[0])).text
        assert "You have taken over. The AI is silent." in page
        assert "Back to the AI" in page
        async with opened(settings) as database:
            await SampleData(database).receive(SMS, ALICE, "hello?")
            assert (await database.find_user(SMS, UserId(ALICE))) is not None
        assert 'id="humans"' in (await browser.get("/")).text
        back = await browser.post("/person/handback", data=PERSON)
        assert "The AI answers again" in (await browser.get(back.headers["Location"].partition("#")[0])).text
        assert 'id="humans"' not in (await browser.get("/")).text
        log = (await browser.get("/audit")).text
        assert log.index("back to the AI") < log.index("take over")


async def test_a_person_is_blocked_and_unblocked(tmp_path: Path) -> None:
    """Both are said on the person's page."""
    async with browsing(await settings_after(alice_asks, tmp_path)) as browser:
        blocked = await browser.post("/person/block", data=PERSON)
        assert "stored and not answered" in (await browser.get(blocked.headers["Location"])).text
        unblocked = await browser.post("/person/unblock", data=PERSON)
        assert "Block this person" in (await browser.get(unblocked.headers["Location"])).text


@pytest.mark.parametrize("act", ["takeover", "block", "unblock"])
async def test_an_unknown_person_is_neither_taken_over_nor_blocked(tmp_path: Path, act: str) -> None:
    """Nor is it recorded."""
    async with browsing(await settings_after(nothing, tmp_path)) as browser:
        assert (await browser.post(f"/person/{act}", data=PERSON)).status_code == 404
        assert "No operator has done anything yet" in (await browser.get("/audit")).text


async def test_the_search_finds_what_people_wrote(tmp_path: Path) -> None:
    """In any case of the letters, as text, with a link to its place; a percent sign is no wildcard."""
    async with browsing(await settings_after(alice_asks, tmp_path)) as browser:
        found = (await browser.get("/", params={"q": "6 TIMES 7"})).text
        assert "What is 6 times 7?" in found
        assert re.search(r"#line-\d+", found)
        assert "We: It is 42." in (await browser.get("/", params={"q": "is 42"})).text
        assert "6 times 7" not in (await browser.get("/", params={"q": "ti%s"})).text


async def test_today_stands_beside_yesterday(tmp_path: Path) -> None:
    """Messages, time to an answer and money by channel, in the page and in the JSON."""
    async with browsing(await settings_after(alice_asks, tmp_path)) as browser:
        days = (await browser.get("/api/overview")).json()["days"]
        assert sum(day["sms"]["messages"] for day in days.values()) == 4
        assert sum(day["sms"]["sent_usd"] for day in days.values()) == pytest.approx(3 * 0.012)
        assert {day["telegram"]["messages"] for day in days.values()} == {0}
        page = (await browser.get("/")).text
    assert "Time to an answer" in page
    assert "Yesterday" in page


async def test_a_closed_console_shows_the_way_in(tmp_path: Path) -> None:
    """With a line for .env, made anew each time; programs get the error as before."""
    async with browsing(settings_for(tmp_path, public_url="https://relay.example.com")) as browser:
        page = await browser.get("/")
        again = await browser.get("/person?platform=sms&id=1")
        tokens = [re.findall(r"ADMIN_TOKEN=([\w-]{43})<", one.text) for one in (page, again)]
        assert (page.status_code, len(tokens[0]), tokens[0] != tokens[1]) == (403, 1, True)
        program = await browser.get("/", headers={"Accept": "application/json"})
        assert program.json()["error"].startswith("admin routes are closed")
