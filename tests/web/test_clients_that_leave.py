"""A client may close its connection at any moment: no error, no line in the log, and a status of its own."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI, Form, Request
from pydantic import BaseModel

from relay.web.access import PUBLIC
from relay.web.app import build_app
from tests.console.running import silent_ports
from tests.databases import sqlite_in
from tests.repository.route_walk import SERVERS, make_app, routes_of
from tests.settings import Settings
from tests.web.test_web import nothing_to_open

JSON, FORM = b"application/json", b"application/x-www-form-urlencoded"
MULTIPART = b"multipart/form-data; boundary=x"


class Order(BaseModel):
    count: int


def reading_app() -> FastAPI:
    """A server with one route for each way to read a body."""
    app = build_app("Test", Settings(), nothing_to_open)

    @app.post("/bytes", dependencies=[PUBLIC])
    async def read_bytes(request: Request) -> int:
        return len(await request.body())

    @app.post("/stream", dependencies=[PUBLIC])
    async def read_stream(request: Request) -> int:
        return len([piece async for piece in request.stream()])

    @app.post("/form", dependencies=[PUBLIC])
    async def read_form(request: Request) -> int:
        return len(await request.form())

    @app.post("/field", dependencies=[PUBLIC])
    async def read_field(field: str = Form()) -> str:
        return field

    @app.post("/model", dependencies=[PUBLIC])
    async def read_model(order: Order) -> Order:
        return order

    return app


async def abandoned(app: FastAPI, path: str, media_type: bytes, *pieces: bytes, chunked: bool, verb: str) -> None:
    """A request whose client leaves after these pieces of its body."""
    length = (b"transfer-encoding", b"chunked") if chunked else (b"content-length", b"9000")
    messages: list[dict[str, Any]] = [{"type": "http.request", "body": piece, "more_body": True} for piece in pieces]

    async def receive() -> dict[str, Any]:
        return messages.pop(0) if messages else {"type": "http.disconnect"}

    async def send(_: Any) -> None:
        """As uvicorn's: what is sent to a client that left goes nowhere."""

    scope: dict[str, Any] = {
        "type": "http",
        "http_version": "1.1",
        "method": verb,
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "headers": [(b"host", b"127.0.0.1"), (b"content-type", media_type), length],
        "client": ("127.0.0.1", 1),
        "server": None,
        "scheme": "http",
        "root_path": "",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
    }
    await app(scope, receive, send)


def statuses(app: FastAPI) -> set[str]:
    """The statuses that the metrics of the app have counted."""
    (counted,) = app.state.metrics.requests.collect()
    return {sample.labels["status"] for sample in counted.samples if sample.name.endswith("_total")}


@pytest.mark.parametrize("path", ["/bytes", "/stream", "/form", "/field", "/model"])
@pytest.mark.parametrize("media_type", [JSON, FORM, MULTIPART], ids=["json", "form", "multipart"])
@pytest.mark.parametrize("pieces", [(), (b"",), (b"-",), (b"--x\r\n", b"a")], ids=str)
@pytest.mark.parametrize("chunked", [True, False])
async def test_a_client_that_leaves_is_no_error(
    path: str, media_type: bytes, pieces: tuple[bytes, ...], chunked: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """However the body is read, framed and encoded, and however much of it was there."""
    app = reading_app()
    with caplog.at_level(logging.INFO):
        await abandoned(app, path, media_type, *pieces, chunked=chunked, verb="POST")
    assert caplog.records == []
    of_no_form = {"/form": "200", "/field": "422"} if media_type == JSON else {}  # then no byte is read
    assert statuses(app) == {of_no_form.get(path, "499")}


@pytest.mark.parametrize("server", SERVERS)
async def test_a_client_that_leaves_is_no_error_on_any_route(
    server: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """All verbs of all routes of all servers: either the body is not read at all, or the client is counted as gone."""
    ports = frozenset(silent_ports().items())
    app = make_app(server, ports | {("database_url", sqlite_in(tmp_path))})
    async with app.router.lifespan_context(app):
        for route in routes_of(server):
            if route.path == "/sim/events":
                continue  # it reads no body and answers as long as the client stays
            for verb in route.verbs:
                caplog.clear()
                with caplog.at_level(logging.INFO, "relay.web"):
                    await abandoned(app, route.address, FORM, b"a=1", chunked=False, verb=verb)
                shown = [record for record in caplog.records if record.name.startswith("relay.web")]
                assert shown == [], route
    assert "499" in statuses(app)
    assert not {status for status in statuses(app) if status.startswith("5")} - {"501", "503"}
