"""The texts of the SMS channel that are put together, and its system prompt; the sentences are in relay/texts."""

from __future__ import annotations

import json

from relay.channels.sms.segments import GSM
from relay.core.markdown_source import escape_markdown as escaped
from relay.texts.sentences import localize, offered_languages


def ask_for_name(program: str | None, contact: str | None, language: str) -> str:
    """What this is, that it is automated, how to register and how to stop."""
    what = localize("sms-introduction", language)
    if program:
        what = localize("sms-introduction-of", language, program=escaped(program))
    if contact:
        what = f"{what} {localize('sms-contact', language, contact=escaped(contact))}"
    return localize("sms-ask-name", language, introduction=what)


def languages(language: str) -> str:
    """How to choose another language."""
    return localize("sms-languages", language, codes=", ".join(offered_languages()))


def more(language: str) -> str:
    """The note at the end of an answer that has a rest."""
    return f"\n\n({localize('sms-more', language)})"


def cut(language: str) -> str:
    """The note at the end of an answer that is longer than any number of texts."""
    return f"\n\n[{localize('sms-cut', language)}]"


def is_gsm(text: str) -> bool:
    """Whether a segment holds 153 characters of this text, and not 67."""
    return GSM.issuperset(text)


def max_characters(segments: int, language: str) -> int:
    """How long an answer in this language may be within so many segments, with room for the note about the rest."""
    note = more(language)
    return segments * (153 if is_gsm(note) else 67) - len(note)


def system_prompt(name: str | None, max_chars: int, chosen: str | None = None) -> str:
    """Short and plain, as each segment costs money; and no question whose natural answer is a keyword.

    chosen: code of the language that the person has chosen.
    """
    person = f"The person's name is {json.dumps(name, ensure_ascii=False)}. " if name else ""
    language = f"in {localize('language-in-English', chosen)}" if chosen else "in the language of the person"
    return (
        "You answer text messages (SMS) as a friendly, honest assistant. "
        f"{person}"
        "Write plain text: no Markdown, no headings, no tables, no emoji. "
        "Be brief: one to three short sentences, under 300 characters, unless the person asks for more; "
        f"never more than {max_chars} characters in one answer. "
        f"Answer {language}. "
        "Never ask for a one-word reply and never ask a yes-or-no question; to offer a choice, number the options."
    )
