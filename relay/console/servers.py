"""Probes the other servers over HTTP, all at once. A server that does not run is a state, not an error.

Programs run in the settings folder, so the launcher's file is in the current one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

import httpx

from relay.channels.registry import CHANNELS
from relay.config.settings import Settings
from relay.console.pages import money as money_text
from relay.core.http_client import json_object, never_left
from relay.launcher.outages import read_launcher

MODEL_SERVER = "LLM server"
MAX_FACTS = 8
MAX_FACT_CHARS = 160
_SHOWN_ELSEWHERE = frozenset({"ready", "server", "status", "simulated"})


class Condition(StrEnum):
    """The result of probing a server."""

    READY = "ready"
    NOT_READY = "not ready"
    PAUSED = "sending paused"
    FAILING = "sending fails"
    SILENT = "does not answer"
    DOWN = "not running"
    FOREIGN = "something else listens there"


@dataclass(frozen=True, slots=True)
class KnownServer:
    """A server to probe. One that is not `expected` to run is left out while it does not run.

    headers: sent with the probe; the LLM server shows messages of errors only to those who have the internal token.
    """

    name: str
    url: str
    program: str
    expected: bool = True
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ServerState:
    """The probed condition of a server and its own facts, formatted for a page."""

    name: str
    url: str
    condition: Condition
    facts: dict[str, str]


def known_servers(settings: Settings) -> tuple[KnownServer, ...]:
    """The servers of these settings; the simulator is expected in try-out mode only."""
    token = settings.internal_token
    headers = {"Authorization": f"Bearer {token.get_secret_value()}"} if token else {}
    served = (channel for channel in CHANNELS if channel.host is None)
    return (
        KnownServer(MODEL_SERVER, settings.model_url, "llm", headers=headers),
        *(KnownServer(f"{channel.title} server", channel.url(settings), channel.platform) for channel in served),
        KnownServer("Simulator", settings.simulator_url, "simulator", expected=settings.simulated),
    )


async def probe_servers(
    http: httpx.AsyncClient, servers: Sequence[KnownServer], timeout_seconds: float
) -> list[ServerState]:
    """Probe all servers concurrently; returns their states in the same order, without unexpected ones that are down."""
    _, outages = read_launcher(Path.cwd()) or (0, {})
    probes = (_probe(http, server, timeout_seconds, outages.get(server.program)) for server in servers)
    states = zip(servers, await asyncio.gather(*probes), strict=True)
    return [state for server, state in states if server.expected or state.condition is not Condition.DOWN]


async def ready_body(http: httpx.AsyncClient, server: KnownServer, timeout_seconds: float) -> dict[str, Any] | None:
    """The body of /ready, whatever its status; None without one."""
    try:
        async with asyncio.timeout(timeout_seconds):
            return json_object((await http.get(f"{server.url}/ready", headers=server.headers)).content)
    except (TimeoutError, httpx.HTTPError):
        return None


async def _probe(
    http: httpx.AsyncClient, server: KnownServer, timeout_seconds: float, outage: str | None
) -> ServerState:
    """The state of one server; `outage` is why the launcher does not run it."""
    try:
        # The client's timeouts apply to each step; a server that sends a byte a second must not delay the page.
        async with asyncio.timeout(timeout_seconds):
            response = await http.get(f"{server.url}/ready", headers=server.headers)
    except TimeoutError:
        return ServerState(server.name, server.url, Condition.SILENT, {})
    except httpx.HTTPError as error:
        if not never_left(error):
            return ServerState(server.name, server.url, Condition.SILENT, {})
        return ServerState(server.name, server.url, Condition.DOWN, {"launcher": outage} if outage else {})
    body = json_object(response.content) or {}
    if not isinstance(body.get("ready"), bool):
        return ServerState(server.name, server.url, Condition.FOREIGN, {})
    return ServerState(server.name, server.url, _condition(body), _facts(body))


def _condition(body: dict[str, Any]) -> Condition:
    """What /ready states; a channel that stores messages and cannot send is ready, but no good news."""
    if not body["ready"]:
        return Condition.NOT_READY
    if body.get("sending_paused") is True:
        return Condition.PAUSED
    return Condition.FAILING if body.get("sending_outage") is True else Condition.READY


def _facts(body: dict[str, Any]) -> dict[str, str]:
    """The scalar values of a response body, flattened by one level."""
    flat: dict[str, Any] = {}
    for key, value in body.items():
        if key not in _SHOWN_ELSEWHERE:
            inner = value if isinstance(value, dict) else None
            flat |= {key: value} if inner is None else {f"{key} {name}": deep for name, deep in inner.items()}
    plain = {key: value for key, value in flat.items() if isinstance(value, (str, int, float)) and value != ""}
    return {
        key.removesuffix("_usd").replace("_", " "): _formatted(value, money=key.endswith("_usd"))
        for key, value in list(plain.items())[:MAX_FACTS]
    }


def _formatted(value: str | float, *, money: bool) -> str:
    match value:
        case bool():
            return "yes" if value else "no"
        case float():
            return money_text(value) if money else f"{value:.4g}"
        case _:
            return str(value)[:MAX_FACT_CHARS]
