"""What a message of Telegram carries besides text: read from an update, and fetched by getFile and its path.

https://core.telegram.org/bots/api#getfile: a bot can fetch files of up to 20 MB.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

import httpx

from relay.channels.telegram.bot_api import BotCalls
from relay.channels.telegram.json_fields import is_integer
from relay.channels.telegram.rendering import clean_telegram
from relay.core.download import Write, download
from relay.core.errors import AttachmentError, AttachmentFailure, SendError, SendFailure
from relay.core.messages import Attachment

MEDIA: Final = {
    "photo": "image/jpeg",
    "sticker": "image/webp",
    "voice": "audio/ogg",
    "audio": "audio/mpeg",
    "video": "video/mp4",
    "video_note": "video/mp4",
    "animation": "video/mp4",
    "document": "application/octet-stream",
    "paid_media": "application/octet-stream",
    "story": "video/mp4",
    "contact": "text/vcard",
    "location": "application/geo+json",
    "venue": "application/geo+json",
    "poll": "application/x-poll",
    "dice": "application/x-dice",
    "game": "application/x-game",
    "checklist": "application/x-checklist",
}
"""Fields of a message besides text, each with its content type where the message gives none."""

MAX_BYTES: Final = 20_000_000
CALL_SECONDS: Final = 10.0
_FILE_ID = re.compile(r"[\w-]{1,300}", re.ASCII)
_PATH = re.compile(r"[\w-]+(?:/[\w-][\w.-]*)*", re.ASCII)
_MAX_NAME: Final = 200


def read_media(message: Mapping[str, Any]) -> tuple[Attachment, ...]:
    """The attachments of a message; an animation comes as a document too, for older bots."""
    keys = [key for key in MEDIA if message.get(key)]
    if "animation" in keys:
        keys = [key for key in keys if key != "document"]
    return tuple(_attachment(key, _largest(message[key])) for key in keys)


def _largest(value: Any) -> Mapping[str, Any]:
    """The file; of a photo, which comes in several sizes, the last one: it is the largest."""
    if isinstance(value, list):
        value = value[-1] if value else {}
    return value if isinstance(value, dict) else {}


def _attachment(key: str, file: Mapping[str, Any]) -> Attachment:
    reference, size = _text(file, "file_id"), file.get("file_size", 0)
    if key == "sticker" and file.get("is_animated") is True:
        reference = ""  # a drawing in a format of Telegram's own
    moving = key == "sticker" and file.get("is_video") is True
    return Attachment(
        media_type=_text(file, "mime_type")[:100] or ("video/webm" if moving else MEDIA[key]),
        reference=reference if _FILE_ID.fullmatch(reference) else "",
        name=(_text(file, "file_name") or _text(file, "title") or _text(file, "emoji"))[:_MAX_NAME],
        size=max(0, size) if is_integer(size) else 0,
    )


def _text(file: Mapping[str, Any], key: str) -> str:
    value = file.get(key)
    return clean_telegram(value) if isinstance(value, str) else ""


async def download_file(
    calls: BotCalls, http: httpx.AsyncClient, attachment: Attachment, write: Write, max_bytes: int
) -> None:
    """Pass the content of a file to `write`, in two requests to the Bot API. Raises AttachmentError."""
    max_bytes = min(max_bytes, MAX_BYTES)
    if attachment.size > max_bytes:
        raise AttachmentError(AttachmentFailure.TOO_LARGE)
    try:
        file = await calls.call("getFile", {"file_id": attachment.reference}, seconds=CALL_SECONDS)
    except SendError as error:
        raise _failure(error) from None
    path = file.get("file_path") if isinstance(file, dict) else None
    if not isinstance(path, str) or not _PATH.fullmatch(path):
        raise AttachmentError(AttachmentFailure.GONE, "Telegram names no path of the file")
    await download(http, calls.file_url(path), write, max_bytes=max_bytes)


def _failure(error: SendError) -> AttachmentError:
    if "too big" in error.message.lower():
        return AttachmentError(AttachmentFailure.TOO_LARGE)
    later = error.kind in {SendFailure.BUSY, SendFailure.OUTAGE, SendFailure.UNKNOWN}
    kind = AttachmentFailure.UNAVAILABLE if later else AttachmentFailure.GONE
    return AttachmentError(kind, f"getFile: {error.message}")
