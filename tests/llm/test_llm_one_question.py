"""One question's trouble is its own: what a source refuses of one person holds off nobody else."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.llm.running_llm_server import ollama, openai, openrouter, running
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
    streams_then_cuts,
)

BLOCKED_PAGE = "<!DOCTYPE html><title>Attention Required! | Cloudflare</title>Sorry, you have been blocked"
UINT64_MAX = 2**64 - 1


@pytest.fixture
async def upstream(upstream: Upstream) -> Upstream:
    """Also answers every question with hello."""
    upstream.on(COMPLETIONS, completion("hello"))
    return upstream


def person(name: str, **more: Any) -> dict[str, Any]:
    return {"x_relay": {"person": name, "channel": "telegram", **more}}


def poisoned(trouble: Script) -> Script:
    """Answers every question but those that hold the word "poison"."""

    async def script(call: Call) -> None:
        await (trouble if b"poison" in call.content else completion("hello"))(call)

    return script


def refusal(status: int, message: str, **more: Any) -> Script:
    return responds(status, {"error": {"code": status, "message": message, **more}})


EMPTY = streams(delta(""), delta(finish="stop"), DONE)
POISONS: list[tuple[str, Script, str]] = [
    ("a firewall's page", responds(403, BLOCKED_PAGE, "text/html"), "forbidden"),
    ("a region", refusal(403, "Country, region, or territory not supported"), "forbidden"),
    ("a firewall's own status", responds(406, "Not Acceptable", "text/plain"), "forbidden"),
    ("a law", refusal(451, "Unavailable For Legal Reasons"), "forbidden"),
    ("words on keys", refusal(403, "Blocked: your prompt mentions an api key rotation"), "forbidden"),
    ("a quoted sentence on keys", refusal(400, "Invalid value: 'your api key is not valid'"), "auth"),
    ("moderation", refusal(403, "flagged", metadata={"reasons": ["violence"]}), "refused"),
    ("a bad request", refusal(400, "Invalid value"), "bad_request"),
    ("missing credits", refusal(402, "This request requires more credits, or fewer max_tokens"), "credits"),
    ("a rate limit", responds(429, {"error": {"code": 429, "message": "slow"}}, Retry_After="120"), "rate_limit"),
    ("too large for a minute", refusal(429, "Request too large for model m: Limit 6000"), "context_too_long"),
    ("an empty answer", EMPTY, "unusable"),
    ("a server error", refusal(500, "internal error"), "unavailable"),
    ("a cut connection", streams_then_cuts(), "unavailable"),
    ("a web page", responds(200, "<html>", "text/html"), "unavailable"),
]


@pytest.mark.parametrize(("what", "trouble", "kind"), POISONS, ids=[row[0] for row in POISONS])
async def test_one_persons_trouble_holds_off_nobody_else(
    what: str, trouble: Script, kind: str, upstream: Upstream, tmp_path: Path
) -> None:
    """However often one person asks it, everyone else is answered at the first attempt, without a pause."""
    upstream.on(COMPLETIONS, poisoned(trouble))
    async with running(openai(tmp_path, upstream)) as server:
        first = (await server.chat("poison", **person("poisoner"))).json()
        for _ in range(3):
            await server.chat("poison", **person("poisoner"))
        slept = len(server.clock.slept)
        answers = [(await server.chat("hi", **person(f"p{number}"))).json() for number in range(3)]
        assert len(server.clock.slept) == slept
    assert first["kind"] == kind
    assert [answer["message"]["content"] for answer in answers] == ["hello"] * 3


@pytest.mark.parametrize("trouble", [row[1] for row in POISONS if row[2] in {"credits", "rate_limit"}])
async def test_the_service_stays_ready_while_one_person_is_held_off(
    trouble: Script, upstream: Upstream, tmp_path: Path
) -> None:
    """The operator sees why; with a second person it is unavailable, and the reason is the same."""
    upstream.on(COMPLETIONS, poisoned(trouble))
    async with running(openai(tmp_path, upstream, llm_attempts=1)) as server:
        seen = []
        for name in ("first", "second"):
            await server.chat("poison", **person(name))
            status = await server.status()
            seen.append((status["status"], (await server.http.get("/ready")).status_code))
            assert status["problem"]
        assert seen == [("degraded", 200), ("unavailable", 503)]


@pytest.mark.parametrize("row", POISONS[:2], ids=["page", "region"])
async def test_what_a_second_person_is_refused_as_well_is_an_outage(
    row: tuple[str, Script, str], upstream: Upstream, tmp_path: Path
) -> None:
    """Then questions wait instead of being refused, the source is left alone, and one trial ends it."""
    upstream.on(COMPLETIONS, row[1])
    async with running(openai(tmp_path, upstream, llm_attempts=1)) as server:
        kinds = [(await server.chat("hi", **person(name))).json()["kind"] for name in "abc"]
        assert kinds == ["forbidden", "unavailable", "unavailable"]
        assert len(upstream.asked(COMPLETIONS)) == 2
        server.clock.now += 6
        upstream.on(COMPLETIONS, completion("back"))
        assert (await server.chat("hi", **person("d"))).json()["message"]["content"] == "back"


@pytest.mark.parametrize(
    ("status", "message", "code", "asked"),
    [
        (401, "No auth credentials found", 401, 1),
        (400, "Incorrect", "invalid_api_key", 1),
        (403, "Invalid API key", 403, 2),
        (403, "You do not have permission to use this model", 403, 2),
        (403, "The token has expired", 403, 2),
        (403, "You didn't provide an API key.", 403, 2),
        (400, "API key not valid. Please pass a valid API key.", 400, 2),
    ],
)
async def test_a_wrong_key_closes_the_source(
    status: int, message: str, code: Any, asked: int, upstream: Upstream, tmp_path: Path
) -> None:
    """At once by status or code; read from words, which may quote a question, when a second person met it too."""
    upstream.on(COMPLETIONS, refusal(status, message, code=code))
    async with running(openai(tmp_path, upstream)) as server:
        kinds = [(await server.chat("hi", **person(name))).json()["kind"] for name in "abc"]
    assert kinds == ["auth"] * 3
    assert len(upstream.asked(COMPLETIONS)) == asked


async def test_a_question_that_one_source_forbids_is_asked_of_the_next(upstream: Upstream, tmp_path: Path) -> None:
    """A firewall before the first source is no word of the second."""
    upstream.on(COMPLETIONS, responds(403, BLOCKED_PAGE, "text/html"))
    upstream.on("/api/chat", chat("from the other"))
    settings = openai(tmp_path, upstream, ollama_host=upstream.url, llm_fallbacks=("ollama:scripted",))
    async with running(settings) as server:
        assert (await server.chat()).json()["message"]["content"] == "from the other"


# -- tokens ------------------------------------------------------------------------------------------------------------

AFFORD = "This request requires more credits, or fewer max_tokens. You requested up to 65536, but can only afford {}."


async def test_what_the_account_can_afford_is_asked_for(upstream: Upstream, tmp_path: Path) -> None:
    """The same question with as many tokens as OpenRouter names; no circuit opens."""
    upstream.on(COMPLETIONS, refusal(402, AFFORD.format(2666)), completion("hello"))
    async with running(openrouter(tmp_path, upstream)) as server:
        assert (await server.chat()).json()["message"]["content"] == "hello"
        assert (await server.status())["sources"][0]["circuit"] == "closed"
    assert [body.get("max_tokens") for body in upstream.asked(COMPLETIONS)] == [None, 2666]


@pytest.mark.parametrize("afford", ["3", "2666", "99999999999999999999"])
async def test_credits_that_never_suffice_are_missing_credits(afford: str, upstream: Upstream, tmp_path: Path) -> None:
    """A number that is too small, or that is refused again, ends it."""
    upstream.on(COMPLETIONS, refusal(402, AFFORD.format(afford)))
    async with running(openrouter(tmp_path, upstream)) as server:
        assert (await server.chat()).json()["kind"] == "credits"
    assert len(upstream.asked(COMPLETIONS)) <= 2


# -- numbers -----------------------------------------------------------------------------------------------------------

NUMBERS = [UINT64_MAX, -1, 10**400, 1e308, float("nan"), float("inf"), "18446744073709551615", [], {}]


@pytest.mark.parametrize("number", NUMBERS, ids=[str(number)[:12] for number in NUMBERS])
@pytest.mark.parametrize("stream", [True, False])
async def test_no_number_of_a_source_costs_the_answer(
    number: Any, stream: bool, upstream: Upstream, tmp_path: Path
) -> None:
    """Counts, durations and costs that are none count as absent, in both protocols and both forms."""
    usage = {"prompt_tokens": number, "completion_tokens": number, "cost": number}
    upstream.on(COMPLETIONS, completion("hello", usage=usage))
    numbers = dict.fromkeys(("prompt_eval_count", "eval_count", "load_duration", "eval_duration"), number)
    upstream.on("/api/chat", chat("hello", **numbers))
    for make in (openai, ollama):
        async with running(make(tmp_path, upstream)) as server:
            native = (await server.chat(stream=stream)).text
            body = {"messages": [{"role": "user", "content": "x"}], "stream": stream}
            compatible = (await server.http.post("/v1/chat/completions", json=body)).text
        last = json.loads(native.splitlines()[-1])
        assert last["done"] is True
        assert last["prompt_eval_count"] == last["eval_count"] == 0
        assert "hello" in native
        assert "hello" in compatible
        assert "error" not in compatible


async def test_a_context_of_any_length_is_taken(upstream: Upstream, tmp_path: Path) -> None:
    """A list of models with a nonsensical number is a list of models."""
    upstream.on("/models", responds(200, {"data": [{"id": "scripted", "max_model_len": 10**400}]}))
    async with running(openai(tmp_path, upstream)) as server:
        assert (await server.chat()).json()["message"]["content"] == "hello"


# -- a name without its tag --------------------------------------------------------------------------------------------


async def test_a_configured_name_is_the_latest_of_that_name(upstream: Upstream, tmp_path: Path) -> None:
    """Its history is fitted into its context, its pictures are refused, its facts are shown."""
    upstream.on("/api/show", responds(200, {"capabilities": ["completion"]}))
    upstream.on("/api/chat", chat("ok"))
    history = [{"role": role, "content": "word " * 300} for _ in range(20) for role in ("user", "assistant")]
    body = {"messages": [*history, {"role": "user", "content": "now"}], "stream": False}
    picture = {"messages": [{"role": "user", "content": "see", "images": ["aGVsbG8="]}], "stream": False}
    async with running(ollama(tmp_path, upstream, ollama_model="scripted")) as server:
        await server.http.post("/api/chat", json=body)
        refused = (await server.http.post("/api/chat", json=picture)).json()
        status = await server.status()
    [asked] = upstream.asked("/api/chat")
    assert 1 < len(asked["messages"]) < 20
    assert asked["messages"][-1]["content"] == "now"
    assert asked["model"] == status["model"] == "scripted:latest"
    assert refused["kind"] == "cannot_see"


# -- the words of errors -----------------------------------------------------------------------------------------------

GEMINI_LIMIT = [
    {
        "error": {
            "code": 429,
            "message": "Resource has been exhausted",
            "status": "RESOURCE_EXHAUSTED",
            "details": [{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "2s"}],
        }
    }
]
GEMINI_LONG = [{"error": {"code": 400, "message": "The input token count (2000000) exceeds the maximum (1048576)"}}]
VLLM_ERROR = {"object": "error", "message": "The model `x` does not exist.", "type": "NotFoundError", "code": 404}
WORDS: list[tuple[str, Script, str, int | None, str]] = [
    ("an error in a list", responds(429, GEMINI_LIMIT), "rate_limit", 2, "Resource has been exhausted"),
    ("a context in a list", responds(400, GEMINI_LONG), "context_too_long", None, "input token count"),
    (
        "a range of input",
        refusal(400, "Range of input length should be [1, 30720]"),
        "context_too_long",
        None,
        "Range of input",
    ),
    ("a wait in words", refusal(429, "Rate limit reached. Please try again in 1.5s."), "rate_limit", 2, "try again"),
    ("a wait in milliseconds", refusal(429, "Please try again in 1500ms."), "rate_limit", 2, "try again"),
    ("a wait in minutes", refusal(429, "Please try again in 1m30.5s."), "rate_limit", 91, "try again"),
    ("a wait in hours", refusal(429, "try again in 2h5m"), "rate_limit", 7500, "try again"),
    ("a wait in a sentence", refusal(429, "Please retry after 20 seconds, or pay 5 USD"), "rate_limit", 20, "retry"),
    ("a range behind a sign", refusal(400, "<400> Range of input length"), "context_too_long", None, "<400>"),
    ("a model of others", refusal(403, "Project p does not have access to model m"), "not_found", None, "access"),
    ("a body that is too large", responds(413, "<html>413", "text/html"), "context_too_long", None, "with status 413"),
    ("vLLM's error as a success", responds(200, VLLM_ERROR), "not_found", None, "does not exist"),
    ("vLLM's error in a stream", streams(f"data: {json.dumps(VLLM_ERROR)}\n\n"), "not_found", None, "does not exist"),
    ("a list in a stream", streams(f"data: {json.dumps(GEMINI_LIMIT)}\n\n"), "rate_limit", 2, "exhausted"),
]


@pytest.mark.parametrize(("what", "script", "kind", "wait", "words"), WORDS, ids=[row[0] for row in WORDS])
async def test_an_error_keeps_its_kind_its_wait_and_its_words(
    what: str, script: Script, kind: str, wait: int | None, words: str, upstream: Upstream, tmp_path: Path
) -> None:
    """Whatever form a source gives it."""
    upstream.on(COMPLETIONS, script)
    async with running(openai(tmp_path, upstream, llm_attempts=1)) as server:
        error = (await server.chat()).json()
    assert (error["kind"], error.get("retry_after")) == (kind, wait)
    assert words in error["error"]
