"""A person who texts is answered in their language: chosen, written, or that of their country."""

# ruff: noqa: RUF001 (letters of several scripts are what is tested)

from __future__ import annotations

import asyncio
import re
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from relay.channels.sms.budget import asks_for_more
from relay.channels.sms.forgetting import Forgetting, forgetting
from relay.channels.sms.keywords import Keyword, keyword_of
from relay.channels.sms.language_choice import UNKNOWN, language_choice
from relay.channels.sms.registration import asks_nothing, stated_name
from relay.channels.sms.segments import segments
from relay.core.messages import InboundMessage, User, UserId
from relay.core.person_requests import asks_for_person
from relay.texts import ENGLISH
from relay.texts.sentences import localize, offered_languages
from tests.channels.scripted_server import PATIENCE
from tests.channels.sms.sms_harness import SmsHarness, running_sms_server
from tests.channels.sms.test_sms_service import SERVICE, form, person, service_with, text_from

LANGUAGES = offered_languages()
GERMAN, UKRAINIAN = "+4915123456789", "+380501234567"


def from_number(number: str, body: str) -> InboundMessage:
    return SERVICE.parse_inbound(form(From=number, Body=body))


def known(number: str, name: str | None = "Ann", language: str | None = None) -> User:
    return replace(person(name), user_id=UserId(number), language=language)


@pytest.mark.parametrize(
    ("number", "body", "language"),
    [
        (GERMAN, "Hallo, wer ist da?", "de"),
        (GERMAN, "👋", "de"),
        (GERMAN, "Привет, кто это?", "ru"),
        (UKRAINIAN, "Привіт", "uk"),
        (UKRAINIAN, "42", "uk"),
        ("+12025550123", "Olá, tudo bem?", "en"),
        ("+12025550123", "你好，几点开门", "zh"),
        ("+819012345678", "こんにちは", "en"),
    ],
)
def test_the_first_text_comes_in_the_language_of_the_person(number: str, body: str, language: str) -> None:
    """By the script, else by the country of the number."""
    decision = SERVICE.decide(from_number(number, body), None)
    assert decision.reply == localize("sms-ask-name", language, introduction=localize("sms-introduction", language))


def test_texts_before_it_show_the_language_of_a_short_one() -> None:
    """What is stored with the person; a text that shows none does not replace it."""
    number = "+12025550123"
    assert from_number(number, "Скільки це коштує?").language == "uk"
    assert from_number(number, "👍").language is None
    assert SERVICE.language(known(number, language="uk"), from_number(number, "ok")) == "uk"
    assert SERVICE.language(known(number, language="uk"), from_number(number, "так")) == "uk"
    assert SERVICE.language(known(number, language="uk"), from_number(number, "what is the price")) == "en"


@pytest.mark.parametrize(
    ("body", "choice"),
    [
        ("language=de", "de"),
        ("LANGUAGE German", "de"),
        ("Language: Deutsch!", "de"),
        ("Sprache = englisch", ""),
        ("Sprache English", "en"),
        ("idioma español.", "es"),
        ("язык=русский", "ru"),
        ("мова: українська", "uk"),
        ("语言=中文", "zh"),
        ("اللغة=ar", "ar"),
        ("भाषा हिन्दी", "hi"),
        ("language=auto", "auto"),
        ("LANGUAGE", ""),
        ("language?", ""),
        ("language=klingon", ""),
        ("language=", ""),
        ("language school near me", None),
        ("Which language do you speak?", None),
        ("languages", None),
        ("German", None),
        ("language=de\nand now?", None),
        ("My language is German", None),
        ("lang leve de koning", None),
    ],
)
def test_a_language_is_chosen_by_a_text_of_its_own(body: str, choice: str | None) -> None:
    """Every other text with the word is a question."""
    assert language_choice(body) == choice


def test_the_choice_comes_before_everything_else_and_can_be_undone() -> None:
    """For our words and for the AI; the confirmation is in the new language."""
    chosen = SERVICE.decide(text_from("language=de"), person())
    assert chosen.reply == localize("language-set", "de")
    user = replace(person(), settings=chosen.settings)
    assert SERVICE.language(user, text_from("Привет, как дела?")) == "de"
    assert SERVICE.language(user) == "de"
    assert "Answer in German." in SERVICE.system_prompt(user)
    undone = SERVICE.decide(text_from("Sprache=auto"), user)
    user = replace(person(), settings=undone.settings)
    assert SERVICE.language(user, text_from("Привет, как дела?")) == "ru"
    assert "in the language of the person" in SERVICE.system_prompt(user)


def test_the_languages_are_listed() -> None:
    """With the code of each."""
    reply = SERVICE.decide(text_from("Sprache=Klingonisch"), replace(person(), settings={"language": "de"})).reply or ""
    assert reply.startswith("Ich schreibe Ihnen auf Deutsch.")
    assert all(f" {code}" in reply for code in LANGUAGES)


def test_a_confirmation_of_stop_is_in_the_language_that_was_chosen() -> None:
    """Where we send it; else in that of the text or the country."""
    service = service_with(twilio_phone_number="12345")
    [part] = service.opt_out(from_number(GERMAN, "STOP")) or []
    assert part.text == localize("sms-stopped", "de")
    user = replace(known(GERMAN), settings={"language": "fr"})
    [part] = service.opt_out(from_number(GERMAN, "STOP"), user) or []
    assert part.text == localize("sms-stopped", "fr")


@pytest.mark.parametrize("language", LANGUAGES)
def test_what_our_words_offer_is_understood(language: str) -> None:
    """The words for the rest, for forgetting, for a name and for the language, as each language names them."""
    assert asks_for_more(localize("word-more", language))
    assert forgetting(localize("word-clear", language)) is Forgetting.CONVERSATION
    assert forgetting(localize("word-forget", language)) is Forgetting.PERSON
    assert language_choice(localize("word-language", language)) == UNKNOWN
    example = re.search(r"[^\s：]+=(\S+)$", localize("sms-how-to-name", language))
    assert example is not None
    stated = stated_name(example[0], asked=False)
    assert stated is not None
    assert stated.name == example[1]


@pytest.mark.parametrize(
    ("text", "name"),
    [
        *(("Ich heiße Jürgen", "Jürgen"), ("Me llamo José Luis", "José Luis"), ("Je m'appelle Zoé", "Zoé")),
        *(("Meu nome é João", "João"), ("Привет! Меня зовут Анна", "Анна"), ("Мене звати Олена", "Олена")),
        *(
            ("我叫小明", "小明"),
            ("你好，我的名字是王芳", "王芳"),
            ("اسمي محمد علي", "محمد علي"),
            ("मेरा नाम आशा है", "आशा"),
        ),
        *(("имя=Анна", "Анна"), ("ім'я = Олена", "Олена"), ("名字＝小明", "小明"), ("Nombre=Ana", "Ana")),
    ],
)
def test_a_name_is_understood_in_each_language(text: str, name: str) -> None:
    """At any time, by the sentence that introduces it."""
    stated = stated_name(text, asked=False)
    assert stated is not None
    assert stated.name == name


@pytest.mark.parametrize(
    "text",
    [
        *("привет", "Добрый день", "да", "кто это", "сколько стоит", "привіт", "хто це", "скільки коштує"),
        *(
            "你好",
            "你们几点开门",
            "多少钱",
            "我想买一个蛋糕",
            "مرحبا",
            "كم السعر",
            "من هذا",
            "नमस्ते",
            "कितना है",
            "यह क्या है",
        ),
    ],
)
def test_a_greeting_or_a_question_is_no_name(text: str) -> None:
    """Although it comes right behind our prompt, without a question mark."""
    assert stated_name(text, asked=True) is None


@pytest.mark.parametrize("text", ["Анна", "Олена Шевченко", "小明", "欧阳娜娜", "محمد", "आशा", "Надія", "Вера"])
def test_a_bare_name_is_a_name_in_each_script(text: str) -> None:
    """Right behind our prompt."""
    stated = stated_name(text, asked=True)
    assert stated is not None
    assert stated.name == text


INTRODUCTIONS = """
it's me, Tom! | Its me Tom | Hi it's Tom | Tom here! | hi, Tom here | This is Tom speaking | You can call me Tom
I'm called Tom | I go by Tom | Thanks, I'm Tom | - Tom | *Tom*
Soy yo, Tom | Hola, soy Tom | Aquí Tom | me dicen Tom | Mi nombre: Tom
C'est moi, Tom | Bonjour, c'est Tom | Ici Tom | on m'appelle Tom | Mon prénom est Tom
Ich bin's, Tom | Ich bin der Tom | Hallo, hier ist Tom | Tom hier | mein Name: Tom
Sono io, Tom | Ciao, sono Tom | mi chiamano Tom
Sou eu, Tom | Aqui é o Tom | Oi, sou o Tom | É o Tom | eu me chamo Tom
Это я, Том | Привет, это Том | Зовите меня Том | Це я, Том | Привіт, це Том | мене звуть Том
是我，汤姆 | 你好，我是汤姆 | 叫我汤姆 | أنا، توم | مرحبا، أنا توم | معك توم
मैं हूँ, टॉम | मैं टॉम बोल रहा हूँ | मुझे टॉम बुलाओ | नमस्ते, मैं टॉम हूँ
"""
NO_INTRODUCTIONS = """
it's me | it's me, when do you open? | it's broken | This is a test | I am waiting | Call me back | I'm here | here
soy alérgico | Aquí estoy | c'est combien | c'est ouvert | ich bin krank | hier ist niemand | Ist hier jemand
sono malato | sono aperti | sou cliente | É aberto | это срочно | это я | це терміново | 是我 | 我是客人 | أنا جائع
मैं बीमार हूँ | मैं यहाँ हूँ | two pizzas | Pizza | Thanks Tom | ok Tom | Tom (from the gym)
"""


def _rows(table: str) -> list[str]:
    return [row.strip() for line in table.strip().splitlines() for row in line.split("|")]


@pytest.mark.parametrize("text", _rows(INTRODUCTIONS))
def test_people_introduce_themselves_in_their_own_words(text: str) -> None:
    """Right behind our prompt the name is taken without what leads to it, and nothing is left over."""
    stated = stated_name(text, asked=True)
    assert stated is not None
    assert (stated.name in {"Tom", "Том", "汤姆", "توم", "टॉम"}, stated.rest) == (True, None)


@pytest.mark.parametrize("text", _rows(NO_INTRODUCTIONS))
def test_what_begins_like_an_introduction_and_is_none_is_a_question(text: str) -> None:
    """A state, a place, a call: it waits for its answer."""
    assert stated_name(text, asked=True) is None


@pytest.mark.parametrize(
    "text", ["people call me all day", "me llaman mucho", "on m'appelle souvent", "叫我", "Call me asap"]
)
def test_a_sentence_about_calls_is_no_name_without_a_prompt(text: str) -> None:
    """At first contact only what can mean nothing else counts."""
    assert stated_name(text, asked=False) is None


@pytest.mark.parametrize("text", ["Guten Tag", "Bonjour", "Здравствуйте!", "Вітаю", "您好", "مرحبًا", "नमस्ते 🙏"])
def test_a_greeting_asks_nothing(text: str) -> None:
    """So it is not kept for an answer."""
    assert asks_nothing(text)


@pytest.mark.parametrize(
    "text",
    [
        *(
            "STOPP",
            "Alto",
            "Arrêt",
            "Parar",
            "стоп",
            "відписатися",
            "停止",
            "退订",
            "إيقاف",
            "توقف",
            "बंद करो",
            "수신거부",
        ),
        *("Стоп!", "СТОП", "إلغاء الاشتراك"),
    ],
)
def test_stop_is_obeyed_in_each_language(text: str) -> None:
    """However Twilio treats it."""
    found = keyword_of(text)
    assert found is not None
    assert (found.kind, found.handled) == (Keyword.STOP, False)


@pytest.mark.parametrize("text", ["बंद है क्या", "стопка книг", "Где остановка?", "什么时候停止营业", "متى تتوقف"])
def test_a_word_within_a_question_is_no_stop(text: str) -> None:
    """It is for the AI."""
    assert keyword_of(text) is None


@pytest.mark.parametrize(
    "text",
    [
        *("human", "Mensch", "humano", "Un conseiller", "atendente", "оператор", "Людина", "人工", "موظف", "इंसान"),
        *("ein Mensch", "Живой человек", "uma pessoa"),
    ],
)
def test_a_person_is_asked_for_in_each_language(text: str) -> None:
    """As the whole text."""
    assert asks_for_person(text)


def test_an_answer_in_latin_letters_is_not_made_expensive_by_our_note() -> None:
    """The note about its rest is in English then; in an answer in Cyrillic it is in Russian."""
    [latin] = SERVICE.plan("All work and no play. " * 100, "ru")
    assert latin.text.endswith(f"({localize('sms-more', ENGLISH)})")
    assert latin.segments == segments(latin.text) <= 4
    [cyrillic] = SERVICE.plan("Много работы. " * 100, "ru")
    assert cyrillic.text.endswith(f"({localize('sms-more', 'ru')})")


def has_sent(sms: SmsHarness, count: int) -> bool:
    return len(sms.texts()) >= count


async def test_a_conversation_in_german_keeps_to_the_choice_of_the_person(tmp_path: Path) -> None:
    """From the first prompt to a stored choice, over the webhook."""
    async with running_sms_server(tmp_path) as sms:
        for number, body in enumerate(("👋", "name=Anna", "language=fr", "CLEAR", "FORGET ME", "👋"), 1):
            await sms.text(body, From=GERMAN)
            async with asyncio.timeout(PATIENCE), sms.twilio.changed:
                await sms.twilio.changed.wait_for(partial(has_sent, sms, number))
        assert sms.texts() == [
            localize("sms-ask-name", "de", introduction=localize("sms-introduction", "de")),
            localize("sms-welcome", "de", name="Anna"),
            localize("language-set", "fr"),
            localize("sms-cleared", "fr"),
            localize("sms-forgotten", "fr"),
            localize("sms-ask-name", "de", introduction=localize("sms-introduction", "de")),
        ]
