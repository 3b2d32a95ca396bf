"""A channel's server as it is, but for its database and its service: they end the process where a test says so.

A test lays a trap as a file that names a verb; the next process that comes by takes the file away and dies, or stops.
"""

from __future__ import annotations

import asyncio
import inspect
import json
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict, dataclass
from functools import wraps
from pathlib import Path
from typing import Any, TypeVar, assert_never, cast

import sms_server
import telegram_server
from messaging_database import MessagingDatabase, open_database
from relay.config.logs import setup_logging
from relay.config.settings import load_settings
from relay.web.serve import serve
from sms_service import SmsService
from telegram_service import TelegramService
from tests.crash.crash_points import End, Way
from tests.settings import Settings

HOLD_SECONDS = 0.4
"""How long a step is held back after SIGTERM: the server looks for signals every 0.1 s, and is stopping by then."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Trap:
    """Where a process is to end: before or after the nth call of a verb from now on."""

    verb: str
    when: str
    nth: int
    end: End

    def lay(self, file: Path) -> None:
        """Whole at once: a server may be looking."""
        draft = file.with_suffix(".draft")
        draft.write_text(json.dumps(asdict(self)))
        draft.rename(file)


class TrapTrigger:
    """Looks for the trap at every step, and springs it once."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._calls = 0

    async def pass_by(self, verb: str, when: str) -> None:
        """Return, or do not: kill -9 comes at once, SIGTERM holds this step back, for a moment or for good."""
        try:
            laid = json.loads(self._file.read_text())
        except FileNotFoundError:
            return
        trap = Trap(**{**laid, "end": End(laid["end"])})
        if (trap.verb, trap.when) != (verb, when):
            return
        self._calls += 1
        if self._calls == trap.nth:
            self._file.unlink()
            await _end(trap.end)


async def _end(end: End) -> None:
    match end:
        case End.KILL:
            os.kill(os.getpid(), signal.SIGKILL)
        case End.TERM:
            signal.raise_signal(signal.SIGTERM)
            await asyncio.sleep(HOLD_SECONDS)
        case End.HANG:
            signal.raise_signal(signal.SIGTERM)
            await asyncio.Event().wait()
        case _:
            assert_never(end)


class _TrappedService:
    """A service whose asynchronous verbs pass by the trap before and after; everything else is the service's own."""

    def __init__(self, service: object, trigger: TrapTrigger) -> None:
        self._service = service
        self._trapper = trigger

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._service, name)
        return self._passing(name, found) if inspect.iscoroutinefunction(found) else found

    def _passing(self, verb: str, work: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        @wraps(work)
        async def passing(*args: Any, **options: Any) -> Any:
            await self._trapper.pass_by(verb, "before")
            result = await work(*args, **options)
            if not (verb.startswith("claim_") and result is None):  # an empty line is no point
                await self._trapper.pass_by(verb, "after")
            return result

        return passing


def trapped(service: T, trigger: TrapTrigger) -> T:
    return cast("T", _TrappedService(service, trigger))


def run(way: Way, environment: Mapping[str, str], trap: Path, log: Path) -> None:
    """The life of a process: what the server's own `main` does, with trapped rooms. Its folder is the log's."""
    with log.open("ab") as written:
        os.dup2(written.fileno(), sys.stdout.fileno())
        os.dup2(written.fileno(), sys.stderr.fileno())
    settings = load_settings(Settings, log.parent, environment)
    setup_logging(settings, "sms_server" if way is Way.SMS else "telegram_server")
    trigger = TrapTrigger(trap)

    def database(*opened: Any) -> MessagingDatabase:
        return trapped(open_database(*opened), trigger)

    if way is Way.SMS:
        app = sms_server.create_app(
            settings,
            open_database=database,
            open_service=lambda *opened: trapped(SmsService(*opened), trigger),
        )
        serve(app, settings, settings.sms_server_port)
    else:
        app = telegram_server.create_app(
            settings,
            open_database=database,
            open_service=lambda *opened: trapped(TelegramService(*opened), trigger),
        )
        serve(app, settings, settings.telegram_server_port)
