"""Where texts to us are posted: lists the account's numbers, sets their webhooks to public_url, and puts them back.

https://www.twilio.com/docs/phone-numbers/api/incomingphonenumber-resource#update-an-incomingphonenumber-resource,
https://www.twilio.com/docs/messaging/api/service-resource#update-a-service-resource
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from relay.channels.sms.client import TwilioTransport
from relay.channels.sms.settings import SmsSettings, rest_credentials
from relay.channels.sms.spec import RETRIES, WEBHOOK_PATH
from relay.config.checks import Finding, Severity
from relay.config.logs import Redactor
from relay.core.errors import SendError, SendFailure
from relay.core.http_client import open_http_client

_SECONDS = 10.0
_MAX_LISTED = 100
_ACCOUNTS = "/2010-04-01/Accounts/"
_SERVICES = "/v1/Services/"

Form = dict[str, str]
"""The fields of a request that sets where texts are posted."""


async def offer(settings: SmsSettings) -> dict[str, list[str]]:
    """The numbers of the account, once its credentials are entered. Raises SendError."""
    sid, token = settings.twilio_account_sid, settings.twilio_auth_token
    if sid is None or token is None:
        return {}
    path = f"{_ACCOUNTS}{sid}/IncomingPhoneNumbers.json"
    auth, params = (sid, token.get_secret_value()), {"PageSize": _MAX_LISTED}
    found = await call_twilio(settings, "GET", path, auth=auth, params=params)
    return {"twilio_phone_number": [row["phone_number"] for row in found.get("incoming_phone_numbers") or ()]}


async def addresses(settings: SmsSettings) -> dict[str, Form]:
    """Where texts are posted now: the form that would set it, by the path of our Messaging Service or each number.

    Raises SendError, also for a number that the account does not have.
    """
    if service := settings.twilio_messaging_service_sid:
        found = await call_twilio(settings, "GET", path := f"{_SERVICES}{service}")
        by_number = str(bool(found.get("use_inbound_webhook_on_number"))).lower()
        url, method = found.get("inbound_request_url") or "", found.get("inbound_method") or "POST"
        return {path: {"InboundRequestUrl": url, "InboundMethod": method, "UseInboundWebhookOnNumber": by_number}}
    return dict([await _number(settings, number) for number in _numbers(settings)])


async def connect(settings: SmsSettings) -> list[Finding]:
    """Have texts to our numbers, or to our Messaging Service, posted to public_url. Raises SendError."""
    url = _our_url(settings)
    for path, now in (await addresses(settings)).items():
        await call_twilio(settings, "POST", path, data=_ours(path, now, url))
    receivers = settings.twilio_messaging_service_sid or ", ".join(_numbers(settings))
    return [Finding(Severity.FINE, "twilio webhook", f"texts to {receivers} go to {url} now")]


async def restore(settings: SmsSettings, before: Mapping[str, Form]) -> list[Finding]:
    """Put back what `addresses` returned before `connect`, where nothing else was set since. Raises SendError."""
    url = _our_url(settings)
    findings = []
    for path, now in (await addresses(settings)).items():
        if url in now.values() and path in before:
            await call_twilio(settings, "POST", path, data=before[path])
            old = before[path].get("InboundRequestUrl") or before[path].get("SmsUrl") or "no address"
            findings.append(Finding(Severity.FINE, "twilio webhook", f"texts go to {old} again, as before"))
    return findings


def _our_url(settings: SmsSettings) -> str:
    return f"{settings.public_url}{WEBHOOK_PATH}{RETRIES}"


def _ours(path: str, now: Form, url: str) -> Form:
    if path.startswith(_SERVICES):
        return {"InboundRequestUrl": url, "InboundMethod": "POST", "UseInboundWebhookOnNumber": "false"}
    # A TwiML App would receive the texts whatever the number's own address is.
    return {"SmsUrl": url, "SmsMethod": "POST"} | ({"SmsApplicationSid": ""} if now.get("SmsApplicationSid") else {})


def _numbers(settings: SmsSettings) -> tuple[str, ...]:
    return tuple(dict.fromkeys((settings.twilio_phone_number or "", *settings.twilio_other_numbers)))


async def _number(settings: SmsSettings, number: str) -> tuple[str, Form]:
    path = f"{_ACCOUNTS}{settings.twilio_account_sid}/IncomingPhoneNumbers"
    rows = (await call_twilio(settings, "GET", f"{path}.json", params={"PhoneNumber": number})).get(
        "incoming_phone_numbers"
    )
    row = next((row for row in rows or () if row.get("phone_number") == number), None)
    if row is None:
        raise SendError(SendFailure.CONFIG, "404", f"{number} is no number of this account")
    form = {"SmsUrl": row.get("sms_url") or "", "SmsMethod": row.get("sms_method") or "POST"}
    app = row.get("sms_application_sid")
    return f"{path}/{row['sid']}.json", form | ({"SmsApplicationSid": app} if app else {})


async def call_twilio(
    settings: SmsSettings, method: str, path: str, *, auth: tuple[str, str] | None = None, **options: Any
) -> dict[str, Any]:
    """Make one request to the API of accounts or, by its path, that of messaging; returns the object in its response.

    auth: other credentials than those of the settings. Raises SendError, and SettingsError without credentials.
    """
    auth = auth or rest_credentials(settings)
    host = "api" if path.startswith(_ACCOUNTS) else "messaging"
    base = settings.twilio_api_base_url.replace("//api.", f"//{host}.", 1)
    async with open_http_client() as http:
        transport = TwilioTransport(http, base, _SECONDS, Redactor(settings.secrets()).redact)
        _, found = await transport.exchange(method, path, auth=auth, **options)
    return found
