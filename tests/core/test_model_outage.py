"""When postponed questions are asked as trials, and when all of them."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from relay.core.http_client import open_http_client
from relay.core.model_outage import MAX_TRIALS, ModelOutage
from relay.llm.client import LlmClient
from tests.core.harness import ANN, BOB, CAT, RelayHarness
from tests.english import english
from tests.llm.running_llm_server import openai, running
from tests.llm.scripted_upstream import completion, responds, scripted_upstream
from tests.settings import Settings


class Server:
    """An LLM server whose state the test sets."""

    def __init__(self) -> None:
        self.usable = False
        self.checks = 0

    async def is_usable(self) -> bool:
        self.checks += 1
        return self.usable


async def test_a_recovery_is_tried_until_the_first_answer() -> None:
    """A trial may meet another server's trial; the first answer ends it, and what waits is asked once."""
    server = Server()
    outage = ModelOutage(server.is_usable)
    assert not await outage.check()
    server.usable = True
    assert await outage.check()
    assert await outage.check()
    assert outage.end()
    assert not outage.end()


async def test_trials_have_an_end() -> None:
    """A question that fails although the model is usable must not be asked at every sweep for an hour."""
    server = Server()
    server.usable = True
    outage = ModelOutage(server.is_usable)
    assert sum([await outage.check() for _ in range(3 * MAX_TRIALS)]) == MAX_TRIALS
    server.usable = False
    assert not await outage.check()
    server.usable = True
    assert await outage.check()


async def test_without_postponed_questions_the_server_is_not_asked() -> None:
    """Nor after an answer, until a question is postponed again; then only a recovery brings trials."""
    server = Server()
    server.usable = True
    outage = ModelOutage(server.is_usable)
    assert await outage.check()
    outage.end()
    assert not await outage.check()
    assert server.checks == 1
    outage.begin()
    assert not await outage.check()
    assert server.checks == 2
    assert not outage.end()


async def test_after_ten_minutes_without_the_model_all_are_answered_within_two_sweeps(
    relay: RelayHarness, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Over sockets: the LLM server finds its source again by a probe, and the channel learns it from its GET /."""
    monkeypatch.setattr("relay.llm.gateway.gateway._OUTAGE_PROBE_SECONDS", 0.01)
    async with scripted_upstream() as upstream, open_http_client() as http:
        for path in ("/models", "/chat/completions"):
            upstream.on(path, responds(503, "away"))
        async with running(openai(tmp_path, upstream)) as server:
            await relay.stop()
            relay.model = LlmClient(http, Settings(llm_server_url=server.url))  # type: ignore[assignment]  # (not scripted)
            relay.rebuild()
            await relay.start()
            for user in (ANN, BOB, CAT):
                await relay.receive("Hello", from_=user)
            for _ in range(12):
                await relay.advance(50)
                server.clock.now += 50
            upstream.on("/models", responds(200, {"data": [{"id": "scripted"}]}))
            upstream.on("/chat/completions", completion("back"))
            async with asyncio.timeout(60):
                while (await server.status())["status"] != "ok":
                    pass
            await relay.advance(2)
            await relay.advance(2)
    assert [relay.channel.to(user) for user in (ANN, BOB, CAT)] == [[english("answer-later"), "back"]] * 3
