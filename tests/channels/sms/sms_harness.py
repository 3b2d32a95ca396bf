"""An SMS server on a real socket between a scripted Twilio and a scripted model."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import uvicorn
from fastapi import FastAPI

from relay.channels.sms.webhook import Form, sign
from sms_server import create_app
from tests.channels.sms.scripted_twilio import PATIENCE, Reply, ScriptedTwilio, scripted_twilio
from tests.settings import Settings

PERSON = "+12345678900"
TOKEN = "token-of-the-tests"


def answer(text: str) -> Reply:
    """What the LLM server says, in its own protocol."""
    line = {"model": "m", "message": {"role": "assistant", "content": text}, "done": True, "x_relay": {"source": "s"}}
    return Reply(200, json.dumps(line).encode() + b"\n", {"Content-Type": "application/x-ndjson"})


@dataclass
class SmsHarness:
    """The client, the provider and the model around one running SMS server."""

    url: str
    client: httpx.AsyncClient
    twilio: ScriptedTwilio
    model: ScriptedTwilio
    database: Path

    async def text(self, body: str, **fields: str) -> httpx.Response:
        """Post an unsigned webhook, as curl would."""
        return await self.client.post("/sms/webhook", data={"From": PERSON, "Body": body, **fields})

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        with sqlite3.connect(self.database) as connection:
            return connection.execute(query).fetchall()

    async def until(self, query: str, row: tuple[Any, ...]) -> None:
        """Wait until the first row is this one; the database of another task gives no event."""
        end = time.monotonic() + PATIENCE
        while self.rows(query)[:1] != [row]:
            assert time.monotonic() < end, self.rows(query)
            await asyncio.sleep(0.01)

    def texts(self) -> list[str]:
        """What Twilio was asked to send, in order."""
        return [asked.form["Body"][0] for asked in self.twilio.asked if asked.method == "POST"]

    async def signed(
        self, path: str, fields: Mapping[str, str], *, url: str | None = None, **how: Any
    ) -> httpx.Response:
        signature = sign(how.get("token", TOKEN), url or self.url + path, Form(tuple(fields.items())))
        headers = {"X-Twilio-Signature": how.get("signature", signature)}
        return await self.client.post(path, data=fields, headers=headers)


@asynccontextmanager
async def served(app: FastAPI) -> AsyncIterator[str]:
    """The app behind uvicorn on a free port, started and stopped as it is in earnest."""
    config = uvicorn.Config(app, port=0, log_config=None, access_log=False, server_header=False, proxy_headers=False)
    server = uvicorn.Server(config)
    running = asyncio.create_task(server.serve())
    while not server.started:
        if running.done():
            running.result()
            raise AssertionError("the server did not start")
        await asyncio.sleep(0.005)  # uvicorn gives no event for this
    try:
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        await running


@asynccontextmanager
async def running_sms_server(folder: Path, **changes: Any) -> AsyncIterator[SmsHarness]:
    """Run a server with these settings on top of the try-out mode's until the context ends."""
    database = folder / "messages.db"
    async with scripted_twilio() as twilio, scripted_twilio(answer("Hello from the model.")) as model:
        simulated = Settings(llm_server_url=model.base_url, database_url=f"sqlite:///{database}").for_simulator()
        settings = simulated.model_copy(update={"twilio_api_base_url": twilio.base_url, **changes})
        async with (
            served(create_app(settings)) as url,
            httpx.AsyncClient(base_url=url, timeout=PATIENCE, verify=False) as client,  # noqa: S501 (no TLS here)
        ):
            yield SmsHarness(url, client, twilio, model, database)
