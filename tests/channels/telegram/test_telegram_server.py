"""The Telegram server on a real socket: the way of a message, its proofs, bad input, the operator's verbs, start."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from relay.channels.telegram.commands import COMMANDS
from relay.config.errors import SettingsError
from telegram_server import create_app
from tests.channels.telegram.scripted_bot_api import BOT_ID, TOKEN, USERNAME, group, private, refused
from tests.channels.telegram.telegram_harness import TelegramHarness, running_telegram_server, running_with_menus
from tests.english import english
from tests.settings import Settings

ROOT = Path(__file__).resolve().parents[3]
ADMIN = {"Authorization": "Bearer admin-token-of-the-tests"}
PUSHED: dict[str, Any] = {
    "telegram_mode": "webhook",
    "public_url": "https://relay.example",
    "admin_token": "admin-token-of-the-tests",
}
ADA = 700000001
HIDDEN = {"type": "hidden_user", "date": 1, "sender_user_name": "B"}


@pytest.fixture
async def telegram(tmp_path: Path) -> AsyncIterator[TelegramHarness]:
    """With long polling, as it is without any further configuration."""
    async with running_telegram_server(tmp_path) as one:
        await one.until("/ready", 200)
        yield one


@pytest.fixture
async def pushed(tmp_path: Path) -> AsyncIterator[TelegramHarness]:
    """With a webhook."""
    async with running_telegram_server(tmp_path, **PUSHED) as one:
        await one.until("/ready", 200)
        one.client.headers.update(ADMIN)
        yield one


# -- the way of a message ----------------------------------------------------------------------------------------------


async def test_a_person_starts_asks_renames_and_is_answered(telegram: TelegramHarness) -> None:
    """The whole dialog over long polling, in order, with formatting."""
    await telegram.api.bring(private(1, "/start"), private(2, "what is up?"), private(3, "/setname Countess"))
    texts = await telegram.texts(3)
    assert texts[0].startswith("Hello, Ada Lovelace!")
    assert texts[1:] == ["Hello from the model.", "Thank you! From now on I will call you Countess."]
    assert telegram.api.made("sendMessage")[1]["entities"] == [{"type": "bold", "offset": 15, "length": 5}]


async def test_a_comment_and_its_forward_get_one_answer(telegram: TelegramHarness) -> None:
    """They arrive as two messages, the comment first."""
    await telegram.api.bring(private(1, "What about this?"))
    await telegram.api.bring(private(2, "Tax starts in May.", forward_origin=HIDDEN))
    await telegram.texts(1)
    await telegram.api.bring(private(3, "/help"))
    assert [text[:5] for text in await telegram.texts(2)] == ["Hello", "Write"]
    assert "What about this?\\nForwarded from B:\\n> Tax starts in May." in telegram.model.requests[-1].body.decode()


async def test_the_operator_sees_the_link_by_which_a_person_came(telegram: TelegramHarness) -> None:
    """In the status, beside the name."""
    await telegram.api.bring(private(1, "/start poster-7"))
    await telegram.texts(1)
    [user] = (await telegram.status())["users"]
    assert (user["name"], user["start"]) == ("Ada Lovelace", "poster-7")


OLD, NEW = ({"id": number, "title": "Crew", "type": kind} for number, kind in ((-5, "group"), (-1009, "supergroup")))


@pytest.mark.parametrize(
    "note",
    [group(2, None, chat=OLD, migrate_to_chat_id=NEW["id"]), group(2, None, chat=NEW, migrate_from_chat_id=OLD["id"])],
    ids=["in the old chat", "in the new chat"],
)
async def test_a_group_that_becomes_a_supergroup_keeps_its_conversation(
    telegram: TelegramHarness, note: dict[str, Any]
) -> None:
    """Also in the quiet, when no send meets the new address."""
    await telegram.api.bring(group(1, f"@{USERNAME} my number is 42", chat=OLD))
    await telegram.texts(1)
    await telegram.api.bring(note, group(3, f"@{USERNAME} which number?", chat=NEW))
    await telegram.texts(2)
    assert "my number is 42" in telegram.model.requests[-1].body.decode()
    [user] = (await telegram.status())["users"]
    assert (user["user_id"], user["message_count"]) == ("-1009", 4)


async def test_an_answer_to_an_old_message_begins_with_a_sentence(telegram: TelegramHarness) -> None:
    """It is true for a backlog that Telegram kept for a day."""
    await telegram.api.bring(private(1, "hello", date=int(time.time()) - 80_000))
    assert (await telegram.texts(1))[0] == f"{english('telegram-late-answer')}\n\nHello from the model."


async def test_typing_is_shown_while_the_model_works(telegram: TelegramHarness) -> None:
    """Before the answer comes."""
    await telegram.api.bring(private(1, "hello"))
    assert (await telegram.api.until("sendChatAction"))[0] == {"chat_id": ADA, "action": "typing"}


async def test_the_menu_of_commands_is_registered(tmp_path: Path) -> None:
    """At the start, by itself."""
    async with running_with_menus(tmp_path) as telegram:
        assert len((await telegram.api.until("setMyCommands"))[0]["commands"]) == len(COMMANDS)


# -- the webhook -------------------------------------------------------------------------------------------------------


async def test_the_webhook_is_registered_and_nothing_is_polled(pushed: TelegramHarness) -> None:
    """Under the public URL, with the derived secret; what is pushed there is acknowledged as Telegram expects it."""
    [asked] = await pushed.api.until("setWebhook")
    assert (asked["url"], asked["secret_token"]) == ("https://relay.example/telegram/webhook", pushed.secret)
    response = await pushed.push(json.dumps(private(1, "hello")))
    assert (response.status_code, response.json()) == (200, {"ok": True})
    assert await pushed.texts(1) == ["Hello from the model."]
    assert pushed.api.made("getUpdates") == []


async def test_a_push_without_the_secret_is_refused_and_stores_nothing(pushed: TelegramHarness) -> None:
    """Whatever it holds; 403 with a hint."""
    for secret in (b"", b"wrong", b"\xe9\xe8", b"x" * 5000, pushed.secret.upper().encode()):
        headers = [(b"X-Telegram-Bot-Api-Secret-Token", secret)]
        response = await pushed.client.post("/telegram/webhook", content=json.dumps(private(1)), headers=headers)
        assert response.status_code == 403
        assert "hint" in response.json()
    assert (await pushed.status())["received"] == 0


UNREADABLE = (
    b"",
    b"garbage",
    b"\xff\xfe\x00",
    b"[]",
    b"null",
    b"[" * 50_000,
    b"[" * 900 + b"]" * 900,
    b'{"update_id": "x"}',
    b'{"update_id": 1e400}',
    json.dumps({"update_id": 5, "message": {"chat": 5}}).encode(),
)


async def test_what_cannot_be_read_is_kept_and_answered_200(pushed: TelegramHarness) -> None:
    """Telegram would repeat a refused one for a day; the operator sees it as a dead letter, once."""
    for count, content in enumerate(UNREADABLE, 1):
        for _ in range(2):
            assert (await pushed.push(content)).status_code == 200, content[:40]
        assert (await pushed.status())["dead_letters"] == count, content[:40]


async def test_a_body_beyond_the_limit_is_refused(pushed: TelegramHarness) -> None:
    """10 MB are no update."""
    assert (await pushed.push(b"x" * 10_000_000)).status_code == 413


async def test_text_with_nul_and_half_characters_is_answered(pushed: TelegramHarness) -> None:
    """No database takes them; the person gets an answer all the same."""
    update = json.dumps(private(1, "n\x00ul \ud800 \U0001f642 \u05e9\u05dc\u05d5\u05dd"))
    assert (await pushed.push(update)).status_code == 200
    assert await pushed.texts(1) == ["Hello from the model."]


async def test_polling_cannot_be_started_beside_a_webhook(pushed: TelegramHarness) -> None:
    """Telegram allows one of the two."""
    response = await pushed.client.post("/telegram/polling/start")
    assert response.status_code == 409
    assert "TELEGRAM_MODE=polling" in response.json()["hint"]


async def test_a_webhook_that_telegram_refuses_is_shown_and_tried_again(tmp_path: Path) -> None:
    """The status says why, until it works."""
    words = "Bad Request: bad webhook: HTTPS url must be provided"
    async with running_telegram_server(tmp_path, {"setWebhook": [refused(400, words)]}, **PUSHED) as telegram:
        telegram.client.headers.update(ADMIN)
        await telegram.api.until("setWebhook")
        while (report := (await telegram.status())["webhook"])["last_error"] is None:
            pass
        assert report == {
            "url": "https://relay.example/telegram/webhook",
            "registered": False,
            "state": "registering",
            "last_error": words,
            "last_error_at": None,
        }
        await telegram.api.until("setWebhook", 2)
        while (await telegram.status())["webhook"]["last_error"] is not None:
            pass


async def test_before_the_bot_knows_itself_a_push_is_put_off(tmp_path: Path) -> None:
    """Without its name no group can be read; 503 makes Telegram come again, so nothing is lost."""
    known = asyncio.Event()
    async with running_telegram_server(tmp_path, {"getMe": [known]}, **PUSHED) as telegram:
        await telegram.api.until("getMe")
        assert (await telegram.push(json.dumps(private(1)))).status_code == 503
        known.set()
        await telegram.until("/ready", 200)
        assert (await telegram.push(json.dumps(private(1)))).status_code == 200


# -- the operator ------------------------------------------------------------------------------------------------------


async def test_the_status_says_what_the_documents_promise(telegram: TelegramHarness) -> None:
    """Totals, people, queue, delivery, and an honest polling state."""
    await telegram.api.bring(private(1, "/start"), private(2, "hello"))
    await telegram.texts(2)
    status = await telegram.status()
    promised = {
        "total_users", "users_by_platform", "total_messages", "messages_by_platform", "users", "queue_depth",
        "oldest_unanswered_seconds", "delivery", "mode", "polling", "pending_update_count", "simulated", "cost",
    }  # fmt: skip
    assert promised <= set(status)
    assert (status["total_users"], status["users_by_platform"]) == (1, {"sms": 0, "whatsapp": 0, "telegram": 1})
    assert [(user["user_id"], user["name"]) for user in status["users"]] == [(str(ADA), "Ada Lovelace")]
    assert (status["bot"], status["mode"], status["simulated"]) == (f"@{USERNAME}", "polling", False)
    assert (status["polling"]["running"], status["polling"]["state"]) == (True, "polling")
    assert status["polling"]["last_success_seconds_ago"] < 60
    assert status["pending_update_count"] is not None
    assert TOKEN not in json.dumps(status)


async def test_people_come_in_pages(telegram: TelegramHarness) -> None:
    """By limit and offset; the total stays."""
    for number in (1, 2, 3):
        person = {"id": number, "is_bot": False, "first_name": f"P{number}"}
        await telegram.api.bring(
            private(number, "/start", **{"from": person, "chat": {"id": number, "type": "private"}})
        )
    await telegram.texts(3)
    pages = [(await telegram.client.get(f"/telegram/status?limit=2&offset={offset}")).json() for offset in (0, 2)]
    assert [len(page["users"]) for page in pages] == [2, 1]
    assert pages[0]["total_users"] == 3


async def test_the_status_tells_of_a_refused_token(tmp_path: Path) -> None:
    """A dead poller never looks alive, and the server stays up to say so."""
    async with running_telegram_server(tmp_path, telegram_bot_token=f"{BOT_ID}:" + "wrong" * 7) as telegram:
        await telegram.api.until("getMe")
        ready = await telegram.until("/ready", 503)
        assert ready["bot_known"] is False
        while (status := await telegram.status())["polling"]["state"] == "starting":
            pass
        assert status["polling"]["state"] == "refused"
        assert "TELEGRAM_BOT_TOKEN" in status["polling"]["last_error"]
        assert (await telegram.client.get("/")).json()["status"] == "trouble"
        local = (await telegram.client.get("/ready")).json()
        assert local["reason"] == f"Telegram has not named this bot yet: {status['polling']['last_error']}"
        stranger = (await telegram.client.get("/ready", headers={"X-Forwarded-For": "192.0.2.1"})).json()
        assert stranger == local | {"reason": "Telegram has not named this bot yet"}


async def test_an_operator_sends_a_message_through_the_outbox(telegram: TelegramHarness) -> None:
    """Formatted like an answer, to a number or the same as text; the id and the state come back at once."""
    await telegram.api.bring(private(1, "/start"))
    await telegram.texts(1)
    for chat_id in (ADA, f" {ADA} "):
        response = await telegram.client.post("/telegram/send", json={"chat_id": chat_id, "message": "**Hi** there"})
        assert (response.status_code, response.json()["chat_id"]) == (202, str(ADA))
        assert response.json()["id"]
        assert response.json()["state"] in {"planned", "sending", "sent"}
    assert (await telegram.texts(3))[1:] == ["Hi there", "Hi there"]


UNSENDABLE: tuple[tuple[Any, int, str], ...] = (
    ({"chat_id": 5, "message": "x"}, 404, "no user 5"),
    ({"chat_id": "abc", "message": "x"}, 422, "whole number"),
    ({"chat_id": "1.5", "message": "x"}, 422, "whole number"),
    ({"chat_id": 1.5, "message": "x"}, 422, "whole number"),
    ({"chat_id": True, "message": "x"}, 422, "whole number"),
    ({"chat_id": 0, "message": "x"}, 422, "whole number"),
    ({"chat_id": 10**30, "message": "x"}, 422, "whole number"),
    ({"chat_id": ADA, "message": " \u200b "}, 422, "empty"),
    ({"chat_id": ADA, "message": "x" * 50_000}, 422, "more than 10 Telegram messages"),
    ({"chat_id": ADA}, 422, "message"),
    ({"message": "x"}, 422, "chat_id"),
    ({"chat_id": None, "message": "x"}, 422, "chat_id"),
    ([], 422, ""),
    ("", 422, ""),
)


async def test_what_cannot_be_sent_is_refused_with_a_reason(telegram: TelegramHarness) -> None:
    """Unknown chat, no number, nothing to say, too much to say, missing fields."""
    for body, status, says in UNSENDABLE:
        response = await telegram.client.post("/telegram/send", json=body)
        assert response.status_code == status, body
        assert says in response.json()["error"], body
        assert response.json()["hint"], body


async def test_polling_is_stopped_and_started_by_hand(telegram: TelegramHarness) -> None:
    """The answer is the state; what came meanwhile is answered."""
    stopped = (await telegram.client.post("/telegram/polling/stop")).json()
    assert (stopped["running"], stopped["state"]) == (False, "stopped")
    await telegram.api.bring(private(1, "/start"))
    asked = len(telegram.api.made("getUpdates"))
    assert (await telegram.status())["polling"]["state"] == "stopped"
    assert len(telegram.api.made("getUpdates")) == asked
    started = (await telegram.client.post("/telegram/polling/start")).json()
    assert started["running"] is True
    assert (await telegram.texts(1))[0].startswith("Hello, Ada")


async def test_a_history_is_cleared_and_counted(telegram: TelegramHarness) -> None:
    """The question and the answer; an unknown chat is a 404, no number a 422."""
    await telegram.api.bring(private(1, "hello"))
    await telegram.texts(1)
    cleared = await telegram.client.delete(f"/telegram/user/{ADA}/history")
    assert cleared.json() == {"chat_id": str(ADA), "removed": 2}
    statuses = [(await telegram.client.delete(f"/telegram/user/{who}/history")).status_code for who in ("5", "abc")]
    assert statuses == [404, 422]


async def test_with_the_database_gone_a_push_is_answered_503(tmp_path: Path) -> None:
    """Telegram tries again; nothing is acknowledged that was not stored."""
    async with running_telegram_server(tmp_path, **PUSHED) as telegram:
        await telegram.until("/ready", 200)
        (tmp_path / "messages.db").unlink()
        assert (await telegram.push(json.dumps(private(1)))).status_code == 503
        assert (await telegram.until("/ready", 503))["database"] != "ok"


# -- the start ---------------------------------------------------------------------------------------------------------


def test_a_webhook_without_a_public_url_is_refused() -> None:
    """The sentence says what to set, and that polling needs nothing."""
    with pytest.raises(SettingsError, match="PUBLIC_URL"):
        create_app(Settings(telegram_bot_token=TOKEN, telegram_mode="webhook"))


def test_the_program_without_a_token_says_so_in_one_line(tmp_path: Path) -> None:
    """Exit status 2, nothing on stdout, no traceback."""
    environ = {key: value for key, value in os.environ.items() if not key.startswith(("TELEGRAM_", "SIMULATED"))}
    program = [sys.executable, str(ROOT / "telegram_server.py")]
    done = subprocess.run(program, cwd=tmp_path, env=environ, capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("TELEGRAM_BOT_TOKEN is not set")
    assert done.stderr.count("\n") == 1
