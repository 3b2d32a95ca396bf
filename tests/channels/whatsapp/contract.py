"""What the WhatsApp channel supplies to the contract of all channels: Twilio's webhooks with addresses of WhatsApp."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar
from urllib.parse import urlencode, urlsplit

from fastapi import FastAPI

from relay.channels.whatsapp.spec import CHANNEL
from relay.core.messages import Kind, Outcome, UserId, UserState
from relay.core.parts import PartState
from sms_server import create_app
from tests.channels.contract import MAX_MESSAGE_LENGTH, ChannelContract, Payload, Row, Send
from tests.channels.scripted_server import Request
from tests.channels.sms.contract import TOKEN, SmsContract
from tests.channels.sms.scripted_twilio import ACCOUNT, CALLBACK, NUMBER, USER, refused
from tests.english import english
from tests.settings import Settings

RECORDED = {
    "ChannelMetadata": '{"type":"whatsapp","data":{"context":{"ProfileName":"Ann","WaId":"12345678900"}}}',
    "ProfileName": "Ann",
    "MessageType": "text",
    "WaId": USER.removeprefix("+"),
    "SmsStatus": "received",
    "To": f"whatsapp:{NUMBER}",
    "NumSegments": "1",
    "NumMedia": "0",
    "ReferralNumMedia": "0",
    "AccountSid": ACCOUNT,
    "From": f"whatsapp:{USER}",
    "ApiVersion": "2010-04-01",
}
"""The fields of a webhook: https://www.twilio.com/docs/messaging/guides/webhook-request."""


def recorded(sid: str, body: str, **changes: str) -> bytes:
    ids = dict.fromkeys(("MessageSid", "SmsSid", "SmsMessageSid"), sid)
    return urlencode({**RECORDED, **ids, "Body": body, **changes}).encode()


class WhatsAppContract(SmsContract):
    channel = CHANNEL
    user = UserId(USER)
    introduction: ClassVar[bytes | None] = None
    payloads: ClassVar = {
        Row.TEXT: Payload(recorded("SM1", "What is up?"), "SM1", "What is up?"),
        Row.MEDIA: Payload(
            recorded("MM2", "", NumMedia="1", MediaUrl0="https://api.twilio.com/x", MediaContentType0="image/jpeg"),
            "MM2",
            kind=Kind.MEDIA,
            reply=english("pictures-unsupported"),
        ),
        Row.KEYWORD: Payload(
            recorded("SM3", " Stop "),
            "SM3",
            " Stop ",
            outcome=Outcome.SILENT,
            replies=1,
            reply=english("whatsapp-stopped"),
            user_state=UserState.STOPPED,
        ),
        Row.GARBAGE: Payload(f"From=whatsapp%3A%2B{USER[1:]}&Body=x&Body=y".encode()),
        Row.TOO_LONG: Payload(
            recorded("SM4", "long " * MAX_MESSAGE_LENGTH),
            "SM4",
            "long " * MAX_MESSAGE_LENGTH,
            reply=english("sms-too-long", limit=MAX_MESSAGE_LENGTH),
        ),
    }
    refusals: ClassVar = {**SmsContract.refusals, Row.BLOCKED: refused(400, 63033)}
    not_applicable: ClassVar = {Row.EDITED: "Twilio posts no edits of WhatsApp."}

    def create_app(self, provider_url: str, common: Mapping[str, Any]) -> FastAPI:
        account = {"twilio_account_sid": ACCOUNT, "twilio_auth_token": TOKEN, "twilio_phone_number": "+15550100001"}
        own = {"whatsapp_number": NUMBER, "sms_part_seconds": 0}
        return create_app(Settings(**common, **account, **own, twilio_api_base_url=provider_url))

    def read_send(self, request: Request) -> Send | None:
        if request.method != "POST":
            return None
        assert request.form["From"] == [f"whatsapp:{NUMBER}"]
        return Send(request.form["To"][0].removeprefix("whatsapp:"), request.form["Body"][0], request)

    def status_callback(self, send: Send, provider_id: str, state: PartState) -> tuple[str, bytes]:
        callback = urlsplit(send.request.form["StatusCallback"][0])
        whose = {"To": f"whatsapp:{USER}", "From": f"whatsapp:{NUMBER}", "ChannelPrefix": "whatsapp"}
        fields = {**CALLBACK, **whose, "SmsSid": provider_id, "MessageSid": provider_id}
        return f"{callback.path}?{callback.query}", urlencode({**fields, "MessageStatus": state}).encode()


CONTRACT: ChannelContract = WhatsAppContract()
