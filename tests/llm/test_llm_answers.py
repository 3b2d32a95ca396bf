"""Answers of every source through the real server, over real sockets."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from relay.llm.chat import ChatMessage, ChatRequest
from relay.llm.providers import demo
from relay.llm.providers.faq import Faq
from relay.texts.sentences import localize, offered_languages
from tests.llm.running_llm_server import nothing_configured, ollama, openai, openrouter, running
from tests.llm.scripted_upstream import (
    DONE,
    Script,
    Upstream,
    chat,
    completion,
    delta,
    line,
    scripted_upstream,
    streams,
)

KEY = {"data": {"usage_monthly": 1.25, "is_free_tier": False}}
ANSWER_PATH = {"openrouter": "/chat/completions", "openai": "/chat/completions", "ollama": "/api/chat"}
SETTINGS = {"openrouter": openrouter, "openai": openai, "ollama": ollama}
WHOLE: dict[str, Callable[..., Script]] = {"openrouter": completion, "openai": completion, "ollama": chat}


@pytest.fixture
async def upstream() -> AsyncIterator[Upstream]:
    async with scripted_upstream() as found:
        yield found


@pytest.mark.parametrize("source", list(SETTINGS))
async def test_a_source_answers_whole_and_streamed(source: str, upstream: Upstream, tmp_path: Path) -> None:
    """The same answer comes as one document and as a stream that ends with done:true."""
    upstream.on(ANSWER_PATH[source], WHOLE[source]("Hello", " there"))
    async with running(SETTINGS[source](tmp_path, upstream)) as server:
        whole = (await server.chat()).json()
        assert whole["message"] == {"role": "assistant", "content": "Hello there"}
        assert (whole["done"], whole["done_reason"]) == (True, "stop")
        assert (whole["prompt_eval_count"], whole["eval_count"]) == (12, 3)
        assert whole["x_relay"]["source"] == source

        streamed = await server.chat(stream=True)
        assert streamed.headers["content-type"] == "application/x-ndjson"
        chunks = [json.loads(row) for row in streamed.text.splitlines()]
        assert "".join(chunk["message"]["content"] for chunk in chunks) == "Hello there"
        assert [chunk["done"] for chunk in chunks] == [False] * (len(chunks) - 1) + [True]


async def test_openrouter_is_asked_as_its_documentation_says(upstream: Upstream, tmp_path: Path) -> None:
    """Attribution, streaming, hidden reasoning, routing, and the person's session ride along; the cost comes back."""
    upstream.on(
        "/chat/completions", completion("Hi", usage={"prompt_tokens": 9, "completion_tokens": 1, "cost": 0.002})
    )
    settings = openrouter(
        tmp_path, upstream, openrouter_provider={"sort": "price"}, openrouter_app_url="https://shop.example/"
    )
    async with running(settings) as server:
        answer = (await server.chat(options={"temperature": 0.1, "top_k": 5}, x_relay={"person": "p1"})).json()
    assert answer["x_relay"]["cost_usd"] == 0.002
    call = next(call for call in upstream.calls if call.path == "/chat/completions")
    assert call.headers["authorization"] == "Bearer sk-or-secret"
    assert call.headers["http-referer"] == "https://shop.example"
    assert "x-title" in call.headers
    asked: dict[str, Any] = call.body
    assert asked["stream"] is True
    assert asked["reasoning"] == {"exclude": True}
    assert asked["provider"] == {"sort": "price"}
    assert (asked["temperature"], asked["top_k"], asked["session_id"]) == (0.1, 5, "p1")
    assert asked["model"] == "openrouter/polaris-alpha"


async def test_comments_in_the_stream_are_no_data(upstream: Upstream, tmp_path: Path) -> None:
    """OpenRouter's keep-alive comments are skipped, also when an event is cut in the middle by the network."""
    event = delta("Hello")
    upstream.on(
        "/chat/completions",
        streams(": OPENROUTER PROCESSING\n\n", event[:9], event[9:], ": x\n\n", delta(finish="stop"), DONE),
    )
    async with running(openrouter(tmp_path, upstream)) as server:
        assert (await server.chat()).json()["message"]["content"] == "Hello"


async def test_ollama_is_told_not_to_think(upstream: Upstream, tmp_path: Path) -> None:
    """An absent think means true for Ollama, so false is sent unless the caller wants thoughts."""
    upstream.on("/api/chat", chat("Hi"))
    async with running(ollama(tmp_path, upstream)) as server:
        await server.chat()
        await server.chat(think=True)
    assert [asked["think"] for asked in upstream.asked("/api/chat")] == [False, True]


@pytest.mark.parametrize(
    ("source", "stream"),
    [
        ("openai", [delta(None, choices=[{"index": 0, "delta": {"reasoning": "hm"}}]), delta("42")]),
        ("openai", [delta(None, choices=[{"index": 0, "delta": {"reasoning_content": "hm"}}]), delta("42")]),
        ("openai", [delta("<think>hm "), delta("hm</thi"), delta("nk>\n\n42")]),
        ("ollama", [line(message={"role": "assistant", "content": "", "thinking": "hm"}), line("42")]),
        ("ollama", [line("<think>"), line("hm"), line("</think>42")]),
    ],
)
async def test_reasoning_is_not_delivered(source: str, stream: list[str], upstream: Upstream, tmp_path: Path) -> None:
    """Reasoning under any of its names stays out of the answer."""
    end = [delta(finish="stop"), DONE] if source == "openai" else [line(done=True)]
    upstream.on(ANSWER_PATH[source], streams(*stream, *end))
    async with running(SETTINGS[source](tmp_path, upstream)) as server:
        answer = (await server.chat()).json()
    assert answer["message"] == {"role": "assistant", "content": "42"}


async def test_thoughts_come_when_they_are_asked_for(upstream: Upstream, tmp_path: Path) -> None:
    """With think:true they are in a field of their own."""
    upstream.on("/api/chat", streams(line("<think>hm</think>42"), line(done=True)))
    async with running(ollama(tmp_path, upstream)) as server:
        answer = (await server.chat(think=True)).json()
    assert answer["message"] == {"role": "assistant", "content": "42", "thinking": "hm"}


async def test_a_model_whose_thoughts_are_not_opened_is_remembered(upstream: Upstream, tmp_path: Path) -> None:
    """Once a closing tag came alone, the next stream holds the beginning back until the thoughts are over."""
    upstream.on("/api/chat", streams(line("let me see "), line("hm </think> "), line("42"), line(done=True)))
    async with running(ollama(tmp_path, upstream)) as server:
        await server.chat()
        second = (await server.chat()).json()
    assert second["message"]["content"] == "42"


async def test_pictures_and_tools_pass_through(upstream: Upstream, tmp_path: Path) -> None:
    """What the caller sends in Ollama's form reaches an OpenAI-compatible server in its own, and calls come back."""
    fragments = [{"index": 0, "id": "c1", "function": {"name": "weather", "arguments": '{"city"'}}]
    rest = [{"index": 0, "function": {"arguments": ': "Rome"}'}}]
    upstream.on(
        "/chat/completions",
        streams(
            delta(choices=[{"index": 0, "delta": {"tool_calls": fragments}}]),
            delta(choices=[{"index": 0, "delta": {"tool_calls": rest}}]),
            delta(finish="tool_calls"),
            DONE,
        ),
    )
    picture = "iVBORw0KGgo="
    tool = {"type": "function", "function": {"name": "weather", "parameters": {}}}
    async with running(openai(tmp_path, upstream)) as server:
        body = {"messages": [{"role": "user", "content": "see", "images": [picture]}], "tools": [tool], "stream": False}
        answer = (await server.http.post("/api/chat", json=body)).json()
    assert answer["message"]["tool_calls"][0]["function"]["arguments"] == {"city": "Rome"}
    asked = upstream.asked("/chat/completions")[0]
    assert asked["messages"][0]["content"][1]["image_url"]["url"] == f"data:image/png;base64,{picture}"
    assert asked["tools"] == [tool]


async def test_the_demo_answers_when_nothing_else_is_there(tmp_path: Path) -> None:
    """In try-out mode auto ends at the demo, which knows the name and the earlier messages."""
    async with running(nothing_configured(tmp_path, simulated=True)) as server:
        body = {
            "messages": [
                {"role": "user", "content": "My cat is called Tom"},
                {"role": "assistant", "content": "Nice"},
                {"role": "user", "content": "What did I say before?"},
            ],
            "x_relay": {"name": "Alice"},
            "stream": False,
        }
        answer = (await server.http.post("/api/chat", json=body)).json()
    assert "Alice" in answer["message"]["content"]
    assert "My cat is called Tom" in answer["message"]["content"]


async def test_the_demo_is_honest_about_what_it_cannot_see(tmp_path: Path) -> None:
    """It refuses a picture, and where a note says that there was one, it says so before it answers the words."""
    noted = "How long do I boil an egg?\n\n[a picture, not visible to you]"
    async with running(nothing_configured(tmp_path, simulated=True)) as server:
        refused = await server.chat("", messages=[{"role": "user", "content": "see", "images": ["aGVsbG8="]}])
        answer = (await server.chat(noted)).json()["message"]["content"]
    assert refused.json()["kind"] == "cannot_see"
    assert answer.startswith("I cannot see or hear what you sent with it: I am **not an AI**")
    assert "Six minutes" in answer


FAQ = Faq(Path(__file__).resolve().parents[2] / "faq.json")
SUGGESTED = ("What can you do?", "Tell me something long", "What did I say before?", "How do I connect a real AI?")


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ("How long do I boil an egg?", "Six minutes"),
        ("how much does it cost", "costs nothing"),
        ("what does it cost?", "costs nothing"),
        ("What did I say before?", "first message"),
        ("Do you deliver to the moon?", "no AI"),
    ],
)
def test_the_demo_answers_what_newcomers_ask_first(asked: str, expected: str) -> None:
    """Also without an earlier message; questions to copy are in quotation marks, for phones without formatting."""
    answer = demo.reply(FAQ, ChatRequest((ChatMessage("user", asked),), name="Nora"))
    assert expected in answer
    assert "(nothing yet)" not in answer
    assert not re.search(r"\*[A-Z][^*]*\?\*", answer)


@pytest.mark.parametrize("asked", SUGGESTED)
def test_the_demo_answers_what_the_simulator_suggests(asked: str) -> None:
    """The chips of an empty chat lead to an answer."""
    assert asked in (Path(demo.__file__).parents[2] / "simulator" / "page" / "phones.js").read_text()
    assert FAQ.find(asked) is not None


@pytest.mark.parametrize("language", offered_languages())
def test_the_demo_answers_in_the_language_of_the_person(language: str) -> None:
    """Its own sentences, and the questions that they suggest lead to an answer."""
    unknown = demo.reply(FAQ, ChatRequest((ChatMessage("user", "xyzzy plugh"),), name="Nora", language=language))
    hello = demo.reply(FAQ, ChatRequest((ChatMessage("user", "hola"),), language=language))
    assert unknown == f"{localize('demo-hello-name', language, name='Nora')} {localize('demo-no-answer', language)}"
    assert hello == f"{localize('demo-hello', language)} {localize('demo-introduction', language)}"
    suggested = re.findall(r'["„“«]\s?([^"“”»]+?[?\uff1f\u061f])\s?["“”»]', f"{unknown} {hello}")
    assert len(suggested) >= 5
    assert [asked for asked in suggested if FAQ.find(asked) is None] == []


async def test_a_channel_names_the_language_of_the_demo(tmp_path: Path) -> None:
    """In the extension of the request; a language that is not offered is English."""
    async with running(nothing_configured(tmp_path, simulated=True)) as server:
        for language, thanks in (("de", "Gern geschehen!"), ("xx", "You are welcome!")):
            answer = await server.chat("danke", x_relay={"language": language})
            assert answer.json()["message"]["content"] == thanks


async def test_without_anything_the_error_is_honest(tmp_path: Path) -> None:
    """Outside try-out mode nothing pretends to be a model."""
    async with running(nothing_configured(tmp_path)) as server:
        answer = await server.chat()
        assert answer.status_code == 503
        assert answer.json()["error"] == "no model is configured"
        assert "OPENROUTER_API_KEY" in answer.json()["hint"]
        assert (await server.http.get("/ready")).status_code == 503
        assert (await server.status())["status"] == "unavailable"


async def test_the_demo_answers_from_the_programs_faq_where_the_settings_folder_has_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As with --folder; a FAQ of that folder comes first."""
    monkeypatch.chdir(tmp_path)
    async with running(nothing_configured(tmp_path, simulated=True)) as server:
        answer = (await server.chat("How do I connect an AI?")).json()["message"]["content"]
    assert "missing" not in answer
    (tmp_path / "faq.json").write_text('{"entries": [{"questions": ["connect an AI"], "answer": "By our own hand."}]}')
    async with running(nothing_configured(tmp_path, simulated=True)) as server:
        answer = (await server.chat("How do I connect an AI?")).json()["message"]["content"]
    assert "By our own hand." in answer
