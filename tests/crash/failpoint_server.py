"""A channel's server with failpoints: its database and its service end the process where a test demands it.

A test sets a failpoint by a file that names a verb; the first process that reaches it removes the file and ends.
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
from relay.config.loading import load_settings
from relay.config.logs import setup_logging
from relay.web.serve import serve
from sms_service import SmsService
from telegram_service import TelegramService
from tests.crash.crash_points import Ingress, Termination
from tests.settings import Settings

HOLD_SECONDS = 0.4
"""Delay of a step after SIGTERM: the server checks for signals every 0.1 s, and is stopping by then."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Failpoint:
    """Ends a process before or after the nth call of a verb from now on."""

    verb: str
    when: str
    nth: int
    end: Termination

    def save(self, file: Path) -> None:
        """Write the file atomically: a server may read it now."""
        draft = file.with_suffix(".draft")
        draft.write_text(json.dumps(asdict(self)))
        draft.rename(file)


class FailpointTrigger:
    """Checks for the failpoint at every step, and triggers it once."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._calls = 0

    async def reach(self, verb: str, when: str) -> None:
        """Return unless the failpoint is here: SIGKILL ends the process; after SIGTERM the step is delayed or hangs."""
        try:
            stored = json.loads(self._file.read_text())
        except FileNotFoundError:
            return
        failpoint = Failpoint(**{**stored, "end": Termination(stored["end"])})
        if (failpoint.verb, failpoint.when) != (verb, when):
            return
        self._calls += 1
        if self._calls == failpoint.nth:
            self._file.unlink()
            await _end(failpoint.end)


async def _end(end: Termination) -> None:
    match end:
        case Termination.KILL:
            os.kill(os.getpid(), signal.SIGKILL)
        case Termination.TERM:
            signal.raise_signal(signal.SIGTERM)
            await asyncio.sleep(HOLD_SECONDS)
        case Termination.HANG:
            signal.raise_signal(signal.SIGTERM)
            await asyncio.Event().wait()
        case _:
            assert_never(end)


class _ServiceWithFailpoints:
    """A service whose asynchronous verbs check for the failpoint before and after; all else is the service's own."""

    def __init__(self, service: object, trigger: FailpointTrigger) -> None:
        self._service = service
        self._trigger = trigger

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._service, name)
        return self._wrapped(name, found) if inspect.iscoroutinefunction(found) else found

    def _wrapped(self, verb: str, work: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        @wraps(work)
        async def wrapped(*args: Any, **options: Any) -> Any:
            await self._trigger.reach(verb, "before")
            result = await work(*args, **options)
            if not (verb.startswith("claim_") and result is None):  # an empty queue is no crash point
                await self._trigger.reach(verb, "after")
            return result

        return wrapped


def with_failpoints(service: T, trigger: FailpointTrigger) -> T:
    return cast("T", _ServiceWithFailpoints(service, trigger))


def run(ingress: Ingress, environment: Mapping[str, str], failpoint: Path, log: Path) -> None:
    """The main function of a process: as the server's own, with failpoints. Its folder is that of the log."""
    with log.open("ab") as written:
        os.dup2(written.fileno(), sys.stdout.fileno())
        os.dup2(written.fileno(), sys.stderr.fileno())
    settings = load_settings(Settings, log.parent, environment)
    setup_logging(settings, "sms_server" if ingress is Ingress.SMS else "telegram_server")
    trigger = FailpointTrigger(failpoint)

    def database(*opened: Any) -> MessagingDatabase:
        return with_failpoints(open_database(*opened), trigger)

    if ingress is Ingress.SMS:
        app = sms_server.create_app(
            settings,
            open_database=database,
            open_service=lambda *opened: with_failpoints(SmsService(*opened), trigger),
        )
        serve(app, settings, settings.sms_server_port)
    else:
        app = telegram_server.create_app(
            settings,
            open_database=database,
            open_service=lambda *opened: with_failpoints(TelegramService(*opened), trigger),
        )
        serve(app, settings, settings.telegram_server_port)
