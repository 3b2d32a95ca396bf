"""Runs one server process: loads the settings, starts uvicorn, and stops at a signal or when the launcher exits."""

from __future__ import annotations

import contextlib
import gc
import logging
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable
from functools import partial
from types import FrameType
from typing import cast

import uvicorn
from fastapi import FastAPI

from relay.config.errors import SettingsError
from relay.config.loading import load_or_exit
from relay.config.logs import setup_logging
from relay.config.settings import S, Settings
from relay.core.shutdown import REQUESTS, end_at_the_latest
from relay.web.protocol import MAX_UNFINISHED, LimitedProtocol, UnfinishedRequests

try:
    import resource
except ImportError:  # on Windows, which has no such limit
    resource = None  # type: ignore[assignment]

log = logging.getLogger("relay.web.app")

NOT_STARTED = 3
"""Exit status of a server that could not listen or whose startup failed."""
_OPEN_FILES = 65_536
"""Shells and systemd give 1024 by default, for programs that use select(); enough for few connections only."""


def run_server(
    name: str,
    kind: type[S],
    create_app: Callable[[S], FastAPI],
    port_of: Callable[[S], int],
    host_of: Callable[[S], str] = lambda settings: settings.bind_host,
) -> None:
    """Load the settings, set up logging and serve. A missing or invalid setting ends the process with status 2.

    kind: the class of the settings. host_of: the address to listen on.
    """
    settings = load_or_exit(kind)
    setup_logging(settings, name)
    try:
        app = create_app(settings)
    except SettingsError as error:
        print(error, file=sys.stderr)  # noqa: T201 (a sentence for the operator, not a line of the log)
        raise SystemExit(2) from None
    serve(app, settings, port_of(settings), host_of(settings))


def serve(app: FastAPI, settings: Settings, port: int, host: str | None = None) -> None:
    """Run one server until a signal, or until the launcher that started it exits.

    The signal handler calls `app.state.on_stop`, where the app has set it: uvicorn ends the lifespan only after all
    requests, and a long poll or an event stream would not end by itself.
    """
    _watch_lifeline(settings.stop_seconds)
    config = uvicorn.Config(
        app,
        http=cast("type[LimitedProtocol]", partial(LimitedProtocol, unfinished=UnfinishedRequests(_max_unfinished()))),
        host=host or settings.bind_host,
        port=port,
        log_config=None,
        access_log=False,
        ws="none",  # no route is one, and the package costs a megabyte
        proxy_headers=False,  # or X-Forwarded-For could pretend to be loopback
        server_header=False,
        timeout_keep_alive=75,  # longer than clients', or a request could meet a closing connection
        timeout_graceful_shutdown=max(1, round(settings.stop_seconds * REQUESTS)),
    )
    server = _StoppingServer(config, app, settings.stop_seconds)
    with contextlib.suppress(KeyboardInterrupt):  # uvicorn passes Ctrl-C on when everything is closed
        server.run()
    if not server.started:
        sys.exit(NOT_STARTED)


def _max_unfinished() -> int:
    """Raise the limit of open files, if the system allows it; return how many unfinished requests may use."""
    if resource is None:
        return MAX_UNFINISHED
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    files = max(soft, _OPEN_FILES if hard == resource.RLIM_INFINITY else min(hard, _OPEN_FILES))
    resource.setrlimit(resource.RLIMIT_NOFILE, (files, hard))
    return min(MAX_UNFINISHED, files // 2)


class _StoppingServer(uvicorn.Server):
    """uvicorn with a deadline for the whole stop; its own graceful timeout covers requests, not the app's shutdown."""

    def __init__(self, config: uvicorn.Config, app: FastAPI, stop_seconds: float) -> None:
        super().__init__(config)
        self._app = app
        self._stop_seconds = stop_seconds

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, and take what is loaded out of garbage collection: it stays, and each full collection reads it."""
        await super().startup(sockets)
        gc.collect()
        gc.freeze()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        if not self.should_exit:
            end_at_the_latest(self._stop_seconds)
            getattr(self._app.state, "on_stop", lambda: None)()
        super().handle_exit(sig, frame)


def _watch_lifeline(stop_seconds: float) -> None:
    """Stop when the launcher exits, even by kill -9: under it stdin is a pipe that then reaches its end."""
    if os.environ.get("RELAY_SUPERVISED") != "1":
        return

    def watch() -> None:
        while sys.stdin.buffer.raw.read(64):  # type: ignore[union-attr]  # (stdin is a file here)
            pass
        log.warning("the launcher is gone, stopping")
        signal.raise_signal(signal.SIGTERM)  # os.kill would end the process on Windows without a handler
        end_at_the_latest(stop_seconds)  # in case signals are no longer handled

    threading.Thread(target=watch, name="lifeline", daemon=True).start()
