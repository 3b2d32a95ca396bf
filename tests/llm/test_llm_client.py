"""The channels' client of the LLM server: answers, every kind of failure, and hanging up."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from relay.channels.sms.spec import SMS
from relay.core.errors import ModelError, ModelFailure
from relay.core.http_client import open_http_client
from relay.core.messages import Answer
from relay.llm.client import LlmClient
from tests.llm.running_llm_server import made, running
from tests.llm.scripted_upstream import (
    NDJSON,
    Script,
    Upstream,
    chat,
    hangs,
    last_line,
    line,
    responds,
    scripted_upstream,
    streams,
    streams_then_cuts,
    streams_then_hangs,
)
from tests.settings import Settings

MESSAGES = [{"role": "system", "content": "be short"}, {"role": "user", "content": "Hello"}]


@pytest.fixture
async def upstream() -> AsyncIterator[Upstream]:
    async with scripted_upstream() as found:
        yield found


async def ask(url: str, **settings: float | str) -> Answer:
    async with open_http_client() as http:
        client = LlmClient(http, Settings(llm_server_url=url, **settings))
        return await client.ask(MESSAGES, platform=SMS, user="p1", name="Alice")


async def test_it_asks_our_server_and_reads_the_accounts(tmp_path: Path) -> None:
    """Provider, model, cost and times of the answer come with it."""
    async with running(made(tmp_path, llm_source="demo")) as server:
        answer = await ask(server.url)
    assert answer.text.startswith("Hello Alice!")
    assert (answer.source, answer.model, answer.cost_usd, answer.degraded) == ("demo", "demo", 0.0, False)
    assert answer.first_token_seconds is not None
    assert 0 < answer.first_token_seconds <= answer.total_seconds
    assert answer.answer_tokens > 0


async def test_it_can_talk_to_a_real_ollama_as_well(upstream: Upstream) -> None:
    """Without x_relay in the last line the answer is complete all the same; who asks is told to the server."""
    upstream.on("/api/chat", chat("Hi ", "there"))
    answer = await ask(upstream.url, internal_token="sesame")
    assert (answer.text, answer.source, answer.model, answer.cost_usd) == ("Hi there", "ollama", "scripted", None)
    assert (answer.prompt_tokens, answer.answer_tokens) == (12, 3)
    asked = upstream.asked("/api/chat")[0]
    assert (asked["model"], asked["stream"], asked["messages"]) == ("default", True, MESSAGES)
    assert len(asked["x_relay"].pop("id")) == 32
    assert asked["x_relay"] == {"channel": "sms", "name": "Alice", "person": "p1"}
    assert upstream.calls[0].headers["authorization"] == "Bearer sesame"


FAILURES: list[tuple[str, Script, ModelFailure]] = [
    ("a kind", responds(402, {"error": "no money", "kind": "credits"}), ModelFailure.CREDITS),
    ("a status without kind", responds(404, {"error": "model not found"}), ModelFailure.NOT_FOUND),
    ("a wrong internal token", responds(401, {"error": "this route wants the token"}), ModelFailure.AUTH),
    ("an unknown kind", responds(500, {"error": "x", "kind": "mood"}), ModelFailure.UNAVAILABLE),
    ("a web page", responds(502, "<html>", "text/html"), ModelFailure.UNAVAILABLE),
    ("a web page with status 200", responds(200, "<html>", "text/html"), ModelFailure.UNAVAILABLE),
    ("a list", streams("[1]\n", content_type=NDJSON), ModelFailure.UNAVAILABLE),
    ("nothing", responds(200, "", NDJSON), ModelFailure.UNAVAILABLE),
    ("an empty answer", streams(line(""), last_line()), ModelFailure.EMPTY),
    ("thoughts alone", streams(line("hm </think>"), last_line()), ModelFailure.EMPTY),
    ("no last line", streams(line("Hel")), ModelFailure.UNAVAILABLE),
    ("half a line", streams(line("Hel"), '{"mess'), ModelFailure.UNAVAILABLE),
    ("a cut", streams_then_cuts(line("Hel")), ModelFailure.UNAVAILABLE),
    ("an error line", streams(line("Hel"), '{"error": "x", "kind": "timeout"}\n'), ModelFailure.TIMEOUT),
    ("a content that is no text", streams(line(message={"content": 5}), last_line()), ModelFailure.EMPTY),
]


@pytest.mark.parametrize(("what", "script", "kind"), FAILURES, ids=[row[0] for row in FAILURES])
async def test_every_failure_is_a_model_error(
    what: str, script: Script, kind: ModelFailure, upstream: Upstream
) -> None:
    """The kind is the server's own word where it has one."""
    upstream.on("/api/chat", script)
    with pytest.raises(ModelError) as failure:
        await ask(upstream.url)
    assert failure.value.kind is kind
    assert failure.value.message


async def test_the_wait_that_the_server_asks_for_arrives(upstream: Upstream) -> None:
    """From the body, or from the header."""
    for script in (
        responds(429, {"error": "x", "kind": "rate_limit", "retry_after": 9}),
        responds(429, {"error": "x"}, Retry_After="9"),
    ):
        upstream.on("/api/chat", script)
        with pytest.raises(ModelError) as failure:
            await ask(upstream.url)
        assert failure.value.retry_after == 9
        assert failure.value.passing


@pytest.mark.parametrize("wait", ["soon", "nan", "inf", [5]])
async def test_a_wait_that_is_none_is_left_out(wait: object, upstream: Upstream) -> None:
    """The failure arrives all the same."""
    upstream.on("/api/chat", responds(429, {"error": "slow down", "retry_after": wait}))
    with pytest.raises(ModelError) as failure:
        await ask(upstream.url)
    assert (failure.value.kind, failure.value.retry_after) == (ModelFailure.RATE_LIMIT, None)


async def test_a_missing_server_is_unavailable() -> None:
    """A server that is not running: told in words, passing."""
    with pytest.raises(ModelError, match="nothing listens there") as failure:
        await ask("http://127.0.0.1:9")
    assert failure.value.kind is ModelFailure.UNAVAILABLE


async def test_a_server_that_hangs_is_left_at_the_deadline(upstream: Upstream, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep-alives do not extend the whole."""
    upstream.on("/api/chat", streams_then_hangs(line("")))
    monkeypatch.setattr("relay.llm.client._GRACE_SECONDS", 0.1)
    with pytest.raises(ModelError) as failure:
        await ask(upstream.url, llm_total_seconds=0.1)
    assert failure.value.kind is ModelFailure.TIMEOUT


async def test_cancelling_closes_the_connection(upstream: Upstream) -> None:
    """The server detects the disconnect at once."""
    upstream.on("/api/chat", hangs)
    asking = asyncio.ensure_future(ask(upstream.url))
    call = await upstream.arrival("/api/chat")
    asking.cancel()
    await asyncio.wait_for(call.gone.wait(), 60)


async def test_a_huge_answer_is_cut(upstream: Upstream) -> None:
    """The bound holds whatever the server sends."""
    blocks = ["".join(f"{number:05}" for number in range(start, start + 10_000)) for start in range(0, 90_000, 10_000)]
    upstream.on("/api/chat", streams(*map(line, blocks), last_line()))
    assert len((await ask(upstream.url)).text) == 200_000


@pytest.mark.parametrize(
    ("script", "status"),
    [(responds(200, {"status": "ok", "source": "demo"}), "ok"), (responds(200, "<html>", "text/html"), "unreachable")],
)
async def test_health_is_what_the_server_says(script: Script, status: str, upstream: Upstream) -> None:
    """And "unreachable" for whatever is not our server."""
    upstream.on("/", script)
    async with open_http_client() as http:
        assert (await LlmClient(http, Settings(llm_server_url=upstream.url)).health())["status"] == status
        nowhere = await LlmClient(http, Settings(llm_server_url="http://127.0.0.1:9")).health()
    problem = "the LLM server at http://127.0.0.1:9 cannot be reached: nothing listens there"
    assert nowhere == {"status": "unreachable", "problem": problem}
