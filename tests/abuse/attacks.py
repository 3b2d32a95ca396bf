"""The attacks: each does to the running servers what a stranger could do, and returns what it found broken."""

from __future__ import annotations

import contextlib
import re
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import httpx

from relay.web.protocol import Stage
from tests.product.running_product import SERVERS, RunningProduct
from tests.repository.route_walk import routes_of
from tests.web.test_web import PASSED_ON

TOKEN = "k2Vd81-of-the-abuse-run-93hQ"
"""Admin and internal token of the closed product, so that one header opens all routes to schemathesis."""

Attack = Callable[[RunningProduct], Iterable[str]]
_IMPATIENCE = 30.0
_ENDLESS = ("/sim/events", "/sim/wait")


def connect(product: RunningProduct, server: str) -> socket.socket:
    return socket.create_connection(("127.0.0.1", product.ports[server]), timeout=_IMPATIENCE)


def hang_up(connection: socket.socket) -> None:
    """Close with a reset: the other side reads an error, not an end."""
    with contextlib.suppress(OSError):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def pour(connection: socket.socket, block: bytes, size: int) -> None:
    """Send `block` until `size` bytes have left or the server has closed the connection."""
    block *= max(1, 65_536 // len(block))
    with contextlib.suppress(OSError):
        for _ in range(size // len(block) + 1):
            connection.sendall(block)


def reply_of(connection: socket.socket) -> bytes:
    with contextlib.suppress(OSError):
        return connection.recv(65_536)
    return b""


def _posts(server: str) -> Iterator[tuple[str, str]]:
    for route in routes_of(server):
        for verb in route.verbs:
            if verb not in {"GET", "HEAD"}:
                yield verb, route.address


# -- requests that are not complete ------------------------------------------------------------------------------------


def clients_that_leave(product: RunningProduct) -> Iterable[str]:
    """Fifty on each route that takes a body, by an end and by a reset, in all framings."""
    framings = ((b"Content-Length: 9", b"ab"), (b"Transfer-Encoding: chunked", b"2\r\nab"))
    for server in SERVERS:
        for verb, path in _posts(server):
            for number in range(50):
                connection = connect(product, server)
                head = f"{verb} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n".encode()
                with contextlib.suppress(OSError):
                    framing, body = framings[number % 2]
                    connection.sendall(head + framing + b"\r\n\r\n" + body)
                (hang_up if number % 3 else socket.socket.close)(connection)
    return ()


FLOODS = {
    "short fields": (b"GET / HTTP/1.1\r\n", b"X: b\r\n"),
    "long fields": (b"GET / HTTP/1.1\r\n", b"X: " + b"b" * 1000 + b"\r\n"),
    "one field": (b"GET / HTTP/1.1\r\nX: ", b"b"),
    "one name": (b"GET / HTTP/1.1\r\n", b"b"),
    "path": (b"GET /", b"b"),
    "trailers": (b"POST /login HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n", b"X: b\r\n"),
    "chunk extension": (b"POST /login HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1;", b"b"),
}


def header_floods(product: RunningProduct) -> Iterable[str]:
    """30 MB of each kind at each server."""
    for server in SERVERS:
        for name, (head, block) in FLOODS.items():
            connection = connect(product, server)
            connection.sendall(head)
            pour(connection, block, 30_000_000)
            connection.settimeout(5)
            answer = reply_of(connection)
            connection.close()
            if answer and not re.match(rb"HTTP/1.1 [34]\d\d ", answer):
                yield f"{server}: {name}: {answer[:100]!r}"


def half_requests(product: RunningProduct) -> Iterable[str]:
    """10,000 at the SMS server, 1,000 at each other; all of them have to be closed when their time is over."""
    halves = (
        b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n",
        b"POST /sms/webhook HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 9\r\n\r\nab",
        b"",
    )
    opened: list[socket.socket] = []
    for server in SERVERS:
        for number in range(10_000 if server == "sms_server" else 1000):
            connection = connect(product, server)
            connection.setblocking(False)
            with contextlib.suppress(OSError):
                connection.send(halves[number % 3])
            opened.append(connection)
    deadline = time.monotonic() + Stage.BODY.value + 10
    left = opened
    while left and time.monotonic() < deadline:
        left = [connection for connection in left if not _is_closed(connection)]
        time.sleep(0.5)  # their time passes in other processes
    for connection in opened:
        connection.close()
    if left:
        yield f"{len(left)} half requests are open after {Stage.BODY.value + 10:g} s"


def _is_closed(connection: socket.socket) -> bool:
    try:
        while connection.recv(4096):
            pass
    except BlockingIOError:
        return False
    except OSError:
        pass
    return True


def big_bodies(product: RunningProduct) -> Iterable[str]:
    """80 MB without a length, 2 GB announced, and numbers that are no length."""
    for server in SERVERS:
        for head in (b"Transfer-Encoding: chunked", b"Content-Length: 2000000000", b"Content-Length: 80000000"):
            connection = connect(product, server)
            connection.sendall(b"POST /login HTTP/1.1\r\nHost: 127.0.0.1\r\n" + head + b"\r\n\r\n")
            block = b"10000\r\n" + b"x" * 65_536 + b"\r\n" if head.startswith(b"T") else b"x" * 65_536
            pour(connection, block, 80_000_000)
            connection.close()
    return ()


def what_is_no_http(product: RunningProduct) -> Iterable[str]:
    """1,000 greetings in other languages at each server."""
    greetings = (b"\x16\x03\x01\x02\x00\x01", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"\x00" * 500, b"EHLO me\r\n",
                 b"GET / HTTP/1.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
                 b"POST / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n")  # fmt: skip
    for server in SERVERS:
        for number in range(1000):
            connection = connect(product, server)
            connection.sendall(greetings[number % len(greetings)])
            connection.close()
    return ()


HIDING = (b"", b"Connection: Upgrade\r\nUpgrade: websocket\r\n", b"Connection: close, Upgrade\r\nUpgrade: h2c\r\n",
          b"Connection: close\r\n", b"Expect: 100-continue\r\n", b"Transfer-Encoding: identity\r\n",
          b"Content-Length: 0\r\n", b"Connection: Content-Length\r\n")  # fmt: skip


def hidden_requests(product: RunningProduct) -> Iterable[str]:
    """A request as an operator here would send it, as the body of a stranger's: it is not carried out."""
    hidden = b"GET /metrics HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
    for server in SERVERS:
        for head in HIDING:
            for verb in (b"POST", b"GET"):
                connection = connect(product, server)
                connection.settimeout(1)
                connection.sendall(b"%s / HTTP/1.1\r\nHost: x.example\r\nX-Forwarded-For: 203.0.113.9\r\n" % verb)
                connection.sendall(head + b"Content-Length: %d\r\n\r\n" % len(hidden))
                time.sleep(0.05)  # so that the server reads the body apart from the head
                with contextlib.suppress(OSError):
                    connection.sendall(hidden)
                answers = b"".join(iter(partial(reply_of, connection), b""))
                connection.close()
                if b"# HELP" in answers:
                    yield f"{server}: the body of {verb.decode()} with {head!r} was a request"


# -- complete requests -------------------------------------------------------------------------------------------------


def _client(product: RunningProduct, server: str, **headers: str) -> httpx.Client:
    return httpx.Client(base_url=product.url(server), headers=headers, timeout=_IMPATIENCE)


def tunnel_headers(product: RunningProduct) -> Iterable[str]:
    """Every header that gives a tunnel away, on every route that is not public."""
    for server in SERVERS:
        guarded = [route for route in routes_of(server) if route.classes != ("public",)]
        with _client(product, server) as http:
            for route in guarded:
                for headers in PASSED_ON:
                    named = {name.replace("_", "-"): value for name, value in headers.items()}
                    status = http.request(route.verbs[0], route.address, headers=named).status_code
                    if status not in {400, 403}:
                        yield f"{server}: {route.verbs[0]} {route.address} with {named}: {status}"


def wrong_tokens(product: RunningProduct) -> Iterable[str]:
    """Thousands of guesses from outside; the operator on this machine gets in meanwhile."""
    for server, path in (("sms_server", "/sms/status"), ("admin_server", "/"), ("llm_server", "/metrics")):
        with _client(product, server) as http:
            for number in range(700):
                headers = {"Authorization": f"Bearer {TOKEN[:-1]}{number}", "X-Forwarded-For": "203.0.113.9"}
                status = http.get(path, headers=headers).status_code
                if status not in {403, 429}:
                    yield f"{server}: a wrong token got {status}"
            if (status := http.get(path, headers={"Authorization": f"Bearer {TOKEN}"}).status_code) != 200:
                yield f"{server}: the right token got {status}"
    with _client(product, "admin_server") as http:
        found = {http.post("/login", data={"token": "wrong", "next": "/" + "a" * 900_000}) for _ in range(50)}
        if {answer.status_code for answer in found} - {403, 429} or any(len(answer.content) > 5000 for answer in found):
            yield "admin_server: a wrong login was not refused shortly"


def forged_webhooks(product: RunningProduct) -> Iterable[str]:
    """With a wrong signature, with a wrong secret, and of no form at all."""
    for server, path in (
        ("sms_server", "/sms/webhook"),
        ("sms_server", "/sms/delivery"),
        ("telegram_server", "/telegram/webhook"),
    ):
        with _client(product, server) as http:
            forged = {"X-Twilio-Signature": "x" * 28, "X-Telegram-Bot-Api-Secret-Token": "x"}
            for _ in range(700):
                status = http.post(path, content=b"From=%2B1&Body=x", headers=forged).status_code
                if status not in {403, 404, 409}:
                    yield f"{path} with a forged proof: {status}"


def long_urls(product: RunningProduct) -> Iterable[str]:
    """60 kB of path or query, at every route; the answer does not repeat it."""
    for server in SERVERS:
        with _client(product, server) as http:
            for route in routes_of(server):
                if route.path in _ENDLESS:
                    continue
                for url in (f"{route.address}?q={'a' * 60_000}", f"{route.address}/{'%41' * 20_000}"):
                    answer = http.request(route.verbs[0], url, headers={"X-Twilio-Signature": "x"})
                    status, length = answer.status_code, len(answer.content)
                    is_trouble = status >= 500 and status != httpx.codes.NOT_IMPLEMENTED
                    if is_trouble or (answer.is_error and length > 5000):
                        yield f"{server}: {route.verbs[0]} {url[:60]}: {status}, {length} bytes"


def many_at_once(product: RunningProduct) -> Iterable[str]:
    """2,000 connections within a moment, each with a whole request: none of them is refused."""

    def ask(number: int) -> bytes:
        connection = connect(product, SERVERS[number % len(SERVERS)])
        connection.sendall(b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
        answer = reply_of(connection)
        connection.close()
        return answer

    with ThreadPoolExecutor(200) as pool:
        for answer in pool.map(ask, range(2000)):
            if not answer.startswith(b"HTTP/1.1 200 "):
                yield f"GET /health: {answer[:100]!r}"


def generated_requests(product: RunningProduct) -> Iterable[str]:
    """Schemathesis against the OpenAPI document of each server: no answer is a 5xx, none takes ten seconds."""
    for server in SERVERS:
        command = [sys.executable, "-m", "schemathesis.cli", "run", f"{product.url(server)}/openapi.json"]
        options = ["--checks", "not_a_server_error", "--phases", "examples,coverage,fuzzing", "--max-examples", "30"]
        excluded = [option for path in _ENDLESS for option in ("--exclude-path", path)]
        limits = ["--request-timeout", "10", "--max-time", "120", "--continue-on-failure", "--no-color"]
        header = ["--header", f"Authorization: Bearer {TOKEN}"]
        run = [*command, *options, *excluded, *limits, *header]
        done = subprocess.run(run, cwd=product.folder, capture_output=True, text=True, check=False)
        print(
            "   ", server, *re.findall(r"^.*(?:cases|Test cases|generated|passed).*$", done.stdout, re.MULTILINE)[-2:]
        )
        if done.returncode:
            yield f"{server}: schemathesis ended with {done.returncode}:\n{done.stdout[-3000:]}{done.stderr[-1000:]}"


OPEN: tuple[Attack, ...] = (
    *(clients_that_leave, header_floods, big_bodies, what_is_no_http, hidden_requests, tunnel_headers, long_urls),
    *(many_at_once, half_requests),
)
"""Against the product as it is on a new machine: no token, this machine may do everything."""

CLOSED: tuple[Attack, ...] = (wrong_tokens, forged_webhooks, generated_requests)
"""Against the product with tokens."""
