"""Answers that were paid for and could not be used: how many a question may have, what they cost, who is told."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from tests.llm.running_llm_server import Running, openai, openrouter, running
from tests.llm.scripted_upstream import (
    COMPLETIONS,
    DONE,
    Script,
    Upstream,
    completion,
    delta,
    hangs,
    responds,
    streams,
    streams_then_cuts,
    streams_then_hangs,
)

PRICED = {"prompt_tokens": 100, "completion_tokens": 0, "cost": 0.25}
WORDS = "".join(f"{number:05}" for number in range(800))
"""4000 characters, and no loop."""
EMPTY = streams(delta(""), delta(finish="stop", usage=PRICED), DONE)


async def chat_error(server: Running, **more: Any) -> tuple[int, dict[str, Any]]:
    """Status and last line of a streamed answer."""
    answer = await server.chat(stream=True, **more)
    return answer.status_code, json.loads(answer.text.splitlines()[-1])


UNUSABLE: list[tuple[str, Script]] = [
    ("empty", EMPTY),
    ("white space", streams(delta(" \n"), delta(finish="stop"), DONE)),
    ("characters that show nothing", streams(delta("\u200b\u2800"), delta("\u3164\ufeff"), delta(finish="stop"), DONE)),
    ("thoughts alone", streams(delta("<think>hm"), delta(finish="length"), DONE)),
    ("broken off in its thoughts", streams_then_cuts(delta("<think>hm"))),
    ("a line without end", streams(b"data: " + b"x" * 4_100_000)),
    ("silence in its thoughts", streams_then_hangs(delta("<think>hm"))),
    ("an error right behind its first words", streams(delta("Hel") + 'data: {"error": {"code": 502}}\n\n')),
]


@pytest.mark.parametrize("script", [row[1] for row in UNUSABLE], ids=[row[0] for row in UNUSABLE])
async def test_three_answers_that_cannot_be_used_are_enough(script: Script, upstream: Upstream, tmp_path: Path) -> None:
    """However many attempts the settings allow: no fourth answer is paid for, and the error says why."""
    upstream.on(COMPLETIONS, script)
    async with running(openai(tmp_path, upstream, llm_attempts=10, llm_silence_seconds=0.1)) as server:
        status, error = await chat_error(server)
    assert (status, error["kind"], error["unusable"]) == (502, "unusable", 3)
    assert error["error"].startswith("openai")
    assert len(upstream.asked(COMPLETIONS)) == 3


async def test_failures_that_cost_nothing_are_not_counted(upstream: Upstream, tmp_path: Path) -> None:
    """After a refusal, a cut before the first word or silence the source is asked as often as the settings say."""
    upstream.on(
        COMPLETIONS, responds(503, ""), streams_then_cuts(), hangs, responds(200, "<html>", "text/html"), EMPTY, EMPTY
    )
    async with running(openai(tmp_path, upstream, llm_attempts=5, llm_first_token_seconds=0.2)) as server:
        _, error = await chat_error(server)
    assert (error["kind"], error["unusable"]) == ("empty", 1)
    assert len(upstream.asked(COMPLETIONS)) == 5


async def test_answers_of_earlier_requests_count(upstream: Upstream, tmp_path: Path) -> None:
    """The caller tells how many there were; the setting tells how many there may be."""
    upstream.on(COMPLETIONS, EMPTY)
    async with running(openai(tmp_path, upstream, max_unusable_answers=5)) as server:
        _, error = await chat_error(server, x_relay={"unusable": 3})
    assert (error["kind"], error["unusable"]) == ("unusable", 2)


async def test_an_answer_that_breaks_off_when_some_of_it_was_delivered_counts(
    upstream: Upstream, tmp_path: Path
) -> None:
    """It is not repeated, so the error keeps its kind, with the number beside it."""
    upstream.on(COMPLETIONS, streams_then_cuts(delta("Hel")))
    async with running(openai(tmp_path, upstream)) as server:
        status, error = await chat_error(server)
    assert (status, error["kind"], error["unusable"]) == (200, "unavailable", 1)


async def test_an_answer_that_takes_too_long_counts(upstream: Upstream, tmp_path: Path) -> None:
    """The limit of the whole ends it from outside."""
    upstream.on(COMPLETIONS, streams_then_hangs(delta("<think>hm")))
    async with running(openai(tmp_path, upstream, llm_total_seconds=0.3)) as server:
        status, error = await chat_error(server)
    assert (status, error["kind"], error["unusable"]) == (504, "timeout", 1)


async def test_what_they_cost_is_spent_money(upstream: Upstream, tmp_path: Path) -> None:
    """It is in the month's sum, in the metrics, and beside the answer that follows."""
    upstream.on(COMPLETIONS, EMPTY, EMPTY, completion("at last", usage={"cost": 0.5}))
    async with running(openrouter(tmp_path, upstream)) as server:
        _, last = await chat_error(server)
        spent = (await server.status())["spent_this_month_usd"]
        metrics = (await server.http.get("/metrics")).text
    relay = last["x_relay"]
    assert (relay["cost_usd"], relay["unusable"], relay["unusable_cost_usd"]) == (0.5, 2, 0.5)
    assert spent == 1.0
    assert 'relay_llm_unusable_answers_total{source="openrouter"} 2.0' in metrics
    assert 'relay_llm_cost_usd_total{source="openrouter"} 1.0' in metrics


async def test_without_figures_of_the_source_the_price_table_estimates(upstream: Upstream, tmp_path: Path) -> None:
    """A broken stream has no usage: the length of prompt and answer stand for it."""
    upstream.on(COMPLETIONS, streams_then_cuts(delta(WORDS)))
    prices = {"scripted": (0.0, 1_000_000.0)}
    async with running(openai(tmp_path, upstream, llm_prices=prices)) as server:
        _, error = await chat_error(server)
    assert error["unusable_cost_usd"] == 1000


async def test_a_caller_who_hangs_up_has_cost_what_was_written(upstream: Upstream, tmp_path: Path) -> None:
    """The spending of the month has it, though nobody is there to be told."""
    upstream.on(COMPLETIONS, streams_then_hangs(delta(WORDS)))
    prices = {"scripted": (0.0, 1_000_000.0)}
    async with running(openai(tmp_path, upstream, llm_prices=prices)) as server:
        question = {"messages": [{"role": "user", "content": "Hello"}]}
        async with server.http.stream("POST", "/api/chat", json=question) as answer:
            await anext(answer.aiter_lines())
        await asyncio.wait_for(upstream.calls[-1].gone.wait(), 60)
        assert (await server.status())["spent_this_month_usd"] == 1000


async def test_the_last_resort_answers_all_the_same(upstream: Upstream, tmp_path: Path) -> None:
    """It costs nothing; other sources are not asked any more."""
    upstream.on(COMPLETIONS, EMPTY)
    more: dict[str, Any] = {"llm_last_resort": True, "llm_fallbacks": ("openai:other",), "max_unusable_answers": 2}
    async with running(openai(tmp_path, upstream, **more)) as server:
        answer = (await server.chat()).json()
    assert (answer["x_relay"]["source"], answer["x_relay"]["unusable"]) == ("demo", 2)
    assert [body["model"] for body in upstream.asked(COMPLETIONS)] == ["scripted", "scripted"]
