"""What the Telegram channel supplies to the contract of all channels: pushed updates and the Bot API."""

# ruff: noqa: ARG002 (the arguments are those of the contract)
from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, ClassVar

from fastapi import FastAPI

from relay.channels.telegram.spec import CHANNEL
from relay.core.messages import Kind, Outcome, UserId
from telegram_server import SECRET_HEADER, create_app
from telegram_service import TelegramService
from tests.channels.contract import (
    MAX_MESSAGE_LENGTH,
    RETRY_AFTER_SECONDS,
    STATUS_ROWS,
    ChannelContract,
    Payload,
    Row,
    Send,
)
from tests.channels.scripted_server import Reply, Request
from tests.channels.telegram.scripted_bot_api import BOT_ID, ME, TOKEN, ok, private, refused, sent
from tests.english import english
from tests.settings import Settings

USER = UserId("700000001")
SECRET = "secret-of-the-tests"


def update(update_id: int, text: str | None, **more: Any) -> bytes:
    return json.dumps(private(update_id, text, **more)).encode()


def edited(update_id: int, text: str) -> bytes:
    whole = private(update_id, text, edit_date=1790000001)
    return json.dumps({"update_id": update_id, "edited_message": whole["message"]}).encode()


class TelegramContract(ChannelContract):
    channel = CHANNEL
    webhook = "/telegram/webhook"
    user = USER
    clocked = (TelegramService,)
    introduction = update(1, "/start")
    payloads: ClassVar = {
        Row.TEXT: Payload(update(2, "What is up?"), f"{BOT_ID}:2", "What is up?"),
        Row.MEDIA: Payload(
            update(3, None, photo=[{"file_id": "A", "file_unique_id": "B", "width": 90, "height": 90}]),
            f"{BOT_ID}:3",
            kind=Kind.MEDIA,
            reply=english("file-lost"),
        ),
        Row.EDITED: Payload(
            edited(4, "What is new?"), f"{BOT_ID}:4", "What is new?", kind=Kind.EDITED, reply=english("telegram-edited")
        ),
        Row.KEYWORD: Payload(update(5, "/help"), f"{BOT_ID}:5", "/help"),
        Row.GARBAGE: Payload(b'{"update_id": 6, "message": {"chat": 5}}'),
        Row.TOO_LONG: Payload(
            update(7, "long " * MAX_MESSAGE_LENGTH),
            f"{BOT_ID}:7",
            ("long " * MAX_MESSAGE_LENGTH).strip(),
            outcome=Outcome.UNANSWERABLE,
        ),
    }
    refusals: ClassVar = {
        Row.BLOCKED: refused(403, "Forbidden: bot was blocked by the user"),
        Row.RATE_LIMITED: refused(429, "Too Many Requests", retry_after=RETRY_AFTER_SECONDS),
        Row.SERVER_ERROR: Reply(502, b"<html>Bad Gateway</html>"),
    }
    left_out: ClassVar = ("telegram_service.TelegramService.register_commands",)
    not_applicable: ClassVar = dict.fromkeys(STATUS_ROWS, "Telegram does not report what became of a bot's message.")

    def create_app(self, provider_url: str, common: Mapping[str, Any]) -> FastAPI:
        bot = {"telegram_bot_token": TOKEN, "telegram_mode": "webhook", "telegram_webhook_secret": SECRET}
        return create_app(Settings(**common, **bot, telegram_api_base_url=provider_url))

    def headers(self, path: str, body: bytes) -> dict[str, str]:
        return {**super().headers(path, body), SECRET_HEADER: SECRET}

    def read_send(self, request: Request) -> Send | None:
        if not request.path.endswith("/sendMessage"):
            return None
        fields = json.loads(request.body)
        return Send(str(fields["chat_id"]), fields["text"], request) if fields.get("text") else None

    def provider_id(self, send: Send, number: int) -> str:
        return str(number)

    def accepted(self, send: Send, provider_id: str) -> Reply:
        return ok(sent(int(send.to), send.text, int(provider_id)))

    def respond(self, request: Request, taken: Mapping[str, Send]) -> Reply:
        if request.path.endswith("/sendMessage"):
            return refused(400, "Bad Request: message text is empty")
        return ok(ME if request.path.endswith("/getMe") else True)


CONTRACT = TelegramContract()
