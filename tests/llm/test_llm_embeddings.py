"""Embeddings: three routes, two protocols behind them, and an honest error for everything that is no vector."""

from __future__ import annotations

import base64
from array import array
from pathlib import Path
from typing import Any

import httpx
import openai as openai_client
import pytest

from relay.core.errors import ModelError, ModelFailure
from relay.llm.client import LlmClient
from tests.llm.running_llm_server import Running, ollama, openai, running
from tests.llm.scripted_upstream import responds, scripted_upstream

OPENAI = {
    "data": [{"index": 1, "embedding": [0.5, 0.25]}, {"index": 0, "embedding": [1, 0]}],
    "usage": {"prompt_tokens": 7},
}
OLLAMA = {"embeddings": [[1.0, 0.0], [0.5, 0.25]], "prompt_eval_count": 7}


async def vectors(server: Running) -> list[Any]:
    """Of two texts, by each of the routes that take several."""
    body = {"model": "", "input": ["a", "b"]}
    one = (await server.http.post("/v1/embeddings", json=body)).json()
    other = (await server.http.post("/api/embed", json=body)).json()
    return [[row["embedding"] for row in one["data"]], other["embeddings"]]


async def test_both_protocols_are_offered_in_front_of_both(tmp_path: Path) -> None:
    """In the order of the texts, whatever that of the answer; one text may stand alone."""
    async with scripted_upstream() as upstream:
        upstream.on("/models", responds(200, {"data": [{"id": "scripted"}, {"id": "vec"}]}))
        upstream.on("/embeddings", responds(200, OPENAI))
        async with running(openai(tmp_path, upstream, embedding_model="openai:vec")) as server:
            assert await vectors(server) == [[[1, 0], [0.5, 0.25]]] * 2
            assert upstream.calls[-1].body == {"model": "vec", "input": ["a", "b"]}
        upstream.on("/api/tags", responds(200, {"models": [{"name": "scripted"}, {"name": "vec:latest"}]}))
        upstream.on("/api/show", responds(200, {}))
        upstream.on("/api/embed", responds(200, OLLAMA))
        async with running(ollama(tmp_path, upstream, embedding_model="vec")) as server:
            assert await vectors(server) == [[[1, 0], [0.5, 0.25]]] * 2
            upstream.on("/api/embed", responds(200, {"embeddings": [[2.0]]}))
            old = await server.http.post("/api/embeddings", json={"model": "vec", "prompt": "a"})
            none = await server.http.post("/api/embeddings", json={"model": "vec", "prompt": ""})
            assert (old.json(), none.json()) == ({"embedding": [2.0]}, {"embedding": []})
            assert upstream.calls[-1].body == {"model": "vec:latest", "input": ["a"]}


async def test_an_answer_has_all_fields_of_ollamas(tmp_path: Path) -> None:
    """Clients with a schema refuse one that lacks any: https://github.com/nordwestt/ollama-ai-provider-v2."""
    async with scripted_upstream() as upstream:
        upstream.on("/models", responds(200, {"data": [{"id": "vec"}]}))
        upstream.on("/embeddings", responds(200, OPENAI))
        async with running(openai(tmp_path, upstream, embedding_model="openai:vec")) as server:
            answer = (await server.http.post("/api/embed", json={"model": "vec", "input": ["a", "b"]})).json()
    assert (answer["model"], answer["load_duration"], answer["prompt_eval_count"]) == ("vec", 0, 7)
    assert answer["total_duration"] > 0


async def test_the_official_client_reads_them_as_base64(tmp_path: Path) -> None:
    """It asks for that by itself; usage and model are there."""
    async with scripted_upstream() as upstream:
        upstream.on("/models", responds(200, {"data": [{"id": "vec"}]}))
        upstream.on("/embeddings", responds(200, OPENAI))
        async with running(openai(tmp_path, upstream, openai_model="vec")) as server:
            async with openai_client.AsyncOpenAI(base_url=f"{server.url}/v1", api_key="none") as client:
                found = await client.embeddings.create(model="vec", input=["a", "b"], dimensions=2)
            raw = await server.http.post(
                "/v1/embeddings", json={"model": "vec", "input": ["a", "b"], "encoding_format": "base64"}
            )
    assert [row.embedding for row in found.data] == [[1, 0], [0.5, 0.25]]
    assert (found.model, found.usage.prompt_tokens) == ("vec", 7)
    assert upstream.calls[-2].body["dimensions"] == 2
    assert list(array("f", base64.b64decode(raw.json()["data"][1]["embedding"]))) == [0.5, 0.25]


NO_VECTORS: list[tuple[str, Any]] = [
    ("too few", {"data": [{"index": 0, "embedding": [1, 0]}]}),
    ("empty", {"data": [{"index": 0, "embedding": []}, {"index": 1, "embedding": []}]}),
    ("of two lengths", {"data": [{"index": 0, "embedding": [1]}, {"index": 1, "embedding": [1, 2]}]}),
    ("of words", {"data": [{"index": 0, "embedding": ["a"]}, {"index": 1, "embedding": ["b"]}]}),
    ("an error with status 200", {"error": {"message": "no such model"}}),
    ("a list", [1, 2]),
    ("text", "hello"),
]


@pytest.mark.parametrize("body", [row[1] for row in NO_VECTORS], ids=[row[0] for row in NO_VECTORS])
async def test_what_is_no_embedding_is_an_error(tmp_path: Path, body: Any) -> None:
    """Never a wrong success: a search by it would find anything."""
    async with scripted_upstream() as upstream:
        upstream.on("/models", responds(200, {"data": [{"id": "vec"}]}))
        upstream.on("/embeddings", responds(200, body))
        async with running(openai(tmp_path, upstream, openai_model="vec", embedding_model="vec")) as server:
            answer = await server.http.post("/v1/embeddings", json={"input": ["a", "b"]})
            assert answer.status_code == 503
            async with httpx.AsyncClient() as http:
                client = LlmClient(http, openai(tmp_path, upstream, llm_server_url=server.url))
                with pytest.raises(ModelError) as caught:
                    await client.embed("vec", ["a", "b"])
    assert caught.value.kind is ModelFailure.UNAVAILABLE


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"input": "a"}, 404),
        ({"model": "none", "input": "a"}, 404),
        ({"model": "demo", "input": "a"}, 404),
        ({"model": "vec"}, 400),
        ({"model": "vec", "input": []}, 400),
        ({"model": "vec", "input": [1, 2]}, 400),
        ({"model": "vec", "input": ["a"] * 3000}, 400),
        ({"model": "vec", "input": "a", "dimensions": 0}, 400),
    ],
)
async def test_what_cannot_be_embedded_is_refused_with_a_sentence(
    tmp_path: Path, body: dict[str, Any], status: int
) -> None:
    """Without a model named or configured, with a model that is not there or makes none, without text."""
    async with scripted_upstream() as upstream:
        upstream.on("/models", responds(200, {"data": [{"id": "vec"}]}))
        async with running(openai(tmp_path, upstream, openai_model="vec")) as server:
            answer = await server.http.post("/v1/embeddings", json=body)
    assert answer.status_code == status
    assert answer.json()["error"]["message"]
