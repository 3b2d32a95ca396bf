"""Who ends which answer of a group: by a command, as a reply to the message in which it grows, or by its button."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from relay.channels.telegram.updates import Identity, read_update
from relay.core.decisions import STOPS, STOPS_MESSAGE, Stops
from relay.core.http_client import open_http_client
from telegram_service import TelegramService
from tests.channels.scripted_server import listening
from tests.channels.telegram.scripted_bot_api import (
    BOT_ID,
    ME,
    TOKEN,
    USERNAME,
    ScriptedBotApi,
    group,
    ok,
    press,
    private,
    refused,
)
from tests.channels.telegram.writing_model import writing
from tests.settings import Settings

IDENTITY = Identity(BOT_ID, USERNAME, frozenset({"stop", "clear"}))
BUBBLE = {"message_id": 77, "from": ME, "text": "Once upon"}
OF_OTHERS = {"message_id": 76, "from": {"id": 5, "is_bot": False, "first_name": "Bo"}, "text": "a story"}
FORWARD = {"type": "user", "date": 1, "sender_user": {"id": 5, "is_bot": False, "first_name": "Bo"}}


@pytest.mark.parametrize(
    ("update", "stops", "at"),
    [
        (group(1, "/stop"), Stops.OWN, None),
        (group(1, "/stop@relay_test_bot"), Stops.OWN, None),
        (group(1, "/STOP please"), Stops.OWN, None),
        (group(1, "/stop", reply_to_message=BUBBLE), Stops.OWN, "77"),
        (group(1, "/stop", reply_to_message=OF_OTHERS), Stops.OWN, None),
        (private(1, "/stop"), Stops.ALL, None),
        (private(1, "/stop", reply_to_message=BUBBLE), Stops.ALL, "77"),
        (press(1, "stop", group(1)), Stops.OWN, "77"),
        (group(1, "/stop@other_bot"), None, None),
        (group(1, "/stop", forward_origin=FORWARD), None, None),
        (group(1, "please /stop", reply_to_message=BUBBLE), None, None),
        (group(1, "stop", reply_to_message=BUBBLE), None, None),
        (group(1, "/stopping", reply_to_message=BUBBLE), None, None),
        (press(1, "again", group(1)), None, None),
    ],
)
def test_what_a_stop_points_at_is_read(update: dict[str, Any], stops: Stops | None, at: str | None) -> None:
    """Only a command or a press ends anything, and it points at a message of ours alone."""
    options = read_update(update, IDENTITY, 1.0).options
    assert (options.get(STOPS), options.get(STOPS_MESSAGE)) == (stops, at)


@pytest.fixture
async def api() -> AsyncIterator[ScriptedBotApi]:
    async with listening(ScriptedBotApi()) as running:
        yield running


def by(update: dict[str, Any], number: int) -> dict[str, Any]:
    """The update as another member sends it."""
    body = update.get("message") or update["callback_query"]
    body["from"] = {"id": number, "is_bot": False, "first_name": f"Member {number}"}
    return update


def as_the_group(update: dict[str, Any]) -> dict[str, Any]:
    """The update as an anonymous administrator sends it."""
    by(update, 1087968824)["message"]["sender_chat"] = update["message"]["chat"]
    return update


def member(status: str) -> Any:
    return ok({"user": {"id": 9, "is_bot": False, "first_name": "Nine"}, "status": status})


@pytest.mark.parametrize(
    ("update", "script", "ends"),
    [
        (group(2, "/stop"), [member("member")], Stops.OWN),
        (group(2, "/stop"), [member("administrator")], Stops.UNDER_WAY),
        (group(2, "/stop"), [member("creator")], Stops.UNDER_WAY),
        (group(2, "/stop"), [member("restricted")], Stops.OWN),
        (group(2, "/stop"), [refused(400, "Bad Request: PARTICIPANT_ID_INVALID")], Stops.OWN),
        (as_the_group(group(2, "/stop")), [], Stops.UNDER_WAY),
        (group(2, "/stop", reply_to_message=BUBBLE), [], Stops.OWN),
        (press(2, "stop", group(1)), [], Stops.OWN),
        (private(2, "/stop"), [], Stops.ALL),
        (group(2, "/clear"), [], None),
    ],
)
async def test_an_administrator_ends_the_answer_to_anybody(
    api: ScriptedBotApi, update: dict[str, Any], script: list[Any], ends: Stops | None
) -> None:
    """Telegram is asked once a minute for each member, and only when it matters; its failure gives no right."""
    api.scripts["getChatMember"].extend(script)
    async with open_http_client() as client:
        settings = Settings(telegram_bot_token=TOKEN, telegram_api_base_url=api.base_url)
        service = TelegramService(settings, client)
        for _ in range(2):
            refined = await service.refine(service.parse_update(update))
            assert refined.options.get(STOPS) == ends
            if ends is Stops.OWN and len(script) == 1 and script[0].status != 200:
                break  # a failure is not remembered
    assert len(api.made("getChatMember")) == len(script)


async def test_every_member_may_press_stop_below_an_answer(tmp_path: Path) -> None:
    """It ends this one; the question of another member that waits behind it is answered."""
    async with writing(tmp_path) as scene:
        await scene.api.bring(group(1, "@relay_test_bot a story"), by(group(2, "@relay_test_bot and a joke"), 7))
        scene.model.write("Once upon")
        await scene.api.until("sendMessage")
        await scene.api.bring(by(press(3, "stop", group(1)), 9))
        assert (await scene.api.until("editMessageText"))[-1]["text"].startswith("Once upon\n\n(stopped here")
        scene.model.write("A man walks")
        scene.model.finish()
        assert "A man walks" in (await scene.telegram.texts(2))[-1]
        assert (await scene.api.until("answerCallbackQuery"))[-1].get("text", "") == ""
