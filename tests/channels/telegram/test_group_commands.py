"""Commands that concern a whole group, and the name by which a group addresses the bot."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.channels.scripted_server import Reply
from tests.channels.telegram.scripted_bot_api import ME, group, ok, private, refused
from tests.channels.telegram.telegram_harness import running_telegram_server
from tests.english import english

MEMBER = ok({"user": {"id": 7, "is_bot": False, "first_name": "Ann"}, "status": "member"})
ADMIN = ok({"user": {"id": 7, "is_bot": False, "first_name": "Ann"}, "status": "administrator"})
OWNER = ok({"user": {"id": 7, "is_bot": False, "first_name": "Ann"}, "status": "creator"})


@pytest.mark.parametrize(
    ("member", "reply"),
    [
        (MEMBER, english("telegram-admins-only")),
        (ok({"status": "restricted", "is_member": True}), english("telegram-admins-only")),
        (ok("nonsense"), english("telegram-admins-only")),
        (ADMIN, english("telegram-cleared", count=0)),
        (OWNER, english("telegram-cleared", count=0)),
        (refused(400, "Bad Request: user not found"), english("telegram-admins-unknown")),
        (refused(429, "Too Many Requests", retry_after=3), english("telegram-admins-unknown")),
    ],
)
async def test_only_administrators_clear_the_history_of_a_group(tmp_path: Path, member: Reply, reply: str) -> None:
    """It is the history of all its members; when Telegram does not answer, nothing is deleted."""
    async with running_telegram_server(tmp_path, {"getChatMember": [member]}) as telegram:
        await telegram.api.bring(group(1, "/clear"))
        assert await telegram.texts(1) == [reply]
        [asked] = telegram.api.made("getChatMember")
        assert asked["chat_id"] < 0 < asked["user_id"]


async def test_an_anonymous_administrator_needs_no_proof(tmp_path: Path) -> None:
    """Only administrators can write as the group itself."""
    async with running_telegram_server(tmp_path) as telegram:
        update = group(1, "/clear")
        update["message"]["sender_chat"] = update["message"]["chat"]
        await telegram.api.bring(update)
        assert await telegram.texts(1) == [english("telegram-cleared", count=0)]
        assert telegram.api.made("getChatMember") == []


async def test_a_bot_that_was_renamed_answers_to_its_new_name(tmp_path: Path) -> None:
    """Its name is looked up again when a group mentions one that is not known; other mentions change nothing."""
    renamed: dict[str, Any] = {**ME, "username": "corner_shop_bot"}
    async with running_telegram_server(tmp_path, {"getMe": [ok(ME), ok(renamed)]}) as telegram:
        await telegram.api.until("getUpdates")
        await telegram.api.bring(group(1, "hello @corner_shop_bot"))
        assert await telegram.texts(1) == ["Hello from the model."]
        await telegram.api.bring(group(2, "@alice_in_chains look"), group(3, "@corner_shop_bot and now?"))
        await telegram.texts(2)
        assert len(telegram.api.made("getMe")) == 2


async def test_an_operator_writes_into_a_topic(tmp_path: Path) -> None:
    """The message goes into the thread of a chat, and into the history of that topic."""
    async with running_telegram_server(tmp_path) as telegram:
        await telegram.api.bring(group(1, "/start"))
        await telegram.texts(1)
        [chat] = {call["chat_id"] for call in telegram.api.made("sendMessage")}
        body = {"chat_id": chat, "message": "From the shop", "message_thread_id": 9}
        response = await telegram.client.post("/telegram/send", json=body)
        assert response.status_code == 202, response.text
        sent = (await telegram.api.until("sendMessage", 2))[-1]
        assert (sent["text"], sent["message_thread_id"]) == ("From the shop", 9)
        assert "reply_parameters" not in sent
        for wrong in (0, -1, "x", 1.5, True):
            response = await telegram.client.post("/telegram/send", json={**body, "message_thread_id": wrong})
            assert response.status_code == 422, wrong


async def test_content_that_cannot_be_read_is_counted(tmp_path: Path) -> None:
    """Its sender is asked for words, and the operator sees how often that happens."""
    async with running_telegram_server(tmp_path) as telegram:
        await telegram.api.bring(private(1, None, voice={"duration": 3}), private(2, None, invented={"blocks": 1}))
        assert (await telegram.texts(1))[0] == english("voice-unsupported")
        metrics = (await telegram.client.get("/metrics")).text
        assert 'relay_inbound_total{outcome="not readable",platform="telegram"} 2.0' in metrics
