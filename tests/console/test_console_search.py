"""The search in messages by words, channel and days, and the parts of a state: every row once, in pages."""

from __future__ import annotations

import re
import time
from html import unescape
from pathlib import Path
from urllib.parse import urlencode

import httpx
import pytest

from messaging_database import MessagingDatabase
from relay.channels.sms.spec import SMS
from relay.channels.telegram.spec import TELEGRAM
from relay.console.day_pages import ROWS_PER_PAGE
from relay.storage import listings
from relay.storage.schema import conversations
from tests.console.running import browsing, settings_after
from tests.console.sample_data import SampleData

ANN, BOB = "+12025550101", "70001"
MANY = ROWS_PER_PAGE + 5
TODAY, LAST_WEEK = (time.strftime("%Y-%m-%d", time.gmtime(time.time() - days * 86_400)) for days in (0, 7))


async def long_talk(database: MessagingDatabase) -> None:
    """More exchanges about parcels than a page has on one channel; on the other, one of a week ago."""
    sample = SampleData(database)
    await sample.exchange(TELEGRAM, BOB, "Which parcels <b>services</b>?", "Two.")
    old = conversations.update().values(timestamp=time.time() - 7 * 86_400)
    await database._write(lambda tx: tx.run(old))
    for number in range(MANY):
        await sample.exchange(SMS, ANN, f"Where is parcel {number}?", "On its way.")


async def all_pages(browser: httpx.AsyncClient, url: str) -> list[str]:
    """The ids of the rows of all pages."""
    found: list[str] = []
    while url:
        page = (await browser.get(url)).text
        found += re.findall(r'<li id="(?:found|row)-(\w+)"', page)
        older = re.search(r'<a href="([^"]+)">Older</a>', page)
        url = unescape(older[1]) if older else ""
    return found


@pytest.mark.parametrize(
    ("chosen", "count"),
    [
        ({"q": "parcel"}, MANY),
        ({"q": "parcel", "beginnings": "1"}, MANY + 1),
        ({"q": "PARCELS"}, 1),
        ({"q": "parc"}, MANY + 1),
        ({"q": "parcel", "platform": "telegram"}, 1),
        ({"q": "parcel", "since": TODAY}, MANY),
        ({"q": "parc", "until": LAST_WEEK}, 1),
        ({"q": "parcel", "since": LAST_WEEK, "until": TODAY}, MANY),
        ({"q": "parcel", "since": TODAY, "until": LAST_WEEK}, 0),
        ({}, 2 * MANY + 2),
        ({"platform": "telegram"}, 2),
        ({"since": LAST_WEEK, "until": LAST_WEEK}, 2),
        ({"q": "nothing like it"}, 0),
    ],
)
async def test_the_pages_have_every_message_once(tmp_path: Path, chosen: dict[str, str], count: int) -> None:
    """With all words, on the channel, between the days; behind a full page, beginnings of words are another search."""
    async with browsing(await settings_after(long_talk, tmp_path)) as browser:
        found = await all_pages(browser, "/messages?" + urlencode(chosen))
    assert len(found) == len(set(found)) == count


async def test_what_people_wrote_is_text_and_what_is_no_day_is_said(tmp_path: Path) -> None:
    """In the results, in the form, and for whatever is typed into the address."""
    async with browsing(await settings_after(long_talk, tmp_path)) as browser:
        page = (await browser.get("/messages", params={"q": "services"})).text
        assert "&lt;b&gt;services" in page
        refused = await browser.get("/messages", params={"since": "yesterday"})
        assert (refused.status_code, "yesterday is no day" in refused.text) == (422, True)
        assert 'href="/messages?q=parcel"' in (await browser.get("/", params={"q": "parcel"})).text


async def test_the_parts_of_a_state_are_listed_however_rare_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A page reads a bounded number of rows, and says that older ones follow."""
    monkeypatch.setattr(listings, "MAX_READ", 10)
    async with browsing(await settings_after(long_talk, tmp_path)) as browser:
        assert len(await all_pages(browser, "/parts?state=delivered")) == MANY + 1
        assert len(await all_pages(browser, "/parts?state=delivered&platform=telegram")) == 1
        assert await all_pages(browser, "/parts?state=failed") == []
        assert "None among the newer ones" in (await browser.get("/parts?state=failed")).text
        assert (await browser.get("/parts?state=lost")).status_code == 422
        assert '<a href="/parts?state=delivered&amp;platform=sms">' in (await browser.get("/")).text
