"""What a server is asked for: refused fields are left out, answers are limited, thinking is switched off."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from relay.channels.registry import BY_PLATFORM, AllSettings
from relay.config.settings import Settings
from relay.core.http_client import open_http_client
from relay.core.messages import Platform
from relay.llm.client import LlmClient
from tests.llm.running_llm_server import Running, ollama, openai, openrouter, running
from tests.llm.scripted_upstream import (
    COMPLETIONS,
    DONE,
    Call,
    Script,
    Upstream,
    chat,
    completion,
    delta,
    responds,
    streams,
)


def refuses(field: str, script: Script) -> Script:
    """Refuses every request that has the field (or a message of that role), and answers others."""

    async def server(call: Call) -> None:
        roles = {message["role"] for message in call.body["messages"]}
        await (script if field in call.body or field in roles else completion("hello"))(call)

    return server


def refusal(message: str, status: int = 400) -> Script:
    return responds(status, {"error": {"code": status, "message": message}})


EXTRA = responds(422, {"detail": [{"loc": ["body", "stream_options"], "msg": "Extra inputs are not permitted"}]})
REFUSED: list[tuple[str, Script]] = [
    ("system", refusal("Developer instruction is not enabled for models/gemma-3-27b-it")),
    ("system", refusal("System role not supported", 500)),
    ("system", refusal("Conversation roles must alternate user/assistant/user/assistant/...", 500)),
    ("stream_options", refusal("Unknown field: stream_options")),
    ("stream_options", EXTRA),
    ("max_tokens", refusal("Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead.")),
    ("temperature", refusal("Unsupported value: 'temperature' does not support 0.3. Only the default is supported.")),
    ("seed", refusal("Unrecognized request argument supplied: seed")),
    ("chat_template_kwargs", refusal("Unrecognized request argument supplied: chat_template_kwargs")),
]


async def ask(server: Running) -> dict[str, Any]:
    messages = [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "Hello"}]
    options = {"temperature": 0.3, "num_predict": 300, "seed": 1}
    body = {"messages": messages, "options": options, "think": False, "stream": False}
    answer: dict[str, Any] = (await server.http.post("/api/chat", json=body)).json()
    return answer


@pytest.mark.parametrize(("field", "script"), REFUSED, ids=[f"{row[0]} {number}" for number, row in enumerate(REFUSED)])
async def test_a_refused_field_is_left_out_and_remembered(
    field: str, script: Script, upstream: Upstream, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The first question is repeated without it, the second is asked without it, and the operator is told once."""
    upstream.on(COMPLETIONS, refuses(field, script))
    async with running(openai(tmp_path, upstream)) as server:
        assert [(await ask(server))["message"]["content"] for _ in range(2)] == ["hello", "hello"]
        status = await server.status()
    assert len(upstream.asked(COMPLETIONS)) == 3
    assert status["sources"][0]["left_out"] == {"scripted": [field]}
    assert sum(f"is asked without {field}" in message for message in caplog.messages) == 1
    last = upstream.asked(COMPLETIONS)[-1]
    assert "Be kind." in str(last["messages"])
    assert "Hello" in last["messages"][-1]["content"]
    assert last.get("max_completion_tokens" if field == "max_tokens" else "max_tokens") == 300


@pytest.mark.parametrize("message", ["temperature must be below 2", "Invalid request", "tools are not supported"])
async def test_a_request_that_is_wrong_is_not_changed(message: str, upstream: Upstream, tmp_path: Path) -> None:
    """A value that is out of range, or a field that makes the answer, is the caller's to change."""
    upstream.on(COMPLETIONS, refusal(message))
    async with running(openai(tmp_path, upstream)) as server:
        assert (await ask(server))["kind"] == "bad_request"
    assert len(upstream.asked(COMPLETIONS)) == 1


async def test_a_channels_question_that_is_refused_as_a_request_degrades_the_status(
    upstream: Upstream, tmp_path: Path
) -> None:
    """It is the operator's to mend, not the person's; the next answer ends it, and other callers do not count."""
    script = refusal("Invalid request")
    upstream.on(COMPLETIONS, script, script, completion("hello"))
    async with running(openai(tmp_path, upstream)) as server:
        states = [(await server.status())["status"]]
        for extension in ({}, {"channel": "sms", "person": "p"}, {}):
            await server.chat(x_relay=extension)
            states.append((await server.status())["status"])
            problem = (await server.status()).get("problem", "")
            assert ("Invalid request" in problem) == (states[-1] == "degraded")
    assert states == ["ok", "ok", "degraded", "ok"]


async def test_a_server_that_refuses_one_field_after_the_other_is_left_in_peace(
    upstream: Upstream, tmp_path: Path
) -> None:
    """There is a limit to what is left out for one question."""
    fields = iter(("seed", "temperature", "stream_options", "max_tokens", "chat_template_kwargs", "none"))

    async def refuses_next(call: Call) -> None:
        await refusal(f"unknown field {next(fields)}")(call)

    upstream.on(COMPLETIONS, refuses_next)
    async with running(openai(tmp_path, upstream)) as server:
        assert (await ask(server))["kind"] == "bad_request"
    assert len(upstream.asked(COMPLETIONS)) == 5


@pytest.mark.parametrize(
    ("channel", "changes", "tokens"),
    [
        ("sms", {}, 800),
        ("telegram", {}, 2000),
        ("sms", {"sms_answer_tokens": 100}, 100),
        ("telegram", {"telegram_answer_tokens": 50}, 50),
    ],
)
async def test_each_channel_limits_the_tokens_of_an_answer(
    channel: str, changes: dict[str, int], tokens: int, upstream: Upstream, tmp_path: Path
) -> None:
    """The limit reaches the model's server, so that a model that never stops costs no more.

    The settings are those of the running servers, which have the settings of all channels.
    """
    limit = BY_PLATFORM[Platform(channel)].max_answer_tokens(AllSettings(**changes))
    upstream.on(COMPLETIONS, completion("hello"))
    async with running(openai(tmp_path, upstream)) as server, open_http_client() as http:
        client = LlmClient(http, Settings(llm_server_url=server.url), max_tokens=limit)
        await client.ask([{"role": "user", "content": "hi"}], platform=Platform("x"), user="u", name=None)
    assert upstream.asked(COMPLETIONS)[0]["max_tokens"] == tokens


def prompted(system: int, *, history: int = 0, **more: Any) -> dict[str, Any]:
    """A question of a channel with a system prompt of so many bytes and so many earlier exchanges."""
    earlier = [{"role": role, "content": "x" * 600} for _ in range(history) for role in ("user", "assistant")]
    messages = [{"role": "system", "content": "s" * system}, *earlier, {"role": "user", "content": "When do you open?"}]
    return {"messages": messages, "stream": False, "x_relay": {"channel": "sms", "person": "p"}, **more}


async def test_ollama_is_asked_for_the_context_that_the_documents_need(upstream: Upstream, tmp_path: Path) -> None:
    """From the first conversation on that needs it: each change loads the model anew. A size that is set stays."""
    upstream.on("/api/chat", chat("hello"))
    async with running(ollama(tmp_path, upstream)) as server:
        for body in (prompted(1000), prompted(10_000), prompted(1000), prompted(9000, options={"num_ctx": 30_000})):
            assert (await server.http.post("/api/chat", json=body)).status_code == 200
    sizes = [asked.get("options", {}).get("num_ctx") for asked in upstream.asked("/api/chat")]
    assert sizes == [None, 8192, 8192, 30_000]
    async with running(ollama(tmp_path, upstream, ollama_context_tokens=16_000)) as server:
        await server.http.post("/api/chat", json=prompted(10_000, history=3))
    assert upstream.asked("/api/chat")[-1]["options"]["num_ctx"] == 16_000
    assert len(upstream.asked("/api/chat")[-1]["messages"]) == 8


async def test_documents_that_fit_into_no_context_are_the_operators_problem(upstream: Upstream, tmp_path: Path) -> None:
    """Not the person's, whose message is short; the status says what to change. A long message is too long."""
    upstream.on(COMPLETIONS, completion("hello"))
    async with running(openai(tmp_path, upstream, llm_context_tokens=2048)) as server:
        error = (await server.http.post("/api/chat", json=prompted(6000))).json()
        status = await server.status()
        body = prompted(100)
        body["messages"][-1]["content"] = "x" * 9000
        too_long = (await server.http.post("/api/chat", json=body)).json()
    assert (error["kind"], too_long["kind"]) == ("bad_request", "context_too_long")
    assert "lower knowledge_max_bytes" in error["error"]
    assert (status["status"], status["problem"]) == ("degraded", error["error"])
    assert upstream.asked(COMPLETIONS) == []


THOUGHT = [delta(None, choices=[{"index": 0, "delta": {"reasoning_content": "hm"}}])]


@pytest.mark.parametrize("reason", ["stop", "length"])
async def test_a_model_that_only_thought_is_asked_without_thinking(
    reason: str, upstream: Upstream, tmp_path: Path
) -> None:
    """At once, with more room for the answer; from then on it is asked so first, unless a caller wants its thoughts."""
    upstream.on(COMPLETIONS, streams(*THOUGHT, delta(finish=reason), DONE), completion("hello"))
    async with running(openai(tmp_path, upstream)) as server:
        answer = (await server.chat(options={"num_predict": 300})).json()
        assert server.clock.slept == []
        await server.chat()
        await server.chat(think="low")
    assert answer["message"]["content"] == "hello"
    first, second, next_one, thinking = upstream.asked(COMPLETIONS)
    assert next_one["chat_template_kwargs"] == {"enable_thinking": False}
    assert (thinking["reasoning_effort"], "chat_template_kwargs" in thinking) == ("low", False)
    assert (first["max_tokens"], second["max_tokens"]) == (300, 1200)
    assert "chat_template_kwargs" not in first
    assert second["chat_template_kwargs"] == {"enable_thinking": False}


async def test_a_model_that_always_only_thinks_is_asked_three_times(upstream: Upstream, tmp_path: Path) -> None:
    """Each of them is paid for."""
    upstream.on(COMPLETIONS, streams(*THOUGHT, delta(finish="stop"), DONE))
    async with running(openrouter(tmp_path, upstream)) as server:
        assert (await server.chat()).json()["kind"] == "unusable"
    assert len(upstream.asked(COMPLETIONS)) == 3


async def test_the_effort_of_reasoning_is_passed_on(upstream: Upstream, tmp_path: Path) -> None:
    """Under the names of both protocols."""
    upstream.on(COMPLETIONS, completion("hello"))
    upstream.on("/api/chat", chat("hello"))
    body = {"messages": [{"role": "user", "content": "x"}]}
    async with running(openai(tmp_path, upstream)) as server:
        await server.chat(think="low")
        for effort in ("high", "none"):
            await server.http.post("/v1/chat/completions", json={**body, "reasoning_effort": effort})
    low, high, none = upstream.asked(COMPLETIONS)
    assert (low["reasoning_effort"], high["reasoning_effort"]) == ("low", "high")
    assert none["chat_template_kwargs"] == {"enable_thinking": False}
