"""Reads fields of an update, none of which is trusted: one of the wrong type raises PayloadError."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, TypeVar

from relay.core.errors import PayloadError

T = TypeVar("T")

_KIND_NAMES: Final[Mapping[type, str]] = {int: "a whole number", str: "a text", dict: "an object"}


def is_integer(value: Any) -> bool:
    """Ids have at most 52 significant bits: https://core.telegram.org/bots/api#chat"""
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) < 1 << 63


def required(source: Mapping[str, Any], key: str, kind: type[T]) -> T:
    """The value of a field. Raises PayloadError when it is missing or of another type."""
    value = source.get(key)
    if not isinstance(value, kind) or (kind is int and not is_integer(value)):
        raise PayloadError(f"{key} is missing or is not {_KIND_NAMES[kind]}")
    return value


def optional(source: Mapping[str, Any], key: str, kind: type[T]) -> T | None:
    """The same, and None for a field that is missing or null."""
    return None if source.get(key) is None else required(source, key, kind)


def objects(value: Any) -> list[dict[str, Any]]:
    """The objects of a list, and nothing of any other value."""
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def object_at(source: Mapping[str, Any], key: str) -> dict[str, Any]:
    """The object in a field that only adds to a message; empty when it is none."""
    value = source.get(key)
    return value if isinstance(value, dict) else {}


def text_at(source: Mapping[str, Any], key: str) -> str:
    """The text in a field that only adds to a message; empty when it is none."""
    value = source.get(key)
    return value if isinstance(value, str) else ""
