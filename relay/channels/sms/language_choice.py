"""Texts by which a person chooses the language of ours: "language=de", "Sprache Englisch", or the word alone."""

from __future__ import annotations

import re
from dataclasses import replace

from relay.channels.sms import texts
from relay.channels.sms.senders import region_of
from relay.core.decisions import Decision
from relay.core.messages import LANGUAGE, User
from relay.core.user_language import language_of
from relay.texts.languages import AUTOMATIC, language_named
from relay.texts.sentences import localize

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


def in_language(choice: str, user: User, language: str) -> Decision:
    """The languages to choose from, or the answer in the one that was chosen; language: of the user until now."""
    if choice == UNKNOWN:
        return Decision(reply=texts.languages(language))
    if choice != AUTOMATIC:
        return Decision(reply=localize("language-set", choice), settings={LANGUAGE: choice})
    usual = language_of(replace(user, settings={}), None, region_of(user.user_id))
    return Decision(reply=localize("language-automatic", usual), settings={LANGUAGE: ""})
