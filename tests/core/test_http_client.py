"""The client of a process sends requests as they are, reads compressed answers, and gives its connections back."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import AsyncIterator

import httpx
import pytest

from relay.core.errors import OutcomeUnknown
from relay.core.http_client import open_http_client, request_once
from tests.channels.scripted_server import HANG, Reply, ScriptedServer, listening


@pytest.fixture
async def provider() -> AsyncIterator[ScriptedServer]:
    async with listening(ScriptedServer(Reply(200, b"{}"))) as server:
        yield server


async def test_a_cookie_of_a_provider_is_not_sent_back(provider: ScriptedServer) -> None:
    """Two requests share a connection, and the second has no cookie."""
    provider.otherwise = Reply(200, b"{}", {"Set-Cookie": "seen=1; Path=/"})
    async with open_http_client() as http:
        for _ in range(2):
            await request_once(http, "Twilio", "GET", provider.base_url, seconds=60)
    assert [request.connection for request in provider.requests] == [1, 1]
    assert not any("cookie" in request.headers for request in provider.requests)


async def test_a_compressed_answer_is_read(provider: ScriptedServer) -> None:
    """Proxies compress what they like."""
    provider.otherwise = Reply(200, gzip.compress(b'{"ok": true}'), {"Content-Encoding": "gzip"})
    async with open_http_client() as http:
        response = await request_once(http, "Twilio", "GET", provider.base_url, seconds=60)
    assert response.json() == {"ok": True}


async def test_name_and_password_are_sent_in_utf_8(provider: ScriptedServer) -> None:
    """With a form in the body, which needs no header of its own."""
    async with open_http_client() as http:
        await request_once(
            http, "Twilio", "POST", provider.base_url, seconds=60, auth=("AC1", "s\u00e9cret"), data={"Body": "a b&c"}
        )
    [request] = provider.requests
    assert httpx.BasicAuth("AC1", "s\u00e9cret")._auth_header == request.headers["authorization"]
    assert request.form == {"Body": ["a b&c"]}


async def test_parameters_of_a_request_are_added_to_its_address(provider: ScriptedServer) -> None:
    """Also when the same address was asked without them before."""
    async with open_http_client() as http:
        for params in (None, {"To": "+1 2"}):
            await request_once(http, "Twilio", "GET", provider.base_url + "/list", seconds=60, params=params)
    assert [request.query for request in provider.requests] == [{}, {"To": ["+1 2"]}]


async def test_a_redirect_is_followed_only_when_it_is_asked_for(provider: ScriptedServer) -> None:
    """By the way of httpx, which the client takes for everything that it leaves out."""
    elsewhere = Reply(302, b"", {"Location": provider.base_url + "/there"})
    provider.script.extend([elsewhere, elsewhere])
    async with open_http_client() as http:
        straight = await http.get(provider.base_url)
        followed = await http.get(provider.base_url, follow_redirects=True)
    assert (straight.status_code, followed.status_code) == (302, 200)


async def test_the_limit_of_a_request_ends_the_reading_of_its_answer(provider: ScriptedServer) -> None:
    """Its outcome is unknown then, and the next request is answered on another connection."""
    provider.script.extend([HANG] * 1000)
    async with open_http_client(max_connections=1) as http:
        while not provider.requests:  # on a busy machine the limit may end before the request arrives
            with pytest.raises(OutcomeUnknown):
                await request_once(http, "Twilio", "GET", provider.base_url, seconds=0.05)
        provider.script.clear()
        async with asyncio.timeout(60):
            await request_once(http, "Twilio", "GET", provider.base_url, seconds=60)
    assert provider.requests[0].connection != provider.requests[-1].connection
