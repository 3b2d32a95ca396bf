"""The one form of every error response: {"error", "hint"} and a fitting status; for browsers as a page."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException

from relay.config.logs import REQUEST_ID
from relay.core.errors import StorageError

log = logging.getLogger("relay.web.app")

ErrorForm = Callable[[str, dict[str, Any]], dict[str, Any]]
"""Takes a path and the body of an error; returns the body in the form that the protocol of the path requires."""


MAX_SHOWN_PATH = 200
"""Characters of a path that are logged."""

LIVE_HEADER = "x-live"
"""Sent by the script of a page, which asks for a part of it; it gets errors as JSON."""


class ApiError(Exception):
    """An error response: status, error, and a hint with the remedy."""

    def __init__(
        self, status: int, error: str, hint: str = "", *, headers: Mapping[str, str] | None = None, **extra: Any
    ) -> None:
        super().__init__(error)
        self.status = status
        self.body = {"error": error, **({"hint": hint} if hint else {}), **extra}
        self.headers = dict(headers or {})


class BodyLimit(NamedTuple):
    """The maximum size of a request body, and the setting that defines it."""

    max_bytes: int
    setting: str


class PageWords(NamedTuple):
    """What the page of an error says instead of the words for programs."""

    title: str
    hint: str


def unchanged(_path: str, body: dict[str, Any]) -> dict[str, Any]:
    """The `ErrorForm` of paths without a protocol of their own."""
    return body


def add_error_handlers(app: FastAPI) -> None:
    """Register handlers for all expected errors; needs `app.state.error_form` and `app.state.body_limit_of`."""
    app.add_exception_handler(ApiError, _api_error)
    app.add_exception_handler(HTTPException, _http_exception)
    app.add_exception_handler(RequestValidationError, _validation_error)
    app.add_exception_handler(StorageError, _storage_error)


def too_large(request: Request, error: str, headers: Mapping[str, str] | None = None) -> Response:
    """The response to a body that is larger than this server reads."""
    limit: BodyLimit = request.app.state.body_limit_of(request.url.path)
    body = {"error": error, "hint": f"send less, or raise {limit.setting}"}
    words = PageWords(
        "that is too large",
        f"nothing was done. At most {limit.max_bytes:,} bytes are taken at once (the setting {limit.setting}): go back,"
        " and the form is as you left it",
    )
    return error_response(request, body, 413, headers, words)


def error_response(
    request: Request,
    body: dict[str, Any],
    status: int,
    headers: Mapping[str, str] | None = None,
    words: PageWords | None = None,
) -> Response:
    """Build an error response: a page for a browser, else JSON in the form that the request's path requires.

    words: for the page, where those of the JSON are about programs.
    """
    if not wants_page(request):
        form: ErrorForm = request.app.state.error_form
        return JSONResponse(form(request.url.path, body), status, headers=headers)
    title, hint = words or (body["error"], body.get("hint", ""))
    page: Response = request.app.state.error_page(request, status, title, hint)
    page.headers.update(headers or {})
    return page


def wants_page(request: Request) -> bool:
    """Whether a browser made the request to show what it gets."""
    return "text/html" in request.headers.get("accept", "") and LIVE_HEADER not in request.headers


def ensure_request_id() -> str:
    """The id of the current request, in each line that it logs from now on; made when it has none."""
    if not REQUEST_ID.get():
        REQUEST_ID.set(f"http-{secrets.token_hex(6)}")
    return REQUEST_ID.get()


async def _api_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, ApiError)  # noqa: S101 (tells the type checker what the registration guarantees)
    return error_response(request, error.body, error.status, error.headers)


_PAGE_WORDS = {
    404: PageWords("there is no such page", "the address may be old, or not be written as it was meant"),
    405: PageWords("this is no page", "the address takes only what a form sends, and nothing was done"),
}


async def _http_exception(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101
    if error.status_code == 413:
        return too_large(request, str(error.detail).lower(), error.headers)
    hints = {
        400: "send a JSON object in UTF-8; the fields of this route are described at /docs",
        404: "the routes of this server are listed at /docs",
        405: f"{request.method} is not offered here; see /docs",
    }
    body = {"error": str(error.detail).lower()}
    if error.status_code in hints:
        body["hint"] = hints[error.status_code]
    return error_response(request, body, error.status_code, error.headers, _PAGE_WORDS.get(error.status_code))


async def _validation_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)  # noqa: S101
    problems = error.errors()
    if any(problem["type"] == "json_invalid" for problem in problems):
        body = {
            "error": "the body is not valid JSON",
            "hint": "send a JSON object in UTF-8, and say so in Content-Type",
        }
        return error_response(request, body, 400)
    found = "; ".join(_problem(problem) for problem in problems)
    body = {"error": found, "hint": "the fields of this route are described at /docs"}
    words = PageWords(
        "this cannot be used as it is",
        f"nothing was done. {found}. Go back, and the form is as you left it",
    )
    return error_response(request, body, 422, words=words)


def _problem(problem: Mapping[str, Any]) -> str:
    """One validation error as "field: message"; the first step of `loc` (body, query or path) is left out."""
    where = ".".join(str(step) for step in problem["loc"][1:])
    if where:
        return f"{where}: {problem['msg']}"
    return "the body is empty" if problem["type"] == "missing" else "the body is not a JSON object"


async def _storage_error(request: Request, error: Exception) -> Response:
    ensure_request_id()
    log.error("storage: %s", error)
    body = {
        "error": "the database cannot be used now, nothing was stored",
        "hint": "try again in a moment; see the log of this server",
    }
    return error_response(request, body, 503, {"Retry-After": "5"})
