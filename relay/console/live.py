"""The live part of a page as server-sent events: sent when it has changed, looked at every few seconds.

A stream ends by itself after a while; the browser opens the next one, whose login is checked anew.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping

from fastapi import Request
from fastapi.responses import StreamingResponse

from relay.core.errors import StorageError
from relay.web.errors import ApiError

MEDIA_TYPE = "text/event-stream"
STREAM_SECONDS = 60.0
RETRY_MILLISECONDS = 1000


class LiveStreams:
    """The event streams of one console; all of them end when it stops."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._stopping = asyncio.Event()

    def stop(self) -> None:
        """End all streams; requests for new ones end at once."""
        self._stopping.set()

    async def open(
        self, read: Callable[[], Awaitable[str]], every: float, headers: Mapping[str, str]
    ) -> StreamingResponse:
        """A stream of what `read` returns, looked up every so many seconds. Raises what its first call raises."""
        events = self._events(await read(), read, every)
        return StreamingResponse(events, media_type=MEDIA_TYPE, headers={**headers, "X-Accel-Buffering": "no"})

    async def _events(self, content: str, read: Callable[[], Awaitable[str]], every: float) -> AsyncIterator[bytes]:
        yield f"retry: {RETRY_MILLISECONDS}\n\n".encode() + event(content)
        end = self._clock() + STREAM_SECONDS
        while not await self._stops_within(every) and self._clock() < end:
            sent = content
            try:
                content = await read()
            except (StorageError, ApiError):
                return  # the next request gets the reason
            # A comment shows the browser, and what is between, that the stream lives.
            yield event(content) if content != sent else b":\n\n"

    async def _stops_within(self, seconds: float) -> bool:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._stopping.wait()
        return self._stopping.is_set()


def wants_stream(request: Request) -> bool:
    return request.headers.get("accept", "") == MEDIA_TYPE


def event(content: str) -> bytes:
    """One event, each line of its data marked; whatever ends a line there arrives as a line feed."""
    lines = content.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    return ("".join(f"data: {line}\n" for line in lines) + "\n").encode()
