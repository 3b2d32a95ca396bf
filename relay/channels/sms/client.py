"""Twilio's REST API over our own HTTP client: a refusal is a SendError, an unknown outcome an OutcomeUnknown.

The SDK makes the requests and parses the responses; unlike its own asynchronous transport, this one obeys timeouts and
never repeats a request by itself (a repeated POST is a second text on the bill). Twilio has no idempotency key, so this
module decides which requests may have been executed: https://www.twilio.com/docs/api/errors
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

import httpx
from twilio.http import AsyncHttpClient
from twilio.http.response import Response
from twilio.rest import Client

from relay.core.errors import OutcomeUnknown, SendError, SendFailure
from relay.core.http_client import json_object, redacted_errors, request_once, retry_after_seconds

SEND_SECONDS = 20.0

CONFIG, RECIPIENT, OPTED_OUT = SendFailure.CONFIG, SendFailure.RECIPIENT, SendFailure.OPTED_OUT
REJECTED, BUSY, LATER = SendFailure.REJECTED, SendFailure.BUSY, SendFailure.LATER
LIMIT, DESTINATION = SendFailure.LIMIT, SendFailure.DESTINATION

TWILIO_ERRORS: Mapping[int, tuple[SendFailure, str]] = {
    20003: (CONFIG, "Twilio refused our credentials: check twilio_account_sid and twilio_auth_token"),
    20005: (CONFIG, "the Twilio account is not active"),
    20006: (CONFIG, "our credentials may not send texts"),
    20404: (CONFIG, "Twilio does not know this account or service: check twilio_account_sid"),
    20429: (BUSY, "Twilio asks for fewer requests at once"),
    21211: (RECIPIENT, "this is not a phone number"),
    21212: (CONFIG, "twilio_phone_number is not a number that can send"),
    21408: (REJECTED, "this country is not enabled: Twilio console, Messaging, Geo permissions"),
    21602: (REJECTED, "the text was empty"),
    21603: (CONFIG, "no sender: set twilio_phone_number or twilio_messaging_service_sid"),
    21606: (DESTINATION, "our number cannot send texts to this destination, or is no number of this account"),
    21608: (REJECTED, "a trial account texts verified numbers only: verify this one, or upgrade the account"),
    21610: (OPTED_OUT, "this person has opted out; only a START from them brings them back"),
    21611: (BUSY, "the queue of our number is full"),
    21612: (RECIPIENT, "our number cannot reach this one"),
    21614: (RECIPIENT, "this is not a mobile number"),
    21617: (REJECTED, "the text was longer than 1,600 characters"),
    21619: (REJECTED, "the text was empty"),
    21623: (REJECTED, "too many pictures"),
    21624: (REJECTED, "the validity period was not allowed"),
    21635: (RECIPIENT, "this is a landline"),
    21659: (DESTINATION, "our number cannot be used for this destination, or is no number of this account"),
    21660: (CONFIG, "twilio_phone_number belongs to another account"),
    21701: (CONFIG, "the Messaging Service does not exist: check twilio_messaging_service_sid"),
    21702: (CONFIG, "the Messaging Service cannot be used now"),
    21703: (DESTINATION, "the Messaging Service has no number in its pool for this destination"),
    21704: (CONFIG, "the Messaging Service contains no phone numbers"),
    21705: (CONFIG, "twilio_messaging_service_sid is not a Messaging Service of this account"),
    21910: (REJECTED, "sender and person are on different channels"),
    14107: (REJECTED, "Twilio stopped a conversation that looks like two machines"),
    14108: (REJECTED, "sender and person are the same number"),
    14109: (REJECTED, "too many answers to one text"),
    30001: (BUSY, "the queue of our number is full"),
    30002: (CONFIG, "the Twilio account is suspended"),
    30003: (LATER, "the phone is off or out of reach"),
    30004: (RECIPIENT, "this number does not take our texts"),
    30005: (RECIPIENT, "this number does not exist"),
    30006: (RECIPIENT, "this is a landline, or its carrier cannot be reached"),
    30007: (REJECTED, "the carrier treated the text as spam"),
    30008: (LATER, "the carrier gave no reason"),
    30017: (LATER, "the carrier's network is congested"),
    30019: (LATER, "the text was too large for the carrier"),
    30022: (BUSY, "the registered campaign sends too many texts a minute"),
    30023: (LIMIT, "the carrier's daily limit is reached"),
    30027: (LIMIT, "T-Mobile's daily limit for our brand is reached"),
    30032: (DESTINATION, "our toll-free number is not verified yet"),
    30034: (
        DESTINATION,
        "our number is not registered for A2P 10DLC: Twilio console, Regulatory compliance",
    ),
    30035: (LATER, "our number is being registered"),
    30036: (REJECTED, "the text expired before it could be delivered"),
    30410: (LATER, "the carrier did not answer in time"),
    30450: (REJECTED, "Twilio blocks this country to protect against SMS pumping"),
    30610: (LATER, "quiet hours of this person"),
    63017: (BUSY, "the account sends too many messages a second"),
    63018: (BUSY, "too many messages a second"),
    63038: (LIMIT, "the account's daily limit is reached"),
}
"""The meaning of each code, and advice for the operator. A code takes precedence over the HTTP status.

CONFIG means that every text would be refused. DESTINATION may concern one user or country (21606 by its title, 30034
and 30032 the United States and Canada), so it pauses no other user. A status callback carries no words for a code.
"""


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
    ) -> None:
        super().__init__(logging.getLogger("relay.twilio"), is_async=True)
        self._http = http
        self._base = base_url
        self._seconds = seconds
        self._redact = redact

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
        with redacted_errors(self._redact):
            response = await request_once(
                self._http,
                "Twilio",
                method,
                self._base + urlsplit(uri).path,
                seconds=self._seconds,
                params=_sendable(params),
                data=_sendable(data),
                headers=headers,
                auth=auth,
            )
            return Response(response.status_code, _success_body(response), response.headers)


def _sendable(values: dict[str, object] | None) -> Any:
    return {name: value for name, value in (values or {}).items() if value is not None} or None


def _success_body(response: httpx.Response) -> str:
    payload = json_object(response.content)
    if not response.is_success:
        raise _refused(response.status_code, payload or {}, response.headers)
    if payload is None:
        text = "Twilio's answer was a success, but not one that can be read"
        raise OutcomeUnknown(str(response.status_code), text)
    return response.text


def _refused(status: int, payload: Mapping[str, Any], headers: Mapping[str, str]) -> SendError:
    """A request with the status 429 was not executed and is safe to repeat; whether one with 5xx was, is unknown."""
    found, described = payload.get("code"), payload.get("message") or payload.get("detail")
    code = found if isinstance(found, int) else status
    text = described if isinstance(described, str) else f"Twilio answered with {status}"
    if (status >= 500 or status == 408) and code not in TWILIO_ERRORS:
        return OutcomeUnknown(str(code), text, answered=True)
    if status < 400:
        return SendError(CONFIG, str(status), "Twilio's address answers with a redirect: check twilio_api_base_url")
    fallback = BUSY if status == 429 else CONFIG if status in {401, 403, 404, 405, 407} else REJECTED
    return refusal(code, fallback, text, retry_after_seconds(headers.get("retry-after")))


def open_client(
    http: httpx.AsyncClient, base_url: str, account_sid: str, auth_token: str, redact: Callable[[str], str]
) -> Client:
    """The SDK's client over our transport; it reads no environment of its own."""
    transport = TwilioTransport(http, base_url, redact=redact)
    # An empty mapping would make the SDK read the real environment for an edge and a region.
    return Client(account_sid, auth_token, http_client=transport, environment={"TWILIO_EDGE": ""})
