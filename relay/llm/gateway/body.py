"""Validates request bodies and the images in them; errors are one sentence that names the wrong field."""

from __future__ import annotations

import base64
import binascii
import re
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, BeforeValidator, ValidationError

from relay.core.errors import ModelError, ModelFailure
from relay.llm.chat import Image
from relay.llm.providers.json_values import as_arguments

_FORM = re.compile(r"(function-.*|(list|dict)\[.*|nullable|bool|str|int|float)$")
"""Steps of an error location that name a type of a union instead of a field."""
_MAGIC_PREFIXES = {"/9j/": "image/jpeg", "iVBORw0KGgo": "image/png", "R0lGOD": "image/gif", "UklGR": "image/webp"}
Body = TypeVar("Body", bound=BaseModel)


def _earlier_arguments(value: Any) -> dict[str, Any]:
    """Arguments that a model once wrote; what is no JSON object stays readable, and ends no conversation."""
    found = as_arguments(value)
    return {"invalid_arguments": value} if found is None else found


Arguments = Annotated[dict[str, Any], BeforeValidator(_earlier_arguments)]
"""The arguments of a tool call in a history: an object, or JSON text of one."""


def read(model: type[Body], content: bytes) -> Body:
    """The body as `model`; raises ModelError(BAD_REQUEST) with one sentence that names the field."""
    if not content.strip():
        raise ModelError(ModelFailure.BAD_REQUEST, "the body is empty; send a JSON object")
    try:
        return model.model_validate_json(content)
    except ValidationError as error:
        raise ModelError(ModelFailure.BAD_REQUEST, _sentence(error)) from None
    except RecursionError:
        raise ModelError(ModelFailure.BAD_REQUEST, "the body is nested too deeply") from None


def _sentence(error: ValidationError) -> str:
    details = error.errors(include_url=False, include_input=False)
    detail = max(details, key=lambda found: len(found["loc"]))  # of a union, the closest alternative
    if detail["type"] == "json_invalid":
        return f"the body is not valid JSON: {detail['ctx']['error']}"
    where = ".".join(str(step) for step in detail["loc"] if not _FORM.match(str(step)))
    what = detail["msg"].removeprefix("Value error, ")
    return f"{where}: {what}" if where else what


def image_from_base64(data: str) -> Image:
    """An image as Ollama's clients send it, its type found by its first bytes. Raises ModelError if not base64."""
    data = "".join(data.split())
    try:
        base64.b64decode(data[:64] + "=" * (-len(data[:64]) % 4), validate=True)
    except (binascii.Error, ValueError):
        raise ModelError(ModelFailure.BAD_REQUEST, "images must be base64 without a data: prefix") from None
    kind = next((kind for start, kind in _MAGIC_PREFIXES.items() if data.startswith(start)), "image/jpeg")
    return Image(kind, data)


def image_from_url(url: str) -> Image:
    """An image as OpenAI's clients send it: a data: or http(s) URL. Raises ModelError for others."""
    if url.startswith("data:"):
        head, comma, data = url.partition(",")
        if not comma or not head.endswith(";base64"):
            raise ModelError(ModelFailure.BAD_REQUEST, "a data: URL of a picture must be base64")
        return image_from_base64(data)._replace(media_type=head[5:].split(";")[0] or "image/jpeg")
    if url.startswith(("https://", "http://")):
        return Image("", "", url)
    raise ModelError(ModelFailure.BAD_REQUEST, "image_url must be a data: URL or begin with https://")
