"""Telegram's webhook: its methods, and pushing updates with retries until they are accepted."""

from __future__ import annotations

import asyncio
import ipaddress
import json
import logging
import re
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import httpx

from relay.core.http_client import never_left, words_of
from relay.core.retry import Backoff
from relay.simulator.telegram_params import Params, bad_request
from relay.simulator.telegram_updates import Update, UpdateQueue
from relay.simulator.world import World

log = logging.getLogger("simulator.telegram")

PUSH_SECONDS = 30.0
MAX_RETRY_SECONDS = 60.0
PORTS = (443, 80, 88, 8443)
_CONNECTIONS = 40


@dataclass(slots=True)
class PushTarget:
    """The configured webhook and its delivery state."""

    url: str
    secret: str
    connections: int
    error_at: float | None = None
    error: str = ""
    failures: dict[int, int] = field(default_factory=dict)
    due: dict[int, float] = field(default_factory=dict)


class WebhookPusher:
    """Pushes queued updates: in order within a chat, concurrently across chats."""

    def __init__(self, world: World, updates: UpdateQueue, client: httpx.AsyncClient) -> None:
        self._world = world
        self._updates = updates
        self._client = client
        self._target: PushTarget | None = None
        self._chats_in_flight: set[int] = set()

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
        self._drop_if_wanted(params)
        self._target = PushTarget(url, secret, connections)
        self._updates.webhook_is_set = True
        self._updates.arrived.set()
        return True

    def delete_webhook(self, params: Params) -> Any:
        self._target = None
        self._updates.webhook_is_set = False
        self._drop_if_wanted(params)
        return True

    def _drop_if_wanted(self, params: Params) -> None:
        if params.flag("drop_pending_updates"):
            self._updates.clear()

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

    async def run(self) -> None:
        """Push until the World stops."""
        while not self._world.stopping.is_set():
            wait = self._start_pushes()
            try:
                async with asyncio.timeout(wait):
                    await self._updates.arrived.wait()
                    self._updates.arrived.clear()
            except TimeoutError:
                continue

    def _start_pushes(self) -> float | None:
        """Start all pushes that are due; returns seconds until the next one, None when there is none."""
        target, now = self._target, self._world.clock()
        if target is None:
            return None
        self._updates.drop_expired()
        later: list[float] = []
        seen = set(self._chats_in_flight)
        for update in self._updates.waiting:
            due = target.due.get(update.id, 0.0)
            if update.chat_id in seen or len(self._chats_in_flight) >= target.connections:
                continue
            seen.add(update.chat_id)
            if due > now:
                later.append(due - now)
                continue
            self._chats_in_flight.add(update.chat_id)
            self._world.spawn(self._push(target, update))
        return min(later) if later else None

    async def _push(self, target: PushTarget, update: Update) -> None:
        problem = "Connection closed"
        try:
            problem = await self._post(target, update)
        finally:
            self._chats_in_flight.discard(update.chat_id)
            self._updates.arrived.set()
        if not problem:
            target.failures.pop(update.id, None)
            self._updates.confirm(update)
            return
        failures = target.failures[update.id] = target.failures.get(update.id, 0) + 1
        target.error_at, target.error = self._world.clock(), problem
        backoff = Backoff(self._world.options.telegram_retry_seconds, MAX_RETRY_SECONDS)
        target.due[update.id] = self._world.clock() + backoff.delay(failures)

    async def _post(self, target: PushTarget, update: Update) -> str:
        """Push one update; returns "" on success, else the last_error_message."""
        secret = {"X-Telegram-Bot-Api-Secret-Token": target.secret} if target.secret else {}
        headers = {"Content-Type": "application/json", **secret}
        try:
            answer = await self._client.post(
                target.url, content=json.dumps(update.to_json()), headers=headers, timeout=PUSH_SECONDS
            )
        except (httpx.HTTPError, aiohttp.ClientError, OSError) as error:
            problem = "Connection refused" if never_left(error) else words_of(error)
        else:
            problem = "" if answer.is_success else f"Wrong response from the webhook: {answer.status_code}"
            self._world.stats.pushes[str(answer.status_code)] += 1
            return problem
        self._world.stats.pushes["failed"] += 1
        return problem


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
