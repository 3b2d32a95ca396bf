"""The parrot channel, served by the echo server: JSON comes in at a route of its own, and goes out like the host's."""

from __future__ import annotations

import hashlib
import time
from typing import Any

from fastapi import APIRouter, Request
from httpx import AsyncClient
from pydantic import BaseModel, ValidationError
from relay.channels.parrot.spec import CHANNEL, PARROT

from relay.channels.server import AnyServer, ChannelServer
from relay.core.channel import Channel
from relay.core.messages import InboundMessage, User, UserId
from relay.web.access import PUBLIC

routes = APIRouter()


class ParrotService:
    """Asks the model in other words; all else is done by the service of the host."""

    platform = PARROT

    def __init__(self, host: Channel) -> None:
        self._host = host

    def __getattr__(self, name: str) -> Any:
        return getattr(self._host, name)

    def system_prompt(self, user: User | None) -> str:
        del user
        return "You are a parrot."


class ParrotServer(ChannelServer[Any, Any]):
    """What the routes of the parrot channel need."""

    channel = CHANNEL

    def address(self, given: str) -> UserId:
        return UserId(given.strip())


class IncomingText(BaseModel):
    """The body of the webhook."""

    id: str
    bird: str
    text: str


@routes.post("/parrot/webhook", dependencies=[PUBLIC], summary="Where birds post messages.")
async def receive(request: Request) -> dict[str, Any]:
    server = ParrotServer.of(request)
    body = await request.body()
    try:
        incoming = IncomingText.model_validate_json(body)
    except ValidationError as error:
        name, raw = hashlib.sha256(body).hexdigest(), body.decode("utf-8", "replace")
        await server.database.store_dead_letter(PARROT, name, raw, str(error))
        return {"stored": False}
    user_id = server.address(incoming.bird)
    message = InboundMessage(PARROT, incoming.id, user_id, incoming.text, time.time(), name=incoming.bird)
    stored = await server.database.store_inbound(message, incoming.model_dump_json())
    server.pipeline.notify(user_id)
    return {"stored": stored is not None}


def open_server(host: AnyServer, http: AsyncClient) -> ParrotServer:
    """The server of this channel, on the database of its host."""
    return ParrotServer(
        host.settings, host.database, ParrotService(host.service), http, host.metrics, attachments=host.attachments
    )
