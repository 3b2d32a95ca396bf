"""ASGI middleware of every server, one duty each: count requests, limit bodies, answer unexpected errors."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
import time

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from relay.config.logs import REFUSALS
from relay.core.metrics import Metrics
from relay.web.errors import MAX_SHOWN_PATH, BodyLimit, PageWords, ensure_request_id, error_response, too_large

log = logging.getLogger("relay.web.app")
refusals = logging.getLogger(REFUSALS)

CLIENT_LEFT = 499
"""The status that the metrics count, as nginx does, when a client left before it was answered."""

_DRAIN_SECONDS = 5.0
_DRAIN_BYTES = 64_000_000


class RequestMetrics:
    """Counts requests by route and status, and measures their duration by route."""

    def __init__(self, app: ASGIApp, *, metrics: Metrics) -> None:
        self._app = app
        self._requests = functools.cache(metrics.requests.labels)
        self._request_seconds = functools.cache(metrics.request_seconds.labels)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()
        status = 0

        async def noting_status(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, noting_status)
            status = status or CLIENT_LEFT
        finally:
            status = status or 500
            route = getattr(scope.get("route"), "path", "unmatched")
            self._requests(route, str(status)).inc()
            self._request_seconds(route).observe(time.perf_counter() - started)


class UnexpectedErrors:
    """Answers 500 to an unexpected error, and 503 to a request that the stop of the server cancels."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begun = False

        async def noting_start(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        try:
            await self._app(scope, receive, noting_start)
        except (Exception, asyncio.CancelledError) as error:
            response = _logged(error, Request(scope))
            if begun:
                raise  # the server can only cut the answer off
            await response(scope, receive, send)


def _logged(error: BaseException, request: Request) -> Response:
    """Log the error and build its response."""
    if isinstance(error, asyncio.CancelledError):
        # The caller should try again, as Twilio does after a 503.
        refusals.warning("the server stops, %s %s is cut off", request.method, request.url.path[:MAX_SHOWN_PATH])
        body = {"error": "the server is stopping, the request may be unfinished", "hint": "try again in a moment"}
        return error_response(request, body, 503, {"Retry-After": "5"})
    request_id = ensure_request_id()
    log.error("unexpected error in %s %s", request.method, request.url.path[:MAX_SHOWN_PATH], exc_info=error)
    body = {"error": "something went wrong on our side", "hint": "the log of this server says more"}
    words = PageWords(body["error"], "try again. The log of this server says what it was")
    return error_response(request, body, 500, {"X-Request-Id": request_id}, words)


class BodyLimits:
    """Refuses a body over the limit of its path: announced, before a byte is read; else as soon as it is exceeded.

    A client that leaves before its body is complete ends the request with the status CLIENT_LEFT.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        limit: BodyLimit = scope["app"].state.body_limit_of(scope["path"])
        if _declared_length(scope) > limit.max_bytes:
            await _drain(scope, receive)
            error = f"the body is larger than {limit.max_bytes} bytes"
            await too_large(Request(scope), error, {"Connection": "close"})(scope, receive, send)
            return
        received, complete = 0, not _has_body(scope)

        async def counting_receive() -> Message:
            nonlocal received, complete
            message = await receive()
            if message["type"] == "http.disconnect" and not complete:
                raise HTTPException(CLIENT_LEFT, "the client left")  # at any time it may: no error, no line of the log
            complete = not message.get("more_body")
            received += len(message.get("body", b""))
            if received > limit.max_bytes:
                await _drain(scope, receive)
                # FastAPI passes only HTTPExceptions on unchanged while it reads a body.
                raise HTTPException(413, "the body is larger than this server reads")
            return message

        await self._app(scope, counting_receive, send)


async def _drain(scope: Scope, receive: Receive) -> None:
    """Discard the rest of the body: a client that is cut off while it sends never reads the refusal."""
    if any(name == b"expect" for name, _ in scope["headers"]):
        return  # it sends nothing before "100 Continue"
    drained = 0
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_DRAIN_SECONDS):
            while drained < _DRAIN_BYTES:
                message = await receive()
                drained += len(message.get("body", b""))
                if not message.get("more_body"):
                    return


def _has_body(scope: Scope) -> bool:
    return any(name in {b"content-length", b"transfer-encoding"} for name, _ in scope["headers"])


def _declared_length(scope: Scope) -> int:
    for name, value in scope["headers"]:
        if name == b"content-length" and value.isdigit():
            return int(value)
    return 0
