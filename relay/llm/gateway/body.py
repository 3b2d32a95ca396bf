"""Reading a request body: one sentence for whatever is wrong with it, in the words of its sender's fields."""

from __future__ import annotations

import re
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from relay.core.errors import ModelError, ModelFailure

_FORM = re.compile(r"(function-.*|(list|dict)\[.*|nullable|bool|str|int|float)$")
"""Steps in the place of an error that name one of the forms that a value may have, and no field."""
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
    detail = max(details, key=lambda found: len(found["loc"]))  # of several forms, the one that it came nearest to
    if detail["type"] == "json_invalid":
        return f"the body is not valid JSON: {detail['ctx']['error']}"
    where = ".".join(str(step) for step in detail["loc"] if not _FORM.match(str(step)))
    what = detail["msg"].removeprefix("Value error, ")
    return f"{where}: {what}" if where else what
