"""The live parts of the pages as server-sent events: what is sent, when, and how a stream ends."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from relay.channels.sms.spec import SMS
from relay.console.live import STREAM_SECONDS, LiveStreams, event
from relay.core.errors import StorageError
from tests.console.running import browsing, nothing, opened, settings_after
from tests.console.sample_data import SampleData

ANN = "+12025550101"
PERSON = f"/person?platform=sms&id=%2B{ANN[1:]}"
STREAM = {"Accept": "text/event-stream"}


@pytest.mark.parametrize(
    ("content", "sent"),
    [
        ("<p>one</p>", b"data: <p>one</p>\n\n"),
        ("a\nb\r\nc\rd", b"data: a\ndata: b\ndata: c\ndata: d\n\n"),
        ("", b"data: \n\n"),
        ("event: evil\nid: 1", b"data: event: evil\ndata: id: 1\n\n"),
        ("a\u2028b\x0bc", "data: a\u2028b\x0bc\n\n".encode()),
    ],
)
def test_every_line_of_an_event_is_marked_as_data(content: str, sent: bytes) -> None:
    """Nothing that people write ends an event or sets another field."""
    assert event(content) == sent


async def body_of(streams: LiveStreams, contents: list[str | Exception]) -> AsyncIterator[str]:
    waiting = iter(contents)

    async def read() -> str:
        found = next(waiting)
        if isinstance(found, Exception):
            raise found
        return found

    response = await streams.open(read, 0.0, {})
    async for piece in response.body_iterator:
        yield bytes(piece).decode() if not isinstance(piece, str) else piece


async def test_only_what_changed_is_sent() -> None:
    """In between, a comment keeps the connection alive; a database that is away ends the stream."""
    pieces = [one async for one in body_of(LiveStreams(), ["a", "a", "b", StorageError("away")])]
    assert pieces == ["retry: 1000\n\ndata: a\n\n", ":\n\n", "data: b\n\n"]


async def test_a_stream_ends_after_a_while_so_that_the_login_is_checked_again() -> None:
    """The browser opens the next one by itself."""
    times = iter([0.0, 1.0, STREAM_SECONDS + 1])
    pieces = [one async for one in body_of(LiveStreams(lambda: next(times)), ["a", "b", "c"])]
    assert pieces[1:] == ["data: b\n\n"]


async def test_what_cannot_be_read_at_first_is_an_answer_and_no_stream() -> None:
    """So that a browser sees the status, and does not ask for ever."""
    with pytest.raises(StorageError):
        await anext(body_of(LiveStreams(), [StorageError("away")]))


async def next_event(lines: AsyncIterator[str]) -> str:
    found = []
    async for line in lines:
        if line.startswith("data: "):
            found.append(line)
        elif found and not line:
            break
    return "\n".join(found)


async def test_a_message_appears_in_the_stream_of_its_page(tmp_path: Path) -> None:
    """The live part alone, escaped; an open stream does not keep the console from stopping."""
    settings = await settings_after(nothing, tmp_path)
    async with opened(settings) as database, browsing(settings, **STREAM) as browser:
        data = SampleData(database)
        await data.register(SMS, ANN, "Ann")
        async with browser.stream("GET", PERSON) as response:
            lines = response.aiter_lines()
            first = await next_event(lines)
            await data.receive(SMS, ANN, "<b>anything new?</b>")
            async with asyncio.timeout(60):
                while "anything new?" not in (later := await next_event(lines)):
                    pass
    assert response.headers["content-type"].startswith("text/event-stream")
    assert response.headers["cache-control"] == "no-store"
    assert "<html" not in first
    assert "&lt;b&gt;anything new?" in later


async def test_a_dead_letter_appears_in_the_stream_of_its_list_alone(tmp_path: Path) -> None:
    """With the filter of the page; the form around it, with what is being typed there, is not sent anew."""
    settings = await settings_after(nothing, tmp_path)
    async with opened(settings) as database, browsing(settings, **STREAM) as browser:
        data = SampleData(database)
        await data.register(SMS, ANN, "Ann")
        async with (
            browser.stream("GET", "/failures?kind=dead&person=ann") as response,
            browser.stream("GET", "/failures?kind=dead&person=bob") as other,
        ):
            lines, others = response.aiter_lines(), other.aiter_lines()
            first = [await next_event(lines), await next_event(others)]
            await data.receive(SMS, ANN, "lost for good")
            await database.dead_letter_inbound(await data.claim(SMS, ANN), "no answer from the model", ())
            async with asyncio.timeout(60):
                found = await next_event(lines)
    assert all("Nothing here that matches" in one for one in first)
    assert "lost for good" in found
    assert "<html" not in found
    assert 'name="person"' not in found


@pytest.mark.parametrize(
    ("path", "status"), [("/person?platform=sms&id=%2B1999", 404), ("/", 200), ("/failures?kind=odd", 422)]
)
async def test_a_stream_has_the_status_of_its_page(tmp_path: Path, path: str, status: int) -> None:
    """Whom nobody knows is not watched."""
    async with (
        browsing(await settings_after(nothing, tmp_path), **STREAM) as browser,
        browser.stream("GET", path) as response,
    ):
        assert response.status_code == status


async def test_a_stream_takes_the_same_login_as_its_page(tmp_path: Path) -> None:
    """Nothing of a page is sent to strangers."""
    settings = await settings_after(nothing, tmp_path, admin_token="a-token-of-the-tests-0123456789")
    async with browsing(settings, **STREAM) as browser:
        refused: httpx.Response = await browser.get("/")
        assert refused.status_code == 403
