"""Delivers messages to phones with their status callbacks, and people's texts to the webhook."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs, urlsplit
from xml.etree import ElementTree as ET

from relay.channels.sms.settings import SmsSettings
from relay.channels.sms.spec import SMS
from relay.simulator.faults import Fault
from relay.simulator.people import Person
from relay.simulator.transcripts import PhoneBubble
from relay.simulator.twilio_messages import API_VERSION, MessageLog, TextMessage, new_sid
from relay.simulator.twilio_rules import MAX_UNITS, TEXTS, TwilioRefusal, keyword, later_failure, segments, units
from relay.simulator.twilio_webhooks import WebhookCaller, WebhookOutcome
from relay.simulator.world import World

log = logging.getLogger("simulator.twilio")

_KEYWORD_ANSWERS = {
    "STOP": "You are unsubscribed and will get no more messages from this number. Text START to subscribe again.",
    "START": "You are subscribed again. Text HELP for help, STOP to unsubscribe.",
    "HELP": "Text STOP to unsubscribe. Message and data rates may apply.",
}
_PLACE_FIELDS = ("City", "State", "Zip", "Country")


class TwilioNetwork:
    """One account with one number."""

    def __init__(self, world: World, caller: WebhookCaller) -> None:
        self._world = world
        self._caller = caller
        self.messages = MessageLog()
        settings = world.settings
        self.account_sid = settings.group(SmsSettings).twilio_account_sid or ""
        self.number = settings.group(SmsSettings).twilio_phone_number or ""

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
    ) -> TextMessage:
        """Accept a validated message and start its delivery. Raises TwilioRefusal 21610 after an opt-out."""
        person = self._world.people.with_phone(to)
        if person.opted_out:
            raise TwilioRefusal(21610)
        now = self._world.clock()
        status = "accepted" if service_sid else "queued"
        message = TextMessage(
            new_sid("MM" if media else "SM"),
            self.account_sid,
            direction,
            self.number,
            to,
            body,
            status,
            now,
            now,
            media=list(media),
            callback=callback,
            service_sid=service_sid,
        )
        message.bubble = self._add_bubble(message, person)
        self.messages.add(message)
        self._world.spawn(self._run_states(message))
        return message

    def _add_bubble(self, message: TextMessage, person: Person, sender: str = "bot") -> PhoneBubble:
        bubble = PhoneBubble(
            SMS,
            person.phone_number,
            "out",
            message.body,
            message.sid,
            message.status,
            sender=sender,
            media=message.media,
            part_key=_part_of(message.callback),
        )
        return self._world.transcripts.add(bubble)

    async def _run_states(self, message: TextMessage) -> None:
        """Advance through the states, independently of the callbacks about them."""
        failure = later_failure(message.to)
        last = "undelivered" if failure else "delivered"
        for status in (*(("queued",) if message.service_sid else ()), "sending", "sent", last):
            await self._world.pause(self._world.options.status_seconds)
            if self._world.stopping.is_set():
                return
            self._advance(message, status, failure if status == last else None)

    def _advance(self, message: TextMessage, status: str, failure: int | None) -> None:
        now = self._world.clock()
        message.status, message.updated, message.error_code = status, now, failure
        if status == "sent":
            message.sent = now
        if message.bubble is not None:
            message.bubble.status, message.bubble.error_code = status, failure
            self._world.transcripts.announce_bubble(message.bubble)
        if message.callback:
            message.pending_callbacks.append(self._callback_form(message))
            if len(message.pending_callbacks) == 1:
                self._world.spawn(self._send_callbacks(message))

    def _callback_form(self, message: TextMessage) -> dict[str, str]:
        form = {
            "ApiVersion": API_VERSION,
            "AccountSid": self.account_sid,
            "MessageSid": message.sid,
            "SmsSid": message.sid,
            "MessageStatus": message.status,
            "SmsStatus": message.status,
            "From": message.sender,
            "To": message.to,
        }
        if message.service_sid:
            form["MessagingServiceSid"] = message.service_sid
        if message.error_code:
            form["ErrorCode"] = str(message.error_code)
            form["ErrorMessage"] = TEXTS.get(message.error_code, "")
        if message.status in {"delivered", "undelivered"}:
            moment = datetime.fromtimestamp(message.updated, UTC)
            form["RawDlrDoneDate"] = moment.strftime("%y%m%d%H%M")
        return form

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
            self._world.stats.callbacks[_status_label(outcome)] += 1

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
        sid: str | None = None,
        unsigned: bool = False,
        opt_out_type: str | None = None,
    ) -> tuple[str, WebhookOutcome]:
        """Deliver a person's text to the webhook; returns its MessageSid and the outcome. Never raises."""
        person = self._world.people.with_phone(sender)
        while units(body) > MAX_UNITS:
            body = body[:-1]
        message = self._record_inbound(person, body, media, sid)
        form = self._inbound_form(message)
        if opt_out_type:
            form["OptOutType"] = opt_out_type
        self._answer_keyword(person, body)
        fault = self._world.faults.match("twilio_webhook", "*", body)
        if fault is not None and fault.effect == "disorder":
            self._world.spawn(self._deliver_late(message, form, unsigned, fault))
            return message.sid, WebhookOutcome(None, error="held back by a fault")
        return message.sid, await self._deliver(message, form, unsigned, await self._delivery_count(fault))

    def _record_inbound(self, person: Person, body: str, media: Sequence[str], sid: str | None) -> TextMessage:
        now = self._world.clock()
        sid = sid or new_sid("MM" if media else "SM")
        message = TextMessage(
            sid, self.account_sid, "inbound", person.phone_number, self.number, body, "received", now, now, now
        )
        message.media = list(media)
        try:
            message.bubble = self.messages.get(sid).bubble  # a repetition is the same bubble
        except TwilioRefusal:
            message.bubble = self._world.transcripts.add(
                PhoneBubble(
                    SMS,
                    person.phone_number,
                    "in",
                    body,
                    sid,
                    "received",
                    sender="person",
                    media=list(media),
                    kind="text" if body or not media else "media",
                )
            )
        return self.messages.add(message)

    def _inbound_form(self, message: TextMessage) -> dict[str, str]:
        """All fields that Twilio sends; the places are empty, as for most numbers."""
        form = {f"{side}{place}": "" for side in ("From", "To") for place in _PLACE_FIELDS}
        form |= {"FromCountry": "US", "ToCountry": "US"} if message.sender.startswith("+1") else {}
        form |= {
            "ToCountry": "US",
            "MessageSid": message.sid,
            "SmsMessageSid": message.sid,
            "SmsSid": message.sid,
            "AccountSid": self.account_sid,
            "From": message.sender,
            "To": message.to,
            "Body": message.body,
            "NumMedia": str(len(message.media)),
            "NumSegments": str(segments(message.body)),
            "SmsStatus": "received",
            "ApiVersion": API_VERSION,
        }
        for number, content_type in enumerate(message.media):
            form[f"MediaUrl{number}"] = self._media_url(message.sid, number)
            form[f"MediaContentType{number}"] = content_type
        return form

    def _media_url(self, sid: str, number: int) -> str:
        path = f"/{API_VERSION}/Accounts/{self.account_sid}/Messages/{sid}/Media/ME{number:032x}"
        return self._world.settings.simulator_url + path

    def _answer_keyword(self, person: Person, body: str) -> None:
        """Answer STOP, START and HELP as Twilio does; START is answered only if the person had opted out."""
        word = keyword(body)
        if word is None or (word == "START" and not person.opted_out) or (word == "STOP" and person.opted_out):
            return
        if word != "HELP":
            person.opted_out = word == "STOP"
        now = self._world.clock()
        answer = TextMessage(
            new_sid(),
            self.account_sid,
            "outbound-reply",
            self.number,
            person.phone_number,
            _KEYWORD_ANSWERS[word],
            "delivered",
            now,
            now,
            now,
        )
        answer.bubble = self._add_bubble(answer, person, sender="twilio")
        self.messages.add(answer)

    async def _deliver_late(self, message: TextMessage, form: dict[str, str], unsigned: bool, fault: Fault) -> None:
        await self._deliver(message, form, unsigned, await self._delivery_count(fault))

    async def _deliver(self, message: TextMessage, form: dict[str, str], unsigned: bool, times: int) -> WebhookOutcome:
        options = self._world.options
        outcome = WebhookOutcome(None, error="lost by a fault")
        for _ in range(times):
            outcome = await self._caller.post(
                options.twilio_webhook_url, form, signed=not unsigned, read_seconds=options.twilio_read_seconds
            )
            self._world.stats.webhooks[_status_label(outcome)] += 1
            self._reply(message, outcome)
        if times and message.bubble is not None:
            message.bubble.status = "received" if outcome.succeeded else "failed"
            message.bubble.error_code = None if outcome.succeeded else 11200
            self._world.transcripts.announce_bubble(message.bubble)
        return outcome

    def _reply(self, message: TextMessage, outcome: WebhookOutcome) -> None:
        """Send the messages in the TwiML of the webhook's answer."""
        if not outcome.succeeded or "<Message" not in outcome.body:
            return
        for body in _replies(outcome.body):
            try:
                self.accept(message.sender, body, direction="outbound-reply")
            except TwilioRefusal as refusal:
                log.info("a reply to %s was refused: %s", message.sender, refusal.message)


def _replies(twiml: str) -> list[str]:
    try:
        root = ET.fromstring(twiml)  # noqa: S314 (comes from our own server; expat limits entity expansion)
    except ET.ParseError:
        log.warning("12100: the webhook's answer is not XML")
        return []
    return ["".join(element.itertext()).strip() for element in root.iter("Message")]


def _part_of(callback: str) -> str | None:
    values: Any = parse_qs(urlsplit(callback).query).get("part")
    return values[0] if values else None


def _status_label(outcome: WebhookOutcome) -> str:
    return str(outcome.status) if outcome.status is not None else "failed"
