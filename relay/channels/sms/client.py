"""Twilio's REST API over our own HTTP client: a refusal is a SendError, an unknown outcome an OutcomeUnknown.

The SDK makes the requests and parses the responses; unlike its own asynchronous transport, this one obeys timeouts and
never repeats a request by itself (a repeated POST is a second text on the bill). Twilio has no idempotency key, so this
module decides which requests may have been executed: https://www.twilio.com/docs/api/errors
"""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable, Mapping
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit

import httpx
from twilio.http import AsyncHttpClient
from twilio.http.response import Response
from twilio.rest import Client

from relay.channels.sms.error_codes import TWILIO_ERRORS
from relay.core.errors import OutcomeUnknown, SendError, SendFailure
from relay.core.http_client import json_object, redacted_errors, request_once, retry_after_seconds

SEND_SECONDS = 20.0


def refusal(code: int, fallback: SendFailure, text: str, retry_after: float | None = None) -> SendError:
    """The error for a code of Twilio's; for an unknown one with the fallback, and Twilio's own text or a link."""
    kind, advice = TWILIO_ERRORS.get(code, (fallback, ""))
    words = advice or text or f"explained at https://www.twilio.com/docs/api/errors/{code}"
    return SendError(kind, str(code), words, retry_after=retry_after)


class TwilioTransport(AsyncHttpClient):  # type: ignore[misc]  # (the SDK carries no types)
    """The SDK's transport: our shared client, our base URL, our timeouts, one request for one call."""

    def __init__(
        self,
        http: httpx.AsyncClient,
        base_url: str,
        seconds: float = SEND_SECONDS,
        redact: Callable[[str], str] = str,
        clock: Callable[[], float] = time.time,
    ) -> None:
        super().__init__(logging.getLogger("relay.twilio"), is_async=True)
        self._http = http
        self._base = base_url
        self._seconds = seconds
        self._redact = redact
        self._clock = clock
        self.ahead = 0.0
        """How far Twilio's clock was ahead of ours at its latest answer, in seconds."""

    async def request(
        self,
        method: str,
        uri: str,
        params: dict[str, object] | None = None,
        data: dict[str, object] | None = None,
        headers: dict[str, str] | None = None,
        auth: tuple[str, str] | None = None,
        timeout: float | None = None,  # noqa: ASYNC109, ARG002 (the SDK names it; ours is in force)
        allow_redirects: bool = False,  # noqa: ARG002 (the SDK names it; a redirect is never followed)
    ) -> Response:
        """Raises SendError or OutcomeUnknown for everything but a success with a JSON object in it."""
        content = {"params": _sendable(params), "data": _sendable(data), "headers": headers, "auth": auth}
        response, _ = await self.exchange(method, urlsplit(uri).path, **content)
        return Response(response.status_code, response.text, response.headers)

    async def exchange(self, method: str, path: str, **content: Any) -> tuple[httpx.Response, dict[str, Any]]:
        """Make one request, and return the response with the JSON object in it; it raises what `request` does.

        content: options of httpx.Request, and `auth` as that of `request`.
        """
        with redacted_errors(self._redact):
            url = self._base + path
            response = await request_once(self._http, "Twilio", method, url, seconds=self._seconds, **content)
            self._compare_clocks(response.headers.get("date"))
            return response, _success(response)

    def _compare_clocks(self, date: str | None) -> None:
        with contextlib.suppress(TypeError, ValueError):
            self.ahead = parsedate_to_datetime(date).timestamp() - self._clock() if date else self.ahead


def _sendable(values: dict[str, object] | None) -> Any:
    return {name: value for name, value in (values or {}).items() if value is not None} or None


def _success(response: httpx.Response) -> dict[str, Any]:
    payload = json_object(response.content)
    if not response.is_success:
        raise _refused(response.status_code, payload or {}, response.headers)
    if payload is None:
        text = "Twilio's answer was a success, but not one that can be read"
        raise OutcomeUnknown(str(response.status_code), text)
    return payload


_BY_STATUS = {429: SendFailure.BUSY, **dict.fromkeys((401, 403, 404, 405, 407), SendFailure.CONFIG)}


def _refused(status: int, payload: Mapping[str, Any], headers: Mapping[str, str]) -> SendError:
    """A request with the status 429 was not executed and is safe to repeat; whether one with 5xx was, is unknown."""
    found, described = payload.get("code"), payload.get("message") or payload.get("detail")
    code = found if isinstance(found, int) else status
    text = described if isinstance(described, str) else f"Twilio answered with {status}"
    if (status >= 500 or status == 408) and code not in TWILIO_ERRORS:
        return OutcomeUnknown(str(code), text, answered=True)
    if status < 400:
        return SendError(
            SendFailure.CONFIG, str(status), "Twilio's address answers with a redirect: check twilio_api_base_url"
        )
    fallback = SendFailure.CONFIG if status in {401, 403, 404, 405, 407} else SendFailure.REJECTED
    fallback = SendFailure.BUSY if status == 429 else fallback
    return refusal(code, fallback, text, retry_after_seconds(headers.get("retry-after")))


def open_client(transport: TwilioTransport, account_sid: str | None, auth: tuple[str, str]) -> Client:
    """The SDK's client over our transport; it reads no environment of its own. auth: user name and password."""
    # An empty mapping would make the SDK read the real environment for an edge and a region.
    return Client(*auth, account_sid, http_client=transport, environment={"TWILIO_EDGE": ""})
