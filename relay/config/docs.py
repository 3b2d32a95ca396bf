"""Writes docs/SETTINGS.md and .env.example from the tree of settings: `python -m relay.config.docs`.

Both files are generated, so that they contain every setting with its default and its meaning; a test fails when they
are outdated.
"""

from __future__ import annotations

import json
import sys
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, NamedTuple, Union, get_args, get_origin

from pydantic.fields import FieldInfo

from relay.config.settings import SECRET_KEYS, Settings


class Chapter(NamedTuple):
    """A chapter of the page: the settings from `first` up to the first one of the next chapter."""

    first: str
    title: str
    text: str


GROUPS = (
    Chapter(
        "bind_host",
        "Where the servers listen and find each other",
        "The defaults suit one machine. Leave `bind_host` alone unless another machine must reach a server directly; "
        "a tunnel or proxy on the same machine does not need it.",
    ),
    Chapter(
        "database_url",
        "Storage",
        "SQLite needs no setup. PostgreSQL is for more than one machine.",
    ),
    Chapter(
        "llm_source",
        "The model",
        "With `auto`, OpenRouter if its key is set; otherwise a local server that answers (Ollama first); "
        "otherwise, in try-out mode, the demo source.",
    ),
    Chapter(
        "twilio_account_sid",
        "Twilio",
        "From the first page of Twilio's console. [SMS_SETUP_GUIDE.md](SMS_SETUP_GUIDE.md) explains how.",
    ),
    Chapter(
        "telegram_bot_token",
        "Telegram",
        "The token alone is enough. [TELEGRAM_SETUP_GUIDE.md](TELEGRAM_SETUP_GUIDE.md) explains how.",
    ),
    Chapter(
        "admin_token",
        "People and the relay",
        "Who has access, how long things may take, and how much is handled at once.",
    ),
    Chapter(
        "log_dir",
        "Logs and modes",
        "Every server logs to stderr; the launcher shows all of them in one stream.",
    ),
)

_PAGE_HEAD = """# Settings

<!-- Generated from relay/config/settings.py by `make format`. Change it there. -->

To try the product, you need not set anything. A setting can be written in three places; the first that has it wins:

1. the environment: `SMS_SERVER_PORT=9040`
2. the file `.env` in the project folder, one such line per setting ([.env.example](../.env.example) has them all)
3. the file `config.json` in the project folder: `{"sms_server_port": 9040}`

An empty value counts as not set. An unknown key or an invalid value is refused at the start with a message that says
what to do; `python start_all_servers.py --check` shows it without starting anything. Changes take effect at the next
start; only the LLM server picks up changes in `.env` and `config.json` within two seconds, so a new model or key needs
no restart.

A setting may also be read from a file: `ADMIN_TOKEN_FILE=/run/secrets/admin` takes the value of `admin_token` from
there. The settings marked secret never appear in a log, an error, a status or a page.
"""

_ENV_HEAD = """# Copy this file to .env and remove the # from the lines that you change. Everything has a default.
# Generated from relay/config/settings.py by `make format`. More explanations: docs/SETTINGS.md
"""


def settings_page() -> str:
    """The text of docs/SETTINGS.md."""
    chapters = []
    for group, keys in grouped():
        rows = [_row(key, Settings.model_fields[key]) for key in keys]
        table = "\n".join(["| setting | environment | default | meaning |", "|---|---|---|---|", *rows])
        chapters.append(f"\n## {group.title}\n\n{group.text}\n\n{table}\n")
    return _PAGE_HEAD + "".join(chapters)


def env_example() -> str:
    """The text of .env.example: every setting with its default, commented out."""
    chapters = []
    for group, keys in grouped():
        lines = [f"# {_meaning(key)}\n#{key.upper()}={_plain_default(Settings.model_fields[key])}" for key in keys]
        chapters.append(f"\n# ---- {group.title}\n\n" + "\n".join(lines) + "\n")
    return _ENV_HEAD + "".join(chapters)


def grouped() -> Iterator[tuple[Chapter, list[str]]]:
    """Each chapter with its settings, in the order of the tree."""
    keys = list(Settings.model_fields)
    starts = [keys.index(group.first) for group in GROUPS] + [len(keys)]
    for group, start, end in zip(GROUPS, starts, starts[1:], strict=False):
        yield group, keys[start:end]


def _row(key: str, field: FieldInfo) -> str:
    default = _plain_default(field)
    shown = f"`{default}`" if default else "-"
    meaning = _meaning(key).replace("|", "\\|").replace("<", "&lt;")
    return f"| `{key}` | `{key.upper()}` | {shown} | {meaning} |"


def _meaning(key: str) -> str:
    """The description, with the choices, the limits and the secrecy that the type knows."""
    field = Settings.model_fields[key]
    notes = [*_choices(field), *_limits(field), *(["secret"] if key in SECRET_KEYS else [])]
    return f"{field.description}" + (f" ({'; '.join(notes)})" if notes else "")


def _choices(field: FieldInfo) -> Iterator[str]:
    if get_origin(field.annotation) is Literal:
        yield "one of " + ", ".join(get_args(field.annotation))
    elif bool in _alternatives(field):
        yield "true or false"


def _alternatives(field: FieldInfo) -> tuple[Any, ...]:
    union = get_origin(field.annotation) in {Union, types.UnionType}
    return get_args(field.annotation) if union else (field.annotation,)


def _limits(field: FieldInfo) -> Iterator[str]:
    if not {int, float}.intersection(_alternatives(field)):
        return
    found = {name: getattr(item, name) for item in field.metadata for name in ("ge", "gt", "le") if hasattr(item, name)}
    low = found.get("ge", found.get("gt"))
    more = "more than " if "gt" in found else ""
    if low is not None and "le" in found:
        yield f"{more}{low:,} to {found['le']:,}"
    elif low is not None:
        yield f"{more}{low:,}" if more else f"{low:,} or more"


def _plain_default(field: FieldInfo) -> str:
    """The default as one would write it into .env."""
    default = field.default
    if default is None:
        return ""
    if isinstance(default, bool):
        return str(default).lower()
    if isinstance(default, (tuple, list)):
        return ",".join(map(str, default))
    if isinstance(default, dict):
        return json.dumps(default) if default else ""
    return f"{default:g}" if isinstance(default, float) else str(default)


def main() -> None:
    folder = Path(__file__).resolve().parents[2]
    for path, text in ((folder / "docs" / "SETTINGS.md", settings_page()), (folder / ".env.example", env_example())):
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")
            sys.stdout.write(f"{path.relative_to(folder)} was updated\n")


if __name__ == "__main__":
    main()
