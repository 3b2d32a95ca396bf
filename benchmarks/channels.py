"""What the channels cost: acknowledgements and answers of the real servers, against a bare framework on this machine.

    .venv/bin/python -m benchmarks.channels [--runs 3] [--seconds 2] [--postgresql] [--only busy,person] [--json FILE]

Starts the SMS server, the Telegram server and a bare FastAPI route as processes of their own, with a provider and a
model that answer at once (benchmarks/outside.py). The measurements alternate and medians are shown, because everything
shares one machine: compare the figures of one run with each other, not those of two runs. The load of the machine
stands beside them.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import os
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Collection, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import psutil

from benchmarks.outside import Outside, Polled, Pushing, Sender, Texting, Writer, person, sid, text_of, updates_of
from benchmarks.processes import ROOT, Entered, bare, cpu, server, settings
from tests.running_postgresql import running_postgresql

RATIOS = ROOT / "benchmarks" / "ratios.json"
TOLERATED = 0.7
"""The part of an accepted ratio below which the check fails: so much two runs of one version may differ."""

CALLERS = 64
PEOPLE = 200
BURST = 1000
BACKLOG = 5000
REST_SECONDS = 5.0
ONCE = ("burst", "backlog", "rest")
"""Long measurements, which the first round has alone."""

WEBHOOK = {"TELEGRAM_MODE": "webhook", "PUBLIC_URL": "https://relay.example.com"}
_people = itertools.count(1)

Figures = dict[str, float]
Served = tuple[psutil.Process, int]
"""A server that runs, and its port."""


def p99(times: list[float]) -> float:
    return float(statistics.quantiles(times, n=100)[98] * 1000)


# -- measurements ------------------------------------------------------------------------------------------------------


async def acknowledgements(served: Served, seconds: float, requests: Iterator[bytes]) -> Figures:
    """So many callers, each with the next request as soon as the last is answered."""
    process, port = served
    times: list[float] = []
    began, before = time.perf_counter(), cpu(process)
    ends = began + seconds

    async def caller() -> None:
        sender = Sender(port)
        while time.perf_counter() < ends:
            times.append(await sender.post(next(requests)))
        sender.close()

    await asyncio.gather(*(caller() for _ in range(CALLERS)))
    used = (cpu(process) - before) / len(times) * 1000
    return {
        "rate": len(times) / (time.perf_counter() - began),
        "p50_ms": statistics.median(times) * 1000,
        "p99_ms": p99(times),
        "cpu_ms": used,
    }


def texts(port: int, people: int) -> Iterator[bytes]:
    """Texts of people who take turns, every one new."""
    first = next(_people) * people
    return (text_of(port, person(first + number % people), sid()) for number in itertools.count())


async def idle_acknowledgements(outside: Outside, served: Served, seconds: float) -> Figures:
    """Webhooks while no question can be answered, so that storing is all there is to do."""
    outside.model_works = False
    found = await acknowledgements(served, seconds, texts(served[1], 100_000))
    outside.model_works = True
    await drained(outside)
    return found


async def busy_acknowledgements(outside: Outside, served: Served, seconds: float) -> Figures:
    """The same while every text is answered."""
    before = outside.sends
    found = await acknowledgements(served, seconds, texts(served[1], 100_000))
    found["answers"] = (outside.sends - before) / seconds
    await drained(outside)
    return found


async def drained(outside: Outside, wanted: frozenset[str] = frozenset()) -> float:
    """Wait until no answer has come for three seconds, or for thirty while one of `wanted` has none.

    The time of the last answer.
    """
    last, moved = outside.sends, time.perf_counter()
    while time.perf_counter() - moved < (3.0 if wanted <= outside.reached else 30.0):
        await asyncio.sleep(0.05)
        if outside.sends != last:
            last, moved = outside.sends, time.perf_counter()
    return moved


async def burst(outside: Outside, port: int) -> Figures:
    """1,000 people text within one second, each on a connection of its own."""
    first = next(_people) * 1_000_000
    people = [person(first + number) for number in range(BURST)]
    requests = [text_of(port, name, sid()) for name in people]
    began = time.perf_counter()

    async def one(number: int) -> float:
        await asyncio.sleep(began + number / BURST - time.perf_counter())
        sender = Sender(port)
        took = await sender.post(requests[number])
        sender.close()
        return took

    times = await asyncio.gather(*(one(number) for number in range(BURST)))
    stored = time.perf_counter() - began
    answered = await drained(outside, frozenset(people)) - began
    lost = len(set(people) - outside.reached)
    return {"all_ms": stored * 1000, "p99_ms": p99(times), "answered_ms": answered * 1000, "lost": lost}


async def end_to_end(
    outside: Outside, writer: Writer, people: int, seconds: float, process: psutil.Process, *, fresh: bool = False
) -> Figures:
    """So many people at once, each of whom writes again when answered.

    fresh: another person writes then, because Telegram allows one message a second to a chat.
    """
    times: list[float] = []
    first, began, before = next(_people) * 1_000_000, time.perf_counter(), cpu(process)
    ends = began + seconds

    async def one(number: int) -> None:
        name = writer.name(first + number)
        while time.perf_counter() < ends:
            times.append(await outside.answered(name, partial(writer.write, name)))
            number += people
            name = writer.name(first + number) if fresh else name

    await asyncio.gather(*map(one, range(people)))
    took = time.perf_counter() - began  # longer than asked for, by the last answers
    writer.close()
    used = cpu(process) - before
    median = statistics.median(times) * 1000
    return {"rate": len(times) / took, "p50_ms": median, "cpu_ms": used / len(times) * 1000}


async def backlog(outside: Outside) -> Figures:
    """5,000 updates wait at Telegram, each of another person; until all are stored and confirmed, and are answered."""
    first = next(_people) * 1_000_000
    began = time.perf_counter()
    chats = [700_000_000 + first + n for n in range(BACKLOG)]
    outside.updates = updates_of(chats)
    last = outside.updates[-1]["update_id"]
    while outside.confirmed <= last:
        await asyncio.sleep(0.01)
    stored = time.perf_counter() - began
    answered = await drained(outside, frozenset(map(str, chats))) - began
    return {
        "stored_ms": stored * 1000,
        "answered_ms": answered * 1000,
        "rate": BACKLOG / answered,
        "lost": len(set(map(str, chats)) - outside.reached),
    }


# -- the run -----------------------------------------------------------------------------------------------------------


async def rest(processes: dict[str, psutil.Process]) -> Figures:
    """CPU of each idle server, in thousandths of one core."""
    before = {name: cpu(process) for name, process in processes.items()}
    await asyncio.sleep(REST_SECONDS)
    return {name: (cpu(process) - before[name]) / REST_SECONDS * 1000 for name, process in processes.items()}


async def measure(runs: int, seconds: float, url: str, only: Collection[str]) -> dict[str, list[Figures]]:
    """The figures of each round, by measurement; `only` has parts of the names of those that are wanted."""
    found: dict[str, list[Figures]] = defaultdict(list)

    async def rounds(works: Measurements) -> None:
        for number in range(runs):
            for title, work in works.items():
                if any(part in title for part in only) and not (number and title in ONCE):
                    note(found[title], title, await work())

    with tempfile.TemporaryDirectory() as name:
        async with Outside() as outside:
            environ = settings(outside, Path(name), url)
            # Starting waits without the event loop, which the servers need for their first calls.
            sms = await asyncio.to_thread(Entered, server("sms_server", Path(name), environ))
            telegram = await asyncio.to_thread(Entered, server("telegram_server", Path(name), environ))
            plain = await asyncio.to_thread(Entered, bare(Path(name)))
            await rounds(measurements(outside, sms.value, telegram.value, plain.value, seconds))
            await asyncio.to_thread(telegram.leave)
            # Telegram allows either polling or a webhook, so this server is another one.
            pushed = await asyncio.to_thread(Entered, server("telegram_server", Path(name), environ | WEBHOOK))
            await rounds(pushed_measurements(outside, pushed.value, seconds))
            for leave in (pushed.leave, sms.leave, plain.leave):
                await asyncio.to_thread(leave)
    return {title: figures for title, figures in found.items() if figures}


Measurements = dict[str, Callable[[], Awaitable[Figures]]]


def measurements(outside: Outside, sms: Served, telegram: Served, plain: Served, seconds: float) -> Measurements:
    """What is measured of the SMS server and of the Telegram server that polls, by its name, in this order."""
    text, poll = partial(Texting, sms[1], CALLERS), partial(Polled, outside)
    return {
        "rest": lambda: rest({"sms_server": sms[0], "telegram_server": telegram[0]}),
        "bare": lambda: acknowledgements(plain, seconds, texts(plain[1], 1000)),
        "idle": lambda: idle_acknowledgements(outside, sms, seconds),
        "busy": lambda: busy_acknowledgements(outside, sms, seconds),
        "burst": lambda: burst(outside, sms[1]),
        "people_200": lambda: end_to_end(outside, text(), PEOPLE, seconds, sms[0]),
        "person_1": lambda: end_to_end(outside, text(), 1, seconds, sms[0]),
        "backlog": lambda: backlog(outside),
        "polled_people_200": lambda: end_to_end(outside, poll(), PEOPLE, seconds, telegram[0], fresh=True),
        "polled_person_1": lambda: end_to_end(outside, poll(), 1, seconds, telegram[0], fresh=True),
    }


def pushed_measurements(outside: Outside, telegram: Served, seconds: float) -> Measurements:
    """What is measured of a Telegram server in webhook mode."""
    push = partial(Pushing, telegram[1], CALLERS)
    return {
        "pushed_people_200": lambda: end_to_end(outside, push(), PEOPLE, seconds, telegram[0], fresh=True),
        "pushed_person_1": lambda: end_to_end(outside, push(), 1, seconds, telegram[0], fresh=True),
    }


def note(found: list[Figures], title: str, figures: Figures) -> None:
    found.append(figures)
    print(title, {key: round(value, 2) for key, value in figures.items()}, flush=True)


def medians(runs: list[Figures]) -> Figures:
    return {key: statistics.median(run[key] for run in runs) for key in runs[0]}


# -- what was accepted -------------------------------------------------------------------------------------------------


def ratios(found: dict[str, list[Figures]]) -> Figures:
    """Medians of the figures of a round against others of it, which a busier machine changes little; more is better."""

    def median(above: str, below: str, figure: str) -> float:
        pairs = zip(found[above], found[below], strict=True)
        return statistics.median(one[figure] / other[figure] for one, other in pairs)

    return {
        "webhooks, of the requests of a bare route": median("idle", "bare", "rate"),
        "webhooks while all are answered, of those while none is": median("busy", "idle", "rate"),
        "answered texts, of the requests of a bare route": median("people_200", "bare", "rate"),
        "CPU of a bare request, of that of a webhook": median("bare", "idle", "cpu_ms"),
        "CPU of a bare request, of that of an answered text": median("bare", "people_200", "cpu_ms"),
        "CPU of a bare request, of that of a polled message": median("bare", "polled_people_200", "cpu_ms"),
    }


def check(measured: Figures) -> int:
    """Compare with the accepted ratios; the exit status."""
    worse = 0
    for name, accepted in json.loads(RATIOS.read_text()).items():
        is_worse = measured[name] < accepted * TOLERATED
        worse += is_worse
        print(f"{name:58} accepted {accepted:.3f}, measured {measured[name]:.3f}{'  WORSE' if is_worse else ''}")
    return 1 if worse else 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=2.0, help="length of each measurement")
    parser.add_argument("--url", default="", help="another database, such as postgresql+psycopg://...")
    parser.add_argument("--postgresql", action="store_true", help="start a PostgreSQL, which writes to the disk")
    parser.add_argument("--only", default="", help="measurements whose names contain one of these, with commas")
    parser.add_argument("--json", type=Path, help="file for the medians")
    parser.add_argument("--accept", action="store_true", help=f"write the ratios to {RATIOS.name}")
    parser.add_argument("--check", action="store_true", help=f"compare the ratios with {RATIOS.name}")
    given = parser.parse_args()
    print(f"load {os.getloadavg()[0]:.1f} before", flush=True)
    with ExitStack() as stack:
        url = given.url
        if given.postgresql:
            database = stack.enter_context(running_postgresql())
            database.make_durable()
            url = database.url
        found = asyncio.run(measure(given.runs, given.seconds, url, given.only.split(",")))
    print(table({title: medians(figures) for title, figures in found.items()}))
    print(f"load {os.getloadavg()[0]:.1f} after")
    if given.json:
        given.json.write_text(json.dumps(found, indent=1))
    if given.accept:
        RATIOS.write_text(json.dumps(ratios(found), indent=1) + "\n")
    return check(ratios(found)) if given.check else 0


def table(found: dict[str, Figures]) -> str:
    """One row for each measurement."""
    return "\n".join(
        f"{title:20}" + "".join(f" {name} {value:.4g}  " for name, value in figures.items())
        for title, figures in found.items()
    )


if __name__ == "__main__":
    sys.exit(main())
