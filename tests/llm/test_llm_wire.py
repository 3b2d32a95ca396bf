"""Servers that bend the wire: what they send is read as they meant it, or refused with the right words."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from tests.llm.running_llm_server import ollama, openai, running
from tests.llm.scripted_upstream import (
    COMPLETIONS,
    DONE,
    NDJSON,
    SSE,
    USAGE,
    Script,
    Upstream,
    delta,
    last_line,
    line,
    responds,
    streams,
    streams_then_cuts,
    streams_then_hangs,
)


def event(*, finish: Any = None, index: Any = 0, **content: Any) -> str:
    choice = {"index": index, "delta": content, "finish_reason": finish}
    return f"data: {json.dumps({'choices': [choice]})}\n\n"


def texts(*parts: str, finish: Any = None) -> list[str]:
    return [event(content=part, finish=finish) for part in parts]


def document(**message: Any) -> dict[str, Any]:
    return {"choices": [{"index": 0, "message": {"role": "assistant", **message}, "finish_reason": "stop"}]}


def spread(text: str) -> str:
    """One event whose JSON spans several data lines."""
    body = json.dumps({"choices": [{"delta": {"content": text}, "finish_reason": None}]}, indent=1)
    return "".join(f"data: {row}\n" for row in body.splitlines()) + "\n"


STOP = event(finish="stop")
WHOLE = json.dumps(document(content="hello you"))
CHOICES = [event(content=word, index=index) for word in ("hello ", "you") for index in (0, 1)]
TWO_AT_ONCE = "data: " + json.dumps(
    {"choices": [{"index": n, "delta": {"content": word}} for n, word in ((1, "no"), (0, "hello you"))]}
)
READ_AS_MEANT: list[tuple[str, Script]] = [
    ("events over several data lines", streams(spread("hello "), spread("you"), STOP, DONE)),
    ("lines ended by CR", streams("".join((*texts("hello ", "you"), STOP, DONE)).replace("\n", "\r"))),
    ("CRLF cut in the middle", streams(texts("hello you")[0].strip() + "\r", "\n\r\n" + STOP + DONE)),
    ("a byte order mark", streams(b"\xef\xbb\xbf", *texts("hello ", "you"), STOP, DONE)),
    ("a document labelled text/plain", responds(200, WHOLE, "text/plain")),
    ("a document labelled text/event-stream", responds(200, "\n\n" + WHOLE, SSE)),
    ("a document over many lines", responds(200, json.dumps(document(content="hello you"), indent=2), SSE)),
    ("a document without a finish", responds(200, {"choices": [{"message": {"content": "hello you"}}]})),
    ("events labelled application/json", streams(*texts("hello ", "you"), STOP, content_type="application/json")),
    ("events without data:", streams(*[row[6:].strip() + "\n" for row in (*texts("hello ", "you"), STOP)])),
    ("two objects on a line", streams((texts("hello ")[0].strip() + texts("you")[0][6:]), STOP, DONE)),
    ("a finish in every event", streams(*texts("hello ", "you", finish="stop"), DONE)),
    ("a finish called null", streams(*texts("hello ", "you", finish="null"), STOP, DONE)),
    ("a finish without text", streams(*texts("hello ", "you", finish=""), STOP, DONE)),
    ("a second choice", streams(*CHOICES, STOP, DONE)),
    ("a second choice that comes first", streams(event(content=""), TWO_AT_ONCE + "\n\n", STOP, DONE)),
    ("an index that is none", streams(event(content="hello you", index=7), event(finish="stop", index=7), DONE)),
    ("an index that is text", streams(event(content="hello you", index="0"), STOP, DONE)),
    ("the whole text in each event", streams(*texts("hello", "hello y", "hello you"), STOP, DONE)),
    ("the whole text in the last event", streams(*texts("hello ", "you"), event(content="hello you", finish="stop"))),
    ("the whole message at the end", streams(*texts("hello ", "you"), f"data: {WHOLE}\n\n", DONE)),
    ("text instead of content", streams('data: {"choices":[{"text":"hello you"}]}\n\n', STOP, DONE)),
    ("a text in parts", streams(event(content=[{"type": "text", "text": "hello you"}]), STOP, DONE)),
    ("fields that are null", streams('data: {"error":null,"choices":null}\n\n', *texts("hello ", "you"), STOP, DONE)),
    ("a delta that is null", streams('data: {"choices":[{"delta":null}]}\n\n', *texts("hello ", "you"), STOP, DONE)),
    ("a finish by another name", streams(*texts("hello ", "you"), event(finish="eos"), DONE)),
    ("a refusal of the model", streams(event(refusal="hello you"), STOP, DONE)),
    ("a refusal in a document", responds(200, document(content=None, refusal="hello you"))),
]


@pytest.mark.parametrize(("what", "script"), READ_AS_MEANT, ids=[row[0] for row in READ_AS_MEANT])
async def test_an_answer_is_read_as_it_was_meant(what: str, script: Script, upstream: Upstream, tmp_path: Path) -> None:
    """The text arrives once and whole, at the first attempt."""
    upstream.on(COMPLETIONS, script)
    async with running(openai(tmp_path, upstream, llm_attempts=1)) as server:
        answer = (await server.chat()).json()
    assert answer["message"]["content"] == "hello you"
    assert answer["done_reason"] == "stop"


@pytest.mark.parametrize(
    "parts", [("ha", "haha"), ("1", "11"), ("no ", "no "), ("\n", "\n\nx"), ("the cat ", "the dog")]
)
async def test_words_that_are_merely_alike_stay(parts: tuple[str, ...], upstream: Upstream, tmp_path: Path) -> None:
    """Only an event that begins with everything so far is a repetition."""
    upstream.on(COMPLETIONS, streams(*texts(*parts), STOP, DONE))
    async with running(openai(tmp_path, upstream)) as server:
        assert (await server.chat()).json()["message"]["content"] == "".join(parts)


BAD_EVENT = b'data: {"choices":[{"delta":{"content":"a\xffb"}}]}\n\n'
BAD_LINE = b'{"message":{"content":"a\xffb"}}\n'
BYTES: list[tuple[str, str, Script, str]] = [
    (
        "a bad byte",
        "openai",
        streams(BAD_EVENT, STOP, DONE),
        "a\ufffdb",
    ),
    (
        "a bad byte",
        "ollama",
        streams(BAD_LINE, last_line(), content_type=NDJSON),
        "a\ufffdb",
    ),
    ("a character in two", "openai", streams(*texts("\ud83d", "\ude00!"), STOP, DONE), "\U0001f600!"),
    ("a character in two", "ollama", streams(line("a\ud83d") + line("\ude00"), last_line()), "a\U0001f600"),
    (
        "a character in two after a pause",
        "ollama",
        streams(line("\ud83d"), line(), line("\ude00"), last_line()),
        "\U0001f600",
    ),
    ("two objects on a line", "ollama", streams(line("a").strip() + line("b"), last_line()), "ab"),
    (
        "events of a proxy",
        "ollama",
        streams(f"event: message\nid: 1\ndata: {line('data: a')}\n", f": ping\n\ndata:{last_line()}\ndata: [DONE]\n\n"),
        "data: a",
    ),
    ("lines ended by CR", "ollama", streams((line("a") + line("b") + last_line()).replace("\n", "\r")), "ab"),
]


@pytest.mark.parametrize(
    ("what", "source", "script", "text"), BYTES, ids=[f"{source} {what}" for what, source, *_ in BYTES]
)
async def test_bytes_that_are_no_text_cost_a_character(
    what: str, source: str, script: Script, text: str, upstream: Upstream, tmp_path: Path
) -> None:
    """The rest of the answer is delivered."""
    upstream.on(COMPLETIONS, script)
    upstream.on("/api/chat", script)
    async with running({"openai": openai, "ollama": ollama}[source](tmp_path, upstream, llm_attempts=1)) as server:
        assert (await server.chat()).json()["message"]["content"] == text


async def test_a_server_of_the_other_protocol_is_named_as_one(upstream: Upstream, tmp_path: Path) -> None:
    """Its address was entered as that of Ollama; the operator reads what to set instead."""
    upstream.on("/api/chat", streams(event(content="Hello!"), STOP, DONE))
    async with running(ollama(tmp_path, upstream, llm_attempts=1)) as server:
        answer = await server.chat()
    assert (answer.status_code, answer.json()["kind"]) == (503, "unavailable")
    assert "set openai_base_url" in answer.json()["error"]


async def test_arguments_keep_a_character_that_comes_in_two(upstream: Upstream, tmp_path: Path) -> None:
    """The halves are joined at their place: those of a tool call do not meet those of the text."""
    first = event(content="\ud83d", tool_calls=[call('{"a":"\ud83c', index=0, name="f")])
    second = event(content="\ude00", tool_calls=[call('\udf08"}', index=0)])
    upstream.on(COMPLETIONS, streams(first, second, event(finish="tool_calls"), DONE))
    async with running(openai(tmp_path, upstream, llm_attempts=1)) as server:
        message = (await server.chat()).json()["message"]
    assert message["content"] == "\U0001f600"
    assert message["tool_calls"][0]["function"]["arguments"] == {"a": "\U0001f308"}


@pytest.mark.parametrize("reason", ["load", "unload"])
async def test_a_model_that_was_only_loaded_is_asked_again(reason: str, upstream: Upstream, tmp_path: Path) -> None:
    """An end without an answer is an empty answer, which opens no circuit; one after text is the end of it."""
    loaded = streams(line(done=True, done_reason=reason), content_type=NDJSON)
    upstream.on("/api/chat", loaded, streams(line("hello"), line(done=True, done_reason=reason), content_type=NDJSON))
    async with running(ollama(tmp_path, upstream)) as server:
        answer = (await server.chat()).json()
        upstream.on("/api/chat", loaded)
        empty = await server.chat()
        state = (await server.status())["sources"][0]["circuit"]
    assert (answer["message"]["content"], answer["done_reason"]) == ("hello", "stop")
    assert (empty.status_code, empty.json()["kind"], state) == (502, "unusable", "closed")


@pytest.mark.parametrize("reason", ["length", "MAX_TOKENS", "max_tokens", "Length"])
async def test_an_answer_at_its_limit_is_told_by_any_name(reason: str, upstream: Upstream, tmp_path: Path) -> None:
    """Servers that pass on the reasons of others do so unchanged."""
    upstream.on(COMPLETIONS, streams(*texts("hello"), event(finish=reason), DONE))
    async with running(openai(tmp_path, upstream)) as server:
        assert (await server.chat()).json()["done_reason"] == "length"


async def heartbeats(call: Any) -> None:
    await call.begin(SSE)
    await call.send("".join(texts("hello")) + STOP + delta(usage=USAGE))
    while not call.gone.is_set():
        await call.send(": heartbeat\n\n")
        await asyncio.sleep(0.02)


@pytest.mark.parametrize(
    "script",
    [
        streams_then_hangs(*texts("hello"), STOP, delta(usage=USAGE)),
        heartbeats,
        streams_then_cuts(*texts("hello"), STOP, delta(usage=USAGE)),
    ],
    ids=["silence", "heartbeats", "a cut"],
)
async def test_a_finished_answer_needs_no_end_of_the_stream(script: Script, upstream: Upstream, tmp_path: Path) -> None:
    """After the finish reason and a moment for the usage the answer is complete, and asked for once."""
    upstream.on(COMPLETIONS, script)
    async with running(openai(tmp_path, upstream, llm_attempts=1)) as server:
        answer = (await server.chat()).json()
    assert (answer["message"]["content"], answer["prompt_eval_count"]) == ("hello", 12)
    assert len(upstream.asked(COMPLETIONS)) == 1


# -- tool calls --------------------------------------------------------------------------------------------------------


def call(arguments: Any = None, **more: Any) -> dict[str, Any]:
    """A fragment of a tool call; `name` goes into its function."""
    function = {key: more.pop(key) for key in ("name",) if key in more}
    return {**more, "function": {**function, **({} if arguments is None else {"arguments": arguments})}}


def calling(*fragments: dict[str, Any]) -> Script:
    return streams(*[event(tool_calls=[fragment]) for fragment in fragments], event(finish="tool_calls"), DONE)


F1 = ("f", {"a": 1})
CALLS: list[tuple[str, Script, list[tuple[str, dict[str, Any]]]]] = [
    (
        "all at index 0 with ids",
        calling(call('{"a":1}', index=0, id="x", name="f"), call('{"b":2}', index=0, id="y", name="g")),
        [F1, ("g", {"b": 2})],
    ),
    (
        "all at index 0 without ids",
        calling(call('{"a":1}', index=0, name="f"), call('{"b":2}', index=0, name="g")),
        [F1, ("g", {"b": 2})],
    ),
    (
        "one function twice at index 0 without ids",
        calling(call('{"a":1}', index=0, name="f"), call('{"b":2}', index=0, name="f")),
        [F1, ("f", {"b": 2})],
    ),
    ("no index, in pieces", calling(call("", id="x", name="f"), call('{"a"'), call(":1}")), [F1]),
    (
        "no index, the id in each piece",
        calling(call("", id="x", name="f"), call('{"a"', id="x"), call(":1}", id="x")),
        [F1],
    ),
    (
        "no index, two calls",
        calling(call('{"a":1}', id="x", name="f"), call("", id="y", name="g"), call('{"b":2}')),
        [F1, ("g", {"b": 2})],
    ),
    ("the arguments twice", calling(call('{"a":1}', index=0, id="x", name="f"), call('{"a":1}', index=0)), [F1]),
    ("the arguments so far", calling(call('{"a"', index=0, name="f"), call('{"a":1}', index=0)), [F1]),
    (
        "a name in pieces",
        calling(call(index=0, id="x", name="get_"), call(index=0, name="weather"), call("{}", index=0)),
        [("get_weather", {})],
    ),
    ("the name in each piece", calling(call('{"a"', index=0, name="f"), call(":1}", index=0, name="f")), [F1]),
    ("after the finish", streams(STOP, event(tool_calls=[call('{"a":1}', index=0, name="f")]), DONE), [F1]),
    ("a function_call", streams(event(function_call={"name": "f", "arguments": '{"a":1}'}), STOP, DONE), [F1]),
    (
        "a function_call in pieces",
        streams(
            event(function_call={"name": "f"}),
            event(function_call={"arguments": '{"a"'}),
            event(function_call={"arguments": ":1}"}),
            event(finish="function_call"),
        ),
        [F1],
    ),
]


@pytest.mark.parametrize(("what", "script", "expected"), CALLS, ids=[row[0] for row in CALLS])
async def test_tool_calls_arrive_whole(
    what: str, script: Script, expected: list[tuple[str, dict[str, Any]]], upstream: Upstream, tmp_path: Path
) -> None:
    """With their names and all their arguments, whatever index and id the fragments carry."""
    upstream.on(COMPLETIONS, script)
    async with running(openai(tmp_path, upstream, llm_attempts=1)) as server:
        calls = (await server.chat()).json()["message"]["tool_calls"]
    assert [(found["function"]["name"], found["function"]["arguments"]) for found in calls] == expected


# -- errors ------------------------------------------------------------------------------------------------------------

HALF = 'data: {"choices": [{"del\n\n'
ERRORS: list[tuple[str, Script, str, str]] = [
    ("a detail as a success", responds(200, {"detail": "the model is not loaded"}), "unavailable", "not loaded"),
    (
        "half an event",
        streams(HALF, *texts("hello"), STOP, DONE),
        "unavailable",
        "half a line",
    ),
    ("half an event at the end", streams('data: {"choices": [{"del'), "unavailable", "half a line"),
    ("a document that breaks off", responds(200, WHOLE[:-5]), "unavailable", "half a line"),
    ("a redirect", responds(307, "moved", "text/plain", Location="http://127.0.0.1:9/"), "unavailable", "redirects"),
    ("a permanent redirect", responds(308, "moved", "text/plain", Location="/x"), "unavailable", "redirects"),
]


@pytest.mark.parametrize(("what", "script", "kind", "words"), ERRORS, ids=[row[0] for row in ERRORS])
async def test_what_is_no_answer_is_an_honest_error(
    what: str, script: Script, kind: str, words: str, upstream: Upstream, tmp_path: Path
) -> None:
    """Never half a success."""
    upstream.on(COMPLETIONS, script)
    async with running(openai(tmp_path, upstream, llm_attempts=1)) as server:
        error = (await server.chat()).json()
    assert error["kind"] == kind
    assert words in error["error"]
