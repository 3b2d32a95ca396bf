"""The Telegram server: receives updates by long polling or webhook, and serves the operator's routes of the channel.

Routes, start and stop that all channels share are in relay.channels.server; everything specific to the Bot API is in
telegram_service.
"""

from __future__ import annotations

import relay.core.bootstrap  # isort: skip  # noqa: F401 (prints what to install when something is missing)

import asyncio
import json
import logging
import re
import time
from collections.abc import Callable, Coroutine, Mapping
from functools import partial
from typing import Any

from fastapi import APIRouter, FastAPI, Request
from fastapi.responses import JSONResponse, Response
from httpx import AsyncClient

from messaging_database import MessagingDatabase, open_database
from relay.channels.registry import settings_as
from relay.channels.server import ChannelServer, create_channel_app, run_channel
from relay.channels.telegram import texts
from relay.channels.telegram.bot_api import bot_calls
from relay.channels.telegram.by_hand import plan_text
from relay.channels.telegram.ingest import UpdateIngest
from relay.channels.telegram.polling import LEASE_NAME, Poller
from relay.channels.telegram.settings import TelegramSettings, bot_token, webhook_secret
from relay.channels.telegram.spec import CHANNEL, TELEGRAM, WEBHOOK_PATH
from relay.channels.telegram.webhook import Webhook
from relay.config.errors import SettingsError
from relay.config.loading import load_settings
from relay.core import shutdown
from relay.core.attachments import AttachmentReader, no_attachments
from relay.core.http_client import open_http_client
from relay.core.lease import Lease
from relay.core.messages import User, UserId
from relay.core.metrics import Metrics
from relay.core.parts import PlannedPart
from relay.core.prompt import PromptBuilder, channel_prompt
from relay.core.retry import retry_forever
from relay.core.store import Store
from relay.core.text import timestamp
from relay.knowledge.assistant import Assistant
from relay.knowledge.preview import printed_prompt
from relay.llm.client import open_embed
from relay.media.reader import MediaReader
from relay.web.access import ADMIN, PUBLIC
from relay.web.app import add_routes
from relay.web.errors import ApiError
from relay.web.plain_routes import PlainRoute
from relay.web.token_guard import same_secret
from telegram_service import TelegramService

log = logging.getLogger("relay.telegram.server")

SECRET_HEADER = "X-Telegram-Bot-Api-Secret-Token"  # noqa: S105 (the name of a header)

routes = APIRouter()
webhooks = APIRouter(route_class=PlainRoute)


class TelegramServer(ChannelServer[TelegramSettings, TelegramService]):
    """The running Telegram channel, for its routes; its updates come by long polling or webhook."""

    channel = CHANNEL
    description = "Relays a Telegram bot's messages to the LLM server."
    max_parts_key = "telegram_max_parts"

    def __init__(
        self,
        settings: TelegramSettings,
        database: Store,
        service: TelegramService,
        http: AsyncClient,
        metrics: Metrics,
        build_prompt: PromptBuilder = channel_prompt,
        attachments: AttachmentReader = no_attachments,
    ) -> None:
        super().__init__(settings, database, service, http, metrics, build_prompt, attachments)
        self.ingest = UpdateIngest(
            service.parse_update,
            database,
            service.me.id,
            metrics,
            self.pipeline.notify,
            prepare=service.prepare,
            refine=service.refine,
            stop=self.pipeline.end_stopped_answers,
        )
        self.poller = Poller(
            self.ingest,
            database,
            self._prepare_polling,
            partial(bot_calls, settings),
            lambda: open_http_client(max_connections=2, proxied=settings.proxied),
            Lease(database, TELEGRAM, LEASE_NAME, settings.lease_seconds),
            bot_id=service.me.id,
            poll_seconds=settings.telegram_poll_seconds,
            allowed_updates=service.allowed_updates,
        )
        self.webhook = Webhook(
            service.calls,
            database,
            _webhook_url(settings),
            webhook_secret(settings),
            learn_identity=service.learn_identity,
            allowed_updates=service.allowed_updates,
            former_url=_public_webhook_url(settings),
        )
        self._background: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Start the pipeline, then the updates; registrations that Telegram refuses are repeated in the background."""
        await super().start()
        if self.webhook.url is None:
            await self.poller.start()
        else:
            self._in_background(self.webhook.run())
        self._in_background(retry_forever("registering the menu of commands", self.service.register_commands))

    async def stop(self) -> None:
        for task in self._background:
            task.cancel()
        await asyncio.gather(*self._background, return_exceptions=True)
        await self.poller.stop(self.settings.stop_seconds * shutdown.UPDATES)
        await super().stop()
        await self.service.stop()

    def _in_background(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._background.add(task)
        task.add_done_callback(self._background.discard)

    async def _prepare_polling(self) -> None:
        await self.service.learn_identity()
        await self.webhook.release()

    # -- for the operator ----------------------------------------------------------------------------------------------

    def facts(self) -> dict[str, Any]:
        username = self.service.me.username
        mode = self.settings.telegram_mode
        return {"bot": f"@{username}" if username else None, "mode": mode, "updates": self.updates()}

    def updates(self) -> str:
        """Whether updates arrive, in one word: the state of the long poll or of the webhook."""
        return self.poller.state if self.webhook.url is None else self.webhook.state

    async def own_readiness(self) -> dict[str, Any]:
        """Ready also means that the bot's identity is known. An outage of Telegram is reported only."""
        known = bool(self.service.me.username)
        error = self.poller.last_error if self.webhook.url is None else self.webhook.error
        why = {} if known else {"reason": "Telegram has not named this bot yet", "error": error}
        return {**why, "ready": known, "bot_known": known, "updates": self.updates()}

    async def own_status(self, common: Mapping[str, Any]) -> dict[str, Any]:
        del common
        return {
            **self.facts(),
            "polling": self.polling(),
            "webhook": self.webhook.report(),
            "sent_without": dict(self.service.left_out),
            "flood_waits": {kind: self.service.flood_waits[kind] for kind in ("messages", "cosmetic")},
            "pending_update_count": await self.webhook.pending_updates(),
        }

    def polling(self) -> dict[str, Any]:
        """The state of the long poll; `running` alone does not show whether it succeeds."""
        last = self.poller.last_success_at
        return {
            "running": self.poller.running,
            "state": self.poller.state,
            "polled_by": self.poller.polled_by,
            "last_success_at": timestamp(last),
            "last_success_seconds_ago": None if last is None else round(max(0.0, time.time() - last), 1),
            "last_error": self.poller.last_error,
        }

    def address(self, given: str) -> UserId:
        text = given.strip()
        if not re.fullmatch(r"-?0*[1-9]\d{0,17}", text, re.ASCII):
            raise ApiError(422, "chat_id must be a whole number", "GET /telegram/status lists the chats of the users")
        return UserId(str(int(text)))

    def all_parts(self, text: str) -> list[PlannedPart]:
        return plan_text(self.settings, text)

    def require_reachable(self, user_id: UserId, user: User | None) -> None:
        if user is None:
            hint = "a bot can only write to users who wrote to it first: ask them to send /start"
            raise ApiError(404, f"no user {user_id} is known", hint)
        super().require_reachable(user_id, user)


def create_app(
    settings: TelegramSettings | None = None,
    *,
    open_database: Callable[[TelegramSettings, str], MessagingDatabase] = open_database,
    open_service: Callable[[TelegramSettings, AsyncClient], TelegramService] = TelegramService,
    reread: Callable[[], TelegramSettings] | None = None,
) -> FastAPI:
    """The server as an ASGI app; it is opened when the app starts, not before.

    reread: loads the settings again when a question comes; None: instructions and knowledge folder stay those given.

    Raises SettingsError when the channel cannot work with these settings.
    """
    if settings is None:
        reread = partial(load_settings, settings_as(TelegramSettings))
        settings = reread()
    bot_token(settings)
    _webhook_url(settings)
    assistant = Assistant(settings, TELEGRAM, reread=reread)
    return create_channel_app(TelegramServer, settings, routes, open_database, open_service, assistant, MediaReader)


def _webhook_url(settings: TelegramSettings) -> str | None:
    """The address to which Telegram pushes updates; None in polling mode. Raises SettingsError when it has none."""
    if settings.telegram_mode == "polling":
        return None
    if (url := _public_webhook_url(settings)) is None:
        raise SettingsError(
            "TELEGRAM_MODE=webhook needs PUBLIC_URL, the https:// address under which the internet reaches this "
            "server. Set it, or leave TELEGRAM_MODE at polling, which works everywhere."
        )
    return url


def _public_webhook_url(settings: TelegramSettings) -> str | None:
    base = CHANNEL.public_url(settings)
    return f"{base}{WEBHOOK_PATH}" if base else None


@webhooks.post(
    WEBHOOK_PATH,
    dependencies=[PUBLIC],
    summary="Where Telegram pushes updates.",
    description=f"Only with the right {SECRET_HEADER}. Answers 200 as soon as the update is stored.",
)
async def webhook(request: Request) -> Response:
    server = TelegramServer.of(request)
    if not same_secret(request.headers.get(SECRET_HEADER, ""), webhook_secret(server.settings)):
        raise ApiError(
            403,
            f"the header {SECRET_HEADER} is missing or wrong",
            "only Telegram sends updates here; the secret is TELEGRAM_WEBHOOK_SECRET, or derived from the bot token",
        )
    if not server.service.me.username:
        raise ApiError(503, "the bot does not know its own name yet", "Telegram tries again by itself")
    content = await request.body()
    try:
        update = json.loads(content.decode("utf-8", "replace"))
    except (ValueError, RecursionError):
        # A refusal would make Telegram send the same again, for a day: it is kept where the operator sees it.
        update = {"unreadable": content[:10_000].decode("utf-8", "replace")}
    await server.ingest.store_pushed(update)
    return JSONResponse({"ok": True})


add_routes(routes, webhooks)


@routes.post("/telegram/polling/start", dependencies=[ADMIN], summary="Start polling, without any webhook.")
async def start_polling(request: Request) -> dict[str, Any]:
    server = TelegramServer.of(request)
    if server.webhook.url is not None:
        raise ApiError(
            409,
            "this server receives updates by webhook, and Telegram allows only one of the two",
            "set TELEGRAM_MODE=polling and start the server again",
        )
    server.webhook.claim()
    await server.poller.start()
    return server.polling()


@routes.post("/telegram/polling/stop", dependencies=[ADMIN], summary="Stop polling; Telegram keeps updates for a day.")
async def stop_polling(request: Request) -> dict[str, Any]:
    server = TelegramServer.of(request)
    await server.poller.stop()
    return server.polling()


def main() -> None:
    """Run the server until a signal."""
    kind = settings_as(TelegramSettings)
    if not printed_prompt(kind, TELEGRAM, lambda _: texts.system_prompt("Alice", group=False), open_embed):
        run_channel(CHANNEL, partial(create_app, reread=partial(load_settings, kind)))


if __name__ == "__main__":
    main()
