"""What a stranger may read on the public routes while a source quotes what a user wrote."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.llm.running_llm_server import Running, openai, running
from tests.llm.scripted_upstream import Upstream, responds, scripted_upstream

SECRET = "my PIN is 4711"
STRANGER = {"Host": "relay.example", "X-Forwarded-For": "203.0.113.9"}
PUBLIC = ("/", "/ready", "/health")


@pytest.fixture
async def upstream() -> AsyncIterator[Upstream]:
    async with scripted_upstream() as found:
        found.on("/models", responds(200, {"data": [{"id": "scripted"}]}))
        yield found


async def read_all(server: Running, headers: dict[str, str]) -> str:
    return "\n".join([(await server.http.get(path, headers=headers)).text for path in PUBLIC])


@pytest.mark.parametrize("status", [400, 403, 500])
async def test_a_stranger_reads_the_kind_of_an_error_and_its_time(
    status: int, upstream: Upstream, tmp_path: Path
) -> None:
    """A refused question, quoted by its source; a program on this machine reads the message."""
    upstream.on("/chat/completions", responds(status, {"error": {"message": f"flagged input: '{SECRET}'"}}))
    async with running(openai(tmp_path, upstream, llm_attempts=1)) as server:
        assert SECRET in (await server.chat(SECRET)).json()["error"]
        assert SECRET not in await read_all(server, STRANGER)
        assert SECRET in await read_all(server, {})
        source = (await server.http.get("/", headers=STRANGER)).json()["sources"][0]
    assert list(source["last_error"]) == ["kind"]
    assert source["last_error_at"]


async def test_a_stranger_reads_the_kind_of_a_failed_probe(upstream: Upstream, tmp_path: Path) -> None:
    """The source cannot be used at all, and says why in its own words."""
    upstream.on("/models", responds(401, {"error": {"message": f"no user '{SECRET}'"}}))
    async with running(openai(tmp_path, upstream)) as server:
        assert SECRET in await read_all(server, {})
        assert SECRET not in await read_all(server, STRANGER)
        state: dict[str, Any] = (await server.http.get("/ready", headers=STRANGER)).json()
    assert (state["problem"], state["sources"][0]["problem"]) == ("auth", {"kind": "auth"})
    assert "check the key" in state["hint"]


async def test_the_internal_token_and_the_admin_token_read_the_message(upstream: Upstream, tmp_path: Path) -> None:
    """With tokens set, this machine alone is not enough."""
    upstream.on("/models", responds(401, {"error": {"message": SECRET}}))
    tokens = {"internal_token": "internal-token-of-a-test", "admin_token": "admin-token-of-a-test"}
    async with running(openai(tmp_path, upstream, **tokens)) as server:
        assert SECRET not in await read_all(server, {})
        for token in tokens.values():
            assert SECRET in await read_all(server, {**STRANGER, "Authorization": f"Bearer {token}"})
