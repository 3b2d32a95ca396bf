"""The models that are offered: every name that can be asked for can be shown, and what is said of it is right."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.llm.running_llm_server import ollama, openai, running
from tests.llm.scripted_upstream import COMPLETIONS, Upstream, completion, responds, scripted_upstream


@pytest.fixture
async def upstream() -> AsyncIterator[Upstream]:
    async with scripted_upstream() as found:
        found.on("/models", responds(200, {"data": [{"id": "org/m"}, {"id": "*"}]}))
        found.on("/api/tags", responds(200, {"models": [{"name": "ok:latest"}]}))
        found.on("/api/show", responds(200, {"capabilities": ["completion", "tools", "vision"]}))
        yield found


@pytest.mark.parametrize("name", ["default", "fast", "ok", "ok:latest", "ollama:ok", "ollama:ok:latest"])
async def test_each_name_of_a_model_shows_its_facts(name: str, upstream: Upstream, tmp_path: Path) -> None:
    """With and without tag and source, as the default and as an alias."""
    settings = ollama(tmp_path, upstream, ollama_model="ok", llm_aliases={"fast": {"model": "ollama:ok"}})
    async with running(settings) as server:
        shown = (await server.http.post("/api/show", json={"model": name})).json()
        row = (await server.http.get(f"/v1/models/{name}")).json()
    assert shown["capabilities"] == ["completion", "tools", "vision"]
    assert shown["model_info"]["relay.context_length"] == 4096
    assert row == {"id": name, "object": "model", "created": 0, "owned_by": "relay"}


async def test_a_model_of_embeddings_is_shown_as_one(tmp_path: Path) -> None:
    """By its name, where the source does not report what its models can; then no client offers it for a chat."""
    async with scripted_upstream() as upstream:
        upstream.on("/models", responds(200, {"data": [{"id": "m"}, {"id": "Text-Embedding-3-small"}]}))
        async with running(openai(tmp_path, upstream, openai_model="m")) as server:
            shown = [
                (await server.http.post("/api/show", json={"model": name})).json()["capabilities"]
                for name in ("Text-Embedding-3-small", "m")
            ]
    assert shown == [["embedding"], ["completion", "tools", "vision"]]


async def test_what_is_not_known_is_left_out(upstream: Upstream, tmp_path: Path) -> None:
    """A context of null ends clients; tools and pictures are passed on to a server of which nothing is known."""
    async with running(openai(tmp_path, upstream, openai_model="org/m")) as server:
        shown = (await server.http.post("/api/show", json={"model": "org/m"})).json()
        rows = (await server.http.get("/api/tags")).json()["models"]
        assert (await server.http.get("/v1/models/org/m")).json()["id"] == "org/m"
        missing = await server.http.get("/v1/models/none")
        endless = await server.http.get(f"/v1/models/{'A' * 20_000}")
        asked = await server.http.post(
            "/api/chat",
            json={"model": "A" * 20_000, "messages": [{"role": "user", "content": "hello"}], "stream": False},
        )
    assert (endless.status_code, asked.status_code) == (404, 404)
    assert len(endless.content) < 1000 > len(asked.content)
    assert "relay.context_length" not in shown["model_info"]
    assert shown["capabilities"] == ["completion", "tools", "vision"]
    assert [row["name"] for row in rows] == ["default", "org/m"]
    assert len({row["digest"] for row in rows}) == 2
    assert (missing.status_code, missing.json()["error"]["code"]) == (404, "not_found")


async def test_a_pattern_of_names_is_no_model(upstream: Upstream, tmp_path: Path) -> None:
    """LiteLLM lists its wildcard; what it stands for can be asked for all the same."""
    upstream.on("/models", responds(200, {"data": [{"id": "scripted"}, {"id": "*"}, {"id": "openai/*"}]}))
    upstream.on(COMPLETIONS, completion("hello"))
    async with running(openai(tmp_path, upstream)) as server:
        listed = [row["id"] for row in (await server.http.get("/v1/models")).json()["data"]]
        tagged = [row["name"] for row in (await server.http.get("/api/tags")).json()["models"]]
        assert (await server.chat(model="openai/gpt")).status_code == 200
    assert listed == tagged == ["default", "scripted"]
    assert upstream.asked(COMPLETIONS)[0]["model"] == "openai/gpt"
