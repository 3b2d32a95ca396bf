"""Validation of user names, the same on every channel.

Any script, 1 to a given number of characters, nothing that could break a line or turn the text around, and no word
that the channel reserves. The prompt for a name and the reserved words belong to the channel.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Collection

from relay.core.errors import RelayError
from relay.texts import ENGLISH
from relay.texts.sentences import localize

DEFAULT_MAX_LENGTH = 50

# Cc: control, Cs: half a character, Co: private use, Zl and Zp: line and paragraph separators.
_FORBIDDEN_CATEGORIES = frozenset({"Cc", "Cs", "Co", "Zl", "Zp"})
# They turn the writing direction around for whatever is written after the name.
_DIRECTION_MARKS = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
_UNREADABLE = "\ufffd"  # what stands in for characters that came in broken
# Letters by category, yet they show nothing at all: fillers of Hangul, the blank of Braille.
_BLANKS = frozenset("\u115f\u1160\u3164\uffa0\u2800")
_PUNCTUATION = " .,!?;:\"'()[]*_-\u2018\u2019\u201c\u201d"


class NameRefused(RelayError):
    """A name was not accepted; the text is the reason in English, `reason` words it for the user.

    key: of the sentence. values: of its variables.
    """

    def __init__(self, key: str, **values: str | int) -> None:
        super().__init__(localize(key, ENGLISH, **values))
        self._key = key
        self._values = values

    def reason(self, language: str) -> str:
        return localize(self._key, language, **self._values)


def valid_name(text: str, max_length: int = DEFAULT_MAX_LENGTH, *, reserved: Collection[str] = ()) -> str:
    """The name as it is kept: trimmed and composed (NFC). Raises NameRefused.

    reserved: words in lower case that cannot be a name by themselves, with or without punctuation around them.
    """
    name = unicodedata.normalize("NFC", text.strip())
    if not any(_shows(char) for char in name):
        raise NameRefused("name-empty")
    if len(name) > max_length:
        raise NameRefused("name-too-long", limit=max_length)
    if any(unicodedata.category(char) in _FORBIDDEN_CATEGORIES or char in _DIRECTION_MARKS for char in name):
        raise NameRefused("name-not-one-line")
    if _UNREADABLE in name:
        raise NameRefused("name-damaged")
    if name.strip(_PUNCTUATION).casefold() in reserved:
        raise NameRefused("name-reserved", name=name)
    return name


def name_or_none(text: str | None, max_length: int = DEFAULT_MAX_LENGTH) -> str | None:
    """A name that a provider reports, made to fit our rule: cut and cleaned, or None when nothing is left of it."""
    allowed = "".join(
        char
        for char in text or ""
        if unicodedata.category(char) not in _FORBIDDEN_CATEGORIES and char not in {*_DIRECTION_MARKS, _UNREADABLE}
    )
    try:
        return valid_name(allowed.strip()[:max_length], max_length)
    except NameRefused:
        return None


def _shows(char: str) -> bool:
    """Whether a reader sees anything: letters, digits, emoji; not blanks and not invisible joiners."""
    return unicodedata.category(char)[0] not in "ZCPM" and char not in _BLANKS
