"""The first page: servers, people, what waits, what went wrong; with whatever people write."""

from __future__ import annotations

import asyncio
import re
from html import unescape
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from relay.channels.sms.spec import SMS
from tests.console.running import browsing, listening, nothing, opened, settings_after, settings_for
from tests.console.sample_data import SCRIPT, SampleData, fill, people_register


def answering(response: Response) -> Starlette:
    """A server that answers every GET /ready with this."""

    async def ready(_: Request) -> Response:
        return response

    return Starlette(routes=[Route("/ready", ready)])


async def test_the_first_page_shows_who_writes_what_waits_and_what_went_wrong(tmp_path: Path) -> None:
    """An operator sees people, waiting messages, unsent and failed parts and dead letters, each with its reason."""
    async with browsing(await settings_after(fill, tmp_path)) as browser:
        response = await browser.get("/")
    page = unescape(response.text)
    assert response.status_code == 200
    for text in (
        "Alice",
        "+12025550147",
        "Ünal Öz",
        "Could you also write me a shopping list?",
        "1 try failed: <bdi>the model cannot be reached</bdi>",
        "Too Many Requests",
        "30006",
        "Landline or unreachable carrier",
        "no answer within an hour: the model cannot be reached",
        "the sender is missing",
        "Body=hello&From=",
        "Sending on SMS is paused",
        "Authenticate (20003)",
        "SMS to CA waits",
        "our toll-free number is not verified yet (30032)",
    ):
        assert text in page


async def test_the_json_has_the_same_figures_as_the_counters(tmp_path: Path) -> None:
    """A script reads totals, queue and lists from /api/overview."""
    async with browsing(await settings_after(fill, tmp_path)) as browser:
        body = (await browser.get("/api/overview")).json()
    assert body["database"] == {"reachable": True, "error": None}
    assert body["platforms"]["sms"]["total_users"] == 45
    assert body["platforms"]["telegram"]["queue_depth"] == 1
    assert next(letter["error"] for letter in body["dead_letters"]) == "the sender is missing"
    assert [part["error_code"] for part in body["failed"]] == ["30006"]
    assert {server["condition"] for server in body["servers"]} == {"not running"}


@pytest.mark.parametrize(
    ("response", "condition", "fact"),
    [
        (JSONResponse({"ready": True, "model": "llama3"}), "ready", "llama3"),
        (JSONResponse({"ready": False, "why": {"database": "is locked"}}, 503), "not ready", "is locked"),
        (JSONResponse({"ready": True, "spent_this_month_usd": 1234.5}), "ready", "$1,234.50"),
        (JSONResponse({"ready": True, "sending_paused": True, "sending_outage": True}), "sending paused", "yes"),
        (JSONResponse({"ready": True, "sending_paused": False, "sending_outage": True}), "sending fails", "yes"),
        (JSONResponse({"ready": False, "sending_paused": True}, 503), "not ready", "yes"),
        (JSONResponse({"ready": True, "model": SCRIPT}), "ready", "onerror=alert(1)&gt;"),
        (JSONResponse(["ready"]), "something else listens there", ""),
        (JSONResponse({"ready": "yes"}), "something else listens there", ""),
        (PlainTextResponse("<html>hello"), "something else listens there", ""),
        (PlainTextResponse("gone", 404), "something else listens there", ""),
    ],
)
async def test_each_server_is_shown_as_it_is(tmp_path: Path, response: Response, condition: str, fact: str) -> None:
    """What a server answers becomes its state, and what it says about itself is shown as text."""
    async with (
        listening(answering(response)) as url,
        browsing(await settings_after(nothing, tmp_path, llm_server_url=url)) as browser,
    ):
        body = (await browser.get("/api/overview")).json()
        page = (await browser.get("/")).text
    assert [server["condition"] for server in body["servers"]] == [condition, "not running", "not running"]
    assert fact in page
    assert "<img src=x" not in page


@pytest.mark.parametrize("fails", [True, False])
async def test_an_outage_of_a_provider_is_shown(tmp_path: Path, fails: bool) -> None:
    """As long as the channel's server says so."""
    ready = JSONResponse({"ready": True, "sending_paused": False, "sending_outage": fails})
    async with (
        listening(answering(ready)) as url,
        browsing(await settings_after(nothing, tmp_path, sms_server_port=int(url.rpartition(":")[2]))) as browser,
    ):
        page = (await browser.get("/")).text
    assert ("SMS server: sending fails." in page) is fails


async def test_a_server_that_accepts_and_says_nothing_does_not_hold_up_the_page(tmp_path: Path) -> None:
    """The page waits a moment for a hanging server and then says that it does not answer."""
    hold = asyncio.Event()

    async def hang(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await hold.wait()
        writer.close()

    async with await asyncio.start_server(hang, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        settings = await settings_after(nothing, tmp_path, telegram_server_port=port)
        async with browsing(settings, 1.0) as browser:
            states = (await browser.get("/api/overview")).json()["servers"]
        hold.set()
    assert [state["condition"] for state in states] == ["not running", "not running", "does not answer"]


async def test_the_simulator_is_missed_only_in_try_out_mode(tmp_path: Path) -> None:
    """Without the simulator nothing is missing unless it plays the providers; then every page says so."""
    async with browsing(await settings_after(nothing, tmp_path)) as browser:
        assert "imulat" not in (await browser.get("/")).text
    async with browsing(await settings_after(nothing, tmp_path, simulated=True)) as browser:
        page = (await browser.get("/")).text
        assert "Simulator" in page
        assert ">simulated</a>" in page


async def test_a_database_that_cannot_be_opened_is_said_and_breaks_nothing(tmp_path: Path) -> None:
    """The first page keeps its servers, a person's page says what is wrong, and /ready is 503."""
    settings = settings_for(tmp_path, database_url=f"sqlite:///{tmp_path}/missing/folder.db")
    async with browsing(settings) as browser:
        page, person = await browser.get("/"), await browser.get("/person?platform=sms&id=%2B1")
        ready, overview = await browser.get("/ready"), await browser.get("/api/overview")
    assert (page.status_code, person.status_code, ready.status_code) == (200, 503, 503)
    assert "The database cannot be read." in page.text
    assert "LLM server" in page.text
    assert "The database cannot be used now" in person.text
    assert overview.json()["database"]["reachable"] is False
    assert str(tmp_path) not in ready.text


async def test_what_people_write_is_text_and_nothing_else(tmp_path: Path) -> None:
    """No tag of a person's making is in any page."""
    async with browsing(await settings_after(fill, tmp_path)) as browser:
        pages = [
            (await browser.get(path)).text
            for path in (
                "/",
                "/?q=" + SCRIPT,
                "/person?platform=telegram&id=70001",
                "/person?platform=telegram&id=70003",
                "/person/clear?platform=telegram&id=70003",
            )
        ]
    for page in pages:
        assert "&lt;script&gt;" in page or "&lt;img" in page
        assert re.findall(r"<script[^>]*>", page) == re.findall(
            r'<script src="/static/console\.js\?v=\w+" defer>', page
        )
        assert "<img src=x" not in page


SEARCHES: list[tuple[str, set[str]]] = [
    ("alice", {"Alice"}),
    ("LICE", {"Alice"}),
    ("ünal", {"Ünal Öz"}),
    ("UNAL", {"Ünal Öz"}),
    ("+1 (202) 555-0147", {"Alice"}),
    ("5550147", {"Alice"}),
    ("neighbour 3", {"Neighbour 3", *(f"Neighbour {number}" for number in range(30, 40))}),
    ("%", set()),
    ("_", set()),
    ("' OR 1=1 --", set()),
]


async def test_people_are_found_by_name_and_number(tmp_path: Path) -> None:
    """Any part of a name or number finds, whatever the case; blanks and punctuation of numbers do not matter."""
    async with browsing(await settings_after(people_register, tmp_path)) as browser:
        for text, names in SEARCHES:
            body = (await browser.get("/api/overview", params={"q": text})).json()
            assert {person["name"] for person in body["people"]} == names, text
        unfiltered = [(await browser.get("/api/overview", params={"q": text})).json() for text in ("\x00", "   ")]
    assert [len(body["people"]) for body in unfiltered] == [25, 25]


async def test_paging_shows_every_user_once_the_last_who_wrote_first(tmp_path: Path) -> None:
    """Following the pages meets each person once, in the order of their last message."""
    settings = await settings_after(fill, tmp_path)
    seen: list[dict[str, Any]] = []
    async with browsing(settings) as browser:
        for offset in (0, 25, 50):
            page = (await browser.get("/api/overview", params={"offset": offset})).json()
            assert page["more_people"] is (offset == 0)
            seen += page["people"]
        first = (await browser.get("/")).text
    assert len({(person["platform"], person["user_id"]) for person in seen}) == len(seen) == 45
    moments = [person["last_message_at"] for person in seen]
    assert moments == sorted(moments, reverse=True)
    assert 'href="/?offset=25#people"' in first


async def test_people_of_a_channel_or_a_state_are_listed_alone(tmp_path: Path) -> None:
    """Both together too, beside a search; a state that there is not is refused."""
    async with browsing(await settings_after(fill, tmp_path)) as browser:
        for chosen, count in (
            ({"platform": "telegram"}, 3),
            ({"state": "active", "platform": "telegram"}, 3),
            ({"state": "stopped"}, 0),
            ({"platform": "telegram", "q": "Öz"}, 1),
            ({"platform": "sms", "q": "Öz"}, 0),
        ):
            body = (await browser.get("/api/overview", params=chosen)).json()
            assert len(body["people"]) == count, chosen
        page = (await browser.get("/", params={"state": "active"})).text
        assert 'href="/?state=active&amp;offset=25#people"' in page
        assert (await browser.get("/", params={"state": "asleep"})).status_code == 422


async def test_the_live_part_comes_alone_and_only_when_it_changed(tmp_path: Path) -> None:
    """The script gets the inside of the page, and 304 as long as nothing happened."""
    settings = await settings_after(nothing, tmp_path)
    async with opened(settings) as database, browsing(settings, **{"X-Live": "1"}) as browser:
        sample = SampleData(database)
        await sample.register(SMS, "+12025550147", "Alice")
        path = "/person?platform=sms&id=%2B12025550147"
        first = await browser.get(path)
        same = await browser.get(path, headers={"If-None-Match": first.headers["ETag"]})
        await sample.receive(SMS, "+12025550147", "anything new?")
        later = await browser.get(path, headers={"If-None-Match": first.headers["ETag"]})
    assert "<html" not in first.text
    assert (first.status_code, same.status_code, later.status_code) == (200, 304, 200)
    assert "anything new?" in later.text


async def test_pages_forbid_browsers_what_they_do_not_need(tmp_path: Path) -> None:
    """No foreign script, no frame around us, nothing kept in a cache; forms may carry their origin."""
    async with browsing(await settings_after(nothing, tmp_path)) as browser:
        headers = (await browser.get("/")).headers
    assert "default-src 'self'" in headers["Content-Security-Policy"]
    assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
    assert headers["Cache-Control"] == "no-store"
    assert headers["Referrer-Policy"] == "same-origin"


@pytest.mark.parametrize("name", ["console.css", "console.js", "icon.svg"])
async def test_the_files_of_the_pages_come_from_here(tmp_path: Path, name: str) -> None:
    """Style, script and icon are ours, and the page names them."""
    async with browsing(await settings_after(nothing, tmp_path)) as browser:
        page, file = await browser.get("/"), await browser.get(f"/static/{name}")
    assert f"/static/{name}?v=" in page.text
    assert file.status_code == 200
    assert "http://www" not in page.text


WRONG_ADDRESSES = [
    ("/?offset=-1", 422),
    (f"/?offset={10**30}", 422),
    ("/?offset=abc", 422),
    ("/?q=" + "x" * 101, 422),
    ("/person", 422),
    ("/person?platform=pigeon&id=1", 422),
    ("/person?platform=sms&id=", 422),
    ("/person?platform=sms&id=%2B1", 404),
    ("/person?platform=sms&id=%00%ff%F0%9F", 404),
    ("/person?platform=sms&id=..%2F..%2Fetc", 404),
    ("/person?platform=sms&id=%2B1&before=0", 422),
    (f"/person?platform=sms&id=%2B1&before={10**30}", 422),
    ("/person/clear?platform=sms&id=%2B1", 404),
    ("/static/..%2Fconsole.css", 404),
    ("/static/base.html", 404),
    ("/nowhere", 404),
]


async def test_a_wrong_address_gets_a_page_that_says_so(tmp_path: Path) -> None:
    """Browsers get a page with the reason, scripts the same as JSON; no response has a traceback."""
    async with browsing(await settings_after(nothing, tmp_path)) as browser:
        for path, status in WRONG_ADDRESSES:
            page = await browser.get(path)
            script = await browser.get(path, headers={"Accept": "*/*"})
            assert (page.status_code, script.status_code) == (status, status), path
            assert "<h1" in page.text
            assert script.json()["error"]
