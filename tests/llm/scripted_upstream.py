"""A model server on a real socket: does what the test scripted, keeps what it was asked, notices who hangs up."""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import asynccontextmanager, closing, suppress
from dataclasses import dataclass, field
from typing import Any

COMPLETIONS = "/chat/completions"
SSE = "text/event-stream"
NDJSON = "application/x-ndjson"


@dataclass
class Call:
    """One request, and the means to answer it."""

    method: str
    path: str
    headers: dict[str, str]
    content: bytes
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    gone: asyncio.Event = field(default_factory=asyncio.Event)
    began: bool = False

    @property
    def body(self) -> Any:
        return json.loads(self.content)

    async def begin(self, content_type: str, status: int = 200, headers: Mapping[str, str] | None = None) -> None:
        """Open a chunked answer, unless it is open already."""
        if self.began:
            return
        self.began = True
        lines = [f"HTTP/1.1 {status} Scripted", f"Content-Type: {content_type}", "Transfer-Encoding: chunked"]
        lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
        self.writer.write("\r\n".join([*lines, "", ""]).encode())
        await self.writer.drain()

    async def send(self, data: bytes | str) -> None:
        """One chunk of the answer."""
        content = data.encode() if isinstance(data, str) else data
        self.writer.write(b"%x\r\n%b\r\n" % (len(content), content))
        await self.writer.drain()

    async def end(self) -> None:
        self.writer.write(b"0\r\n\r\n")
        await self.writer.drain()

    def cut(self) -> None:
        """Break the connection off."""
        self.writer.transport.abort()

    async def hang(self) -> None:
        """Say no more until the caller hangs up."""
        await self.gone.wait()


Script = Callable[[Call], Awaitable[None]]


def responds(status: int, body: Any, content_type: str = "application/json", **headers: str) -> Script:
    """Answers with one document; keyword names become headers (retry_after: Retry-After)."""
    content = body if isinstance(body, (str, bytes)) else json.dumps(body)

    async def script(call: Call) -> None:
        await call.begin(content_type, status, {name.replace("_", "-"): value for name, value in headers.items()})
        await call.send(content)
        await call.end()

    return script


def streams(*chunks: bytes | str, content_type: str = SSE) -> Script:
    """Sends these chunks and ends properly."""

    async def script(call: Call) -> None:
        await call.begin(content_type)
        for chunk in chunks:
            await call.send(chunk)
        await call.end()

    return script


async def hangs(call: Call) -> None:
    """Takes the request and never answers."""
    await call.hang()


def streams_then_hangs(*chunks: bytes | str, content_type: str = SSE) -> Script:
    async def script(call: Call) -> None:
        await call.begin(content_type)
        for chunk in chunks:
            await call.send(chunk)
        await call.hang()

    return script


def streams_then_cuts(*chunks: bytes | str, content_type: str = SSE) -> Script:
    async def script(call: Call) -> None:
        await call.begin(content_type)
        for chunk in chunks:
            await call.send(chunk)
        call.cut()

    return script


def delta(text: str | None = None, *, finish: str | None = None, **more: Any) -> str:
    """One SSE event of a completion."""
    content = {} if text is None else {"content": text}
    chunk = {"id": "gen-1", "model": "scripted", "choices": [{"index": 0, "delta": content, "finish_reason": finish}]}
    return f"data: {json.dumps({**chunk, **more})}\n\n"


DONE = "data: [DONE]\n\n"
USAGE = {"prompt_tokens": 12, "completion_tokens": 3, "total_tokens": 15}


def completion(*chunks: str, usage: Mapping[str, Any] = USAGE) -> Script:
    """A whole answer in OpenAI's protocol."""
    return streams(*[delta(chunk) for chunk in chunks], delta(finish="stop", usage=usage), DONE)


def line(content: str = "", **more: Any) -> str:
    """One line of Ollama's stream."""
    chunk = {"model": "scripted", "created_at": "2026-11-21T00:00:00Z", "done": False}
    return json.dumps({**chunk, "message": {"role": "assistant", "content": content}, **more}) + "\n"


def last_line(**more: Any) -> str:
    counts = {"prompt_eval_count": 12, "eval_count": 3, "total_duration": 9, "load_duration": 1}
    return line(done=True, done_reason="stop", **{**counts, **more})


def chat(*chunks: str, **more: Any) -> Script:
    """A whole answer in Ollama's protocol."""
    return streams(*[line(chunk) for chunk in chunks], last_line(**more), content_type=NDJSON)


class Upstream:
    """Answers each path with its scripts in turn, the last of them again and again. `release` lets held ones go on."""

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self.port = 0
        self._scripts: dict[str, deque[Script]] = {}
        self._running: set[asyncio.Task[None]] = set()
        self._arrived: asyncio.Queue[Call] = asyncio.Queue()
        self.release = asyncio.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def on(self, path: str, *scripts: Script) -> None:
        self._scripts[path] = deque(scripts)

    def asked(self, path: str) -> list[Any]:
        """The bodies that came to a path."""
        return [call.body for call in self.calls if call.path == path]

    def held_after(self, first: str, then: Script) -> Script:
        """Sends `first`, and goes on once it was released: the two never arrive together."""

        async def script(call: Call) -> None:
            await call.begin(SSE)
            await call.send(first)
            await self.release.wait()
            call.began = True
            await then(call)

        return script

    async def arrival(self, path: str) -> Call:
        """The next request to a path that was not returned before."""
        while True:
            call = await self._arrived.get()
            if call.path == path:
                return call

    def begin(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.get_running_loop().create_task(self._connection(reader, writer))
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def close(self) -> None:
        for task in list(self._running):
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, asyncio.IncompleteReadError), closing(writer):
            ahead = b""
            while True:
                call = await _read(ahead, reader, writer)
                ahead = await self._answer(call)

    async def _answer(self, call: Call) -> bytes:
        """Runs the script while watching the connection; returns what of the next request was read on the way."""
        self.calls.append(call)
        self._arrived.put_nowait(call)
        scripts = self._scripts.get(call.path)
        if not scripts:
            script = responds(404, {"error": {"message": f"nothing is scripted for {call.path}"}})
        else:
            script = scripts.popleft() if len(scripts) > 1 else scripts[0]
        work = asyncio.ensure_future(script(call))
        watch = asyncio.ensure_future(call.reader.read(1))
        try:
            await asyncio.wait({work, watch}, return_when=asyncio.FIRST_COMPLETED)
            if watch.done() and not work.done():
                call.gone.set()
            await work
        except ConnectionError:
            call.gone.set()
            raise
        finally:
            watch.cancel()
            work.cancel()
            found = await asyncio.gather(watch, work, return_exceptions=True)
        return found[0] if isinstance(found[0], bytes) else b""


async def _read(ahead: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> Call:
    head = (ahead + await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    method, path, _ = head[0].split(" ", 2)
    headers = {name.lower(): value.strip() for name, _, value in (row.partition(":") for row in head[1:] if row)}
    content = await reader.readexactly(int(headers.get("content-length", "0")))
    return Call(method, path, headers, content, reader, writer)


@asynccontextmanager
async def scripted_upstream(paths: Iterable[tuple[str, Script]] = ()) -> AsyncIterator[Upstream]:
    """An upstream on a free port of loopback."""
    upstream = Upstream()
    for path, script in paths:
        upstream.on(path, script)
    server = await asyncio.start_server(upstream.begin, "127.0.0.1", 0)
    upstream.port = server.sockets[0].getsockname()[1]
    try:
        yield upstream
    finally:
        server.close()
        await upstream.close()
        await server.wait_closed()
