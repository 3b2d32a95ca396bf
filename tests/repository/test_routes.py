"""Every route of every server belongs to exactly one class, and answers only those whom its class admits."""

from __future__ import annotations

import re
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from tests.repository.route_walk import SERVERS, Found, make_app, routes_of

ALL = [route for server in SERVERS for route in routes_of(server)]
NAMES = [f"{route.server} {route.verbs[0]} {route.path}" for route in ALL]
PROMISED: dict[str, set[str]] = {
    "llm_server": {
        *("GET /", "POST /api/chat", "GET /api/tags", "GET /api/version", "POST /v1/chat/completions"),
        *("GET /health", "GET /ready", "GET /metrics"),
    },
    "sms_server": {
        *("GET /", "POST /sms/webhook", "POST /sms/delivery", "GET /sms/status", "POST /sms/send"),
        *("DELETE /sms/user/{phone_number}/history", "GET /health", "GET /ready", "GET /metrics", "GET /docs"),
    },
    "telegram_server": {
        *("GET /", "POST /telegram/webhook", "GET /telegram/status", "POST /telegram/send"),
        *("POST /telegram/polling/start", "POST /telegram/polling/stop"),
        *("DELETE /telegram/user/{chat_id}/history", "GET /health", "GET /ready", "GET /metrics", "GET /docs"),
    },
    "admin_server": {"GET /", "GET /health", "GET /ready", "GET /metrics"},
    "simulator": {"GET /", "GET /health", "GET /ready", "GET /metrics"},
}
OPEN_TO_ALL = {
    "GET /",
    "GET /health",
    "GET /ready",
    "POST /sms/webhook",
    "POST /sms/delivery",
    "POST /telegram/webhook",
}
"""What a tunnel may lead strangers to. The simulator and the console are led to by no tunnel, and have more."""

LOOPBACK = "http://127.0.0.1:8040"
STRANGERS: list[dict[str, str]] = [
    {"X-Forwarded-For": "203.0.113.9"},
    {"Forwarded": "for=203.0.113.9"},
    {"Host": "relay.example.org"},
    {"Origin": "https://example.org"},
]


@pytest.mark.parametrize("server", SERVERS)
def test_every_promised_route_is_there(server: str) -> None:
    """The paths that people and providers were told."""
    there = {f"{verb} {route.path}" for route in ALL if route.server == server for verb in route.verbs}
    assert PROMISED.get(server, set()) - there == set()


@pytest.mark.parametrize("server", SERVERS)
def test_the_openapi_document_declares_every_parameter_of_a_path(server: str) -> None:
    """Tools that generate requests from the document refuse it otherwise."""
    for path, operations in make_app(server).openapi()["paths"].items():
        for verb, operation in operations.items():
            declared = {one["name"] for one in operation.get("parameters", ()) if one["in"] == "path"}
            assert declared == set(re.findall(r"{(\w+)}", path)), f"{verb} {path}"


@pytest.mark.parametrize("route", ALL, ids=NAMES)
def test_a_route_has_exactly_one_class(route: Found) -> None:
    """Public, internal or admin; none by accident."""
    assert len(route.classes) == 1


@pytest.mark.parametrize("server", ["llm_server", "sms_server", "telegram_server"])
def test_of_a_server_that_a_tunnel_may_expose_only_these_routes_are_public(server: str) -> None:
    """The webhooks bring a proof of their own."""
    opened = {
        f"{verb} {route.path}"
        for route in ALL
        if route.server == server and route.classes == ("public",)
        for verb in route.verbs
        if verb != "HEAD"
    }
    assert opened <= OPEN_TO_ALL


@pytest.mark.parametrize("server", SERVERS)
def test_the_list_of_routes_names_each_once(server: str) -> None:
    """Two of one name would be a warning in the log when /docs is opened, and so an error here."""
    operations = [verb for verbs in make_app(server).openapi()["paths"].values() for verb in verbs.values()]
    names = [operation["operationId"] for operation in operations]
    assert names
    assert len(names) == len(set(names))


def client(app: Any, peer: str = "127.0.0.1") -> httpx.AsyncClient:
    transport = httpx.ASGITransport(app, raise_app_exceptions=False, client=(peer, 50_000))
    return httpx.AsyncClient(transport=transport, base_url=LOOPBACK)


GUARDED = [route for route in ALL if route.classes != ("public",)]
ADMIN = [route for route in ALL if route.classes == ("admin",)]


def named(routes: list[Found]) -> list[str]:
    return [f"{route.server} {route.verbs[0]} {route.path}" for route in routes]


@pytest.mark.parametrize("route", GUARDED, ids=named(GUARDED))
async def test_a_guarded_route_refuses_strangers(route: Found) -> None:
    """Through a proxy, under another name, from a foreign page, from another machine; before anything is done."""
    app = make_app(route.server)
    for verb in route.verbs:
        for headers in STRANGERS:
            async with client(app) as http:
                answer = await http.request(verb, route.address, headers=headers)
            assert answer.status_code == 403, headers
        async with client(app, peer="203.0.113.9") as http:
            assert (await http.request(verb, route.address)).status_code == 403


@pytest.mark.parametrize("route", ADMIN, ids=named(ADMIN))
async def test_an_admin_route_is_closed_behind_a_public_url_without_a_token(route: Found) -> None:
    """Where a tunnel is configured, loopback proves nothing."""
    app = make_app(route.server, frozenset({("public_url", "https://relay.example.org")}))
    if route.server == "simulator":  # it leaves out whatever could lead outside, public_url included
        assert app.state.settings.public_url is None
        return
    async with client(app) as http:
        answer = await http.request(route.verbs[0], route.address)
    assert answer.status_code == 403


@pytest.mark.parametrize("route", ADMIN, ids=named(ADMIN))
async def test_with_an_admin_token_an_admin_route_wants_it(route: Found) -> None:
    """None and a wrong one are refused, on this machine too."""
    app = make_app(route.server, frozenset({("admin_token", SecretStr("right"))}))
    if route.server == "simulator":  # its page cannot sign in, so its routes stay for this machine alone
        assert app.state.settings.admin_token is None
        return
    async with client(app) as http:
        for headers in ({}, {"Authorization": "Bearer wrong"}, {"Cookie": "relay_console=1.2"}):
            answer = await http.request(route.verbs[0], route.address, headers=headers)
            assert answer.status_code == 403


INTERNAL = [route for route in ALL if route.classes == ("internal",)]


@pytest.mark.parametrize("route", INTERNAL, ids=named(INTERNAL))
async def test_with_an_internal_token_an_internal_route_wants_it(route: Found) -> None:
    """The admin token is no substitute."""
    tokens = {("internal_token", SecretStr("inside")), ("admin_token", SecretStr("right"))}
    async with client(make_app(route.server, frozenset(tokens))) as http:
        for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": "Bearer right"}):
            answer = await http.request(route.verbs[0], route.address, headers=headers)
            assert answer.status_code == 401
