"""What every server has: who may do what, errors of one shape, limits, start and stop."""

from __future__ import annotations

import asyncio
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI, Request
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, SecretStr

from relay.core import shutdown
from relay.core.errors import StorageError
from relay.launcher.supervisor import Timeouts
from relay.web.access import ADMIN, COOKIE, INTERNAL, PUBLIC, UseLogin, is_trusted, login_id
from relay.web.app import add_common_routes, build_app
from relay.web.errors import ApiError
from relay.web.serve import NOT_STARTED
from tests.settings import Settings

ROOT = Path(__file__).resolve().parents[2]
OWN = "http://127.0.0.1:8040"


class Order(BaseModel):
    count: int


class Reply(BaseModel):
    body: str


@asynccontextmanager
async def nothing_to_open(_: FastAPI) -> AsyncIterator[None]:
    yield


def small_app(settings: Settings | None = None, *, ready: bool = True) -> FastAPI:
    """A server with one route for each thing that can go wrong."""
    app = build_app("Test <server>", settings or Settings(max_body_bytes=10_000), nothing_to_open)

    @app.get("/public", dependencies=[PUBLIC])
    @app.get("/internal", dependencies=[INTERNAL])
    @app.get("/admin", dependencies=[ADMIN])
    async def fine() -> dict[str, bool]:
        return {"fine": True}

    @app.get("/trusted", dependencies=[PUBLIC])
    async def trusted(request: Request) -> bool:
        return await is_trusted(request)

    @app.post("/echo", dependencies=[PUBLIC], summary="Say <b>it</b> again.")
    async def echo(request: Request) -> dict[str, int]:
        return {"length": len(await request.body())}

    @app.post("/order", dependencies=[PUBLIC])
    async def order(order: Order) -> Order:
        return order

    @app.post("/reply", dependencies=[PUBLIC])
    async def reply(reply: Reply) -> Reply:
        return reply

    @app.get("/refuse", dependencies=[PUBLIC])
    async def refuse() -> None:
        raise ApiError(409, "it is there already", "choose another name", headers={"X-Extra": "1"}, id=7)

    @app.get("/storage", dependencies=[PUBLIC])
    async def storage() -> None:
        raise StorageError("disk full at /secret/path")

    @app.get("/bug", dependencies=[PUBLIC])
    async def bug() -> None:
        raise RuntimeError("internals")

    @app.get("/bug-in-stream", dependencies=[PUBLIC])
    async def bug_in_stream() -> StreamingResponse:
        async def pieces() -> AsyncIterator[bytes]:
            yield b"first"
            raise RuntimeError("internals")

        return StreamingResponse(pieces(), 500)

    async def readiness() -> dict[str, Any]:
        return {"ready": ready, "queue": 3}

    add_common_routes(app, readiness)
    return app


def client(app: FastAPI, *, peer: str = "127.0.0.1", base_url: str = OWN) -> httpx.AsyncClient:
    transport = httpx.ASGITransport(app, raise_app_exceptions=False, client=(peer, 50_000))
    return httpx.AsyncClient(transport=transport, base_url=base_url)


async def status(app: FastAPI, path: str, *, peer: str = "127.0.0.1", **headers: str) -> int:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    async with client(app, peer=peer) as http:
        return (await http.get(path, headers=named)).status_code


PASSED_ON: list[dict[str, str]] = [
    {"X_Forwarded_For": "127.0.0.1"},
    {"X_Forwarded_Proto": "https"},
    {"Forwarded": "for=127.0.0.1"},
    {"Via": "1.1 proxy"},
    {"X_Real_IP": "127.0.0.1"},
    {"CF_Connecting_IP": "127.0.0.1"},
    {"True_Client_IP": "127.0.0.1"},
    {"X_Client_IP": "127.0.0.1"},
    {"X_Original_Host": "example.org"},
    {"Tailscale_User_Login": "me"},
    {"X_Localtunnel_Agent_Ips": "[]"},
    {"X_Vercel_Id": "fra1::1"},
    {"X_Ms_Proxy": "AzureAD-Application-Proxy"},
    {"X_Request_Id": "1"},
    {"X_Requested_With": "XMLHttpRequest"},
    {"X_B3_TraceId": "1"},
    {"X_Cloud_Trace_Context": "1"},
    {"X_Appengine_Country": "DE"},
    {"X_Arr_Ssl": "1"},
    {"X_Arr_Log_Id": "1"},
    {"X_Scheme": "https"},
    {"X_Host": "example.org"},
    {"X_Rewrite_Url": "/"},
    {"X_Amz_Cf_Id": "1"},
    {"X_Akamai_Config": "1"},
    {"X_Varnish": "1"},
    {"X_Replit_User_Id": "1"},
    {"X_Devtunnel": "1"},
    {"X_Tunnel_Id": "1"},
    {"X_Pinggy_Debug": "1"},
    {"X_Zrok_Interstitial": "1"},
    {"X_Github_Token": "1"},
    {"Akamai_Origin_Hop": "1"},
    {"Front_End_Https": "on"},
    {"Client_Ip": "127.0.0.1"},
    {"Remote_Addr": "127.0.0.1"},
    {"Fly_Client_IP": "127.0.0.1"},
    {"Ngrok_Trace_Id": "1"},
    {"Cdn_Loop": "cloudflare"},
    {"Surrogate_Capability": "abc"},
    {"Proxy_Connection": "keep-alive"},
    {"Proxy_Authorization": "Basic eDp5"},
    {"Max_Forwards": "10"},
    {"Traceparent": "00-1-1-01"},
    {"Alt_Used": "example.org"},
    {"Early_Data": "1"},
    {"A": ""},
    {"Host": "example.org"},
    {"Host": "127.0.0.1.example.org"},
    {"Host": "localhost@example.org"},
    {"Host": "example.org@127.0.0.1"},
    {"Host": "127.0.0.1/example.org"},
    {"Host": "127.0.0.1?.example.org"},
    {"Host": "127.0.0.1#example.org"},
    {"Host": "127.0.0.1:80:80"},
    {"Host": "127.0.0.1, example.org"},
    {"Host": "[::1"},
    {"Host": ""},
    {"Origin": "https://example.org"},
    {"Origin": "null"},
    {"Origin": "http://127.0.0.1:9999"},
]


@pytest.mark.parametrize("headers", PASSED_ON, ids=str)
@pytest.mark.parametrize("path", ["/internal", "/admin"])
async def test_a_request_through_a_proxy_or_from_a_foreign_page_is_refused(path: str, headers: dict[str, str]) -> None:
    """Its address is loopback, but that proves nothing."""
    assert await status(small_app(), path, **headers) == 403


async def test_too_many_wrong_bearer_tokens_lock_out_every_other_machine() -> None:
    """Guessing is pointless; the right token counts again later, and on this machine it always does."""
    app = small_app(Settings(admin_token=SecretStr("right")))
    for _ in range(5):
        assert await status(app, "/admin", peer="192.0.2.7", Authorization="Bearer wrong") == 403
    async with client(app, peer="192.0.2.8") as http:
        refused = await http.get("/admin", headers={"Authorization": "Bearer right"})
    assert refused.status_code == 429
    assert 0 < int(refused.headers["retry-after"]) <= 31
    assert await status(app, "/admin", Authorization="Bearer right", X_Forwarded_For="192.0.2.7") == 429
    assert await status(app, "/admin", Authorization="Bearer right") == 200
    app.state.use_login = stored(login_id("cookie", "right"))
    assert await status(app, "/admin", Cookie=f"{COOKIE}=cookie", peer="192.0.2.8") == 200


async def test_neither_silence_nor_a_right_token_counts_as_a_guess() -> None:
    """Somebody who opens a page without a token, or a program on this machine with an old one, closes nothing."""
    app = small_app(Settings(admin_token=SecretStr("right")))
    for _ in range(10):
        assert await status(app, "/admin", peer="192.0.2.7") == 403
        assert await status(app, "/admin", Authorization="Bearer old") == 403
        assert await status(app, "/admin", peer="192.0.2.7", Authorization="Bearer right") == 200


@pytest.mark.parametrize("headers", PASSED_ON, ids=str)
async def test_public_routes_need_no_token(headers: dict[str, str]) -> None:
    """Webhooks come through tunnels."""
    assert await status(small_app(), "/public", peer="203.0.113.9", **headers) == 200


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Host": "localhost:8040"},
        {"Host": "[::1]:8040"},
        {"Host": "127.0.0.1:"},
        {"Host": "LOCALHOST"},
        {"Host": "relay.localhost"},
        {"Origin": OWN, "Host": "127.0.0.1:8040"},
    ],
    ids=str,
)
@pytest.mark.parametrize("path", ["/internal", "/admin"])
async def test_this_machine_is_answered_plainly(path: str, headers: dict[str, str]) -> None:
    """Plain `curl http://localhost:8040/sms/status` works on a new machine."""
    assert await status(small_app(), path, **headers) == 200


@pytest.mark.parametrize("peer", ["203.0.113.9", "10.0.0.1", "::ffff:203.0.113.9", "fe80::1"])
@pytest.mark.parametrize("path", ["/internal", "/admin"])
async def test_another_machine_is_refused(path: str, peer: str) -> None:
    """Whatever Host it names."""
    assert await status(small_app(), path, peer=peer) == 403


@pytest.mark.parametrize("peer", ["::1", "127.8.8.8", "::ffff:127.0.0.1"])
async def test_every_loopback_address_is_this_machine(peer: str) -> None:
    """IPv6, and IPv4 in it."""
    assert await status(small_app(), "/admin", peer=peer) == 200


async def test_two_host_headers_are_one_too_many() -> None:
    """A proxy and a server may each believe another one."""
    async with client(small_app()) as http:
        request = http.build_request("GET", "/admin")
        request.headers = httpx.Headers([("Host", "127.0.0.1"), ("Host", "example.org")])
        assert (await http.send(request)).status_code == 403


async def test_admin_routes_are_closed_while_public_url_is_set_without_a_token() -> None:
    """A tunnel that adds no header cannot be told from this machine."""
    app = small_app(Settings(public_url="https://example.org"))
    assert await status(app, "/admin") == 403
    assert await status(app, "/internal") == 200


TOKEN = SecretStr("the-admin-token")
TOKENS: list[tuple[dict[str, str], int]] = [
    ({}, 403),
    ({"Authorization": "Bearer wrong"}, 403),
    ({"Authorization": "the-admin-token"}, 403),
    ({"Authorization": "Basic the-admin-token"}, 403),
    ({"Authorization": "Bearer "}, 403),
    ({"Authorization": "Bearer the-admin-token"}, 200),
    ({"Authorization": "bearer  the-admin-token"}, 200),
    ({"Authorization": "Bearer the-admin-token", "X_Forwarded_For": "203.0.113.9"}, 200),
]


@pytest.mark.parametrize(("headers", "expected"), TOKENS, ids=str)
@pytest.mark.parametrize("peer", ["127.0.0.1", "203.0.113.9"])
async def test_with_an_admin_token_only_the_token_opens(headers: dict[str, str], expected: int, peer: str) -> None:
    """From anywhere, this machine included."""
    app = small_app(Settings(admin_token=TOKEN, public_url="https://example.org"))
    assert await status(app, "/admin", peer=peer, **headers) == expected


@pytest.mark.parametrize(
    ("authorization", "expected"),
    [("", 401), ("Bearer wrong", 401), ("Bearer the-admin-token", 401), ("Bearer inside", 200)],
)
async def test_with_an_internal_token_only_that_token_opens(authorization: str, expected: int) -> None:
    """The admin token is another key."""
    app = small_app(Settings(internal_token=SecretStr("inside"), admin_token=TOKEN))
    assert await status(app, "/internal", peer="203.0.113.9", Authorization=authorization) == expected


def stored(login: str) -> UseLogin:
    """The check of a database that has this login alone."""

    async def use_login(login_id: str) -> bool:
        return login_id == login

    return use_login


async def test_the_consoles_cookie_opens_from_our_own_pages_only() -> None:
    """A foreign page cannot use a login that the browser keeps."""
    app = small_app(Settings(admin_token=TOKEN))
    app.state.use_login = stored(login_id("cookie", "the-admin-token"))
    cookie = f"{COOKIE}=cookie"
    assert await status(app, "/admin", Cookie=cookie) == 200
    assert await status(app, "/admin", Cookie=cookie, Host="127.0.0.1:8040", Origin=OWN) == 200
    assert await status(app, "/admin", Cookie=cookie, Origin="https://example.org") == 403


@pytest.mark.parametrize(
    "cookie",
    [
        b"",
        b".",
        b"another",
        b"cookie2",
        b"Cookie",
        b"\xff",
        b"c" * 5000,
        login_id("cookie", "the-admin-token").encode(),
    ],
)
async def test_no_other_cookie_opens(cookie: bytes) -> None:
    """Not the stored hash either, should the database be read."""
    app = small_app(Settings(admin_token=TOKEN))
    app.state.use_login = stored(login_id("cookie", "the-admin-token"))
    async with client(app) as http:
        refused = await http.get("/admin", headers={b"Cookie": COOKIE.encode() + b"=" + cookie})
    assert refused.status_code == 403


async def test_another_admin_token_ends_all_logins() -> None:
    """An operator who changes it wants to be the only one who is signed in."""
    app = small_app(Settings(admin_token=SecretStr("a-new-token")))
    app.state.use_login = stored(login_id("cookie", "the-admin-token"))
    assert await status(app, "/admin", Cookie=f"{COOKIE}=cookie") == 403


async def test_a_server_without_the_database_accepts_no_cookie() -> None:
    """The LLM server and the simulator want the token."""
    assert await status(small_app(Settings(admin_token=TOKEN)), "/admin", Cookie=f"{COOKIE}=cookie") == 403


async def test_the_token_opens_while_the_database_is_away() -> None:
    """A cookie cannot be looked up then, which is said as such; a public route takes its sender for a stranger."""

    async def away(_: str) -> bool:
        raise StorageError("away")

    app = small_app(Settings(admin_token=TOKEN))
    app.state.use_login = away
    assert await status(app, "/admin", Cookie=f"{COOKIE}=cookie") == 503
    assert await status(app, "/admin", Authorization="Bearer the-admin-token") == 200
    proxied = {"x-forwarded-for": "192.0.2.1"}
    async with client(app) as http:
        assert (await http.get("/trusted", headers={"Cookie": f"{COOKIE}=cookie", **proxied})).json() is False
        assert (
            await http.get("/trusted", headers={"Authorization": "Bearer the-admin-token", **proxied})
        ).json() is True


async def much() -> AsyncIterator[bytes]:
    """A chunked body over the limit."""
    yield b"x" * 20_000


ERRORS: list[tuple[str, str, dict[str, Any], int, dict[str, Any]]] = [
    ("an error of ours", "GET /refuse", {}, 409, {"error": "it is there already", "hint": "choose another name",
                                                 "id": 7}),
    ("no such route", "GET /nowhere", {}, 404, {"error": "not found",
                                                "hint": "the routes of this server are listed at /docs"}),
    ("a slash too many", "GET /public/", {}, 404, {"error": "not found",
                                                   "hint": "the routes of this server are listed at /docs"}),
    ("no such verb", "DELETE /public", {}, 405, {"error": "method not allowed",
                                                 "hint": "DELETE is not offered here; see /docs"}),
    ("a wrong field", "POST /order", {"json": {"count": "many"}}, 422, {
        "error": "count: Input should be a valid integer, unable to parse string as an integer",
        "hint": "the fields of this route are described at /docs"}),
    ("a field that is called body", "POST /reply", {"json": {"body": 5}}, 422, {
        "error": "body: Input should be a valid string",
        "hint": "the fields of this route are described at /docs"}),
    ("no body", "POST /order", {}, 422, {"error": "the body is empty",
                                         "hint": "the fields of this route are described at /docs"}),
    ("no object", "POST /order", {"json": [1]}, 422, {"error": "the body is not a JSON object",
                                                      "hint": "the fields of this route are described at /docs"}),
    ("no JSON", "POST /order", {"content": b"{", "headers": {"Content-Type": "application/json"}}, 400, {
        "error": "the body is not valid JSON", "hint": "send a JSON object in UTF-8, and say so in Content-Type"}),
    ("too much of it, unannounced", "POST /order", {"content": much(), "headers": {"Content-Type": "application/json"}},
     413, {"error": "the body is larger than this server reads", "hint": "send less, or raise max_body_bytes"}),
    ("no UTF-8", "POST /order", {"content": b'{"count": "\xff"}', "headers": {"Content-Type": "application/json"}},
     400, {}),
    ("the database is away", "GET /storage", {}, 503, {
        "error": "the database cannot be used now, nothing was stored",
        "hint": "try again in a moment; see the log of this server"}),
    ("a bug", "GET /bug", {}, 500, {"error": "something went wrong on our side",
                                    "hint": "the log of this server says more"}),
]  # fmt: skip


@pytest.mark.parametrize(("call", "options", "code", "body"), [row[1:] for row in ERRORS],
                         ids=[row[0] for row in ERRORS])  # fmt: skip
async def test_every_error_is_json_with_a_fitting_status(
    call: str, options: dict[str, Any], code: int, body: dict[str, Any]
) -> None:
    """`error` and, where one helps, `hint`; never a traceback, never the internals."""
    verb, path = call.split()
    async with client(small_app()) as http:
        answer = await http.request(verb, path, **options)
    assert answer.status_code == code
    assert isinstance(answer.json()["error"], str)
    assert "secret" not in answer.text
    assert "internals" not in answer.text
    if body:
        assert answer.json() == body


async def test_an_error_may_bring_headers() -> None:
    """Retry-After, for one."""
    async with client(small_app()) as http:
        assert (await http.get("/refuse")).headers["X-Extra"] == "1"
        assert (await http.get("/storage")).headers["Retry-After"] == "5"


@pytest.mark.parametrize("length", [10_001, 5_000_000])
async def test_a_body_over_the_limit_is_refused_when_it_is_announced(length: int) -> None:
    """Before a byte of it is read."""
    async with client(small_app()) as http:
        answer = await http.post("/echo", content=b"x" * length)
    assert answer.status_code == 413
    assert answer.json()["hint"] == "send less, or raise max_body_bytes"


async def test_a_body_over_the_limit_is_refused_when_it_was_not_announced() -> None:
    """Chunked: soon after it is over; how much more is thrown away has a bound."""
    taken = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal taken
        for _ in range(1000):
            taken += 1
            yield b"x" * 1_000_000

    async with client(small_app()) as http:
        answer = await http.post("/echo", content=endless())
    assert answer.status_code == 413
    assert taken < 100


async def test_a_body_of_just_the_limit_is_read() -> None:
    """Ten thousand bytes of ten thousand."""
    async with client(small_app()) as http:
        assert (await http.post("/echo", content=b"x" * 10_000)).json() == {"length": 10_000}


async def test_an_error_in_the_midst_of_an_answer_cuts_it_off() -> None:
    """No second answer is written into the first, whatever its status."""
    app = small_app()
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        await asyncio.Event().wait()
        raise AssertionError

    async def send(message: Any) -> None:
        sent.append(message)

    scope: dict[str, Any] = {
        "type": "http",
        "http_version": "1.1",
        "method": "GET",
        "path": "/bug-in-stream",
        "raw_path": b"/bug-in-stream",
        "query_string": b"",
        "headers": [],
        "client": ("127.0.0.1", 1),
        "server": None,
        "scheme": "http",
        "root_path": "",
        "asgi": {"version": "3.0"},
    }
    with pytest.raises(Exception, match="internals") as cut:
        await app(scope, receive, send)
    assert cut.value is not None
    assert [message["type"] for message in sent] == ["http.response.start", "http.response.body"]


async def test_health_ready_metrics_and_docs_are_there() -> None:
    """What every server answers."""
    async with client(small_app()) as http:
        assert (await http.get("/health")).json() == {"status": "ok", "server": "Test <server>"}
        assert (await http.get("/ready")).json() == {"ready": True, "queue": 3}
        await http.get("/nowhere")
        metrics = (await http.get("/metrics")).text
        docs = await http.get("/docs")
        assert (await http.get("/openapi.json")).json()["info"]["title"] == "Test <server>"
    assert 'relay_http_requests_total{route="/health",status="200"} 1.0' in metrics
    assert 'route="unmatched",status="404"' in metrics
    assert "/nowhere" not in metrics
    assert "Say &lt;b&gt;it&lt;/b&gt; again." in docs.text
    assert "Test &lt;server&gt;" in docs.text


async def test_a_server_that_is_not_ready_says_503() -> None:
    """For load balancers."""
    async with client(small_app(ready=False)) as http:
        assert (await http.get("/ready")).status_code == 503


PROGRAM = """
import sys
import asyncio
import os
from contextlib import asynccontextmanager
from relay.config.logs import setup_logging
from relay.config.loading import load_or_exit
from relay.config.settings import Settings
from relay.web.access import PUBLIC
from relay.web.serve import serve
from relay.web.app import add_common_routes, build_app

@asynccontextmanager
async def lifespan(app):
    print("opened", flush=True)
    yield
    if "HANGS" in os.environ:
        await asyncio.Event().wait()
    print("closed", flush=True)

async def ready():
    return {"ready": True}

settings = load_or_exit(Settings)
setup_logging(settings, "test_server")
app = build_app("Test", settings, lifespan)
add_common_routes(app, ready)

@app.post("/slow", dependencies=[PUBLIC])
async def slow():
    print("asked", flush=True)
    await asyncio.Event().wait()

serve(app, settings, settings.llm_server_port)
"""


@contextmanager
def real_server(folder: Path, port: int, **environ: str) -> Iterator[subprocess.Popen[str]]:
    """A server as a process of its own, with a pipe as its stdin as under the launcher."""
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), "LLM_SERVER_PORT": str(port), **environ},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def test_a_real_server_stops_cleanly_when_its_launcher_is_gone(
    tmp_path: Path, free_port: Callable[[], int], wait_for_health: Callable[..., None]
) -> None:
    """The end of its stdin is the end of the launcher; what was opened is closed."""
    port = free_port()
    with real_server(tmp_path, port, RELAY_SUPERVISED="1") as process:
        wait_for_health(port)
        assert process.stdin
        process.stdin.close()
        process.wait(60)
        assert process.stdout
        assert process.stdout.read().split() == ["opened", "closed"]
        assert process.stderr
        assert "the launcher is gone, stopping" in process.stderr.read()


def test_a_server_on_its_own_does_not_mind_a_closed_stdin(
    tmp_path: Path, free_port: Callable[[], int], wait_for_health: Callable[..., None]
) -> None:
    """Under systemd or Docker there is none; it stops at SIGTERM."""
    port = free_port()
    with real_server(tmp_path, port) as process:
        assert process.stdin
        process.stdin.close()
        wait_for_health(port)
        process.send_signal(signal.SIGTERM)
        process.wait(60)
        assert process.stdout
        assert process.stdout.read().split() == ["opened", "closed"]


def test_a_request_that_outlasts_the_stop_gets_a_retry_after(
    tmp_path: Path, free_port: Callable[[], int], wait_for_health: Callable[..., None]
) -> None:
    """A webhook that waits for a locked database gets a 503, so that Twilio tries again; no traceback is left."""
    port = free_port()
    with real_server(tmp_path, port, STOP_SECONDS="4") as process:
        wait_for_health(port)
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=15)
        connection.request("POST", "/slow")
        assert process.stdout
        assert process.stdout.readline() == "opened\n"
        assert process.stdout.readline() == "asked\n"
        process.send_signal(signal.SIGTERM)
        answer = connection.getresponse()
        assert (answer.status, answer.getheader("retry-after")) == (503, "5")
        connection.close()
        process.wait(15)
        assert process.stderr
        assert "Traceback" not in process.stderr.read()


@pytest.mark.parametrize("supervised", ["", "1"])
def test_a_server_that_hangs_while_it_stops_ends_by_itself(
    tmp_path: Path, free_port: Callable[[], int], wait_for_health: Callable[..., None], supervised: str
) -> None:
    """It keeps its own deadline, needs no kill, and the log shows what happened."""
    port = free_port()
    with real_server(tmp_path, port, HANGS="1", STOP_SECONDS="0.5", RELAY_SUPERVISED=supervised) as process:
        wait_for_health(port)
        process.send_signal(signal.SIGTERM)
        assert process.wait(15) == 1
        assert process.stdout
        assert process.stdout.read().split() == ["opened"]
        assert process.stderr
        assert "not stopped within 0.5 s: exiting now" in process.stderr.read()


def test_a_server_that_cannot_listen_ends_with_a_status_of_its_own(tmp_path: Path) -> None:
    """The launcher restarts it; systemd sees that it failed."""
    with socket.create_server(("127.0.0.1", 0)) as taken, real_server(tmp_path, taken.getsockname()[1]) as process:
        assert process.wait(15) == NOT_STARTED


def test_the_shares_of_a_stop_add_up_to_the_whole_and_the_launcher_waits_longer() -> None:
    """With the defaults a server that uses every second still stops before the launcher kills it."""
    shares = shutdown.REQUESTS + shutdown.UPDATES + shutdown.ANSWERS + shutdown.SENDS + shutdown.LEASES
    assert shares <= 1
    assert Settings().stop_seconds + shutdown.CLOSING_SECONDS < min(Timeouts().stop)


def test_a_real_server_names_neither_itself_nor_believes_a_forwarded_address(
    tmp_path: Path, free_port: Callable[[], int], wait_for_health: Callable[..., None]
) -> None:
    """No Server header; X-Forwarded-For makes no client loopback, and closes the admin routes."""
    port = free_port()
    with real_server(tmp_path, port):
        wait_for_health(port)
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        connection.request("GET", "/metrics", headers={"X-Forwarded-For": "127.0.0.1"})
        answer = connection.getresponse()
        assert answer.status == 403
        assert answer.getheader("server") is None
        assert json.loads(answer.read())["hint"]
        connection.close()
