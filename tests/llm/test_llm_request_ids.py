"""The id of a request goes from the caller to the provider, and the provider's own id comes back."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import httpx
import pytest

from relay.config.logs import REQUEST_ID
from relay.core.messages import Platform
from relay.llm.client import LlmClient
from tests.llm.running_llm_server import openai, running
from tests.llm.scripted_upstream import responds, scripted_upstream

COMPLETION = {"id": "gen-42", "choices": [{"message": {"content": "Hello!"}, "finish_reason": "stop"}]}
ASKED = {"messages": [{"role": "user", "content": "Hi"}]}


async def test_a_channels_question_is_found_by_its_id_everywhere(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """In the request to the provider, in the log of the server, and in the answer with the provider's id."""
    caplog.set_level(logging.INFO, "relay.gateway")
    async with scripted_upstream() as upstream:
        upstream.on("/chat/completions", responds(200, COMPLETION))
        async with running(openai(tmp_path, upstream)) as server, httpx.AsyncClient() as http:
            client = LlmClient(http, openai(tmp_path, upstream, llm_server_url=server.url))
            token = REQUEST_ID.set("sms-12")
            try:
                answer = await client.ask(ASKED["messages"], platform=Platform("sms"), user="a", name=None)
            finally:
                REQUEST_ID.reset(token)
    assert (answer.request_id, answer.generation_id) == ("sms-12", "gen-42")
    [asked] = [call for call in upstream.calls if call.path == "/chat/completions"]
    assert asked.headers["x-request-id"] == "sms-12"
    assert "generation gen-42" in caplog.text


async def test_the_vector_of_a_question_is_asked_for_by_its_id(tmp_path: Path) -> None:
    """To the provider; another client's id is echoed, also with an error."""
    async with scripted_upstream() as upstream:
        upstream.on("/models", responds(200, {"data": [{"id": "scripted"}]}))
        upstream.on("/embeddings", responds(200, {"data": [{"index": 0, "embedding": [1, 0]}]}))
        settings = openai(tmp_path, upstream, embedding_model="openai:scripted", internal_token="let-me-in-please")
        async with running(settings) as server, httpx.AsyncClient() as http:
            client = LlmClient(http, settings.model_copy(update={"llm_server_url": server.url}))
            token = REQUEST_ID.set("sms-12")
            try:
                assert await client.embed("default", ["Hi"]) == [[1, 0]]
            finally:
                REQUEST_ID.reset(token)
            headers = {"Authorization": "Bearer let-me-in-please", "X-Request-Id": "mine:1"}
            for body, status in (({"input": "a"}, 200), ({"input": []}, 400), ({"input": "a", "model": "no"}, 404)):
                answer = await server.http.post("/v1/embeddings", json=body, headers=headers)
                assert (answer.status_code, answer.headers.get("x-request-id")) == (
                    status,
                    None if status == 400 else "mine:1",
                )
    asked = [call.headers["x-request-id"] for call in upstream.calls if call.path == "/embeddings"]
    assert asked == ["sms-12", "mine:1"]


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("path", ["/api/chat", "/v1/chat/completions"])
async def test_another_clients_id_is_echoed(tmp_path: Path, path: str, *, stream: bool) -> None:
    """With the internal token, because proxies add the same header; answers and errors both have it."""
    async with scripted_upstream() as upstream:
        upstream.on("/chat/completions", responds(200, COMPLETION), responds(401, {}))
        async with running(openai(tmp_path, upstream, internal_token="let-me-in-please")) as server:
            for _ in range(2):
                headers = {"Authorization": "Bearer let-me-in-please", "X-Request-Id": "mine:1"}
                answer = await server.http.post(path, json={**ASKED, "stream": stream}, headers=headers)
                assert answer.headers["x-request-id"] == "mine:1"
            assert answer.status_code == 502
    assert upstream.calls[-1].headers["x-request-id"] == "mine:1"


@pytest.mark.parametrize("given", ["", "two words", "a" * 101, "x\n[sms-1] forged", "ключ", None])
async def test_what_is_no_id_gets_one_of_ours(tmp_path: Path, given: Any) -> None:
    """It would stand in the log, and in a header."""
    async with scripted_upstream() as upstream:
        upstream.on("/chat/completions", responds(200, COMPLETION))
        async with running(openai(tmp_path, upstream)) as server:
            answer = await server.chat("Hi", x_relay={"request_id": given})
    assert answer.status_code == 200
    assert answer.headers["x-request-id"].startswith("llm-")
    assert upstream.calls[-1].headers["x-request-id"] == answer.headers["x-request-id"]
