"""The AttachmentReader: fetches what came with a message, keeps it, and reads it by what it really is."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import logging
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path
from typing import Final

import httpx

from relay.config.settings import Settings
from relay.core.attachments import PICTURES, Content, Download
from relay.core.documents import ExtractionError, extract
from relay.core.errors import AttachmentError, AttachmentFailure
from relay.core.messages import Attachment, Platform
from relay.core.text import strip_controls
from relay.media.content_types import DOCX, HTML, PDF, content_type, decoded
from relay.media.files import MediaFiles
from relay.media.transcription import Transcriber

log = logging.getLogger("relay.media")

MAX_PICTURE_BYTES: Final = 7_500_000
"""A larger one is kept for the operator, but no model takes it."""

MAX_TEXT_BYTES: Final = 200_000
DOCUMENT_SECONDS: Final = 20.0
DOCUMENTS_AT_ONCE: Final = 2
_ENDINGS: Final = {PDF: ".pdf", DOCX: ".docx", HTML: ".html"}


class MediaReader:
    """Reads attachments for one server. http: for the transcription server."""

    def __init__(self, settings: Settings, http: httpx.AsyncClient, folder: Path | None = None) -> None:
        self._settings = settings
        self._files = MediaFiles((folder or Path.cwd()) / settings.media_folder)
        self._transcriber = Transcriber(http, settings)
        self._documents = asyncio.Semaphore(DOCUMENTS_AT_ONCE)

    async def read(self, platform: Platform, attachment: Attachment, download: Download, *, last: bool) -> Content:
        try:
            attachment = await self._fetched(platform, attachment, download)
            return await self._content(attachment)
        except AttachmentError as error:
            log.warning("an attachment (%s) is not read: %s", attachment.media_type, error)
            if error.passing and not last:
                raise
            return Content(attachment, failure=error.kind)

    async def kept(self, attachment: Attachment) -> Content:
        """The content of an attachment of the history, as far as it is kept: pictures, and texts that were read."""
        if self._files.path(attachment.sha256) is None:
            return Content(attachment, failure=AttachmentFailure.GONE)
        if attachment.media_type not in PICTURES:
            return Content(attachment, self._files.text(attachment.sha256) or "")
        try:
            return Content(attachment, picture=await self._picture(attachment.sha256))
        except AttachmentError as error:
            return Content(attachment, failure=error.kind)

    async def prune(self, referenced: Collection[str]) -> None:
        settings = self._settings
        limits = (settings.media_keep_days, settings.media_folder_max_bytes)
        if count := await asyncio.to_thread(self._files.prune, referenced, *limits):
            log.info("%d files of attachments were deleted", count)

    async def _fetched(self, platform: Platform, attachment: Attachment, download: Download) -> Attachment:
        """The attachment with the hash and the real type of its content, which is in the folder then."""
        limit = self._settings.media_max_bytes
        if not attachment.reference:
            raise AttachmentError(AttachmentFailure.UNREADABLE)
        if limit == 0:
            raise AttachmentError(AttachmentFailure.OFF)
        if attachment.size > limit:
            raise AttachmentError(AttachmentFailure.TOO_LARGE)
        try:
            sha256 = self._files.fetched(platform, attachment.reference)
            if sha256 is None:
                sha256 = await self._fetch(attachment, download, limit)
                self._files.record(platform, attachment.reference, sha256)
            head = self._files.head(sha256)
        except OSError as error:
            raise AttachmentError(AttachmentFailure.UNAVAILABLE, f"the media folder cannot be used: {error}") from None
        return replace(attachment, sha256=sha256, media_type=content_type(head, attachment.media_type, attachment.name))

    async def _fetch(self, attachment: Attachment, download: Download, limit: int) -> str:
        with self._files.incoming(limit) as incoming:
            try:
                async with asyncio.timeout(self._settings.media_seconds):
                    await download(attachment, incoming.write, limit)
            except TimeoutError:
                text = f"it could not be fetched within {self._settings.media_seconds:g} s"
                raise AttachmentError(AttachmentFailure.UNAVAILABLE, text) from None
            if not incoming.size:
                raise AttachmentError(AttachmentFailure.EMPTY)
        return incoming.sha256

    async def _content(self, attachment: Attachment) -> Content:
        if attachment.media_type in PICTURES:
            return Content(attachment, picture=await self._picture(attachment.sha256))
        text = self._files.text(attachment.sha256)
        if text is None:
            text = await self._text(attachment.sha256, attachment.media_type)
            with contextlib.suppress(OSError):  # it is read again the next time
                self._files.keep_text(attachment.sha256, text)
        if not text:
            raise AttachmentError(AttachmentFailure.EMPTY)
        return Content(attachment, text)

    async def _picture(self, sha256: str) -> str:
        """A picture as base64. Raises AttachmentError."""
        content = await self._bytes(sha256, MAX_PICTURE_BYTES + 1)
        if len(content) > MAX_PICTURE_BYTES:
            raise AttachmentError(AttachmentFailure.TOO_LARGE)
        return base64.b64encode(content).decode("ascii")

    async def _text(self, sha256: str, media_type: str) -> str:
        """What is spoken or written in a file. Raises AttachmentError."""
        if media_type.startswith(("audio/", "video/")):
            content = await self._bytes(sha256, self._settings.media_max_bytes)
            return await self._transcriber.transcribe(content, media_type)
        if media_type in _ENDINGS:
            return await self._extracted(sha256, _ENDINGS[media_type])
        if media_type.startswith("text/"):
            return strip_controls(decoded(await self._bytes(sha256, MAX_TEXT_BYTES))).strip()
        raise AttachmentError(AttachmentFailure.UNREADABLE)

    async def _extracted(self, sha256: str, ending: str) -> str:
        path = self._files.path(sha256)
        try:
            async with self._documents:
                text = await asyncio.to_thread(extract, path or Path(sha256), ending, seconds=DOCUMENT_SECONDS)
        except ExtractionError as error:
            raise AttachmentError(AttachmentFailure.UNREADABLE, str(error)) from None
        return strip_controls(text)[:MAX_TEXT_BYTES].strip()

    async def _bytes(self, sha256: str, most: int) -> bytes:
        try:
            return await asyncio.to_thread(self._files.head, sha256, most)
        except OSError as error:
            raise AttachmentError(AttachmentFailure.UNAVAILABLE, f"the media folder cannot be read: {error}") from None
