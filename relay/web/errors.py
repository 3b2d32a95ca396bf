"""The one JSON form of every error response: {"error", "hint"} and a fitting status."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException

from relay.core.errors import StorageError

log = logging.getLogger("relay.web.app")

ErrorForm = Callable[[str, dict[str, Any]], dict[str, Any]]
"""Takes a path and the body of an error; returns the body in the form that the protocol of the path requires."""


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


def unchanged(_path: str, body: dict[str, Any]) -> dict[str, Any]:
    """The `ErrorForm` of paths without a protocol of their own."""
    return body


def add_error_handlers(app: FastAPI) -> None:
    """Register handlers for all expected errors; needs `app.state.error_form` and `app.state.body_limit_of`."""
    app.add_exception_handler(ApiError, _api_error)
    app.add_exception_handler(HTTPException, _http_exception)
    app.add_exception_handler(RequestValidationError, _validation_error)
    app.add_exception_handler(StorageError, _storage_error)


def too_large_hint(limit: BodyLimit) -> str:
    """The hint of a 413."""
    return f"send less, or raise {limit.setting}"


def error_response(
    request: Request, body: dict[str, Any], status: int, headers: Mapping[str, str] | None = None
) -> Response:
    """Build an error response in the form that the request's path requires."""
    form: ErrorForm = request.app.state.error_form
    return JSONResponse(form(request.url.path, body), status, headers=headers)


async def _api_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, ApiError)  # noqa: S101 (tells the type checker what the registration guarantees)
    return error_response(request, error.body, error.status, error.headers)


async def _http_exception(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101
    hints = {
        400: "send a JSON object in UTF-8; the fields of this route are described at /docs",
        404: "the routes of this server are listed at /docs",
        405: f"{request.method} is not offered here; see /docs",
        413: too_large_hint(request.app.state.body_limit_of(request.url.path)),
    }
    body = {"error": str(error.detail).lower()}
    if error.status_code in hints:
        body["hint"] = hints[error.status_code]
    return error_response(request, body, error.status_code, error.headers)


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
    """One validation error as "field: message"; the first step of `loc` (body, query or path) is left out."""
    where = ".".join(str(step) for step in problem["loc"][1:])
    if where:
        return f"{where}: {problem['msg']}"
    return "the body is empty" if problem["type"] == "missing" else "the body is not a JSON object"


async def _storage_error(_: Request, error: Exception) -> Response:
    log.error("storage: %s", error)
    body = {
        "error": "the database cannot be used now, nothing was stored",
        "hint": "try again in a moment; see the log of this server",
    }
    return JSONResponse(body, 503, headers={"Retry-After": "5"})
