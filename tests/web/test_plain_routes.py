"""A plain route answers as it would behind FastAPI's own layers."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest
from fastapi import APIRouter, FastAPI, Request, Response
from httpx import ASGITransport, AsyncClient
from starlette.exceptions import HTTPException

from relay.config.settings import Settings
from relay.core.errors import StorageError
from relay.web.access import INTERNAL, PUBLIC
from relay.web.app import add_routes, build_app
from relay.web.errors import ApiError
from relay.web.plain_routes import PlainRoute

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

_ERRORS: dict[str, Exception] = {
    "api": ApiError(403, "not authentic", "sign it", headers={"X-Why": "unsigned"}),
    "storage": StorageError("the disk is full"),
    "http": HTTPException(418, "A teapot"),
    "unforeseen": ValueError("a mistake of ours"),
}
_routes = APIRouter(route_class=PlainRoute)


@asynccontextmanager
async def _lifespan(_: FastAPI) -> AsyncIterator[None]:
    yield


@_routes.post("/text", dependencies=[PUBLIC])
async def _text(request: Request) -> Response:
    if (error := _ERRORS.get(request.query_params.get("raises", ""))) is not None:
        raise error
    return Response(await request.body(), 201)


@_routes.get("/closed", dependencies=[INTERNAL])
async def _closed(_: Request) -> Response:
    return Response("open")


@_routes.get("/of/{name}", dependencies=[PUBLIC])  # noqa: FAST003 (a plain endpoint has the request alone)
async def _of(request: Request) -> Response:
    return Response(request.path_params["name"])


async def _answer(method: str, url: str, *, plain: bool = True, root_path: str = "") -> tuple[int, str, dict[str, str]]:
    """Status, body, headers and counted requests of an app; with plain=False without the short way."""
    app = build_app("test", Settings(internal_token="secret-of-the-servers"), _lifespan)
    add_routes(app, _routes)
    if not plain:
        app.user_middleware = [one for one in app.user_middleware if "PlainRoutes" not in repr(one)]
    transport = ASGITransport(app, raise_app_exceptions=False, root_path=root_path)
    async with AsyncClient(transport=transport, base_url="http://localhost") as client:
        response = await client.request(method, url, content=b"hello" if method == "POST" else b"")
    counted = [
        line for line in app.state.metrics.exposition().decode().splitlines() if "relay_http_requests_total{" in line
    ]
    return response.status_code, response.text, {**dict(response.headers), "counted": "".join(counted)}


@pytest.mark.parametrize(
    ("method", "url", "status"),
    [
        ("POST", "/text", 201),
        ("POST", "/text?raises=api", 403),
        ("POST", "/text?raises=storage", 503),
        ("POST", "/text?raises=http", 418),
        ("POST", "/text?raises=unforeseen", 500),
        ("GET", "/text", 405),
        ("HEAD", "/text", 405),
        ("GET", "/closed", 401),
        ("GET", "/of/alice", 200),
        ("GET", "/of/alice/", 404),
        ("POST", "/text/", 404),
        ("POST", "//text", 404),
        ("POST", "/nowhere", 404),
    ],
)
async def test_a_plain_route_answers_as_behind_the_layers_of_the_framework(method: str, url: str, status: int) -> None:
    """Status, body, headers and the count of requests are the same with and without the short way."""
    plain = await _answer(method, url)
    assert plain[0] == status
    assert plain == await _answer(method, url, plain=False)


async def test_a_prefix_of_the_path_is_left_to_the_framework() -> None:
    """Behind a proxy that passes a prefix on (root_path) a route is found without it."""
    status, text, _ = await _answer("POST", "/relay/text", root_path="/relay")
    assert (status, text) == (201, "hello")
