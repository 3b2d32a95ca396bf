"""The simulator, port 8043: plays Twilio, Telegram and the phones of people, in a browser page and for tests.

Wires the services in `relay/simulator/` to routes and a port. Listens on 127.0.0.1 only.
"""

from __future__ import annotations

import relay.core.bootstrap  # isort: skip  # noqa: F401 (prints what to install when something is missing)

import asyncio
import contextlib
import functools
import random
import time
from collections.abc import AsyncIterator
from typing import Any

from fastapi import FastAPI

from relay.channels.registry import AllSettings
from relay.config.loading import load_settings
from relay.config.settings import Settings
from relay.core.http_client import open_http_client
from relay.simulator.control_api import control_routes
from relay.simulator.page_routes import page_routes
from relay.simulator.provider_api import ConnectionCutMiddleware
from relay.simulator.sent_files import MAX_FILE_BYTES
from relay.simulator.services import Simulator
from relay.simulator.telegram_api import telegram_routes
from relay.simulator.twilio_api import TwilioApi
from relay.web.app import add_common_routes, add_routes, build_app
from relay.web.errors import BodyLimit
from relay.web.serve import run_server

LOOPBACK = "127.0.0.1"
WEBHOOKS_AT_ONCE = 400
DESCRIPTION = "Plays Twilio's and Telegram's APIs and the phones of the people who write. Nothing here is real."


def create_app(settings: Settings | None = None) -> FastAPI:
    """The app; opens nothing until it is started. Real credentials in `settings` are left out."""
    # Its page cannot sign in: it has no database of logins. Without a token its routes are for this machine alone.
    local = {"bind_host": LOOPBACK, "admin_token": None}
    settings = (settings or load_settings(AllSettings)).for_simulator().model_copy(update=local)
    client = open_http_client(max_connections=WEBHOOKS_AT_ONCE)
    simulator = Simulator(settings, client, time.time, random.Random())  # noqa: S311 (chances of faults, no secrets)

    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        loop = asyncio.get_running_loop()
        app.state.on_stop = functools.partial(loop.call_soon_threadsafe, simulator.stop_waiting)
        yield
        async with asyncio.timeout(settings.stop_seconds / 2):
            await simulator.close()
            await client.aclose()

    async def ready() -> dict[str, Any]:
        return {"ready": True, "simulated": True, "people": len(simulator.world.people.all)}

    uploads = {"/sim/files": BodyLimit(MAX_FILE_BYTES, "the simulator")}
    app = build_app("Simulator", settings, lifespan, description=DESCRIPTION, body_limits=uploads)
    app.add_middleware(ConnectionCutMiddleware)
    provider_apis = (
        TwilioApi(simulator.world, simulator.twilio).routes(),
        telegram_routes(simulator.world, simulator.bot),
    )
    add_routes(app, page_routes(), control_routes(simulator), *provider_apis)
    add_common_routes(app, ready)
    return app


def main() -> None:
    """Run the simulator until a signal."""
    run_server("simulator", AllSettings, create_app, lambda settings: settings.simulator_port, lambda _: LOOPBACK)


if __name__ == "__main__":
    main()
