"""Errors reach a browser as a page with the way on, and a program as JSON."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest
from fastapi import FastAPI
from pydantic import BaseModel

from relay.config.logs import TextLines
from relay.core.errors import StorageError
from relay.web.access import PUBLIC
from relay.web.app import add_common_routes, build_app
from relay.web.errors import LIVE_HEADER
from tests.console.running import BROWSER
from tests.settings import Settings

OWN = "http://127.0.0.1:8040"


class Order(BaseModel):
    count: int


@asynccontextmanager
async def nothing_to_open(_: FastAPI) -> AsyncIterator[None]:
    yield


def failing_app(**settings: object) -> FastAPI:
    """A server whose routes fail in each way."""
    app = build_app("Test <server>", Settings(max_body_bytes=10_000, **settings), nothing_to_open)

    @app.get("/bug", dependencies=[PUBLIC])
    async def bug() -> None:
        raise RuntimeError("internals")

    @app.get("/storage", dependencies=[PUBLIC])
    async def storage() -> None:
        raise StorageError("disk full at /secret/path")

    @app.post("/order", dependencies=[PUBLIC])
    async def order(order: Order) -> Order:
        return order

    async def ready() -> dict[str, bool]:
        return {"ready": True}

    add_common_routes(app, ready)
    return app


def client(app: FastAPI, **headers: str) -> httpx.AsyncClient:
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    return httpx.AsyncClient(transport=transport, base_url=OWN, headers={**BROWSER, **headers})


@pytest.mark.parametrize(
    ("method", "path", "content", "status", "words"),
    [
        ("GET", "/no", b"", 404, "There is no such page"),
        ("GET", "/order", b"", 405, "nothing was done"),
        ("POST", "/order", b"{}", 422, "The form is as you left it"),
        ("POST", "/order", b"x" * 10_001, 413, "10,000 bytes are taken at once (the setting max_body_bytes)"),
        ("GET", "/storage", b"", 503, "Try again in a moment"),
        ("GET", "/bug", b"", 500, "The log of this server says what it was"),
    ],
)
async def test_a_browser_gets_a_page(method: str, path: str, content: bytes, status: int, words: str) -> None:
    """With what it means, the way on, and nothing of the inside; the live part's script and programs get JSON."""
    app = failing_app()
    async with client(app, Referer=f"{OWN}/docs?a=%3Cb%3E&c") as http:
        page = await http.request(method, path, content=content)
        script = await http.request(method, path, content=content, headers={LIVE_HEADER: "1"})
        program = await http.request(method, path, content=content, headers={"Accept": "application/json"})
    assert page.status_code == status
    assert page.headers["content-type"].startswith("text/html")
    assert page.headers["content-security-policy"].startswith("default-src 'none'")
    assert words.lower() in page.text.lower()
    assert "Test &lt;server&gt;" in page.text
    assert '<a href="/docs?a=%3Cb%3E&amp;c">' in page.text
    assert "secret" not in page.text
    assert "internals" not in page.text
    for answer in (script, program):
        assert (answer.status_code, set(answer.json())) == (status, {"error", "hint"})


async def test_the_page_of_the_routes_may_run_nothing() -> None:
    """It is of the origin whose cookie opens the console."""
    async with client(failing_app()) as http:
        page = await http.get("/docs")
    assert (page.status_code, page.headers["x-content-type-options"]) == (200, "nosniff")
    assert page.headers["content-security-policy"].startswith("default-src 'none'")


@pytest.mark.parametrize("path", ["/bug", "/storage", "/no"])
async def test_the_page_has_the_id_of_its_line_in_the_log(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    """Each request another one."""
    caplog.set_level(logging.INFO, "relay.web.app")
    lines: list[str] = []
    formatter = TextLines("%H")

    def keep(record: logging.LogRecord) -> bool:
        """Runs in the task of the request, whose id the line has."""
        lines.append(formatter.format(record).partition("\n")[0])
        return True

    monkeypatch.setattr(logging.getLogger("relay.web.app"), "filters", [keep])
    async with client(failing_app()) as http:  # a server handles each request in a task of its own
        pages = [(await asyncio.create_task(http.get(path))).text for _ in range(2)]
    ids = [re.findall(r"<code>(http-[0-9a-f]{12})</code>", page)[0] for page in pages]
    assert ids[0] != ids[1]
    assert [f"[{each}] " in line and path[1:] in line for each, line in zip(ids, lines, strict=True)] == [True, True]


async def test_strangers_cannot_fill_the_log_with_pages(caplog: pytest.LogCaptureFixture) -> None:
    """What came through a tunnel and is no fault of ours is answered without a line and without an id."""
    caplog.set_level(logging.INFO, "relay.web.app")
    async with client(failing_app(), **{"X-Forwarded-For": "192.0.2.1"}) as http:
        page = await http.get("/no")
    assert page.status_code == 404
    assert "<code>" not in page.text
    assert "8042" not in page.text
    assert caplog.records == []


@pytest.mark.parametrize("referer", ["https://evil.example/x", "//evil.example", "http://[", f"{OWN}//evil.example"])
async def test_the_way_back_leads_nowhere_else(referer: str) -> None:
    """Only to a page of this server."""
    async with client(failing_app(), Referer=referer) as http:
        page = await http.get("/no")
    assert "evil" not in page.text


async def test_a_page_behind_the_password_leads_to_the_login() -> None:
    """A browser cannot send a bearer token, but the console's login opens the other servers too."""
    async with client(failing_app(admin_token="open sesame, please")) as http:
        page = await http.get("/docs")
    assert page.status_code == 403
    assert ":8042/login" in page.text
