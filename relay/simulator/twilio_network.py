"""Delivers messages to phones with their status callbacks, and people's texts to the webhook."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs, urlsplit
from xml.etree import ElementTree as ET

from relay.channels.sms.settings import SIMULATED_ACCOUNT_SID
from relay.channels.sms.spec import SMS
from relay.core.messages import Platform
from relay.simulator.faults import Fault
from relay.simulator.people import Person
from relay.simulator.provider_api import utf16_units
from relay.simulator.transcripts import PhoneBubble
from relay.simulator.twilio_messages import ACCOUNT_PATH, API_VERSION, MessageLog, TextMessage
from relay.simulator.twilio_rules import MAX_UNITS, TEXTS, TwilioRefusal, keyword, later_failure, segments
from relay.simulator.twilio_whatsapp import addresses, bare, channel_of, fields, outside_window
from relay.simulator.webhooks import WebhookCaller, WebhookOutcome
from relay.simulator.world import World

log = logging.getLogger("simulator.twilio")

_KEYWORD_ANSWERS = {
    "STOP": "You are unsubscribed and will get no more messages from this number. Text START to subscribe again.",
    "START": "You are subscribed again. Text HELP for help, STOP to unsubscribe.",
    "HELP": "Text STOP to unsubscribe. Message and data rates may apply.",
}
UNKNOWN_ERROR = 30008
_PLACE_FIELDS = ("City", "State", "Zip", "Country")


class TwilioNetwork:
    """One account with one number."""

    def __init__(self, world: World, caller: WebhookCaller) -> None:
        self._world = world
        self._caller = caller
        self.messages = MessageLog()

    def _add(
        self,
        direction: str,
        person: Person,
        body: str,
        status: str,
        *,
        sender: str,
        sid: str | None = None,
        media: Sequence[str] = (),
        files: Sequence[str] = (),
        callback: str = "",
        service_sid: str | None = None,
        channel: Platform = SMS,
    ) -> TextMessage:
        """Add a message to the log and its bubble to the phone; one with the SID of another shares its bubble."""
        inbound = direction == "inbound"
        # Unique across runs too: a database must not take a new message for a repeat.
        sid = sid or ("MM" if media else "SM") + uuid.uuid4().hex
        if sid in self.messages:
            bubble = self.messages[sid].bubble
        else:
            bubble = PhoneBubble(channel, person.phone_number, "in" if inbound else "out", body, sid, status, sender)
            bubble.media, bubble.kind = list(media), "text" if body or not media else "media"
            bubble.sent_files = list(files)
            bubble.part_key = next(iter(parse_qs(urlsplit(callback).query).get("part", ())), None)
            self._world.transcripts.add(bubble)
        now = self._world.clock()
        sent = now if status in {"received", "delivered"} else None
        theirs, ours = addresses(channel, person)
        from_, to = (theirs, ours) if inbound else (ours, theirs)
        message = TextMessage(sid, direction, from_, to, body, status, bubble, now, sent, callback, service_sid)
        self.messages[sid] = message
        return message

    # -- outbound  ----------------------------------------------------------------------------------------------------

    def accept(
        self,
        to: str,
        body: str,
        *,
        media: Sequence[str] = (),
        callback: str = "",
        service_sid: str | None = None,
        direction: str = "outbound-api",
        send_at: float | None = None,
    ) -> TextMessage:
        """Accept a validated message and start its delivery, at `send_at` if given.

        Raises TwilioRefusal 21610 after an opt-out.
        """
        person, channel = self._world.people.with_phone(bare(to)), channel_of(to)
        if person.opted_out and channel == SMS:
            raise TwilioRefusal(21610)
        status = "scheduled" if send_at else "accepted" if service_sid else "queued"
        origin: dict[str, Any] = {"callback": callback, "service_sid": service_sid, "channel": channel}
        message = self._add(direction, person, body, status, sender="bot", media=media, **origin)
        self._world.spawn(self._run_states(message, send_at))
        return message

    def cancel(self, message: TextMessage) -> None:
        """Cancel a scheduled message. Raises TwilioRefusal 30409 for every other one."""
        if message.status != "scheduled":
            raise TwilioRefusal(30409)
        self._advance(message, "canceled", None)

    async def _run_states(self, message: TextMessage, send_at: float | None) -> None:
        """Advance through the states, independently of the callbacks about them."""
        if send_at is not None:
            await self._world.pause(max(send_at - self._world.clock(), 0.0))
        failure = self._failure_of(message)
        ends = ("undelivered",) if failure else ("delivered", "read") if is_whatsapp(message) else ("delivered",)
        for status in (*(("queued",) if message.service_sid else ()), "sending", "sent", *ends):
            await self._world.pause(self._world.options.status_seconds)
            if self._world.stopping.is_set() or message.status == "canceled":
                return
            self._advance(message, status, failure if status in ends else None)

    def _failure_of(self, message: TextMessage) -> int | None:
        """The code with which the delivery fails: by a fault, by a magic number, or outside WhatsApp's window."""
        fault = self._world.faults.match("twilio_delivery", "*", message.body)
        if fault is not None:
            return fault.code or UNKNOWN_ERROR
        if is_whatsapp(message):
            return outside_window(self._world.people.with_phone(bare(message.to)), self._world.clock())
        return later_failure(message.to)

    def _advance(self, message: TextMessage, status: str, failure: int | None) -> None:
        message.status, message.updated, message.error_code = status, self._world.clock(), failure
        if status == "sent":
            message.sent = message.updated
        self._show_status(message, status, failure)
        if message.callback:
            message.pending_callbacks.append(_callback_form(message))
            if len(message.pending_callbacks) == 1:
                self._world.spawn(self._send_callbacks(message))

    def _show_status(self, message: TextMessage, status: str, error_code: int | None) -> None:
        message.bubble.status, message.bubble.error_code = status, error_code
        self._world.transcripts.announce_bubble(message.bubble)

    async def _send_callbacks(self, message: TextMessage) -> None:
        """Send the pending callbacks in order; only the fault "disorder" lets one overtake another.

        Twilio guarantees no order, but tests need a deterministic one.
        """
        while message.pending_callbacks:
            form = message.pending_callbacks[0]
            fault = self._world.faults.match("twilio_callback", form["MessageStatus"], message.body)
            if fault is not None and fault.effect == "disorder":
                self._world.spawn(self._send_callback(message, form, fault))
            else:
                await self._send_callback(message, form, fault)
            message.pending_callbacks.popleft()

    async def _send_callback(self, message: TextMessage, form: dict[str, str], fault: Fault | None) -> None:
        """Best effort, as documented by Twilio: one attempt, failures are counted only."""
        for _ in range(await self._delivery_count(fault)):
            outcome = await self._caller.post(message.callback, form)
            self._world.counters["callbacks"][outcome.label] += 1

    async def _delivery_count(self, fault: Fault | None) -> int:
        """How many times to deliver under this fault, after its pause."""
        if fault is None:
            return 1
        if fault.effect in {"slow", "disorder"}:
            await self._world.pause(fault.seconds)
        return {"lose": 0, "duplicate": 2}.get(fault.effect, 1)

    # -- inbound  -----------------------------------------------------------------------------------------------------

    async def receive_text(
        self,
        sender: str,
        body: str,
        *,
        media: Sequence[str] = (),
        files: Sequence[str] = (),
        sid: str | None = None,
        unsigned: bool = False,
        opt_out_type: str | None = None,
        channel: Platform = SMS,
    ) -> tuple[str, WebhookOutcome]:
        """Deliver a person's message to the webhook; returns its MessageSid and the outcome. Never raises.

        media: types of attachments that have a sample as their content. files: ids of attachments that were uploaded.
        """
        person = self._world.people.with_phone(sender)
        while utf16_units(body) > MAX_UNITS:
            body = body[:-1]
        sent = [file for one in files if (file := self._world.files.find(one))]
        types, ids = [*(file.media_type for file in sent), *media], [file.id for file in sent]
        origin: dict[str, Any] = {"sender": "person", "sid": sid, "channel": channel}
        message = self._add("inbound", person, body, "received", media=types, files=ids, **origin)
        form = self._inbound_form(message) | (fields(person) if is_whatsapp(message) else {})
        if opt_out_type:
            form["OptOutType"] = opt_out_type
        if is_whatsapp(message):
            person.whatsapp_at = self._world.clock()
        else:
            self._answer_keyword(person, body)
        fault = self._world.faults.match("twilio_webhook", "*", body)
        delivery = self._deliver(message, form, fault, signed=not unsigned)
        if fault is not None and fault.effect == "disorder":
            self._world.spawn(delivery)
            return message.sid, WebhookOutcome(None, error="held back by a fault")
        return message.sid, await delivery

    def _inbound_form(self, message: TextMessage) -> dict[str, str]:
        """All fields that Twilio sends; the places are empty, as for most numbers."""
        media = message.bubble.media
        form = {f"{side}{place}": "" for side in ("From", "To") for place in _PLACE_FIELDS}
        form |= {
            "FromCountry": "US" if bare(message.sender).startswith("+1") else "",
            "ToCountry": "US",
            "MessageSid": message.sid,
            "SmsMessageSid": message.sid,
            "SmsSid": message.sid,
            "AccountSid": SIMULATED_ACCOUNT_SID,
            "From": message.sender,
            "To": message.to,
            "Body": message.body,
            "NumMedia": str(len(media)),
            "NumSegments": str(segments(message.body)),
            "SmsStatus": "received",
            "ApiVersion": API_VERSION,
        }
        folder = f"{self._world.settings.simulator_url}{ACCOUNT_PATH}/Messages/{message.sid}/Media"
        for number, content_type in enumerate(media):
            form |= {f"MediaUrl{number}": f"{folder}/ME{number:032x}", f"MediaContentType{number}": content_type}
        return form

    def _answer_keyword(self, person: Person, body: str) -> None:
        """Answer STOP, START and HELP as Twilio does; START is answered only if the person had opted out."""
        word = keyword(body)
        if word is None or (word == "START" and not person.opted_out) or (word == "STOP" and person.opted_out):
            return
        if word != "HELP":
            person.opted_out = word == "STOP"
        self._add("outbound-reply", person, _KEYWORD_ANSWERS[word], "delivered", sender="twilio")

    async def _deliver(
        self, message: TextMessage, form: dict[str, str], fault: Fault | None, *, signed: bool
    ) -> WebhookOutcome:
        options = self._world.options
        outcome = WebhookOutcome(None, error="lost by a fault")
        times = await self._delivery_count(fault)
        for _ in range(times):
            outcome = await self._caller.post(
                options.twilio_webhook_url, form, signed=signed, read_seconds=options.twilio_read_seconds
            )
            self._world.counters["webhooks"][outcome.label] += 1
            if outcome.succeeded:
                self._send_replies(message.sender, outcome.body)
        if times and outcome.succeeded:
            self._show_status(message, "received", None)
        elif times:
            self._show_status(message, "failed", 11200)
        return outcome

    def _send_replies(self, to: str, twiml: str) -> None:
        """Send the messages in the TwiML of the webhook's answer."""
        if "<Message" not in twiml:
            return
        try:
            root = ET.fromstring(twiml)  # noqa: S314 (comes from our own server; expat limits entity expansion)
        except ET.ParseError:
            log.warning("12100: the webhook's answer is not XML")
            return
        for element in root.iter("Message"):
            try:
                self.accept(to, "".join(element.itertext()).strip(), direction="outbound-reply")
            except TwilioRefusal as refusal:
                log.info("a reply to %s was refused: %s", to, refusal.message)


def is_whatsapp(message: TextMessage) -> bool:
    return channel_of(message.to) != SMS


def _callback_form(message: TextMessage) -> dict[str, str]:
    form = {
        "ApiVersion": API_VERSION,
        "AccountSid": SIMULATED_ACCOUNT_SID,
        "MessageSid": message.sid,
        "SmsSid": message.sid,
        "MessageStatus": message.status,
        "SmsStatus": message.status,
        "From": message.sender,
        "To": message.to,
    }
    if is_whatsapp(message):
        form["ChannelPrefix"] = "whatsapp"
    if message.service_sid:
        form["MessagingServiceSid"] = message.service_sid
    if message.error_code:
        form |= {"ErrorCode": str(message.error_code), "ErrorMessage": TEXTS.get(message.error_code, "")}
    if message.status in {"delivered", "undelivered"}:
        form["RawDlrDoneDate"] = datetime.fromtimestamp(message.updated, UTC).strftime("%y%m%d%H%M")
    return form
