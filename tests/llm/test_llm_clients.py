"""Requests of clients that this product did not write: passed on, answered, or refused with a sentence."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import ollama as ollama_client
import pytest

from relay.llm.gateway.unoffered import UNOFFERED
from tests.llm.running_llm_server import made, ollama, openai, openrouter, running
from tests.llm.scripted_upstream import COMPLETIONS, Call, Upstream, chat, completion, line, responds, streams

HELLO: dict[str, Any] = {"role": "user", "content": "Hello"}
OLLAMA, OPENAI = "/api/chat", "/v1/chat/completions"


@pytest.fixture(autouse=True)
def answers(upstream: Upstream) -> None:
    upstream.on(COMPLETIONS, completion("hello"))
    upstream.on("/api/chat", chat("hello"))


# -- fields ------------------------------------------------------------------------------------------------------------

REFUSED: list[tuple[str, dict[str, Any], str]] = [
    (OPENAI, {"n": 2}, "n: each request gets one answer"),
    (OPENAI, {"n": 0}, "n: each request gets one answer"),
    (OPENAI, {"logprobs": True}, "logprobs: "),
    (OPENAI, {"top_logprobs": 3}, "logprobs: "),
    (OPENAI, {"functions": [{"name": "f"}]}, "functions: send them as tools"),
    (OPENAI, {"audio": {"voice": "a"}}, "audio: answers are text"),
    (OPENAI, {"max_tokens": 0}, "max_tokens: at least 1"),
    (OPENAI, {"max_completion_tokens": 0}, "max_tokens: at least 1"),
    (OLLAMA, {"logprobs": True}, "logprobs: "),
    (OLLAMA, {"format": "yaml"}, 'format: it must be "json" or a JSON schema'),
    (OLLAMA, {"format": "JSON"}, 'format: it must be "json" or a JSON schema'),
]


@pytest.mark.parametrize(("path", "field", "words"), REFUSED, ids=[f"{row[0]} {row[1]}" for row in REFUSED])
async def test_a_field_that_cannot_be_kept_is_refused(
    path: str, field: dict[str, Any], words: str, upstream: Upstream, tmp_path: Path
) -> None:
    """Before any source is asked: an answer of another kind than the one asked for would be a silent failure."""
    async with running(openai(tmp_path, upstream)) as server:
        answer = await server.http.post(path, json={"messages": [HELLO], **field})
    error = answer.json()["error"]
    assert answer.status_code == 400
    assert (error if isinstance(error, str) else error["message"]).startswith(words)
    assert upstream.asked(COMPLETIONS) == []


PASSED_ON: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    (OPENAI, {"n": 1, "logprobs": False, "top_logprobs": 0, "functions": [], "audio": None}, {}),
    (OPENAI, {"max_tokens": -1}, {"max_tokens": None}),
    (OPENAI, {"top_k": 20, "min_p": 0.1}, {"top_k": 20, "min_p": 0.1}),
    (OPENAI, {"repetition_penalty": 1.1}, {"repetition_penalty": 1.1, "repeat_penalty": 1.1}),
    (OPENAI, {"repeat_penalty": 1.2}, {"repetition_penalty": 1.2, "repeat_penalty": 1.2}),
    (OPENAI, {"logit_bias": {"50256": -100}}, {"logit_bias": {"50256": -100}}),
    (OPENAI, {"parallel_tool_calls": False}, {"parallel_tool_calls": False}),
    (OPENAI, {"reasoning_effort": "high"}, {"reasoning_effort": "high"}),
    (OLLAMA, {"options": {"top_k": 20, "repeat_penalty": 1.1}}, {"top_k": 20, "repetition_penalty": 1.1}),
    (OLLAMA, {"think": False}, {"chat_template_kwargs": {"enable_thinking": False}}),
    (OLLAMA, {"format": "json"}, {"response_format": {"type": "json_object"}}),
    (OLLAMA, {"format": ""}, {"response_format": None}),
]


@pytest.mark.parametrize(("path", "field", "sent"), PASSED_ON, ids=[f"{row[0]} {row[1]}" for row in PASSED_ON])
async def test_a_field_that_a_source_may_know_is_passed_on(
    path: str, field: dict[str, Any], sent: dict[str, Any], upstream: Upstream, tmp_path: Path
) -> None:
    """Under each of its names; one that only states the default is accepted."""
    async with running(openai(tmp_path, upstream)) as server:
        assert (await server.http.post(path, json={"messages": [HELLO], **field})).status_code == 200
    (body,) = upstream.asked(COMPLETIONS)
    assert {key: body.get(key) for key in sent} == sent


async def test_a_server_that_does_not_know_a_field_of_others_is_asked_without_it(
    upstream: Upstream, tmp_path: Path
) -> None:
    """OpenAI itself refuses what vLLM takes."""

    async def strict(call: Call) -> None:
        unknown = next((key for key in ("top_k", "min_p") if key in call.body), None)
        refusal = responds(400, {"error": {"message": f"Unrecognized request argument supplied: {unknown}"}})
        await (refusal if unknown else completion("hello"))(call)

    upstream.on(COMPLETIONS, strict)
    async with running(openai(tmp_path, upstream)) as server:
        answer = await server.http.post(OPENAI, json={"messages": [HELLO], "top_k": 5, "min_p": 0.1, "seed": 1})
    assert answer.status_code == 200
    assert upstream.asked(COMPLETIONS)[-1]["seed"] == 1


async def test_ollama_gets_what_it_knows_and_refuses_what_changes_the_answer(
    upstream: Upstream, tmp_path: Path
) -> None:
    """Weights of tokens it has none; a choice of no tool is kept by sending none."""
    tools = [{"type": "function", "function": {"name": "f"}}]
    async with running(ollama(tmp_path, upstream)) as server:
        biased = await server.http.post(OPENAI, json={"messages": [HELLO], "logit_bias": {"1": 5}})
        kept = {"top_k": 7, "parallel_tool_calls": True, "tools": tools, "tool_choice": "none"}
        assert (await server.http.post(OPENAI, json={"messages": [HELLO], **kept})).status_code == 200
    assert (biased.status_code, biased.json()["error"]["message"][:11]) == (400, "logit_bias:")
    (body,) = upstream.asked("/api/chat")
    assert body["options"] == {"top_k": 7}
    assert "tools" not in body


SCHEMA = {"type": "object", "properties": {"a": {"type": "string"}}}


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        ({"name": "pet", "strict": False}, {"name": "pet", "strict": False}),
        ({"name": "pet"}, {"name": "pet"}),
        ({"name": "pet", "description": "One animal."}, {"name": "pet", "description": "One animal."}),
        ({}, {"name": "answer"}),
    ],
)
async def test_a_schema_keeps_its_name_and_strictness(
    given: dict[str, Any], sent: dict[str, Any], upstream: Upstream, tmp_path: Path
) -> None:
    """A source may treat a schema that is not strict differently; Ollama gets the schema alone."""
    wanted = {"type": "json_schema", "json_schema": {**given, "schema": SCHEMA}}
    body = {"messages": [HELLO], "response_format": wanted}
    for source in (openai, ollama):
        async with running(source(tmp_path, upstream)) as server:
            assert (await server.http.post(OPENAI, json=body)).status_code == 200
    assert upstream.asked(COMPLETIONS)[0]["response_format"]["json_schema"] == {**sent, "schema": SCHEMA}
    assert upstream.asked("/api/chat")[0]["format"] == SCHEMA


async def test_a_schema_of_ollamas_protocol_passes_too(upstream: Upstream, tmp_path: Path) -> None:
    """As a strict one, because Ollama knows no other."""
    async with running(openai(tmp_path, upstream)) as server:
        assert (await server.chat(format=SCHEMA)).status_code == 200
        assert (await server.chat(format={})).status_code == 200
    first, second = upstream.asked(COMPLETIONS)
    assert first["response_format"]["json_schema"] == {"name": "answer", "strict": True, "schema": SCHEMA}
    assert "response_format" not in second


# -- histories ---------------------------------------------------------------------------------------------------------


def parts(*found: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"role": "user", "content": list(found)}]


PIXEL = "data:image/png;base64,iVBORw0KGgo="
PICTURE = {"type": "image_url", "image_url": {"url": PIXEL}}
TEXT = {"type": "text", "text": "a"}
CONTENTS: list[tuple[str, list[dict[str, Any]], Any]] = [
    (
        "texts by their newer names",
        parts({"type": "input_text", "text": "a"}, {"type": "output_text", "text": "b"}),
        "a\nb",
    ),
    ("a refusal of the model", [{"role": "assistant", "content": [{"type": "refusal", "refusal": "no"}]}, HELLO], "no"),
    ("reasoning", parts({"type": "thinking", "thinking": "hm", "signature": "x"}, TEXT), "a"),
    ("reasoning that is hidden", parts({"type": "redacted_thinking", "data": "x"}, TEXT), "a"),
    ("reasoning of other servers", parts({"type": "reasoning", "text": "hm"}, TEXT), "a"),
    ("a picture", parts(TEXT, PICTURE), [TEXT, PICTURE]),
    ("a picture whose address is a text", parts(TEXT, {"type": "image_url", "image_url": PIXEL}), [TEXT, PICTURE]),
    ("a picture by its newer name", parts(TEXT, {"type": "input_image", "image_url": PIXEL}), [TEXT, PICTURE]),
]


@pytest.mark.parametrize(("what", "messages", "expected"), CONTENTS, ids=[row[0] for row in CONTENTS])
async def test_parts_of_a_message_are_read(
    what: str, messages: list[dict[str, Any]], expected: Any, upstream: Upstream, tmp_path: Path
) -> None:
    """Text and pictures by any of their names; what a model thought before is left out."""
    async with running(openai(tmp_path, upstream)) as server:
        assert (await server.http.post(OPENAI, json={"messages": messages})).status_code == 200
    assert upstream.asked(COMPLETIONS)[0]["messages"][0]["content"] == expected


@pytest.mark.parametrize("kind", ["input_audio", "file", "video_url", "tool_result", "document", ""])
async def test_a_part_that_cannot_be_passed_on_is_named(kind: str, upstream: Upstream, tmp_path: Path) -> None:
    """An answer without having read it would be wrong."""
    async with running(openai(tmp_path, upstream)) as server:
        answer = await server.http.post(OPENAI, json={"messages": parts(TEXT, {"type": kind, kind or "x": {}})})
    assert answer.status_code == 400
    sentence = answer.json()["error"]["message"]
    assert sentence == f"messages.0.content.1.type: {kind!r} cannot be passed on; send text and pictures"


async def test_a_picture_without_address_is_refused(upstream: Upstream, tmp_path: Path) -> None:
    """Instead of being left out."""
    async with running(openai(tmp_path, upstream)) as server:
        answer = await server.http.post(OPENAI, json={"messages": parts(TEXT, {"type": "image_url"})})
    assert (answer.status_code, "image_url" in answer.json()["error"]["message"]) == (400, True)


ARGUMENTS: list[tuple[Any, dict[str, Any]]] = [
    ('{"a": 1}', {"a": 1}),
    ({"a": 1}, {"a": 1}),
    ("", {}),
    (None, {}),
    ('{"a": ', {"invalid_arguments": '{"a": '}),
    ("[1]", {"invalid_arguments": "[1]"}),
    ("Rome", {"invalid_arguments": "Rome"}),
]


@pytest.mark.parametrize("path", [OLLAMA, OPENAI])
@pytest.mark.parametrize(("given", "sent"), ARGUMENTS, ids=[str(row[0]) for row in ARGUMENTS])
async def test_arguments_of_an_earlier_call_end_no_conversation(
    given: Any, sent: dict[str, Any], path: str, upstream: Upstream, tmp_path: Path
) -> None:
    """A model once wrote them; what is no object stays readable for the next one, in a form that every source takes."""
    asking = {"role": "assistant", "tool_calls": [{"id": "x", "function": {"name": "f", "arguments": given}}]}
    messages = [HELLO, asking, {"role": "tool", "tool_call_id": "x", "content": "failed"}]
    for source in (openai, ollama):
        async with running(source(tmp_path, upstream)) as server:
            assert (await server.http.post(path, json={"messages": messages, "stream": False})).status_code == 200
    theirs = upstream.asked(COMPLETIONS)[0]["messages"][1]["tool_calls"][0]["function"]["arguments"]
    assert json.loads(theirs) == sent
    assert upstream.asked("/api/chat")[0]["messages"][1]["tool_calls"][0]["function"]["arguments"] == sent


async def test_functions_of_older_clients_become_tool_calls(upstream: Upstream, tmp_path: Path) -> None:
    """A history from before there were tools: function_call, and the role function with a name."""
    asking = {"role": "assistant", "content": None, "function_call": {"name": "f", "arguments": '{"a": 1}'}}
    messages = [HELLO, asking, {"role": "function", "name": "f", "content": "done"}]
    async with running(openai(tmp_path, upstream)) as server:
        assert (await server.http.post(OPENAI, json={"messages": messages})).status_code == 200
    _, call, result = upstream.asked(COMPLETIONS)[0]["messages"]
    assert call["tool_calls"][0]["function"] == {"name": "f", "arguments": '{"a":1}'}
    assert result == {"role": "tool", "content": "done", "tool_call_id": call["tool_calls"][0]["id"]}


async def test_each_call_of_a_model_has_an_id_of_its_own(upstream: Upstream, tmp_path: Path) -> None:
    """Ollama and some servers give none; two equal ones in a conversation are refused by others later."""
    call = {"function": {"name": "f", "arguments": {}}}
    upstream.on("/api/chat", streams(line(message={"content": "", "tool_calls": [call, call]}), line(done=True)))
    async with running(ollama(tmp_path, upstream)) as server:
        theirs = [(await server.chat()).json()["message"]["tool_calls"] for _ in range(2)]
        ours = (await server.http.post(OPENAI, json={"messages": [HELLO]})).json()["choices"][0]["message"][
            "tool_calls"
        ]
    ids = [found["id"] for found in (*theirs[0], *theirs[1], *ours)]
    assert len(set(ids)) == 6
    assert all(found.startswith("call_") for found in ids)


# -- models ------------------------------------------------------------------------------------------------------------


async def test_a_model_is_loaded_and_unloaded(upstream: Upstream, tmp_path: Path) -> None:
    """By a request of Ollama's client without messages; the source is asked to, and none is asked for an answer."""
    upstream.on("/api/chat", responds(200, {"model": "scripted", "done": True, "done_reason": "load"}))
    async with running(ollama(tmp_path, upstream)) as server, ollama_client.AsyncClient(host=server.url) as client:
        loaded = await client.chat("default", [])
        unloaded = await client.chat("scripted", [], keep_alive=0)
        missing = await server.http.post(OLLAMA, json={"model": "none", "messages": []})
    assert (loaded.done_reason, unloaded.done_reason) == ("load", "unload")
    assert missing.status_code == 404
    first, second = upstream.asked("/api/chat")
    assert first == {"model": "scripted:latest", "messages": [], "stream": False}
    assert second["keep_alive"] == 0


@pytest.mark.parametrize(
    ("keep_alive", "reason"),
    [("0", "unload"), ("0s", "unload"), (0.0, "unload"), ("5m", "load"), (-1, "load"), ("10m", "load"), (None, "load")],
)
async def test_a_source_that_loads_nothing_answers_the_same(keep_alive: Any, reason: str, tmp_path: Path) -> None:
    """The demo, and everything in the cloud."""
    async with running(made(tmp_path, llm_source="demo")) as server:
        answer = await server.http.post(OLLAMA, json={"messages": [], "keep_alive": keep_alive})
    assert (answer.json()["done"], answer.json()["done_reason"]) == (True, reason)


async def test_the_models_of_ollama_are_asked_for_at_the_same_time(upstream: Upstream, tmp_path: Path) -> None:
    """The default one first; one after the other, 200 of them would delay the first answer by many seconds."""
    names = [f"m{number}" for number in range(16)]
    upstream.on("/api/tags", responds(200, {"models": [{"name": name} for name in names]}))
    together, asked = asyncio.Event(), 0

    async def shown(call: Call) -> None:
        nonlocal asked
        asked += 1
        if asked == 8:
            together.set()
        await together.wait()
        await responds(200, {"capabilities": ["completion", "vision"]})(call)

    upstream.on("/api/show", shown)
    async with running(ollama(tmp_path, upstream, ollama_model="m9")) as server:
        able = [(await server.http.post("/api/show", json={"model": name})).json() for name in names]
    assert [found["capabilities"] for found in able] == [["completion", "vision"]] * 16
    assert upstream.asked("/api/show")[0] == {"model": "m9"}


async def test_a_server_on_this_machine_that_takes_a_key_is_not_called_free(upstream: Upstream, tmp_path: Path) -> None:
    """A LiteLLM bills what is behind it; its cost is unknown, unless llm_prices has it."""
    costs = []
    for more in ({}, {"openai_api_key": "sk-1"}, {"openai_api_key": "sk-1", "llm_prices": {"scripted": [1.0, 2.0]}}):
        async with running(openai(tmp_path, upstream, **more)) as server:
            costs.append((await server.chat()).json()["x_relay"]["cost_usd"])
    assert costs == [0.0, None, pytest.approx((12 * 1 + 3 * 2) / 1e6)]


# -- routes ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", UNOFFERED)
async def test_a_route_that_is_not_offered_says_so(path: str, tmp_path: Path) -> None:
    """With 501 and a remedy, in the form of its protocol; an unknown route stays unknown."""
    method, remedy = UNOFFERED[path]
    async with running(made(tmp_path, llm_source="demo")) as server:
        answer = await server.http.request(method, path, json={"model": "default"})
        assert (await server.http.post(f"{path}/nothing")).status_code in {404, 405, 501}
    body = answer.json()
    assert answer.status_code == 501
    assert (body["error"]["hint"] if path.startswith("/v1/") else body["hint"]) == remedy


async def test_ollamas_client_reads_why_a_route_is_not_offered(tmp_path: Path) -> None:
    """As the text of its error."""
    async with (
        running(made(tmp_path, llm_source="demo")) as server,
        ollama_client.AsyncClient(host=server.url) as client,
    ):
        with pytest.raises(ollama_client.ResponseError, match="/api/pull is not offered") as refused:
            await client.pull("llama3.2")
    assert refused.value.status_code == 501


PAGE = "http://localhost:3000"


@pytest.mark.parametrize(
    ("allowed", "origin", "status"),
    [((), PAGE, 403), ((PAGE,), PAGE, 200), ((f"{PAGE}/",), PAGE, 200), ((PAGE,), "http://evil.example", 403)],
)
async def test_pages_of_allowed_sites_may_ask(
    allowed: tuple[str, ...], origin: str, status: int, tmp_path: Path
) -> None:
    """A browser's page is a stranger unless its site is named in the settings."""
    async with running(made(tmp_path, llm_source="demo", llm_allowed_origins=allowed)) as server:
        asking = {"Origin": origin, "Access-Control-Request-Method": "POST"}
        preflight = await server.http.options(OPENAI, headers=asking)
        answer = await server.http.post(OPENAI, json={"messages": [HELLO]}, headers={"Origin": origin})
        metrics = await server.http.get("/metrics", headers={"Origin": origin})
    assert (answer.status_code, metrics.status_code) == (status, 403)
    shown = origin if status == 200 else None
    assert answer.headers.get("access-control-allow-origin") == shown
    assert preflight.headers.get("access-control-allow-origin") == shown


async def test_openrouter_gets_the_fields_that_it_knows(upstream: Upstream, tmp_path: Path) -> None:
    """All of them, since it passes on what a model takes."""
    async with running(openrouter(tmp_path, upstream)) as server:
        fields = {"top_k": 3, "repetition_penalty": 1.1, "logit_bias": {"1": 1}, "parallel_tool_calls": True}
        assert (await server.http.post(OPENAI, json={"messages": [HELLO], **fields})).status_code == 200
    body = upstream.asked(COMPLETIONS)[0]
    assert {key: body[key] for key in fields} == fields
    assert "repeat_penalty" not in body
