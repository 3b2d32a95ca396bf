"""What texts and WhatsApp have in common: messages and status callbacks of Twilio come in, parts go out by its API."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Awaitable, Callable, Collection
from contextlib import AbstractAsyncContextManager, nullcontext
from typing import Any

import httpx

from relay.channels.sms import reconciliation
from relay.channels.sms.media import MediaStore, read_media
from relay.channels.sms.reconciliation import Record
from relay.channels.sms.segments import segments
from relay.channels.sms.senders import country_of, region_of
from relay.channels.sms.settings import SmsSettings
from relay.channels.sms.throughput import Throughput
from relay.channels.sms.twilio_messages import Origination, TwilioMessages
from relay.channels.sms.webhook import Form, external_id, is_delivery
from relay.core.download import Write
from relay.core.errors import PayloadError, SendError, SendFailure
from relay.core.messages import Attachment, InboundMessage, Kind, PartId, Platform, User, UserId
from relay.core.parts import DeliveryEvent, Part, PlannedPart, Receipt
from relay.core.periodic import Periodic
from relay.core.store import Store
from relay.core.text import is_blank
from relay.core.user_language import language_of
from relay.texts import ENGLISH

MAX_WAIT_SECONDS = 5.0
"""How long a part waits for the throughput of our sender before it is put back among the others."""


class TwilioChannel:
    """The half of a channel that is about Twilio's API. Raises SettingsError when credentials are missing.

    A channel derives from it: it parses the text of a webhook's form, decides, and plans replies.
    per_second: how many segments its sender transmits; None for no limit.
    """

    platform: Platform
    supports_lookup = True
    joins_messages = False

    def __init__(
        self,
        settings: SmsSettings,
        http: httpx.AsyncClient,
        origination: Origination,
        clock: Callable[[], float] = time.time,
        new_id: Callable[[], str] = lambda: uuid.uuid4().hex,
        per_second: float | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.rate_limited = per_second is not None
        self._throughput = Throughput(per_second, clock) if per_second is not None else None
        self._sleep = sleep
        self.lookup_seconds = settings.sms_settle_seconds
        self._clock = clock
        self._new_id = new_id
        self._messages = TwilioMessages(settings, http, origination, clock=clock)
        self._media = MediaStore(http, settings)

    # -- webhooks ------------------------------------------------------------------------------------------------------

    def parse_inbound(self, form: Form) -> InboundMessage:
        """The message in a webhook's form. Raises PayloadError when it holds none."""
        raise NotImplementedError

    def opt_out(self, message: InboundMessage, user: User | None = None) -> list[PlannedPart] | None:
        """The confirmation of a STOP, empty where the carrier sends its own; None when the message is no STOP."""
        raise NotImplementedError

    def parse_delivery(self, form: Form, part: str | None) -> DeliveryEvent:
        """The status in a callback; `part` is the part's id from our StatusCallback URL. Raises PayloadError."""
        return self._messages.parse_callback(form, part)

    def _message(self, form: Form, user_id: UserId, text: str, **own: Any) -> InboundMessage:
        """The message with what is read alike on every channel; without a MessageSid each delivery is a new one."""
        found = read_media(form)
        return InboundMessage(
            platform=self.platform,
            external_id=external_id(form) or f"by-hand-{self._new_id()}",
            user_id=user_id,
            text=text,
            received_at=self._clock(),
            kind=Kind.MEDIA if found and is_blank(text) else Kind.TEXT,
            attachments=found,
            **own,
        )

    # -- decisions -----------------------------------------------------------------------------------------------------

    def language(self, user: User | None, message: InboundMessage | None = None) -> str:
        """That of the choice, the text, the texts before it, or the country of the number."""
        known = user or message
        return language_of(user, message, region_of(known.user_id) if known else None)

    def country(self, user_id: UserId) -> str | None:
        return country_of(user_id)

    def continues(self, earlier: InboundMessage, later: InboundMessage) -> bool:  # noqa: ARG002 (no message does)
        return False

    def follow_seconds(self, message: InboundMessage) -> float:  # noqa: ARG002 (likewise)
        return 0.0

    # -- the API -------------------------------------------------------------------------------------------------------

    def typing(self, message: InboundMessage, language: str = ENGLISH) -> AbstractAsyncContextManager[None]:  # noqa: ARG002 (none over Twilio)
        return nullcontext()

    async def download_attachment(self, attachment: Attachment, write: Write, max_bytes: int) -> None:
        await self._media.download(attachment, write, max_bytes)

    async def wait_for_rate_limit(self, part: Part) -> None:
        """Return when our sender is as fast as this part needs, its segments counted. Raises SendError when it is not.

        Without a limit it returns at once: Twilio queues what is sent too fast.
        """
        if self._throughput is None:
            return
        count = segments(part.text)
        while (seconds := self._throughput.wait(count)) > 0:
            if seconds > MAX_WAIT_SECONDS:
                why = "our number sends no more segments a second: sms_segments_per_second"
                raise SendError(SendFailure.BUSY, "throughput", why, retry_after=seconds)
            await self._sleep(seconds)
        self._throughput.take(count)

    async def send(self, part: Part) -> Receipt:
        """Send one part, once. Raises SendError when it was refused, OutcomeUnknown when its outcome is unknown."""
        return await self._messages.send(part)

    async def lookup(self, part: Part, taken: Collection[str]) -> Receipt | None:
        """Find the part at Twilio, other than as one `taken`. Raises OutcomeUnknown when the list cannot be read."""
        return await self._messages.lookup(part, taken)

    async def fetch_status(self, part_id: PartId, sid: str) -> DeliveryEvent | None:
        """The state of a message at Twilio; None while it is only accepted, or cannot be fetched."""
        return await self._messages.status(part_id, sid)

    def reconciliation(self, store: Store, record: Record) -> Periodic:
        """Fetches the state of messages of which nothing was reported, for `record`."""
        return reconciliation.periodic(self.platform, store, self.fetch_status, record)

    async def fetch_bill(self, day: str) -> dict[UserId, float]:
        """What Twilio billed for the messages of a day (UTC, as 2026-11-27) by person, in USD. Raises SendError."""
        return await self._messages.bill(day)

    async def probe(self) -> None:
        """Return at once: the list of messages tells what was sent, so any part may be the trial."""


def require_message(form: Form) -> None:
    """Raise PayloadError for a status callback, which some consoles are set up to send to the webhook of messages."""
    if is_delivery(form):
        raise PayloadError("this is a status callback, not a message: it belongs to /sms/delivery")
