"""Runs one server as a process: from its settings to uvicorn, until a signal or until its launcher is gone."""

from __future__ import annotations

from relay.core.bootstrap import COLLECTOR_AT_REST

import contextlib
import gc
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable
from types import FrameType

import uvicorn
from fastapi import FastAPI

from relay.config.errors import SettingsError
from relay.config.logs import setup_logging
from relay.config.settings import Settings, load_or_exit
from relay.core.shutdown import REQUESTS, end_at_the_latest

log = logging.getLogger("relay.web.app")

NOT_STARTED = 3
"""Exit status of a server that could not listen, or whose rooms could not be opened."""


def run_server(
    name: str, create_app: Callable[[Settings], FastAPI], port_of: Callable[[Settings], int], host: str | None = None
) -> None:
    """Read the settings, set up the log, and serve; a setting that is missing or wrong ends it with status 2.

    host: where to listen, else `bind_host`.
    """
    settings = load_or_exit()
    setup_logging(settings, name)
    try:
        app = create_app(settings)
    except SettingsError as error:
        print(error, file=sys.stderr)  # noqa: T201 (a sentence for the operator, not a line of the log)
        raise SystemExit(2) from None
    serve(app, settings, port_of(settings), host)


def serve(app: FastAPI, settings: Settings, port: int, host: str | None = None) -> None:
    """Run one server until a signal, or until the launcher that started it is gone."""
    _watch_lifeline(settings.stop_seconds)
    # What was imported stays for good: the garbage collector need not walk through it again and again. It halves p99.
    gc.collect()
    gc.freeze()
    gc.set_threshold(*COLLECTOR_AT_REST)
    config = uvicorn.Config(
        app,
        host=host or settings.bind_host,
        port=port,
        log_config=None,
        access_log=False,
        ws="none",  # no route is one, and the package costs a megabyte
        proxy_headers=False,  # or anybody could claim to be loopback with X-Forwarded-For
        server_header=False,
        timeout_keep_alive=75,  # longer than clients keep theirs, or a request meets a connection that is just closing
        timeout_graceful_shutdown=max(1, round(settings.stop_seconds * REQUESTS)),
    )
    server = _Server(config, settings.stop_seconds)
    with contextlib.suppress(KeyboardInterrupt):  # uvicorn passes Ctrl-C on when everything is closed
        server.run()
    if not server.started:
        sys.exit(NOT_STARTED)


class _Server(uvicorn.Server):
    """uvicorn, with an end to its patience: it gives requests a time limit, but not the app's own stop."""

    def __init__(self, config: uvicorn.Config, stop_seconds: float) -> None:
        super().__init__(config)
        self._stop_seconds = stop_seconds

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        if not self.should_exit:
            end_at_the_latest(self._stop_seconds)
        super().handle_exit(sig, frame)


def _watch_lifeline(stop_seconds: float) -> None:
    """Under the launcher stdin is a pipe that ends with it, kill -9 included: then this server stops as well."""
    if os.environ.get("RELAY_SUPERVISED") != "1":
        return

    def watch() -> None:
        while sys.stdin.buffer.raw.read(64):  # type: ignore[union-attr]  # (stdin is a file here)
            pass
        log.warning("the launcher is gone, stopping")
        signal.raise_signal(signal.SIGTERM)  # os.kill would end the process on Windows, unheard
        end_at_the_latest(stop_seconds)  # in case that nobody listens to signals any more

    threading.Thread(target=watch, name="lifeline", daemon=True).start()
