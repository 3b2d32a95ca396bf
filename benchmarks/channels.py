"""What the channels cost: acknowledgements and answers of the real servers, against a bare framework on this machine.

    .venv/bin/python -m benchmarks.channels [--runs 3] [--seconds 4] [--url postgresql+psycopg://...] [--json FILE]

Starts the SMS server, the Telegram server and a bare FastAPI route as processes of their own, with a provider and a
model that answer at once (benchmarks/outside.py). The measurements alternate and medians are shown, because everything
shares one machine: compare the figures of one run with each other, not those of two runs.
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
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Generic, TypeVar

import psutil
import uvicorn
from fastapi import FastAPI, Request, Response

from benchmarks.llm_server import free_port, started
from benchmarks.outside import ACCOUNT, BOT, NUMBER, TOKEN, Outside, Sender, person, text_of, update_of

ROOT = Path(__file__).resolve().parent.parent
RATIOS = ROOT / "benchmarks" / "ratios.json"
TOLERATED = 0.7
"""The part of an accepted ratio below which the check fails: so much two runs of one version may differ."""

CALLERS = 64
PEOPLE = 200
BURST = 1000
BACKLOG = 5000
_sids = itertools.count(1)
_people = itertools.count(1)

T = TypeVar("T")
Figures = dict[str, float]


def sid() -> str:
    return f"SM{time.time_ns():016x}{next(_sids):016x}"


def p99(times: list[float]) -> float:
    return float(statistics.quantiles(times, n=100)[98] * 1000)


def cpu(process: psutil.Process) -> float:
    used = process.cpu_times()
    return float(used.user + used.system)


# -- measurements ------------------------------------------------------------------------------------------------------


async def acknowledgements(port: int, seconds: float, requests: Iterator[bytes]) -> Figures:
    """So many callers, each with the next request as soon as the last is answered."""
    times: list[float] = []
    ends = time.perf_counter() + seconds

    async def caller() -> None:
        sender = Sender(port)
        while time.perf_counter() < ends:
            times.append(await sender.post(next(requests)))
        sender.close()

    await asyncio.gather(*(caller() for _ in range(CALLERS)))
    return {"rate": len(times) / seconds, "p50_ms": statistics.median(times) * 1000, "p99_ms": p99(times)}


def texts(port: int, people: int) -> Iterator[bytes]:
    """Texts of people who take turns, every one new."""
    first = next(_people) * people
    return (text_of(port, person(first + number % people), sid()) for number in itertools.count())


async def idle_acknowledgements(outside: Outside, port: int, seconds: float) -> Figures:
    """Webhooks while no question can be answered, so that storing is all there is to do."""
    outside.model_works = False
    found = await acknowledgements(port, seconds, texts(port, 100_000))
    outside.model_works = True
    await drained(outside)
    return found


async def busy_acknowledgements(outside: Outside, port: int, seconds: float) -> Figures:
    """The same while every text is answered."""
    before = outside.sends
    found = await acknowledgements(port, seconds, texts(port, 100_000))
    found["answers"] = (outside.sends - before) / seconds
    await drained(outside)
    return found


async def drained(outside: Outside) -> float:
    """Wait until no answer has come for three seconds; the time of the last one."""
    last, moved = outside.sends, time.perf_counter()
    while time.perf_counter() - moved < 3.0:
        await asyncio.sleep(0.01)
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
    answered = await drained(outside) - began
    lost = len(set(people) - outside.reached)
    return {"all_ms": stored * 1000, "p99_ms": p99(times), "answered_ms": answered * 1000, "lost": lost}


async def end_to_end(outside: Outside, port: int, people: int, seconds: float, process: psutil.Process) -> Figures:
    """People who write again as soon as they are answered."""
    times: list[float] = []
    first, ends, before = next(_people) * 1_000_000, time.perf_counter() + seconds, cpu(process)
    senders = [Sender(port) for _ in range(min(people, CALLERS))]

    async def one(number: int) -> None:
        name, sender = person(first + number), senders[number % len(senders)]
        while time.perf_counter() < ends:
            request = text_of(port, name, sid())
            times.append(await outside.answered(name, lambda: sender.post(request)))  # noqa: B023 (awaited at once)

    await asyncio.gather(*map(one, range(people)))
    for sender in senders:
        sender.close()
    used = cpu(process) - before
    median = statistics.median(times) * 1000
    return {"rate": len(times) / seconds, "p50_ms": median, "cpu_ms": used / len(times) * 1000}


async def backlog(outside: Outside) -> Figures:
    """5,000 updates wait at Telegram, each of another person; until all are stored and confirmed, and are answered."""
    first = next(_people) * 1_000_000
    began = time.perf_counter()
    number = int(time.time() * 1000)
    chats = [700_000_000 + first + n for n in range(BACKLOG)]
    outside.updates = [update_of(number + n, chat) for n, chat in enumerate(chats)]
    while outside.confirmed < number + BACKLOG:
        await asyncio.sleep(0.01)
    stored = time.perf_counter() - began
    answered = await drained(outside) - began
    return {
        "stored_ms": stored * 1000,
        "answered_ms": answered * 1000,
        "rate": BACKLOG / answered,
        "lost": len(set(map(str, chats)) - outside.reached),
    }


# -- processes ---------------------------------------------------------------------------------------------------------


def settings(outside: Outside, folder: Path, url: str) -> dict[str, str]:
    """An environment in which nothing of this machine's own installation is used, and no limit of a person is met."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("TWILIO_", "TELEGRAM_", "LLM_"))}
    clean.pop("PYTHONDONTWRITEBYTECODE", None)
    return {
        **clean,
        "DATABASE_URL": url or f"sqlite:///{folder / 'messages.db'}",
        "LLM_SERVER_URL": outside.url,
        "TWILIO_ACCOUNT_SID": ACCOUNT,
        "TWILIO_AUTH_TOKEN": TOKEN,
        "TWILIO_PHONE_NUMBER": NUMBER,
        "TWILIO_API_BASE_URL": outside.url,
        "TELEGRAM_BOT_TOKEN": BOT,
        "TELEGRAM_API_BASE_URL": outside.url,
        "TELEGRAM_MESSAGES_PER_SECOND": "1000",
        "SMS_REGISTRATION": "off",
        "MESSAGES_PER_MINUTE": "10000",
        "MESSAGES_PER_DAY": "1000000",
        "LOOP_TURNS": "0",
        "SMS_SEGMENT_USD": "0",
        "LOG_LEVEL": "error",
    }


class Entered(Generic[T]):
    """A context that is entered here and left by `leave`: threads wait for processes while the event loop goes on."""

    def __init__(self, context: AbstractContextManager[T]) -> None:
        self._context = context
        self.value = context.__enter__()

    def leave(self) -> None:
        self._context.__exit__(None, None, None)


@contextmanager
def server(name: str, folder: Path, environ: dict[str, str]) -> Iterator[tuple[psutil.Process, int]]:
    port = free_port()
    command = [sys.executable, str(ROOT / f"{name}.py")]
    with started(command, port, "/ready", folder, **environ, **{f"{name.upper()}_PORT": str(port)}) as (process, _):
        yield process, port


@contextmanager
def bare(folder: Path) -> Iterator[int]:
    port = free_port()
    command = [sys.executable, "-m", "benchmarks.channels", "--bare", str(port)]
    with started(command, port, "/", folder, PYTHONPATH=str(ROOT)):
        yield port


def serve_bare(port: int) -> None:
    """A route that reads the body and answers as the webhook does, on the product's framework and server."""
    app = FastAPI()

    @app.get("/")
    async def home() -> dict[str, str]:
        return {}

    @app.post("/sms/webhook")
    async def receive(request: Request) -> Response:
        await request.body()
        return Response("<Response/>", media_type="text/xml")

    uvicorn.run(app, port=port, log_level="error", access_log=False)


# -- the run -----------------------------------------------------------------------------------------------------------


async def measure(runs: int, seconds: float, url: str, only: str) -> dict[str, Figures]:
    """The medians of all figures, by measurement."""
    found: dict[str, list[Figures]] = defaultdict(list)
    with tempfile.TemporaryDirectory() as name:
        async with Outside() as outside:
            environ = settings(outside, Path(name), url)
            # Starting waits without the event loop, which the servers need for their first calls.
            sms = await asyncio.to_thread(Entered, server("sms_server", Path(name), environ))
            telegram = await asyncio.to_thread(Entered, server("telegram_server", Path(name), environ))
            plain = await asyncio.to_thread(Entered, bare(Path(name)))
            (process, port), bare_port = sms.value, plain.value
            for _ in range(runs):
                one: dict[str, Callable[[], Awaitable[Figures]]] = {
                    "bare": lambda: acknowledgements(bare_port, seconds, texts(bare_port, 1000)),
                    "idle": lambda: idle_acknowledgements(outside, port, seconds),
                    "busy": lambda: busy_acknowledgements(outside, port, seconds),
                    "burst": lambda: burst(outside, port),
                    "people_200": lambda: end_to_end(outside, port, PEOPLE, seconds, process),
                    "backlog": lambda: backlog(outside),
                    "person_1": lambda: end_to_end(outside, port, 1, seconds, process),
                }
                for title, work in one.items():
                    if only in title:
                        found[title].append(await work())
                        print(title, {key: round(value, 2) for key, value in found[title][-1].items()}, flush=True)
            await asyncio.to_thread(telegram.leave)
            await asyncio.to_thread(sms.leave)
            await asyncio.to_thread(plain.leave)
    return {title: medians(figures) for title, figures in found.items()}


def medians(runs: list[Figures]) -> Figures:
    return {key: statistics.median(run[key] for run in runs) for key in runs[0]}


# -- what was accepted -------------------------------------------------------------------------------------------------


def ratios(found: dict[str, Figures]) -> Figures:
    """Rates against each other, which a slower or busier machine changes little; more is better."""
    bare, alone, busy, people = (found[name]["rate"] for name in ("bare", "idle", "busy", "people_200"))
    return {
        "webhooks, of the requests of a bare route": alone / bare,
        "webhooks while all are answered, of those while none is": busy / alone,
        "answered texts, of the requests of a bare route": people / bare,
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
    parser.add_argument("--seconds", type=float, default=4.0, help="length of each measurement")
    parser.add_argument("--url", default="", help="another database, such as postgresql+psycopg://...")
    parser.add_argument("--only", default="", help="measurements whose name contains this")
    parser.add_argument("--json", type=Path, help="file for the medians")
    parser.add_argument("--accept", action="store_true", help=f"write the ratios to {RATIOS.name}")
    parser.add_argument("--check", action="store_true", help=f"compare the ratios with {RATIOS.name}")
    parser.add_argument("--bare", type=int, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.bare:
        serve_bare(given.bare)
        return 0
    found = asyncio.run(measure(given.runs, given.seconds, given.url, given.only))
    print(json.dumps(found, indent=1))
    if given.json:
        given.json.write_text(json.dumps(found, indent=1))
    if given.accept:
        RATIOS.write_text(json.dumps(ratios(found), indent=1) + "\n")
    return check(ratios(found)) if given.check else 0


if __name__ == "__main__":
    sys.exit(main())
