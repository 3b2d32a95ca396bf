"""Reads the sources of settings: config.json, .env, the environment, and files named by KEY_FILE.

Checks names, not values. Raises SettingsError with one sentence of advice.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from dotenv import dotenv_values
from dotenv.parser import Binding, parse_stream

from relay.config.errors import SettingsError

Values = dict[str, Any]


def read_sources(folder: Path, environ: Mapping[str, str], known: Collection[str]) -> list[tuple[str, Values]]:
    """Name and values of each source, lowest precedence first; empty values count as not set."""
    config, dotenv = (
        _read(folder / "config.json", _parse_json),
        _read(folder / ".env", partial(_parse_dotenv, known=known)),
    )
    _refuse_unknown_keys(config, "config.json", known, str)
    _refuse_unknown_keys(dotenv, ".env", known, str.upper)
    ours = {key.lower(): value for key, value in environ.items() if key == key.upper()}
    ours = {key: value for key, value in ours.items() if key in known or _file_key(key, known)}
    sources = {"config.json": config, ".env": dotenv, "the environment": ours}
    return [(name, _with_files(values, name, known)) for name, values in sources.items()]


def _read(path: Path, parse: Callable[[Path], Values]) -> Values:
    """The values of a file; none when it does not exist."""
    try:
        return parse(path) if path.exists() or path.is_symlink() else {}
    except (OSError, UnicodeDecodeError) as error:
        message = f"{path.name} cannot be read: {why_unreadable(error)}. Make it a readable UTF-8 file, or remove it."
        raise SettingsError(message) from None


def why_unreadable(error: OSError | UnicodeDecodeError) -> str:
    """The reason in words that fit behind a colon."""
    if isinstance(error, UnicodeDecodeError):
        number = error.object[: error.start].count(b"\n") + 1
        return f"line {number} has characters of another encoding than UTF-8"
    return (error.strerror or str(error)).lower()


def odd_files(folder: Path) -> Iterator[str]:
    """A sentence for each thing in the folder that is read otherwise than its owner may think."""
    if (folder / ".env").exists():
        for name, lines in _set_again(folder / ".env").items():
            yield f".env sets {name} in the lines {', '.join(map(str, lines))}; the last of them counts"
        return
    for name in (".env.txt", "env", "env.txt", ".env.env"):
        if (folder / name).is_file():
            yield f"there is a file {name}, which is not read: the settings belong into one called .env"


def _set_again(path: Path) -> dict[str, list[int]]:
    """The lines of each name that has more than one value."""
    values: dict[str, dict[str, int]] = {}
    with path.open(encoding="utf-8-sig") as lines:
        for line in parse_stream(lines):
            if line.key and line.value:
                values.setdefault(line.key.upper(), {})[line.value] = _number(line)
    return {name: sorted(found.values()) for name, found in values.items() if len(found) > 1}


def _parse_json(path: Path) -> Values:
    try:
        values = json.loads(path.read_text(encoding="utf-8-sig") or "{}")
    except json.JSONDecodeError as error:
        raise SettingsError(
            f"{path.name} is not valid JSON in line {error.lineno}, column {error.colno}. Look for a missing comma, "
            'a missing ", a comma after the last entry, or a remark, which JSON does not have.'
        ) from None
    if not isinstance(values, dict):
        raise SettingsError(f'{path.name} must be one JSON object, such as {{"llm_source": "ollama"}}.')
    return values


def _parse_dotenv(path: Path, known: Collection[str]) -> Values:
    with path.open(encoding="utf-8-sig") as lines:
        mistakes = [_line_mistake(line, known) for line in parse_stream(lines) if line.error or _has_no_value(line)]
    if mistakes:
        raise SettingsError("\n".join(mistakes))
    return {key.lower(): value for key, value in dotenv_values(path, encoding="utf-8-sig").items() if value}


def _has_no_value(line: Binding) -> bool:
    return line.key is not None and line.value is None


def _line_mistake(line: Binding, known: Collection[str]) -> str:
    """A sentence about a line that is no NAME=value; the line itself is not repeated, it may hold a secret."""
    text = line.original.string
    number = _number(line)
    if "=" in text:
        return f".env, line {number} cannot be read. Look for a quote that is not closed, or a space in the name."
    name = re.split(r"\W", text.strip().removeprefix("export ").lstrip(), maxsplit=1)[0]
    example = name.upper() if name.lower() in known else "NAME"
    return f".env, line {number} has no =. Write {example}=value, or put a # before it if it is a remark."


def _number(line: Binding) -> int:
    """The number of a line; blank lines before it belong to it."""
    text = line.original.string
    return line.original.line + text[: len(text) - len(text.lstrip())].count("\n")


def _refuse_unknown_keys(values: Values, source: str, known: Collection[str], shown: Callable[[str], str]) -> None:
    """Raise SettingsError for unknown keys, each with the most similar known one, both as `shown` makes them."""
    mistakes = []
    for key in values:
        if key not in known and not _file_key(key, known):
            near = difflib.get_close_matches(key.lower(), known, n=1, cutoff=0.6)
            advice = f"Did you mean {shown(near[0])}?" if near else "The known settings are in docs/SETTINGS.md."
            mistakes.append(f"{source}: there is no setting called {shown(key)}. {advice}")
    if mistakes:
        raise SettingsError("\n".join(mistakes))


def _file_key(key: str, known: Collection[str]) -> str | None:
    """The setting that KEY_FILE names a file for."""
    name = key.lower().removesuffix("_file")
    return name if name != key.lower() and key.lower() not in known and name in known else None


def _with_files(values: Values, source: str, known: Collection[str]) -> Values:
    """The values that are not empty, those of KEY_FILE replaced by the content of the file."""
    plain = {key.lower(): value for key, value in values.items() if not _file_key(key, known)}
    for key, value in values.items():
        name = _file_key(key, known)
        if name is not None and value:
            try:
                plain[name] = Path(str(value)).read_text(encoding="utf-8").strip()
            except (OSError, UnicodeDecodeError) as error:
                why = why_unreadable(error)
                message = f"{source}: {key.upper()} names a file that cannot be read: {value}: {why}."
                raise SettingsError(message) from None
    return {key: value for key, value in plain.items() if value not in ("", None)}
