"""Every way in which a source can be slow, wrong or gone, over real sockets, and what the caller is told."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from llm_server import take_over
from relay.config.errors import SettingsError
from relay.core.circuit import CircuitState
from relay.core.errors import ModelError, ModelFailure
from relay.core.http_client import open_transport
from relay.llm.gateway.catalog import open_backends
from relay.llm.gateway.environment import Environment
from tests.config.test_logs import ENCODINGS
from tests.llm.running_llm_server import made, nothing_configured, ollama, openai, openrouter, running
from tests.llm.scripted_upstream import (
    COMPLETIONS,
    DONE,
    NDJSON,
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
    scripted_upstream,
    streams,
    streams_then_cuts,
    streams_then_hangs,
)

HTML = "<!doctype html><html><body>502 Bad Gateway</body></html>"


@pytest.fixture
async def other() -> AsyncIterator[Upstream]:
    async with scripted_upstream() as found:
        found.on("/api/tags", responds(200, {"models": [{"name": "scripted:latest"}]}))
        found.on("/api/chat", chat("from the other"))
        yield found


def error(number: int, message: str = "what the source says", **more: Any) -> dict[str, Any]:
    return {"error": {"code": number, "message": message, **more}}


UNDER_WAY = {"error_type": "payment_required", "limit_source": "openrouter_in_flight_budget"}
REFUSALS: list[tuple[str, Script, int, str]] = [
    ("a wrong key", responds(401, error(401, "No auth credentials found")), 502, "auth"),
    ("no credits", responds(402, error(402, "Insufficient credits")), 402, "credits"),
    ("a used up quota", responds(429, error(429, code="insufficient_quota")), 402, "credits"),
    ("too many requests", responds(429, error(429), Retry_After="40"), 429, "rate_limit"),
    ("moderation", responds(403, error(403, "flagged", metadata={"reasons": ["violence"]})), 403, "refused"),
    ("a content filter", streams(delta("So"), delta(finish="content_filter")), 403, "refused"),
    ("a model that is not there", responds(404, error(404, "No endpoints found for x/y")), 404, "not_found"),
    ("a name that is none", responds(400, error(400, "x/y is not a valid model ID")), 404, "not_found"),
    ("a long prompt", responds(400, error(400, "maximum context length is 4096")), 400, "context_too_long"),
    ("a long prompt, coded", responds(400, error(400, code="context_length_exceeded")), 400, "context_too_long"),
    ("a bad request", responds(400, error(400, "temperature must be below 2")), 400, "bad_request"),
    ("an error with status 200", responds(200, error(502, "Provider returned error")), 503, "unavailable"),
    ("an error as text with status 200", responds(200, {"error": "Unexpected endpoint"}), 503, "unavailable"),
    ("a web page with status 200", responds(200, HTML, "text/html"), 503, "unavailable"),
    ("a web page with status 502", responds(502, HTML, "text/html"), 503, "unavailable"),
    ("a redirect", responds(302, "", "text/plain", Location="https://example.org/"), 503, "unavailable"),
    ("no content at all", responds(200, "", "text/event-stream"), 503, "unavailable"),
    ("an empty answer", streams(delta(""), delta(finish="stop"), DONE), 502, "empty"),
    ("nothing but white space", streams(delta(" \n"), delta(finish="stop"), DONE), 502, "empty"),
    ("thoughts alone", streams(delta("<think>hm"), delta(finish="length"), DONE), 502, "empty"),
    ("half a line", streams('data: {"choices": [{"del'), 503, "unavailable"),
    ("a list instead of an object", streams("data: []\n\n"), 503, "unavailable"),
    ("a cut before the first word", streams_then_cuts(), 503, "unavailable"),
    ("money under way", responds(402, error(402, metadata=UNDER_WAY), Retry_After="2"), 429, "rate_limit"),
    (
        "a budget that is used up",
        responds(403, error(403, metadata={"resets_at": "2030-01-01T00:00:00Z"})),
        402,
        "credits",
    ),
    ("a model not for us", responds(403, error(403, availability={"code": "region_restricted"})), 404, "not_found"),
    ("a code as text", streams('data: {"error": {"code": "429", "message": "slow"}}\n\n'), 429, "rate_limit"),
    (
        "fields that are wrong",
        responds(422, {"detail": [{"loc": ["body"], "msg": "top_p: too large"}]}),
        400,
        "bad_request",
    ),
    ("a gateway's timeout", responds(504, HTML, "text/html"), 504, "timeout"),
]


@pytest.mark.parametrize(("what", "script", "status", "kind"), REFUSALS, ids=[row[0] for row in REFUSALS])
async def test_a_failure_has_a_kind(
    what: str, script: Script, status: int, kind: str, upstream: Upstream, tmp_path: Path
) -> None:
    """Whatever a source answers becomes a status, a kind, a sentence and a hint."""
    upstream.on(COMPLETIONS, script)
    async with running(openai(tmp_path, upstream, llm_attempts=1)) as server:
        answer = await server.chat(stream=True)
        response = json.loads(answer.text.splitlines()[-1])
    assert (answer.status_code, response["kind"]) == (status, kind)
    assert isinstance(response["error"], str)
    assert response["error"].startswith("openai")
    assert response["hint"]


MID_STREAM: list[tuple[str, str, Script]] = [
    ("an error event", "openai", streams(f"data: {json.dumps(error(502, 'gone'))}\n\n")),
    ("finish_reason error", "openai", streams(delta(finish="error"))),
    ("a stream without end", "openai", streams()),
    ("a cut connection", "openai", streams_then_cuts()),
    ("half a line", "openai", streams('data: {"cho')),
    ("an error line", "ollama", streams('{"error": "out of memory"}\n')),
    ("a stream without done", "ollama", streams()),
    ("a cut connection", "ollama", streams_then_cuts()),
    ("HTML", "ollama", streams(HTML)),
]


@pytest.mark.parametrize(("what", "source", "script"), MID_STREAM, ids=[f"{row[1]} {row[0]}" for row in MID_STREAM])
async def test_a_failure_in_mid_stream_is_told_and_never_repeated(
    what: str, source: str, script: Script, upstream: Upstream, tmp_path: Path
) -> None:
    """After the first word the stream ends with one error line, without another attempt."""
    path, first = (COMPLETIONS, delta("Hel")) if source == "openai" else ("/api/chat", line("Hel"))
    upstream.on(path, upstream.held_after(first, script))
    body = {"messages": [{"role": "user", "content": "hi"}]}
    async with (
        running({"openai": openai, "ollama": ollama}[source](tmp_path, upstream)) as server,
        server.http.stream("POST", "/api/chat", json=body) as answer,
    ):
        rows = answer.aiter_lines()
        heard = json.loads(await anext(rows))
        upstream.release.set()
        rest = [json.loads(row) async for row in rows]
    assert heard["message"]["content"] == "Hel"
    assert isinstance(rest[-1]["error"], str)
    assert rest[-1]["kind"] == "unavailable"
    assert len(upstream.asked(path)) == 1


async def test_the_first_finish_counts(upstream: Upstream, tmp_path: Path) -> None:
    """What a source says after it has finished, or finishing again, changes nothing; the usage is still taken."""
    upstream.on(
        COMPLETIONS,
        streams(
            delta("42"), delta(finish="stop"), delta("!"), delta(finish="length", usage={"prompt_tokens": 7}), DONE
        ),
    )
    async with running(openai(tmp_path, upstream)) as server:
        answer = (await server.chat()).json()
    assert (answer["message"]["content"], answer["done_reason"], answer["prompt_eval_count"]) == ("42", "stop", 7)


async def test_a_server_that_does_not_stream_is_understood(upstream: Upstream, tmp_path: Path) -> None:
    """One JSON document instead of a stream is an answer as well."""
    document = {"model": "m", "choices": [{"message": {"content": "whole"}, "finish_reason": "stop"}]}
    upstream.on(COMPLETIONS, responds(200, document))
    async with running(openai(tmp_path, upstream)) as server:
        assert (await server.chat()).json()["message"]["content"] == "whole"


async def test_half_an_emoji_is_no_failure(upstream: Upstream, tmp_path: Path) -> None:
    """A lone surrogate becomes a replacement character, and is left out where the answer ends with it."""
    half = [f'{{"message": {{"content": "{text}"}}}}\n' for text in ("a\\ud83d", "b\\udc00", "c\\ud83d")]
    upstream.on("/api/chat", streams(*half, last_line(), content_type=NDJSON))
    async with running(ollama(tmp_path, upstream)) as server:
        assert (await server.chat()).json()["message"]["content"] == "a\ufffdb\ufffdc"


async def test_an_answer_without_end_is_cut(upstream: Upstream, tmp_path: Path) -> None:
    """A source that never stops is stopped, and the answer says that it was cut."""

    async def endless(call: Any) -> None:
        await call.begin("text/event-stream")
        while not call.gone.is_set():
            await call.send(delta("word " * 200))

    upstream.on(COMPLETIONS, endless)
    async with running(openai(tmp_path, upstream, llm_max_answer_chars=5000)) as server:
        answer = (await server.chat()).json()
        await asyncio.wait_for(upstream.calls[-1].gone.wait(), 60)
    assert answer["done_reason"] == "length"
    assert 5000 <= len(answer["message"]["content"]) < 200_000


@pytest.mark.parametrize(
    ("limits", "script", "expected"),
    [
        ({"llm_first_token_seconds": 1}, hangs, "did not say a word within 1 second"),
        ({"llm_silence_seconds": 0.1}, streams_then_hangs(delta("Hel")), "fell silent for 0.1 seconds"),
        ({"llm_total_seconds": 1}, hangs, "longer than 1 second"),
    ],
    ids=["first word", "silence", "the whole"],
)
async def test_each_limit_of_time_ends_the_wait(
    limits: dict[str, float], script: Script, expected: str, upstream: Upstream, tmp_path: Path
) -> None:
    """First word, silence and the whole have limits of their own; the source sees that we hang up."""
    upstream.on(COMPLETIONS, script)
    async with running(openai(tmp_path, upstream, llm_attempts=1, **limits)) as server:
        answer = await server.chat(stream=True)
        response = json.loads(answer.text.splitlines()[-1])
        call = await upstream.arrival(COMPLETIONS)
        await asyncio.wait_for(call.gone.wait(), 60)
    assert response["kind"] == "timeout"
    assert expected in response["error"]


@pytest.mark.parametrize("stream", [True, False])
async def test_a_caller_who_hangs_up_stops_the_source(stream: bool, upstream: Upstream, tmp_path: Path) -> None:
    """The connection to the source is closed at once, streamed or not, and the slot is free again."""
    upstream.on(COMPLETIONS, streams_then_hangs(delta("Hel")))
    async with running(openai(tmp_path, upstream, openai_max_concurrent=1)) as server:
        asking = asyncio.ensure_future(server.chat(stream=stream))
        call = await upstream.arrival(COMPLETIONS)
        asking.cancel()
        await asyncio.wait_for(call.gone.wait(), 60)
        upstream.on(COMPLETIONS, completion("free again"))
        assert (await server.chat()).json()["message"]["content"] == "free again"


async def test_a_failing_source_is_asked_again_with_growing_pauses(upstream: Upstream, tmp_path: Path) -> None:
    """Three attempts, and the pauses between them grow and vary."""
    upstream.on(COMPLETIONS, responds(503, error(503)), streams(delta(""), delta(finish="stop")), completion("at last"))
    async with running(openai(tmp_path, upstream)) as server:
        assert (await server.chat()).json()["message"]["content"] == "at last"
        first, second = server.clock.slept
    assert 0.3 < first < 0.7 < second < 1.3


async def test_a_pause_that_the_source_asks_for_is_kept(upstream: Upstream, tmp_path: Path) -> None:
    """Retry-After goes before our own backoff."""
    upstream.on(COMPLETIONS, responds(429, error(429), Retry_After="7"), completion("ok"))
    async with running(openai(tmp_path, upstream)) as server:
        assert (await server.chat()).json()["message"]["content"] == "ok"
        assert server.clock.slept == [7.0]


async def test_a_pause_that_is_too_long_is_handed_to_the_caller(upstream: Upstream, tmp_path: Path) -> None:
    """The caller gets 429 with Retry-After at once, and the source is left alone for that long."""
    upstream.on(COMPLETIONS, responds(429, error(429), Retry_After="120"))
    async with running(openai(tmp_path, upstream)) as server:
        refused = await server.chat()
        again = await server.chat()
        assert (refused.status_code, refused.headers["retry-after"], refused.json()["retry_after"]) == (429, "120", 120)
        assert again.status_code == 429
        assert len(upstream.asked(COMPLETIONS)) == 1
        server.clock.now += 121
        upstream.on(COMPLETIONS, completion("rested"))
        assert (await server.chat()).json()["message"]["content"] == "rested"


@pytest.mark.parametrize("status", [429, 402, 401, 404, 503])
async def test_the_fallback_answers_and_is_visible(
    status: int, upstream: Upstream, other: Upstream, tmp_path: Path
) -> None:
    """With another target left there is no delay, and the answer names its provider."""
    upstream.on(COMPLETIONS, responds(status, error(status, "no"), Retry_After="5"))
    settings = openai(tmp_path, upstream, ollama_host=other.url, ollama_model="scripted", llm_fallbacks=("ollama",))
    async with running(settings) as server:
        answer = (await server.chat()).json()
        assert server.clock.slept == []
    assert answer["message"]["content"] == "from the other"
    assert (answer["x_relay"]["source"], answer["x_relay"]["degraded"]) == ("ollama", True)


async def test_when_all_fail_the_error_names_each(upstream: Upstream, tmp_path: Path) -> None:
    """One honest error for the whole chain; its kind says whether asking later is worth it."""
    upstream.on(COMPLETIONS, responds(401, error(401, "bad key")))
    settings = openai(tmp_path, upstream, ollama_host="http://127.0.0.1:9", llm_fallbacks=("ollama:x",), llm_attempts=1)
    async with running(settings) as server:
        answer = await server.chat()
    assert answer.status_code == 502
    assert "bad key" in answer.json()["error"]
    assert "ollama at http://127.0.0.1:9 cannot be reached: nothing listens there" in answer.json()["error"]


async def test_the_last_resort_is_marked(upstream: Upstream, tmp_path: Path) -> None:
    """With llm_last_resort the list of answers speaks when all else failed, and says what it is."""
    upstream.on(COMPLETIONS, responds(500, error(500)))
    async with running(openai(tmp_path, upstream, llm_last_resort=True)) as server:
        answer = (await server.chat("something nobody knows")).json()
    assert answer["x_relay"]["degraded"] is True
    assert "only a demo with a short FAQ, no AI" in answer["message"]["content"]


async def test_a_source_that_keeps_failing_is_left_alone_and_tried_again(upstream: Upstream, tmp_path: Path) -> None:
    """After some failures it is not asked for a while; then one question finds out whether it is back."""
    upstream.on(COMPLETIONS, responds(500, error(500)))
    async with running(openai(tmp_path, upstream, llm_attempts=1)) as server:
        for number in range(6):
            assert (await server.chat(f"Hello {number}")).status_code == 503
        assert len(upstream.asked(COMPLETIONS)) == 4
        assert (await server.status())["sources"][0]["circuit"] == "open"
        assert (await server.http.get("/ready")).status_code == 503
        server.clock.now += 6
        upstream.on(COMPLETIONS, completion("back"))
        assert (await server.chat()).json()["message"]["content"] == "back"
        status = await server.status()
    assert (status["status"], status["sources"][0]["circuit"]) == ("ok", "closed")
    assert status["sources"][0]["last_error"]["kind"] == "unavailable"


async def test_those_who_wait_are_told_when_the_source_fails_the_others(upstream: Upstream, tmp_path: Path) -> None:
    """Requests queued for a provider that turns out to be down do not try it one after the other."""

    async def fails(call: Call) -> None:
        await upstream.release.wait()
        await responds(500, error(500))(call)

    upstream.on(COMPLETIONS, fails)
    async with running(openai(tmp_path, upstream, openai_max_concurrent=1, llm_attempts=1)) as server:
        callers = [asyncio.ensure_future(server.chat()) for _ in range(8)]
        async with asyncio.timeout(10):
            while (await server.status())["sources"][0]["waiting"] < 7:
                pass
        upstream.release.set()
        answers = await asyncio.gather(*callers)
    assert {answer.status_code for answer in answers} == {503}
    assert len(upstream.asked(COMPLETIONS)) == 4
    assert sum("left alone" in answer.text for answer in answers) == 4


async def test_a_source_that_comes_back_is_tried_at_once(upstream: Upstream, tmp_path: Path) -> None:
    """A look that finds it again after one that did not ends the rest of its circuits; any other look does not."""
    async with open_transport(4) as http:
        settings = ollama(tmp_path, upstream)
        [backend] = [found for found in open_backends(settings, http, Environment()) if found.name == "ollama"]
        breaker = backend.breaker("scripted")
        for _ in range(4):
            breaker.record_failure(ModelError(ModelFailure.UNAVAILABLE, "the connection was cut"))
        states = []
        good = responds(200, {"models": [{"name": "scripted"}]})
        for looked_at in (good, responds(500, ""), good):
            upstream.on("/api/tags", looked_at)
            await backend.probe()
            states.append(breaker.state)
        assert states == [CircuitState.OPEN, CircuitState.OPEN, CircuitState.HALF_OPEN]


async def test_a_model_that_is_gone_is_replaced(
    upstream: Upstream, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """OpenRouter's own fallback models are asked, it is said once in the log, and the dead one is not asked again."""
    gone = error(
        404,
        "polaris-alpha is no longer available",
        availability={"code": "model_deprecated", "fallback_models": ["openai/gpt-new"]},
    )
    upstream.on(COMPLETIONS, responds(404, gone), completion("new"), completion("new again"))
    async with running(openrouter(tmp_path, upstream)) as server:
        assert (await server.chat()).json()["message"]["content"] == "new"
        assert (await server.chat()).json()["message"]["content"] == "new again"
        status = await server.status()
    models = [asked["model"] for asked in upstream.asked(COMPLETIONS)]
    assert models == ["openrouter/polaris-alpha", "openai/gpt-new", "openai/gpt-new"]
    assert status["replaced_models"] == {"openrouter": "openrouter:openai/gpt-new"}
    assert status["status"] == "ok"
    assert sum("no longer available" in record.message for record in caplog.records) == 1


async def test_a_dead_model_ends_at_the_routers(upstream: Upstream, tmp_path: Path) -> None:
    """Without an offer the configured list is asked, then openrouter/auto, then openrouter/free."""
    missing = responds(404, error(404, "No endpoints found"))
    upstream.on(COMPLETIONS, missing, missing, missing, completion("free"))
    settings = openrouter(tmp_path, upstream, llm_fallbacks=("openrouter:a/b",))
    async with running(settings) as server:
        assert (await server.chat()).json()["message"]["content"] == "free"
    models = [asked["model"] for asked in upstream.asked(COMPLETIONS)]
    assert models == ["openrouter/polaris-alpha", "a/b", "openrouter/auto", "openrouter/free"]


async def test_a_model_that_the_caller_named_is_not_replaced(upstream: Upstream, tmp_path: Path) -> None:
    """Who asks for a certain model gets it, or 404."""
    upstream.on(COMPLETIONS, responds(404, error(404, "No endpoints found")))
    async with running(openrouter(tmp_path, upstream)) as server:
        answer = await server.chat(model="who/knows")
    assert (answer.status_code, answer.json()["kind"]) == (404, "not_found")
    assert len(upstream.asked(COMPLETIONS)) == 1


async def test_a_missing_ollama_model_says_which_there_are(upstream: Upstream, tmp_path: Path) -> None:
    """The error names the installed models and the command that gets the missing one."""
    upstream.on("/api/chat", responds(404, {"error": "model 'scripted' not found"}))
    async with running(ollama(tmp_path, upstream)) as server:
        response = (await server.chat()).json()
    assert response["kind"] == "not_found"
    assert "installed are: scripted:latest" in response["error"]
    assert "ollama pull scripted" in response["error"]


async def test_a_key_never_shows(upstream: Upstream, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A source that repeats our key in its error does not make us say it."""
    upstream.on("/key", responds(401, error(401, "bad key sk-or-secret")))
    upstream.on(COMPLETIONS, responds(401, error(401, "bad key sk-or-secret")))
    async with running(openrouter(tmp_path, upstream)) as server:
        response = await server.chat()
        status = await server.http.get("/")
    assert "bad key [secret]" in response.text
    assert "sk-or-secret" not in response.text + status.text + caplog.text


@pytest.mark.parametrize("encode", ENCODINGS.values(), ids=ENCODINGS)
async def test_the_secrets_of_others_never_show_either(
    encode: Callable[[str], str], upstream: Upstream, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The admin token, the password in another source's address, another source's key; also in mid-stream."""
    secrets = {"admin_token": "admin/token+0123456789", "openai_api_key": "sk-oä-0123456789"}
    address = "http://me:pass%2Fword-0123@127.0.0.1:9/v1"
    told = [encode(secret) for secret in (*secrets.values(), "pass/word-0123")]
    upstream.on("/key", responds(401, error(401, " ".join(told))))
    upstream.on(COMPLETIONS, responds(400, error(400, "x" * 280 + " ".join(told))), responds(200, error(400, told[0])))
    settings = openrouter(tmp_path, upstream, openai_base_url=address, **secrets)
    async with running(settings) as server:
        answers = [await server.chat(), await server.chat(stream=True)]
        answers.append(await server.http.get("/", headers={"Authorization": f"Bearer {secrets['admin_token']}"}))
    shown = "".join(answer.text for answer in answers) + caplog.text
    assert "[secret]" in shown
    assert not [secret for secret in told if secret.strip('"=')[:12] in shown]


async def test_a_wrong_key_is_noticed_at_the_start(
    upstream: Upstream, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A free call finds it out before anybody asks; the server runs, healthy and not ready."""
    upstream.on("/key", responds(401, error(401, "User not found")))
    async with running(openrouter(tmp_path, upstream)) as server:
        status = await server.status()
        assert (await server.http.get("/health")).status_code == 200
        assert (await server.http.get("/ready")).status_code == 503
    assert status["status"] == "unavailable"
    assert "User not found" in status["problem"]
    assert any("User not found" in record.message for record in caplog.records)
    assert upstream.asked(COMPLETIONS) == []


async def test_pictures_are_not_shown_to_a_blind_model(upstream: Upstream, tmp_path: Path) -> None:
    """A model that says that it cannot see is not asked, and the caller gets a kind of its own."""
    upstream.on("/api/show", responds(200, {"capabilities": ["completion"]}))
    upstream.on("/api/tags", responds(200, {"models": [{"name": "scripted"}]}))
    async with running(ollama(tmp_path, upstream)) as server:
        body = {"messages": [{"role": "user", "content": "see", "images": ["aGVsbG8="]}], "stream": False}
        answer = await server.http.post("/api/chat", json=body)
    assert (answer.status_code, answer.json()["kind"]) == (400, "cannot_see")
    assert upstream.asked("/api/chat") == []


async def test_a_refused_picture_is_understood(upstream: Upstream, tmp_path: Path) -> None:
    """A server of which nothing is known refuses the picture itself."""
    upstream.on(COMPLETIONS, responds(500, error(500, "image input is not supported - hint: you may need the mmproj")))
    async with running(openai(tmp_path, upstream)) as server:
        body = {"messages": [{"role": "user", "content": "see", "images": ["aGVsbG8="]}], "stream": False}
        answer = await server.http.post("/api/chat", json=body)
    assert answer.json()["kind"] == "cannot_see"


PICTURE = {"messages": [{"role": "user", "content": "see", "images": ["aGVsbG8="]}], "stream": False}


@pytest.mark.parametrize(
    ("status", "message", "remembered"),
    [
        (500, "image input is not supported - hint: you may need to provide the mmproj", True),
        (400, "At most 0 image(s) may be provided in one request.", True),
        (400, "unknown variant `image_url`, expected `text`", True),
        (400, "messages[0].content must be a string", True),
        (404, "No endpoints found that support image input", True),
        (400, "Invalid content type. image_url is only supported by certain models.", True),
        (400, "unsupported image format: heic", False),
        (400, "cannot identify image file: it is corrupt", False),
        (400, "Image too large: 9000x9000 is not supported", False),
        (400, "failed to download image", False),
    ],
)
async def test_a_model_that_refuses_pictures_is_asked_for_them_once(
    status: int, message: str, remembered: bool, upstream: Upstream, tmp_path: Path
) -> None:
    """What is wrong with one picture says nothing about the model; texts are answered all the same."""
    upstream.on(COMPLETIONS, responds(status, error(status, message)))
    async with running(openai(tmp_path, upstream)) as server:
        kinds = [(await server.http.post("/api/chat", json=PICTURE)).json()["kind"] for _ in range(2)]
        assert kinds == ["cannot_see"] * 2
        assert len(upstream.asked(COMPLETIONS)) == (1 if remembered else 2)
        left_out = (await server.status())["sources"][0]["left_out"]
        assert left_out == ({"scripted": ["images"]} if remembered else {})
        upstream.on(COMPLETIONS, completion("fine"))
        assert (await server.chat()).json()["message"]["content"] == "fine"


@pytest.mark.parametrize("vision", [True, False])
async def test_a_setting_says_whether_a_model_sees(vision: bool, upstream: Upstream, tmp_path: Path) -> None:
    """Then nothing is tried in vain."""
    upstream.on(COMPLETIONS, completion("a rose"))
    async with running(openai(tmp_path, upstream, openai_vision=vision)) as server:
        await server.status()
        answer = (await server.http.post("/api/chat", json=PICTURE)).json()
    assert (answer.get("kind") == "cannot_see") is not vision
    assert len(upstream.asked(COMPLETIONS)) == int(vision)


async def test_the_fallback_that_sees_answers(upstream: Upstream, tmp_path: Path) -> None:
    """A picture goes to the next source when the first one is blind."""
    upstream.on(COMPLETIONS, completion("a rose"))
    seeing = {"seeing": {"base_url": upstream.url, "model": "scripted", "vision": True}}
    settings = openai(tmp_path, upstream, openai_vision=False, llm_sources=seeing, llm_fallbacks=("seeing",))
    async with running(settings) as server:
        answer = (await server.http.post("/api/chat", json=PICTURE)).json()
    assert answer["message"]["content"] == "a rose"
    assert answer["x_relay"]["source"] == "seeing"


async def test_history_is_halved_when_it_turns_out_too_long(upstream: Upstream, tmp_path: Path) -> None:
    """A provider with an unknown context refuses; the request is repeated without the older half of the history."""
    upstream.on(COMPLETIONS, responds(400, error(400, "maximum context length is 10")), completion("fits"))
    turns = [{"role": role, "content": f"{role} {number}"} for number in range(4) for role in ("user", "assistant")]
    body = {
        "messages": [{"role": "system", "content": "S"}, *turns, {"role": "user", "content": "now"}],
        "stream": False,
    }
    async with running(openai(tmp_path, upstream)) as server:
        answer = (await server.http.post("/api/chat", json=body)).json()
        assert answer["message"]["content"] == "fits"
    kept = [message["content"] for message in upstream.asked(COMPLETIONS)[1]["messages"]]
    assert kept == ["S", "user 3", "assistant 3", "now"]


async def test_a_message_that_cannot_fit_is_told_so(upstream: Upstream, tmp_path: Path) -> None:
    """Ollama's usual context is known, so nothing is sent that it would cut silently."""
    upstream.on("/api/chat", chat("never"))
    async with running(ollama(tmp_path, upstream, ollama_model="scripted:latest")) as server:
        answer = await server.chat("word " * 5000)
    assert (answer.status_code, answer.json()["kind"]) == (400, "context_too_long")
    assert upstream.asked("/api/chat") == []


async def test_a_silent_cut_is_noticed(upstream: Upstream, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """When Ollama read far fewer tokens than it was sent, the log says so, once."""
    upstream.on("/api/chat", chat("ok", prompt_eval_count=100))
    async with running(ollama(tmp_path, upstream)) as server:
        await server.chat("word " * 1500)
        await server.chat("word " * 1500)
    assert sum("dropped silently" in record.message for record in caplog.records) == 1


async def test_free_models_are_rate_limited_and_then_the_fallback_answers(
    upstream: Upstream, other: Upstream, tmp_path: Path
) -> None:
    """The account's free questions of the day are known from /key; beyond them the fallback answers."""
    upstream.on("/key", responds(200, {"data": {"free_model_daily_requests": {"used": 49, "limit": 50}}}))
    upstream.on(COMPLETIONS, completion("free"))
    settings = openrouter(
        tmp_path,
        upstream,
        openrouter_model="a/b:free",
        ollama_host=other.url,
        llm_fallbacks=("ollama:scripted:latest",),
    )
    async with running(settings) as server:
        await server.status()
        assert (await server.chat()).json()["x_relay"]["source"] == "openrouter"
        assert (await server.chat()).json()["x_relay"]["source"] == "ollama"
    assert len(upstream.asked(COMPLETIONS)) == 1


async def test_the_monthly_ceiling_leaves_free_sources_only(
    upstream: Upstream, other: Upstream, tmp_path: Path
) -> None:
    """Once the money is spent the paid source rests, across a restart too; without a free one the error is honest."""
    upstream.on(COMPLETIONS, completion("paid", usage={"cost": 0.6}))
    paid = {"llm_monthly_budget_usd": 1.0, "ollama_host": other.url}
    async with running(openrouter(tmp_path, upstream, **paid)) as server:
        await server.chat()
        await server.chat()
        response = await server.chat()
        assert (await server.status())["spent_this_month_usd"] == 1.2
    assert (response.status_code, response.json()["kind"]) == (402, "credits")
    assert "1.20 of 1.00 USD" in response.json()["error"]
    settings = openrouter(tmp_path, upstream, **paid, llm_fallbacks=("ollama:scripted:latest",))
    async with running(settings) as server:
        assert (await server.chat()).json()["message"]["content"] == "from the other"
    assert len(upstream.asked(COMPLETIONS)) == 2


async def test_the_price_table_fills_in(upstream: Upstream, tmp_path: Path) -> None:
    """Where a source tells no cost, tokens and prices make it."""
    upstream.on(COMPLETIONS, completion("ok", usage={"prompt_tokens": 1000, "completion_tokens": 500}))
    async with running(openai(tmp_path, upstream, llm_prices={"scripted": (1.0, 2.0)})) as server:
        assert (await server.chat()).json()["x_relay"]["cost_usd"] == pytest.approx(0.002)


async def test_a_waiting_stream_is_kept_alive_with_its_place(upstream: Upstream, tmp_path: Path) -> None:
    """Who waits in the queue gets valid empty chunks that tell the place, then the answer."""
    release = asyncio.Event()

    async def held(call: Any) -> None:
        await release.wait()
        await completion("mine")(call)

    upstream.on(COMPLETIONS, held)
    settings = openai(tmp_path, upstream, openai_max_concurrent=1, llm_keepalive_seconds=0.02)
    async with running(settings) as server:
        first = asyncio.ensure_future(server.chat())
        await upstream.arrival(COMPLETIONS)
        body = {"messages": [{"role": "user", "content": "hi"}]}
        async with server.http.stream("POST", "/api/chat", json=body) as waiting:
            rows = waiting.aiter_lines()
            empty = json.loads(await anext(rows))
            release.set()
            rest = [json.loads(row) async for row in rows]
        await first
    assert (empty["message"]["content"], empty["done"], empty["x_relay"]["place"]) == ("", False, 1)
    assert "".join(chunk["message"]["content"] for chunk in rest) == "mine"
    assert rest[-1]["done"] is True


async def test_an_error_after_keep_alives_comes_in_the_stream(upstream: Upstream, tmp_path: Path) -> None:
    """The status is spoken for by then, so the last line tells."""
    release = asyncio.Event()

    async def late(call: Any) -> None:
        await release.wait()
        await responds(401, error(401, "bad key"))(call)

    upstream.on(COMPLETIONS, late)
    async with running(openai(tmp_path, upstream, llm_keepalive_seconds=0.02)) as server:
        body = {"messages": [{"role": "user", "content": "hi"}]}
        async with server.http.stream("POST", "/api/chat", json=body) as waiting:
            rows = waiting.aiter_lines()
            await anext(rows)
            release.set()
            last = [json.loads(row) async for row in rows][-1]
    assert waiting.status_code == 200
    assert last["kind"] == "auth"


async def test_a_full_queue_is_refused_with_503(upstream: Upstream, tmp_path: Path) -> None:
    """Beyond the bound the answer is immediate and says when to come back."""
    upstream.on(COMPLETIONS, hangs)
    async with running(openai(tmp_path, upstream, openai_max_concurrent=1, llm_max_waiting=0)) as server:
        first = asyncio.ensure_future(server.chat())
        await upstream.arrival(COMPLETIONS)
        refused = await server.chat()
        first.cancel()
    assert (refused.status_code, refused.json()["kind"]) == (503, "unavailable")
    assert int(refused.headers["retry-after"]) >= 1


async def test_auto_finds_a_local_server_while_it_runs(upstream: Upstream, tmp_path: Path) -> None:
    """A server that appears on a usual port is found without a restart, and used."""
    upstream.on("/v1/models", responds(503, {}))
    upstream.on("/v1/chat/completions", completion("found"))
    settings = nothing_configured(tmp_path, llm_probe_seconds=0.05)
    async with running(settings, local_ports=(upstream.port,)) as server:
        assert (await server.chat()).status_code == 503
        upstream.on("/v1/models", responds(200, {"data": [{"id": "local-model"}]}))
        while (await server.status())["status"] != "ok":
            await upstream.arrival("/v1/models")
        answer = (await server.chat()).json()
    assert answer["x_relay"]["source"] == f"local-{upstream.port}"
    assert answer["x_relay"]["model"] == "scripted"
    assert answer["x_relay"]["cost_usd"] == 0.0


async def test_an_alias_brings_its_parameters(upstream: Upstream, tmp_path: Path) -> None:
    """An alias names a model with options; those of the caller go first."""
    upstream.on(COMPLETIONS, completion("ok"))
    aliases = {"calm": {"model": "openai:scripted", "temperature": 0.1, "top_p": 0.5}}
    async with running(openai(tmp_path, upstream, llm_aliases=aliases)) as server:
        await server.chat(model="calm", options={"top_p": 0.9})
    asked = upstream.asked(COMPLETIONS)[0]
    assert (asked["model"], asked["temperature"], asked["top_p"]) == ("scripted", 0.1, 0.9)


async def test_changed_settings_are_taken_over_while_it_runs(
    upstream: Upstream, other: Upstream, tmp_path: Path
) -> None:
    """A new source answers the next question; settings with a mistake leave the old ones in force."""
    upstream.on(COMPLETIONS, completion("old"))
    now: list[Any] = [openai(tmp_path, upstream)]

    def reread() -> Any:
        if isinstance(now[0], Exception):
            raise now[0]
        return now[0]

    async with running(now[0], reread=reread) as server:
        assert (await server.chat()).json()["message"]["content"] == "old"
        now[0] = ollama(tmp_path, other)
        await take_over(server.app)
        assert (await server.chat()).json()["message"]["content"] == "from the other"
        now[0] = SettingsError("config.json: there is no setting called x")
        await take_over(server.app)
        assert (await server.chat()).json()["message"]["content"] == "from the other"


async def test_new_settings_delay_no_request(upstream: Upstream, tmp_path: Path) -> None:
    """While the first look at the new source takes its time, the old one answers; then the new one does."""

    async def slow(call: Call) -> None:
        await upstream.release.wait()
        await responds(200, {"data": {}})(call)

    upstream.on("/key", slow)
    upstream.on(COMPLETIONS, completion("new"))
    changed = openrouter(tmp_path, upstream)
    async with running(made(tmp_path, llm_source="demo"), reread=lambda: changed) as server:
        taking_over = asyncio.ensure_future(take_over(server.app))
        await upstream.arrival("/key")
        assert (await server.chat()).json()["x_relay"]["source"] == "demo"
        upstream.release.set()
        await taking_over
        assert (await server.chat()).json()["x_relay"]["source"] == "openrouter"
