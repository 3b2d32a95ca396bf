"""The messages of an account at Twilio: sends parts, finds them again, reads their status and what they cost."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass, fields, replace
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import httpx
from twilio.base.exceptions import TwilioException

from relay.channels.sms.client import TwilioTransport, open_client, refusal
from relay.channels.sms.prices import price_for
from relay.channels.sms.segments import segments
from relay.channels.sms.senders import address_of_channel, addressee, own_number
from relay.channels.sms.settings import SmsSettings, rest_credentials
from relay.channels.sms.spec import CHANNEL, RETRIES, SMS
from relay.channels.sms.webhook import Form, external_id, small_number
from relay.config.logs import Redactor
from relay.core.errors import OutcomeUnknown, PayloadError, SendError, SendFailure
from relay.core.http_client import redact_error
from relay.core.messages import USER_STATE_AFTER, PartId, Platform, UserId
from relay.core.parts import DeliveryEvent, Part, PartState, Receipt
from relay.core.text import strip_controls

SENDER_REFUSED = frozenset({"14102", "21212", "21606", "21659", "21660"})
"""Codes by which a number of ours is refused as the sender."""

MAX_CLOCK_SKEW_SECONDS = 10.0
MAX_CLOCK_STEP_SECONDS = 86_400.0
"""How far our clock may have been set back between an attempt and its lookup."""

LOOKUP_PAGE = 100
BILL_PAGE = 1000


# https://www.twilio.com/docs/messaging/api/message-resource#message-status-values
TWILIO_STATUS = {
    "accepted": PartState.ACCEPTED,
    "scheduled": PartState.ACCEPTED,
    "queued": PartState.ACCEPTED,
    "sending": PartState.ACCEPTED,
    "sent": PartState.SENT,
    "partially_delivered": PartState.SENT,
    "delivered": PartState.DELIVERED,
    "read": PartState.READ,
    "undelivered": PartState.UNDELIVERED,
    "failed": PartState.FAILED,
    "canceled": PartState.CANCELED,
}

_PART_ID = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True, slots=True)
class Origination:
    """From what our messages are sent, and what one costs.

    scheme: of both addresses, as in "whatsapp:+12345678900"; empty for texts. number: ours, unless a Messaging Service
    chooses it. cost_usd: the estimated price of a message to a person, by the number of its segments and whether it has
    pictures. validity_seconds: how long Twilio may keep a message in its queue; None for as long as it does.
    """

    platform: Platform
    number: str | None
    service_sid: str | None
    cost_usd: Callable[[UserId, int, bool], float]
    scheme: str = ""
    validity_seconds: int | None = None


def of_texts(settings: SmsSettings) -> Origination:
    """Text messages: from our number or the Messaging Service, billed by segments."""
    service_sid = settings.twilio_messaging_service_sid

    def cost(user_id: UserId, count: int, has_media: bool) -> float:
        price = price_for(user_id, settings.sms_segment_usd, settings.country_prices)
        return price.media if has_media else price.text * count

    validity = settings.sms_validity_seconds
    return Origination(SMS, own_number(settings), service_sid, cost, validity_seconds=validity)


@dataclass(frozen=True, slots=True)
class _Sent:
    """What the answer to a new message has of it, named as in Twilio's JSON and by its SDK."""

    sid: Any
    status: Any
    num_segments: Any
    error_code: Any
    error_message: Any


_SENT = [field.name for field in fields(_Sent)]


class TwilioMessages:
    """The messages resource of one account. Raises SettingsError naming the settings when credentials are missing."""

    def __init__(
        self,
        settings: SmsSettings,
        http: httpx.AsyncClient,
        origination: Origination,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        auth = rest_credentials(settings)
        self._settings = settings
        self._clock = clock
        self._redact = Redactor(settings.secrets()).redact
        self._transport = TwilioTransport(http, settings.twilio_api_base_url, redact=self._redact, clock=clock)
        self._client = open_client(self._transport, settings.twilio_account_sid, auth)
        self._auth = auth
        self._path = f"/2010-04-01/Accounts/{self._client.account_sid}/Messages.json"
        self._headers = self._client.get_headers("POST", None)
        self._origination = origination
        self._service_sid = origination.service_sid
        self._number = origination.number

    async def send(self, part: Part) -> Receipt:
        """Send one part, once. Raises SendError when it was refused, OutcomeUnknown when its outcome is unknown."""
        values: dict[str, Any] = {"To": self._address(part.user_id), "Body": part.text}
        if self._origination.validity_seconds is not None:
            values["ValidityPeriod"] = self._origination.validity_seconds
        if part.media:
            values["MediaUrl"] = list(part.media)
        elsewhere = part.sender is not None and address_of_channel(part.sender) is not None
        if self._service_sid and not elsewhere:
            values["MessagingServiceSid"] = self._service_sid
        else:
            values["From"] = self._address(part.sender or self._number)
        if (callback := status_callback(self._settings, part.id)) is not None:
            values["StatusCallback"] = callback
        try:
            sent = await self._create(values)
        except SendError as error:
            if not part.sender or elsewhere or error.code not in SENDER_REFUSED:
                raise
            sent = await self._create({**values, "From": self._address(self._number)})  # we have that number no longer
        code = small_number(str(sent.error_code or ""))
        if TWILIO_STATUS.get(str(sent.status)) in {PartState.FAILED, PartState.UNDELIVERED} and code:
            raise refusal(code, SendFailure.REJECTED, str(sent.error_message or ""))
        return replace(self._receipt(sent, part), pause=self._settings.sms_part_seconds)

    def _receipt(self, sent: Any, part: Part) -> Receipt:
        """From Twilio's message; a Messaging Service has not counted the segments yet and gives 0, here None."""
        state = TWILIO_STATUS.get(str(sent.status), PartState.ACCEPTED)
        count = small_number(str(sent.num_segments or ""))
        cost = self._origination.cost_usd(part.user_id, count or segments(part.text), bool(part.media))
        return Receipt(sent.sid, state, count, cost_usd=cost)

    def _address(self, number: str | None) -> str | None:
        return f"{self._origination.scheme}{number}" if number else None

    async def _create(self, values: dict[str, Any]) -> _Sent:
        """Create a message by a request of our own: the SDK's takes as long as all the rest of sending."""
        _, payload = await self._transport.exchange(
            "POST", self._path, data=values, headers=self._headers, auth=self._auth
        )
        if not isinstance(payload.get("sid"), str) or not payload["sid"]:
            raise OutcomeUnknown("answer", "Twilio's answer names no message")
        return _Sent(*(payload.get(name) for name in _SENT))

    async def status(self, part_id: PartId, sid: str) -> DeliveryEvent | None:
        """The state of a message at Twilio; None while it is only accepted, or cannot be fetched."""
        try:
            sent = await self._client.messages(sid).fetch_async()
        except (SendError, TwilioException, ValueError, TypeError, AttributeError):
            return None
        state = TWILIO_STATUS.get(str(sent.status), PartState.ACCEPTED)
        code, to = small_number(str(sent.error_code or "")), str(sent.to or "")
        return None if state is PartState.ACCEPTED else self.delivery(sid, part_id, state, code, "", to)

    async def bill(self, day: str) -> dict[UserId, float]:
        """What Twilio billed for the messages of a day (UTC, as 2026-11-27) by person, in USD.

        Raises SendError when the list of messages cannot be read.
        """
        billed: dict[UserId, float] = {}
        try:
            start = datetime.fromisoformat(f"{day}T00:00:00+00:00")
            bounds = {"date_sent_after": start, "date_sent_before": start + timedelta(seconds=86_399)}
            pages = await self._client.messages.stream_async(**bounds, page_size=BILL_PAGE)
            async for sent in pages:
                person = sent.from_ if sent.direction == "inbound" else sent.to
                number = addressee(str(person), self._settings.default_region)
                if number is not None and sent.price and str(sent.price_unit).upper() == "USD":
                    billed[number] = billed.get(number, 0.0) + abs(float(sent.price))
        except (TwilioException, ValueError, TypeError, AttributeError, KeyError) as error:
            raise OutcomeUnknown("answer", f"the list of messages cannot be understood: {error}") from None
        return billed

    async def lookup(self, part: Part, taken: Collection[str]) -> Receipt | None:
        """Find the part among the messages to its user: same text, not `taken`, created since the attempt began.

        A part follows those before it, so where the list has one of these it is not older, whatever our clock showed at
        the attempt: the clock may have been set back since. The list is not filtered by date: its filter is by the date
        of sending, which a queued message lacks.
        Raises OutcomeUnknown when the list cannot be read.
        """
        values: dict[str, Any] = {"to": self._address(part.user_id)}
        if not self._service_sid and not part.sender:
            values["from_"] = self._address(self._number)
        try:
            page = await self._client.messages.list_async(**values, limit=LOOKUP_PAGE, page_size=LOOKUP_PAGE)
        except SendError as error:
            raise OutcomeUnknown(error.code, f"the list of messages cannot be read: {error.message}") from None
        except (TwilioException, ValueError, TypeError, AttributeError, KeyError) as error:
            raise OutcomeUnknown("answer", f"the list of messages cannot be understood: {error}") from None
        since = (part.attempted_at or part.created_at) + self._transport.ahead - MAX_CLOCK_SKEW_SECONDS
        before = [made for sent in page if sent.sid in taken and (made := _made_at(sent)) is not None]
        if before:
            since = max(*before, since - MAX_CLOCK_STEP_SECONDS)
        return next(
            (self._receipt(sent, part) for sent in page if sent.sid not in taken and _is_attempt(sent, part, since)),
            None,
        )

    def parse_callback(self, form: Form, part: str | None) -> DeliveryEvent:
        """The status in a callback; `part` is the part's id from our StatusCallback URL. Raises PayloadError."""
        sid = external_id(form)
        status = form.one("MessageStatus", "SmsStatus").strip().lower()
        state = TWILIO_STATUS.get(status)
        part_id = PartId(part) if part and _PART_ID.fullmatch(part) else None
        if state is None:
            msg = f"a status callback came with the status {status[:40]!r}"
            raise PayloadError(msg)
        if not sid:
            raise PayloadError("a status callback came without a MessageSid")
        code = small_number(form.one("ErrorCode").strip())
        return self.delivery(sid, part_id, state, code, form.one("ErrorMessage"), form.one("To"))

    def delivery(
        self, sid: str, part_id: PartId | None, state: PartState, code: int | None, text: str, to: str = ""
    ) -> DeliveryEvent:
        error = refusal(code, SendFailure.REJECTED, strip_controls(text)) if code else None
        if error:
            redact_error(error, self._redact)
        return DeliveryEvent(
            platform=self._origination.platform,
            provider_id=sid,
            state=state,
            received_at=self._clock(),
            part_id=part_id,
            error_code=error.code if error else None,
            error=error.message if error else None,
            user_state=USER_STATE_AFTER.get(error.kind) if error else None,
            failure=error.kind if error else None,
            user_id=addressee(to.removeprefix(self._origination.scheme), self._settings.default_region),
        )


def status_callback(settings: SmsSettings, part_id: PartId) -> str | None:
    """Where Twilio reports about this part: its URL carries our id, so a report may overtake Twilio's answer."""
    base = callback_base(settings)
    return f"{base}/sms/delivery?part={part_id}{RETRIES}" if base else None


def callback_base(settings: SmsSettings) -> str | None:
    """The beginning of all URLs that status callbacks are sent to; None when Twilio could not reach them."""
    base = CHANNEL.public_url(settings)
    # Twilio refuses host names with an underscore (21609), and the message with them.
    return None if base is None or "_" in (urlsplit(base).hostname or "") else base


def _made_at(sent: Any) -> float | None:
    return sent.date_created.timestamp() if isinstance(sent.date_created, datetime) else None


def _is_attempt(sent: Any, part: Part, since: float) -> bool:
    made = _made_at(sent)
    in_time = made is None or made >= since
    same = str(sent.body or "").endswith(part.text)  # a trial account puts a text of Twilio's before ours
    return in_time and same and str(sent.direction or "").startswith("outbound") and bool(sent.sid)
