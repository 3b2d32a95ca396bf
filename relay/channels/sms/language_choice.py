"""Texts by which a person chooses the language of ours: "language=de", "Sprache Englisch", or the word alone."""

from __future__ import annotations

import re

from relay.texts.languages import AUTOMATIC, language_named

_WORDS = "language|lang|sprache|idioma|lengua|langue|l[ií]ngua|язык|мова|语言|語言|اللغة|لغة|भाषा"
_COMMAND = re.compile(rf"\W*(?:{_WORDS})(?!\w)\s*(?P<sign>[=:]?)\s*(?P<name>[^=\n]*?)\s*[.!?]?\s*", re.IGNORECASE)

UNKNOWN = ""
"""A language is asked for that is not offered, or none is named: a list of them is the answer."""


def language_choice(text: str) -> str | None:
    """The code of the language that the whole text asks for, AUTOMATIC, or UNKNOWN; None for every other text.

    Without a sign behind the word the name must be one of ours: "language school" is a question.
    """
    found = _COMMAND.fullmatch(text)
    if found is None:
        return None
    name = found["name"].casefold()
    choice = AUTOMATIC if name == AUTOMATIC else language_named(name)
    return choice or (UNKNOWN if found["sign"] or not name else None)
