"""What a model server's JSON says, taken as the type that its documentation promises.

Whatever has another type counts as not said, so that a careless server costs a detail and never the answer.
"""

from __future__ import annotations

import math
from typing import Any

import orjson


def as_dict(value: Any) -> dict[str, Any]:
    """An object; empty when it is none."""
    return value if isinstance(value, dict) else {}


def as_dicts(value: Any) -> list[dict[str, Any]]:
    """The objects of a list; none when it is no list."""
    return [row for row in value if isinstance(row, dict)] if isinstance(value, list) else []


def as_text(value: Any) -> str:
    """A text; empty when it is none."""
    return value if isinstance(value, str) else ""


def as_int(value: Any) -> int:
    """A number of tokens or nanoseconds; 0 when it is none, or below 0."""
    number = as_amount(value)
    return int(number) if number else 0


def as_amount(value: Any) -> float | None:
    """Money, or another quantity; None when it is no number, or below 0."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    return float(value) if math.isfinite(value) and value >= 0 else None


def as_number(value: Any) -> float | None:
    """A number, or one as text; None when it is neither, or not finite."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    try:
        found = float(value)
    except (ValueError, OverflowError):
        return None
    return found if math.isfinite(found) else None


def as_arguments(value: Any) -> dict[str, Any] | None:
    """What a function is called with: an object, or one as JSON text; empty when nothing is said, None for the rest."""
    if isinstance(value, str) and value.strip():
        try:
            value = orjson.loads(value)
        except orjson.JSONDecodeError:
            return None
    return value if isinstance(value, dict) else None if value else {}
