"""Writes down what is spoken in a recording, by any server with OpenAI's /audio/transcriptions.

https://platform.openai.com/docs/api-reference/audio/createTranscription
"""

from __future__ import annotations

import asyncio
import logging

import aiohttp
import httpx

from relay.config.logs import Redactor
from relay.config.settings import Settings
from relay.core.errors import AttachmentError, AttachmentFailure
from relay.core.http_client import MAX_ERROR_CHARS, error_text, json_object
from relay.core.text import is_blank, strip_controls

log = logging.getLogger("relay.media")

_ENDINGS = {
    "audio/ogg": "ogg",
    "audio/mpeg": "mp3",
    "audio/wav": "wav",
    "audio/flac": "flac",
    "audio/mp4": "m4a",
    "audio/amr": "amr",
    "video/mp4": "mp4",
}
"""Servers choose the decoder by the ending of the name."""

_FAILURES = (httpx.HTTPError, httpx.StreamError, aiohttp.ClientError, OSError)
_LATER = {408, 425, 429}
_OUR_FAULT = {401, 402, 403, 404, 405}


class Transcriber:
    """The transcription server of the settings, over a shared HTTP client."""

    def __init__(self, http: httpx.AsyncClient, settings: Settings) -> None:
        self._http = http
        self._base = settings.transcription_base_url
        self._key = settings.transcription_api_key
        self._model = settings.transcription_model
        self._seconds = settings.transcription_seconds
        self._redact = Redactor(settings.secrets()).redact

    async def transcribe(self, content: bytes, media_type: str) -> str:
        """The words of a recording. Raises AttachmentError."""
        if self._base is None:
            raise AttachmentError(AttachmentFailure.NOT_TRANSCRIBED)
        name = f"recording.{_ENDINGS.get(media_type, 'webm')}"
        headers = {"Authorization": f"Bearer {self._key.get_secret_value()}"} if self._key else {}
        try:
            async with asyncio.timeout(self._seconds):
                response = await self._http.post(
                    f"{self._base}/audio/transcriptions",
                    data={"model": self._model, "response_format": "json"},
                    files={"file": (name, content, media_type)},
                    headers=headers,
                    timeout=httpx.Timeout(self._seconds, connect=5.0),
                    follow_redirects=False,
                )
        except _FAILURES as error:
            text = f"the transcription server cannot be asked: {self._redact(error_text(error))}"
            raise AttachmentError(AttachmentFailure.UNAVAILABLE, text) from None
        return self._words(response)

    def _words(self, response: httpx.Response) -> str:
        body = json_object(response.content)
        if not response.is_success:
            raise self._refusal(response)
        text = body.get("text") if body else None
        if not isinstance(text, str):
            raise AttachmentError(AttachmentFailure.UNAVAILABLE, "the transcription server's answer has no text")
        if is_blank(text):
            raise AttachmentError(AttachmentFailure.SILENT)
        return strip_controls(text).strip()

    def _refusal(self, response: httpx.Response) -> AttachmentError:
        status = response.status_code
        why = self._redact(response.text[:20_000])[:MAX_ERROR_CHARS]
        text = f"the transcription server answered with status {status}: {why}"
        if status >= 500 or status in _LATER:
            return AttachmentError(AttachmentFailure.UNAVAILABLE, text)
        if status in _OUR_FAULT or status < 400:
            log.error("%s. Check transcription_base_url, its key and its model", text)
            return AttachmentError(AttachmentFailure.NOT_TRANSCRIBED, text)
        log.warning("%s", text)
        return AttachmentError(AttachmentFailure.UNREADABLE, text)
