"""A person's page: the conversation with all its states, messages by hand, and the history that can be cleared."""

from __future__ import annotations

import asyncio
import re
from html import unescape
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from messaging_database import MessagingDatabase
from relay.channels.sms.spec import SMS
from relay.channels.telegram.spec import TELEGRAM
from relay.core.decisions import Decision
from relay.core.messages import UserId, UserState
from relay.core.parts import PartState
from tests.console.running import browsing, listening, nothing, opened, settings_after
from tests.console.sample_data import EMOJI, LONG_WORD, RIGHT_TO_LEFT, SCRIPT, SampleData, alice_asks, fill

ALICE = {"platform": "sms", "id": "+12025550147"}
UNAL = {"platform": "telegram", "id": "70001"}


def texts(page: httpx.Response) -> list[str]:
    """What the bubbles of a page say, in order."""
    return [unescape(text) for text in re.findall(r'<div class="text" dir="auto">(.*?)</div>', page.text, re.DOTALL)]


class Channel:
    """Stands for a channel's server: keeps what it is asked to send, and answers as it is told."""

    def __init__(self, response: Response) -> None:
        self.asked: list[tuple[str, str, dict[str, Any]]] = []
        self._response = response

    @property
    def app(self) -> Starlette:
        return Starlette(routes=[Route(path, self._send, methods=["POST"]) for path in ("/sms/send", "/telegram/send")])

    async def _send(self, request: Request) -> Response:
        self.asked.append((request.url.path, request.headers.get("authorization", ""), await request.json()))
        return self._response


async def test_a_conversation_reads_as_it_happened(tmp_path: Path) -> None:
    """Both sides in order, with model, cost, time, the passages behind the answer, and what became of the parts."""
    async with browsing(await settings_after(alice_asks, tmp_path)) as browser:
        page = await browser.get("/person", params=ALICE)
    assert texts(page) == [
        "name=Alice",
        "Nice to meet you, Alice. Ask me anything.",
        "What is 6 times 7?",
        "It is 42.",
    ]
    for text in ("openrouter/auto", "$0.00042", "1.8 s", "2 parts", "delivered", "4 messages"):
        assert text in page.text
    assert "2 passages, best: <bdi>numbers.md: Products &lt;small&gt;</bdi>" in page.text
    assert page.text.count("passages, best") == 1


async def test_what_is_under_way_or_failed_is_in_its_place(tmp_path: Path) -> None:
    """A waiting message, a message by hand on its way, and a refused answer are bubbles with their reason."""
    settings = await settings_after(alice_asks, tmp_path)
    async with opened(settings) as database, browsing(settings) as browser:
        sample = SampleData(database)
        await sample.receive(SMS, ALICE["id"], "And by 8?")
        await sample.answer(SMS, ALICE["id"], "56.")
        await sample.fail(SMS, ALICE["id"], "30007", "Message filtered")
        await sample.receive(SMS, ALICE["id"], "Hello?")
        page = await browser.get("/person", params=ALICE)
    assert texts(page)[-3:] == ["And by 8?", "56.", "Hello?"]
    assert "Message filtered" in page.text
    assert page.text.count("waiting for an answer") == 1


async def test_each_part_shows_its_own_end(tmp_path: Path) -> None:
    """When the second of three parts is refused, the page says so for each of them."""
    settings = await settings_after(alice_asks, tmp_path)
    async with opened(settings) as database, browsing(settings) as browser:
        sample = SampleData(database)
        await sample.receive(SMS, ALICE["id"], "Tell me more")
        await sample.answer(SMS, ALICE["id"], "one ", "two ", "three")
        await sample.deliver(SMS, ALICE["id"], PartState.SENT)
        await sample.fail(SMS, ALICE["id"], "30003", "Unreachable destination handset")
        page = await browser.get("/person", params=ALICE)
    lines = [
        " ".join(re.sub(r"<[^>]+>", " ", line).split()) for line in re.findall(r"<li>(.*?)</li>", page.text, re.DOTALL)
    ]
    assert lines == [
        "part 1/3 sent",
        "part 2/3 failed 30003 Unreachable destination handset",
        "part 3/3 not sent an earlier part could not be sent",
    ]
    assert texts(page)[-1] == "one "


async def test_paging_back_meets_every_line_once(tmp_path: Path) -> None:
    """From page to page by Older, to the first line."""
    settings = await settings_after(fill, tmp_path)
    seen: list[str] = []
    async with browsing(settings) as browser:
        path: str | None = "/person?platform=sms&id=%2B12025550147"
        while path:
            page = await browser.get(path)
            seen = list(re.findall(r'<li id="(line-\d+)"', page.text)) + seen
            older = re.search(r'id="older"><a href="([^"]+)"', page.text)
            path = unescape(older.group(1)) if older else None
    assert len(seen) == len(set(seen)) == 2 + 60 + 2
    assert seen == sorted(seen, key=lambda key: int(key.removeprefix("line-")))


async def test_any_text_survives(tmp_path: Path) -> None:
    """Right-to-left text, emoji, tags and endless words come back exactly; NUL is gone before the database."""
    settings = await settings_after(nothing, tmp_path)
    async with opened(settings) as database:
        sample = SampleData(database)
        await sample.register(TELEGRAM, "70001", "Ünal")
        for text in (RIGHT_TO_LEFT, EMOJI, SCRIPT, LONG_WORD, "a\x00b\ud800c", " \n two\n\nlines {{ 7*7 }} %s"):
            await sample.exchange(TELEGRAM, "70001", text, text)
    async with browsing(settings) as browser:
        page = await browser.get("/person", params=UNAL)
    wanted = [RIGHT_TO_LEFT, EMOJI, SCRIPT, LONG_WORD, "ab\ufffdc", " \n two\n\nlines {{ 7*7 }} %s"]
    assert texts(page)[2:] == [text for text in wanted for _ in range(2)]


@pytest.mark.parametrize(
    ("person", "path", "body"),
    [
        (ALICE, "/sms/send", {"phone_number": "+12025550147", "message": "Hello\r\nyou"}),
        (UNAL, "/telegram/send", {"chat_id": "70001", "message": "Hello\r\nyou"}),
    ],
)
async def test_a_message_by_hand_goes_through_the_channels_server(
    tmp_path: Path, person: dict[str, str], path: str, body: dict[str, str]
) -> None:
    """The console hands it over with the admin token, once, and comes back to the conversation."""
    channel = Channel(JSONResponse({"id": "1", "state": "planned"}, 202))
    async with listening(channel.app) as url:
        port = int(url.rpartition(":")[2])
        settings = await settings_after(
            alice_asks, tmp_path, sms_server_port=port, telegram_server_port=port, admin_token="open sesame"
        )
        async with opened(settings) as database:
            await SampleData(database).register(TELEGRAM, "70001", "Ünal")
        async with browsing(settings, Authorization="Bearer open sesame") as browser:
            form = {**person, "message": "Hello\r\nyou", "form": "f1"}
            first = await browser.post("/person/send", data=form)
            again = await browser.post("/person/send", data=form)
            back = await browser.get(first.headers["Location"])
    assert (first.status_code, again.status_code, back.status_code) == (303, 303, 200)
    assert channel.asked == [(path, "Bearer open sesame", {**body, "takeover": True})]
    assert "Your message is on its way." in back.text


@pytest.mark.parametrize(
    ("response", "expected"),
    [
        (JSONResponse({"error": "this person texted STOP", "hint": "wait"}, 409), "Not sent: this person texted STOP."),
        (JSONResponse({"error": SCRIPT}, 422), "Not sent: &lt;script&gt;"),
        (PlainTextResponse("<h1>Bad gateway", 502), "Not sent: the SMS server answered with status 502."),
        (JSONResponse([], 500), "Not sent: the SMS server answered with status 500."),
    ],
)
async def test_a_refused_message_is_not_lost(tmp_path: Path, response: Response, expected: str) -> None:
    """The operator reads why, finds the text still there, and can send it again."""
    channel = Channel(response)
    async with listening(channel.app) as url:
        settings = await settings_after(alice_asks, tmp_path, sms_server_port=int(url.rpartition(":")[2]))
        async with browsing(settings) as browser:
            form = {**ALICE, "message": "my <b>words</b>", "form": "f1"}
            page = await browser.post("/person/send", data=form)
            again = await browser.post("/person/send", data=form)  # the way back leads to the same form
    assert (page.status_code, again.status_code) == (502, 502)
    assert expected in page.text
    assert "\nmy &lt;b&gt;words&lt;/b&gt;</textarea>" in page.text


async def test_a_server_that_does_not_run_is_said(tmp_path: Path) -> None:
    """Nothing was sent for sure, and the page says so."""
    settings = await settings_after(alice_asks, tmp_path)
    async with browsing(settings) as browser:
        page = await browser.post("/person/send", data={**ALICE, "message": "hello"})
    assert "The SMS server is not running, nothing was sent." in page.text


async def test_a_server_that_hangs_up_leaves_the_question_open(tmp_path: Path) -> None:
    """When the request left and no answer came, the outcome is shown as unknown; repeating is the operator's choice."""

    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(hang_up, "127.0.0.1", 0) as server:
        settings = await settings_after(alice_asks, tmp_path, sms_server_port=server.sockets[0].getsockname()[1])
        async with browsing(settings) as browser:
            page = await browser.post("/person/send", data={**ALICE, "message": "hello"})
    assert "did not say whether it took the message" in page.text


async def test_clearing_asks_first_and_says_how_many(tmp_path: Path) -> None:
    """The question changes nothing; the answer removes the history, and the person stays."""
    settings = await settings_after(alice_asks, tmp_path)
    async with browsing(settings) as browser:
        question = await browser.get("/person/clear", params=ALICE)
        before = await browser.get("/person", params=ALICE)
        answer = await browser.post("/person/clear", data=ALICE)
        after = await browser.get(answer.headers["Location"])
    assert "Clear 4 messages" in question.text
    assert len(texts(before)) == 4
    assert "4 messages were removed" in after.text
    assert texts(after) == []
    assert "Alice" in after.text


async def alice_is_paused(database: MessagingDatabase) -> None:
    """Alice was taken for a machine an hour ago, and is not answered for another one."""
    await alice_asks(database)
    sample = SampleData(database)
    await sample.receive(SMS, ALICE["id"], "I am out of office")
    claim = await sample.claim(SMS, ALICE["id"])
    pause = Decision(reply="Silence.", reason="the same text 5 times", state=UserState.PAUSED, paused_until=4e9)
    await database.complete_inbound(claim, pause, [])


async def test_a_user_who_was_taken_for_a_machine_is_released(tmp_path: Path) -> None:
    """The page says why and until when, and has the button that ends it."""
    settings = await settings_after(alice_is_paused, tmp_path)
    async with browsing(settings) as browser:
        paused = await browser.get("/person", params=ALICE)
        answer = await browser.post("/person/release", data=ALICE)
        after = await browser.get(answer.headers["Location"])
    assert "the same text 5 times" in paused.text
    assert "Answer this person again" in paused.text
    assert "is answered again" in after.text
    assert "Answer this person again" not in after.text


async def test_other_sites_cannot_use_the_operators_browser(tmp_path: Path) -> None:
    """A form on another site is refused, and nothing happens."""
    settings = await settings_after(alice_asks, tmp_path)
    form = {**ALICE, "message": "spam"}
    async with browsing(settings) as browser, opened(settings) as database:
        for origin in ("https://evil.example", "null", "http://127.0.0.1:1"):
            for action in ("send", "clear"):
                answer = await browser.post(f"/person/{action}", data=form, headers={"Origin": origin})
                assert answer.status_code == 403, origin
        user = await database.find_user(SMS, UserId(ALICE["id"]))
    assert user is not None
    assert user.message_count == 4


async def test_a_broken_form_gets_a_sentence(tmp_path: Path) -> None:
    """Whatever arrives instead of a form is refused with a page."""
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    async with browsing(await settings_after(nothing, tmp_path)) as browser:
        for content in (
            b"",
            b"platform=sms",
            b"platform=pigeon&id=1",
            b"\xff\xfe=%ff&id=%00",
            b"platform=sms&id=" + b"9" * 300,
        ):
            for path in ("/person/send", "/person/clear"):
                page = await browser.post(path, content=content, headers=form)
                assert page.status_code == 422, content
                assert "<h1" in page.text


async def test_an_unknown_user_is_neither_cleared_nor_written_to(tmp_path: Path) -> None:
    """An address without a user is a 404."""
    async with browsing(await settings_after(nothing, tmp_path)) as browser:
        assert (await browser.post("/person/clear", data=ALICE)).status_code == 404
