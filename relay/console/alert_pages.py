"""Watches for what an operator is called for, and the page of alerts with a test."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import httpx
from fastapi import APIRouter, FastAPI, Request
from fastapi.responses import Response

from relay.alerts.conditions import (
    AlertCondition,
    disk_conditions,
    finding_conditions,
    model_conditions,
    read_conditions,
    server_conditions,
)
from relay.alerts.sending import send, send_each
from relay.alerts.watcher import ROUND_SECONDS, AlertWatcher
from relay.channels.registry import CHANNELS
from relay.config.checks import Finding, Severity
from relay.config.errors import SettingsError
from relay.config.settings import Settings
from relay.console.pages import Pages
from relay.console.servers import MODEL_SERVER, known_servers, probe_servers, ready_body
from relay.console.servers import Condition as ServerCondition
from relay.console.setup import TEST_ALERT
from relay.core.errors import StorageError
from relay.core.periodic import Periodic
from relay.core.store import Store
from relay.core.text import timestamp
from relay.web.access import ADMIN

T = TypeVar("T")
CHECK_SECONDS = 600.0
"""How often the providers are asked whether account, webhook and public address are right."""

TITLES = {channel.platform: channel.title for channel in CHANNELS}
_BROKEN = frozenset((ServerCondition.SILENT, ServerCondition.DOWN, ServerCondition.FOREIGN, ServerCondition.NOT_READY))

routes = APIRouter()


class Observer:
    """Gathers the conditions of one round; the providers are asked every CHECK_SECONDS."""

    def __init__(
        self,
        settings: Settings,
        database: Store,
        http: httpx.AsyncClient,
        probe_seconds: float,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._settings = settings
        self._database = database
        self._http = http
        self._probe_seconds = probe_seconds
        self._clock = clock
        self._checked_at = clock()  # not at once: servers that were started together are not up yet
        self._findings: list[Finding] = []

    async def __call__(self) -> list[AlertCondition]:
        if self._clock() - self._checked_at >= CHECK_SECONDS:
            self._checked_at = self._clock()
            self._findings = await check_channels(self._settings)
        servers = known_servers(self._settings)
        states = await probe_servers(self._http, servers, self._probe_seconds)
        broken = [(one.name, str(one.condition)) for one in states if one.condition in _BROKEN]
        model = next(server for server in servers if server.name == MODEL_SERVER)
        return [
            *await self._of_database(),
            *disk_conditions(Path.cwd()),
            *server_conditions(pair for pair in broken if pair[0] != MODEL_SERVER),
            *model_conditions(await ready_body(self._http, model, self._probe_seconds)),
            *finding_conditions(self._findings),
        ]

    async def _of_database(self) -> list[AlertCondition]:
        try:
            return await self._database.query(lambda c: read_conditions(c, TITLES, self._settings, self._clock()))
        except StorageError as error:
            remedy = "Webhooks are refused and polling waits until it is back, so nothing is lost."
            return [AlertCondition("database", f"The database cannot be used: {error}", remedy)]


async def check_channels(settings: Settings) -> list[Finding]:
    """What the providers of the connected channels find wrong; an unforeseen failure is a finding as well."""
    if settings.simulated:
        return []
    used = [channel for channel in CHANNELS if channel.check is not None and not channel.missing(settings)]
    found = await asyncio.gather(*(_findings(channel.check, settings) for channel in used if channel.check))
    return [replace(one, channel=channel.title) for channel, ones in zip(used, found, strict=True) for one in ones]


async def _findings(check: Callable[[Any], Awaitable[list[Finding]]], settings: Settings) -> list[Finding]:
    try:
        return await check(settings)
    except SettingsError as error:
        return [Finding(Severity.PROBLEM, "settings", str(error))]


@asynccontextmanager
async def watching(
    app: FastAPI, settings: Settings, database: Store, http: httpx.AsyncClient, probe_seconds: float
) -> AsyncIterator[None]:
    """Watch while the console runs; `app.state.alerts` is the watcher. Without alert_urls nothing is watched."""

    async def call(title: str, text: str) -> bool:
        return await send(settings.alert_urls, title, text)

    watcher = AlertWatcher(database, Observer(settings, database, http, probe_seconds), call)
    app.state.alerts = watcher
    rounds = Periodic("alerts", ROUND_SECONDS, watcher.watch_once, first_after=0.0)
    if settings.alert_urls:
        rounds.start()
    try:
        yield
    finally:
        await rounds.stop()


def _show(request: Request, tested: list[tuple[str, bool]] | None = None) -> Response:
    settings: Settings = request.app.state.settings
    pages: Pages = request.app.state.console.pages
    watcher: AlertWatcher = request.app.state.alerts
    kinds = [url.get_secret_value().partition("://")[0] for url in settings.alert_urls]
    rows = [{**entry, "since": timestamp(entry["since"])} for entry in watcher.open.values()]
    return pages.show(
        "alerts.html",
        open=rows,
        kinds=kinds,
        tested=tested,
        minutes=settings.alert_unanswered_minutes,
        time=timestamp(time.time()),
    )


@routes.get("/alerts", dependencies=[ADMIN], summary="What operators were called for and is not over.")
async def alerts_page(request: Request) -> Response:
    return _show(request)


@routes.post("/alerts", dependencies=[ADMIN], summary="Send a test alert to every address.")
async def test_alert(request: Request) -> Response:
    settings: Settings = request.app.state.settings
    return _show(request, await send_each(settings.alert_urls, "Relay: test", TEST_ALERT))
