"""Buttons with the names of models, below the list of those that a person may choose."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Any, Final

MODEL_PRESSED: Final = "model"
MAX_DATA: Final = 64
"""Bytes of what a button sends back: https://core.telegram.org/bots/api#inlinekeyboardbutton"""
_LABELLED: Final = f"{MODEL_PRESSED}="
_HASH_DIGITS: Final = 32
_NO_NAME: Final = frozenset(",\n")
"""What separates the names of a part's buttons."""


def model_buttons(models: Iterable[str]) -> tuple[str, ...]:
    """Names of buttons for a part."""
    return tuple(f"{_LABELLED}{name}" for name in models if not _NO_NAME & set(name))


def rows(buttons: Iterable[str]) -> list[list[dict[str, Any]]]:
    """The keyboard of those buttons that name a model, one a row."""
    names = (button.removeprefix(_LABELLED) for button in buttons if button.startswith(_LABELLED))
    return [[{"text": name, "callback_data": f"{MODEL_PRESSED}:{_sent(name)}"}] for name in names]


def pressed_model(sent: str, offered: Iterable[str]) -> str | None:
    """The offered model whose button sends this; None for one that is not offered any more."""
    return next((name for name in offered if _sent(name) == sent), None)


def _sent(name: str) -> str:
    """The name, or a hash of one that is too long."""
    fits = len(f"{MODEL_PRESSED}:{name}".encode()) <= MAX_DATA
    return name if fits else hashlib.sha256(name.encode()).hexdigest()[:_HASH_DIGITS]
