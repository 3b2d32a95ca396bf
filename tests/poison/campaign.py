"""One person's poisonous messages beside a newcomer every few seconds: does anyone wait longer than without them?

    python -m tests.poison.campaign --seconds 300 --together 6 --only firewall

Each poison meets the real servers with a stand-in model server that is healthy for everybody else. As many as
`together` run at the same time, with one run without poison beside them, so the load of the machine concerns both. Ends
with status 1 when a newcomer was told to wait, or waited longer than in the run without poison.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from tests.english import english
from tests.llm.scripted_upstream import (
    COMPLETIONS,
    DONE,
    Call,
    Script,
    completion,
    delta,
    hangs,
    responds,
    scripted_upstream,
    streams,
    streams_then_cuts,
)
from tests.product.running_product import Phone, RunningProduct

BETWEEN_NEWCOMERS = 5.0
BETWEEN_POISONS = 10.0
TOLERANCE_SECONDS = 2.0
"""How much longer than without poison a newcomer may wait; one pause of a source would take 5 s or more."""
GIVE_UP_SECONDS = 80.0
CHANNELS = ("telegram", "sms")
NO_POISON = "no poison"


def _refusal(status: int, message: str) -> Script:
    return responds(status, {"error": {"code": status, "message": message}})


_LIMITED = responds(429, {"error": {"code": 429, "message": "slow down"}}, Retry_After="120")
_ENDLESS = streams(*[delta("I am a fish. " * 40) for _ in range(400)], delta(finish="stop"), DONE)
POISONS: dict[str, Script] = {
    NO_POISON: completion("hello"),
    "firewall": responds(403, "<!DOCTYPE html><title>Attention Required! | Cloudflare</title>", "text/html"),
    "region": _refusal(403, "Country, region, or territory not supported"),
    "bad request": _refusal(400, "Invalid value"),
    "credits": _refusal(402, "This request requires more credits, or fewer max_tokens"),
    "rate limit": _LIMITED,
    "empty": streams(delta(""), delta(finish="stop"), DONE),
    "server error": _refusal(500, "internal error"),
    "cut": streams_then_cuts(),
    "silence": hangs,
    "endless": _ENDLESS,
    "huge number": streams(delta("hello"), delta(finish="stop", usage={"prompt_tokens": 2**64 - 1}), DONE),
}


@dataclass(slots=True)
class Course:
    """What became of the newcomers of one run: seconds until the answer, and how many were told to wait."""

    waits: list[float] = field(default_factory=list)
    notices: int = 0
    unanswered: int = 0
    poisons: int = 0

    @property
    def longest(self) -> float:
        return max(self.waits, default=0.0)

    def line(self, name: str) -> str:
        median = statistics.median(self.waits) if self.waits else 0.0
        return (
            f"{name:12} {len(self.waits):3} answered, median {median:5.2f} s, longest {self.longest:6.2f} s; "
            f"{self.notices} told to wait, {self.unanswered} without answer; the poison was asked {self.poisons} times"
        )


def poisoned(trouble: Script) -> Script:
    """A model server that has the trouble with each question that holds the word "poison", and answers all others."""

    async def script(call: Call) -> None:
        await (trouble if "poison" in call.body["messages"][-1]["content"] else completion("hello"))(call)

    return script


class PatientProduct(RunningProduct):
    """On a machine with other work; only what happens after the start is measured."""

    def await_ready(self, server: str, seconds: float = 600) -> None:
        super().await_ready(server, seconds)


@dataclass(slots=True)
class Together:
    """Runs at the same time: their products start one after another, and their newcomers come when all are up."""

    all_up: asyncio.Barrier
    starting: asyncio.Lock = field(default_factory=asyncio.Lock)


async def run(trouble: Script, folder: Path, seconds: float, together: Together) -> Course:
    """Start the product beside a model server with this trouble, and let newcomers come for a while."""
    async with scripted_upstream() as upstream:
        upstream.on("/models", responds(200, {"data": [{"id": "scripted"}]}))
        upstream.on(COMPLETIONS, poisoned(trouble))
        product = PatientProduct(
            folder, LLM_SOURCE="openai", OPENAI_BASE_URL=upstream.url, OPENAI_MODEL="scripted", SMS_REGISTRATION="off"
        )
        try:
            async with together.starting:
                await asyncio.to_thread(product.start)
            await together.all_up.wait()
            course = await _newcomers(product, seconds)
        finally:
            await asyncio.to_thread(product.close)
        course.poisons = sum("poison" in asked["messages"][-1]["content"] for asked in upstream.asked(COMPLETIONS))
        return course


async def _newcomers(product: RunningProduct, seconds: float) -> Course:
    course, numbers = Course(), range(round(seconds / BETWEEN_NEWCOMERS))
    poisoning = asyncio.create_task(_poison(product))
    async with asyncio.TaskGroup() as group:
        for number in numbers:
            group.create_task(asyncio.to_thread(_ask, product, number, course))
            await asyncio.sleep(BETWEEN_NEWCOMERS)
    poisoning.cancel()
    await asyncio.gather(poisoning, return_exceptions=True)
    return course


async def _poison(product: RunningProduct) -> None:
    poisoner = await asyncio.to_thread(Phone, product, "telegram", "Poisoner")
    for number in range(10_000):
        await asyncio.to_thread(poisoner.send, f"poison {number}")
        await asyncio.sleep(BETWEEN_POISONS)


def _ask(product: RunningProduct, number: int, course: Course) -> None:
    phone = Phone(product, CHANNELS[number % 2], f"Newcomer {number}")
    began = time.monotonic()
    phone.send(f"What about number {number}?")
    try:
        while phone.next_reply(GIVE_UP_SECONDS) == english("answer-later"):
            course.notices += 1
    except AssertionError:
        course.unanswered += 1
    else:
        course.waits.append(time.monotonic() - began)


async def _compare(poisons: Sequence[str], seconds: float) -> int:
    """Run these poisons and one run without, all at the same time; how many made newcomers wait."""
    names = (NO_POISON, *poisons)
    together = Together(asyncio.Barrier(len(names)))
    with tempfile.TemporaryDirectory(prefix="poison-") as folder:
        places = [Path(tempfile.mkdtemp(dir=folder)) for _ in names]
        async with asyncio.TaskGroup() as group:
            runs = [
                group.create_task(run(POISONS[name], place, seconds, together))
                for name, place in zip(names, places, strict=True)
            ]
    courses = [one.result() for one in runs]
    limit, broken = courses[0].longest + TOLERANCE_SECONDS, 0
    for name, course in zip(names, courses, strict=True):
        is_broken = course.longest > limit or course.notices > 0 or course.unanswered > 0
        broken += is_broken
        print(course.line(name), "BROKEN" if is_broken else "", flush=True)
    return broken


async def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=300.0, help="how long newcomers come to each poison")
    parser.add_argument("--only", default="", help="run the poisons whose names contain this, and the run without")
    parser.add_argument("--together", type=int, default=6, help="how many poisons to run at the same time")
    options = parser.parse_args()
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(64 * (options.together + 1)))
    chosen = [name for name in POISONS if name != NO_POISON and options.only in name]
    broken = 0
    for first in range(0, len(chosen), options.together):
        broken += await _compare(chosen[first : first + options.together], options.seconds)
    print(f"BROKEN: {broken}" if broken else "NOBODY WAITED LONGER")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
