"""What the parrot channel supplies to the contract of all channels; it has the peer of its host."""

from __future__ import annotations

import json
from typing import ClassVar

from relay.channels.parrot.spec import CHANNEL

from relay.core.messages import Outcome
from tests.channels.contract import STATUS_ROWS, ChannelContract, Payload, Row
from tests.channels.echo.contract import LONG_TEXT, USER, EchoContract


def posted(number: int, text: str) -> bytes:
    return json.dumps({"id": str(number), "bird": USER, "text": text}).encode()


class ParrotContract(EchoContract):
    channel = CHANNEL
    webhook = "/parrot/webhook"
    payloads: ClassVar = {
        Row.TEXT: Payload(posted(1, "What is up?"), "1", "What is up?"),
        Row.GARBAGE: Payload(b"garbage"),
        Row.TOO_LONG: Payload(posted(2, LONG_TEXT), "2", LONG_TEXT, outcome=Outcome.UNANSWERABLE),
    }
    not_applicable: ClassVar = {
        **EchoContract.not_applicable,
        **dict.fromkeys(STATUS_ROWS, "The peer reports to its own channel."),
    }
    status_callback = ChannelContract.status_callback


CONTRACT = ParrotContract()
