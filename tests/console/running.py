"""Runs an app on a real socket inside a test, and makes the clients that browsers and scripts are."""

from __future__ import annotations

import atexit
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import httpx

from admin_server import create_app
from messaging_database import MessagingDatabase, open_database
from tests.databases import sqlite_in
from tests.ports import Ports
from tests.serving import serving
from tests.settings import Settings

ROOT = Path(__file__).resolve().parents[2]
BROWSER = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}


@asynccontextmanager
async def listening(app: Any) -> AsyncIterator[str]:
    """The address of the app while it runs."""
    async with serving(app, proxy_headers=False, timeout_graceful_shutdown=1) as url:
        yield url


@cache
def silent_ports() -> dict[str, int]:
    """The settings of a product of which no server runs, as long as this process does."""
    ports = Ports()
    atexit.register(ports.give_back)
    return {f"{server}_port": ports.take() for server in ("llm_server", "sms_server", "telegram_server", "simulator")}


def settings_for(folder: Path, **changes: Any) -> Settings:
    """Settings whose database is in this folder, and whose servers listen nowhere."""
    return Settings(**{"database_url": f"sqlite:///{folder / 'messaging.db'}", **silent_ports(), **changes})


Story = Callable[[MessagingDatabase], Awaitable[None]]

_database_files: dict[Story, bytes] = {}


async def nothing(_: MessagingDatabase) -> None:
    """The story of a database in which nothing happened yet."""


async def settings_after(story: Story, folder: Path, **changes: Any) -> Settings:
    """Settings for a database in which a story happened; told once and then copied."""
    settings = settings_for(folder, **changes)
    file = folder / "messaging.db"
    if story not in _database_files:
        sqlite_in(folder, file.name)
        async with opened(settings) as database:
            await story(database)
        _database_files[story] = file.read_bytes()
    file.write_bytes(_database_files[story])
    return settings


@asynccontextmanager
async def browsing(
    settings: Settings, probe_seconds: float = 30.0, /, **headers: str
) -> AsyncIterator[httpx.AsyncClient]:
    """A browser at the console of these settings, which has the patience that a busy machine asks for."""
    async with (
        listening(create_app(settings, probe_seconds=probe_seconds)) as url,
        httpx.AsyncClient(
            base_url=url,
            headers={**BROWSER, **headers},
            timeout=60,
            trust_env=False,
            verify=False,  # noqa: S501 (no TLS here: loading certificates would take longer than most of the tests)
        ) as client,
    ):
        yield client


@asynccontextmanager
async def opened(settings: Settings) -> AsyncIterator[MessagingDatabase]:
    """The database, as the SMS server opens it."""
    database = open_database(settings, "sms_server")
    await database.start()
    try:
        yield database
    finally:
        await database.stop()


@contextmanager
def console_process(folder: Path, environ: Mapping[str, str], **changes: str) -> Iterator[subprocess.Popen[bytes]]:
    """The console as a process of its own, with database and log in this folder; killed at the end if it still runs."""
    settings = {**environ, "DATABASE_URL": settings_for(folder).database_url, **changes}
    command = [sys.executable, "admin_server.py"]
    with (
        (folder / "console.log").open("wb") as log,
        subprocess.Popen(command, cwd=ROOT, env=settings, stderr=log) as process,
    ):
        try:
            yield process
        finally:
            process.kill()
