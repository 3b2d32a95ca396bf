"""Model servers that do not keep to their own documentation: what they send costs a detail, never an answer."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from starlette.types import Message

from relay.llm.chat import Chunk, RequestTiming
from relay.llm.gateway.api_format import AnswerSummary, ApiFormat
from relay.llm.gateway.ollama_api import OllamaAnswer
from relay.llm.gateway.openai_api import OpenAiAnswer
from relay.llm.gateway.response import AnswerResponse, OnChunk
from tests.llm.running_llm_server import nothing_configured, ollama, openai, openrouter, running
from tests.llm.scripted_upstream import (
    COMPLETIONS,
    DONE,
    NDJSON,
    SSE,
    Call,
    Script,
    Upstream,
    chat,
    completion,
    delta,
    hangs,
    last_line,
    line,
    responds,
    streams,
)

MAKE = {"openrouter": openrouter, "ollama": ollama, "openai": openai}


@pytest.fixture
async def upstream(upstream: Upstream) -> Upstream:
    """Also answers every question with hello."""
    upstream.on(COMPLETIONS, completion("hello"))
    upstream.on("/api/chat", chat("hello"))
    return upstream


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
    """The first probe ends, so that no request waits for it forever."""
    upstream.on(path, responds(200, body))
    async with running(MAKE[source](tmp_path, upstream)) as server:
        assert (await server.chat()).json()["message"]["content"] == "hello"
        assert (await server.status())["status"] == "ok"


async def test_a_port_that_never_answers_delays_no_request_for_long(upstream: Upstream, tmp_path: Path) -> None:
    """What merely might be a model server is given a moment, and the rest is used."""
    upstream.on("/v1/models", hangs)
    async with running(nothing_configured(tmp_path, simulated=True), local_ports=(upstream.port,)) as server:
        assert (await server.chat("hi")).json()["x_relay"]["source"] == "demo"


# -- models that are not there -----------------------------------------------------------------------------------------


async def test_a_model_that_is_installed_later_is_used_then(
    upstream: Upstream, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A missing model with nothing to ask instead is asked for again at each question, and told in the log once."""
    missing = responds(404, {"error": "model 'scripted' not found"})
    upstream.on("/api/chat", missing, missing, chat("here now"))
    async with running(ollama(tmp_path, upstream)) as server:
        assert [(await server.chat()).status_code for _ in range(2)] == [404, 404]
        status = await server.status()
        assert (status["model"], status["replaced_models"]) == ("scripted:latest", {})
        assert (await server.chat()).json()["message"]["content"] == "here now"
    assert [record for record in caplog.messages if "ollama pull scripted" in record] == caplog.messages[-1:]


async def test_an_ollama_without_any_model_is_told_so_each_time(upstream: Upstream, tmp_path: Path) -> None:
    """The sentence says what to do, the status says it too, and a model that comes later answers."""
    upstream.on("/api/tags", responds(200, {"models": []}))
    async with running(ollama(tmp_path, upstream, ollama_model=None)) as server:
        for _ in range(2):
            response = await server.chat()
            assert (response.status_code, "ollama pull" in response.json()["error"]) == (404, True)
        assert "ollama pull" in (await server.status())["problem"]
        upstream.on("/api/tags", responds(200, {"models": [{"name": "scripted:latest"}]}))
        assert (await server.chat()).json()["message"]["content"] == "hello"


# -- what a server sends as an answer ----------------------------------------------------------------------------------


def event(*, finish: Any = None, **content: Any) -> str:
    return f"data: {json.dumps({'choices': [{'delta': content, 'finish_reason': finish}]})}\n\n"


def calling(**function: Any) -> Script:
    """A whole answer that calls a function."""
    return streams(event(tool_calls=[{"index": 0, "function": function}]), event(finish="tool_calls"), DONE)


def message(**content: Any) -> str:
    return json.dumps({"message": content, "done": False}) + "\n"


def ndjson(*lines: str) -> Script:
    return streams(*lines, content_type=NDJSON)


USAGE_THAT_IS_NONE = '{"choices":[{"delta":{},"finish_reason":"stop"}],"usage":{"prompt_tokens":-1,"cost":NaN}}'
LOGPROBS = '{"choices":[{"delta":{"content":"hello"},"logprobs":{"x":-Infinity}}]}'

READABLE: list[tuple[str, str, Script]] = [
    ("a number as model", "openai", streams(delta("hello", model=5), delta(finish="stop"), DONE)),
    ("text as usage", "openai", completion("hello", usage={"prompt_tokens": "12", "completion_tokens": "3"})),
    ("usage below nothing", "openai", completion("hello", usage={"prompt_tokens": -12, "cost": -1})),
    ("text as cost", "openai", completion("hello", usage={"cost": "0.1"})),
    ("no number as cost", "openai", streams(delta("hello"), f"data: {USAGE_THAT_IS_NONE}\n\n", DONE)),
    ("infinite probabilities", "openai", streams(f"data: {LOGPROBS}\n\n", delta(finish="stop"), DONE)),
    ("an object as finish", "openai", streams(delta("hello"), event(finish={"a": 1}), DONE)),
    ("content in parts", "openai", streams(event(content=[{"type": "text", "text": "hello"}]), event(finish="stop"))),
    ("a call that is none", "openai", streams(event(content="hello", tool_calls=["x"]), event(finish="stop"), DONE)),
    (
        "a call without a name",
        "openai",
        streams(delta("hello"), event(tool_calls=[{"index": []}]), delta(finish="stop")),
    ),
    ("text as counts", "ollama", ndjson(line("hello"), last_line(prompt_eval_count="12", load_duration="x"))),
    ("counts below nothing", "ollama", ndjson(line("hello"), last_line(prompt_eval_count=-12, eval_count=-5))),
    ("a number as model", "ollama", ndjson(line("hello"), last_line(model=5))),
    ("thoughts that are none", "ollama", ndjson(message(content="hello", thinking={"a": 1}), last_line())),
    ("calls that are none", "ollama", ndjson(message(content="hello", tool_calls={"a": 1}), last_line())),
    ("a call that is none", "ollama", ndjson(message(content="hello", tool_calls=["a", {}]), last_line())),
    ("an error that is none", "ollama", ndjson(line("hello", error=None), last_line(error=None))),
]


@pytest.mark.parametrize(("what", "source", "script"), READABLE, ids=[f"{row[1]} {row[0]}" for row in READABLE])
@pytest.mark.parametrize("stream", [True, False])
async def test_what_can_be_read_is_an_answer(
    what: str, source: str, script: Script, stream: bool, upstream: Upstream, tmp_path: Path
) -> None:
    """The text arrives and the answer ends as it should; counts that are none are 0."""
    upstream.on(COMPLETIONS, script)
    upstream.on("/api/chat", script)
    async with running(MAKE[source](tmp_path, upstream)) as server:
        lines = [json.loads(row) for row in (await server.chat(stream=stream)).text.splitlines()]
    assert "".join(row["message"]["content"] for row in lines) == "hello"
    assert lines[-1]["done"]
    assert lines[-1]["prompt_eval_count"] in {0, 12}


@pytest.mark.parametrize(
    ("source", "script"),
    [
        ("openai", calling(name="f", arguments={"a": 1})),
        ("openai", calling(name="f", arguments='{"a": 1}')),
        ("ollama", ndjson(message(tool_calls=[{"function": {"name": "f", "arguments": '{"a": 1}'}}]), last_line())),
        ("ollama", ndjson(message(tool_calls=[{"function": {"name": "f", "arguments": {"a": 1}}}]), last_line())),
    ],
)
async def test_arguments_may_be_an_object_or_its_text(
    source: str, script: Script, upstream: Upstream, tmp_path: Path
) -> None:
    """Servers confuse the two protocols here; the caller gets what its own protocol has."""
    upstream.on(COMPLETIONS, script)
    upstream.on("/api/chat", script)
    async with running(MAKE[source](tmp_path, upstream)) as server:
        [call] = (await server.chat()).json()["message"]["tool_calls"]
        assert call["function"]["arguments"] == {"a": 1}
        body = {"messages": [{"role": "user", "content": "x"}]}
        [choice] = (await server.http.post("/v1/chat/completions", json=body)).json()["choices"]
        assert json.loads(choice["message"]["tool_calls"][0]["function"]["arguments"]) == {"a": 1}


def raw(data: bytes) -> Script:
    """Sends bytes that are perhaps no HTTP, and closes."""

    async def script(call: Call) -> None:
        call.writer.write(data)
        await call.writer.drain()
        call.writer.close()

    return script


HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
DEEP = '{"a":' * 5000 + "1" + "}" * 5000
UNREADABLE: list[tuple[str, str, Script]] = [
    ("depth", "openai", streams(f"data: {DEEP}\n\n")),
    ("depth", "ollama", ndjson(DEEP + "\n")),
    ("a cut in a character", "openai", streams(b'data: {"choices":[{"delta":{"content":"\xf0\x9f')),
    ("arguments that end early", "openai", calling(name="f", arguments='{"a":')),
    ("arguments that are a list", "openai", calling(name="f", arguments="[1]")),
    ("comments only", "openai", streams(": PROCESSING\n\n" * 3)),
    ("garbage", "openai", raw(b"\x00\x01\r\n\r\n")),
    ("a header without end", "openai", raw(HEAD + b"X: " + b"x" * 100_000)),
    ("a length that is none", "openai", raw(HEAD + b"Content-Length: x\r\n\r\n{}")),
    ("a chunk that is none", "openai", raw(HEAD + b"Transfer-Encoding: chunked\r\n\r\nZZ\r\n{}")),
]


@pytest.mark.parametrize(("what", "source", "script"), UNREADABLE, ids=[f"{row[1]} {row[0]}" for row in UNREADABLE])
async def test_what_cannot_be_read_is_the_sources_failure(
    what: str, source: str, script: Script, upstream: Upstream, tmp_path: Path
) -> None:
    """503 and a sentence of ours, never a mistake of this server's own."""
    upstream.on(COMPLETIONS, script)
    upstream.on("/api/chat", script)
    async with running(MAKE[source](tmp_path, upstream, llm_attempts=1)) as server:
        response = await server.chat()
        assert (response.status_code, response.json()["kind"]) == (503, "unavailable")
        assert response.json()["error"].startswith(source)
        assert "http://127.0.0.1" not in response.json()["error"].replace(upstream.url, "")


async def test_a_number_as_content_is_an_empty_answer(upstream: Upstream, tmp_path: Path) -> None:
    """The server works; there is merely no text in what it sent."""
    upstream.on("/api/chat", ndjson(message(content=5), last_line()))
    async with running(ollama(tmp_path, upstream, llm_attempts=1)) as server:
        response = await server.chat()
    assert (response.status_code, response.json()["kind"]) == (502, "empty")


# -- mistakes of our own -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("api_format", [OllamaAnswer("m"), OpenAiAnswer("m", with_usage=False)])
async def test_an_unforeseen_error_ends_a_stream_with_a_word(api_format: ApiFormat) -> None:
    """The caller who has read half of an answer is told, and the error still reaches the log."""
    sent: list[Message] = []

    async def ask(on_chunk: OnChunk, _timing: RequestTiming) -> AnswerSummary:
        await on_chunk(Chunk("half"))
        raise ZeroDivisionError

    async def receive() -> Message:
        await asyncio.Event().wait()
        raise AssertionError

    async def send(message: Message) -> None:
        sent.append(message)

    with pytest.raises(ZeroDivisionError):
        await AnswerResponse(ask, api_format, stream=True, keepalive_seconds=10, request_id="r")({}, receive, send)
    assert b"half" in sent[1]["body"]
    assert b"went wrong on our side" in sent[2]["body"]
    assert not sent[2]["more_body"]


async def test_thoughts_are_cut_from_a_whole_answer_wherever_their_end_was_cut(
    upstream: Upstream, tmp_path: Path
) -> None:
    """Without an opening tag only the closing one tells, and it may come in two pieces."""

    async def in_pieces(call: Call) -> None:
        await call.begin(SSE)
        for word in ("I wonder</th", "ink>Hello"):
            await call.send(delta(word))
            await asyncio.sleep(0)
        await call.send(delta(finish="stop") + DONE)
        await call.end()

    upstream.on(COMPLETIONS, in_pieces)
    async with running(openai(tmp_path, upstream)) as server:
        assert (await server.chat()).json()["message"]["content"] == "Hello"
