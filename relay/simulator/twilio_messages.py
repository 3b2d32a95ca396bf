"""Twilio's message log: the Message resource and its list."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any
from urllib.parse import urlencode

from relay.channels.sms.settings import SIMULATED_ACCOUNT_SID
from relay.simulator.transcripts import PhoneBubble
from relay.simulator.twilio_rules import TEXTS, TwilioRefusal, segments

API_VERSION = "2010-04-01"
ACCOUNT_PATH = f"/{API_VERSION}/Accounts/{SIMULATED_ACCOUNT_SID}"
PRICE_PER_SEGMENT = 0.0083
PAGE_SIZE, MAX_PAGE_SIZE = 50, 1000


@dataclass(slots=True)
class TextMessage:
    """One message in the log, inbound or outbound. Its text can be redacted; that of the bubble stays."""

    sid: str
    direction: str
    sender: str
    to: str
    body: str
    status: str
    bubble: PhoneBubble
    updated: float
    sent: float | None
    callback: str
    service_sid: str | None
    error_code: int | None = None
    pending_callbacks: deque[dict[str, str]] = field(default_factory=deque)

    def to_json(self) -> dict[str, Any]:
        """The JSON of the Message resource."""
        path = f"{ACCOUNT_PATH}/Messages/{self.sid}"
        unknown_sender = self.service_sid is not None and self.status in {"accepted", "scheduled"}
        count = 0 if unknown_sender else segments(self.body)
        return {
            "account_sid": SIMULATED_ACCOUNT_SID,
            "api_version": API_VERSION,
            "body": self.body,
            "date_created": rfc2822(self.bubble.at),
            "date_sent": rfc2822(self.sent),
            "date_updated": rfc2822(self.updated),
            "direction": self.direction,
            "error_code": self.error_code,
            "error_message": TEXTS.get(self.error_code) if self.error_code else None,
            "from": None if unknown_sender else self.sender,
            "messaging_service_sid": self.service_sid,
            "num_media": str(len(self.bubble.media)),
            "num_segments": str(count),
            "price": f"-{count * PRICE_PER_SEGMENT:.5f}" if self.sent is not None else None,
            "price_unit": "USD",
            "sid": self.sid,
            "status": self.status,
            "subresource_uris": {"media": f"{path}/Media.json"},
            "to": self.to,
            "uri": f"{path}.json",
        }


def rfc2822(moment: float | None) -> str | None:
    return None if moment is None else format_datetime(datetime.fromtimestamp(int(moment), UTC))


class MessageLog(dict[str, TextMessage]):
    """All messages of the account by SID, newest last."""

    def __missing__(self, sid: str) -> TextMessage:
        raise TwilioRefusal(20404)

    def page(self, query: Mapping[str, str]) -> dict[str, Any]:
        """One page of the list resource, newest first, filtered by To, From and DateSent."""
        found = [one for one in reversed(self.values()) if _matches(one, query)]
        size = _number(query.get("PageSize", ""), PAGE_SIZE, least=1, most=MAX_PAGE_SIZE)
        number = _number(query.get("Page", ""), 0, least=0, most=10**9)
        items = [one.to_json() for one in found[number * size : (number + 1) * size]]
        return paged("messages", items, f"{ACCOUNT_PATH}/Messages.json", query, number, size, len(found))


def paged(
    key: str, items: list[dict[str, Any]], path: str, query: Mapping[str, str], number: int, size: int, total: int
) -> dict[str, Any]:
    """Twilio's envelope around one page of a list."""

    def uri(page: int) -> str:
        return f"{path}?{urlencode({**query, 'PageSize': size, 'Page': page})}"

    return {
        key: items,
        "first_page_uri": uri(0),
        "previous_page_uri": uri(number - 1) if number > 0 else None,
        "next_page_uri": uri(number + 1) if (number + 1) * size < total else None,
        "uri": uri(number),
        "page": number,
        "page_size": size,
        "start": number * size,
        "end": number * size + max(0, len(items) - 1),
    }


def _number(text: str, default: int, *, least: int, most: int) -> int:
    return min(most, max(least, int(text))) if text.isascii() and text.isdigit() else default


def _matches(message: TextMessage, query: Mapping[str, str]) -> bool:
    return (
        query.get("To", message.to) == message.to
        and query.get("From", message.sender) == message.sender
        and all(
            _in_time(message, name, query[name]) for name in ("DateSent", "DateSent>", "DateSent<") if query.get(name)
        )
    )


def _in_time(message: TextMessage, name: str, value: str) -> bool:
    """Bounds are inclusive; a bare DateSent means that day (UTC). Twilio's times are whole seconds."""
    try:
        bound = datetime.fromisoformat(value)
    except ValueError:
        raise TwilioRefusal(20404, 400, f"{name} is not a date") from None
    bound = bound if bound.tzinfo else bound.replace(tzinfo=UTC)
    moment = datetime.fromtimestamp(int(message.sent or message.bubble.at), UTC)
    if name == "DateSent>":
        return moment >= bound
    if name == "DateSent<":
        return moment <= (bound.replace(hour=23, minute=59, second=59) if len(value) == len("2026-01-01") else bound)
    return moment.date() == bound.date()
