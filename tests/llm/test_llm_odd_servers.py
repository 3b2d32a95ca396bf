"""Model servers that do not keep to their own documentation: what they send costs a detail, never an answer."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.llm.running_llm_server import nothing_configured, ollama, openai, openrouter, running
from tests.llm.scripted_upstream import Upstream, chat, completion, hangs, says, scripted_upstream

COMPLETIONS = "/chat/completions"
MAKE = {"openrouter": openrouter, "ollama": ollama, "openai": openai}


@pytest.fixture
async def upstream() -> AsyncIterator[Upstream]:
    async with scripted_upstream() as found:
        found.on("/key", says(200, {"data": {}}))
        found.on("/models", says(200, {"data": [{"id": "scripted"}]}))
        found.on("/api/tags", says(200, {"models": [{"name": "scripted:latest"}]}))
        found.on(COMPLETIONS, completion("hello"))
        found.on("/api/chat", chat("hello"))
        yield found


# -- what a server says of itself --------------------------------------------------------------------------------------

SELF_PORTRAITS: list[tuple[str, str, str, Any]] = [
    ("a key that is a list", "openrouter", "/key", []),
    ("a key without data", "openrouter", "/key", {"data": "none"}),
    (
        "quotas that are text",
        "openrouter",
        "/key",
        {"data": {"free_model_daily_requests": {"used": "a", "limit": "b"}}},
    ),
    ("quotas that are none", "openrouter", "/key", {"data": {"free_model_daily_requests": "many"}}),
    ("a bill that is text", "openrouter", "/key", {"data": {"usage_monthly": "much"}}),
    ("endpoints that are none", "openrouter", "/models/openrouter/polaris-alpha/endpoints", {"data": {"endpoints": 5}}),
    (
        "an architecture that is none",
        "openrouter",
        "/models/openrouter/polaris-alpha/endpoints",
        {"data": {"architecture": 5}},
    ),
    ("nothing about a model", "ollama", "/api/show", None),
    ("a list about a model", "ollama", "/api/show", []),
    ("models that have no name", "ollama", "/api/tags", {"models": ["x", {"name": 5}, {"name": "scripted"}]}),
    (
        "models that have no id",
        "openai",
        "/models",
        {"data": ["x", {"id": 5}, {"id": "scripted", "max_model_len": "x"}]},
    ),
]


@pytest.mark.parametrize(("what", "source", "path", "body"), SELF_PORTRAITS, ids=[row[0] for row in SELF_PORTRAITS])
async def test_whatever_a_server_says_of_itself_it_is_asked(
    what: str, source: str, path: str, body: Any, upstream: Upstream, tmp_path: Path
) -> None:
    """The first look comes to an end, so that nobody waits for it for good."""
    upstream.on(path, says(200, body))
    async with running(MAKE[source](tmp_path, upstream)) as server:
        assert (await server.chat()).json()["message"]["content"] == "hello"
        assert (await server.status())["status"] == "ok"


async def test_a_port_that_never_answers_delays_nobody_for_long(upstream: Upstream, tmp_path: Path) -> None:
    """What merely might be a model server is given a moment, and the rest is used."""
    upstream.on("/v1/models", hangs)
    async with running(nothing_configured(tmp_path, simulated=True), local_ports=(upstream.port,)) as server:
        assert (await server.chat("hi")).json()["x_relay"]["source"] == "demo"


# -- models that are not there -----------------------------------------------------------------------------------------


async def test_a_model_that_is_installed_later_is_used_then(
    upstream: Upstream, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A missing model with nothing to ask instead is asked for again at each question, and told in the log once."""
    missing = says(404, {"error": "model 'scripted' not found"})
    upstream.on("/api/chat", missing, missing, chat("here now"))
    async with running(ollama(tmp_path, upstream)) as server:
        assert [(await server.chat()).status_code for _ in range(2)] == [404, 404]
        status = await server.status()
        assert (status["model"], status["replaced_models"]) == ("scripted", {})
        assert (await server.chat()).json()["message"]["content"] == "here now"
    assert [record for record in caplog.messages if "ollama pull scripted" in record] == caplog.messages[-1:]


async def test_an_ollama_without_any_model_is_told_so_each_time(upstream: Upstream, tmp_path: Path) -> None:
    """The sentence says what to do, the status says it too, and a model that comes later answers."""
    upstream.on("/api/tags", says(200, {"models": []}))
    async with running(ollama(tmp_path, upstream, ollama_model=None)) as server:
        for _ in range(2):
            told = await server.chat()
            assert (told.status_code, "ollama pull" in told.json()["error"]) == (404, True)
        assert "ollama pull" in (await server.status())["problem"]
        upstream.on("/api/tags", says(200, {"models": [{"name": "scripted:latest"}]}))
        assert (await server.chat()).json()["message"]["content"] == "hello"
