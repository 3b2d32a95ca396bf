"""An HTTP server on loopback that answers as scripted and records its requests: a provider, or a model."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import TypeVar
from urllib.parse import parse_qs, urlsplit

PATIENCE = 60.0
"""Seconds a test waits for an event that normally comes at once, on a loaded machine."""

CUT = "cut"
"""Read the request, then close the connection without a response."""

HANG = "hang"
"""Read the request, then never answer."""

GARBAGE = "garbage"
"""Read the request, then answer with bytes that are no HTTP."""


@dataclass(frozen=True)
class Reply:
    status: int = 201
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    after: asyncio.Event | None = None


Step = Reply | str | asyncio.Event
"""How to answer one request: a reply, one of CUT, HANG and GARBAGE, or an event to wait for first."""


@dataclass(frozen=True)
class Request:
    """One request as it was received; `connection` counts the connections of the server from 1."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes
    connection: int

    @property
    def path(self) -> str:
        return urlsplit(self.target).path

    @cached_property
    def query(self) -> dict[str, list[str]]:
        return parse_qs(urlsplit(self.target).query)

    @cached_property
    def form(self) -> dict[str, list[str]]:
        return parse_qs(self.body.decode())


class ScriptedServer:
    """`script` holds how to answer the next requests; all others are answered with `otherwise`.

    An event in the script is waited for, and then the connection is cut.
    """

    def __init__(self, otherwise: Reply) -> None:
        self.script: deque[Step] = deque()
        self.otherwise = otherwise
        self.requests: list[Request] = []
        self.base_url = ""
        self.changed = asyncio.Condition()
        self._connections: set[asyncio.Task[None]] = set()
        self._accepted = 0

    async def wait_for_requests(self, count: int) -> list[Request]:
        """Wait until there were so many requests in all."""
        async with asyncio.timeout(PATIENCE), self.changed:
            await self.changed.wait_for(lambda: len(self.requests) >= count)
        return self.requests

    async def answer(self, request: Request) -> Reply | str:  # noqa: ARG002 (for subclasses)
        """The reply to one request, or what happens instead of it."""
        step = self.script.popleft() if self.script else self.otherwise
        if isinstance(step, asyncio.Event):
            await step.wait()
            return CUT
        if isinstance(step, Reply) and step.after is not None:
            await step.after.wait()
        return step

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        self._accepted += 1
        number = self._accepted
        try:
            while await self._exchange(reader, writer, number):
                pass
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass  # the connection ends here, whichever side ends it
        finally:
            self._connections.discard(task)
            writer.close()

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        first, *lines = head.rstrip().split("\r\n")
        method, target, _ = first.split(" ")
        headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        request = Request(method, target, headers, body, number)
        async with self.changed:
            self.requests.append(request)
            self.changed.notify_all()
        reply = await self.answer(request)
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
        for task in list(self._connections):
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)


Scripted = TypeVar("Scripted", bound=ScriptedServer)


@asynccontextmanager
async def listening(scripted: Scripted) -> AsyncIterator[Scripted]:
    """Let it listen on a free port of loopback until the context ends."""
    server = await asyncio.start_server(scripted.serve, "127.0.0.1", 0)
    scripted.base_url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield scripted
    finally:
        server.close()
        await scripted.stop()
        await server.wait_closed()
