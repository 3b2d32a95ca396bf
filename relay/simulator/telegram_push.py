"""Telegram's webhook: its methods, and pushing updates with retries until they are accepted."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import json
import re
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import httpx

from relay.core.retry import Backoff
from relay.simulator.telegram_params import Params, bad_request
from relay.simulator.telegram_updates import Update, UpdateQueue
from relay.simulator.webhooks import post_webhook
from relay.simulator.world import World

PUSH_SECONDS = 30.0
MAX_RETRY_SECONDS = 60.0
PORTS = (443, 80, 88, 8443)
_CONNECTIONS = 40


@dataclass(slots=True)
class PushTarget:
    """The configured webhook and its delivery state. replaced: set when it is no longer the target."""

    url: str
    secret: str
    connections: int
    slots: asyncio.Semaphore
    error_at: float | None = None
    error: str = ""
    replaced: asyncio.Event = field(default_factory=asyncio.Event)


class WebhookPusher:
    """Pushes queued updates: in order within a chat, concurrently across chats, one task per chat."""

    def __init__(self, world: World, updates: UpdateQueue, client: httpx.AsyncClient) -> None:
        self._world = world
        self._updates = updates
        self._client = client
        self._target: PushTarget | None = None
        self._tasks: dict[int, asyncio.Task[Any]] = {}
        updates.on_arrival = self._start

    @property
    def url(self) -> str:
        return self._target.url if self._target else ""

    # -- methods of the Bot API ---------------------------------------------------------------------------------------

    def set_webhook(self, params: Params) -> Any:
        url, secret = params.text("url").strip(), params.text("secret_token")
        if not url:
            return self.delete_webhook(params)
        _check_url(url)
        if secret and not re.fullmatch(r"[A-Za-z0-9_-]{1,256}", secret):
            raise bad_request("secret token contains unallowed characters")
        connections = params.integer("max_connections", _CONNECTIONS)
        if not 1 <= connections <= 100:
            raise bad_request("max_connections must be between 1 and 100")
        self._updates.allow(params)
        self._replace(params, PushTarget(url, secret, connections, asyncio.Semaphore(connections)))
        for chat_id in {update.chat_id for update in self._updates.waiting}:
            self._start(chat_id)
        return True

    def delete_webhook(self, params: Params) -> Any:
        self._replace(params, None)
        return True

    def _replace(self, params: Params, target: PushTarget | None) -> None:
        if params.flag("drop_pending_updates"):
            self._updates.clear()
        if self._target is not None:
            self._target.replaced.set()
        self._target = target
        self._updates.set_webhook(target is not None)

    def info(self, _: Params) -> Any:
        target = self._target
        info: dict[str, Any] = {
            "url": self.url,
            "has_custom_certificate": False,
            "pending_update_count": len(self._updates.waiting),
        }
        if target is not None:
            info |= {"max_connections": target.connections, "ip_address": "127.0.0.1"}
            if target.error_at is not None:
                info |= {"last_error_date": int(target.error_at), "last_error_message": target.error}
        return {**info, **({"allowed_updates": self._updates.allowed} if self._updates.allowed else {})}

    # -- pushing ------------------------------------------------------------------------------------------------------

    def _start(self, chat_id: int) -> None:
        """Start the task of a chat, unless it runs or there is no webhook."""
        task = self._tasks.get(chat_id)
        if self._target is not None and (task is None or task.done() or task.cancelling()):
            self._tasks[chat_id] = self._world.spawn(self._push_all(chat_id))

    async def _push_all(self, chat_id: int) -> None:
        """Push the updates of one chat until none waits; a failed one is repeated after a growing pause."""
        failures = 0
        while (target := self._target) and (update := self._updates.first(chat_id)):
            async with target.slots:
                problem = await self._post(target, update)
            if not problem:
                failures = 0
                self._updates.confirm(update)
                continue
            failures += 1
            target.error_at, target.error = self._world.clock(), problem
            backoff = Backoff(self._world.options.telegram_retry_seconds, MAX_RETRY_SECONDS)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(backoff.delay(failures)):
                    await target.replaced.wait()
                    failures = 0

    async def _post(self, target: PushTarget, update: Update) -> str:
        """Push one update; returns "" on success, else the last_error_message."""
        headers = {"Content-Type": "application/json"}
        if target.secret:
            headers["X-Telegram-Bot-Api-Secret-Token"] = target.secret
        content = json.dumps(update.to_json())
        outcome = await post_webhook(self._client, target.url, content=content, headers=headers, timeout=PUSH_SECONDS)
        self._world.counters["pushes"][outcome.label] += 1
        if outcome.status is not None:
            accepted = 200 <= outcome.status < 300
            return "" if accepted else f"Wrong response from the webhook: {outcome.status}"
        return "Connection refused" if outcome.failure == "ct" else outcome.error or ""


def _check_url(url: str) -> None:
    """Require HTTPS on one of Telegram's ports; HTTP is accepted for loopback addresses."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        raise bad_request("bad webhook: the URL cannot be parsed") from None
    if _is_loopback(host) and parts.scheme in {"http", "https"}:
        return
    if parts.scheme != "https" or not host:
        raise bad_request("bad webhook: an HTTPS URL must be provided for webhook")
    if port is not None and port not in PORTS:
        raise bad_request("bad webhook: webhook can be set up only on ports 80, 88, 443 or 8443")


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
