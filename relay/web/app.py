"""What every server has: one app with our errors, limits on bodies, health, metrics, and a page of its routes."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from html import escape
from typing import Any

from fastapi import APIRouter, FastAPI
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from relay.config.settings import Settings
from relay.core.metrics import CONTENT_TYPE_LATEST, Metrics
from relay.web.access import ADMIN, PUBLIC
from relay.web.errors import BodyLimit, ErrorForm, add_error_handlers, as_it_is, send_less
from relay.web.token_guard import Door

log = logging.getLogger("relay.web.app")

_DRAIN_SECONDS = 5.0
_DRAIN_BYTES = 64_000_000

Lifespan = Callable[[FastAPI], AbstractAsyncContextManager[None]]
Readiness = Callable[[], Awaitable[dict[str, Any]]]


def build_app(
    title: str,
    settings: Settings,
    lifespan: Lifespan,
    *,
    description: str = "",
    body_limits: Mapping[str, BodyLimit] | None = None,
    error_form: ErrorForm = as_it_is,
) -> FastAPI:
    """An app with our errors, limits and metrics; `app.state` has settings, metrics, and a door if there is a token.

    body_limits: paths whose bodies have another limit than max_body_bytes. error_form: what the body of an error looks
    like on a path whose protocol wants it otherwise.
    """
    app = FastAPI(
        title=title,
        description=description,
        lifespan=lifespan,
        redoc_url=None,
        docs_url=None,
        openapi_url=None,
        redirect_slashes=False,  # whoever posts a webhook loses the form on the way; a 404 says what is wrong
    )
    app.state.settings = settings
    app.state.metrics = Metrics()
    if settings.admin_token is not None:
        app.state.door = Door(settings.admin_token.get_secret_value())
    app.state.error_form = error_form
    usual = BodyLimit(settings.max_body_bytes, "max_body_bytes")
    others = body_limits or {}

    def limit_of(path: str) -> BodyLimit:
        return others.get(path, usual)

    app.state.body_limit_of = limit_of
    add_error_handlers(app)
    app.add_middleware(
        Limits,
        metrics=app.state.metrics,
        body_limit_of=limit_of,
        error_form=error_form,
    )
    return app


def add_common_routes(app: FastAPI, ready: Readiness) -> None:
    """GET /health, /ready, /metrics, /docs and /openapi.json.

    `ready` gives {"ready": bool, ...} and never raises; /ready answers 503 as long as it is false.
    """
    routes = APIRouter()

    @routes.get("/health", dependencies=[PUBLIC], summary="Is the process alive?")
    async def health() -> dict[str, str]:
        return {"status": "ok", "server": app.title}

    @routes.get("/ready", dependencies=[PUBLIC], summary="Can the server do its work now?")
    async def readiness() -> JSONResponse:
        state = await ready()
        return JSONResponse(state, 200 if state.get("ready") else 503)

    @routes.get("/metrics", dependencies=[ADMIN], summary="Counters in Prometheus' text format.")
    async def metrics() -> Response:
        return Response(app.state.metrics.exposition(), media_type=CONTENT_TYPE_LATEST)

    @routes.get("/openapi.json", dependencies=[ADMIN], include_in_schema=False)
    async def openapi() -> JSONResponse:
        return JSONResponse(app.openapi())

    @routes.get("/docs", dependencies=[ADMIN], include_in_schema=False)
    async def docs() -> Response:
        return Response(_docs_page(app), media_type="text/html")

    app.include_router(routes)


def _docs_page(app: FastAPI) -> str:
    """The routes of this server as one plain page; Swagger's own page would load its script from the internet."""
    rows = []
    for path, verbs in app.openapi()["paths"].items():
        for verb, operation in verbs.items():
            summary, text = escape(operation.get("summary", "")), escape(operation.get("description", ""))
            rows.append(
                f"<tr><td><code>{verb.upper()}</code><td><code>{escape(path)}</code><td>{summary}<br><small>{text}</small>"
            )
    return _DOCS_PAGE.format(title=escape(app.title), text=escape(app.description), rows="".join(rows))


_DOCS_PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{title}</title>
<link rel="icon" href="data:,">
<style>
:root {{ color-scheme: light dark }}
body {{ font: 16px/1.5 system-ui; margin: 2rem auto; max-width: 60rem; padding: 0 1rem }}
td {{ padding: .4rem; vertical-align: top; border-top: 1px solid color-mix(in srgb, currentcolor 25%, transparent) }}
code {{ overflow-wrap: anywhere }}
</style>
<h1>{title}</h1><p>{text}</p>
<p>Machine-readable: <a href="openapi.json">openapi.json</a></p><table>{rows}</table></html>
"""


class Limits:
    """ASGI middleware: refuses bodies over the limit, turns an unforeseen error into a plain 500, counts requests."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        metrics: Metrics,
        body_limit_of: Callable[[str], BodyLimit],
        error_form: ErrorForm,
    ) -> None:
        self._app = app
        self._requests = functools.cache(metrics.requests.labels)
        self._request_seconds = functools.cache(metrics.request_seconds.labels)
        self._limit_of = body_limit_of
        self._error_form = error_form

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()
        limit = self._limit_of(scope["path"])
        status = 500
        begun = False
        seen = 0

        async def counted_receive() -> Message:
            nonlocal seen
            message = await receive()
            seen += len(message.get("body", b""))
            if seen > limit.most:
                await _drain(scope, receive)
                raise _BodyTooLarge
            return message

        async def noted_send(message: Message) -> None:
            nonlocal status, begun
            if message["type"] == "http.response.start":
                status, begun = message["status"], True
            await send(message)

        try:
            if _declared_length(scope) > limit.most:
                await _drain(scope, receive)
                raise _BodyTooLarge
            await self._app(scope, counted_receive, noted_send)
        except (Exception, asyncio.CancelledError) as error:
            refusal = self._refusal(error, scope)
            if begun:
                raise  # the server can only cut the answer off
            await refusal(scope, receive, noted_send)
        finally:
            route = getattr(scope.get("route"), "path", "unmatched")
            self._requests(route, str(status)).inc()
            self._request_seconds(route).observe(time.perf_counter() - started)

    def _refusal(self, error: BaseException, scope: Scope) -> Response:
        status, body, headers = self._sentence(error, scope)
        return JSONResponse(self._error_form(scope["path"], body), status, headers=headers)

    def _sentence(self, error: BaseException, scope: Scope) -> tuple[int, dict[str, Any], dict[str, str]]:
        if isinstance(error, _BodyTooLarge):
            limit = self._limit_of(scope["path"])
            body = {"error": f"the body is larger than {limit.most} bytes", "hint": send_less(limit)}
            return 413, body, {"Connection": "close"}
        if isinstance(error, asyncio.CancelledError):
            # The server stops and can wait no longer. Whoever called is to try again, as Twilio does after a 503.
            log.warning("the server stops, %s %s is cut off", scope["method"], scope["path"])
            body = {"error": "the server is stopping, the request may be unfinished", "hint": "try again in a moment"}
            return 503, body, {"Retry-After": "5"}
        log.error("unforeseen error in %s %s", scope["method"], scope["path"], exc_info=error)
        return 500, {"error": "something went wrong on our side", "hint": "the log of this server says more"}, {}


class _BodyTooLarge(HTTPException):
    """The body passed the limit while it was read; an HTTPException, because FastAPI lets only those pass unchanged."""

    def __init__(self) -> None:
        super().__init__(413, "the body is larger than this server reads")


async def _drain(scope: Scope, receive: Receive) -> None:
    """Throw away what a client still sends: one that is cut off while it writes never gets to read our refusal."""
    if any(name == b"expect" for name, _ in scope["headers"]):
        return  # it waits for our word before it sends
    drained = 0
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_DRAIN_SECONDS):
            while drained < _DRAIN_BYTES:
                message = await receive()
                drained += len(message.get("body", b""))
                if not message.get("more_body"):
                    return


def _declared_length(scope: Scope) -> int:
    for name, value in scope["headers"]:
        if name == b"content-length" and value.isdigit():
            return int(value)
    return 0
