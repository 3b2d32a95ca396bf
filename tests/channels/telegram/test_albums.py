"""Albums in groups: the pictures without the caption that addresses the bot belong to the question as well."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from relay.channels.telegram.updates import Identity
from relay.core.messages import Kind
from telegram_service import TelegramService
from tests.channels.telegram.scripted_bot_api import BOT_ID, TOKEN, USERNAME, group, private
from tests.settings import Settings

CAPTION = "@relay_test_bot what are these?"


def picture(number: int, caption: str = "", album: str = "a", **more: Any) -> dict[str, Any]:
    words = {"caption": caption} if caption else {}
    return group(number, None, photo=[{"file_id": f"p{number}"}], media_group_id=album, **words, **more)


async def refined(*updates: dict[str, Any], seconds: float = 0.3) -> list[tuple[str, list[str]]]:
    """The kind of each message and the pictures that come with it, when this time lies between two of them."""
    now = 1000.0
    async with httpx.AsyncClient() as client:
        service = TelegramService(Settings(telegram_bot_token=TOKEN), client, monotonic=lambda: now)
        service.me = Identity(BOT_ID, USERNAME, service.me.commands)
        found = []
        for update in updates:
            message = await service.refine(service.parse_update(update))
            kept = message.attachments if message.kind is not Kind.SERVICE else ()
            found.append((str(message.kind), [one.reference for one in kept]))
            now += seconds
    return found


@pytest.mark.parametrize(
    ("updates", "expected"),
    [
        (
            [picture(1), picture(2), picture(3, CAPTION)],
            [("service", []), ("service", []), ("text", ["p1", "p2", "p3"])],
        ),
        (
            [picture(1, CAPTION), picture(2), picture(3)],
            [("text", ["p1"]), ("media", ["p2"]), ("media", ["p3"])],
        ),
        (
            [picture(1), picture(2, CAPTION), picture(3)],
            [("service", []), ("text", ["p1", "p2"]), ("media", ["p3"])],
        ),
        ([picture(1), picture(2, "a nice one"), picture(3)], [("service", [])] * 3),
        ([picture(1), picture(2, CAPTION, album="b")], [("service", []), ("text", ["p2"])]),
        (
            [picture(1), picture(2, CAPTION, chat={"id": -5, "type": "group", "title": "x"})],
            [("service", []), ("text", ["p2"])],
        ),
        ([picture(1), group(2, CAPTION)], [("service", []), ("text", [])]),
        ([picture(1, album=""), picture(2, CAPTION, album="")], [("service", []), ("text", ["p2"])]),
    ],
)
async def test_an_album_of_a_group_comes_as_a_whole(
    updates: list[dict[str, Any]], expected: list[tuple[str, list[str]]]
) -> None:
    """Wherever its caption is; other pictures are nobody's question."""
    assert await refined(*updates) == expected


async def test_a_picture_that_comes_much_later_is_none_of_the_album() -> None:
    """It would be answered by itself, and nobody asked."""
    late = await refined(picture(1, CAPTION), picture(2), seconds=3.0)
    assert late == [("text", ["p1"]), ("service", [])]


async def test_an_album_of_a_private_chat_needs_nothing_of_that() -> None:
    """All of it is for the bot, and is merged there."""
    photo = {"photo": [{"file_id": "p1"}], "media_group_id": "a"}
    assert await refined(private(1, None, **photo), private(2, None, **photo)) == [("media", ["p1"])] * 2
