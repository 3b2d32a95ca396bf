"""The two front protocols, spoken by the official clients, and what they answer to bad input."""

from __future__ import annotations

import asyncio
import base64
import gc
import json
import time
import warnings
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import ollama as ollama_client
import openai as openai_client
import pytest

from tests.llm.running_llm_server import Running, made, ollama, openai, running
from tests.llm.scripted_upstream import (
    NDJSON,
    Call,
    Upstream,
    chat,
    completion,
    delta,
    hangs,
    last_line,
    responds,
    scripted_upstream,
    streams,
)

HELLO: list[Any] = [{"role": "user", "content": "Hello"}]


@pytest.fixture
async def upstream() -> AsyncIterator[Upstream]:
    async with scripted_upstream() as found:
        found.on("/models", responds(200, {"data": [{"id": "scripted"}, {"id": "other"}]}))
        found.on("/chat/completions", completion("Hello", " there"))
        yield found


@pytest.fixture
async def server(upstream: Upstream, tmp_path: Path) -> AsyncIterator[Running]:
    settings = openai(tmp_path, upstream, llm_aliases={"calm": {"model": "openai:scripted"}}, llm_attempts=1)
    async with running(settings) as found:
        yield found


@asynccontextmanager
async def openai_of(server: Running) -> AsyncIterator[openai_client.AsyncOpenAI]:
    async with openai_client.AsyncOpenAI(base_url=f"{server.url}/v1", api_key="none") as client:
        yield client


@asynccontextmanager
async def ollama_of(server: Running) -> AsyncIterator[ollama_client.AsyncClient]:
    """The official client; sockets that it leaves to the garbage collector are collected here, where they belong."""
    async with ollama_client.AsyncClient(host=server.url) as client:
        yield client
    await asyncio.sleep(0.01)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


# -- Ollama's client ---------------------------------------------------------------------------------------------------


async def test_the_ollama_client_reads_a_whole_answer(server: Running) -> None:
    """chat() of the asynchronous client, not streamed."""
    async with ollama_of(server) as client:
        answer = await client.chat("default", HELLO)
    assert (answer.message.content, answer.done, answer.done_reason) == ("Hello there", True, "stop")
    assert (answer.prompt_eval_count, answer.eval_count) == (12, 3)
    assert answer.total_duration is not None
    assert answer.total_duration > 0


async def test_the_ollama_client_reads_a_stream(server: Running) -> None:
    """chat(stream=True) of the asynchronous client."""
    async with ollama_of(server) as client:
        parts = [part async for part in await client.chat("default", HELLO, stream=True)]
    assert "".join(part.message.content or "" for part in parts) == "Hello there"
    assert [part.done for part in parts][-1] is True


async def test_the_synchronous_ollama_client_works_too(server: Running) -> None:
    """Whole, streamed, list, show and ps of the synchronous client."""

    def talk() -> list[Any]:
        with ollama_client.Client(host=server.url) as client:
            whole = client.chat("scripted", HELLO).message.content
            streamed = "".join(part.message.content or "" for part in client.chat("calm", HELLO, stream=True))
            names = {model.model for model in client.list().models}
            return [whole, streamed, names, client.show("scripted").capabilities, len(client.ps().models)]

    assert await asyncio.to_thread(talk) == [
        "Hello there",
        "Hello there",
        {"default", "calm", "scripted", "other"},
        ["completion", "tools", "vision"],
        1,
    ]


async def test_the_ollama_client_gets_statuses_and_sentences(server: Running, upstream: Upstream) -> None:
    """An error before the first word has a true status, and its text is a string."""
    async with ollama_of(server) as client:
        with pytest.raises(ollama_client.ResponseError) as unknown:
            await client.chat("nowhere", HELLO)
        assert unknown.value.status_code == 404
        assert "there are: scripted, other" in unknown.value.error
        with pytest.raises(ollama_client.ResponseError) as missing:
            await client.show("nowhere")
        assert missing.value.status_code == 404
        upstream.on("/chat/completions", responds(401, {"error": {"message": "bad key"}}))
        with pytest.raises(ollama_client.ResponseError) as refused:
            await anext(await client.chat("default", HELLO, stream=True))
    assert (refused.value.status_code, refused.value.error) == (502, "openai: bad key")


async def test_the_ollama_client_survives_waiting_and_hears_of_a_late_error(upstream: Upstream, tmp_path: Path) -> None:
    """Keep-alives are valid chunks for it, and an error in mid-stream is its ResponseError."""

    async def late(call: Call) -> None:
        await upstream.release.wait()
        await responds(401, {"error": {"message": "bad key"}})(call)

    async def read_to_the_end(parts: AsyncIterator[Any]) -> None:
        async for _ in parts:
            pass

    upstream.on("/chat/completions", late)
    async with (
        running(openai(tmp_path, upstream, llm_keepalive_seconds=0.02)) as server,
        ollama_of(server) as client,
    ):
        parts = await client.chat("default", HELLO, stream=True)
        assert (await anext(parts)).message.content == ""
        upstream.release.set()
        with pytest.raises(ollama_client.ResponseError, match="bad key"):
            await read_to_the_end(parts)


async def test_tools_pass_to_and_fro_in_ollamas_form(server: Running, upstream: Upstream) -> None:
    """A call comes back with its arguments as an object, and its result can be sent on."""
    fragment = {"index": 0, "id": "c1", "function": {"name": "weather", "arguments": '{"city": "Rome"}'}}
    upstream.on(
        "/chat/completions",
        streams(delta(choices=[{"index": 0, "delta": {"tool_calls": [fragment]}}]), delta(finish="tool_calls")),
        completion("Sunny"),
    )
    async with ollama_of(server) as client:
        answer = await client.chat("default", HELLO)
        assert answer.message.tool_calls is not None
        assert answer.message.tool_calls[0].function.arguments == {"city": "Rome"}
        result = {"role": "tool", "content": "sunny", "tool_name": "weather"}
        await client.chat("default", [*HELLO, answer.message, result])
    asked = upstream.asked("/chat/completions")[-1]["messages"]
    assert asked[1]["tool_calls"][0]["function"]["arguments"] == '{"city":"Rome"}'
    assert asked[2]["role"] == "tool"


async def test_results_of_functions_find_their_calls_in_either_protocol(upstream: Upstream, tmp_path: Path) -> None:
    """Ollama's clients tell a name or only the order, OpenAI's an id; each source gets what its protocol has."""
    upstream.on("/api/tags", responds(200, {"models": [{"name": "scripted"}]}))
    upstream.on("/api/chat", chat("Fine"))
    calls: list[Any] = [{"function": {"name": name, "arguments": {}}} for name in ("weather", "time")]
    by_name = [{"role": "tool", "content": name, "tool_name": name} for name in ("time", "weather")]
    by_order = [{"role": "tool", "content": name} for name in ("weather", "time")]
    asking = {"role": "assistant", "content": "", "tool_calls": calls}
    turns = [*HELLO, asking, *by_name, *HELLO, asking, *by_order]
    async with running(openai(tmp_path, upstream)) as server:
        assert (await server.http.post("/api/chat", json={"messages": turns})).status_code == 200
    sent = upstream.asked("/chat/completions")[0]["messages"]
    assert [call["id"] for call in sent[1]["tool_calls"] + sent[5]["tool_calls"]] == [f"call_{n}" for n in range(4)]
    found = [(message["content"], message["tool_call_id"]) for message in sent if message["role"] == "tool"]
    assert found == [("time", "call_1"), ("weather", "call_0"), ("weather", "call_2"), ("time", "call_3")]

    theirs = [{"id": f"x{n}", "type": "function", "function": {"name": f"f{n}", "arguments": "{}"}} for n in range(2)]
    results = [{"role": "tool", "content": "", "tool_call_id": f"x{n}"} for n in (1, 0)]
    body = {"messages": [*HELLO, {"role": "assistant", "tool_calls": theirs}, *results]}
    async with running(ollama(tmp_path, upstream)) as server:
        assert (await server.http.post("/v1/chat/completions", json=body)).status_code == 200
    sent = upstream.asked("/api/chat")[0]["messages"]
    assert [(message["tool_call_id"], message["tool_name"]) for message in sent[2:]] == [("x1", "f1"), ("x0", "f0")]


async def test_calls_that_come_one_after_the_other_stay_apart(upstream: Upstream, tmp_path: Path) -> None:
    """Ollama may stream each call on its own; a client must not take them for pieces of the same one."""
    upstream.on("/api/tags", responds(200, {"models": [{"name": "scripted"}]}))
    call = {"tool_calls": [{"function": {"name": "weather", "arguments": {"city": "Rome"}}}]}
    first, second = (json.dumps({"message": call, "done": False}) + "\n" for _ in range(2))

    async def one_by_one(asked: Call) -> None:
        await asked.begin(NDJSON)
        await asked.send(first)
        await upstream.release.wait()
        await asked.send(second + last_line())
        await asked.end()

    upstream.on("/api/chat", one_by_one)
    async with running(ollama(tmp_path, upstream)) as server, openai_of(server) as client:
        stream = await client.chat.completions.create(model="default", messages=HELLO, stream=True)
        chunks = []
        async for chunk in stream:
            chunks.append(chunk.choices[0])
            upstream.release.set()
        found = [call for choice in chunks for call in choice.delta.tool_calls or []]
    assert [call.index for call in found] == [0, 1]
    assert len({call.id for call in found}) == 2
    assert chunks[-1].finish_reason == "tool_calls"


# -- OpenAI's client ---------------------------------------------------------------------------------------------------


async def test_the_openai_client_reads_a_whole_answer(server: Running) -> None:
    """chat.completions.create(), not streamed, with usage."""
    async with openai_client.AsyncOpenAI(base_url=f"{server.url}/v1", api_key="none") as client:
        answer = await client.chat.completions.create(model="default", messages=HELLO)
        names = [model.id async for model in client.models.list()]
    assert answer.choices[0].message.content == "Hello there"
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage is not None
    assert (answer.usage.prompt_tokens, answer.usage.total_tokens) == (12, 15)
    assert names == ["default", "calm", "scripted", "other"]


async def test_the_openai_client_reads_a_stream_with_usage(server: Running) -> None:
    """The usage is the last chunk, which has no choices."""
    async with openai_client.AsyncOpenAI(base_url=f"{server.url}/v1", api_key="none") as client:
        stream = await client.chat.completions.create(
            model="default", messages=HELLO, stream=True, stream_options={"include_usage": True}
        )
        chunks = [chunk async for chunk in stream]
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks[:-1]) == "Hello there"
    assert chunks[0].choices[0].delta.role == "assistant"
    assert chunks[-2].choices[0].finish_reason == "stop"
    assert chunks[-1].choices == []
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.completion_tokens == 3


async def test_the_synchronous_openai_client_works_too(server: Running) -> None:
    """Whole and streamed, with the options that it knows."""

    def talk() -> tuple[str | None, str]:
        with openai_client.OpenAI(base_url=f"{server.url}/v1", api_key="none") as client:
            whole = client.chat.completions.create(model="default", messages=HELLO, max_completion_tokens=5, stop="x")
            parts = client.chat.completions.create(model="default", messages=HELLO, stream=True)
            return whole.choices[0].message.content, "".join(part.choices[0].delta.content or "" for part in parts)

    assert await asyncio.to_thread(talk) == ("Hello there", "Hello there")


async def test_the_openai_client_gets_its_errors(server: Running, upstream: Upstream) -> None:
    """Statuses become its exceptions, before the first word and after it."""
    async with openai_client.AsyncOpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0) as client:
        with pytest.raises(openai_client.NotFoundError, match="no model 'nowhere'"):
            await client.chat.completions.create(model="nowhere", messages=HELLO)
        upstream.on("/chat/completions", responds(429, {"error": {"message": "slow down"}}, Retry_After="99"))
        with pytest.raises(openai_client.RateLimitError) as limited:
            await client.chat.completions.create(model="default", messages=HELLO)
        assert limited.value.response.headers["retry-after"] == "99"
        upstream.on("/chat/completions", upstream.held_after(delta("Hel"), streams()))
        stream = await client.chat.completions.create(model="other", messages=HELLO, stream=True)
        await anext(stream)
        upstream.release.set()
        with pytest.raises(openai_client.APIError, match="broke off"):
            await anext(stream)


async def test_pictures_and_schemas_of_the_openai_protocol_pass_through(server: Running, upstream: Upstream) -> None:
    """Parts with a data: URL, response_format, tools and tool_choice reach the source."""
    url = "data:image/png;base64,iVBORw0KGgo="
    body = {
        "messages": [
            {"role": "developer", "content": "be short"},
            {
                "role": "user",
                "content": [{"type": "text", "text": "see"}, {"type": "image_url", "image_url": {"url": url}}],
            },
        ],
        "response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "object"}}},
        "tools": [{"type": "function", "function": {"name": "f"}}],
        "tool_choice": "auto",
        "max_tokens": 7,
    }
    assert (await server.http.post("/v1/chat/completions", json=body)).status_code == 200
    asked = upstream.asked("/chat/completions")[0]
    assert asked["messages"][0] == {"role": "system", "content": "be short"}
    assert asked["messages"][1]["content"][1] == {"type": "image_url", "image_url": {"url": url}}
    assert asked["response_format"]["json_schema"]["schema"] == {"type": "object"}
    assert (asked["tool_choice"], asked["max_tokens"]) == ("auto", 7)


# -- bad input ---------------------------------------------------------------------------------------------------------

BAD: list[tuple[str, bytes, int, str]] = [
    ("nothing", b"", 400, "empty"),
    ("half of JSON", b'{"messages": [', 400, "not valid JSON"),
    ("not UTF-8", b'{"messages": [{"role": "user", "content": "\xff"}]}', 400, "not valid JSON"),
    ("a list", b"[]", 400, "should be an object"),
    ("no messages", b'{"model": "default"}', 400, "at least one message"),
    ("no list of messages", b'{"messages": null}', 400, "at least one message"),
    ("an unknown role", b'{"messages": [{"role": "boss", "content": "x"}]}', 400, "messages.0.role"),
    ("content of the wrong type", b'{"messages": [{"role": "user", "content": 5}]}', 400, "messages.0.content"),
    ("a message that is none", b'{"messages": ["hello"]}', 400, "messages.0"),
    ("an unknown model", b'{"model": "x", "messages": [{"role": "user", "content": "x"}]}', 404, "no model 'x'"),
    ("depth", b'{"messages": ' + b"[" * 100_000, 400, "JSON"),
    (
        "a number without end",
        b'{"messages": [{"role": "user", "content": "x"}], "tools": [{"a": %b}]}' % (b"9" * 500),
        400,
        "cannot be sent",
    ),
    ("10 MB of nothing", b'{"messages": "' + b"x" * 10_000_000 + b'"}', 400, "messages"),
    ("10 MB of text", b'{"messages": [{"role": "user", "content": "%b"}]}' % (b"x" * 10_000_000), 400, "bytes of text"),
    ("30 MB", b'{"messages": "' + b"x" * 30_000_000 + b'"}', 413, "larger"),
]


@pytest.mark.parametrize("path", ["/api/chat", "/v1/chat/completions"])
@pytest.mark.parametrize(("what", "content", "status", "expected"), BAD, ids=[row[0] for row in BAD])
async def test_bad_input_gets_a_sentence(
    path: str, what: str, content: bytes, status: int, expected: str, server: Running, upstream: Upstream
) -> None:
    """A 4xx with a sentence that names the field; nothing reaches a source."""
    answer = await server.http.post(path, content=content)
    assert answer.status_code == status
    error = answer.json()["error"]
    text = error if isinstance(error, str) else error["message"]
    assert expected in text
    assert "Traceback" not in answer.text
    assert upstream.asked("/chat/completions") == []


@pytest.mark.parametrize(
    ("field", "value", "expected"),
    [
        ("options", {"num_predict": "many"}, "options.num_predict: "),
        ("options", {"temperature": [1]}, "options.temperature: "),
        ("options", {"stop": 5}, "options.stop: "),
        ("options", [], "options: "),
        ("think", 5, "think: "),
        ("keep_alive", [], "keep_alive: "),
        ("format", 5, "format: "),
        ("tools", "all", "tools: "),
    ],
)
async def test_a_field_of_the_wrong_type_is_named(field: str, value: Any, expected: str, server: Running) -> None:
    """By the name that the caller wrote, without the names of our types."""
    answer = await server.http.post("/api/chat", json={"messages": HELLO, field: value})
    assert answer.status_code == 400
    assert answer.json()["error"].startswith(expected)


async def test_a_part_of_a_message_of_an_unknown_kind_is_named(server: Running) -> None:
    """Sound, for one."""
    body = {"messages": [{"role": "user", "content": [{"type": "input_audio", "input_audio": {}}]}]}
    answer = await server.http.post("/v1/chat/completions", json=body)
    assert answer.status_code == 400
    assert answer.json()["error"]["message"].startswith("messages.0.content.0.type: ")


async def test_options_pass_as_numbers_and_unknown_ones_to_ollama_alone(upstream: Upstream, tmp_path: Path) -> None:
    """A number may be text, as Ollama's own command line writes it."""
    upstream.on("/api/tags", responds(200, {"models": [{"name": "scripted"}]}))
    upstream.on("/api/chat", chat("Hello"))
    asked = {"num_predict": "7", "mirostat": 2, "stop": ["."]}
    async with running(ollama(tmp_path, upstream)) as server:
        assert (await server.chat(options=asked)).status_code == 200
    assert upstream.asked("/api/chat")[0]["options"] == {"num_predict": 7, "mirostat": 2, "stop": ["."]}
    async with running(openai(tmp_path, upstream)) as server:
        assert (await server.chat(options=asked)).status_code == 200
    body = upstream.asked("/chat/completions")[0]
    assert (body["max_tokens"], body["stop"], "mirostat" in body) == (7, ["."], False)


async def test_unknown_fields_and_types_of_content_are_ignored(server: Running) -> None:
    """As Ollama does: whatever else is sent, and whatever the body calls itself."""
    body = {"messages": [{**HELLO[0], "mood": "good"}], "future": {"a": 1}, "stream": False}
    answer = await server.http.post("/api/chat", content=json.dumps(body), headers={"Content-Type": "text/plain"})
    assert answer.json()["message"]["content"] == "Hello there"


async def test_a_picture_of_several_megabytes_passes(server: Running, upstream: Upstream) -> None:
    """A photo of a telephone is larger than any text; it reaches the source as it is."""
    photo = base64.b64encode(b"\x89PNG\r\n\x1a\n" + bytes(6_000_000)).decode()
    answer = await server.http.post("/api/chat", json={"messages": [{**HELLO[0], "images": [photo]}], "stream": False})
    assert answer.status_code == 200
    assert photo in upstream.calls[-1].content.decode()


async def test_what_the_server_itself_refuses_has_the_form_of_the_protocol(tmp_path: Path) -> None:
    """OpenAI's errors are objects, Ollama's are text; also about the token, the route, and the size of a body."""
    async with running(made(tmp_path, llm_source="demo", internal_token="sesame", llm_max_body_bytes=10_000)) as server:
        for path, form in (("/api/", str), ("/v1/", dict)):
            route = "chat" if path == "/api/" else "chat/completions"
            answers = [
                await server.http.post(path + route, json={"messages": HELLO}),
                await server.http.post(path + route, content=b"x" * 20_000),
                await server.http.post(path + "nothing"),
            ]
            assert [answer.status_code for answer in answers] == [401, 413, 404]
            assert {type(answer.json()["error"]) for answer in answers} == {form}
            assert "llm_max_body_bytes" in answers[1].text
        client = openai_client.AsyncOpenAI(base_url=server.url + "/v1", api_key="wrong", max_retries=0)
        async with client:
            with pytest.raises(openai_client.AuthenticationError, match="internal token"):
                await client.models.list()


async def test_a_picture_that_is_none_is_refused(server: Running) -> None:
    """Base64 only."""
    answer = await server.http.post("/api/chat", json={"messages": [{**HELLO[0], "images": ["not base64!"]}]})
    assert (answer.status_code, "base64" in answer.json()["error"]) == (400, True)


async def test_model_routes_are_for_this_machine_or_the_token(tmp_path: Path) -> None:
    """With an internal token only its bearer may ask; the status stays public."""
    async with running(made(tmp_path, llm_source="demo", internal_token="sesame")) as server:
        assert (await server.chat("hi")).status_code == 401
        allowed = await server.http.post(
            "/api/chat", json={"messages": HELLO, "stream": False}, headers={"Authorization": "Bearer sesame"}
        )
        assert allowed.status_code == 200
        assert (await server.http.get("/")).status_code == 200
    async with running(made(tmp_path, llm_source="demo")) as server:
        proxied = await server.http.post("/api/chat", json={"messages": HELLO}, headers={"X-Forwarded-For": "1.2.3.4"})
        assert proxied.status_code == 403


async def test_the_metrics_tell_our_own_share_of_the_time(server: Running, upstream: Upstream) -> None:
    """The histogram leaves out what the source took."""

    async def late(call: Call) -> None:
        await upstream.release.wait()
        await completion("a", "b")(call)

    upstream.on("/chat/completions", late)
    began = time.perf_counter()
    asking = asyncio.ensure_future(server.chat())
    await upstream.arrival("/chat/completions")
    arrived = time.perf_counter()
    await asyncio.sleep(0.1)  # time that must not be counted as ours
    held = time.perf_counter() - arrived
    upstream.release.set()
    await asking
    took = time.perf_counter() - began
    rows = dict(
        row.rsplit(" ", 1) for row in (await server.http.get("/metrics")).text.splitlines() if not row.startswith("#")
    )
    assert float(rows["relay_llm_own_seconds_count"]) == 1
    assert float(rows["relay_llm_own_seconds_sum"]) < took - held
    assert float(rows['relay_llm_tokens_total{direction="written",source="openai"}']) == 3


async def test_an_unread_stream_ends_without_a_trace(server: Running, upstream: Upstream) -> None:
    """A caller of the OpenAI route who leaves stops the source too."""
    upstream.on("/chat/completions", hangs)
    asking = asyncio.ensure_future(server.http.post("/v1/chat/completions", json={"messages": HELLO, "stream": True}))
    call = await upstream.arrival("/chat/completions")
    asking.cancel()
    await asyncio.wait_for(call.gone.wait(), 60)
