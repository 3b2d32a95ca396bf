"""Twilio's REST API as a scripted server, the messages that it answers with, and its webhooks as recorded."""

from __future__ import annotations

import json
from typing import Any

from tests.channels.scripted_server import Reply, ScriptedServer

ACCOUNT = "AC" + "1" * 32
SID = "SM" + "0" * 32
NUMBER, USER = "+15550100000", "+12345678900"

RECORDED = {
    "ToCountry": "US",
    "ToState": "",
    "SmsMessageSid": SID,
    "NumMedia": "0",
    "ToCity": "",
    "FromZip": "45701",
    "SmsSid": SID,
    "FromState": "OH",
    "SmsStatus": "received",
    "FromCity": "ATHENS",
    "Body": "Hello there",
    "FromCountry": "US",
    "To": NUMBER,
    "ToZip": "",
    "NumSegments": "1",
    "MessageSid": SID,
    "AccountSid": ACCOUNT,
    "From": USER,
    "ApiVersion": "2010-04-01",
}
"""The fields of a real webhook, as Twilio documents and sends them; empty ones are present and are signed."""

CALLBACK = {
    "SmsSid": SID,
    "SmsStatus": "delivered",
    "MessageStatus": "delivered",
    "To": USER,
    "MessageSid": SID,
    "AccountSid": ACCOUNT,
    "From": NUMBER,
    "ApiVersion": "2010-04-01",
}
"""The fields of a status callback."""


def message(**changes: Any) -> dict[str, Any]:
    """A message resource as Twilio's documentation shows it."""
    return {
        "sid": "SM" + "a" * 32,
        "status": "queued",
        "num_segments": "1",
        "direction": "outbound-api",
        "body": "Hello",
        "date_created": "Sat, 21 Nov 2026 03:00:00 +0000",
        "error_code": None,
        **changes,
    }


def created(**changes: Any) -> Reply:
    return Reply(201, json.dumps(message(**changes)).encode())


def refused(status: int, code: int, **headers: str) -> Reply:
    body = {"code": code, "message": "what Twilio says", "more_info": "https://...", "status": status}
    return Reply(status, json.dumps(body).encode(), headers)


def listed(*messages: dict[str, Any]) -> Reply:
    page = {"messages": list(messages), "next_page_uri": None, "page": 0, "page_size": 50}
    return Reply(200, json.dumps(page).encode())


def scripted_twilio() -> ScriptedServer:
    """Accepts every message that is not scripted otherwise."""
    return ScriptedServer(created())
