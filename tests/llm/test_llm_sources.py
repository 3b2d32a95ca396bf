"""Several servers side by side: each has its name, key, model and limits, and one takes over from the other."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from relay.config.errors import SettingsError
from relay.config.loading import load_settings
from relay.config.settings import Settings
from tests.llm.running_llm_server import made, running
from tests.llm.scripted_upstream import (
    COMPLETIONS,
    DONE,
    Script,
    Upstream,
    completion,
    delta,
    responds,
    scripted_upstream,
    streams,
)


def sources(first: Upstream, second: Upstream, **more: Any) -> dict[str, Any]:
    return {
        "groq": {"base_url": first.url, "api_key": "gsk-1", "model": "scripted"},
        "lan": {"base_url": second.url, "model": "scripted", **more},
    }


async def test_each_source_is_asked_by_its_name_with_its_own_key(upstream: Upstream, tmp_path: Path) -> None:
    """As the default, by name, and with a model; all of them are in the status of the chain."""
    upstream.on(COMPLETIONS, completion("from groq"))
    async with scripted_upstream() as lan:
        lan.on("/models", responds(200, {"data": [{"id": "scripted"}, {"id": "big"}]}))
        lan.on(COMPLETIONS, completion("from lan"))
        settings = made(tmp_path, llm_source="groq", llm_sources=sources(upstream, lan), llm_fallbacks=("lan",))
        async with running(settings) as server:
            answers = [(await server.chat(model=name)).json() for name in ("", "lan", "lan:big")]
            chain = (await server.status())["chain"]
        assert [call["model"] for call in lan.asked(COMPLETIONS)] == ["scripted", "big"]
        assert {call.headers.get("authorization") for call in lan.calls} == {None}
    assert [answer["message"]["content"] for answer in answers] == ["from groq", "from lan", "from lan"]
    assert [answer["x_relay"]["source"] for answer in answers] == ["groq", "lan", "lan"]
    assert [answer["x_relay"]["cost_usd"] for answer in answers] == [None, 0.0, 0.0]
    assert chain == ["groq", "lan"]
    assert upstream.calls[-1].headers["authorization"] == "Bearer gsk-1"


REFUSED = responds(403, {"error": {"code": 403, "message": "flagged", "metadata": {"reasons": ["violence"]}}})
TOO_LONG = responds(400, {"error": {"message": "maximum context length is 10 tokens"}})


@pytest.mark.parametrize(("what", "trouble"), [("refused", REFUSED), ("context_too_long", TOO_LONG)])
@pytest.mark.parametrize("goes_on", [True, False])
async def test_the_next_source_is_asked_after_a_refusal_on_request(
    what: str, trouble: Any, goes_on: bool, upstream: Upstream, tmp_path: Path
) -> None:
    """A larger context, or other rules, may answer; without the setting the first word is the last one."""
    upstream.on(COMPLETIONS, trouble)
    async with scripted_upstream() as lan:
        lan.on("/models", responds(200, {"data": [{"id": "scripted"}]}))
        lan.on(COMPLETIONS, completion("from lan"))
        after = (what,) if goes_on else ()
        more = {"llm_fallbacks": ("lan",), "llm_fallback_after": after, "llm_sources": sources(upstream, lan)}
        async with running(made(tmp_path, llm_source="groq", **more)) as server:
            answer = (await server.chat()).json()
    assert answer.get("kind") == (None if goes_on else what)
    assert ("message" in answer) is goes_on


REFUSALS: list[tuple[str, Script]] = [
    ("a filter ends the answer", streams(delta("Well"), delta(finish="content_filter"), DONE)),
    ("azure", responds(400, {"error": {"code": "content_filter", "message": "The response was filtered"}})),
    ("a moderation", responds(403, {"error": {"message": "Your input was flagged by moderation", "code": 403}})),
    ("an error type", responds(400, {"error": {"message": "no", "metadata": {"error_type": "refusal"}}})),
]


@pytest.mark.parametrize("script", [row[1] for row in REFUSALS], ids=[row[0] for row in REFUSALS])
async def test_every_kind_of_refusal_goes_on_to_the_next_source(
    script: Script, upstream: Upstream, tmp_path: Path
) -> None:
    """Half an answer that its own filter ended is shown to no one."""
    upstream.on(COMPLETIONS, script)
    async with scripted_upstream() as lan:
        lan.on(COMPLETIONS, completion("from lan"))
        more = {"llm_fallbacks": ("lan",), "llm_fallback_after": ("refused",), "llm_sources": sources(upstream, lan)}
        async with running(made(tmp_path, llm_source="groq", **more)) as server:
            answer = (await server.chat()).json()
    assert answer["message"]["content"] == "from lan"
    assert answer["x_relay"]["degraded"] is True


@pytest.mark.parametrize(("chars", "source"), [(300, "groq"), (30_000, "lan")])
async def test_a_question_goes_to_the_first_source_whose_context_holds_it(
    chars: int, source: str, upstream: Upstream, tmp_path: Path
) -> None:
    """The smaller one is not even asked; where no source is larger, the person is told that it is too long."""
    upstream.on("/models", responds(200, {"data": [{"id": "scripted", "max_model_len": 4096}]}))
    upstream.on(COMPLETIONS, completion("from groq"))
    async with scripted_upstream() as lan:
        lan.on("/models", responds(200, {"data": [{"id": "scripted", "max_model_len": 131_072}]}))
        lan.on(COMPLETIONS, completion("from lan"))
        common = {"llm_source": "groq", "llm_sources": sources(upstream, lan)}
        more = {"llm_fallbacks": ("lan",), "llm_fallback_after": ("context_too_long",)}
        async with running(made(tmp_path, **common, **more)) as server:
            answer = (await server.chat("word " * (chars // 5))).json()
            assert (answer["x_relay"]["source"], len(upstream.asked(COMPLETIONS))) == (source, int(source == "groq"))
        async with running(made(tmp_path, **common)) as server:
            alone = await server.chat("word " * (chars // 5))
    assert alone.json().get("kind") == (None if source == "groq" else "context_too_long")


@pytest.mark.parametrize(
    ("entry", "is_free"),
    [
        ({"base_url": "http://127.0.0.1:4000/v1"}, True),
        ({"base_url": "http://localhost:4000/v1", "api_key": "sk-1"}, False),
        ({"base_url": "http://localhost:4000/v1", "api_key": "sk-1", "free": True}, True),
        ({"base_url": "http://192.168.1.5:8000/v1"}, False),
        ({"base_url": "http://192.168.1.5:8000/v1", "free": True}, True),
        ({"base_url": "http://127.0.0.1:4000/v1", "free": False}, False),
    ],
)
def test_a_server_is_free_when_it_is_ours_or_stated_to_be(entry: dict[str, Any], is_free: bool) -> None:
    """A proxy on this machine that takes a key bills what is behind it."""
    assert Settings(llm_sources={"own": entry}).llm_sources["own"].is_free is is_free


WRONG = [
    ({"LLM_SOURCES": '{"ollama": {"base_url": "http://x"}}'}, "cannot be the name of a source"),
    ({"LLM_SOURCES": '{"a:b": {"base_url": "http://x"}}'}, "cannot be the name of a source"),
    ({"LLM_SOURCES": '{"a": {}}'}, "llm_sources.a.base_url is not valid"),
    ({"LLM_SOURCES": '{"a": {"base_url": "x"}}'}, "llm_sources.a.base_url is not valid: must be a full URL"),
    ({"LLM_SOURCES": '{"a": {"base_url": "http://x", "key": "sk-secret"}}'}, "llm_sources.a.key is not valid"),
    ({"LLM_SOURCE": "groq"}, "llm_source must be one of auto, openrouter"),
    ({"LLM_FALLBACK_AFTER": "anger"}, "llm_fallback_after knows refused and context_too_long"),
]


@pytest.mark.parametrize(("environ", "words"), WRONG, ids=[str(row[0]) for row in WRONG])
def test_a_wrong_source_is_named(environ: dict[str, str], words: str, tmp_path: Path) -> None:
    """At the start, without its secret."""
    with pytest.raises(SettingsError) as found:
        load_settings(Settings, tmp_path, environ)
    assert words in str(found.value)
    assert "sk-secret" not in str(found.value)


def test_the_keys_of_all_sources_are_secrets(tmp_path: Path) -> None:
    """They are redacted in logs and errors."""
    given = {"LLM_SOURCES": '{"a": {"base_url": "http://x", "api_key": "sk-of-a"}}', "LLM_SOURCE": "A"}
    settings = load_settings(Settings, tmp_path, given)
    assert settings.llm_source == "a"
    assert "sk-of-a" in settings.secrets()
