"""What the SMS channel supplies to the contract of all channels: Twilio's webhooks and its REST API."""

# ruff: noqa: ARG002 (the arguments are those of the contract)
from __future__ import annotations

from collections.abc import Mapping
from email.utils import formatdate
from typing import Any, ClassVar
from urllib.parse import parse_qsl, urlencode, urlsplit

from fastapi import FastAPI

from relay.channels.sms.spec import CHANNEL
from relay.channels.sms.webhook import Form, sign
from relay.core.messages import Kind, Outcome, UserId, UserState
from relay.core.parts import PartState
from sms_server import create_app
from tests.channels.contract import (
    MAX_MESSAGE_LENGTH,
    PUBLIC_URL,
    RETRY_AFTER_SECONDS,
    ChannelContract,
    Payload,
    Row,
    Send,
)
from tests.channels.scripted_server import Reply, Request
from tests.channels.sms.scripted_twilio import (
    ACCOUNT,
    CALLBACK,
    NUMBER,
    RECORDED,
    USER,
    created,
    listed,
    message,
    refused,
)
from tests.english import english
from tests.settings import Settings

TOKEN = "token-of-the-tests"


def recorded(sid: str, body: str, **changes: str) -> bytes:
    ids = dict.fromkeys(("MessageSid", "SmsSid", "SmsMessageSid"), sid)
    return urlencode({**RECORDED, **ids, "Body": body, **changes}).encode()


class SmsContract(ChannelContract):
    channel = CHANNEL
    webhook = "/sms/webhook"
    user = UserId(USER)
    accepted_state = PartState.ACCEPTED
    introduction: ClassVar[bytes | None] = recorded("SM0", "name=Ann")
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
            replies=0,
            user_state=UserState.STOPPED,
        ),
        Row.GARBAGE: Payload(b"From=%2B12345678900&From=%2B12345678901&Body=x"),
        Row.TOO_LONG: Payload(
            recorded("SM4", "long " * MAX_MESSAGE_LENGTH),
            "SM4",
            "long " * MAX_MESSAGE_LENGTH,
            reply=english("sms-too-long", limit=MAX_MESSAGE_LENGTH),
        ),
    }
    refusals: ClassVar = {
        Row.BLOCKED: refused(400, 21610),
        Row.RATE_LIMITED: refused(429, 20429, **{"Retry-After": str(RETRY_AFTER_SECONDS)}),
        Row.SERVER_ERROR: refused(503, 20500),
    }
    not_applicable: ClassVar = {Row.EDITED: "A text message cannot be edited after it was sent."}

    def create_app(self, provider_url: str, common: Mapping[str, Any]) -> FastAPI:
        account = {"twilio_account_sid": ACCOUNT, "twilio_auth_token": TOKEN, "twilio_phone_number": NUMBER}
        return create_app(Settings(**common, **account, twilio_api_base_url=provider_url, sms_part_seconds=0))

    def headers(self, path: str, body: bytes) -> dict[str, str]:
        form = Form(tuple(parse_qsl(body.decode(), keep_blank_values=True)))
        signature = sign(TOKEN, PUBLIC_URL + path, form)
        return {"Content-Type": "application/x-www-form-urlencoded", "X-Twilio-Signature": signature}

    def read_send(self, request: Request) -> Send | None:
        return Send(request.form["To"][0], request.form["Body"][0], request) if request.method == "POST" else None

    def provider_id(self, send: Send, number: int) -> str:
        return f"SM{number:032x}"

    def accepted(self, send: Send, provider_id: str) -> Reply:
        return created(sid=provider_id, body=send.text)

    def respond(self, request: Request, taken: Mapping[str, Send]) -> Reply:
        """The list of messages."""
        return listed(
            *(
                message(sid=sid, body=send.text, date_created=formatdate(send.at, usegmt=True))
                for sid, send in list(taken.items())[::-1]
            )
        )

    def status_callback(self, send: Send, provider_id: str, state: PartState) -> tuple[str, bytes]:
        callback = urlsplit(send.request.form["StatusCallback"][0])
        ids = {"SmsSid": provider_id, "MessageSid": provider_id}
        fields = {**CALLBACK, **ids, "SmsStatus": state, "MessageStatus": state}
        return f"{callback.path}?{callback.query}", urlencode(fields).encode()


CONTRACT = SmsContract()
