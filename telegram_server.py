"""The Telegram server: takes updates in by long polling or webhook, starts the relay, and shows and steers it by HTTP.

It owns the routes, the start and the stop. What Telegram means is the Telegram service's knowledge, what is stored the
database's; how a message is answered and sent happens in `relay`.
"""

from __future__ import annotations

import relay.core.bootstrap  # isort: skip  # noqa: F401 (says in one line what to install when something is missing)

import asyncio
import json
import logging
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, FastAPI, Request
from httpx import AsyncClient
from pydantic import BaseModel, BeforeValidator, Field

from messaging_database import MessagingDatabase, open_database
from relay.channels.admin_api import Desk, Limit, Offset
from relay.channels.registry import settings_as
from relay.channels.telegram.bot_api import BotCalls
from relay.channels.telegram.entities import CUT_NOTICE
from relay.channels.telegram.polling import LEASE_NOTE, Intake, Poller, insist
from relay.channels.telegram.settings import TelegramSettings
from relay.channels.telegram.spec import CHANNEL, TELEGRAM
from relay.config.errors import SettingsError
from relay.config.settings import load_settings
from relay.core import shutdown
from relay.core.errors import SendError
from relay.core.http_client import open_http_client
from relay.core.lease import Lease
from relay.core.messages import SILENT_STATES, UserId, UserState
from relay.core.pipeline import Relay
from relay.core.text import is_blank, timestamp
from relay.llm.client import LlmClient
from relay.web.access import ADMIN, PUBLIC
from relay.web.app import add_common_routes, build_app
from relay.web.errors import ApiError
from relay.web.serve import run_server
from relay.web.token_guard import same_secret
from telegram_service import ALLOWED_UPDATES, TelegramService, bot_token, webhook_secret

log = logging.getLogger("relay.telegram.server")

SECRET_HEADER = "X-Telegram-Bot-Api-Secret-Token"  # noqa: S105 (the name of a header)
PENDING_SECONDS = 15.0
STATUS_PATIENCE_SECONDS = 1.5

routes = APIRouter()


@dataclass(slots=True)
class Webhook:
    """How far Telegram knows our webhook."""

    url: str
    secret: str
    registered: bool = False
    error: str | None = None


@dataclass(slots=True)
class Rooms:
    """What the routes need, made at the start of the server."""

    settings: TelegramSettings
    database: MessagingDatabase
    service: TelegramService
    relay: Relay
    desk: Desk
    intake: Intake
    poller: Poller
    webhook: Webhook | None
    chores: set[asyncio.Task[None]] = field(default_factory=set)
    pending: tuple[float, int | None] = (0.0, None)


def create_app(
    settings: TelegramSettings | None = None,
    *,
    open_database: Callable[[TelegramSettings, str], MessagingDatabase] = open_database,
    open_service: Callable[[TelegramSettings, AsyncClient], TelegramService] = TelegramService,
) -> FastAPI:
    """The server as an ASGI app; its rooms are opened when it starts, and not before.

    Raises SettingsError when it could not do its work with these settings.
    """
    settings = settings or load_settings(settings_as(TelegramSettings))
    bot_token(settings)
    _webhook_url(settings)
    lifespan = partial(_lifespan, open_database=open_database, open_service=open_service)
    app = build_app(
        "Telegram server", settings, lifespan, description="Relays a Telegram bot's messages to the LLM server."
    )
    app.include_router(routes)

    async def ready() -> dict[str, Any]:
        return await _readiness(_rooms(app))

    add_common_routes(app, ready)
    return app


def _webhook_url(settings: TelegramSettings) -> str | None:
    """Where Telegram is to push updates; None when we poll for them."""
    if settings.telegram_mode == "polling":
        return None
    if settings.public_url is not None:
        return f"{settings.public_url}/telegram/webhook"
    if settings.simulated:
        return f"http://127.0.0.1:{settings.telegram_server_port}/telegram/webhook"
    raise SettingsError(
        "TELEGRAM_MODE=webhook needs PUBLIC_URL, the https:// address under which the internet reaches this server. "
        "Set it, or leave TELEGRAM_MODE at polling, which works everywhere."
    )


@asynccontextmanager
async def _lifespan(
    app: FastAPI,
    open_database: Callable[[TelegramSettings, str], MessagingDatabase],
    open_service: Callable[[TelegramSettings, AsyncClient], TelegramService],
) -> AsyncIterator[None]:
    settings: TelegramSettings = app.state.settings
    http = open_http_client()
    database = open_database(settings, "telegram_server")
    rooms = _make_rooms(app, database, open_service(settings, http), LlmClient(http, settings))
    app.state.rooms = rooms
    await database.start()
    await rooms.relay.start()
    await _start_updates(rooms)
    yield
    await _stop_updates(rooms)
    await rooms.relay.stop()
    await rooms.service.stop()
    await database.stop(settings.stop_seconds * shutdown.DATABASE)
    await http.aclose()


def _make_rooms(app: FastAPI, database: MessagingDatabase, service: TelegramService, model: LlmClient) -> Rooms:
    settings: TelegramSettings = app.state.settings
    relay_ = Relay(database, service, model, settings, app.state.metrics)
    intake = Intake(service, database, service.me.id, app.state.metrics, relay_.notify)

    async def prepare() -> None:
        await service.learn_identity()
        await service.delete_webhook()

    poller = Poller(
        intake,
        database,
        prepare,
        lambda client: BotCalls(client, settings.telegram_api_base_url, bot_token(settings)),
        lambda: open_http_client(max_connections=2),
        Lease(database, TELEGRAM, LEASE_NOTE, settings.lease_seconds),
        bot_id=service.me.id,
        poll_seconds=settings.telegram_poll_seconds,
        allowed_updates=ALLOWED_UPDATES,
    )
    url = _webhook_url(settings)
    webhook = Webhook(url, webhook_secret(settings)) if url else None
    desk = Desk(CHANNEL, database, relay_, model)
    return Rooms(settings, database, service, relay_, desk, intake, poller, webhook)


async def _start_updates(rooms: Rooms) -> None:
    """Let updates come; what Telegram refuses meanwhile is tried again in the background."""
    if rooms.webhook is None:
        await rooms.poller.start()
    else:
        _in_background(rooms, _register_webhook(rooms, rooms.webhook))
    _in_background(rooms, insist("registering the menu of commands", rooms.service.register_commands))


def _in_background(rooms: Rooms, chore: Any) -> None:
    task = asyncio.create_task(chore)
    rooms.chores.add(task)
    task.add_done_callback(rooms.chores.discard)


async def _register_webhook(rooms: Rooms, webhook: Webhook) -> None:
    async def register() -> None:
        await rooms.service.learn_identity()
        await rooms.service.set_webhook(webhook.url, webhook.secret)

    def failed(words: str) -> None:
        webhook.error = words

    await insist("registering the webhook", register, failed=failed)
    webhook.registered, webhook.error = True, None
    log.info("Telegram pushes updates to %s", webhook.url)


async def _stop_updates(rooms: Rooms) -> None:
    for chore in rooms.chores:
        chore.cancel()
    await asyncio.gather(*rooms.chores, return_exceptions=True)
    await rooms.poller.stop(rooms.settings.stop_seconds * shutdown.UPDATES)


def _rooms(app: FastAPI) -> Rooms:
    rooms: Rooms = app.state.rooms
    return rooms


# -- what everybody may see --------------------------------------------------------------------------------------------


@routes.head("/", dependencies=[PUBLIC], include_in_schema=False)
@routes.get("/", dependencies=[PUBLIC], summary="What this server is, and whether it works.")
async def home(request: Request) -> dict[str, Any]:
    rooms = _rooms(request.app)
    readiness = await _readiness(rooms)
    return {
        "server": "Telegram server",
        "status": "ok" if readiness["ready"] else "trouble",
        "about": "People message a Telegram bot, and an AI answers.",
        "links": {"status": "/telegram/status", "health": "/health", "routes": "/docs"},
        "bot": f"@{rooms.service.me.username}" if rooms.service.me.username else None,
        "mode": rooms.settings.telegram_mode,
        "simulated": rooms.settings.simulated,
    }


async def _readiness(rooms: Rooms) -> dict[str, Any]:
    """Ready is who can store what comes and knows the bot; that Telegram is away for a while is told, no more."""
    common = await rooms.desk.readiness()
    known = bool(rooms.service.me.username)
    return {
        **common,
        "ready": common["ready"] and known,
        "bot_known": known,
        "updates": str(rooms.poller.state) if rooms.webhook is None else _webhook_state(rooms.webhook),
        "simulated": rooms.settings.simulated,
    }


def _webhook_state(webhook: Webhook) -> str:
    return "webhook" if webhook.registered else "registering"


@routes.post(
    "/telegram/webhook",
    dependencies=[PUBLIC],
    summary="Where Telegram pushes updates.",
    description=f"Only with the right {SECRET_HEADER}. Answers 200 as soon as the update is stored.",
)
async def webhook(request: Request) -> dict[str, Any]:
    rooms = _rooms(request.app)
    if not same_secret(request.headers.get(SECRET_HEADER, ""), webhook_secret(rooms.settings)):
        raise ApiError(
            403,
            f"the header {SECRET_HEADER} is missing or wrong",
            "only Telegram sends updates here; the secret is TELEGRAM_WEBHOOK_SECRET, or derived from the bot token",
        )
    if not rooms.service.me.username:
        raise ApiError(503, "the bot does not know its own name yet", "Telegram tries again by itself")
    content = await request.body()
    try:
        update = json.loads(content.decode("utf-8", "replace"))
    except (ValueError, RecursionError):
        # A refusal would make Telegram send the same again, for a day: it is kept where the operator sees it.
        update = {"unreadable": content[:10_000].decode("utf-8", "replace")}
    await rooms.intake.take_pushed(update)
    return {"ok": True}


# -- what the operator may do ------------------------------------------------------------------------------------------


@routes.get("/telegram/status", dependencies=[ADMIN], summary="Figures, people and the state of polling or webhook.")
async def status(request: Request, limit: Limit = 50, offset: Offset = 0) -> dict[str, Any]:
    rooms = _rooms(request.app)
    return {
        **await rooms.desk.status(limit, offset),
        "simulated": rooms.settings.simulated,
        "bot": f"@{rooms.service.me.username}" if rooms.service.me.username else None,
        "mode": rooms.settings.telegram_mode,
        "polling": _polling(rooms),
        "webhook": _webhook_report(rooms.webhook),
        "pending_update_count": await _pending(rooms),
    }


def _polling(rooms: Rooms) -> dict[str, Any]:
    """The state of the long poll; `running` alone would say nothing about whether it succeeds."""
    poller = rooms.poller
    last = poller.last_success_at
    return {
        "running": poller.running,
        "state": poller.state,
        "polled_by": poller.polled_by,
        "last_success_at": timestamp(last),
        "last_success_seconds_ago": None if last is None else round(max(0.0, time.time() - last), 1),
        "last_error": poller.last_error,
    }


def _webhook_report(hook: Webhook | None) -> dict[str, Any] | None:
    return {"url": hook.url, "registered": hook.registered, "last_error": hook.error} if hook else None


async def _pending(rooms: Rooms) -> int | None:
    """How many updates wait at Telegram, asked at most every few seconds; None when it does not say so quickly."""
    asked_at, count = rooms.pending
    if time.monotonic() - asked_at < PENDING_SECONDS and asked_at > 0:
        return count
    try:
        async with asyncio.timeout(STATUS_PATIENCE_SECONDS):
            info = await rooms.service.webhook_info()
        count = info.get("pending_update_count")
    except (SendError, TimeoutError):
        count = None
    rooms.pending = (time.monotonic(), count)
    return count


def _as_written(value: object) -> str:
    """A whole number, or the same as text; true and 1.5 are no chats."""
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise ValueError("must be a whole number")  # noqa: TRY004 (what pydantic turns into a sentence)
    return str(value)


class Message(BaseModel):
    """What to send, and to whom."""

    chat_id: Annotated[str, BeforeValidator(_as_written)] = Field(
        description="A chat that the bot knows: a number, as JSON number or text."
    )
    message: str = Field(description="Markdown; formatted and split like the answers of the model.")


@routes.post(
    "/telegram/send",
    dependencies=[ADMIN],
    status_code=202,
    summary="Send a message to somebody who has written to the bot before.",
    description="It goes through the outbox. The response has its id and the state of its parts.",
)
async def send(request: Request, message: Message) -> dict[str, Any]:
    rooms = _rooms(request.app)
    user_id = _chat_id(message.chat_id)
    if is_blank(message.message):
        raise ApiError(422, "the message is empty", "put some text into message")
    planned = rooms.service.plan(message.message)
    if planned[-1].text.endswith(CUT_NOTICE):
        raise ApiError(
            422,
            f"the message would take more than {rooms.settings.telegram_max_parts} Telegram messages",
            "shorten it, send it in several messages, or raise telegram_max_parts",
        )
    await _must_be_reachable(rooms, user_id)
    sent = await rooms.desk.send(user_id, planned)
    return {**sent, "chat_id": user_id, "simulated": rooms.settings.simulated}


async def _must_be_reachable(rooms: Rooms, user_id: UserId) -> None:
    user = await rooms.database.find_user(TELEGRAM, user_id)
    if user is None:
        raise ApiError(
            404,
            f"no chat {user_id} is known",
            "a bot can only write to people who wrote to it first: ask them to send /start",
        )
    if user.state in SILENT_STATES:
        why = "has blocked the bot" if user.state is UserState.BLOCKED else f"is {user.state}"
        raise ApiError(409, f"chat {user_id} {why}", "nothing can be sent until they write to the bot again")


@routes.post("/telegram/polling/start", dependencies=[ADMIN], summary="Start polling for updates.")
async def start_polling(request: Request) -> dict[str, Any]:
    rooms = _rooms(request.app)
    if rooms.webhook is not None:
        raise ApiError(
            409,
            "this server receives updates by webhook, and Telegram allows only one of the two",
            "set TELEGRAM_MODE=polling and start the server again",
        )
    await rooms.poller.start()
    return _polling(rooms)


@routes.post("/telegram/polling/stop", dependencies=[ADMIN], summary="Stop polling; Telegram keeps updates for a day.")
async def stop_polling(request: Request) -> dict[str, Any]:
    rooms = _rooms(request.app)
    await rooms.poller.stop()
    return _polling(rooms)


@routes.delete("/telegram/user/{chat_id}/history", dependencies=[ADMIN], summary="Forget a conversation.")
async def clear_history(request: Request, chat_id: str) -> dict[str, Any]:
    user_id = _chat_id(chat_id)
    removed = await _rooms(request.app).database.clear_history(TELEGRAM, user_id)
    if removed is None:
        raise ApiError(404, f"no chat {user_id} is known", "GET /telegram/status lists the people")
    return {"chat_id": user_id, "removed": removed}


@routes.post(
    "/telegram/user/{chat_id}/release",
    dependencies=[ADMIN],
    summary="Resume answering somebody who was taken for a machine.",
)
async def release(request: Request, chat_id: str) -> dict[str, Any]:
    user_id = _chat_id(chat_id)
    if not await _rooms(request.app).database.release_user(TELEGRAM, user_id):
        raise ApiError(409, f"{user_id} is not paused", "GET /telegram/status shows the state of everybody")
    return {"chat_id": user_id, "released": True}


def _chat_id(given: int | str) -> UserId:
    text = str(given).strip()
    digits = text.removeprefix("-")
    if not (digits.isascii() and digits.isdecimal()) or len(digits) > 18 or int(digits) == 0:
        raise ApiError(422, "chat_id must be a whole number", "GET /telegram/status lists the chats of the people")
    return UserId(str(int(text)))


def main() -> None:
    """Run the server until a signal."""
    kind = settings_as(TelegramSettings)
    run_server("telegram_server", kind, create_app, lambda settings: settings.telegram_server_port)


if __name__ == "__main__":
    main()
