"""What `--check` asks Twilio: the account, our number or Messaging Service, and where its incoming texts go.

All requests are free of charge and change nothing: https://www.twilio.com/docs/iam/api/account,
https://www.twilio.com/docs/phone-numbers/api/incomingphonenumber-resource,
https://www.twilio.com/docs/messaging/api/service-resource
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import urlsplit

import httpx

from relay.channels.sms.client import TwilioTransport
from relay.channels.sms.settings import SmsSettings, credentials, rest_credentials
from relay.channels.sms.spec import RETRIES, WEBHOOK_PATH
from relay.config.checks import Finding, Severity
from relay.config.logs import Redactor
from relay.core.errors import SendError
from relay.core.http_client import open_http_client
from relay.web.public_address import check_public_url

_SECONDS = 10.0
_MAX_NAMED = 5
FINE, NOTE, PROBLEM = Severity.FINE, Severity.NOTE, Severity.PROBLEM


async def check(settings: SmsSettings) -> list[Finding]:
    """The findings about the configured account; raises SettingsError when its credentials are missing."""
    async with open_http_client() as http:
        findings = [finding async for finding in _Account(settings, http).findings()]
    public = await check_public_url(
        settings,
        port=settings.sms_server_port,
        webhook=WEBHOOK_PATH,
        provider="Twilio",
        provider_url=settings.twilio_api_base_url,
    )
    return [*findings, public]


class _Account:
    """Reads what Twilio knows about our account."""

    def __init__(self, settings: SmsSettings, http: httpx.AsyncClient) -> None:
        self._settings = settings
        self._account, self._auth = credentials(settings), rest_credentials(settings)
        redact = Redactor(settings.secrets()).redact
        api = settings.twilio_api_base_url
        self._api = TwilioTransport(http, api, _SECONDS, redact)
        # Messaging Services have a host of their own; a stand-in has one for both.
        self._messaging = TwilioTransport(http, api.replace("//api.", "//messaging.", 1), _SECONDS, redact)
        self._path = f"/2010-04-01/Accounts/{self._account[0]}"

    async def findings(self) -> AsyncIterator[Finding]:
        try:
            # With the auth token, which signs webhooks; an API key of the usual kind may not read the account.
            account = await self._get(self._api, f"{self._path}.json", auth=self._account)
        except SendError as error:
            yield Finding(PROBLEM, "twilio account", f"{error.message} ({error.code})")
            return
        yield _account_finding(account)
        service, number = self._settings.twilio_messaging_service_sid, self._settings.twilio_phone_number
        try:
            by_service = await self._service_url(service) if service else None
            if by_service is not None:
                yield Finding(FINE, "twilio service", f"{service} is a Messaging Service of the account")
                yield self._webhook_finding(f"the Messaging Service {service}", *by_service)
            if number:
                async for finding in self._number_findings(number, check_url=by_service is None):
                    yield finding
        except SendError as error:
            yield Finding(PROBLEM, "twilio number", f"{error.message} ({error.code})")

    async def _get(
        self, api: TwilioTransport, path: str, auth: tuple[str, str] | None = None, **params: object
    ) -> dict[str, Any]:
        response = await api.request("GET", path, params=params, auth=auth or self._auth)
        found: dict[str, Any] = json.loads(response.text)
        return found

    async def _service_url(self, service: str) -> tuple[str, str] | None:
        """URL and method for texts to the service; None when each of its numbers has its own."""
        found = await self._get(self._messaging, f"/v1/Services/{service}")
        if found.get("use_inbound_webhook_on_number"):
            return None
        return str(found.get("inbound_request_url") or ""), str(found.get("inbound_method") or "POST")

    async def _number_findings(self, number: str, *, check_url: bool) -> AsyncIterator[Finding]:
        what = "twilio number"
        if not number.startswith("+"):
            yield Finding(NOTE, what, f"{number} is a short code, which cannot be looked up")
            return
        path = f"{self._path}/IncomingPhoneNumbers.json"
        rows = (await self._get(self._api, path, PhoneNumber=number)).get("incoming_phone_numbers") or []
        row = next((row for row in rows if row.get("phone_number") == number), None)
        if row is None:
            others = (await self._get(self._api, path, PageSize=_MAX_NAMED)).get("incoming_phone_numbers") or []
            names = ", ".join(str(row.get("phone_number")) for row in others[:_MAX_NAMED]) or "none"
            yield Finding(PROBLEM, what, f"{number} is no number of this account; it has: {names}")
            return
        if not (row.get("capabilities") or {}).get("sms", True):
            yield Finding(PROBLEM, what, f"{number} cannot send or receive texts: get a number with SMS")
            return
        yield Finding(FINE, what, f"{number} belongs to the account and can do SMS")
        if check_url and row.get("sms_application_sid"):
            text = f"a TwiML App ({row['sms_application_sid']}) receives the texts to {number}: choose Webhook instead"
            yield Finding(PROBLEM, "twilio webhook", text)
        elif check_url:
            yield self._webhook_finding(number, str(row.get("sms_url") or ""), str(row.get("sms_method") or "POST"))

    def _webhook_finding(self, owner: str, url: str, method: str) -> Finding:
        what, public = "twilio webhook", self._settings.public_url
        if public is None:
            return Finding(NOTE, what, f"texts to {owner} go to {url or 'no address'}")
        wanted = public + WEBHOOK_PATH
        advice = f"enter {wanted}{RETRIES} with HTTP POST in Twilio's console"
        if not _same_address(url, wanted):
            now = f"texts to {owner} go to {url or 'no address'}"
            if self._settings.tunnel != "off":
                return Finding(NOTE, what, f"{now}; the start has them go to {wanted}")
            return Finding(PROBLEM, what, f"{now}: {advice}")
        if method.upper() != "POST":
            return Finding(PROBLEM, what, f"texts to {owner} come by HTTP {method}: {advice}")
        if not urlsplit(url).fragment:
            return Finding(NOTE, what, f"{wanted}; a single failure loses a text: {advice}")
        return Finding(FINE, what, f"texts to {owner} go to {wanted}")


def _account_finding(account: dict[str, Any]) -> Finding:
    what, name, status = "twilio account", account.get("friendly_name"), account.get("status")
    if status != "active":
        return Finding(PROBLEM, what, f"{name} is {status}: Twilio's console shows why")
    if account.get("type") == "Trial":
        return Finding(
            NOTE, what, f"{name} is a trial account: it texts only numbers that were verified in the console"
        )
    return Finding(FINE, what, f"{name} is active")


def _same_address(one: str, other: str) -> bool:
    """Whether two URLs are the same without their fragments, which Twilio keeps for itself."""
    first, second = (urlsplit(url.strip()) for url in (one, other))
    return (first.scheme, first.netloc.lower(), first.path, first.query) == (
        second.scheme,
        second.netloc.lower(),
        second.path,
        second.query,
    )
