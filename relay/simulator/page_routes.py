"""Serves the page in the browser from the folder `page`."""

from __future__ import annotations

from pathlib import Path

from fastapi import APIRouter
from fastapi.responses import Response
from starlette.exceptions import HTTPException

from relay.web.access import PUBLIC

FOLDER = Path(__file__).parent / "page"
TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
_HEADERS = {
    # Defence in depth: the page renders messages as text.
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "media-src 'self'; "
    "connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}


def page_routes() -> APIRouter:
    """GET / and its files. They contain no data; the page reads that from /sim/, which is for the operator."""
    routes = APIRouter(dependencies=[PUBLIC], include_in_schema=False)

    @routes.get("/")
    async def page() -> Response:
        return _file("index.html")

    @routes.get("/page/{name}")
    async def part(name: str) -> Response:
        return _file(name)

    return routes


def _file(name: str) -> Response:
    found = {path.name: path for path in FOLDER.iterdir() if path.suffix in TYPES}
    if name not in found:
        raise HTTPException(404, "no such file")
    return Response(found[name].read_bytes(), media_type=TYPES[found[name].suffix], headers=_HEADERS)
