"""A reverse proxy between the providers and the servers, as a tunnel would be: one public address for two servers.

It drops requests, drops responses after the work was done, delays requests, and forwards them twice.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import aiohttp
from aiohttp import web

EFFECTS = ("cut before", "cut after", "held back", "twice", "answered 502 after")
_NOT_PASSED_ON = frozenset({"host", "content-length", "transfer-encoding", "connection"})


@dataclass(frozen=True, slots=True)
class Forwarded:
    """A request that was forwarded, and how long its response took, in seconds."""

    status: int
    retry_after: str
    seconds: float


class FaultyProxy:
    """`servers` maps the first part of a path to the base URL of its server. `failure_rate`: 0 to 1."""

    def __init__(self, servers: Mapping[str, str], rng: random.Random) -> None:
        self._servers = servers
        self._rng = rng
        self.failure_rate = 0.0
        self.injected: Counter[str] = Counter()
        self._records: list[Forwarded] | None = None
        self._client: aiohttp.ClientSession | None = None

    def routes(self) -> list[web.RouteDef]:
        return [web.post("/{server}/{rest:.*}", self._take)]

    async def open(self) -> None:
        connector = aiohttp.TCPConnector(limit=0, force_close=True)
        self._client = aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=20))

    async def close(self) -> None:
        if self._client is not None:
            await self._client.close()

    @contextmanager
    def recording(self) -> Iterator[list[Forwarded]]:
        """Yield a list of every request that is forwarded from now on."""
        records: list[Forwarded] = []
        self._records = records
        try:
            yield records
        finally:
            self._records = None

    async def _take(self, request: web.Request) -> web.Response:
        if self._rng.random() >= self.failure_rate:
            return await self._pass_on(request)
        effect = self._rng.choice(EFFECTS)
        self.injected[f"webhook: {effect}"] += 1
        if effect == "held back":
            await asyncio.sleep(self._rng.uniform(0.3, 3.0))
        if effect == "twice":
            await self._pass_on(request)
        answer = web.Response() if effect == "cut before" else await self._pass_on(request)
        if effect.startswith("cut") and request.transport is not None:
            request.transport.abort()
        return web.Response(status=502) if effect == "answered 502 after" else answer

    async def _pass_on(self, request: web.Request) -> web.Response:
        assert self._client is not None, "the proxy is closed"
        base = self._servers.get(request.match_info["server"])
        if base is None:
            return web.Response(status=404)
        headers = {name: value for name, value in request.headers.items() if name.lower() not in _NOT_PASSED_ON}
        records, began = self._records, time.monotonic()
        try:
            body = await request.read()
            async with self._client.post(base + request.path_qs, data=body, headers=headers) as answer:
                kind = answer.headers.get("Content-Type", "text/plain").partition(";")[0]
                content = await answer.read()
                if records is not None:
                    after = answer.headers.get("Retry-After", "")
                    records.append(Forwarded(answer.status, after, time.monotonic() - began))
                return web.Response(status=answer.status, body=content, content_type=kind)
        except (aiohttp.ClientError, TimeoutError, OSError):
            return web.Response(status=502, text="the server does not answer")
