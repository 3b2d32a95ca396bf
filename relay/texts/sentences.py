"""Words our sentences in the language of a person: one file of Fluent messages each (https://projectfluent.org).

A language is offered when this folder has its file, named by its code (ISO 639-1); `en.ftl` is the model of the others.
"""

from __future__ import annotations

import re
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

from babel import Locale, localedata
from fluent.runtime import FluentBundle
from fluent.runtime.types import fluent_number
from fluent.syntax import FluentParser

from relay.texts import ENGLISH

_FOLDER = Path(__file__).parent
_BEGINNING = re.compile(r"^(?=[a-zA-Z][\w-]* *=)", re.MULTILINE)
_REFERENCE = re.compile(r"{\s*([a-zA-Z][\w-]*)\s*}")
_UNUSED = (
    *("unit_patterns", "unit_display_names", "compound_unit_patterns", "territories", "languages", "scripts"),
    *("currency_names", "currency_names_plural", "currency_symbols", "time_zones", "meta_zones", "date_fields"),
    *("interval_formats", "datetime_skeletons"),
)
"""What our sentences need nothing of in babel's data of a language: most of its megabyte."""


@cache
def offered_languages() -> tuple[str, ...]:
    """The codes of the languages that have a file, English first."""
    others = {path.stem for path in _FOLDER.glob("*.ftl")} - {ENGLISH}
    return (ENGLISH, *sorted(others))


def localize(key: str, language: str, **values: str | int) -> str:
    """A sentence of ours in a language; in English where the language is not offered.

    The values are inserted as they are, so a value within Markdown is escaped by the caller. In a language written from
    right to left each is isolated (U+2068, U+2069), so that a name of another direction does not reorder the sentence.
    Raises KeyError for an unknown key.
    """
    return _formatted(key, language, tuple(values.items()))


@lru_cache(maxsize=1024)
def _formatted(key: str, language: str, values: tuple[tuple[str, str | int], ...]) -> str:
    language = language if language in offered_languages() else ENGLISH
    bundle = _bundle(language)
    _load(key, language)
    pattern = bundle.get_message(key).value
    if pattern is None:
        raise KeyError(key)
    shown = {name: _shown(value) for name, value in values}
    text, errors = bundle.format_pattern(pattern, shown)
    if errors:
        raise errors[0]
    return str(text)


def has_sentence(key: str, language: str) -> bool:
    """Whether the file of an offered language has this key; some are needed in few languages."""
    return key in _entries(language)


def _shown(value: str | int) -> object:
    """A number as it is compared with the plural forms, and written without marks between its digits."""
    return fluent_number(value, useGrouping=False) if isinstance(value, int) else value


def _left_to_right(text: Any) -> Any:
    """The function LTR of the files: Fluent isolates the result of a function, as it does a value."""
    return text


@cache
def _bundle(language: str) -> FluentBundle:
    """The sentences of one language, as far as they are loaded."""
    data = localedata.load(language)  # kept by babel as long as the process runs
    for unused in _UNUSED:
        data.pop(unused, None)
    is_right_to_left = Locale(language).text_direction == "rtl"
    return FluentBundle([language], functions={"LTR": _left_to_right}, use_isolating=is_right_to_left)


@cache
def _entries(language: str) -> dict[str, str]:
    """The source of each sentence of one language by its key."""
    source = (_FOLDER / f"{language}.ftl").read_text(encoding="utf-8")
    return {entry.partition("=")[0].rstrip(): entry for entry in _BEGINNING.split(source)[1:]}


def _load(key: str, language: str) -> None:
    """Parse a sentence and those that it refers to, when it is first used: a whole file would take 0.1 s."""
    bundle = _bundle(language)
    if not bundle.has_message(key):
        entry = _entries(language)[key]
        bundle.add_resource(FluentParser(with_spans=False).parse(entry))
        for other in _REFERENCE.findall(entry):
            _load(other, language)
