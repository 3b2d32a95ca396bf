"""Reads values of a provider's JSON as the documented type.

A value of another type counts as absent, so that a careless server costs a detail and never the answer.
"""

from __future__ import annotations

import math
from typing import Any

import orjson

MAX_INT = 2**53
"""The largest integer that every JSON parser keeps exactly."""


def as_dict(value: Any) -> dict[str, Any]:
    """An object; empty for any other type."""
    return value if isinstance(value, dict) else {}


def as_dicts(value: Any) -> list[dict[str, Any]]:
    """The objects in a list; empty for any other type."""
    return [row for row in value if isinstance(row, dict)] if isinstance(value, list) else []


def as_text(value: Any) -> str:
    """A string; empty for any other type."""
    return value if isinstance(value, str) else ""


def as_int(value: Any) -> int:
    """A count; 0 for negative numbers, for those above MAX_INT (an unsigned -1), and for any other type."""
    number = as_amount(value)
    return int(number) if number and number <= MAX_INT else 0


def as_amount(value: Any) -> float | None:
    """A finite number of at least 0; None for anything else."""
    number = None if isinstance(value, str) else as_number(value)
    return number if number is not None and number >= 0 else None


def as_vectors(rows: Any, count: int) -> list[list[float]] | None:
    """`count` vectors of one length, without any that is empty or no vector; None for anything else."""
    if not isinstance(rows, list) or len(rows) != count:
        return None
    vectors = [row for row in rows if isinstance(row, list) and row and all(map(_is_finite, row))]
    return vectors if len(vectors) == count and len(set(map(len, vectors))) == 1 else None


def _is_finite(value: Any) -> bool:
    return isinstance(value, (int, float)) and math.isfinite(value)


def as_number(value: Any) -> float | None:
    """A finite number, or one as text; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    try:
        found = float(value)
    except (ValueError, OverflowError):
        return None
    return found if math.isfinite(found) else None


def as_arguments(value: Any) -> dict[str, Any] | None:
    """Tool-call arguments: an object or JSON text of one; empty when absent, None for anything else."""
    if isinstance(value, str) and value.strip():
        try:
            value = orjson.loads(value)
        except orjson.JSONDecodeError:
            return None
    return value if isinstance(value, dict) else None if value else {}
