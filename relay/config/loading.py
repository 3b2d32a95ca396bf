"""Joins the settings of all channels, reads and checks them; a mistake becomes one sentence with the remedy."""

from __future__ import annotations

import ast
import contextlib
import inspect
import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError, create_model

from relay.config.errors import SettingsError
from relay.config.settings import Settings
from relay.config.sources import read_sources
from relay.config.types import CHOSEN, weakness
from relay.config.wording import mistake

S = TypeVar("S", bound=Settings)


def compose(groups: Iterable[type[Settings]]) -> type[Settings]:
    """One class with the settings of all groups, in the order given; a group comes with those that it extends."""
    kinds = dict.fromkeys(groups)
    leaves = [kind for kind in kinds if not any(kind in other.__mro__[1:] for other in kinds)]
    return create_model("AllSettings", __base__=tuple(reversed(leaves)))


@cache
def descriptions(kind: type[Settings]) -> dict[str, str]:
    """The docstring below each setting, read from the source on demand: pydantic would spend 60 ms of a start on it."""
    found: dict[str, str] = {}
    for group in (base for base in kind.__mro__ if issubclass(base, Settings)):
        with contextlib.suppress(OSError):  # a composed class has no source
            statements = ast.parse(inspect.getsource(group)).body[0].body  # type: ignore[attr-defined]  # (of a class)
            for pair in pairwise(statements):
                match pair:
                    case ast.AnnAssign(target=ast.Name(key)), ast.Expr(ast.Constant(str(text))):
                        found[key] = " ".join(text.split())
    return found


def load_settings(kind: type[S], folder: Path | None = None, environ: Mapping[str, str] | None = None) -> S:
    """Read the settings `kind` of the product in `folder` (the current one by default).

    Raises SettingsError with one sentence a mistake: the file, the key, what is wrong, what to write instead.
    """
    folder = folder or Path.cwd()
    environ = os.environ if environ is None else environ
    values: dict[str, Any] = {}
    origin: dict[str, str] = {}
    for source, found in read_sources(folder, environ, kind.model_fields):
        values |= found
        origin |= dict.fromkeys(found, source)
    try:
        settings = kind(**values)
    except ValidationError as error:
        raise SettingsError("\n".join(_sentence(kind, detail, origin) for detail in error.errors())) from None
    if settings.simulated:
        return settings.for_simulator()
    is_public = settings.public_url or settings.tunnel != "off" or settings.console_is_exposed
    if is_public and (weak := [*_weak_tokens(settings, origin)]):
        raise SettingsError("\n".join(weak))
    return settings


def _weak_tokens(settings: Settings, origin: Mapping[str, str]) -> Iterator[str]:
    """A sentence for each token of the operator's choice that is too weak for the internet."""
    for key, info in type(settings).model_fields.items():
        token = getattr(settings, key)
        if CHOSEN in info.metadata and token and (why := weakness(token.get_secret_value())):
            yield (
                f"{origin[key]}: {key} {why}, too weak for the internet. Make a new one with: "
                'python3 -c "import secrets; print(secrets.token_urlsafe(32))"'
            )


def _sentence(kind: type[Settings], detail: Any, origin: Mapping[str, str]) -> str:
    """One mistake in words; the value itself is not repeated, it may be a secret."""
    location, message = detail["loc"], mistake(detail)
    if not location:
        return f"{message}."
    key, place = str(location[0]), ".".join(map(str, location))
    return f"{origin.get(key, 'settings')}: {place} is not valid: {message}. {descriptions(kind).get(key, '')}".strip()


def load_or_exit(kind: type[S]) -> S:
    """The settings for an entry file: on a mistake its sentence goes to stderr and the program ends with status 2."""
    try:
        return load_settings(kind)
    except SettingsError as error:
        print(error, file=sys.stderr)  # noqa: T201 (logging is not set up yet: it needs the settings)
        raise SystemExit(2) from None
