"""The simulator, port 8043: plays Twilio, Telegram and the phones of people, in a browser page and for tests.

Wires the services in `relay/simulator/` to routes and a port. Listens on 127.0.0.1 only.
"""

from __future__ import annotations

import relay.core.bootstrap  # isort: skip  # noqa: F401 (says in one line what to install when something is missing)

import asyncio
import contextlib
import random
import time
from collections.abc import AsyncIterator
from typing import Any

from fastapi import FastAPI

from relay.channels.registry import AllSettings
from relay.config.settings import Settings, load_settings
from relay.core.http_client import open_http_client
from relay.simulator.control_api import control_routes
from relay.simulator.fault_responses import ConnectionCutMiddleware
from relay.simulator.page_routes import page_routes
from relay.simulator.services import Simulator, on_stop_signals
from relay.simulator.telegram_api import TelegramApi, telegram_routes
from relay.simulator.twilio_api import TwilioApi, twilio_routes
from relay.web.app import add_common_routes, build_app
from relay.web.serve import run_server

LOOPBACK = "127.0.0.1"
WEBHOOKS_AT_ONCE = 400
DESCRIPTION = "Plays Twilio's and Telegram's APIs and the phones of the people who write. Nothing here is real."


def create_app(settings: Settings | None = None) -> FastAPI:
    """The app; opens nothing until it is started. Real credentials in `settings` are left out."""
    settings = _simulated(settings or load_settings(AllSettings))
    client = open_http_client(max_connections=WEBHOOKS_AT_ONCE)
    simulator = Simulator(settings, client, time.time, random.Random())  # noqa: S311 (chances of faults, no secrets)

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        loop = asyncio.get_running_loop()

        def stop_waiting() -> None:
            loop.call_soon_threadsafe(simulator.stop_waiting)

        with on_stop_signals(stop_waiting):
            simulator.start()
            try:
                yield
            finally:
                async with asyncio.timeout(settings.stop_seconds / 2):
                    await simulator.close()
                    await client.aclose()

    async def ready() -> dict[str, Any]:
        return {"ready": True, "simulated": True, "people": len(simulator.world.people.all)}

    app = build_app("Simulator", settings, lifespan, description=DESCRIPTION)
    app.add_middleware(ConnectionCutMiddleware)
    app.include_router(page_routes())
    app.include_router(control_routes(simulator))
    app.include_router(twilio_routes(TwilioApi(simulator.world, simulator.twilio)))
    app.include_router(telegram_routes(TelegramApi(simulator.world, simulator.bot)))
    add_common_routes(app, ready)
    return app


def _simulated(settings: Settings) -> Settings:
    settings = settings if settings.simulated else settings.for_simulator()
    return settings.model_copy(update={"bind_host": LOOPBACK})


def main() -> None:
    """Run the simulator until a signal."""
    run_server("simulator", AllSettings, create_app, lambda settings: settings.simulator_port, LOOPBACK)


if __name__ == "__main__":
    main()
