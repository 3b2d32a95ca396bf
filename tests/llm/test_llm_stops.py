"""An answer that its client ends: the model's work ends at once, and what it used until then is returned."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from relay.channels.telegram.spec import TELEGRAM
from relay.core.http_client import open_http_client
from relay.core.messages import Answer
from relay.core.progress import Progress
from relay.llm.client import LlmClient
from tests.llm.running_llm_server import ollama, openai, running
from tests.llm.scripted_upstream import (
    COMPLETIONS,
    NDJSON,
    Upstream,
    delta,
    line,
    responds,
    scripted_upstream,
    streams_then_hangs,
)
from tests.settings import Settings

QUESTION = [{"role": "user", "content": "x" * 400}]
PRICES = {"scripted": (10.0, 1000.0)}
THOUGHT = f"data: {json.dumps({'choices': [{'index': 0, 'delta': {'reasoning': 'h' * 40}}]})}\n\n"
COUNTED = {"prompt_tokens": 90, "completion_tokens": 7}


@pytest.fixture
async def upstream() -> AsyncIterator[Upstream]:
    async with scripted_upstream() as found:
        yield found


class Reader(Progress):
    """Stops the answer as soon as it has "upon"; `begun` is set when it has any text."""

    def __init__(self, begun: asyncio.Event) -> None:
        super().__init__()
        self._begun = begun

    def changed(self) -> None:
        self._begun.set()
        if self.text.endswith("upon"):
            self.stop()


async def stopped(url: str, begun: asyncio.Event) -> Answer | None:
    """The answer of a client that ends it."""
    progress = Reader(begun)
    async with open_http_client() as http:
        client = LlmClient(http, Settings(llm_server_url=url))
        asking = client.ask(QUESTION, platform=TELEGRAM, user="p", name=None, progress=progress)
        return await progress.until_stopped(asking)


@pytest.mark.parametrize(
    ("first", "last", "prompt", "tokens", "cost", "estimated"),
    [
        (delta("Once "), delta("upon", usage=COUNTED), 90, 7, 0.0079, False),
        (delta("Once ", usage=COUNTED), delta("upon"), 90, 8, 0.0089, True),
        (delta("Once "), delta("upon", usage={**COUNTED, "cost": 0.5}), 90, 7, 0.5, False),
        (delta("Once ", usage={**COUNTED, "cost": 0.5}), delta("upon"), 90, 8, 0.5, True),
        (delta("Once "), delta("upon", usage=None), 138, 2, 0.00338, True),
        (THOUGHT, delta("upon"), 138, 11, 0.01238, True),
    ],
)
async def test_a_stopped_answer_has_its_cost(
    upstream: Upstream,
    tmp_path: Path,
    first: str,
    last: str,
    prompt: int,
    tokens: int,
    cost: float,
    estimated: bool,
) -> None:
    """What the source counted in its events; what it had not counted is estimated, marked, and priced."""
    upstream.on(COMPLETIONS, upstream.held_after(first, streams_then_hangs(last)))
    async with running(openai(tmp_path, upstream, llm_prices=PRICES)) as server:
        asking = asyncio.create_task(stopped(server.url, upstream.release))
        call = await upstream.arrival(COMPLETIONS)
        if first == THOUGHT:
            upstream.release.set()
        answer = await asking
        assert answer is not None
        assert (answer.stopped, answer.estimated) == (True, estimated)
        assert (answer.prompt_tokens, answer.answer_tokens) == (prompt, tokens)
        assert answer.cost_usd == pytest.approx(cost)
        assert (await server.status())["spent_this_month_usd"] == pytest.approx(cost)
    await asyncio.wait_for(call.gone.wait(), 60)


async def test_a_free_source_costs_nothing(upstream: Upstream, tmp_path: Path) -> None:
    """Its tokens are estimated all the same."""
    upstream.on("/api/chat", streams_then_hangs(line("Once "), line("upon"), content_type=NDJSON))
    async with running(ollama(tmp_path, upstream)) as server:
        answer = await stopped(server.url, upstream.release)
    assert answer is not None
    assert (answer.cost_usd, answer.answer_tokens, answer.estimated) == (0.0, 2, True)


@pytest.mark.parametrize(
    ("body", "status"), [({"id": "nobody"}, 404), ({"id": ""}, 404), ({}, 400), ({"id": 5}, 400), ([], 400)]
)
async def test_an_answer_that_is_not_written_cannot_be_stopped(
    upstream: Upstream, tmp_path: Path, body: Any, status: int
) -> None:
    """The client leaves instead, which ends it as well."""
    async with running(openai(tmp_path, upstream)) as server:
        assert (await server.http.post("/api/stop", json=body)).status_code == status


async def test_a_server_that_cannot_stop_is_left(upstream: Upstream) -> None:
    """A real Ollama has no such route: the connection is closed, and nothing is known of the cost."""
    upstream.on("/api/chat", streams_then_hangs(line("Once "), line("upon"), content_type=NDJSON))
    upstream.on("/api/stop", responds(404, "404 page not found"))
    assert await stopped(upstream.url, upstream.release) is None
    await asyncio.wait_for(upstream.calls[0].gone.wait(), 60)
