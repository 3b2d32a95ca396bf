"""Text rules of all channels: characters that no provider accepts or that show nothing, and timestamps."""

from __future__ import annotations

import re
import unicodedata
from datetime import UTC, datetime

CHARS_A_TOKEN = 4
"""By which the tokens of a text are estimated that no provider counted."""

_LINE_BREAKS = re.compile("\r\n?|[\u0085\u2028\u2029\v\f]")
_CONTROLS = re.compile("[\x00-\x08\x0e-\x1f\x7f-\x9f]")
_HALF_CHARACTERS = re.compile("[\ud800-\udfff]")
_BETWEEN_WORDS = re.compile(r"[\W_]+")
_SHOW_NOTHING = frozenset({"Zs", "Zl", "Zp", "Cc", "Cf"})
_SHOW_NOTHING_EITHER = frozenset("\u034f\u115f\u1160\u2800\u3164\ufe0e\ufe0f\uffa0\ufffc")
"""Fillers, variation selectors, the braille pattern without dots: a message of them alone is empty for Telegram."""


def strip_controls(text: str) -> str:
    """The text without NUL and other control characters.

    Line breaks become a newline and tabs stay; half characters (lone surrogates) become U+FFFD.
    """
    if text.isprintable():
        return text
    return _HALF_CHARACTERS.sub("\ufffd", _CONTROLS.sub("", _LINE_BREAKS.sub("\n", text)))


def one_line(text: str, max_chars: int) -> str:
    """The text with single spaces for all white space, cut with an ellipsis."""
    flat = " ".join(text.split())
    return flat if len(flat) <= max_chars else flat[: max_chars - 1] + "…"


def is_blank(text: str) -> bool:
    """Whether a reader sees nothing at all: only spaces, controls, joiners, direction marks and fillers."""
    return all(unicodedata.category(char) in _SHOW_NOTHING or char in _SHOW_NOTHING_EITHER for char in text)


def bare_letters(text: str) -> str:
    """The text for comparison: lower case, without accents, compatibility forms and characters that show nothing."""
    if text.isascii():
        return text.lower()
    plain = unicodedata.normalize("NFKD", unicodedata.normalize("NFKC", text).casefold())
    return "".join(char for char in plain if unicodedata.category(char) not in {"Mn", "Cf"})


def folded(text: str) -> str:
    """The words of a text for comparison: lower case, without accents, punctuation, emoji and invisible characters."""
    return _BETWEEN_WORDS.sub(" ", bare_letters(text)).strip()


def caseless(text: str) -> str:
    """The text for comparison, when only case and white space do not matter."""
    return " ".join(text.casefold().split())


def timestamp(seconds: float | None) -> str | None:
    """Seconds since the epoch as RFC 3339 in UTC, the way every answer of ours shows a moment."""
    if seconds is None:
        return None
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
