"""What the console's set-up does at Twilio: lists the account's numbers, and sets where its incoming texts go.

https://www.twilio.com/docs/phone-numbers/api/incomingphonenumber-resource#update-an-incomingphonenumber-resource,
https://www.twilio.com/docs/messaging/api/service-resource#update-a-service-resource
"""

from __future__ import annotations

import json
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


async def offer(settings: SmsSettings) -> dict[str, list[str]]:
    """The numbers of the account, once its credentials are entered. Raises SendError."""
    sid, token = settings.twilio_account_sid, settings.twilio_auth_token
    if sid is None or token is None:
        return {}
    path = f"/2010-04-01/Accounts/{sid}/IncomingPhoneNumbers.json"
    found = await _call(settings, (sid, token.get_secret_value()), "GET", path, params={"PageSize": _MAX_LISTED})
    return {"twilio_phone_number": [row["phone_number"] for row in found.get("incoming_phone_numbers") or ()]}


async def connect(settings: SmsSettings) -> list[Finding]:
    """Have texts to our number, or to our Messaging Service, posted to public_url. Raises SendError."""
    auth, url = rest_credentials(settings), f"{settings.public_url}{WEBHOOK_PATH}{RETRIES}"
    if service := settings.twilio_messaging_service_sid:
        form = {"InboundRequestUrl": url, "InboundMethod": "POST", "UseInboundWebhookOnNumber": "false"}
        await _call(settings, auth, "POST", f"/v1/Services/{service}", data=form, host="messaging")
        return [Finding(Severity.FINE, "twilio webhook", f"texts to {service} go to {url} now")]
    number = settings.twilio_phone_number or ""
    path = f"/2010-04-01/Accounts/{settings.twilio_account_sid}/IncomingPhoneNumbers"
    rows = (await _call(settings, auth, "GET", f"{path}.json", params={"PhoneNumber": number})).get(
        "incoming_phone_numbers"
    )
    row = next((row for row in rows or () if row.get("phone_number") == number), None)
    if row is None:
        raise SendError(SendFailure.CONFIG, "404", f"{number} is no number of this account")
    # A TwiML App would receive the texts whatever the number's own address is.
    form = {"SmsUrl": url, "SmsMethod": "POST"} | ({"SmsApplicationSid": ""} if row.get("sms_application_sid") else {})
    await _call(settings, auth, "POST", f"{path}/{row['sid']}.json", data=form)
    return [Finding(Severity.FINE, "twilio webhook", f"texts to {number} go to {url} now")]


async def _call(
    settings: SmsSettings, auth: tuple[str, str], method: str, path: str, host: str = "api", **options: Any
) -> dict[str, Any]:
    base = settings.twilio_api_base_url.replace("//api.", f"//{host}.", 1)
    async with open_http_client() as http:
        transport = TwilioTransport(http, base, _SECONDS, Redactor(settings.secrets()).redact)
        response = await transport.request(method, path, auth=auth, **options)
    found: dict[str, Any] = json.loads(response.text)
    return found
