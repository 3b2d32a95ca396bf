"""What the echo channel supplies to the contract, once `tests/repository/test_new_channel.py` added the channel."""

# ruff: noqa: ARG002 (the arguments are those of the contract)
from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, ClassVar

from fastapi import FastAPI
from relay.channels.echo.server import create_app
from relay.channels.echo.spec import CHANNEL

from relay.channels.registry import AllSettings
from relay.core.messages import Outcome, UserId
from relay.core.parts import PartState
from tests.channels.contract import MAX_MESSAGE_LENGTH, RETRY_AFTER_SECONDS, ChannelContract, Payload, Row, Send
from tests.channels.scripted_server import Reply, Request

USER = UserId("ann")
LONG_TEXT = "x" * (MAX_MESSAGE_LENGTH + 1)


def posted(number: int, text: str) -> bytes:
    return json.dumps({"id": str(number), "caller": USER, "text": text}).encode()


class EchoContract(ChannelContract):
    channel = CHANNEL
    webhook = "/echo/webhook"
    user = USER
    accepted_state = PartState.ACCEPTED
    payloads: ClassVar = {
        Row.TEXT: Payload(posted(1, "What is up?"), "1", "What is up?"),
        Row.GARBAGE: Payload(b"garbage"),
        Row.TOO_LONG: Payload(posted(2, LONG_TEXT), "2", LONG_TEXT, outcome=Outcome.UNANSWERABLE),
    }
    refusals: ClassVar = {
        Row.BLOCKED: Reply(403),
        Row.RATE_LIMITED: Reply(429, headers={"Retry-After": str(RETRY_AFTER_SECONDS)}),
        Row.SERVER_ERROR: Reply(500),
    }
    not_applicable: ClassVar = {
        Row.MEDIA: "A message of a program is a text.",
        Row.EDITED: "Programs send a new message instead.",
        Row.KEYWORD: "All text is given to the model.",
    }

    def create_app(self, provider_url: str, common: Mapping[str, Any]) -> FastAPI:
        return create_app(AllSettings(**common, echo_url=provider_url))

    def read_send(self, request: Request) -> Send | None:
        if request.method != "POST":
            return None
        fields = json.loads(request.body)
        return Send(fields["to"], fields["text"], request)

    def provider_id(self, send: Send, number: int) -> str:
        return json.loads(send.request.body)["id"]

    def accepted(self, send: Send, provider_id: str) -> Reply:
        return Reply(204)

    def respond(self, request: Request, taken: Mapping[str, Send]) -> Reply:
        return Reply(404)

    def status_callback(self, send: Send, provider_id: str, state: PartState) -> tuple[str, bytes]:
        return "/echo/delivery", json.dumps({"id": provider_id, "state": state}).encode()


CONTRACT = EchoContract()
