"""A stand-in for what lies outside the house, on a real socket: it does what was scripted, and keeps what it was asked.

Without a script it is Twilio's REST API; with another `otherwise` it may be anything that speaks HTTP, such as a model.
"""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

PATIENCE = 60.0
"""How long a test waits for what should come at once, on a machine that has other things to do."""

CUT = "cut"
"""Read the request, then close the connection without a word."""
HANG = "hang"
"""Read the request, then never answer."""

GARBAGE = "garbage"
"""Read the request, then answer with something that is no HTTP."""


@dataclass(frozen=True)
class Reply:
    status: int = 201
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Asked:
    method: str
    path: str
    query: dict[str, list[str]]
    form: dict[str, list[str]]
    headers: dict[str, str]
    body: bytes


def message(**changes: Any) -> dict[str, Any]:
    """A message resource as Twilio's documentation shows it."""
    return {
        "sid": "SM" + "a" * 32,
        "status": "queued",
        "num_segments": "1",
        "direction": "outbound-api",
        "body": "Hello",
        "date_created": "Sat, 21 Nov 2026 03:00:00 +0000",
        "error_code": None,
        **changes,
    }


def created(**changes: Any) -> Reply:
    return Reply(201, json.dumps(message(**changes)).encode())


def refused(status: int, code: int, **headers: str) -> Reply:
    body = {"code": code, "message": "what Twilio says", "more_info": "https://...", "status": status}
    return Reply(status, json.dumps(body).encode(), headers)


def listed(*messages: dict[str, Any]) -> Reply:
    page = {"messages": list(messages), "next_page_uri": None, "page": 0, "page_size": 50}
    return Reply(200, json.dumps(page).encode())


class ScriptedTwilio:
    """`script` holds what to do next; when it is empty every request is answered with `otherwise`.

    An event in the script is waited for, and then the connection is cut.
    """

    def __init__(self, otherwise: Reply) -> None:
        self.script: deque[Reply | str | asyncio.Event] = deque()
        self.otherwise = otherwise
        self.asked: list[Asked] = []
        self.base_url = ""
        self._news = asyncio.Condition()
        self._open: set[asyncio.Task[None]] = set()

    async def until_asked(self, count: int) -> list[Asked]:
        """Wait until there were so many requests in all."""
        async with asyncio.timeout(PATIENCE), self._news:
            await self._news.wait_for(lambda: len(self.asked) >= count)
        return self.asked

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._open.add(task)
        try:
            while await self._exchange(reader, writer):
                pass
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self._open.discard(task)
            writer.close()

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        first, *lines = head.rstrip().split("\r\n")
        method, target, _ = first.split(" ")
        headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        url = urlsplit(target)
        async with self._news:
            self.asked.append(Asked(method, url.path, parse_qs(url.query), parse_qs(body.decode()), headers, body))
            self._news.notify_all()
        reply = self.script.popleft() if self.script else self.otherwise
        if isinstance(reply, asyncio.Event):
            await reply.wait()
        if reply == HANG:
            await asyncio.Event().wait()
        if reply == GARBAGE:
            writer.write(b"what is this?\r\n\r\n")
            await writer.drain()
        if not isinstance(reply, Reply):
            return False
        extra = "".join(f"{name}: {value}\r\n" for name, value in reply.headers.items())
        writer.write(f"HTTP/1.1 {reply.status} x\r\n{extra}Content-Length: {len(reply.body)}\r\n\r\n".encode())
        writer.write(reply.body)
        await writer.drain()
        return True

    async def stop(self) -> None:
        for task in list(self._open):
            task.cancel()
        await asyncio.gather(*self._open, return_exceptions=True)


@asynccontextmanager
async def scripted_twilio(otherwise: Reply | None = None) -> AsyncIterator[ScriptedTwilio]:
    """Listens on a free port of loopback as long as the context lasts."""
    twilio = ScriptedTwilio(otherwise or created())
    server = await asyncio.start_server(twilio.serve, "127.0.0.1", 0)
    twilio.base_url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield twilio
    finally:
        server.close()
        await twilio.stop()
        await server.wait_closed()
