"""The routes that every channel has, and the rows of the database that they show.

Not in this module: `from __future__ import annotations`. The body of the send route is made for each channel, and
FastAPI can only resolve annotations that are written as text when they are names of the module.
"""

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, Field, create_model
from sqlalchemy import Connection

from relay.channels.registry import PLATFORMS
from relay.channels.spec import ChannelSpec
from relay.core.messages import ReplyId
from relay.storage import listings, queries
from relay.web.access import ADMIN, PUBLIC

MAX_SHOWN_FAILURES = 10
MAX_MEDIA = 10
MEDIA_HELP = "Addresses of pictures, from which the provider fetches them; they go with the first part."
MediaUrl = Annotated[str, Field(pattern=r"^https?://[^\s/]+\S*$", max_length=2000)]
_PART_KEYS = ("id", "user_id", "state", "error_code", "error", "created_at")
_LETTER_KEYS = ("id", "external_id", "user_id", "outcome", "error", "received_at")

Limit = Annotated[int, Query(ge=1, le=queries.PAGE_LIMIT)]
Offset = Annotated[int, Query(ge=0, le=1_000_000_000)]


def channel_status(connection: Connection, channel: ChannelSpec, limit: int, offset: int, now: float) -> dict[str, Any]:
    """Figures, a page of users, and the newest failed parts and dead letters without the users' texts."""
    own = (channel.platform,)
    failed = listings.failed_parts(connection, own, MAX_SHOWN_FAILURES)
    dead = listings.dead_letters(connection, own, MAX_SHOWN_FAILURES)
    return {
        **queries.status(connection, channel.platform, PLATFORMS, now),
        "users": listings.list_all_users(connection, own, "", limit, offset),
        "last_errors": {
            "parts": [{key: row[key] for key in _PART_KEYS} for row in failed],
            "messages": [{key: row[key] for key in _LETTER_KEYS} for row in dead],
        },
    }


def sent_parts(connection: Connection, channel: ChannelSpec, reply_id: ReplyId) -> dict[str, Any]:
    """Id and state of a message that an operator sent, and of each of its parts."""
    rows = listings.reply(connection, reply_id)
    return {
        "id": reply_id,
        "state": rows[-1]["state"] if rows else "planned",
        "parts": [{key: row[key] for key in channel.receipt_keys} for row in rows],
    }


def admin_routes(channel: ChannelSpec) -> APIRouter:
    """Home, status, send, clear and release of one channel; the home of a hosted one is its host's."""
    routes = APIRouter()
    user_path = f"/{channel.platform}/user/{{{channel.address_key}}}"
    path_parameter = {
        "parameters": [{"name": channel.address_key, "in": "path", "required": True, "schema": {"type": "string"}}]
    }
    body = _body_of(channel)

    def server_of(request: Request) -> Any:
        return request.app.state.servers[channel.platform]

    if channel.host is None:

        @routes.head("/", dependencies=[PUBLIC], include_in_schema=False)
        @routes.get("/", dependencies=[PUBLIC], summary="What this server is, and whether it works.")
        async def home(request: Request) -> Any:
            return await server_of(request).home()

    @routes.get(f"/{channel.platform}/status", dependencies=[ADMIN], summary="Figures, users, cost and errors.")
    async def status(request: Request, limit: Limit = 50, offset: Offset = 0) -> Any:
        return await server_of(request).status(limit, offset)

    @routes.post(
        f"/{channel.platform}/send",
        dependencies=[ADMIN],
        status_code=202,
        summary="Send a message by hand.",
        description="It goes through the outbox. The response has its id and the state of its parts.",
    )
    async def send(request: Request, message: body) -> Any:  # type: ignore[valid-type]
        values = message.model_dump()  # type: ignore[attr-defined]
        topic = values.get(channel.topic_key) if channel.topic_key else None
        how = {"takeover": values["takeover"], "media": tuple(values.get(channel.media_key, ()))}
        return await server_of(request).send(
            values[channel.address_key], values["message"], topic and str(topic), **how
        )

    @routes.delete(
        f"{user_path}/history", dependencies=[ADMIN], summary="Forget a conversation.", openapi_extra=path_parameter
    )
    async def clear_history(request: Request) -> Any:
        return await server_of(request).clear_history(request.path_params[channel.address_key])

    @routes.post(
        f"{user_path}/release",
        dependencies=[ADMIN],
        summary="Resume answering a user who was taken for a machine.",
        openapi_extra=path_parameter,
    )
    async def release(request: Request) -> Any:
        return await server_of(request).release(request.path_params[channel.address_key])

    return routes


def _body_of(channel: ChannelSpec) -> type[BaseModel]:
    """The body of /send: the user's address, the text, and the topic of the chat where the channel has topics."""
    fields: dict[str, Any] = {
        channel.address_key: (channel.address_type, Field(description=channel.address_help)),
        "message": (str, Field(description=channel.message_help)),
        "takeover": (bool, Field(default=False, description="A person answers from now on; the AI is silent.")),
    }
    if channel.topic_key:
        fields[channel.topic_key] = (
            Annotated[int, Field(ge=1, lt=1 << 53, strict=True)] | None,
            Field(None, description="Topic."),
        )
    if channel.media_key:
        fields[channel.media_key] = (list[MediaUrl], Field(default=[], max_length=MAX_MEDIA, description=MEDIA_HELP))
    return create_model("Message", **fields)
