"""Delivers one answer over HTTP: as a stream with keep-alives or as one document; cancelled on disconnect."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import orjson
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from relay.core.errors import ModelError, ModelFailure
from relay.llm.chat import Chunk, RequestTiming
from relay.llm.gateway.api_format import AnswerSummary, ApiFormat, status_of
from relay.llm.providers.markup import cleaned

OnChunk = Callable[[Chunk], Awaitable[None]]
Ask = Callable[[OnChunk, RequestTiming], Awaitable[AnswerSummary]]
"""Answers one request: passes each chunk to the callback, returns the summary, raises ModelError."""


class ClientDisconnected(Exception):
    """The client closed the connection before the answer was complete."""


class AnswerResponse(Response):
    """The ASGI response to one chat request, with its id in X-Request-Id; errors are written in the API format.

    An unexpected error is re-raised for the server's log, after a started stream was ended with an error chunk.
    """

    def __init__(
        self, ask: Ask, api_format: ApiFormat, *, stream: bool, keepalive_seconds: float, request_id: str
    ) -> None:
        self._ask = ask
        self._format = api_format
        self._stream = stream
        self._request_id = request_id
        self._keepalive_seconds = keepalive_seconds
        self.background = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 (ASGI's signature)
        timing = RequestTiming(time.perf_counter())
        delivery = (_StreamDelivery if self._stream else _Delivery)(send, self._format, self._request_id)
        try:
            async with _until_disconnect(receive):
                with _keep_alive(delivery, timing, self._keepalive_seconds):
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


@contextmanager
def _keep_alive(delivery: _Delivery, timing: RequestTiming, seconds: float) -> Iterator[None]:
    """Call the delivery's keep_alive every `seconds` within the block."""
    loop = asyncio.get_running_loop()
    running: asyncio.Task[None] | None = None
    timer: asyncio.TimerHandle

    def tick() -> None:
        nonlocal timer, running
        if running is None or running.done():
            running = asyncio.create_task(delivery.keep_alive(timing))
        timer = loop.call_later(seconds, tick)

    timer = loop.call_later(seconds, tick)
    try:
        yield
    finally:
        timer.cancel()
        if running is not None:
            running.cancel()


class _Delivery:
    """Collects the chunks of one answer into one JSON document. `began`: the status line of a stream was sent."""

    def __init__(self, send: Send, api_format: ApiFormat, request_id: str) -> None:
        self._send = send
        self._format = api_format
        self._named = (b"x-request-id", request_id.encode())
        self._chunks: list[Chunk] = []
        self.began = False

    async def on_chunk(self, chunk: Chunk) -> None:
        self._chunks.append(chunk)

    async def keep_alive(self, timing: RequestTiming) -> None:
        """Nothing here: no byte may precede the status line."""

    async def end(self, summary: AnswerSummary) -> None:
        # Reasoning without an opening tag is recognised only by its closing tag, which may come in a later chunk.
        text = cleaned("".join(chunk.text for chunk in self._chunks))
        calls = tuple(call for chunk in self._chunks for call in chunk.tool_calls)
        whole = Chunk(text, "".join(chunk.thinking for chunk in self._chunks), calls)
        await self._document(200, self._format.full_response(whole, summary))

    async def fail(self, error: ModelError) -> None:
        wait = () if error.retry_after is None else ((b"retry-after", b"%d" % math.ceil(error.retry_after)),)
        await self._document(status_of(error), self._format.refusal(error), *wait)

    async def _document(self, status: int, body: dict[str, Any], *headers: tuple[bytes, bytes]) -> None:
        content = orjson.dumps(body, option=orjson.OPT_UTC_Z)
        length = (b"content-length", b"%d" % len(content))
        start = {"status": status, "headers": [(b"content-type", b"application/json"), length, self._named, *headers]}
        await self._send({"type": "http.response.start", **start})
        await self._send({"type": "http.response.body", "body": content})


class _StreamDelivery(_Delivery):
    """Sends each chunk at once and keeps nothing."""

    def __init__(self, send: Send, api_format: ApiFormat, request_id: str) -> None:
        super().__init__(send, api_format, request_id)
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
                kind = (b"content-type", self._format.media_type.encode())
                headers = [kind, (b"cache-control", b"no-store"), self._named]
                await self._send({"type": "http.response.start", "status": 200, "headers": headers})
            await self._send({"type": "http.response.body", "body": data, "more_body": more})
