"""Runs a channel's app on a real socket, with a model that answers as the LLM server does."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import uvicorn
from fastapi import FastAPI

from tests.channels.scripted_server import PATIENCE, Reply


def model_reply(text: str) -> Reply:
    """The response of the LLM server to a chat request, in its own protocol."""
    line = {"model": "m", "message": {"role": "assistant", "content": text}, "done": True, "x_relay": {"source": "s"}}
    return Reply(200, json.dumps(line).encode() + b"\n", {"Content-Type": "application/x-ndjson"})


@asynccontextmanager
async def running_app(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    """Serve the app with uvicorn on a free port, started and stopped as in production; yields a client of it."""
    config = uvicorn.Config(app, port=0, log_config=None, access_log=False, server_header=False, proxy_headers=False)
    server = uvicorn.Server(config)
    running = asyncio.create_task(server.serve())
    while not server.started:
        if running.done():
            running.result()
            raise AssertionError("the server did not start")
        await asyncio.sleep(0.005)  # uvicorn gives no event for this
    url = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    try:
        async with httpx.AsyncClient(base_url=url, timeout=PATIENCE, verify=False) as client:  # noqa: S501 (no TLS here)
            yield client
    finally:
        server.should_exit = True
        await running
