"""Mistakes in settings as sentences: what is wrong and what to write instead, in our words and not the library's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_NOT_OF_THE_FORM = "must have the form of the example"
_WORDS = {
    **dict.fromkeys(("int_parsing", "int_type", "int_from_float"), "must be a whole number"),
    **dict.fromkeys(("float_parsing", "float_type", "finite_number"), "must be a number"),
    **dict.fromkeys(("bool_parsing", "bool_type"), "must be true or false"),
    "string_type": "must be text",
    "dict_type": "must be a JSON object",
    "tuple_type": "must be a list of values",
    "greater_than": "must be more than {gt}",
    "greater_than_equal": "must be {ge} or more",
    "less_than": "must be less than {lt}",
    "less_than_equal": "must be {le} or less",
    "string_too_short": "must have {min_length} characters or more",
    "string_too_long": "must have {max_length} characters or fewer",
    "literal_error": "must be {expected}",
}
"""The words for each type of error of pydantic; {} is filled from the context of the error."""


def mistake(detail: Mapping[str, Any]) -> str:
    """What is wrong with a value, for one entry of ValidationError.errors(). The value itself is not repeated."""
    if detail["type"] == "value_error":
        return str(detail["ctx"]["error"])  # ours
    return _WORDS.get(detail["type"], _NOT_OF_THE_FORM).format_map(detail.get("ctx", {}))
