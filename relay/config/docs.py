"""The texts of docs/SETTINGS.md and .env.example, made from the settings themselves.

Every setting is in both with its default and its meaning. relay.launcher.settings_docs writes the files.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from typing import Any, NamedTuple

from relay.config.loading import descriptions
from relay.config.settings import Settings


class Chapter(NamedTuple):
    """A chapter of the page: the settings from `first` up to the first one of the next chapter."""

    first: str
    title: str
    text: str


COMMON_CHAPTERS = (
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
        "instructions",
        "Who the AI is, and what it knows",
        "Changes take effect with the next question, without a restart. See [KNOWLEDGE.md](KNOWLEDGE.md).",
    ),
    Chapter(
        "media_folder",
        "Pictures, voice messages and documents",
        "What people send besides text is fetched from the provider when it is answered. See [MEDIA.md](MEDIA.md).",
    ),
    Chapter(
        "admin_token",
        "People and the relay",
        "Who has access, how long things may take, and how much is handled at once.",
    ),
    Chapter(
        "alert_urls",
        "Alerts",
        "Operators are called once when something begins and once when it is over. They need the console to run.",
    ),
    Chapter(
        "log_dir",
        "Logs and modes",
        "Every server logs to stderr; the launcher shows all of them in one stream.",
    ),
)

_PAGE_HEAD = """# Settings

<!-- Generated from the settings in relay/config/ and relay/channels/ by `make format`. Change it there. -->

To try the product, you need not set anything. A setting can be written in three places; the first that has it wins:

1. the environment: `SMS_SERVER_PORT=9040`
2. the file `.env` in the project folder, one such line per setting ([.env.example](../.env.example) has them all)
3. the file `config.json` in the project folder: `{"sms_server_port": 9040}`

An empty value counts as not set. An unknown key or an invalid value is refused at the start with a message that says
what to do; `make doctor` shows it without starting anything. Changes take effect at the next
start; only the LLM server picks up changes in `.env` and `config.json` within two seconds, so a new model or key needs
no restart.

A setting may also be read from a file: `ADMIN_TOKEN_FILE=/run/secrets/admin` takes the value of `admin_token` from
there. The settings marked secret never appear in a log, an error, a status or a page.
"""

_ENV_HEAD = """# Copy this file to .env and remove the # from the lines that you change. Everything has a default.
# Generated from the settings in the code by `make format`. More explanations: docs/SETTINGS.md
"""


def settings_page(kind: type[Settings], chapters: Iterable[Chapter]) -> str:
    """The text of docs/SETTINGS.md."""
    text = _PAGE_HEAD
    for chapter, keys in by_chapter(kind, chapters):
        rows = [_row(kind, key) for key in keys]
        table = "\n".join(["| setting | environment | default | meaning |", "|---|---|---|---|", *rows])
        text += f"\n## {chapter.title}\n\n{chapter.text}\n\n{table}\n"
    return text


def env_example(kind: type[Settings], chapters: Iterable[Chapter]) -> str:
    """The text of .env.example: every setting with its default, commented out."""
    text = _ENV_HEAD
    for chapter, keys in by_chapter(kind, chapters):
        lines = [f"# {_meaning(kind, key)}\n#{key.upper()}={_default(kind, key)}" for key in keys]
        text += f"\n# ---- {chapter.title}\n\n" + "\n".join(lines) + "\n"
    return text


def by_chapter(kind: type[Settings], chapters: Iterable[Chapter]) -> Iterator[tuple[Chapter, list[str]]]:
    """Each chapter with its settings, in the order of `kind`."""
    keys, listed = list(kind.model_fields), list(chapters)
    starts = [keys.index(chapter.first) for chapter in listed] + [len(keys)]
    for chapter, start, end in zip(listed, starts, starts[1:], strict=False):
        yield chapter, keys[start:end]


def _row(kind: type[Settings], key: str) -> str:
    default = _default(kind, key)
    shown = f"`{default}`" if default else "-"
    meaning = _meaning(kind, key).replace("|", "\\|").replace("<", "&lt;")
    return f"| `{key}` | `{key.upper()}` | {shown} | {meaning} |"


def _meaning(kind: type[Settings], key: str) -> str:
    """The description, with the choices, limits and secrecy of the type."""
    notes = "; ".join(_notes(_schemas(kind)[key]))
    return descriptions(kind)[key] + (f" ({notes})" if notes else "")


@cache
def _schemas(kind: type[Settings]) -> dict[str, dict[str, Any]]:
    properties: dict[str, dict[str, Any]] = kind.model_json_schema()["properties"]
    return properties


def _notes(schema: Mapping[str, Any]) -> Iterator[str]:
    schema = schema.get("anyOf", [schema])[0]  # of a setting without a default: its type, or null
    low, above, high = (schema.get(limit) for limit in ("minimum", "exclusiveMinimum", "maximum"))
    if "enum" in schema:
        yield "one of " + ", ".join(schema["enum"])
    elif schema.get("type") == "boolean":
        yield "true or false"
    elif high is not None:
        yield f"{low:,} to {high:,}" if above is None else f"more than {above:,} to {high:,}"
    elif low is not None:
        yield f"{low:,} or more"
    if schema.get("format") == "password":
        yield "secret"


def _default(kind: type[Settings], key: str) -> str:
    """The default as one would write it into .env."""
    match _schemas(kind)[key]["default"]:
        case None | {}:
            return ""
        case bool(value):
            return str(value).lower()
        case list(values):
            return ",".join(map(str, values))
        case float(value):
            return f"{value:g}"
        case value:
            return str(value)
