"""What `--check` and the set-up ask Twilio about our WhatsApp sender: whether it is there, online, and leads here.

The request is free of charge and changes nothing: https://www.twilio.com/docs/whatsapp/api/senders
"""

from __future__ import annotations

from typing import Any, Final

from relay.channels.sms.connecting import call_twilio
from relay.channels.sms.spec import RETRIES, WEBHOOK_PATH
from relay.channels.whatsapp.settings import WhatsAppSettings
from relay.config.checks import Finding, Severity
from relay.core.errors import SendError

SENDERS: Final = "/v2/Channels/Senders"
SANDBOX: Final = "+14155238886"
"""Twilio's own number for trying WhatsApp out: https://www.twilio.com/docs/whatsapp/sandbox"""

_WHAT: Final = "whatsapp sender"


async def check(settings: WhatsAppSettings) -> list[Finding]:
    """The findings about the sender; an account that may not list its senders is no problem. Raises SettingsError."""
    number = settings.whatsapp_number
    if number == SANDBOX:
        text = "Twilio's sandbox: each person joins it first, by the words that Twilio's console shows"
        return [Finding(Severity.NOTE, _WHAT, text), _advice(settings)]
    try:
        found = await call_twilio(settings, "GET", SENDERS, params={"Channel": "whatsapp", "PageSize": 100})
    except SendError as error:
        return [Finding(Severity.NOTE, _WHAT, f"it could not be looked up: {error.message} ({error.code})")]
    senders: list[dict[str, Any]] = found.get("senders") or []
    sender = next((one for one in senders if one.get("sender_id") == f"whatsapp:{number}"), None)
    if sender is None:
        others = ", ".join(str(one.get("sender_id")).removeprefix("whatsapp:") for one in senders[:5]) or "none"
        return [Finding(Severity.PROBLEM, _WHAT, f"{number} is no WhatsApp sender of this account; it has: {others}")]
    if sender.get("status") != "ONLINE":
        text = f"{number} is {str(sender.get('status')).lower()}: Twilio's console shows why"
        return [Finding(Severity.PROBLEM, _WHAT, text)]
    url = str((sender.get("webhook") or {}).get("callback_url") or "")
    return [Finding(Severity.FINE, _WHAT, f"{number} belongs to the account and is online"), _advice(settings, url)]


def _advice(settings: WhatsAppSettings, url: str | None = None) -> Finding:
    """Where its messages go; url: as Twilio has it, None when that is not known."""
    what, wanted = "whatsapp webhook", f"{settings.public_url}{WEBHOOK_PATH}{RETRIES}"
    if settings.public_url is None:
        return Finding(Severity.NOTE, what, "set the public address: it comes in at the webhook of the SMS server")
    if url is not None and url.partition("#")[0] == wanted.partition("#")[0]:
        return Finding(Severity.FINE, what, f"its messages go to {url}")
    severity = Severity.NOTE if url is None else Severity.PROBLEM
    where = "" if url is None else f"its messages go to {url or 'no address'}: "
    return Finding(severity, what, f"{where}enter {wanted} with HTTP POST at the sender in Twilio's console")
