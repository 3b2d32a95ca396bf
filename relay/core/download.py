"""Downloads a file from a provider: from its own hosts alone, without compression, redirected at most three times.

Credentials are sent with the first request only. The caller limits the time.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any
from urllib.parse import urljoin

import aiohttp
import httpx

from relay.core.errors import AttachmentError, AttachmentFailure
from relay.core.http_client import error_text

MAX_REDIRECTS = 3
_STALL = httpx.Timeout(15.0, connect=5.0)
_FAILURES = (httpx.HTTPError, httpx.StreamError, httpx.InvalidURL, aiohttp.ClientError, OSError)
_LATER = {408, 425, 429}

Write = Callable[[bytes], object]
"""Takes the next bytes of a file. Raises AttachmentError to end the download, when they are too many."""


async def download(
    http: httpx.AsyncClient,
    url: str,
    write: Write,
    *,
    max_bytes: int,
    may_follow: Callable[[str], bool] = lambda url: False,  # noqa: ARG005 (none is followed)
    **options: Any,
) -> None:
    """Pass the content at `url` to `write`; a redirect is followed when `may_follow` allows its target.

    options: for the first request, such as httpx's `auth`. Raises AttachmentError.
    """
    try:
        for _ in range(MAX_REDIRECTS + 1):
            target = await _fetch(http, url, write, max_bytes, options)
            if target is None:
                return
            with suppress(ValueError):  # the target is no URL
                url, options = urljoin(url, target), {}
                if may_follow(url):
                    continue
            raise AttachmentError(AttachmentFailure.GONE, "it is redirected to a host that is not the provider's")
    except _FAILURES as error:
        raise AttachmentError(AttachmentFailure.UNAVAILABLE, f"a download failed: {error_text(error)}") from None
    raise AttachmentError(AttachmentFailure.GONE, "it is redirected too often")


async def _fetch(
    http: httpx.AsyncClient, url: str, write: Write, max_bytes: int, options: dict[str, Any]
) -> str | None:
    """Pass the content to `write`; the target instead where there is a redirect."""
    headers = {"Accept-Encoding": "identity"}  # a small file that unpacks to a large one is none
    request = http.stream("GET", url, headers=headers, timeout=_STALL, follow_redirects=False, **options)
    async with request as response:
        if response.has_redirect_location:
            return response.headers["location"]
        _check(response, max_bytes)
        async for chunk in response.aiter_raw():
            write(chunk)
    return None


def _check(response: httpx.Response, max_bytes: int) -> None:
    """Raise AttachmentError for a status other than success, and for a content that is announced as too large."""
    status, length = response.status_code, response.headers.get("content-length", "")
    if not response.is_success:
        later = status >= 500 or status in _LATER
        kind = AttachmentFailure.UNAVAILABLE if later else AttachmentFailure.GONE
        raise AttachmentError(kind, f"a download was answered with status {status}")
    if length.isdecimal() and int(length) > max_bytes:
        raise AttachmentError(AttachmentFailure.TOO_LARGE)
