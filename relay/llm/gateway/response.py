"""Delivers one answer over HTTP: streamed or whole, alive while it waits, and stopped when the caller hangs up."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, Protocol

import orjson
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from relay.core.errors import ModelError, ModelFailure
from relay.llm.chat import Chunk, RequestTiming, ToolCall
from relay.llm.gateway.api_format import STATUS, AnswerSummary, ApiFormat
from relay.llm.providers.reasoning import without_thoughts

OnChunk = Callable[[Chunk], Awaitable[None]]
Ask = Callable[[OnChunk, RequestTiming], Awaitable[AnswerSummary]]
"""Asks the question that is to be answered: gives each piece to the listener, returns the end, raises ModelError."""


class ClientDisconnected(Exception):
    """The caller closed the connection before the answer was complete."""


class AnswerResponse(Response):
    """The ASGI answer to one question: every failure becomes what the dialect says it is.

    An unforeseen error is raised, so that the web server logs it, but a stream that began is ended with a word first.
    """

    def __init__(self, ask: Ask, api_format: ApiFormat, *, stream: bool, keepalive_seconds: float) -> None:
        self._ask = ask
        self._format = api_format
        self._stream = stream
        self._keepalive_seconds = keepalive_seconds
        self.background = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 (ASGI's signature)
        timing = RequestTiming(time.perf_counter())
        delivery: _Delivery = _Streamed(send, self._format) if self._stream else _Whole(send, self._format)
        try:
            async with _until_disconnect(receive):
                with _KeptAlive(delivery, timing, self._keepalive_seconds):
                    summary = await self._ask(delivery.on_chunk, timing)
                await delivery.end(summary)
        except ModelError as error:
            await delivery.fail(error)
        except ClientDisconnected:
            return
        except Exception:
            if delivery.began:
                await delivery.fail(ModelError(ModelFailure.UNAVAILABLE, "something went wrong on our side"))
            raise


@asynccontextmanager
async def _until_disconnect(receive: Receive) -> AsyncIterator[None]:
    """Cancels the block at once when the caller hangs up, and raises ClientDisconnected then."""
    task = asyncio.current_task()
    assert task is not None  # noqa: S101 (a coroutine always runs in a task)
    gone = False

    async def watch() -> None:
        nonlocal gone
        while (await receive())["type"] != "http.disconnect":
            pass
        gone = True
        task.cancel()

    watcher = asyncio.create_task(watch())
    try:
        yield
    except asyncio.CancelledError:
        if not gone:
            raise
        task.uncancel()
        raise ClientDisconnected from None
    finally:
        watcher.cancel()


class _KeptAlive:
    """Lets the delivery say something empty whenever it was silent for `seconds`, as long as the block lasts."""

    def __init__(self, delivery: _Delivery, timing: RequestTiming, seconds: float) -> None:
        self._delivery = delivery
        self._timing = timing
        self._seconds = seconds
        self._running: asyncio.Task[None] | None = None

    def __enter__(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(self._seconds, self._tick)

    def _tick(self) -> None:
        if self._running is None or self._running.done():
            self._running = asyncio.create_task(self._delivery.stay_alive(self._timing))
        self._timer = asyncio.get_running_loop().call_later(self._seconds, self._tick)

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()
        if self._running is not None:
            self._running.cancel()


class _Delivery(Protocol):
    began: bool

    async def on_chunk(self, chunk: Chunk) -> None: ...
    async def stay_alive(self, timing: RequestTiming) -> None: ...
    async def end(self, summary: AnswerSummary) -> None: ...
    async def fail(self, error: ModelError) -> None: ...


class _Streamed:
    """Each piece is a part of the stream; nothing of the answer is kept."""

    def __init__(self, send: Send, api_format: ApiFormat) -> None:
        self._send = send
        self._format = api_format
        self._lock = asyncio.Lock()  # a keep-alive and a piece must not both open the response
        self.began = False
        self._quiet = True

    async def on_chunk(self, chunk: Chunk) -> None:
        self._quiet = False
        await self._write(self._format.chunk(chunk))

    async def stay_alive(self, timing: RequestTiming) -> None:
        if self._quiet and not self._lock.locked():
            await self._write(self._format.keepalive(timing))
        self._quiet = True

    async def end(self, summary: AnswerSummary) -> None:
        await self._write(self._format.end(summary), more=False)

    async def fail(self, error: ModelError) -> None:
        if self.began:
            await self._write(self._format.error_chunk(error), more=False)
        else:
            await _send_json(self._send, STATUS[error.kind], self._format.refusal(error), _wait(error))

    async def _write(self, data: bytes, *, more: bool = True) -> None:
        async with self._lock:
            if not self.began:
                self.began = True
                headers = [(b"content-type", self._format.media_type.encode()), (b"cache-control", b"no-store")]
                await self._send({"type": "http.response.start", "status": 200, "headers": headers})
            await self._send({"type": "http.response.body", "body": data, "more_body": more})


class _Whole:
    """The pieces are gathered into one JSON document."""

    began = False

    def __init__(self, send: Send, api_format: ApiFormat) -> None:
        self._send = send
        self._format = api_format
        self._text: list[str] = []
        self._thinking: list[str] = []
        self._calls: tuple[ToolCall, ...] = ()

    async def on_chunk(self, chunk: Chunk) -> None:
        self._text.append(chunk.text)
        self._thinking.append(chunk.thinking)
        self._calls += chunk.tool_calls

    async def stay_alive(self, timing: RequestTiming) -> None:
        """Nothing may be sent before the status is known."""

    async def end(self, summary: AnswerSummary) -> None:
        # Thoughts whose beginning was not marked show only by their end, which may be in another piece.
        text = without_thoughts("".join(self._text))
        chunk = Chunk(text, "".join(self._thinking), self._calls)
        await _send_json(self._send, 200, self._format.full_response(chunk, summary), [])

    async def fail(self, error: ModelError) -> None:
        await _send_json(self._send, STATUS[error.kind], self._format.refusal(error), _wait(error))


def _wait(error: ModelError) -> list[tuple[bytes, bytes]]:
    return [] if error.retry_after is None else [(b"retry-after", b"%d" % math.ceil(error.retry_after))]


async def _send_json(send: Send, status: int, body: dict[str, Any], headers: list[tuple[bytes, bytes]]) -> None:
    content = orjson.dumps(body, option=orjson.OPT_UTC_Z)
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(content)), *headers]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": content})
