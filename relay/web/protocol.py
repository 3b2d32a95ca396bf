"""HTTP/1.1 of every server: uvicorn's protocol, with limits for requests that are not complete yet.

uvicorn bounds neither the size of headers (`h11_max_incomplete_event_size` is of its slower protocol) nor the time in
which a request has to arrive, nor what a client sends or leaves unread while its first answer is made;
`limit_concurrency` counts idle connections too. A complete request is not limited here, however long its answer takes,
nor is an idle connection: uvicorn closes it after `timeout_keep_alive`.
"""

from __future__ import annotations

import asyncio
import ipaddress
import json
import logging
import re
from collections import Counter
from enum import Enum
from functools import lru_cache
from typing import Any

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from relay.config.hosts import is_loopback
from relay.web.request_parser import RequestParser

MAX_HEAD_BYTES = 65_536
"""Request line, headers and trailers of one request, with FIELD_BYTES more for each field."""
FIELD_BYTES = 32
"""What a field costs beside its text, as HTTP/2 counts it: else 64 kB of tiny fields would take 2 MB."""
MAX_UNFINISHED = 4096
"""Unfinished requests of one server: more than its backlog, so that connections made at once are all read first."""
MAX_PER_PEER = 512
"""Connections from one address that is not loopback; an IPv6 peer is its network (/64), from which it can choose."""
MAX_PIPELINED = 16
"""Requests that wait for the answer to an earlier one of their connection; one read may hold thousands."""
UNREAD_SECONDS = 60.0
"""How long a client may leave unread what its connection and 64 kB of ours cannot hold."""
_SWEEP_SECONDS = 1.0


class Stage(Enum):
    """What of a request is missing, and how many seconds it may take to arrive."""

    HEAD = 20.0
    BODY = 30.0


class UnfinishedRequests:
    """The connections of one server whose next request is not complete, by stage, oldest first.

    Closes those that exceed their time, and the oldest ones while there are more than `max_unfinished`.
    """

    def __init__(self, max_unfinished: int = MAX_UNFINISHED) -> None:
        self._max = max_unfinished
        self._since: dict[Stage, dict[LimitedProtocol, float]] = {stage: {} for stage in Stage}
        self._sweeping = False
        self._peers: Counter[str] = Counter()

    def admit(self, peer: str | None) -> bool:
        """Count a connection; whether its peer may have one more. None stands for loopback, which may have any."""
        if peer is None:
            return True
        self._peers[peer] += 1
        return self._peers[peer] <= MAX_PER_PEER

    def leave(self, peer: str | None) -> None:
        """Forget a connection that `admit` counted."""
        if peer is not None:
            self._peers[peer] -= 1
            if not self._peers[peer]:
                del self._peers[peer]

    def move(self, connection: LimitedProtocol, old: Stage | None, new: Stage | None) -> None:
        """Note that a request has reached another stage; None: it is complete, or its connection is closed."""
        if old is not None:
            self._since[old].pop(connection, None)
        if new is not None:
            self._since[new][connection] = connection.loop.time()
            while sum(map(len, self._since.values())) > self._max:
                self._oldest().time_out()
            if not self._sweeping:
                self._sweeping = True
                connection.loop.call_later(_SWEEP_SECONDS, self._sweep, connection.loop)

    def _oldest(self) -> LimitedProtocol:
        firsts = [next(iter(since.items())) for since in self._since.values() if since]
        return min(firsts, key=lambda first: first[1])[0]

    def _sweep(self, loop: asyncio.AbstractEventLoop) -> None:
        now = loop.time()
        for stage, since in self._since.items():
            for connection in [one for one, begun in since.items() if begun + stage.value <= now]:
                connection.time_out()
        self._sweeping = any(self._since.values())
        if self._sweeping:
            loop.call_later(_SWEEP_SECONDS, self._sweep, loop)


class LimitedProtocol(HttpToolsProtocol):
    """One connection. The requests that exceed a limit get 408, 431 or 503, and the connection is closed."""

    def __init__(self, *args: Any, unfinished: UnfinishedRequests, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.parser = RequestParser(self)
        self.logger = logging.getLogger("relay.web.protocol")  # silent: what strangers send is not worth a line
        self._unfinished = unfinished
        self._stage: Stage | None = None
        self._noted: Stage | None = None
        self._buffered = 0  # bytes of head or trailers in earlier calls of data_received
        self._chunk = 0
        self._delivered = 0  # bytes of bodies in this call
        self._peer: str | None = None
        self._unread: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # (as uvicorn's)
        super().connection_made(transport)
        self._peer = _peer_of(self.client[0]) if self.client else None
        if not self._unfinished.admit(self._peer):
            self._refuse(503, "too many connections from this address", "close some of them")
        else:
            self._note(Stage.HEAD)

    def connection_lost(self, exc: Exception | None) -> None:
        self._note(None)
        self._is_read()
        self._unfinished.leave(self._peer)
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        super().pause_writing()
        self._unread = self.loop.call_later(UNREAD_SECONDS, self.transport.abort)

    def resume_writing(self) -> None:
        super().resume_writing()
        self._is_read()

    def _is_read(self) -> None:
        if self._unread is not None:
            self._unread.cancel()

    def data_received(self, data: bytes) -> None:
        self._chunk, self._delivered = len(data), 0
        super().data_received(data)
        if self.transport.is_closing():
            return
        if self._stage is Stage.HEAD or (self._stage is Stage.BODY and not self._delivered):
            self._buffered += self._chunk - self._delivered
            if self._buffered + FIELD_BYTES * len(self.headers) > MAX_HEAD_BYTES:
                self._refuse_head()
                return
        # Bytes that begin no request have ended uvicorn's timer of an idle connection.
        idle = self.cycle is None or self.cycle.response_complete
        self._note(Stage.HEAD if self._stage is None and idle and self.timeout_keep_alive_task is None else self._stage)

    def _note(self, stage: Stage | None) -> None:
        if stage is not self._noted:
            self._unfinished.move(self, self._noted, stage)
            self._noted = stage

    # -- the parser's callbacks ----------------------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        self._stage = Stage.HEAD
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        if self._buffered + self._chunk + FIELD_BYTES * len(self.headers) > MAX_HEAD_BYTES:  # part of it may be a body
            size = len(self.url) + sum(len(name) + len(value) + FIELD_BYTES for name, value in self.headers)
            if size > MAX_HEAD_BYTES:
                self._buffered = size
                raise ValueError("head too large")  # stops the parser; then uvicorn calls send_400_response
        if len(self.pipeline) >= MAX_PIPELINED:
            raise ValueError("too many requests without waiting for an answer")
        if self.parser.get_method() == b"CONNECT":
            raise ValueError("this is no proxy")
        if self.parser.should_upgrade():
            return  # the parser begins again with the head that follows
        self._note_authority()
        super().on_headers_complete()
        self._stage = Stage.BODY

    def head_without_upgrade(self) -> bytes:
        """The head that was parsed last, without what asks for another protocol."""
        version = self.parser.get_http_version().encode()
        fields = b"".join(b"%s: %s\r\n" % field for field in self.headers if field[0] != b"upgrade")
        return b"%s %s HTTP/%s\r\n%s\r\n" % (self.parser.get_method(), self.url, version, fields)

    def _note_authority(self) -> None:
        """Add the host of a target such as http://host/path (RFC 9112, 3.2.2), if Host has not the same."""
        _, scheme, rest = self.url.partition(b"://")
        if scheme and not self.url.startswith(b"/"):
            authority = (b"host", re.split(rb"[/?#]", rest, maxsplit=1)[0])
            if authority not in self.headers:
                self.headers.append(authority)

    def on_body(self, body: bytes) -> None:
        self._delivered += len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        if self.parser.should_upgrade():
            return
        self._stage = None
        self._buffered = 0
        super().on_message_complete()

    # -- refusals ------------------------------------------------------------------------------------------------------

    def time_out(self) -> None:
        """Close the connection, with 408 when a request has begun."""
        if self._stage is None:
            self._note(None)
            self.transport.close()
        else:
            hint = f"send the headers within {Stage.HEAD.value:g} s and the body within {Stage.BODY.value:g} s"
            self._refuse(408, "the request did not arrive in time", hint)

    def send_400_response(self, msg: str) -> None:
        """Refuse what the parser stopped at."""
        if self._buffered > MAX_HEAD_BYTES:
            self._refuse_head()
        else:
            self._refuse(400, msg.rstrip(".").lower(), "speak HTTP/1.1")

    def _refuse_head(self) -> None:
        self._refuse(431, f"the headers are larger than {MAX_HEAD_BYTES} bytes", "send fewer and shorter ones")

    def _refuse(self, status: int, error: str, hint: str) -> None:
        """Close the connection; the error response is left out inside the answer of an earlier request."""
        self._note(None)
        own = self._stage is Stage.BODY and not self.pipeline and not self.cycle.response_started
        if own or (self._stage is not Stage.BODY and (self.cycle is None or self.cycle.response_complete)):
            body = json.dumps({"error": error, "hint": hint}).encode()
            head = b"content-type: application/json\r\ncontent-length: %d\r\nconnection: close\r\n\r\n" % len(body)
            self.transport.write(STATUS_LINE[status] + head + body)
        if own:
            self.cycle.disconnected = True
        self.transport.close()


@lru_cache(maxsize=256)
def _peer_of(host: str) -> str | None:
    """The peer that the connections of an address are counted for; None for loopback."""
    if is_loopback(host):
        return None
    address = ipaddress.ip_address(host)
    if isinstance(address, ipaddress.IPv6Address):
        return str(address.ipv4_mapped or ipaddress.ip_network((int(address), 64), strict=False))
    return host
