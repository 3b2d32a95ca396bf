"""Parameters of a Bot API call, from query, form, multipart or JSON, and the errors for invalid ones."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl

from fastapi import Request
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException


class BotError(Exception):
    """A call that the Bot API answers with ok: false."""

    def __init__(self, status: int, description: str, **parameters: Any) -> None:
        super().__init__(description)
        self.status = status
        self.description = description
        self.parameters = parameters

    def to_json(self) -> dict[str, Any]:
        body = {"ok": False, "error_code": self.status, "description": self.description}
        return {**body, **({"parameters": self.parameters} if self.parameters else {})}


def bad_request(description: str) -> BotError:
    return BotError(400, f"Bad Request: {description}")


class Params:
    """Values by name. Forms carry text, JSON carries types; both are accepted, as by Telegram."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        self._values = values

    def text(self, name: str, default: str = "") -> str:
        value = self._values.get(name)
        if value is None:
            return default
        if isinstance(value, bool):
            return "true" if value else "false"
        if isinstance(value, str | int | float):
            return _utf8(str(value))
        raise bad_request(f"can't parse {name}: a string is expected")

    def integer(self, name: str, default: int = 0) -> int:
        value = self.text(name).strip()
        if not value:
            return default
        try:
            return int(value)
        except ValueError:
            raise bad_request(f"can't parse {name}: an integer is expected") from None

    def flag(self, name: str) -> bool:
        return self.text(name).lower() in {"true", "1", "yes"}

    def structure(self, name: str) -> Any:
        """An object or list, which forms carry as JSON text; None when it is not given."""
        value = self._values.get(name)
        if not isinstance(value, str):
            return value
        if not value:
            return None
        try:
            return json.loads(value)
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


def _utf8(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise bad_request("strings must be encoded in UTF-8") from None
    return text


async def read_params(request: Request) -> Params:
    """The parameters of a request; the body overrides the query. Raises BotError."""
    values: dict[str, Any] = dict(request.query_params)
    content_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if content_type == "multipart/form-data":
        values |= await _multipart(request)
    elif content_type == "application/json":
        values |= _json_object(await request.body())
    else:
        body = (await request.body()).decode("utf-8", "replace")
        values |= dict(parse_qsl(body, keep_blank_values=True))
    return Params(values)


async def _multipart(request: Request) -> dict[str, Any]:
    try:
        async with request.form() as form:
            return {name: "" if isinstance(value, UploadFile) else value for name, value in form.multi_items()}
    except (HTTPException, UnicodeDecodeError):
        raise bad_request("can't parse the multipart body") from None


def _json_object(body: bytes) -> dict[str, Any]:
    if not body.strip():
        return {}
    try:
        values = json.loads(body)
    except ValueError:
        raise bad_request("can't parse request JSON object") from None
    if not isinstance(values, dict):
        raise bad_request("object expected as the request body")
    return values
