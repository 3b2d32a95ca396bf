"""The LLM server on a real socket within the test's own event loop, and the upstreams that it is pointed at."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
from fastapi import FastAPI

from llm_server import create_app
from relay.llm.gateway.environment import Environment
from tests.llm.scripted_upstream import Upstream
from tests.serving import serving
from tests.settings import Settings


@dataclass
class Clock:
    """Time that passes when the gateway sleeps, or when the test says so."""

    now: float = 1_800_000_000.0
    slept: list[float] = field(default_factory=list)

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds
        await asyncio.sleep(0)


@dataclass
class Running:
    """A running server, and a client that talks to it."""

    url: str
    app: FastAPI
    http: httpx.AsyncClient
    clock: Clock

    async def chat(self, text: str = "Hello", **more: Any) -> httpx.Response:
        """Ask in Ollama's protocol, not streamed."""
        body = {"messages": [{"role": "user", "content": text}], "stream": False, **more}
        return await self.http.post("/api/chat", json=body)

    async def status(self) -> dict[str, Any]:
        status: dict[str, Any] = (await self.http.get("/")).json()
        return status


@asynccontextmanager
async def running(settings: Settings, *, local_ports: tuple[int, ...] = (), **more: Any) -> AsyncIterator[Running]:
    """The server under these settings; pauses between attempts take no time."""
    clock = Clock()
    environment = Environment(clock.sleep, clock, clock, random.Random(1), local_ports)
    app = create_app(settings, environment=environment, **more)
    # Plain HTTP on loopback; loading certificates would take longer than most of the tests.
    async with (
        serving(app, lifespan="on") as url,
        httpx.AsyncClient(base_url=url, timeout=60, verify=False) as http,  # noqa: S501 (see above)
    ):
        yield Running(url, app, http, clock)


def made(tmp_path: Any, **values: Any) -> Settings:
    """Settings that touch nothing outside the test's folder."""
    return Settings(**{"llm_spending_file": str(tmp_path / "spending.json"), **values})


def nothing_configured(tmp_path: Any, **values: Any) -> Settings:
    """As after a fresh start, on a machine where no Ollama runs; the port is not a configured one."""
    fields = {**dict(made(tmp_path)), "ollama_host": "http://127.0.0.1:9", **values}
    return Settings.model_construct(_fields_set=set(values), **fields)


def openrouter(tmp_path: Any, upstream: Upstream, **values: Any) -> Settings:
    return made(
        tmp_path,
        **{
            "llm_source": "openrouter",
            "openrouter_api_key": "sk-or-secret",
            "openrouter_base_url": upstream.url,
            "openrouter_model": "openrouter/polaris-alpha",
            **values,
        },
    )


def ollama(tmp_path: Any, upstream: Upstream, **values: Any) -> Settings:
    return made(tmp_path, **{"llm_source": "ollama", "ollama_host": upstream.url, "ollama_model": "scripted", **values})


def openai(tmp_path: Any, upstream: Upstream, **values: Any) -> Settings:
    return made(
        tmp_path,
        **{"llm_source": "openai", "openai_base_url": upstream.url, "openai_model": "scripted", **values},
    )
