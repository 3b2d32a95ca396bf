"""A Telegram server on a real socket between a scripted Bot API and a scripted model."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import AsyncMock, patch

import httpx

from relay.channels.telegram import call_budget
from relay.channels.telegram.live_answer import DraftView
from relay.channels.telegram.settings import webhook_secret
from relay.core.rate_limit import RateLimit
from telegram_server import SECRET_HEADER, create_app
from telegram_service import TelegramService
from tests.channels.harness import model_reply, running_app
from tests.channels.scripted_server import PATIENCE, ScriptedServer, Step, listening
from tests.channels.telegram.scripted_bot_api import TOKEN, ScriptedBotApi
from tests.databases import sqlite_in
from tests.settings import Settings

QUICK_SECONDS = 0.05


@dataclass
class TelegramHarness:
    """The client, the provider and the model around one running Telegram server."""

    client: httpx.AsyncClient
    api: ScriptedBotApi
    model: ScriptedServer
    secret: str

    async def push(self, content: bytes | str, **headers: str) -> httpx.Response:
        """Post to the webhook as Telegram does."""
        named = {SECRET_HEADER: self.secret, "Content-Type": "application/json", **headers}
        return await self.client.post("/telegram/webhook", content=content, headers=named)

    async def status(self) -> dict[str, Any]:
        found: dict[str, Any] = (await self.client.get("/telegram/status")).json()
        return found

    async def until(self, path: str, status: int) -> dict[str, Any]:
        """Ask until the answer has this status: what happens in the background gives no event."""
        end = time.monotonic() + PATIENCE
        while (response := await self.client.get(path)).status_code != status:
            assert time.monotonic() < end, response.text
            await asyncio.sleep(0.01)
        found: dict[str, Any] = response.json()
        return found

    async def texts(self, count: int) -> list[str]:
        """What the bot has sent, as soon as it is so much."""
        return [asked["text"] for asked in await self.api.until("sendMessage", count)]


@contextmanager
def without_menus() -> Iterator[None]:
    """Servers that start within put no commands into menus: thirty calls each, in ten languages."""
    with patch.object(TelegramService, "register_commands", AsyncMock()):
        yield


@contextmanager
def quick_pace() -> Iterator[None]:
    """Twenty messages a second in a chat and as many drafts, instead of one: the pace has tests with a fake clock."""
    with (
        patch.object(call_budget, "PRIVATE", (RateLimit(1, QUICK_SECONDS),)),
        patch.object(DraftView, "interval", lambda _view, _calls: QUICK_SECONDS),
    ):
        yield


@asynccontextmanager
async def running_telegram_server(
    folder: Path, script: Mapping[str, Sequence[Step]] | None = None, **changes: Any
) -> AsyncIterator[TelegramHarness]:
    """Run a server with these settings, a token and scripted peers on loopback until the context ends.

    `script` is what the Bot API answers to the first calls of a method.
    """
    with without_menus():
        async with running_with_menus(folder, script, **changes) as telegram:
            yield telegram


@asynccontextmanager
async def running_with_menus(
    folder: Path, script: Mapping[str, Sequence[Step]] | None = None, **changes: Any
) -> AsyncIterator[TelegramHarness]:
    """The same, with the menus of commands, for tests about them."""
    model_server = ScriptedServer(model_reply("Hello from the **model**."))
    async with listening(ScriptedBotApi()) as api, listening(model_server) as model:
        for method, replies in (script or {}).items():
            api.scripts[method].extend(replies)
        values = {
            "telegram_bot_token": TOKEN,
            "telegram_api_base_url": api.base_url,
            "llm_server_url": model.base_url,
            "database_url": sqlite_in(folder),
            **changes,
        }
        settings = Settings(**values)
        with quick_pace():
            async with running_app(create_app(settings)) as client:
                yield TelegramHarness(client, api, model, webhook_secret(settings))
