"""An SMS server on a real socket between a scripted Twilio and a scripted model."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from relay.channels.sms.webhook import Form, sign
from sms_server import create_app
from tests.channels.harness import model_reply, running_app
from tests.channels.scripted_server import PATIENCE, Request, ScriptedServer, listening
from tests.channels.sms.scripted_twilio import scripted_twilio
from tests.databases import sqlite_in
from tests.settings import Settings

PERSON = "+12345678900"
TOKEN = "token-of-the-tests"


@dataclass
class SmsHarness:
    """The client, the provider and the model around one running SMS server."""

    client: httpx.AsyncClient
    twilio: ScriptedServer
    model: ScriptedServer
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
        """Bodies of the messages sent to Twilio, in order."""
        return [request.form["Body"][0] for request in self.twilio.requests if request.method == "POST"]

    def questions(self) -> list[Request]:
        """The requests for an answer to the model; its health is asked for at any time."""
        return [request for request in self.model.requests if request.method == "POST"]

    async def wait_for_question(self) -> None:
        """Wait until the model was asked; a request for its health does not count."""
        async with asyncio.timeout(PATIENCE), self.model.changed:
            await self.model.changed.wait_for(self.questions)

    async def signed(
        self, path: str, fields: Mapping[str, str], *, url: str | None = None, **how: Any
    ) -> httpx.Response:
        signature = sign(
            how.get("token", TOKEN), url or str(self.client.base_url.join(path)), Form(tuple(fields.items()))
        )
        headers = {"X-Twilio-Signature": how.get("signature", signature)}
        return await self.client.post(path, data=fields, headers=headers)


@asynccontextmanager
async def running_sms_server(folder: Path, **changes: Any) -> AsyncIterator[SmsHarness]:
    """Run a server with these settings on top of the try-out mode's until the context ends."""
    database = folder / "messages.db"
    model_server = ScriptedServer(model_reply("Hello from the model."))
    async with listening(scripted_twilio()) as twilio, listening(model_server) as model:
        simulated = Settings(
            llm_server_url=model.base_url, database_url=sqlite_in(folder, database.name)
        ).for_simulator()
        settings = simulated.model_copy(
            update={"twilio_api_base_url": twilio.base_url, "sms_part_seconds": 0.0, **changes}
        )
        async with running_app(create_app(settings)) as client:
            yield SmsHarness(client, twilio, model, database)
