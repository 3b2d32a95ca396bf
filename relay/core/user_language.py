"""The language of our own words to a user: their choice, else what their message and their profile show."""

from __future__ import annotations

from relay.core.messages import LANGUAGE, InboundMessage, User
from relay.texts.languages import choose_language
from relay.texts.sentences import localize


def chosen_language(user: User | None) -> str | None:
    """The code of the language that a user has chosen; None without a choice."""
    return (user.settings.get(LANGUAGE) or None) if user else None


def language_of(user: User | None, message: InboundMessage | None, region: str | None = None) -> str:
    """The code of an offered language; in reply to this message, if any. region: of the user's telephone number.

    A command, which begins with a slash, does not show a language.
    """
    if (chosen := chosen_language(user)) is not None:
        return chosen
    text = message.text if message and not message.text.startswith("/") else ""
    code = (message.language if message else None) or (user.language if user else None)
    return choose_language(text, code=code, region=region)


def localized_for(user: User, key: str) -> str:
    """A sentence of ours in the language of a user who has not just written."""
    return localize(key, language_of(user, None))
