"""Chooses the language of what we write to a person: the script that they write, else what their profile hints at."""

from __future__ import annotations

import re
from functools import cache, lru_cache
from unicodedata import normalize

import regex
from babel.core import get_global
from babel.languages import get_official_languages

from relay.texts import ENGLISH
from relay.texts.sentences import has_sentence, localize, offered_languages

AUTOMATIC = "auto"
"""What a person chooses to undo their choice of a language."""

MAX_READ = 1000
"""Characters of a message by which its language is chosen."""

_ADDRESS = regex.compile(r"\S*(?:://|@|\w\.\w)\S*")
_ADDRESS_SIGN = re.compile(r"@|://|\.\S")  # in every address, and found in a twentieth of the time
_LATIN_WORD = regex.compile(r"(?V1)\p{Latin}[\p{Latin}\p{M}'\u2019]*")
_OTHER_LETTER = regex.compile(r"(?V1)[\p{L}--[\p{Latin}\p{Common}]]")
_OTHER_WORD = regex.compile(r"(?V1)\p{Han}|[\p{L}--[\p{Latin}\p{Common}\p{Han}]][[\p{L}\p{M}]--\p{Han}]*")
_SCRIPTS = {"Hans": r"\p{Han}", "Hant": r"\p{Han}", "Jpan": r"[\p{Han}\p{Hiragana}\p{Katakana}]"}
_SCRIPTS |= {"Kore": r"[\p{Hangul}\p{Han}]"}
"""Scripts that Unicode composes of others, or does not tell apart: https://www.unicode.org/reports/tr24/"""


def choose_language(text: str, *, code: str | None = None, region: str | None = None) -> str:
    """The language of our texts to a person: that of the script in which they write, else of the code or the region.

    text: the message without commands. code: of a language, such as "pt-br", from their profile. region: where their
    number belongs, as ISO 3166-1, such as "BR". English where the language is not offered.
    """
    return _chosen(text[:MAX_READ], code, region)


@lru_cache(maxsize=256)
def _chosen(text: str, code: str | None, region: str | None) -> str:
    """The language of a text, which is asked for several times on its way."""
    return _offered(_written(text, code, region) or _guessed(_Words(text), code, region))


def written_language(text: str, *, code: str | None = None, region: str | None = None) -> str | None:
    """The language that a text shows by its script, offered or not; None when it may be one of several.

    Where languages share the script, that of the code or the region counts, unless the text has letters that it lacks.
    """
    return _written(text[:MAX_READ], code, region)


@lru_cache(maxsize=256)
def _written(text: str, code: str | None, region: str | None) -> str | None:
    words = _Words(text)
    if not words.are_evidence:
        return None
    hints = [*([code] if code else []), *_official(region)]
    if hinted := next((one for one in hints if words.may_be(one)), None):
        return hinted
    fitting = [one for one in offered_languages() if words.may_be(one)]
    return fitting[0] if len(fitting) == 1 else None


def language_named(name: str) -> str | None:
    """The offered language of a code, or of a name in itself or in English: "pt-BR", "Deutsch", "german"."""
    return _names().get(_folded(name)) or _names().get(_base(name))


def _guessed(words: _Words, code: str | None, region: str | None) -> str:
    """The first that is offered in the script of the words; without any, that of the code, else of the region."""
    if words.are_evidence:
        return next((one for one in offered_languages() if words.may_be(one)), ENGLISH)
    if code:
        return code
    official = _official(region)
    return next((one for one in official if words.may_be(one)), official[0] if official else ENGLISH)


class _Words:
    """The words of a text by script, without addresses of the internet."""

    def __init__(self, text: str) -> None:
        text = normalize("NFKC", text)
        if _ADDRESS_SIGN.search(text):
            text = _ADDRESS.sub(" ", text)
        self._latin = len(_LATIN_WORD.findall(text))
        if text.isascii():
            self._others, self._letters = 0, set[str]()
            return
        self._others = len(_OTHER_WORD.findall(text))
        self._letters = set(_OTHER_LETTER.findall(text.lower()))

    @property
    def are_evidence(self) -> bool:
        """One Latin word may be a keyword, a name or "ok", which people of any language write."""
        return self._others > 0 or self._latin > 1

    def may_be(self, language: str) -> bool:
        """Latin words may stand in any text; half as many of another script make it one of that script."""
        script = _script(language)
        if script == "Latn":
            return self._latin > 2 * self._others
        return bool(self._letters) and all(map(_alphabet(_base(language), script).fullmatch, self._letters))


@cache
def _alphabet(language: str, script: str) -> regex.Pattern[str]:
    """The letters of a language: its own where its file has them, else those of its script."""
    if language in offered_languages() and has_sentence("language-letters", language):
        return regex.compile(f"[{localize('language-letters', language)}]")
    return regex.compile(_SCRIPTS.get(script, rf"\p{{Script={script}}}" if script else r"(?!)"))


@lru_cache(maxsize=256)
def _script(language: str) -> str:
    """The script of a language as ISO 15924, such as "Latn"; empty for an unknown language."""
    parts = language.replace("-", "_").split("_")
    named = next((part.title() for part in parts[1:] if len(part) == 4), None)
    likely: str = get_global("likely_subtags").get(_base(language), "")
    return str(named or likely.partition("_")[2].partition("_")[0])


@cache
def _official(region: str | None) -> tuple[str, ...]:
    """The official languages of a region, by the number of their speakers."""
    return get_official_languages(region, de_facto=True) if region else ()


def _base(code: str) -> str:
    return code.strip().lower().replace("_", "-").partition("-")[0]


def _offered(code: str) -> str:
    return base if (base := _base(code)) in offered_languages() else ENGLISH


@cache
def _names() -> dict[str, str]:
    keys = ("language-name", "language-in-English")
    named = {_folded(localize(key, code)): code for code in offered_languages() for key in keys}
    return named | {code: code for code in offered_languages()}


def _folded(name: str) -> str:
    return normalize("NFC", name).strip(" .!").casefold()
