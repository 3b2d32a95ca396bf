"""Parameters of a Bot API call, from query, form, multipart or JSON, and the errors for invalid ones."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fastapi import Request
from fastapi.responses import Response
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException

from relay.simulator.provider_api import ApiRefusal


def json_response(body: dict[str, Any], status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """JSON in ASCII, as Telegram writes it; lone surrogates are escaped."""
    return Response(json.dumps(body, separators=(",", ":")), status, headers, "application/json")


class BotError(ApiRefusal):
    """A call that the Bot API answers with ok: false."""

    def __init__(self, status: int, description: str, **parameters: Any) -> None:
        super().__init__(description)
        self.status = status
        self.description = description
        self.parameters = parameters

    def response(self) -> Response:
        body = {"ok": False, "error_code": self.status, "description": self.description}
        wait = self.parameters.get("retry_after")
        headers = None if wait is None else {"Retry-After": str(wait)}
        return json_response(
            {**body, **({"parameters": self.parameters} if self.parameters else {})}, self.status, headers
        )


def too_many_requests(retry_after: int) -> BotError:
    return BotError(429, f"Too Many Requests: retry after {retry_after}", retry_after=retry_after)


def bad_request(description: str) -> BotError:
    return BotError(400, f"Bad Request: {description}")


@dataclass(frozen=True, slots=True)
class Upload:
    """A file in a multipart request."""

    name: str
    content: bytes
    media_type: str


class Params:
    """Values by name. Forms carry text, JSON carries types; both are accepted, as by Telegram."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        self._values = values

    def text(self, name: str) -> str:
        value = self._values.get(name)
        if value is None:
            return ""
        if not isinstance(value, str | int | float):
            raise bad_request(f"can't parse {name}: a string is expected")
        text = str(value).lower() if isinstance(value, bool) else str(value)
        try:
            text.encode()
        except UnicodeEncodeError:
            raise bad_request("strings must be encoded in UTF-8") from None
        return text

    def integer(self, name: str, default: int = 0) -> int:
        value = self.text(name).strip()
        try:
            return int(value) if value else default
        except ValueError:
            raise bad_request(f"can't parse {name}: an integer is expected") from None

    def file(self, name: str) -> Upload | None:
        value = self._values.get(name)
        return value if isinstance(value, Upload) else None

    def flag(self, name: str) -> bool:
        return self.text(name).lower() in {"true", "1", "yes"}

    def structure(self, name: str) -> Any:
        """An object or list, which forms carry as JSON text; None when it is not given."""
        value = self._values.get(name)
        if not isinstance(value, str):
            return value
        try:
            return json.loads(value) if value else None
        except ValueError:
            raise bad_request(f"can't parse {name} JSON object") from None

    def chat_id(self) -> int:
        value = self.text("chat_id").strip()
        if not value:
            raise bad_request("chat_id is empty")
        try:
            return int(value)
        except ValueError:
            raise bad_request("chat not found") from None


async def _read_form(request: Request) -> dict[str, Any]:
    async with request.form() as form:
        return {name: await _read_field(value) for name, value in form.multi_items()}


async def _read_field(value: UploadFile | str) -> Any:
    if isinstance(value, str):
        return value
    return Upload(value.filename or "", await value.read(), value.content_type or "application/octet-stream")


async def read_params(request: Request) -> Params:
    """The parameters of a request; the body overrides the query. Raises BotError."""
    is_json = request.headers.get("content-type", "").lower().startswith("application/json")
    try:
        body = json.loads(await request.body() or b"{}") if is_json else await _read_form(request)
    except (HTTPException, ValueError):  # a body that is not UTF-8 is a ValueError too
        raise bad_request("can't parse request body") from None
    if not isinstance(body, dict):
        raise bad_request("object expected as the request body")
    return Params({**request.query_params, **body})
