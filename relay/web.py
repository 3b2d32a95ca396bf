"""What every server has: route classes, one shape of error, limits on bodies, health, metrics, start and stop.

Every route belongs to exactly one class (docs/PRODUCTION.md, Security), given as a dependency of it or of its router:
`PUBLIC`, `INTERNAL` or `ADMIN`. A test walks all routes of all servers and finds one on each.
"""

from __future__ import annotations

from relay.bootstrap import COLLECTOR_AT_REST

import asyncio
import contextlib
import functools
import gc
import hashlib
import hmac
import ipaddress
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from contextlib import AbstractAsyncContextManager
from html import escape
from types import FrameType
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import uvicorn
from fastapi import APIRouter, Depends, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from relay.door import Door, same_secret
from relay.errors import StorageError
from relay.metrics import CONTENT_TYPE_LATEST, Metrics
from relay.settings import Settings
from relay.stopping import REQUESTS, end_at_the_latest

log = logging.getLogger("relay.web")

COOKIE = "relay_console"
COOKIE_SECONDS = 12 * 3600
_FORWARDING = ("forwarded", "via", "true-client-ip", "x-client-ip", "x-cluster-client-ip", "x-remote-ip", "client-ip")
_FORWARDING_PREFIXES = (
    *("forwarded-", "x-forwarded", "x-real-", "x-original-", "x-originating-", "x-proxyuser-"),
    *("cf-", "cdn-", "fastly-", "x-ngrok-", "ngrok-", "fly-", "x-envoy-", "tailscale-", "x-amzn-", "x-azure-"),
)
NOT_STARTED = 3
"""Exit status of a server that could not listen, or whose rooms could not be opened."""
_DRAIN_SECONDS = 5.0
_DRAIN_BYTES = 64_000_000


class ApiError(Exception):
    """An answer other than success: status, what is wrong, and a hint that says what to do."""

    def __init__(
        self, status: int, error: str, hint: str = "", *, headers: Mapping[str, str] | None = None, **extra: Any
    ) -> None:
        super().__init__(error)
        self.status = status
        self.body = {"error": error, **({"hint": hint} if hint else {}), **extra}
        self.headers = dict(headers or {})


# -- who may do what ---------------------------------------------------------------------------------------------------


@functools.lru_cache(maxsize=256)  # the same few hosts ask again and again
def _is_loopback(host: str | None) -> bool:
    if host is None:
        return False
    name = host.strip("[]").lower()
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        address = ipaddress.ip_address(name)
    except ValueError:
        return False
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return (mapped or address).is_loopback


def is_direct_from_this_machine(request: Request) -> bool:
    """Whether the request was made on this machine, by no proxy or tunnel and by no foreign web page.

    A tunnel's requests come from loopback too, so the address alone proves nothing: the Host must be a loopback name
    (else DNS rebinding works), no forwarding header may be there, and an Origin must be our own.
    """
    if not _is_loopback(request.client.host if request.client else None):
        return False
    hosts = request.headers.getlist("host")
    if len(hosts) != 1 or not _is_loopback(_hostname(hosts[0])):
        return False
    if any(name in _FORWARDING or name.startswith(_FORWARDING_PREFIXES) for name in request.headers):
        return False
    return origin_is_ours(request)


def _hostname(host: str) -> str | None:
    try:
        return urlsplit(f"//{host}").hostname
    except ValueError:
        return None


def origin_is_ours(request: Request) -> bool:
    """Whether no page sent this request, or one of our own did."""
    origin = request.headers.get("origin")
    return origin is None or origin.lower().partition("://")[2] == request.headers.get("host", "").lower()


def bearer(request: Request) -> str:
    """The token of `Authorization: Bearer ...`, or an empty string."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


def new_cookie(admin_token: str, now: float | None = None) -> str:
    """Value of the console's login cookie: an expiry time, signed with the admin token."""
    expires = str(int((time.time() if now is None else now) + COOKIE_SECONDS))
    return f"{expires}.{_cookie_mark(admin_token, expires)}"


def _cookie_mark(admin_token: str, expires: str) -> str:
    return hmac.new(admin_token.encode(), f"console {expires}".encode(), hashlib.sha256).hexdigest()


def valid_cookie(cookie: str, admin_token: str, now: float | None = None) -> bool:
    """Whether `new_cookie` made this cookie with the same token, less than COOKIE_SECONDS ago."""
    expires, _, mark = cookie.partition(".")
    if not same_secret(mark, _cookie_mark(admin_token, expires)):
        return False
    return int(expires) > (time.time() if now is None else now)  # a number: nobody else could have signed it


async def public(request: Request) -> None:
    """Anybody. Webhooks bring a proof of their own (a signature, a secret token) that their route checks first."""


async def internal(request: Request) -> None:
    """The other servers: with the internal token when one is set, else only from this machine."""
    settings: Settings = request.app.state.settings
    if settings.internal_token is not None:
        if not same_secret(bearer(request), settings.internal_token.get_secret_value()):
            raise ApiError(401, "this route wants the internal token", "send Authorization: Bearer INTERNAL_TOKEN")
    elif not is_direct_from_this_machine(request):
        raise ApiError(
            403,
            "this route answers only to programs on this machine",
            "call it as http://127.0.0.1, or set internal_token and send it as a bearer token",
        )


async def admin(request: Request) -> None:
    """The operator: with the admin token when one is set, else only this machine, and only when nothing is exposed."""
    settings: Settings = request.app.state.settings
    if settings.admin_token is not None:
        token = settings.admin_token.get_secret_value()
        cookie = request.cookies.get(COOKIE, "")
        if cookie and valid_cookie(cookie, token) and origin_is_ours(request):
            return
        if _has_admin_token(request, bearer(request)):
            return
        raise ApiError(403, "this route wants the admin token", "send Authorization: Bearer ADMIN_TOKEN")
    if settings.public_url is not None:
        raise ApiError(
            403,
            "admin routes are closed while public_url is set and admin_token is not",
            "set admin_token, then send it as a bearer token",
        )
    if not is_direct_from_this_machine(request):
        raise ApiError(
            403,
            "admin routes answer only to this machine",
            "call http://localhost directly, not through a proxy or tunnel, or set admin_token and send it as a bearer",
        )


def _has_admin_token(request: Request, given: str) -> bool:
    """Whether this is the admin token. Guesses from elsewhere are counted; who is on this machine need not guess."""
    door: Door = request.app.state.door
    if not given or is_direct_from_this_machine(request):
        return door.fits(given)
    if wait := door.closed_for():
        seconds = str(int(wait) + 1)
        raise ApiError(
            429, "too many wrong admin tokens", f"try again in {seconds} s", headers={"Retry-After": seconds}
        )
    return door.opens(given)


PUBLIC, INTERNAL, ADMIN = Depends(public), Depends(internal), Depends(admin)


class PlainRoute(APIRoute):
    """A route whose endpoint takes the request and returns the response; of its dependencies there are only classes.

    FastAPI's preparing of parameters and responses costs more than everything that the LLM server does to a question.
    """

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        guards = [dependency.dependency for dependency in self.dependencies if dependency.dependency is not None]

        async def handle(request: Request) -> Response:
            for guard in guards:
                await guard(request)
            response: Response = await self.endpoint(request)
            return response

        return handle


# -- the app -----------------------------------------------------------------------------------------------------------

Lifespan = Callable[[FastAPI], AbstractAsyncContextManager[None]]
ErrorForm = Callable[[str, dict[str, Any]], dict[str, Any]]


class BodyLimit(NamedTuple):
    """How large a body may be, and the setting that says so."""

    most: int
    setting: str


Readiness = Callable[[], Awaitable[dict[str, Any]]]


def as_it_is(_path: str, body: dict[str, Any]) -> dict[str, Any]:
    """The usual form of an error: {"error", "hint"}."""
    return body


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
    app.add_exception_handler(ApiError, _api_error)
    app.add_exception_handler(HTTPException, _http_exception)
    app.add_exception_handler(RequestValidationError, _validation_error)
    app.add_exception_handler(StorageError, _storage_error)
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


def _error(request: Request, body: dict[str, Any], status: int, headers: Mapping[str, str] | None = None) -> Response:
    form: ErrorForm = request.app.state.error_form
    return JSONResponse(form(request.url.path, body), status, headers=headers)


async def _api_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, ApiError)  # noqa: S101 (tells the type checker what the registration guarantees)
    return _error(request, error.body, error.status, error.headers)


async def _http_exception(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101
    hints = {
        400: "send a JSON object in UTF-8; the fields of this route are described at /docs",
        404: "the routes of this server are listed at /docs",
        405: f"{request.method} is not offered here; see /docs",
        413: _send_less(request.app.state.body_limit_of(request.url.path)),
    }
    body = {"error": str(error.detail).lower()}
    if error.status_code in hints:
        body["hint"] = hints[error.status_code]
    return _error(request, body, error.status_code, error.headers)


def _send_less(limit: BodyLimit) -> str:
    return f"send less, or raise {limit.setting}"


async def _validation_error(_: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)  # noqa: S101
    problems = error.errors()
    if any(problem["type"] == "json_invalid" for problem in problems):
        body = {
            "error": "the body is not valid JSON",
            "hint": "send a JSON object in UTF-8, and say so in Content-Type",
        }
        return JSONResponse(body, 400)
    sentence = "; ".join(_problem(problem) for problem in problems)
    return JSONResponse({"error": sentence, "hint": "the fields of this route are described at /docs"}, 422)


def _problem(problem: Mapping[str, Any]) -> str:
    """One thing that is wrong, led by its field; the first step of its place says only body, query or path."""
    where = ".".join(str(step) for step in problem["loc"][1:])
    if where:
        return f"{where}: {problem['msg']}"
    return "the body is empty" if problem["type"] == "missing" else "the body is no JSON object"


async def _storage_error(_: Request, error: Exception) -> Response:
    log.error("storage: %s", error)
    body = {
        "error": "the database cannot be used now, nothing was stored",
        "hint": "try again in a moment; see the log of this server",
    }
    return JSONResponse(body, 503, headers={"Retry-After": "5"})


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
            body = {"error": f"the body is larger than {limit.most} bytes", "hint": _send_less(limit)}
            return 413, body, {"Connection": "close"}
        if isinstance(error, asyncio.CancelledError):
            # The server stops and can wait no longer. Whoever called is to try again, as Twilio does after a 503.
            log.warning("the server stops, %s %s is cut off", scope["method"], scope["path"])
            body = {"error": "the server is stopping, nothing was done for certain", "hint": "try again in a moment"}
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


# -- start and stop ----------------------------------------------------------------------------------------------------


def serve(app: FastAPI, settings: Settings, port: int) -> None:
    """Run one server until a signal, or until the launcher that started it is gone."""
    _watch_lifeline(settings.stop_seconds)
    # What was imported stays for good: the garbage collector need not walk through it again and again. It halves p99.
    gc.collect()
    gc.freeze()
    gc.set_threshold(*COLLECTOR_AT_REST)
    config = uvicorn.Config(
        app,
        host=settings.bind_host,
        port=port,
        log_config=None,
        access_log=False,
        ws="none",  # no route is one, and the package costs a megabyte
        proxy_headers=False,  # or anybody could claim to be loopback with X-Forwarded-For
        server_header=False,
        timeout_keep_alive=75,  # longer than clients keep theirs, or a request meets a connection that is just closing
        timeout_graceful_shutdown=max(1, round(settings.stop_seconds * REQUESTS)),
    )
    server = _Server(config, settings.stop_seconds)
    with contextlib.suppress(KeyboardInterrupt):  # uvicorn passes Ctrl-C on when everything is closed
        server.run()
    if not server.started:
        sys.exit(NOT_STARTED)


class _Server(uvicorn.Server):
    """uvicorn, with an end to its patience: it gives requests a time limit, but not the app's own stop."""

    def __init__(self, config: uvicorn.Config, stop_seconds: float) -> None:
        super().__init__(config)
        self._stop_seconds = stop_seconds

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        if not self.should_exit:
            end_at_the_latest(self._stop_seconds)
        super().handle_exit(sig, frame)


def _watch_lifeline(stop_seconds: float) -> None:
    """Under the launcher stdin is a pipe that ends with it, kill -9 included: then this server stops as well."""
    if os.environ.get("RELAY_SUPERVISED") != "1":
        return

    def watch() -> None:
        while sys.stdin.buffer.raw.read(64):  # type: ignore[union-attr]  # (stdin is a file here)
            pass
        log.warning("the launcher is gone, stopping")
        signal.raise_signal(signal.SIGTERM)  # os.kill would end the process on Windows, unheard
        end_at_the_latest(stop_seconds)  # in case that nobody listens to signals any more

    threading.Thread(target=watch, name="lifeline", daemon=True).start()
