"""The language of our words: by the script that a person writes, their profile's code, their number's country."""

# ruff: noqa: RUF001 (letters of several scripts are what is tested)

from __future__ import annotations

import pytest

from relay.texts.languages import choose_language, language_named, written_language


@pytest.mark.parametrize(
    ("text", "code", "region", "language"),
    [
        # the script
        ("Привет, как дела?", None, "US", "ru"),
        ("Добрий день, скільки коштує?", None, "US", "uk"),
        ("так", "uk", None, "uk"),
        ("так", None, "UA", "uk"),
        ("так", None, "DE", "ru"),
        ("Сколько это стоит?", "uk", None, "ru"),
        ("كم السعر؟", None, "US", "ar"),
        ("कितने का है?", None, "US", "hi"),
        ("几点开门", "en", None, "zh"),
        ("營業時間", None, "HK", "zh"),
        # scripts and languages that are not offered
        ("Здраво, да ли радите недељом?", None, "US", "en"),
        ("добар дан", "sr", None, "en"),
        ("добар дан", None, "RS", "en"),
        ("дзякуй за ўсё", None, "US", "en"),
        ("営業時間はいつですか", None, "US", "en"),
        ("営業時間", "ja", None, "en"),
        ("営業時間", None, "JP", "en"),
        ("영업시간?", None, "US", "en"),
        ("سلام، ساعت کاری شما چیست؟", None, "US", "en"),
        ("สวัสดีครับ", None, "RU", "en"),
        ("შენ", None, None, "en"),
        # several scripts
        ("أريد شراء iPhone 15 Pro Max من Samsung", None, "US", "ar"),
        ("我想买 iPhone 15 Pro", "en", None, "zh"),
        ("Хочу iPhone 15 Pro Max", "ru", None, "ru"),
        ("How do I say привет in Russian?", "en", None, "en"),
        ("How do I say привет in Russian?", "ru", None, "ru"),
        ("Привет مرحبا hello", None, "US", "en"),
        # nothing to see: the profile, then the country
        ("👍", "pt-br", None, "pt"),
        ("12345", "zh-hant", None, "zh"),
        ("12345", "xx", None, "en"),
        ("", "de-AT", None, "de"),
        ("?!", None, "MX", "es"),
        ("42", None, "IN", "hi"),
        ("https://example.com/a/b info@example.com", None, "RU", "ru"),
        ("ok", "ru", None, "ru"),
        ("STOP", None, "UA", "uk"),
        ("", None, None, "en"),
        ("", "", "", "en"),
        ("!", None, "ZZ", "en"),
        # Latin letters: the languages that are written in them
        ("hello my friend", "ru", None, "en"),
        ("hello my friend", None, "RU", "en"),
        ("hello my friend", "xx", None, "en"),
        ("Hi", None, "IN", "en"),
        ("bonjour à tous", None, "MA", "fr"),
        ("Wann habt ihr auf?", None, "CH", "de"),
        ("goedemorgen allemaal", None, "BE", "en"),
        ("dzień dobry wszystkim", "pl", "PL", "en"),
        ("Ｈｅｌｌｏ ｔｈｅｒｅ", None, "JP", "en"),
    ],
)
def test_the_language_of_a_person(text: str, code: str | None, region: str | None, language: str) -> None:
    """English for every script and language that has no file."""
    assert choose_language(text, code=code, region=region) == language


@pytest.mark.parametrize(
    ("text", "region", "language"),
    [
        ("так", "US", None),
        ("скільки", "US", "uk"),
        ("ok", "UA", None),
        ("ok then", "US", "en"),
        ("ok then", "RU", None),
    ],
)
def test_only_a_text_that_shows_its_language_is_remembered(text: str, region: str, language: str | None) -> None:
    """What may be one of several languages does not replace what was seen before."""
    assert written_language(text, region=region) == language


@pytest.mark.parametrize(
    ("name", "language"),
    [
        *(("de", "de"), ("DE", "de"), ("de-AT", "de"), ("pt_BR", "pt"), ("zh-hant", "zh"), ("German", "de")),
        *((" deutsch. ", "de"), ("русский", "ru"), ("УКРАЇНСЬКА", "uk"), ("中文", "zh"), ("العربية", "ar")),
        *(("हिन्दी", "hi"), ("xx", None), ("", None), ("klingon", None), ("dexter", None), ("sr", None)),
    ],
)
def test_a_language_has_its_code_and_its_names(name: str, language: str | None) -> None:
    """In itself and in English, however they are written."""
    assert language_named(name) == language


def test_a_long_text_costs_no_more_than_its_beginning() -> None:
    """Its end is not read."""
    assert choose_language("hello there " * 100_000 + "привет" * 100_000) == "en"
