"""What a text message carries besides its words: read from the webhook, fetched from Twilio with the account's token.

Twilio redirects to its store, which takes no credentials: the address itself is signed and lasts for hours.
https://www.twilio.com/docs/messaging/api/media-resource
"""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import urlsplit

import httpx

from relay.channels.sms.settings import SmsSettings, rest_credentials
from relay.channels.sms.webhook import Form, small_number
from relay.core.download import Write, download
from relay.core.errors import AttachmentError, AttachmentFailure
from relay.core.messages import Attachment
from relay.core.text import strip_controls

MAX_MEDIA: Final = 10
_SID = "[0-9a-fA-F]{32}"
_PATH = re.compile(rf"/2010-04-01/Accounts/AC{_SID}/Messages/(?:MM|SM){_SID}/Media/ME{_SID}")
_STORE = re.compile(r"[a-z0-9-]+\.twiliocdn\.com")
_OLD_STORE = re.compile(r"s3(?:[.-][a-z0-9-]+)?\.amazonaws\.com")
_OLD_FOLDER = "/media.twiliocdn.com/"


def read_media(form: Form) -> tuple[Attachment, ...]:
    """The attachments of a message. The path of each is kept; its host must not choose where our token goes."""
    count = small_number(form.one("NumMedia").strip()) or 0
    return tuple(_attachment(form, index) for index in range(min(count, MAX_MEDIA)))


def _attachment(form: Form, index: int) -> Attachment:
    kind = strip_controls(form.one(f"MediaContentType{index}")).strip().lower()[:100]
    try:
        path = urlsplit(form.one(f"MediaUrl{index}").strip()).path
    except ValueError:
        path = ""
    return Attachment(kind or "unknown", reference=path if _PATH.fullmatch(path) else "")


class MediaStore:
    """Fetches media from the API and from Twilio's stores. Raises SettingsError when credentials are missing."""

    def __init__(self, http: httpx.AsyncClient, settings: SmsSettings) -> None:
        self._http = http
        self._base = settings.twilio_api_base_url
        self._auth = httpx.BasicAuth(*rest_credentials(settings))

    async def download(self, attachment: Attachment, write: Write, max_bytes: int) -> None:
        """Pass the content to `write`. Raises AttachmentError."""
        if not _PATH.fullmatch(attachment.reference):
            raise AttachmentError(AttachmentFailure.GONE, "the message does not name it as Twilio does")
        url = f"{self._base}{attachment.reference}"
        await download(self._http, url, write, max_bytes=max_bytes, may_follow=self._is_twilios, auth=self._auth)

    def _is_twilios(self, url: str) -> bool:
        parts, base = urlsplit(url), urlsplit(self._base)
        if (parts.scheme, parts.netloc) == (base.scheme, base.netloc):
            return True
        if parts.scheme != "https" or parts.port not in {None, 443} or parts.username is not None:
            return False
        host = parts.hostname or ""
        return bool(_STORE.fullmatch(host) or (_OLD_STORE.fullmatch(host) and parts.path.startswith(_OLD_FOLDER)))
