"""The echo server: takes messages in as JSON over HTTP, and posts the answers to echo_url."""

from __future__ import annotations

import relay.core.bootstrap  # isort: skip  # noqa: F401 (says in one line what to install when something is missing)

import hashlib
import time
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager
from typing import Any

import httpx
from fastapi import APIRouter, FastAPI, Request
from pydantic import BaseModel, ValidationError
from relay.channels.echo.settings import EchoSettings
from relay.channels.echo.spec import CHANNEL, ECHO

from messaging_database import open_database
from relay.channels.registry import settings_as
from relay.channels.server import ChannelServer, create_channel_app, run_channel
from relay.config.loading import load_settings
from relay.core.decisions import Decision
from relay.core.download import Write
from relay.core.errors import AttachmentError, AttachmentFailure, OutcomeUnknown, SendError, SendFailure
from relay.core.http_client import request_once, retry_after_seconds
from relay.core.messages import (
    SILENT_STATES,
    Attachment,
    HistoryMessage,
    InboundMessage,
    PartId,
    User,
    UserId,
    UserState,
)
from relay.core.parts import DeliveryEvent, Part, PartState, PlannedPart, Receipt
from relay.texts import ENGLISH
from relay.web.access import PUBLIC

routes = APIRouter()

REFUSALS = {403: SendFailure.BLOCKED, 429: SendFailure.BUSY}
"""What a status of the peer means; any other refusal concerns this message alone."""


class EchoService:
    """The echo channel: text and HTTP. `client` is shared and closed by its opener."""

    platform = ECHO
    supports_lookup = False
    lookup_seconds = 0.0
    joins_messages = False
    is_billed = False
    rate_limited = False

    def __init__(self, settings: EchoSettings, client: httpx.AsyncClient) -> None:
        self._url = settings.echo_url or ""
        self._client = client

    def decide(self, message: InboundMessage, user: User | None) -> Decision:
        back = UserState.ACTIVE if user is not None and user.state in SILENT_STATES else None
        return Decision(prompt=message.text, name=message.name, state=back)

    def system_prompt(self, user: User | None) -> str:
        del user
        return "You answer other programs."

    def debounce_seconds(self, message: InboundMessage) -> float:
        del message
        return 0.0

    def language(self, user: User | None, message: InboundMessage | None = None) -> str:
        del user, message
        return ENGLISH

    def why_ignored(self, message: InboundMessage, history: Sequence[HistoryMessage]) -> str | None:  # noqa: ARG002 (none is)
        return None

    def continues(self, earlier: InboundMessage, later: InboundMessage) -> bool:  # noqa: ARG002 (no text does)
        return False

    def country(self, user_id: UserId) -> None:  # noqa: ARG002 (an address has none)
        return None

    def follow_seconds(self, message: InboundMessage) -> float:  # noqa: ARG002 (likewise)
        return 0.0

    def merge(self, messages: Sequence[InboundMessage]) -> str:
        return "\n".join(message.text for message in messages)

    async def download_attachment(self, attachment: Attachment, write: Write, max_bytes: int) -> None:  # noqa: ARG002 (none comes)
        raise AttachmentError(AttachmentFailure.GONE)

    def plan(self, markdown: str, language: str = ENGLISH) -> list[PlannedPart]:
        del language
        return [PlannedPart(markdown, markdown)]

    @asynccontextmanager
    async def typing(self, message: InboundMessage, language: str = ENGLISH) -> AsyncIterator[None]:
        del message, language
        yield

    async def wait_for_rate_limit(self, part: Part) -> None:
        """Never waits."""

    async def send(self, part: Part) -> Receipt:
        """Post one part. Raises SendError when it was refused, OutcomeUnknown when the peer did not answer."""
        body = {"id": part.id, "to": part.user_id, "text": part.text}
        response = await request_once(self._client, "the peer", "POST", self._url, seconds=20.0, json=body)
        if response.is_server_error:
            raise OutcomeUnknown(str(response.status_code), "the peer failed while it had the message")
        if not response.is_success:
            kind = REFUSALS.get(response.status_code, SendFailure.REJECTED)
            wait = retry_after_seconds(response.headers.get("retry-after"))
            raise SendError(kind, str(response.status_code), "the peer refused the message", retry_after=wait)
        return Receipt(part.id)

    async def lookup(self, part: Part, taken: Collection[str]) -> Receipt | None:
        """Never possible. Raises OutcomeUnknown."""
        del taken
        raise OutcomeUnknown("no-list", f"the peer cannot tell whether part {part.id} was sent")

    async def probe(self) -> None:
        """Never fails: nothing can be asked of the peer."""


class EchoServer(ChannelServer[EchoSettings, EchoService]):
    """What the routes of the echo server need."""

    channel = CHANNEL
    description = "Relays JSON messages to the LLM server."

    def address(self, given: str) -> UserId:
        return UserId(given.strip())


class Incoming(BaseModel):
    """The body of the webhook."""

    id: str
    caller: str
    text: str


class Delivered(BaseModel):
    """The body of a status callback."""

    id: PartId
    state: PartState


@routes.post("/echo/webhook", dependencies=[PUBLIC], summary="Where callers post messages.")
async def receive(request: Request) -> dict[str, Any]:
    server = EchoServer.of(request)
    body = await request.body()
    try:
        incoming = Incoming.model_validate_json(body)
    except ValidationError as error:
        name, raw = hashlib.sha256(body).hexdigest(), body.decode("utf-8", "replace")
        await server.database.store_dead_letter(ECHO, name, raw, str(error))
        return {"stored": False}
    user_id = server.address(incoming.caller)
    message = InboundMessage(ECHO, incoming.id, user_id, incoming.text, time.time(), name=incoming.caller)
    stored = await server.database.store_inbound(message, incoming.model_dump_json())
    server.pipeline.notify(user_id)
    return {"stored": stored is not None}


@routes.post("/echo/delivery", dependencies=[PUBLIC], summary="Where the peer reports what became of a message.")
async def receive_status(request: Request, delivered: Delivered) -> dict[str, Any]:
    server: EchoServer = request.app.state.servers[ECHO]
    event = DeliveryEvent(ECHO, delivered.id, delivered.state, time.time(), delivered.id)
    return {"fresh": await server.pipeline.outbox.record_status(event)}


def create_app(settings: EchoSettings | None = None) -> FastAPI:
    """The server as an ASGI app; it is opened when the app starts, not before."""
    settings = settings or load_settings(settings_as(EchoSettings))
    return create_channel_app(EchoServer, settings, routes, open_database, EchoService)


def main() -> None:
    """Run the server until a signal."""
    run_channel(CHANNEL, create_app)


if __name__ == "__main__":
    main()
