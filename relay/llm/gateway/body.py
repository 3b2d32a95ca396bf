"""Validates request bodies; errors are one sentence that names the wrong field."""

from __future__ import annotations

import re
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from relay.core.errors import ModelError, ModelFailure

_FORM = re.compile(r"(function-.*|(list|dict)\[.*|nullable|bool|str|int|float)$")
"""Steps of an error location that name a type of a union instead of a field."""
Body = TypeVar("Body", bound=BaseModel)


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
