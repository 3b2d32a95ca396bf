"""How the other servers are, asked over HTTP all at once. A server that does not run is a state, never an error."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import httpx

from relay.config.settings import Settings
from relay.core.http_client import never_left

MOST_FACTS = 8
LONGEST_FACT = 160
_SAID_ELSEWHERE = frozenset({"ready", "server", "status", "simulated"})


class Condition(StrEnum):
    """What one look at a server tells."""

    READY = "ready"
    NOT_READY = "not ready"
    SILENT = "does not answer"
    DOWN = "not running"
    FOREIGN = "something else listens there"


@dataclass(frozen=True, slots=True)
class Server:
    """A server to look at. Without one that is not `expected` to run, nothing is missing."""

    name: str
    url: str
    expected: bool = True


@dataclass(frozen=True, slots=True)
class ServerState:
    """A server, how it is, and what it says about itself, in words for a page."""

    name: str
    url: str
    condition: Condition
    facts: dict[str, str]


def known_servers(settings: Settings) -> tuple[Server, ...]:
    """The servers of these settings; the simulator is only expected where it plays the providers."""
    return (
        Server("LLM server", settings.model_url),
        Server("SMS server", settings.server_url(settings.sms_server_port)),
        Server("Telegram server", settings.server_url(settings.telegram_server_port)),
        Server("Simulator", settings.simulator_url, expected=settings.simulated),
    )


async def look_at_servers(
    http: httpx.AsyncClient, servers: Sequence[Server], timeout_seconds: float
) -> list[ServerState]:
    """The state of each server, in the order given; those not expected are left out while they do not run."""
    states = await asyncio.gather(*(_look(http, server, timeout_seconds) for server in servers))
    pairs = zip(servers, states, strict=True)
    return [state for server, state in pairs if server.expected or state.condition is not Condition.DOWN]


async def _look(http: httpx.AsyncClient, server: Server, timeout_seconds: float) -> ServerState:
    try:
        # The client's own limits count each step; a server that sends a byte a second must not hold up the page.
        async with asyncio.timeout(timeout_seconds):
            response = await http.get(f"{server.url}/ready")
    except TimeoutError:
        return ServerState(server.name, server.url, Condition.SILENT, {})
    except httpx.HTTPError as error:
        condition = Condition.DOWN if never_left(error) else Condition.SILENT
        return ServerState(server.name, server.url, condition, {})
    return _read(server, response)


def _read(server: Server, response: httpx.Response) -> ServerState:
    try:
        body = response.json()
    except ValueError:
        body = None
    if not isinstance(body, dict) or not isinstance(body.get("ready"), bool):
        return ServerState(server.name, server.url, Condition.FOREIGN, {})
    condition = Condition.READY if body["ready"] else Condition.NOT_READY
    return ServerState(server.name, server.url, condition, _facts(body))


def _facts(body: dict[str, Any]) -> dict[str, str]:
    """The plain values of an answer, those one level down included."""
    flat: dict[str, Any] = {}
    for key, value in body.items():
        if key in _SAID_ELSEWHERE:
            continue
        flat.update(
            {f"{key} {inner}": deep for inner, deep in value.items()} if isinstance(value, dict) else {key: value}
        )
    plain = {key: value for key, value in flat.items() if isinstance(value, (str, int, float)) and value != ""}
    return {
        key.removesuffix("_usd").replace("_", " "): _word(value, money=key.endswith("_usd"))
        for key, value in list(plain.items())[:MOST_FACTS]
    }


def _word(value: str | float, *, money: bool) -> str:
    match value:
        case bool():
            return "yes" if value else "no"
        case float():
            return f"${value:,.2f}" if money else f"{value:.4g}"
        case _:
            return str(value)[:LONGEST_FACT]
