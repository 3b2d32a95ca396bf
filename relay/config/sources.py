"""Reads the sources of settings: config.json, .env, the environment, and files named by KEY_FILE.

Checks names, not values. Raises SettingsError with one sentence of advice.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from dotenv import dotenv_values

from relay.config.errors import SettingsError

Source = tuple[str, dict[str, Any]]


def read_sources(folder: Path, environ: Mapping[str, str], known: Collection[str]) -> list[Source]:
    """Name and values of each source, lowest precedence first; empty values count as not set."""
    return [
        (name, {key: value for key, value in _with_files(found, name, known).items() if value not in ("", None)})
        for name, found in (
            ("config.json", _read_config(folder / "config.json", known)),
            (".env", _read_dotenv(folder / ".env", known)),
            ("the environment", _ours(environ, known)),
        )
    ]


def _read_config(path: Path, known: Collection[str]) -> dict[str, Any]:
    try:
        content = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError) as error:
        msg = f"{path.name} cannot be read: {error}. Make it a readable UTF-8 file, or remove it."
        raise SettingsError(msg) from None
    try:
        values = json.loads(content or "{}")
    except json.JSONDecodeError as error:
        msg = (
            f"{path.name} is not valid JSON: {error.msg} in line {error.lineno}, column {error.colno}. "
            "Look for a missing comma, a missing quote or a comma after the last entry."
        )
        raise SettingsError(msg) from None
    if not isinstance(values, dict):
        msg = f'{path.name} must be one JSON object, such as {{"llm_source": "ollama"}}.'
        raise SettingsError(msg)
    return _checked_keys(values, path.name, known, upper=False)


def _read_dotenv(path: Path, known: Collection[str]) -> dict[str, Any]:
    if not path.exists():
        return {}
    try:
        pairs = dotenv_values(path, encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        msg = f"{path.name} cannot be read: {error}. Make it a readable UTF-8 file, or remove it."
        raise SettingsError(msg) from None
    values = {key.lower(): value for key, value in pairs.items() if value}
    return _checked_keys(values, path.name, known, upper=True)


def _checked_keys(values: dict[str, Any], source: str, known: Collection[str], *, upper: bool) -> dict[str, Any]:
    """Refuse unknown keys and suggest the most similar known one."""
    for key in values:
        if key in known or _file_key(key, known):
            continue
        near = difflib.get_close_matches(key.lower(), known, n=1, cutoff=0.6)
        shown, hint = key.upper() if upper else key, near[0].upper() if upper and near else "".join(near)
        advice = f"Did you mean {hint}?" if near else "The known settings are in docs/SETTINGS.md."
        msg = f"{source}: there is no setting called {shown}. {advice}"
        raise SettingsError(msg)
    return values


def _ours(environ: Mapping[str, str], known: Collection[str]) -> dict[str, Any]:
    """The variables of the environment that are settings; others are ignored."""
    found = {key.lower(): value for key, value in environ.items() if key == key.upper()}
    return {key: value for key, value in found.items() if key in known or _file_key(key, known)}


def _file_key(key: str, known: Collection[str]) -> str | None:
    """The setting that KEY_FILE names a file for."""
    name = key.lower().removesuffix("_file")
    return name if name != key.lower() and key.lower() not in known and name in known else None


def _with_files(values: dict[str, Any], source: str, known: Collection[str]) -> dict[str, Any]:
    """Replace every KEY_FILE by the content of its file."""
    plain = {key.lower(): value for key, value in values.items() if not _file_key(key, known)}
    for key, value in values.items():
        name = _file_key(key, known)
        if name is None or not value:
            continue
        try:
            plain[name] = Path(str(value)).read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            msg = f"{source}: {key.upper()} names a file that cannot be read: {error}."
            raise SettingsError(msg) from None
    return plain
