"""Runs a channel's app on a real socket, with a model that answers as the LLM server does."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
from fastapi import FastAPI

from tests.channels.scripted_server import PATIENCE, Reply
from tests.serving import serving


def model_reply(text: str) -> Reply:
    """The response of the LLM server to a chat request, in its own protocol."""
    line = {"model": "m", "message": {"role": "assistant", "content": text}, "done": True, "x_relay": {"source": "s"}}
    return Reply(200, json.dumps(line).encode() + b"\n", {"Content-Type": "application/x-ndjson"})


@asynccontextmanager
async def running_app(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    """Serve the app, and yield a client of it."""
    async with (
        serving(app, server_header=False, proxy_headers=False) as url,
        httpx.AsyncClient(base_url=url, timeout=PATIENCE, verify=False) as client,  # noqa: S501 (no TLS here)
    ):
        yield client
