"""A person on Telegram is answered in their language: chosen with /language, written, or that of their app."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from relay.channels.telegram.commands import COMMANDS
from relay.channels.telegram.rendering import render
from relay.core.http_client import open_http_client
from relay.texts.sentences import localize, offered_languages
from telegram_service import TelegramService
from tests.channels.telegram.scripted_bot_api import private
from tests.channels.telegram.telegram_harness import running_telegram_server
from tests.channels.telegram.test_telegram_decisions import ADA, SETTINGS, said, spoken


@pytest.fixture
async def service() -> AsyncIterator[TelegramService]:
    async with open_http_client() as client:
        yield TelegramService(SETTINGS, client, clock=lambda: 1790000000.0)


@pytest.mark.parametrize(
    ("code", "language"),
    [("de", "de"), ("pt-br", "pt"), ("zh-hant", "zh"), ("uk", "uk"), ("xx", "en"), ("ja", "en"), (None, "en")],
)
def test_a_command_is_answered_in_the_language_of_the_app(
    service: TelegramService, code: str | None, language: str
) -> None:
    """A command shows no language, whatever is written behind it."""
    decision = service.decide(said("/setname Олена", language=code), ADA)
    assert decision.reply == localize("telegram-renamed", language, name="Олена")
    assert service.decide(said("", language=code), ADA).reply == localize("telegram-empty-text", language)


def test_the_script_that_a_person_writes_comes_before_their_app(service: TelegramService) -> None:
    """An app in English is no sign of an English writer."""
    assert service.language(ADA, said("Как дела?", language="en")) == "ru"
    assert service.language(ADA, said("What is new here?", language="ru")) == "en"
    assert service.language(replace(ADA, language="fr"), said("👍")) == "fr"


@pytest.mark.parametrize(
    ("argument", "chosen"), [("de", "de"), ("Deutsch", "de"), ("GERMAN", "de"), ("pt-BR", "pt"), ("українська", "uk")]
)
def test_a_chosen_language_is_kept_and_the_ai_is_told(service: TelegramService, argument: str, chosen: str) -> None:
    """The confirmation is in it already."""
    decision = service.decide(said(f"/language {argument}", language="en"), ADA)
    assert decision.reply == localize("language-set", chosen)
    user = replace(ADA, settings=decision.settings)
    assert service.language(user, said("Как дела?", language="en")) == chosen
    assert f"Answer in {localize('language-in-English', chosen)}." in service.system_prompt(user)
    undone = service.decide(said("/language auto", language="fr"), user)
    assert undone.reply == localize("language-automatic", "fr")
    assert service.language(replace(ADA, settings=undone.settings), said("/help", language="fr")) == "fr"


@pytest.mark.parametrize("argument", ["", "klingon", "{ $x }"])
def test_the_languages_are_listed(service: TelegramService, argument: str) -> None:
    """Each with its code and its own name; nothing is changed."""
    decision = service.decide(said(f"/language {argument}", language="ar"), ADA)
    assert decision.settings == {}
    lines = spoken(decision).splitlines()
    assert {f"• {code}: {localize('language-name', code)}" for code in offered_languages()} <= {
        line.replace("-", "•", 1) for line in lines
    }


@pytest.mark.parametrize("language", offered_languages())
def test_every_text_is_whole_in_every_language(service: TelegramService, language: str) -> None:
    """Markdown is rendered, and no sign of it is left; every command stands in /help."""
    user = replace(ADA, name="A_n*n`a", settings={"language": language})
    for text in ("/start", "/help", "/status", "/language", "/setname", "/setname ...", "/clear", "/stop", "/what"):
        words = spoken(service.decide(said(text), user))
        assert "**" not in words
        assert "{" not in words
    words = spoken(service.decide(said("/help"), user))
    assert all(f"/{command}" in words for command in COMMANDS)
    assert "A_n*n`a" in spoken(service.decide(said("/start"), user))
    assert "A_n*n`a" in render(localize("telegram-facts", language, **FACTS)).text


FACTS: dict[str, str | int] = {
    "exchanges": 5,
    "name": "A\\_n\\*n\\`a",
    "username": "x",
    "chat": "7",
    "since": "2026-11-27",
    "count": 3,
}


async def test_a_person_chooses_and_is_answered_in_it_from_then_on(tmp_path: Path) -> None:
    """Over the whole server: the choice is stored with the person."""
    async with running_telegram_server(tmp_path) as telegram:
        await telegram.api.bring(private(1, "/language de"))
        assert await telegram.texts(1) == [localize("language-set", "de")]
        await telegram.api.bring(private(2, "/clear"))
        assert (await telegram.texts(2))[1] == localize("telegram-cleared", "de", count=2)
