"""Mentions in chats of which the bot is no member, and messages that are only counted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.channels.harness import model_reply
from tests.channels.telegram.scripted_bot_api import group, ok, private, refused
from tests.channels.telegram.telegram_harness import running_telegram_server

OPENED = ok({"inline_message_id": "AAMCAgADGQ"})


def mention(update_id: int, text: str = "@relay_test_bot what is a fox?", **more: Any) -> dict[str, Any]:
    message = {**group(update_id, text)["message"], "guest_query_id": f"g{update_id}", **more}
    return {"update_id": update_id, "guest_message": message}


async def test_a_guest_is_answered_in_the_message_that_opened_at_once(tmp_path: Path) -> None:
    """The query is valid for seconds, so a short message comes first; the chat itself is never written to."""
    async with running_telegram_server(tmp_path, {"answerGuestQuery": [OPENED]}) as telegram:
        await telegram.api.bring(mention(1))
        [opened] = await telegram.api.until("answerGuestQuery")
        [edit] = await telegram.api.until("editMessageText")
        assert opened["guest_query_id"] == "g1"
        assert opened["result"]["input_message_content"] == {"message_text": "\u2026"}
        assert (edit["inline_message_id"], edit["text"]) == ("AAMCAgADGQ", "Hello from the model.")
        assert "chat_id" not in edit
        assert "reply_markup" not in edit
        assert telegram.api.made("sendMessage") == telegram.api.made("sendChatAction") == []


async def test_questions_of_a_guest_know_nothing_of_each_other_or_of_the_private_chat(tmp_path: Path) -> None:
    """Others read the answers; two questions in a row get an answer each."""
    openings = [OPENED, ok({"inline_message_id": "BBBB"})]
    async with running_telegram_server(tmp_path, {"answerGuestQuery": openings}) as telegram:
        await telegram.api.bring(private(1, "my code is heliotrope"))
        await telegram.api.until("sendMessage")
        await telegram.api.bring(mention(2, "@relay_test_bot one"), mention(3, "@relay_test_bot two"))
        edits = await telegram.api.until("editMessageText", 2)
        assert [edit["inline_message_id"] for edit in edits] == ["AAMCAgADGQ", "BBBB"]
        asked = [one.body for one in telegram.model.requests if one.path == "/api/chat"]
        assert len(asked) == 3
        assert all(b"heliotrope" not in body for body in asked[1:])


async def test_a_guest_whose_query_is_over_is_answered_in_private(tmp_path: Path) -> None:
    """What does not fit into the message goes there too."""
    late = refused(400, "Bad Request: query is too old and response timeout expired or query ID is invalid")
    async with running_telegram_server(tmp_path, {"answerGuestQuery": [late, OPENED]}) as telegram:
        telegram.model.otherwise = model_reply(" ".join(f"word{number}" for number in range(900)))
        await telegram.api.bring(mention(1))
        first = await telegram.api.until("sendMessage", 2)
        assert {call["chat_id"] for call in first} == {700000001}
        await telegram.api.bring(mention(2))
        await telegram.api.until("editMessageText")
        assert (await telegram.api.until("sendMessage", 3))[-1]["chat_id"] == 700000001


@pytest.mark.parametrize(
    ("text", "more"),
    [
        ("@relay_test_bot", {}),
        ("@relay_test_bot hi", {"from": {"id": 9, "is_bot": True, "first_name": "Bot"}}),
    ],
)
async def test_a_mention_without_a_question_of_a_person_is_not_answered(
    tmp_path: Path, text: str, more: dict[str, Any]
) -> None:
    """Not an empty one, nor one of another bot."""
    async with running_telegram_server(tmp_path) as telegram:
        await telegram.api.bring(mention(1, text, **more), private(2, "hello"))
        await telegram.api.until("sendMessage")
        assert telegram.api.made("answerGuestQuery") == []


async def test_a_command_of_a_guest_is_a_question(tmp_path: Path) -> None:
    """Nothing is deleted where others watch; a mention alone asks about what it replies to."""
    async with running_telegram_server(tmp_path, {"answerGuestQuery": [OPENED, OPENED]}) as telegram:
        await telegram.api.bring(mention(1, "@relay_test_bot /clear"))
        assert (await telegram.api.until("editMessageText"))[0]["text"] == "Hello from the model."
        replied = {"message_id": 5, "from": {"id": 9, "is_bot": False, "first_name": "Bob"}, "text": "Capital of Peru?"}
        await telegram.api.bring(mention(2, "@relay_test_bot", reply_to_message={**replied, "chat": {"id": -1}}))
        await telegram.api.until("editMessageText", 2)
        assert b"Capital of Peru?" in telegram.model.requests[-1].body


async def test_messages_to_a_business_account_are_counted_and_not_answered(tmp_path: Path) -> None:
    """They are written to its owner."""
    async with running_telegram_server(tmp_path) as telegram:
        business = {
            "update_id": 1,
            "business_message": {**private(1, "hello")["message"], "business_connection_id": "b"},
        }
        await telegram.api.bring(business, private(2, "hello"))
        await telegram.api.until("sendMessage")
        metrics = (await telegram.client.get("/metrics")).text
        assert 'relay_inbound_total{outcome="business",platform="telegram"} 1.0' in metrics
        assert len(telegram.api.made("sendMessage")) == 1
