"""Twilio's rules for text messages: validation with error codes, keywords, segments.

Codes: https://www.twilio.com/docs/api/errors. Magic numbers: https://www.twilio.com/docs/iam/test-credentials.
Keywords: https://help.twilio.com/articles/223134027.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from urllib.parse import urlsplit

import phonenumbers
from fastapi.responses import JSONResponse, Response

from relay.simulator.provider_api import ApiRefusal, utf16_units

MAX_UNITS = 1600
MAX_MEDIA = 10
STOP_WORDS = frozenset({"STOP", "STOPALL", "UNSUBSCRIBE", "END", "QUIT", "CANCEL", "REVOKE", "OPTOUT"})
START_WORDS = frozenset({"START", "YES", "UNSTOP"})
HELP_WORDS = frozenset({"HELP", "INFO"})
REFUSED_NUMBERS = {
    "+15005550001": 21211,
    "+15005550002": 21612,
    "+15005550003": 21408,
    "+15005550004": 21610,
    "+15005550008": 21611,
    "+15005550009": 21614,
}
TEXTS = {
    11200: "HTTP retrieval failure",
    20003: "Authenticate",
    20404: "The requested resource was not found",
    20429: "Too Many Requests",
    20500: "An internal server error has occurred",
    20503: "Service is unavailable",
    21211: "The 'To' number is not a valid phone number",
    21266: "'To' and 'From' must not be the same number",
    21402: "The URL is not valid",
    21408: "Permission to send to the region of the 'To' number is not enabled",
    21602: "A message body is required",
    21603: "A 'From' number or a MessagingServiceSid is required",
    21604: "A 'To' number is required",
    21606: "The 'From' number is not a message-capable number of this account",
    21609: "The 'StatusCallback' URL is not valid",
    21610: "The recipient has opted out of messages from this number",
    21611: "The 'From' number has too many messages in its queue",
    21612: "The 'To' number cannot be reached from this 'From' number",
    21614: "The 'To' number is not a mobile number",
    21617: "The message body exceeds the limit of 1600 characters",
    21623: "Too many media files",
    21624: "The validity period is not within 1 to 36000 seconds",
    21705: "The Messaging Service SID is not valid",
    21910: "The 'From' and 'To' addresses must be of one channel",
    30003: "Unreachable destination handset",
    30004: "Message blocked",
    30005: "Unknown destination handset",
    30006: "Landline or unreachable carrier",
    30007: "Message filtered",
    30008: "Unknown error",
    30409: "This message cannot be canceled",
    35111: "A SendAt time is required",
    35114: "The SendAt time is not valid",
    35118: "A MessagingServiceSid is required to schedule a message",
    63007: "No channel with the 'From' address",
    63016: "The person has not written within the last 24 hours",
    63018: "Rate limit exceeded for the channel",
}
_STATUS_OF = {20003: 401, 20404: 404, 20429: 429, 20500: 500, 20503: 503, 63038: 429}
_CODE_OF = {400: 21211, 401: 20003, 403: 20003, 404: 20404, 429: 20429, 503: 20503}

_GSM_BASIC = (
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
_GSM_DOUBLE = "^{}\\[~]|€\f"


class TwilioRefusal(ApiRefusal):
    """A request that Twilio answers with an error; status and message follow from the code when they are not given."""

    def __init__(
        self, code: int, status: int | None = None, message: str | None = None, *, retry_after: int | None = None
    ) -> None:
        self.code = code
        self.status = status or _STATUS_OF.get(code, 400)
        self.message = message or TEXTS.get(code, f"Error {code}")
        self.headers = {} if retry_after is None else {"Retry-After": str(retry_after)}
        if self.status == 401:
            self.headers["WWW-Authenticate"] = 'Basic realm="Twilio API"'
        super().__init__(self.message)

    def response(self) -> Response:
        body = {
            "code": self.code,
            "message": self.message,
            "more_info": f"https://www.twilio.com/docs/errors/{self.code}",
            "status": self.status,
        }
        return JSONResponse(body, self.status, headers=self.headers)


def code_for(status: int) -> int:
    """The default error code of an HTTP status."""
    return _CODE_OF.get(status, 20500)


def check_message(params: Mapping[str, str], media: Sequence[str], own_numbers: Sequence[str]) -> None:
    """Raise TwilioRefusal for a send that Twilio refuses for any recipient."""
    _check_to(params.get("To", ""))
    _check_sender(params, own_numbers)
    body = params.get("Body", "")
    if not body and not media:
        raise TwilioRefusal(21602)
    if utf16_units(body) > MAX_UNITS:
        raise TwilioRefusal(21617)
    if len(media) > MAX_MEDIA:
        raise TwilioRefusal(21623)
    _check_callback(params.get("StatusCallback", ""))
    validity = params.get("ValidityPeriod", "1")
    if not (validity.isascii() and validity.isdigit() and 1 <= int(validity) <= 36_000):
        raise TwilioRefusal(21624)
    _check_schedule(params)


def _check_to(to: str) -> None:
    if not to:
        raise TwilioRefusal(21604)
    to = to.removeprefix("whatsapp:")
    if to.startswith(("messenger:", "rcs:")):
        raise TwilioRefusal(63007)
    if to in REFUSED_NUMBERS:
        raise TwilioRefusal(REFUSED_NUMBERS[to])
    if not is_phone_number(to):
        raise TwilioRefusal(21211, message=f"{TEXTS[21211]}: {to[:40]}")


def _check_sender(params: Mapping[str, str], own_numbers: Sequence[str]) -> None:
    service, sender = params.get("MessagingServiceSid", ""), params.get("From", "")
    if service:
        if not re.fullmatch(r"MG[0-9a-f]{32}", service):
            raise TwilioRefusal(21705)
    elif not sender:
        raise TwilioRefusal(21603)
    elif sender == params.get("To"):
        raise TwilioRefusal(21266)
    elif sender.startswith("whatsapp:") != params.get("To", "").startswith("whatsapp:"):
        raise TwilioRefusal(21910)
    elif sender not in own_numbers:
        raise TwilioRefusal(63007 if sender.startswith("whatsapp:") else 21606)


def _check_schedule(params: Mapping[str, str]) -> None:
    """https://www.twilio.com/docs/messaging/features/message-scheduling"""
    if "ScheduleType" not in params and "SendAt" not in params:
        return
    if not params.get("MessagingServiceSid"):
        raise TwilioRefusal(35118)
    if not params.get("SendAt"):
        raise TwilioRefusal(35111)
    if send_at(params) is None:
        raise TwilioRefusal(35114)


def send_at(params: Mapping[str, str]) -> float | None:
    """When a scheduled message is to be sent, in epoch seconds; None without a valid time."""
    try:
        return datetime.fromisoformat(params.get("SendAt", "")).timestamp()
    except ValueError:
        return None


def _check_callback(url: str) -> None:
    if not url:
        return
    try:
        parts = urlsplit(url)
    except ValueError:
        raise TwilioRefusal(21609) from None
    if parts.scheme not in {"http", "https"} or not parts.hostname or "_" in parts.hostname:
        raise TwilioRefusal(21609)


def is_phone_number(text: str) -> bool:
    """Whether this is E.164 and a possible number (fictional ones included)."""
    if not re.fullmatch(r"\+[1-9]\d{6,14}", text):
        return False
    try:
        return phonenumbers.is_possible_number(phonenumbers.parse(text))
    except phonenumbers.NumberParseException:
        return False


def later_failure(to: str) -> int | None:
    """The delivery error code of a magic number, else None."""
    match = re.fullmatch(r"\+150055([236]\d{4})", to)
    return int(match.group(1)) if match else None


def keyword(body: str) -> str | None:
    """STOP, START or HELP when the whole body is one of Twilio's keywords."""
    word = body.strip().upper()
    for name, words in (("STOP", STOP_WORDS), ("START", START_WORDS), ("HELP", HELP_WORDS)):
        if word in words:
            return name
    return None


def segments(text: str) -> int:
    """How many segments a text is billed as: GSM-7 160 or 153 each, UCS-2 70 or 67; a pair never splits."""
    if all(char in _GSM_BASIC or char in _GSM_DOUBLE for char in text):
        return _segment_count([2 if char in _GSM_DOUBLE else 1 for char in text], 160, 153)
    return _segment_count([utf16_units(char) for char in text], 70, 67)


def _segment_count(sizes: list[int], single: int, each: int) -> int:
    if sum(sizes) <= single:
        return 1
    count, used = 1, 0
    for size in sizes:
        if used + size > each:
            count, used = count + 1, 0
        used += size
    return count
