"""Serves an app with uvicorn on a real socket, within the event loop of a test."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import uvicorn


@asynccontextmanager
async def serving(app: Any, **options: Any) -> AsyncIterator[str]:
    """The URL of the app while it is served on a free port of loopback. `options` are uvicorn's.

    Started and stopped as uvicorn does it, but its `serve` takes over the signals, asks ten times a second whether to
    stop, and pauses for a tenth of a second before it does: most tests take less than that.
    """
    config = uvicorn.Config(app, "127.0.0.1", 0, log_config=None, access_log=False, ws="none", **options)
    config.load()
    server = uvicorn.Server(config)
    server.lifespan = config.lifespan_class(config)
    await server.startup()
    await server.on_tick(0)  # the headers of all responses
    try:
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        await _stop(server)


async def _stop(server: uvicorn.Server) -> None:
    state = server.server_state
    for listener in server.servers:
        listener.close()
    for connection in list(state.connections):
        connection.shutdown()
    try:
        async with asyncio.timeout(server.config.timeout_graceful_shutdown):
            while state.connections or state.tasks:  # noqa: ASYNC110 (uvicorn has no event for it)
                await asyncio.sleep(0.001)
    except TimeoutError:
        for task in state.tasks:
            task.cancel()
    await server.lifespan.shutdown()
