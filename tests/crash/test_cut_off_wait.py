"""A part that waits for its turn at Telegram when the server stops: nothing was sent, and that is known."""

from __future__ import annotations

import asyncio

import pytest

from relay.errors import SendError, SendFailure
from relay.http_client import open_http_client
from relay.messages import Part, PartId, Platform, UserId
from relay.settings import Settings
from telegram_service import TelegramService
from tests.telegram.scripted_bot_api import TOKEN, scripted_bot_api


def _part(number: int) -> Part:
    return Part(
        id=PartId(f"{number:032x}"),
        platform=Platform.TELEGRAM,
        user_id=UserId("700000001"),
        number=number,
        count=2,
        text="Hello",
        style=None,
        reply_to=None,
        created_at=1.0,
        owner="test",
        attempts=1,
        lease_until=1e12,
    )


async def test_a_stop_while_a_part_waits_for_its_turn_is_told_apart_from_an_unknown_outcome() -> None:
    """The second message to a chat within a second waits; cut off then, it is a refusal that may be sent again."""
    waits = asyncio.Event()

    async def sleep(_: float) -> None:
        waits.set()
        await asyncio.Event().wait()

    async with scripted_bot_api() as api, open_http_client() as client:
        settings = Settings(telegram_bot_token=TOKEN, telegram_api_base_url=api.base_url)
        service = TelegramService(settings, client, sleep=sleep)
        await service.send(_part(1))
        second = asyncio.create_task(service.send(_part(2)))
        await waits.wait()
        second.cancel()
        with pytest.raises(SendError) as caught:
            await second
        await service.stop()
    assert caught.value.kind is SendFailure.BUSY
    assert len(api.made("sendMessage")) == 1
