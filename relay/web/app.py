"""The FastAPI app that every server starts from: errors, body limits, health, metrics, and a page of its routes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from functools import partial
from html import escape
from typing import Any

from fastapi import APIRouter, Depends, FastAPI
from fastapi.middleware.cors import CORSMiddleware
from fastapi.responses import JSONResponse, Response

from relay.config.settings import Settings
from relay.core.metrics import CONTENT_TYPE_LATEST, Metrics
from relay.web.access import ADMIN, PUBLIC
from relay.web.error_pages import RenderError, plain_error_page, show_error
from relay.web.errors import BodyLimit, ErrorForm, add_error_handlers, unchanged
from relay.web.middleware import BodyLimits, RequestMetrics, UnexpectedErrors
from relay.web.plain_page import plain_page
from relay.web.plain_routes import PlainRoutes
from relay.web.token_guard import TokenGuard

Lifespan = Callable[[FastAPI], AbstractAsyncContextManager[None]]
Readiness = Callable[..., Awaitable[dict[str, Any]]]
"""A FastAPI dependency: it takes nothing, or the request."""


def build_app(
    title: str,
    settings: Settings,
    lifespan: Lifespan,
    *,
    description: str = "",
    body_limits: Mapping[str, BodyLimit] | None = None,
    error_form: ErrorForm = unchanged,
    error_page: RenderError = plain_error_page,
    allowed_origins: Sequence[str] = (),
) -> FastAPI:
    """Build an app without routes; `app.state` has `settings`, `metrics` and `token_guard` (None without admin_token).

    `app.state.use_login` is None: a server with the database sets it at start, others accept no cookie of the console.

    body_limits: paths whose limit differs from max_body_bytes. error_form: changes the body of an error on paths whose
    protocol requires another one. error_page: renders an error for a browser. allowed_origins: sites whose pages may
    call the internal routes from a browser.
    """
    app = FastAPI(
        title=title,
        description=description,
        lifespan=lifespan,
        redoc_url=None,
        docs_url=None,
        openapi_url=None,
        redirect_slashes=False,  # a redirected webhook would lose its form; a 404 says what is wrong
        # OpenTelemetry, which FastAPI would look for at each request; older versions of FastAPI have none.
        telemetry={"tracing": False, "metrics": False, "logs": False},
    )
    app.state.settings = settings
    app.state.metrics = Metrics()
    app.state.token_guard = TokenGuard(settings.admin_token.get_secret_value()) if settings.admin_token else None
    app.state.use_login = None
    app.state.error_form = error_form
    app.state.error_page = partial(show_error, error_page)
    default = BodyLimit(settings.max_body_bytes, "max_body_bytes")
    others = body_limits or {}
    app.state.body_limit_of = lambda path: others.get(path, default)
    add_error_handlers(app)
    # The last one added is the outermost: every answer is counted, those of the others included.
    app.add_middleware(PlainRoutes)
    app.add_middleware(BodyLimits)
    app.add_middleware(UnexpectedErrors)
    app.add_middleware(RequestMetrics, metrics=app.state.metrics)
    app.state.allowed_origins = origins = [origin.rstrip("/") for origin in allowed_origins]
    if origins:
        app.add_middleware(CORSMiddleware, allow_origins=origins, allow_methods=("GET", "POST"), allow_headers=("*",))
    return app


def add_routes(target: FastAPI | APIRouter, *routers: APIRouter) -> None:
    """Add the routes of the routers as they are; `include_router` would build each again, at the first request."""
    for router in routers:
        target.routes.extend(router.routes)


def add_common_routes(app: FastAPI, ready: Readiness) -> None:
    """Add GET /health, /ready, /metrics, /docs and /openapi.json. `app.state.measure`, if set, is awaited by /metrics.

    `ready` returns {"ready": bool, ...} and never raises; /ready answers 503 while it is false.
    """
    routes = APIRouter()

    @routes.get("/health", dependencies=[PUBLIC], summary="Is the process alive?")
    async def health() -> dict[str, str]:
        return {"status": "ok", "server": app.title}

    @routes.get("/ready", dependencies=[PUBLIC], summary="Can the server do its work now?")
    async def readiness(state: dict[str, Any] = Depends(ready)) -> JSONResponse:  # noqa: B008, FAST002 (a parameter)
        return JSONResponse(state, 200 if state.get("ready") else 503)

    @routes.get("/metrics", dependencies=[ADMIN], summary="Counters in Prometheus' text format.")
    async def metrics() -> Response:
        if (measure := getattr(app.state, "measure", None)) is not None:
            await measure()
        return Response(app.state.metrics.exposition(), media_type=CONTENT_TYPE_LATEST)

    @routes.get("/openapi.json", dependencies=[ADMIN], include_in_schema=False)
    async def openapi() -> JSONResponse:
        return JSONResponse(app.openapi())

    @routes.get("/docs", dependencies=[ADMIN], include_in_schema=False)
    async def docs() -> Response:
        return _docs_page(app)

    add_routes(app, routes)


def _docs_page(app: FastAPI) -> Response:
    """The routes of this server as one HTML page; Swagger's own page would load its script from the internet."""
    rows = []
    for path, verbs in app.openapi()["paths"].items():
        for verb, operation in verbs.items():
            summary, text = escape(operation.get("summary", "")), escape(operation.get("description", ""))
            rows.append(
                f"<tr><td><code>{verb.upper()}</code><td><code>{escape(path)}</code><td>{summary}<br><small>{text}</small>"
            )
    machines = '<p>Machine-readable: <a href="openapi.json">openapi.json</a></p>'
    content = f"<p>{escape(app.description)}</p>{machines}<table>{''.join(rows)}</table>"
    return plain_page("Routes", app.title, content)
