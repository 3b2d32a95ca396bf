"""Requests that are not complete: their size, their time and their number are limited, and nothing else is."""

from __future__ import annotations

import asyncio
import http.client
import json
import re
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from hypothesis import given
from hypothesis import strategies as st
from uvicorn.server import ServerState

from relay.web.protocol import (
    FIELD_BYTES,
    MAX_HEAD_BYTES,
    MAX_PER_PEER,
    MAX_PIPELINED,
    UNREAD_SECONDS,
    LimitedProtocol,
    Stage,
    UnfinishedRequests,
)
from tests.web.test_web import real_server

KEEP_ALIVE = 75
CHUNKED = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\n"
GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"


class FakeLoop:
    """A clock and timers that move by hand; tasks run in the real loop."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.create_task = asyncio.get_running_loop().create_task
        self._timers: list[FakeTimer] = []

    def time(self) -> float:
        return self.now

    def call_later(self, delay: float, call: Callable[..., None], *args: Any) -> FakeTimer:
        self._timers.append(FakeTimer(self.now + delay, call, args))
        return self._timers[-1]

    async def advance(self, seconds: float) -> None:
        """Run what is due within this time, in its order, and let the tasks of the real loop follow."""
        end = self.now + seconds
        while due := [timer for timer in self._timers if timer.at <= end and not timer.cancelled]:
            first = min(due, key=lambda timer: timer.at)
            self._timers.remove(first)
            self.now = first.at
            first.call(*first.args)
            await settled()
        self.now = end

    @property
    def is_idle(self) -> bool:
        return all(timer.cancelled for timer in self._timers)


class FakeTimer:
    def __init__(self, at: float, call: Callable[..., None], args: tuple[Any, ...]) -> None:
        self.at, self.call, self.args = at, call, args
        self.cancelled = False

    def cancel(self) -> None:
        self.cancelled = True


class FakeTransport(asyncio.Transport):
    """Keeps what is written; a closed connection is lost in the next round of the loop, as with a real one."""

    def __init__(self, peer: str) -> None:
        super().__init__({"peername": [peer, 40_000]})
        self.written = b""
        self.closed = False
        self.protocol: LimitedProtocol | None = None

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if not self.closed:
            self.written += bytes(data)

    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        if not self.closed and self.protocol:
            asyncio.get_running_loop().call_soon(self.protocol.connection_lost, None)
        self.closed = True

    def abort(self) -> None:
        self.close()

    def pause_reading(self) -> None:
        """The tests feed no more than one request at a time, unless they say so."""

    def resume_reading(self) -> None: ...


async def settled() -> None:
    """Let every task run as far as it can."""
    for _ in range(20):
        await asyncio.sleep(0)


class Listener:
    """A server without sockets: one app, its limits, and its connections."""

    def __init__(self, app: Any, max_unfinished: int = 100) -> None:
        self.config = uvicorn.Config(
            app, ws="none", log_config=None, proxy_headers=False, timeout_keep_alive=KEEP_ALIVE, server_header=False
        )
        self.config.load()
        self.unfinished = UnfinishedRequests(max_unfinished)
        self.state = ServerState()
        self.loop = FakeLoop()

    def connect(self, peer: str = "127.0.0.1") -> Client:
        loop: Any = self.loop
        protocol = LimitedProtocol(self.config, self.state, {}, loop, unfinished=self.unfinished)
        transport = FakeTransport(peer)
        transport.protocol = protocol
        protocol.connection_made(transport)
        return Client(protocol, transport)


class Client:
    """The other end of one connection."""

    def __init__(self, protocol: LimitedProtocol, transport: FakeTransport) -> None:
        self._protocol, self._transport = protocol, transport

    async def send(self, *pieces: bytes) -> None:
        for piece in pieces:
            if not self._transport.closed:
                self._protocol.data_received(piece)
            await settled()

    def stop_reading(self) -> None:
        """Leave answers unread until the server can write no more."""
        self._protocol.pause_writing()

    def read_on(self) -> None:
        self._protocol.resume_writing()

    @property
    def closed(self) -> bool:
        return self._transport.closed

    @property
    def received(self) -> bytes:
        return self._transport.written

    @property
    def statuses(self) -> list[int]:
        """The statuses of the answers so far."""
        return [int(status) for status in re.findall(rb"HTTP/1\.1 (\d+) ", self.received)]


async def echo(scope: Any, receive: Any, send: Any) -> None:
    """Answers the length of the body; a client that left gets nothing."""
    length, more = 0, True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        length, more = length + len(message["body"]), message["more_body"]
    answer = b"%d" % length
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(answer))]})
    await send({"type": "http.response.body", "body": answer})


async def refuses_at_once(scope: Any, receive: Any, send: Any) -> None:
    """Answers without reading the body."""
    await send({"type": "http.response.start", "status": 404, "headers": [(b"content-length", b"0")]})
    await send({"type": "http.response.body", "body": b""})


async def streams(scope: Any, receive: Any, send: Any) -> None:
    """An answer without an end, as of a slow model."""
    while (await receive())["more_body"]:
        pass
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"first", "more_body": True})
    await asyncio.Event().wait()


def in_pieces(data: bytes, size: int) -> list[bytes]:
    return [data[start : start + size] for start in range(0, len(data), size)]


TOO_LARGE: dict[str, bytes] = {
    "many short fields": b"GET / HTTP/1.1\r\n" + b"X: b\r\n" * 2500 + b"\r\n",
    "long fields": b"GET / HTTP/1.1\r\n" + (b"X: " + b"b" * 8000 + b"\r\n") * 9 + b"\r\n",
    "one long field": b"GET / HTTP/1.1\r\nX: " + b"b" * MAX_HEAD_BYTES + b"\r\n\r\n",
    "one long name": b"GET / HTTP/1.1\r\n" + b"x" * MAX_HEAD_BYTES + b": b\r\n\r\n",
    "a field without end": b"GET / HTTP/1.1\r\nX: " + b"b" * 3 * MAX_HEAD_BYTES,
    "fields without end": b"GET / HTTP/1.1\r\n" + b"X: b\r\n" * 60_000,
    "a long path": b"GET /" + b"a" * MAX_HEAD_BYTES + b" HTTP/1.1\r\n\r\n",
    "a path without end": b"GET /" + b"a" * 3 * MAX_HEAD_BYTES,
    "before a body": b"POST / HTTP/1.1\r\nContent-Length: 9\r\nX: " + b"b" * MAX_HEAD_BYTES + b"\r\n\r\n123456789",
    "in trailers": CHUNKED + b"1\r\na\r\n0\r\n" + b"X: b\r\n" * 60_000,
    "in one trailer": CHUNKED + b"1\r\na\r\n0\r\nX: " + b"b" * 6 * MAX_HEAD_BYTES,
}
FITTING: dict[str, tuple[bytes, list[int]]] = {
    "nothing special": (GET, [200]),
    "a body": (POST + b"abcd", [200]),
    "many fields": (b"GET / HTTP/1.1\r\n" + b"X-Name: value\r\n" * 200 + b"\r\n", [200]),
    "a long cookie": (b"GET / HTTP/1.1\r\nCookie: " + b"c" * 60_000 + b"\r\n\r\n", [200]),
    "a large body": (b"POST / HTTP/1.1\r\nContent-Length: 900000\r\n\r\n" + b"x" * 900_000, [200]),
    "a body in small chunks": (CHUNKED + b"1\r\na\r\n" * 40_000 + b"0\r\n\r\n", [200]),
    "a large body, then another request": (
        b"POST / HTTP/1.1\r\nContent-Length: 900000\r\n\r\n" + b"x" * 900_000 + GET,
        [200, 200],
    ),
    "a trailer": (CHUNKED + b"1\r\na\r\n0\r\nX-Checksum: b\r\n\r\n", [200]),
}
SIZES = [997, 16_384, 65_536, 262_144]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("sent", TOO_LARGE.values(), ids=TOO_LARGE)
async def test_headers_over_the_limit_are_refused(sent: bytes, size: int) -> None:
    """However they are long and however they arrive: with 431 and the end of the connection."""
    client = Listener(echo).connect()
    await client.send(*in_pieces(sent, size))
    assert client.closed
    assert client.statuses[-1] == 431
    body = json.loads(client.received.rpartition(b"\r\n\r\n")[2])
    assert set(body) == {"error", "hint"}


async def test_headers_of_a_later_request_are_refused_too() -> None:
    """Each request of a connection may have as many bytes as the first."""
    client = Listener(echo).connect()
    for _ in range(3):
        await client.send(b"GET / HTTP/1.1\r\nX: " + b"b" * (MAX_HEAD_BYTES - 100) + b"\r\n\r\n")
    await client.send(b"GET / HTTP/1.1\r\nX: " + b"b" * MAX_HEAD_BYTES + b"\r\n\r\n")
    assert client.statuses == [200, 200, 200, 431]
    assert client.closed


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(("sent", "statuses"), FITTING.values(), ids=FITTING)
async def test_requests_within_the_limits_are_answered(sent: bytes, statuses: list[int], size: int) -> None:
    """Bodies have a limit of their own, elsewhere."""
    client = Listener(echo).connect()
    await client.send(*in_pieces(sent, size))
    assert client.statuses == statuses
    assert not client.closed


@given(st.lists(st.tuples(st.integers(1, 300), st.integers(0, 9000)), max_size=12), st.integers(500, 90_000))
def test_exactly_the_heads_over_the_limit_are_refused(fields: list[tuple[int, int]], size: int) -> None:
    """The size is that of path, names and values, and FIELD_BYTES for each field; how it is cut up does not matter."""
    lines = b"".join(b"n" * name + b": " + b"v" * value + b"\r\n" for name, value in fields)
    counted = len("/") + sum(name + value + FIELD_BYTES for name, value in fields)
    framing = 64 + 4 * len(fields)  # a head that is not complete is measured as it came

    async def exchange() -> list[int]:
        client = Listener(echo).connect()
        await client.send(*in_pieces(b"GET / HTTP/1.1\r\n" + lines + b"\r\n", size))
        return client.statuses

    statuses = asyncio.run(exchange())
    if counted > MAX_HEAD_BYTES:
        assert statuses == [431]
    elif counted + framing <= MAX_HEAD_BYTES:
        assert statuses == [200]


HEAD, BODY = Stage.HEAD.value, Stage.BODY.value
SLOW: list[tuple[str, list[bytes], float, list[int]]] = [
    ("nothing at all", [], HEAD, []),
    ("half a line", [b"GET /"], HEAD, [408]),
    ("half the headers", [b"GET / HTTP/1.1\r\nHost: x\r\n"], HEAD, [408]),
    ("no body", [POST], BODY, [408]),
    ("half a body", [POST + b"ab"], BODY, [408]),
    ("half a body, later", [POST, b"ab"], BODY, [408]),
    ("half a chunk", [CHUNKED + b"9\r\nab"], BODY, [408]),
    ("no last chunk", [CHUNKED, b"2\r\nab\r\n"], BODY, [408]),
    ("no end of the trailers", [CHUNKED, b"0\r\nX: y\r\n"], BODY, [408]),
    ("half of a second request", [GET, b"GET /"], HEAD, [200, 408]),
    ("half of a second body", [GET, POST], BODY, [200, 408]),
    ("only line ends after an answer", [GET, b"\r\n"], HEAD, [200]),
]


@pytest.mark.parametrize(("pieces", "seconds", "statuses"), [row[1:] for row in SLOW], ids=[row[0] for row in SLOW])
async def test_a_request_that_does_not_arrive_in_time_is_ended(
    pieces: list[bytes], seconds: float, statuses: list[int]
) -> None:
    """With 408 once it has begun; not before the time is over, and soon after it."""
    listener = Listener(echo)
    client = listener.connect()
    await client.send(*pieces)
    await listener.loop.advance(seconds - 1)
    assert not client.closed
    await listener.loop.advance(3)
    assert client.closed
    assert client.statuses == statuses
    assert listener.loop.is_idle


@pytest.mark.parametrize(("begun", "more", "seconds"), [(b"GET / HTTP/1.1\r\nX: ", b"y", HEAD), (
    b"POST / HTTP/1.1\r\nContent-Length: 900\r\n\r\n", b"y", BODY), (GET, b"\r\n", HEAD)])  # fmt: skip
async def test_bytes_that_drip_in_do_not_gain_time(begun: bytes, more: bytes, seconds: float) -> None:
    """One byte a second holds a connection no longer than none."""
    listener = Listener(echo)
    client = listener.connect()
    await client.send(begun)
    for _ in range(int(seconds) + 3):
        await client.send(more)
        await listener.loop.advance(1)
    assert client.closed


async def test_the_time_of_a_body_begins_after_its_headers() -> None:
    """A slow client that stays within both limits is answered."""
    listener = Listener(echo)
    client = listener.connect()
    await client.send(POST[:20])
    await listener.loop.advance(HEAD - 2)
    await client.send(POST[20:])
    await listener.loop.advance(BODY - 2)
    await client.send(b"abcd")
    assert client.statuses == [200]
    assert not client.closed


async def test_a_client_that_sends_requests_without_end_and_waits_for_no_answer_is_cut() -> None:
    """A block of a few thousand would make as many requests; a few that wait are answered in their order."""
    listener = Listener(echo)
    client = listener.connect()
    await client.send(GET * (1 + MAX_PIPELINED))
    assert client.statuses == [200] * (1 + MAX_PIPELINED)
    assert not client.closed
    await client.send(GET * 2000)
    assert client.closed
    assert len(client.statuses) <= 2 * (1 + MAX_PIPELINED)


async def test_a_client_that_leaves_its_answer_unread_is_cut() -> None:
    """After a minute in which nothing was read; one that reads in between, however slowly, is not."""
    listener = Listener(streams)
    client = listener.connect()
    await client.send(GET)
    for _ in range(3):
        client.stop_reading()
        await listener.loop.advance(UNREAD_SECONDS - 1)
        client.read_on()
        await listener.loop.advance(UNREAD_SECONDS + 1)
    assert not client.closed
    client.stop_reading()
    await listener.loop.advance(UNREAD_SECONDS - 1)
    assert not client.closed
    await listener.loop.advance(2)
    assert client.closed
    assert listener.loop.is_idle


UPGRADE = b"Host: x\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMA\r\n"
ASKS_FOR_MORE: dict[str, tuple[bytes, list[bytes]]] = {
    "no body": (b"GET / HTTP/1.1\r\n" + UPGRADE + b"\r\n", [b"0"]),
    "a body": (b"POST / HTTP/1.1\r\n" + UPGRADE + b"Content-Length: 4\r\n\r\nabcd", [b"4"]),
    "chunks": (
        b"POST / HTTP/1.1\r\n" + UPGRADE + b"Transfer-Encoding: chunked\r\n\r\n2\r\nab\r\n3\r\ncde\r\n0\r\n\r\n",
        [b"5"],
    ),
    "a request as the body": (
        b"POST / HTTP/1.1\r\n" + UPGRADE.replace(b"h2c", b"websocket") + b"Content-Length: %d\r\n\r\n" % len(GET) + GET,
        [b"%d" % len(GET)],
    ),
    "another request behind it": (b"GET / HTTP/1.1\r\n" + UPGRADE + b"\r\n" + POST + b"abcd", [b"0", b"4"]),
    "an upgrade each time": ((b"POST / HTTP/1.1\r\n" + UPGRADE + b"Content-Length: 1\r\n\r\nx") * 5, [b"1"] * 5),
    "names in odd letters": (
        b"POST / HTTP/1.1\r\nhOST: x\r\nCONNECTION: uPGRADE\r\nuPGRADE: TLS/1.2\r\ncontent-length: 3\r\n\r\nabc",
        [b"3"],
    ),
}


@pytest.mark.parametrize("size", [1, 7, 997])
@pytest.mark.parametrize(("sent", "lengths"), ASKS_FOR_MORE.values(), ids=ASKS_FOR_MORE)
async def test_an_upgrade_is_ignored_and_its_body_is_a_body(sent: bytes, lengths: list[bytes], size: int) -> None:
    """Java's client offers HTTP/2 with a body; and a body that counted as a request would pass for a local one."""
    client = Listener(echo).connect()
    await client.send(*in_pieces(sent, size))
    assert client.statuses == [200] * len(lengths)
    assert re.findall(rb"\r\n\r\n(\d+)", client.received) == lengths
    assert not client.closed


@pytest.mark.parametrize(("target", "host"), [
    (b"/", None), (b"/http://evil.example", None), (b"*", None), (b"http://x/a", None),
    (b"http://evil.example/a", b"evil.example"), (b"HTTPS://evil.example:8040/?a", b"evil.example:8040")])  # fmt: skip
async def test_the_host_of_a_whole_url_is_one_more(target: bytes, host: bytes | None) -> None:
    """A program in front of us may go by it, and a request with two hosts does not count as one of this machine."""
    hosts: list[bytes] = []

    async def note(scope: Any, receive: Any, send: Any) -> None:
        hosts.extend(value for name, value in scope["headers"] if name == b"host")
        await echo(scope, receive, send)

    client = Listener(note).connect()
    await client.send(b"OPTIONS " + target + b" HTTP/1.1\r\nHost: x\r\n\r\n")
    assert hosts == [b"x", host][: 1 + (host is not None)]


async def test_an_idle_connection_stays_until_its_own_limit() -> None:
    """Clients keep connections for the next request; uvicorn closes them after timeout_keep_alive."""
    listener = Listener(echo)
    client = listener.connect()
    await client.send(GET)
    for _ in range(3):
        await listener.loop.advance(KEEP_ALIVE - 1)
        await client.send(POST + b"abcd")
    await listener.loop.advance(KEEP_ALIVE - 1)
    assert not client.closed
    await listener.loop.advance(2)
    assert client.closed
    assert client.statuses == [200] * 4


@pytest.mark.parametrize("sent", [GET, POST + b"abcd", POST + b"abcd\r\n"])
async def test_a_long_answer_is_not_cut(sent: bytes) -> None:
    """A stream of a model, or a long poll: its request was complete."""
    listener = Listener(streams)
    client = listener.connect()
    await client.send(sent)
    await listener.loop.advance(3600)
    assert client.statuses == [200]
    assert not client.closed


async def test_nothing_is_written_into_a_running_answer() -> None:
    """A second request that breaks a limit ends the connection, and the first answer stays what it was."""
    listener = Listener(streams)
    client = listener.connect()
    await client.send(GET)
    before = client.received
    await client.send(b"GET / HTTP/1.1\r\n" + b"X: b\r\n" * 60_000)
    assert client.closed
    assert client.received == before


async def test_a_connection_whose_answer_came_before_its_body_is_ended() -> None:
    """No second answer follows the first."""
    listener = Listener(refuses_at_once)
    client = listener.connect()
    await client.send(POST)
    await listener.loop.advance(BODY + 2)
    assert client.closed
    assert client.statuses == [404]


async def test_the_oldest_unfinished_requests_make_room_for_new_ones() -> None:
    """A flood of half requests pushes itself out: a whole one is never the oldest for long."""
    listener = Listener(echo, max_unfinished=10)
    flood = []
    for number in range(30):
        flood.append(listener.connect())
        await flood[-1].send(POST[:20] if number % 2 else POST)
        await listener.loop.advance(0.1)
    good = listener.connect()
    await good.send(POST + b"abcd")
    assert good.statuses == [200]
    assert [client.closed for client in flood] == [True] * 21 + [False] * 9
    assert {tuple(client.statuses) for client in flood[:21]} == {(408,)}


async def test_complete_requests_are_not_counted() -> None:
    """However many answers are on their way and however many connections are idle."""
    listener = Listener(streams, max_unfinished=10)
    waiting = [listener.connect() for _ in range(10)]
    for client in waiting:
        await client.send(GET)
    waiting += [listener.connect() for _ in range(10)]
    assert not any(client.closed for client in waiting)


@pytest.mark.parametrize(("one", "other", "most"), [
    ("203.0.113.9", "203.0.113.10", MAX_PER_PEER), ("2001:db8::1", "2001:db8:0:1::1", MAX_PER_PEER),
    ("::ffff:203.0.113.9", "::ffff:203.0.113.10", MAX_PER_PEER), ("127.0.0.1", "203.0.113.9", 2 * MAX_PER_PEER),
    ("::1", "203.0.113.9", 2 * MAX_PER_PEER), ("::ffff:127.0.0.1", "203.0.113.9", 2 * MAX_PER_PEER)])  # fmt: skip
async def test_one_peer_may_have_so_many_connections(one: str, other: str, most: int) -> None:
    """Unless it is loopback: behind a proxy on this machine that is every client."""
    listener = Listener(echo, max_unfinished=10_000)
    clients = [listener.connect(one) for _ in range(most)]
    assert not any(client.closed for client in clients)
    another = listener.connect(one)
    assert another.closed is (most == MAX_PER_PEER)
    assert another.statuses == ([503] if most == MAX_PER_PEER else [])
    assert not listener.connect(other).closed


async def test_an_ipv6_peer_is_its_network() -> None:
    """It can choose among 2**64 addresses."""
    listener = Listener(echo, max_unfinished=10_000)
    clients = [listener.connect(f"2001:db8::{number:x}") for number in range(1, MAX_PER_PEER + 2)]
    assert [client.closed for client in clients] == [False] * MAX_PER_PEER + [True]


async def test_a_peer_that_leaves_may_come_again() -> None:
    """Connections that are closed are not counted."""
    listener = Listener(echo)
    for _ in range(3 * MAX_PER_PEER):
        client = listener.connect("203.0.113.9")
        await client.send(GET.replace(b"Host: x", b"Connection: close"))
        assert client.statuses == [200]


@pytest.mark.parametrize("sent", [b"\x16\x03\x01\x02", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"GET / HTTP/9\r\n\r\n",
                                  POST.replace(b"4", b"four"), CHUNKED + b"zz\r\n",
                                  b"CONNECT x:443 HTTP/1.1\r\n\r\n"])  # fmt: skip
async def test_what_is_no_http_is_refused_without_a_line_in_the_log(
    sent: bytes, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A stranger could fill it; relay.web.protocol, which warns of it, is silenced where logs are set up."""
    client = Listener(echo).connect()
    await client.send(sent)
    assert client.closed
    assert client.statuses == [400]
    assert {record.name for record in caplog.records} <= {"relay.web.protocol"}


def test_a_real_server_has_these_limits(
    tmp_path: Path, free_port: Callable[[], int], wait_for_health: Callable[..., None]
) -> None:
    """Headers over the limit, and what is no HTTP: both are answered, nothing is logged, and the server goes on."""
    port = free_port()
    with real_server(tmp_path, port) as process:
        wait_for_health(port)
        for sent, status in (
            (TOO_LARGE["many short fields"], 431),
            (TOO_LARGE["a long path"], 431),
            (b"\x16\x03", 400),
        ):
            with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
                connection.sendall(sent)
                answer = http.client.HTTPResponse(connection)
                answer.begin()
                assert answer.status == status
                assert set(json.loads(answer.read())) == {"error", "hint"}
        wait_for_health(port)
        process.terminate()
        assert process.stderr
        assert "WARNING" not in process.stderr.read()
