"""Delivers one answer over HTTP: as a stream with keep-alives or as one document; cancelled on disconnect."""

from __future__ import annotations

import asyncio
import math
import time
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import orjson
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from relay.core.errors import ModelError, ModelFailure
from relay.llm.chat import Chunk, RequestTiming
from relay.llm.gateway.api_format import AnswerSummary, ApiFormat, status_of
from relay.llm.providers.reasoning import without_thoughts

OnChunk = Callable[[Chunk], Awaitable[None]]
Ask = Callable[[OnChunk, RequestTiming], Awaitable[AnswerSummary]]
"""Answers one request: passes each chunk to the callback, returns the summary, raises ModelError."""


class ClientDisconnected(Exception):
    """The client closed the connection before the answer was complete."""


class AnswerResponse(Response):
    """The ASGI response to one chat request; errors are written in the API format.

    An unexpected error is re-raised for the server's log, after a started stream was ended with an error chunk.
    """

    def __init__(self, ask: Ask, api_format: ApiFormat, *, stream: bool, keepalive_seconds: float) -> None:
        self._ask = ask
        self._format = api_format
        self._stream = stream
        self._keepalive_seconds = keepalive_seconds
        self.background = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 (ASGI's signature)
        timing = RequestTiming(time.perf_counter())
        delivery = _StreamDelivery(send, self._format) if self._stream else _DocumentDelivery(send, self._format)
        try:
            async with _until_disconnect(receive):
                with _KeepAlive(delivery, timing, self._keepalive_seconds):
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
    """Cancel the block and raise ClientDisconnected as soon as the client closes the connection."""
    task = asyncio.current_task()
    assert task is not None  # noqa: S101 (a coroutine always runs in a task)
    disconnected = False

    async def watch() -> None:
        nonlocal disconnected
        while (await receive())["type"] != "http.disconnect":
            pass
        disconnected = True
        task.cancel()

    watcher = asyncio.create_task(watch())
    try:
        yield
    except asyncio.CancelledError:
        if not disconnected:
            raise
        task.uncancel()
        raise ClientDisconnected from None
    finally:
        watcher.cancel()


class _KeepAlive:
    """Calls the delivery's keep_alive every `seconds` within the block."""

    def __init__(self, delivery: _Delivery, timing: RequestTiming, seconds: float) -> None:
        self._delivery = delivery
        self._timing = timing
        self._seconds = seconds
        self._running: asyncio.Task[None] | None = None

    def __enter__(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(self._seconds, self._tick)

    def _tick(self) -> None:
        if self._running is None or self._running.done():
            self._running = asyncio.create_task(self._delivery.keep_alive(self._timing))
        self._timer = asyncio.get_running_loop().call_later(self._seconds, self._tick)

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()
        if self._running is not None:
            self._running.cancel()


class _Delivery(ABC):
    """Where the chunks of one answer go. `began` is true once the status line was sent."""

    def __init__(self, send: Send, api_format: ApiFormat) -> None:
        self._send = send
        self._format = api_format
        self.began = False

    @abstractmethod
    async def on_chunk(self, chunk: Chunk) -> None: ...

    @abstractmethod
    async def end(self, summary: AnswerSummary) -> None: ...

    @abstractmethod
    async def keep_alive(self, timing: RequestTiming) -> None: ...

    async def fail(self, error: ModelError) -> None:
        await _send_json(self._send, status_of(error), self._format.refusal(error), _retry_after(error))


class _StreamDelivery(_Delivery):
    """Sends each chunk at once and keeps nothing."""

    def __init__(self, send: Send, api_format: ApiFormat) -> None:
        super().__init__(send, api_format)
        self._lock = asyncio.Lock()  # a keep-alive and a chunk must not both start the response
        self._quiet = True

    async def on_chunk(self, chunk: Chunk) -> None:
        self._quiet = False
        await self._write(self._format.chunk(chunk))

    async def keep_alive(self, timing: RequestTiming) -> None:
        if self._quiet and not self._lock.locked():
            await self._write(self._format.keepalive(timing))
        self._quiet = True

    async def end(self, summary: AnswerSummary) -> None:
        await self._write(self._format.end(summary), more=False)

    async def fail(self, error: ModelError) -> None:
        if self.began:
            await self._write(self._format.error_chunk(error), more=False)
        else:
            await super().fail(error)

    async def _write(self, data: bytes, *, more: bool = True) -> None:
        async with self._lock:
            if not self.began:
                self.began = True
                headers = [(b"content-type", self._format.media_type.encode()), (b"cache-control", b"no-store")]
                await self._send({"type": "http.response.start", "status": 200, "headers": headers})
            await self._send({"type": "http.response.body", "body": data, "more_body": more})


class _DocumentDelivery(_Delivery):
    """Collects the chunks into one JSON document."""

    def __init__(self, send: Send, api_format: ApiFormat) -> None:
        super().__init__(send, api_format)
        self._chunks: list[Chunk] = []

    async def on_chunk(self, chunk: Chunk) -> None:
        self._chunks.append(chunk)

    async def keep_alive(self, timing: RequestTiming) -> None:
        """Does nothing: no byte may precede the status line."""

    async def end(self, summary: AnswerSummary) -> None:
        # Reasoning without an opening tag is recognised only by its closing tag, which may come in a later chunk.
        text = without_thoughts("".join(chunk.text for chunk in self._chunks))
        calls = tuple(call for chunk in self._chunks for call in chunk.tool_calls)
        whole = Chunk(text, "".join(chunk.thinking for chunk in self._chunks), calls)
        await _send_json(self._send, 200, self._format.full_response(whole, summary), [])


def _retry_after(error: ModelError) -> list[tuple[bytes, bytes]]:
    return [] if error.retry_after is None else [(b"retry-after", b"%d" % math.ceil(error.retry_after))]


async def _send_json(send: Send, status: int, body: dict[str, Any], headers: list[tuple[bytes, bytes]]) -> None:
    content = orjson.dumps(body, option=orjson.OPT_UTC_Z)
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(content)), *headers]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": content})
