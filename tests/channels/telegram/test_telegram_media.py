"""A file of Telegram: asked for by its id, fetched below our own token, and from nowhere else."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from relay.core.errors import AttachmentError, AttachmentFailure
from relay.core.messages import Attachment
from telegram_service import TelegramService
from tests.channels.telegram.scripted_bot_api import TOKEN
from tests.settings import Settings

API = "https://api.telegram.org"
PHOTO = Attachment("image/jpeg", "AgAC_-9")


async def fetched(answer: httpx.Response, attachment: Attachment = PHOTO) -> tuple[bytes, list[str]]:
    """The content, and the addresses that were asked; `answer` is that of getFile."""
    asked: list[str] = []

    def network(request: httpx.Request) -> httpx.Response:
        asked.append(str(request.url))
        return answer if request.method == "POST" else httpx.Response(200, stream=httpx.ByteStream(b"jpeg"))

    content = bytearray()
    async with httpx.AsyncClient(transport=httpx.MockTransport(network)) as client:
        service = TelegramService(Settings(telegram_bot_token=TOKEN), client)
        await service.download_attachment(attachment, content.extend, 1000)
    return bytes(content), asked


def described(path: Any) -> httpx.Response:
    return httpx.Response(200, json={"ok": True, "result": {"file_id": PHOTO.reference, "file_path": path}})


async def test_a_file_is_fetched_by_its_path() -> None:
    """In two requests, both to the Bot API of the settings."""
    content, asked = await fetched(described("photos/file_0.jpg"))
    assert content == b"jpeg"
    assert asked == [f"{API}/bot{TOKEN}/getFile", f"{API}/file/bot{TOKEN}/photos/file_0.jpg"]


@pytest.mark.parametrize(
    "path", ["../../etc/passwd", "/var/lib/x.jpg", "photos/../x", "http://127.0.0.1/", "a?b", "a%2e", "", None, 5]
)
async def test_a_path_of_another_form_is_not_asked_for(path: Any) -> None:
    """It cannot lead out of the bot's folder."""
    with pytest.raises(AttachmentError) as raised:
        await fetched(described(path))
    assert raised.value.kind is AttachmentFailure.GONE


@pytest.mark.parametrize(
    ("status", "text", "why"),
    [
        (400, "Bad Request: file is too big", AttachmentFailure.TOO_LARGE),
        (400, "Bad Request: wrong file_id", AttachmentFailure.GONE),
        (429, "Too Many Requests: retry after 3", AttachmentFailure.UNAVAILABLE),
        (502, "Bad Gateway", AttachmentFailure.UNAVAILABLE),
    ],
)
async def test_a_refusal_says_whether_it_may_be_had_later(status: int, text: str, why: AttachmentFailure) -> None:
    """And what is known to be too large is not asked for at all."""
    answer = httpx.Response(status, json={"ok": False, "error_code": status, "description": text})
    with pytest.raises(AttachmentError) as raised:
        await fetched(answer)
    assert raised.value.kind is why
    assert TOKEN not in str(raised.value)
    with pytest.raises(AttachmentError, match="too large"):
        await fetched(answer, Attachment("video/mp4", "x", size=30_000_000))
