"""Inline queries: what people write behind the bot's name in other chats."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from relay.channels.telegram.inline_queries import read_query
from relay.core.errors import PayloadError
from relay.core.messages import Kind
from tests.channels.harness import model_reply
from tests.channels.telegram.scripted_bot_api import private, refused
from tests.channels.telegram.telegram_harness import TelegramHarness, running_telegram_server
from tests.english import english

LATE = refused(400, "Bad Request: query is too old and response timeout expired or query ID is invalid")
ADA = {"id": 700000001, "is_bot": False, "first_name": "Ada", "language_code": "en"}


def query(update_id: int, text: str = "what is a fox?", who: dict[str, Any] = ADA) -> dict[str, Any]:
    body = {"id": f"i{update_id}", "from": who, "query": text, "offset": "", "chat_type": "group"}
    return {"update_id": update_id, "inline_query": body}


@asynccontextmanager
async def answering(
    folder: Path, script: dict[str, Any] | None = None, **changes: Any
) -> AsyncIterator[TelegramHarness]:
    async with running_telegram_server(folder, script, telegram_inline=True, **changes) as telegram:
        yield telegram


def asked(telegram: TelegramHarness) -> list[str]:
    bodies = [json.loads(one.body) for one in telegram.model.requests if one.path == "/api/chat"]
    return [body["messages"][-1]["content"].partition("\n")[0] for body in bodies]


async def test_a_query_is_answered_with_one_result_for_its_person(tmp_path: Path) -> None:
    """Formatted, cached for them alone; nothing is written to any chat."""
    async with answering(tmp_path) as telegram:
        assert "inline_query" in (await telegram.api.until("getUpdates"))[0]["allowed_updates"]
        await telegram.api.bring(query(1))
        [answer] = await telegram.api.until("answerInlineQuery")
        assert (answer["inline_query_id"], answer["is_personal"], answer["cache_time"]) == ("i1", True, 300)
        [result] = answer["results"]
        assert (result["type"], result["title"]) == ("article", "Hello from the model.")
        content = result["input_message_content"]
        assert (content["message_text"], content["entities"][0]["type"]) == ("Hello from the model.", "bold")
        assert telegram.api.made("sendMessage") == telegram.api.made("sendChatAction") == []
        [person] = (await telegram.status())["users"]
        assert (person["user_id"], person["message_count"]) == ("700000001", 2)


async def test_the_model_is_asked_when_the_writing_rests(tmp_path: Path) -> None:
    """Of five queries within a second the last one alone; blanks are no question."""
    async with answering(tmp_path) as telegram:
        words = ("w", "what", "what is", "what is a f", "what is a fox?")
        await telegram.api.bring(query(1, "  "), *(query(number, text) for number, text in enumerate(words, 2)))
        [answer] = await telegram.api.until("answerInlineQuery")
        assert (answer["inline_query_id"], asked(telegram)) == ("i6", ["what is a fox?"])


@pytest.mark.parametrize("late", [True, False])
async def test_the_same_query_is_answered_at_once(tmp_path: Path, late: bool) -> None:
    """Also when Telegram had forgotten it before its answer; another person's is asked anew."""
    async with answering(tmp_path, {"answerInlineQuery": [LATE] if late else []}) as telegram:
        await telegram.api.bring(query(1))
        await telegram.api.until("answerInlineQuery")
        await telegram.api.bring(query(2, "What  is a FOX? "))
        [_, again] = await telegram.api.until("answerInlineQuery", 2)
        assert (again["inline_query_id"], again["results"][0]["title"]) == ("i2", "Hello from the model.")
        assert len(asked(telegram)) == 1
        await telegram.api.bring(query(3, who={**ADA, "id": 8}))
        await telegram.api.until("answerInlineQuery", 3)
        assert len(asked(telegram)) == 2
        assert (await telegram.status())["delivery"]["failed"] == 0


async def test_queries_count_and_are_limited_like_messages(tmp_path: Path) -> None:
    """What is over a limit is said in a result, which is not cached."""
    async with answering(tmp_path, messages_per_day=2) as telegram:
        for number, text in enumerate(("one", "two", "three"), 1):
            await telegram.api.bring(query(number, text))
            await telegram.api.until("answerInlineQuery", number)
        last = telegram.api.made("answerInlineQuery")[-1]
        assert asked(telegram) == ["one", "two"]
        assert last["cache_time"] == 0
        assert last["results"][0]["title"] not in {"", "Hello from the model."}
        await telegram.api.bring(private(4, "/usage"))
        assert "2 questions" in (await telegram.texts(1))[-1]


async def test_a_long_answer_is_cut_to_one_result(tmp_path: Path) -> None:
    """What does not fit is not sent elsewhere."""
    async with answering(tmp_path) as telegram:
        telegram.model.otherwise = model_reply(" ".join(f"word{number}" for number in range(2000)))
        await telegram.api.bring(query(1))
        [answer] = await telegram.api.until("answerInlineQuery")
        text = answer["results"][0]["input_message_content"]["message_text"]
        assert len(text) <= 4096
        assert text.startswith("word0 word1")
        assert text.endswith("\u2026")
        await telegram.api.bring(private(2, "/stop"))
        assert await telegram.texts(1) == [english("telegram-nothing-to-stop")]


async def test_queries_are_not_answered_where_that_is_off(tmp_path: Path) -> None:
    """The default: Telegram is not asked for them, and one from before asks no model."""
    async with running_telegram_server(tmp_path) as telegram:
        assert "inline_query" not in (await telegram.api.until("getUpdates"))[0]["allowed_updates"]
        await telegram.api.bring(query(1), private(2, "hello"))
        await telegram.texts(1)
        assert asked(telegram) == ["hello"]
        assert telegram.api.made("answerInlineQuery") == []


@pytest.mark.parametrize(
    ("changes", "kind"),
    [
        ({}, Kind.TEXT),
        ({"query": ""}, Kind.SERVICE),
        ({"query": " \n"}, Kind.SERVICE),
        ({"from": {**ADA, "is_bot": True}}, Kind.SERVICE),
        ({"query": None}, None),
        ({"from": 5}, None),
        ({"id": 7}, None),
    ],
)
def test_a_query_is_read(changes: dict[str, Any], kind: Kind | None) -> None:
    """Each has a topic, and thereby a history, of its own."""
    body = {**query(1)["inline_query"], **changes}
    if kind is None:
        with pytest.raises(PayloadError):
            read_query(body, "1:1", 5.0)
        return
    read = read_query(body, "1:1", 5.0)
    assert (read.kind, read.user_id, read.topic, read.options["inline_query"]) == (
        kind,
        "700000001",
        "inline 1:1",
        "i1",
    )
