"""Which headers a request may carry and still count as one of this machine: those that real clients send."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import urllib.request
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import aiohttp
import httpx
import ollama
import openai
import pytest
import requests
from starlette.requests import Request
from telegram import Bot
from twilio.http.http_client import TwilioHttpClient
from twilio.rest import Client as TwilioClient

from relay.core.http_client import open_http_client
from relay.launcher.plan import Program
from relay.launcher.processes import returns_200
from relay.simulator.webhooks import WebhookCaller
from relay.web.access import why_not_direct
from tests.web.test_web import client, small_app

PLAIN = "Host: 127.0.0.1\nUser-Agent: x\nAccept: */*\n"
CLIENTS: dict[str, str] = {
    "Chrome opens a page": PLAIN
    + """Connection: keep-alive
Cache-Control: max-age=0
sec-ch-ua: "Chromium";v="142"
sec-ch-ua-mobile: ?0
sec-ch-ua-platform: "Linux"
Upgrade-Insecure-Requests: 1
Sec-Purpose: prefetch;prerender
Purpose: prefetch
Sec-Fetch-Site: none
Sec-Fetch-Mode: navigate
Sec-Fetch-User: ?1
Sec-Fetch-Dest: document
Sec-Fetch-Storage-Access: active
Accept-Encoding: gzip, deflate, br, zstd
Accept-Language: de
Cookie: a=b
Range: bytes=0-
If-Modified-Since: Thu, 01 Jan 1970 00:00:00 GMT
Save-Data: on""",
    "Chrome sends a form": PLAIN
    + """Content-Length: 3
Content-Type: application/x-www-form-urlencoded
Origin: http://127.0.0.1
Referer: http://127.0.0.1/
Pragma: no-cache""",
    "Firefox opens a page": PLAIN
    + """Accept-Language: de
Accept-Encoding: gzip, deflate, br, zstd
Connection: keep-alive
Keep-Alive: 115
Upgrade-Insecure-Requests: 1
Sec-Fetch-Dest: document
Sec-Fetch-Mode: navigate
Sec-Fetch-Site: none
Sec-Fetch-User: ?1
DNT: 1
Sec-GPC: 1
Priority: u=0, i
TE: trailers
If-None-Match: "x\"""",
    "the simulator's page": PLAIN + "Last-Event-ID: 7\nCache-Control: no-cache",
    "the console's script": PLAIN + "X-Live: 1\nIf-None-Match: x\nSec-Fetch-Site: same-origin",
    "Prometheus": PLAIN + "Accept-Encoding: gzip\nX-Prometheus-Scrape-Timeout-Seconds: 10\nAuthorization: Bearer x",
    "Java": "Host: 127.0.0.1\nUser-Agent: Java\nConnection: Upgrade, HTTP2-Settings\nHTTP2-Settings: A\nUpgrade: h2c",
    "Node": PLAIN + "Connection: keep-alive\nAccept-Language: *\nSec-Fetch-Mode: cors\nAccept-Encoding: gzip, deflate",
}


async def answers(path: str, headers: dict[str, str]) -> httpx.Response:
    async with client(small_app()) as http:
        return await http.get(path, headers=headers)


@pytest.mark.parametrize("path", ["/internal", "/admin"])
@pytest.mark.parametrize("headers", CLIENTS.values(), ids=CLIENTS)
async def test_clients_that_are_not_installed_here_count_as_local(headers: str, path: str) -> None:
    """As they were captured."""
    pairs = dict(line.split(": ", 1) for line in headers.splitlines())
    assert (await answers(path, pairs)).status_code == 200


@pytest.mark.parametrize("name", ["X-Localtunnel-Agent-Ips", "x-vercel-id", "A" * 5000])
async def test_a_refusal_names_the_header(name: str) -> None:
    """An operator with a client of their own sees what to leave out; however long it is, the answer is short."""
    for path in ("/internal", "/admin"):
        refused = await answers(path, {name: "1"})
        assert refused.status_code == 403
        assert f" {name.lower()[:80]}, " in refused.json()["hint"]
        assert len(refused.content) < 500


@pytest.mark.parametrize(("version", "is_local"), [("1.1", True), ("1.0", False)])
def test_http_1_0_is_what_a_proxy_speaks(version: str, *, is_local: bool) -> None:
    """Nginx by default: it names the local address as Host and adds no header for any client."""
    headers = [(b"host", b"127.0.0.1:8042"), (b"connection", b"close")]
    scope = {"type": "http", "http_version": version, "client": ("127.0.0.1", 40_000), "headers": headers}
    assert (why_not_direct(Request(scope)) is None) == is_local


# -- clients that are installed here -----------------------------------------------------------------------------------

ANSWER = (
    b'{"models": [], "data": [], "choices": [], "messages": [], "ok": true, "sid": "SM1", "done": true, '
    b'"result": {"id": 1, "is_bot": true, "first_name": "a", "username": "a_bot"}, "message": {"role": "user"}}'
)


class Capture(BaseHTTPRequestHandler):
    """Answers every request of HTTP/1.1, and keeps its headers."""

    protocol_version = "HTTP/1.1"
    seen: list[dict[str, str]]

    def _answer(self) -> None:
        if self.request_version != "HTTP/1.1":
            self.send_error(505)
            return
        self.seen.append(dict(self.headers.items()))
        self.rfile.read(int(self.headers.get("content-length", 0)))
        self.close_connection = "transfer-encoding" in self.headers
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(ANSWER)))
        self.end_headers()
        self.wfile.write(ANSWER)

    do_GET = do_POST = do_DELETE = do_PUT = _answer  # noqa: N815 (the names are the library's)

    def log_message(self, *_: Any) -> None: ...


@pytest.fixture
def captured() -> Iterator[tuple[str, list[dict[str, str]]]]:
    """The address of a server, and the headers of the requests that it got."""
    seen: list[dict[str, str]] = []
    with ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (Capture,), {"seen": seen})) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}", seen
        server.shutdown()


def with_httpx(url: str) -> None:
    httpx.get(url, auth=("a", "b"), cookies={"a": "b"})
    httpx.post(url, json={})
    httpx.post(url, files={"a": b"b"})
    httpx.post(url, content=iter([b"a"]))


def with_requests(url: str) -> None:
    requests.get(url, auth=("a", "b"), cookies={"a": "b"}, timeout=30)
    requests.post(url, json={}, timeout=30)
    requests.post(url, data=iter([b"a"]), timeout=30)


def with_urllib(url: str) -> None:
    for data in (None, b"a"):
        urllib.request.urlopen(url, data).close()  # noqa: S310 (our own server)


def with_aiohttp(url: str) -> None:
    async def calls() -> None:
        async with aiohttp.ClientSession(cookies={"a": "b"}) as http:
            (await http.get(url)).close()
            (await http.post(url, json={})).close()

    asyncio.run(calls())


def with_openai(url: str) -> None:
    with openai.OpenAI(base_url=url, api_key="k", organization="o", project="p") as model:
        model.models.list()
        model.chat.completions.create(model="m", messages=[])
        model.chat.completions.with_raw_response.create(model="m", messages=[])
        model.chat.completions.parse(model="m", messages=[])
        model.chat.completions.create(model="m", messages=[], stream=True).close()


def with_ollama(url: str) -> None:
    model = ollama.Client(host=url)
    model.list()
    model.chat(model="m", messages=[])
    list(model.chat(model="m", messages=[], stream=True))


def with_twilio(url: str) -> None:
    class Local(TwilioHttpClient):  # type: ignore[misc]  # (the SDK has no types)
        def request(self, method: str, _: str, *args: Any, **options: Any) -> Any:
            return super().request(method, url, *args, **options)

    TwilioClient("AC" + "1" * 32, "token", http_client=Local()).messages.create(to="+1", from_="+1", body="x")


def with_telegram(url: str) -> None:
    asyncio.run(Bot("1:a", base_url=f"{url}/bot").get_me())


def with_our_own(url: str) -> None:
    async def calls() -> None:
        async with open_http_client() as http:
            await http.post(url, json={}, headers={"Authorization": "Bearer x"})
            await WebhookCaller(http).post(url, {"a": "b"})

    asyncio.run(calls())
    returns_200(Program("llm", "llm_server", int(url.rpartition(":")[2]), "llm_server_port"), "/health")


def with_curl(url: str) -> None:
    for options in (["-d", "a=b"], ["-F", "a=b", "--compressed"], ["-u", "a:b", "-b", "a=b", "-e", "x", "-r", "0-1"]):
        subprocess.run([shutil.which("curl") or "curl", "-s", *options, url], check=True, capture_output=True)


INSTALLED: list[Callable[[str], None]] = [
    *(with_httpx, with_requests, with_urllib, with_aiohttp, with_openai, with_ollama, with_twilio, with_telegram),
    *(with_our_own, with_curl),
]


@pytest.mark.filterwarnings("ignore")  # of the libraries
@pytest.mark.parametrize("calls", INSTALLED)
async def test_clients_that_are_installed_here_count_as_local(
    calls: Callable[[str], None], captured: tuple[str, list[dict[str, str]]], tmp_path: Path
) -> None:
    """In the versions that are locked: an upgrade that adds a header fails here."""
    if calls is with_curl and shutil.which("curl") is None:
        pytest.skip("curl is not installed")
    url, seen = captured
    await asyncio.to_thread(calls, url)
    assert seen
    for headers in seen:
        ours = {name: value for name, value in headers.items() if name.lower() not in {"content-length", "host"}}
        assert (await answers("/internal", {**ours, "Host": "127.0.0.1"})).status_code == 200, headers
