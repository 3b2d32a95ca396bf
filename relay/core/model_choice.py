"""Which model a user has chosen among those that the operator allows."""

from __future__ import annotations

from collections.abc import Iterable
from fnmatch import fnmatchcase
from typing import Final

from relay.config.settings import Settings
from relay.core.messages import User

DEFAULT_MODEL: Final = "default"
MODEL: Final = "model"
"""Key in the settings of a user; missing or empty for the default."""


def chosen_model(user: User | None, settings: Settings) -> str:
    """The model for the questions of this user; the default when the choice is not allowed any more."""
    name = (user.settings or {}).get(MODEL) if user is not None else None
    return name if isinstance(name, str) and is_allowed(name, settings) else DEFAULT_MODEL


def is_allowed(name: str, settings: Settings) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in settings.user_models)


def allowed(names: Iterable[str], settings: Settings) -> list[str]:
    """Those of the offered models that may be chosen, the default first."""
    return [DEFAULT_MODEL, *sorted({name for name in names if name != DEFAULT_MODEL and is_allowed(name, settings)})]
