"""Every language says the same: keys, variables, plural forms, directions; SMS keeps within its segments and rules."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import pytest
from fluent.syntax import FluentParser
from fluent.syntax import ast as fluent
from fluent.syntax.visitor import Visitor

from relay.channels.sms.keywords import RESERVED_WORDS, without_invitations
from relay.channels.sms.plain_text import to_plain_text
from relay.channels.sms.segments import segments
from relay.channels.sms.spelling import affordable, clean_sms
from relay.channels.telegram.entities import plan
from relay.core.text import folded
from relay.texts import ENGLISH, sentences
from relay.texts.sentences import localize, offered_languages

FOLDER = Path(sentences.__file__).parent
LANGUAGES = ("en", "ar", "de", "es", "fr", "hi", "pt", "ru", "uk", "zh")
OTHERS = [language for language in LANGUAGES if language != ENGLISH]
LETTERS = "language-letters"
"""The one key that only some languages need."""

VALUES: dict[str, Any] = {"limit": 4000, "count": 5, "exchanges": 5, "since": "2026-11-27", "chat": "700000001"}
VALUES |= {
    "title": "Opening hours",
    "number": "+12345678900",
    "name": "Anna",
    "program": "Bakery",
    "contact": "+1 555 0100",
    "username": "@anna",
    "command": "what",
    "usd": "0.0001",
}
VALUES |= {"who": "Anna, sms +12025550100", "why": "it is empty", "day": "Wednesday", "time": "09:00"}
VALUES |= {"codes": ", ".join(LANGUAGES), "hello": "Hello, **Anna**!", "introduction": "This is a machine."}


class _References(Visitor):
    """Collects the variables of a message, and the messages to which it refers."""

    def __init__(self) -> None:
        self.variables: set[str] = set()
        self.messages: set[str] = set()

    def visit_VariableReference(self, node: fluent.VariableReference) -> None:  # noqa: N802 (Fluent's name)
        self.variables.add(node.id.name)

    def visit_MessageReference(self, node: fluent.MessageReference) -> None:  # noqa: N802 (likewise)
        self.messages.add(node.id.name)


@cache
def references(language: str) -> dict[str, _References]:
    found = {}
    for entry in FluentParser().parse((FOLDER / f"{language}.ftl").read_text(encoding="utf-8")).body:
        assert not isinstance(entry, fluent.Junk), entry.content
        if isinstance(entry, fluent.Message):
            assert entry.id.name not in found, "a key stands twice"
            found[entry.id.name] = _References()
            found[entry.id.name].visit(entry)
    return found


def spoken(key: str, language: str) -> str:
    return localize(key, language, **{name: VALUES[name] for name in references(ENGLISH)[key].variables})


def as_sms(text: str) -> str:
    return without_invitations(affordable(clean_sms(to_plain_text(text))))


def test_ten_languages_are_offered() -> None:
    """English first, for every script of which nothing more is known."""
    assert offered_languages() == LANGUAGES


@pytest.mark.parametrize("language", OTHERS)
def test_a_language_has_the_keys_and_the_variables_of_english(language: str) -> None:
    """Nothing is missing, nothing is left over, and no sentence lacks a name or a number."""
    ours, english = references(language), references(ENGLISH)
    assert ours.keys() - {LETTERS} == english.keys()
    differing = {key for key in english if ours[key].variables != english[key].variables}
    assert differing == set()


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_sentence_can_be_said(language: str) -> None:
    """With its variables and without an error; none is blank, and none has blanks around it."""
    for key in references(ENGLISH):
        text = spoken(key, language)
        assert text == text.strip() != "", key
        assert "{" not in text, key


@pytest.mark.parametrize(
    ("language", "forms"),
    [
        ("en", {0: "nothing to forget", 1: "1 message.", 2: "2 messages.", 1234: "1234 messages."}),
        ("de", {1: "1 Nachricht gelöscht", 2: "2 Nachrichten", 1234: "1234 Nachrichten"}),
        ("fr", {0: "rien à oublier", 1: "1 message.", 2: "2 messages."}),
        ("ru", {1: "1 сообщение.", 2: "2 сообщения.", 5: "5 сообщений.", 11: "11 сообщений.", 21: "21 сообщение."}),
        ("uk", {1: "1 повідомлення.", 4: "4 повідомлення.", 12: "12 повідомлень.", 1234: "1234 повідомлення."}),
        ("ar", {0: "لم يكن", 1: "رسالة واحدة", 2: "رسالتين", 5: "رسائل", 11: "رسالة", 100: "رسالة"}),
        ("hi", {1: "1 संदेश हटाया", 2: "2 संदेश हटाए"}),
        ("zh", {0: "没有", 1: "1 条", 7: "7 条"}),
    ],
)
def test_a_number_takes_the_plural_form_of_its_language(language: str, forms: dict[int, str]) -> None:
    """Without marks between its digits."""
    for count, form in forms.items():
        assert form in localize("telegram-cleared", language, count=count)


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize(
    "name", ["{ $x }", '{ LTR("a") }', "Anna }", "a = b", "[one] *[other]", "\u200fعلي\u200e", "#", "🦊"]
)
def test_a_name_is_data_and_no_part_of_the_format(language: str, name: str) -> None:
    """Whatever people call themselves."""
    assert name in localize("sms-renamed", language, name=name)


def test_a_name_does_not_reorder_a_sentence_from_right_to_left() -> None:
    """It is isolated, as are commands; other languages have no such sign, which would double the price of an SMS."""
    assert "\u2068Anna\u2069" in localize("sms-welcome", "ar", name="Anna")
    assert "\u2068/help\u2069" in localize("telegram-welcome-group", "ar")
    assert "\u2068STOP\u2069" in localize("sms-ask-name", "ar", introduction="")
    others = [language for language in LANGUAGES if language != "ar"]
    assert "\u2068" not in "".join(spoken(key, language) for language in others for key in references(ENGLISH))
    [part] = plan(localize("telegram-renamed", "ar", name="Anna"), 1)
    assert part.style is not None
    assert "**" not in part.text


def test_an_unknown_language_is_english() -> None:
    """One that was offered when it was chosen may be gone."""
    assert localize("answer-later", "xx") == localize("answer-later", ENGLISH)
    with pytest.raises(LookupError):
        localize("no-such-key", ENGLISH)


def test_a_language_is_added_by_its_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing else names the languages."""
    for path in FOLDER.glob("*.ftl"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    (tmp_path / "it.ftl").write_text("answer-later = Ora non posso rispondere.\n", encoding="utf-8")
    monkeypatch.setattr(sentences, "_FOLDER", tmp_path)
    offered_languages.cache_clear()
    try:
        assert "it" in offered_languages()
        assert localize("answer-later", "it") == "Ora non posso rispondere."
    finally:
        monkeypatch.undo()
        offered_languages.cache_clear()


# -- SMS ---------------------------------------------------------------------------------------------------------------

BY_SMS = [
    key
    for key in references(ENGLISH)
    if not key.startswith(("telegram-", "whatsapp-", "menu-", "language-in", "language-name"))
]
LATIN = ("en", "de", "es", "fr", "pt")
SEGMENTS = dict.fromkeys(("demo-introduction", "demo-how-to-connect", "demo-no-answer"), (3, 3))
SEGMENTS |= dict.fromkeys(("demo-abilities", "demo-nothing-earlier", "demo-unseen"), (2, 2))
SEGMENTS |= {"sms-ask-name": (1, 3), "sms-help": (2, 4), "looks-like-a-machine": (2, 2)}
"""The most segments in a language with Latin letters, and in any other, where a segment holds 67 characters."""


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_sentence_keeps_within_its_segments(language: str) -> None:
    """One in Latin letters, two in others; the first text, which says most, at most three."""
    found = {key: (segments(as_sms(spoken(key, language))), as_sms(spoken(key, language))) for key in BY_SMS}
    most = {key: SEGMENTS.get(key, (1, 2))[language not in LATIN] for key in BY_SMS}
    assert {key: (most[key], *found[key]) for key in BY_SMS if found[key][0] > most[key]} == {}


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_first_text_says_that_it_is_automatic_and_how_to_stop(language: str) -> None:
    """With program and contact in four segments at most."""
    what = localize("sms-introduction-of", language, program="Ann's Bakery")
    who = localize("sms-contact", language, contact="ann_b@bakery.example")
    text = as_sms(localize("sms-ask-name", language, introduction=f"{what} {who}"))
    assert "STOP" in text
    assert "STOP" in localize("sms-help", language)
    assert "START" in localize("sms-stopped", language)
    assert segments(text) <= (2 if language in LATIN else 4)


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_sentence_asks_for_a_keyword(language: str) -> None:
    """But STOP, and START after it: Twilio would cut off a person who follows another."""
    for key in BY_SMS:
        text = spoken(key, language)
        assert key == "sms-stopped" or without_invitations(text) == text
        words = {word.upper() for word in RESERVED_WORDS if f" {word.upper()} " in f" {text} "}
        assert words <= ({"START"} if key == "sms-stopped" else {"STOP"}), key


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("key", ["word-more", "word-clear", "word-forget"])
def test_the_words_of_commands_are_no_keywords(language: str, key: str) -> None:
    """They would never reach us."""
    assert folded(localize(key, language)) not in RESERVED_WORDS
