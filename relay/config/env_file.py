"""Changes values in the text of a .env and writes the file: in one step, readable by its owner alone.

dotenv.set_key writes one key at a time, drops the blank lines above it and the remark behind it, and keeps a mode that
lets others read the file; its parser is used here.
"""

from __future__ import annotations

import io
import os
import re
from collections.abc import Mapping
from pathlib import Path
from tempfile import NamedTemporaryFile

from dotenv import dotenv_values
from dotenv.parser import Binding, parse_stream

from relay.config.errors import SettingsError

_PLAIN = re.compile(r"[\w@%+=:,./-]+", re.ASCII)
"""Values that need no quotes."""


def read_env(folder: Path) -> str:
    """The text of the folder's .env, with its line ends; empty without one. Raises OSError, UnicodeDecodeError."""
    path = folder / ".env"
    if not path.exists():
        return ""
    with path.open(encoding="utf-8-sig", newline="") as file:
        return file.read()


def with_values(text: str, changes: Mapping[str, str | None]) -> str:
    """The text with these values by setting; None removes one. All other lines, remarks and their order stay.

    A new setting is written below its example (`#KEY=`), without one at the end. Raises SettingsError for a value that
    .env cannot hold.
    """
    rows = list(parse_stream(io.StringIO(text)))
    end = "\r\n" if "\r\n" in text else "\n"
    places = _places(rows, changes)
    lines: list[str] = []
    for index, row in enumerate(rows):
        key = (row.key or "").lower()
        if key not in changes:
            lines.append(row.original.string)
        elif (value := changes[key]) is not None and places.get(key) == index:
            lines.append(_replaced(row, _assignment(key, value), end))
        # Every other line of a changed key goes: it would come into force again if the one that counts were removed.
        for below in (one for one, place in places.items() if place == index and one != key):
            lines.append(_on_own_line(lines, _assignment(below, changes[below] or ""), end))
    for key, value in changes.items():
        if value is not None and key not in places:
            lines.append(_on_own_line(lines, _assignment(key, value), end))
    written = "".join(lines)
    _refuse_altered(written, changes)
    return written


def write_env(folder: Path, text: str) -> None:
    """Replace the folder's .env, or the file that it links to; on return it is on the disk. Raises OSError."""
    path = Path(os.path.realpath(folder / ".env"))
    options = {"dir": path.parent, "prefix": ".env.", "encoding": "utf-8", "newline": "", "delete": False}
    with NamedTemporaryFile("w", **options) as file:  # type: ignore[call-overload]  # (its mode is 0600)
        try:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
            os.replace(file.name, path)  # noqa: PTH105 (a name, not a Path)
        except BaseException:
            Path(file.name).unlink(missing_ok=True)
            raise


def _places(rows: list[Binding], changes: Mapping[str, str | None]) -> dict[str, int]:
    """The row of each setting that is written: its last one, which counts, or else that of its example."""
    places: dict[str, int] = {}
    for index, row in enumerate(rows):
        example = re.match(r"\s*#\s*(\w+)=", row.original.string) if row.key is None else None
        if example and (key := example[1].lower()) in changes and changes[key] is not None:
            places.setdefault(key, index)
    for index, row in enumerate(rows):
        if row.key and row.key.lower() in changes:
            places[row.key.lower()] = index
    return places


def _assignment(key: str, value: str) -> str:
    if _PLAIN.fullmatch(value):
        return f"{key.upper()}={value}"
    escaped = value.replace("\\", "\\\\").replace("'", "\\'")
    return f"{key.upper()}='{escaped}'"


def _replaced(row: Binding, assignment: str, end: str) -> str:
    """The row with another assignment; blank lines above it, `export` and the remark behind it stay."""
    text = row.original.string
    lead = re.match(r"\s*(?:export[^\S\r\n]+)?", text)
    return (lead[0] if lead else "") + assignment + _remark(row) + end


def _remark(row: Binding) -> str:
    """The remark behind a value: the longest one without which the value is the same."""
    text = row.original.string.rstrip("\r\n")
    for match in re.finditer(r"[^\S\r\n]+#", text):
        alone = next(iter(parse_stream(io.StringIO(text[: match.start()]))), None)
        if alone and not alone.error and alone.value == row.value:
            return text[match.start() :]
    return ""


def _on_own_line(lines: list[str], assignment: str, end: str) -> str:
    lead = end if lines and not lines[-1].endswith(("\n", "\r")) else ""
    return lead + assignment + end


def _refuse_altered(text: str, changes: Mapping[str, str | None]) -> None:
    """Raise SettingsError unless every value is read as it was given: ${NAME} would be replaced when it is read."""
    read = {key.lower(): value for key, value in dotenv_values(stream=io.StringIO(text)).items()}
    for key, value in changes.items():
        if read.get(key) != value:
            raise SettingsError(f"{key} cannot be kept in .env: {_why_altered(value or '')}.")


def _why_altered(value: str) -> str:
    return "${...} in it stands for another setting there" if "${" in value else "it holds characters that .env changes"
