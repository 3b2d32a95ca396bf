"""Whether anything gets slower with the past: the same measurements on databases with few and with many messages.

    .venv/bin/python -m benchmarks.growth [--sizes 10,100000,2000000] [--folder DIR] [--url postgresql+psycopg://...]

Fills a database as years of use leave it (benchmarks/past.py) and measures on it what the real servers do. Shown are
milliseconds, and the ratio to the smallest database: CPU of the server for what it does alone, which other programs
disturb least. With --folder the SQLite databases are kept there, and used as they are when they exist. A PostgreSQL
database is emptied first.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import psutil

from benchmarks import channels, past, processes
from benchmarks.outside import Outside, Texting, person
from messaging_database import MessagingDatabase, open_database
from relay.channels.sms.spec import SMS
from relay.config.settings import Settings
from relay.core.messages import UserId
from relay.core.retention import ROWS_AT_ONCE
from relay.storage.files import backup, sqlite_path

REPEATS = 21
STARTED = ("admin_server", "sms_server", "telegram_server", "llm_server")
PRUNED_DAYS = 365

Figures = dict[str, float]


class EnoughSteps(Exception):
    """Ends the pruning after some steps."""


async def opened(url: str) -> MessagingDatabase:
    database = open_database(Settings(database_url=url), "growth", limited=False)
    await database.start()
    return database


async def median_ms(
    verb: Callable[[], Awaitable[Any]], repeats: int = REPEATS, clock: Callable[[], float] = time.process_time
) -> float:
    times = []
    for _ in range(repeats):
        began = clock()
        await verb()
        times.append(clock() - began)
    return statistics.median(times) * 1000


# -- verbs -------------------------------------------------------------------------------------------------------------


async def verbs(database: MessagingDatabase, size: int) -> Figures:
    """Milliseconds of CPU of what is done by the clock or by hand."""
    found = {
        "sweep of the inbox": await median_ms(lambda: database.users_waiting(SMS)),
        "sweep of the outbox": await median_ms(lambda: database.users_with_parts(SMS)),
    }
    # People with as many messages as most have; those with small numbers have written far more.
    rare = (UserId(person(number)) for number in range(max(1, size // past.MESSAGES_EACH) // 5 * 5 - 5, 0, -5))
    nobody = UserId(person(0))
    found["clear a history"] = await median_ms(lambda: database.clear_history(SMS, next(rare, nobody)), 5)
    found["forget a person"] = await median_ms(lambda: database.forget_user(SMS, next(rare, nobody)), 5)
    steps: list[float] = []

    async def pause() -> None:
        steps.append(time.process_time())
        if len(steps) > REPEATS:
            raise EnoughSteps

    began = time.process_time()
    with suppress(EnoughSteps):
        await database.prune_oldest(PRUNED_DAYS, ROWS_AT_ONCE, pause)
    found["a step of keep_days"] = (time.process_time() - began) / max(1, len(steps)) * 1000
    return found


# -- servers -----------------------------------------------------------------------------------------------------------


def pages() -> dict[str, str]:
    """The pages of the console by what is measured, each with the most that it may have to show."""
    common, middle = past.vocabulary()[0], past.vocabulary()[400]
    writer, rare = ({"platform": SMS, "id": person(number)} for number in (0, 10))
    today = datetime.now(UTC).date().isoformat()
    searched = {"a person": "Person 10", "a common word": common, "two words": f"{common} {middle}"}
    searched |= {"a beginning": common[:3], "a number": "1000000013", "no message": "nowhere to be found"}
    return {
        "home": "/",
        "home, the 40th page of people": "/?offset=1000",
        **{f"search for {what}": "/?" + urlencode({"q": words}) for what, words in searched.items()},
        "a person with a long history": "/person?" + urlencode(writer),
        "a person": "/person?" + urlencode(rare),
        "figures of a person": "/person/days?" + urlencode(writer),
        "failures": "/failures",
        "failures with a code": "/failures?code=30005",
        "failures of a person": "/failures?" + urlencode({"person": person(10)}),
        "dead letters": "/failures?kind=dead",
        "a day": f"/day?day={today}",
        "failures of a day": f"/day?day={today}&kind=failed",
        "a story": "/message?id=old1000000010",
        "a story by a part": "/message?id=SMold1000000002",
        "audit": "/audit",
        "broadcasts": "/broadcasts",
        "alerts": "/alerts",
    }


def fetch(url: str, form: dict[str, str] | None = None) -> bytes:
    body = urlencode(form).encode() if form else None
    request = urllib.request.Request(url, body, {"Accept": "text/html"})  # noqa: S310 (always our own address)
    with suppress(urllib.error.HTTPError), urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310
        return bytes(answer.read())
    return b""  # a story that an almost empty database does not have


async def page(process: psutil.Process, url: str, form: dict[str, str] | None = None) -> tuple[float, float]:
    """Milliseconds of CPU and of time of a page shown before; the CPU is a mean, as its clock is coarse."""
    await asyncio.to_thread(fetch, url, form)
    before, times = processes.cpu(process), []
    for _ in range(REPEATS):
        began = time.perf_counter()
        await asyncio.to_thread(fetch, url, form)
        times.append(time.perf_counter() - began)
    return (processes.cpu(process) - before) / REPEATS * 1000, statistics.median(times) * 1000


async def console(folder: Path, environ: dict[str, str]) -> Figures:
    """Every page of the console, and the first one after a start."""
    running = await asyncio.to_thread(processes.Entered, processes.server("admin_server", folder, environ))
    process, port = running.value
    home = f"http://127.0.0.1:{port}"
    before = processes.cpu(process)
    await asyncio.to_thread(fetch, home + "/")
    found = {"CPU of the first page after a start": (processes.cpu(process) - before) * 1000}
    draft = {"text": "We are closed on Monday", "platform": SMS, "days": "30"}
    asked = {**{name: (path, None) for name, path in pages().items()}, "preview": ("/broadcasts/preview", draft)}
    for name, (path, form) in asked.items():
        found[f"CPU of {name}"], found[f"time of {name}"] = await page(process, home + path, form)
    await asyncio.to_thread(running.leave)
    return found


async def starts(folder: Path, environ: dict[str, str]) -> Figures:
    """CPU of the start of each server; the first start of all writes bytecode."""
    found, environ = {}, {**environ, "LLM_SOURCE": "demo"}
    for name in (STARTED[0], *STARTED):
        running = await asyncio.to_thread(processes.Entered, processes.server(name, folder, environ))
        found[f"CPU of a start of {name}"] = processes.cpu(running.value[0]) * 1000
        await asyncio.to_thread(running.leave)
    return found


class OldUsers(Texting):
    """People who have written before."""

    def name(self, number: int) -> str:
        return person(number % 1_000_000 // 2 * 5 + number % 2)  # two of five write texts and have not opted out


async def texts(outside: Outside, folder: Path, environ: dict[str, str], seconds: float) -> Figures:
    """What people wait for, of the real SMS server, and its status."""
    running = await asyncio.to_thread(processes.Entered, processes.server("sms_server", folder, environ))
    process, port = running.value
    one = await channels.end_to_end(outside, OldUsers(port, channels.CALLERS), 1, seconds, process)
    many = await channels.end_to_end(outside, OldUsers(port, channels.CALLERS), channels.PEOPLE, seconds, process)
    webhooks = await channels.idle_acknowledgements(outside, running.value, seconds)
    found = {
        "CPU of a webhook": webhooks["cpu_ms"],
        "CPU of a text, one person": one["cpu_ms"],
        "CPU of a text, 200 people": many["cpu_ms"],
        "time of a text, one person": one["p50_ms"],
        "time of a text, 200 people": 1000 / many["rate"],
    }
    status = f"http://127.0.0.1:{port}/sms/status"
    found["CPU of GET /sms/status"], found["time of GET /sms/status"] = await page(process, status)
    await asyncio.to_thread(running.leave)
    return found


async def pruning(outside: Outside, folder: Path, environ: dict[str, str], seconds: float) -> Figures:
    """Acknowledgements of a server that prunes and of one that does not, in turn on one database."""
    found: dict[str, list[Figures]] = {"": [], str(PRUNED_DAYS): []}
    for _ in range(3):
        for days, figures in found.items():
            given = {**environ, **({"KEEP_DAYS": days} if days else {})}
            running = await asyncio.to_thread(processes.Entered, processes.server("sms_server", folder, given))
            figures.append(await channels.idle_acknowledgements(outside, running.value, seconds))
            await asyncio.to_thread(running.leave)
    medians = {days: channels.medians(figures) for days, figures in found.items()}
    return {
        f"time of a webhook, {kind}{' while old messages are pruned' if days else ''}": medians[days][f"{kind}_ms"]
        for kind in ("p50", "p99")
        for days in medians
    }


# -- the run -----------------------------------------------------------------------------------------------------------


async def measure(size: int, url: str, seconds: float, kept: Path | None, only: str) -> Figures:
    with tempfile.TemporaryDirectory(dir=kept) as name:
        folder, path = Path(name), (kept or Path(name)) / f"messages-{size}.db"
        fresh = bool(url) or not path.exists()
        url = url or f"sqlite:///{path}"
        await (await opened(url)).stop()
        if fresh:
            began = time.perf_counter()
            await asyncio.to_thread(past.fill, url, size)
            print(f"{size} messages, filled in {time.perf_counter() - began:.1f} s", flush=True)
        async with Outside() as outside:
            environ = processes.settings(outside, folder, url)
            parts: dict[str, Callable[[], Awaitable[Figures]]] = {
                "console": lambda: console(folder, environ),
                "texts": lambda: texts(outside, folder, environ, seconds),
                "starts": lambda: starts(folder, environ),
                "verbs": lambda: done_by_hand(url, size),
                "backup": lambda: copied(url, folder),
                "pruning": lambda: pruning(outside, folder, environ, seconds),
            }
            found: Figures = {}
            for part, work in parts.items():
                if only in part:
                    found |= await work()
    return found


async def done_by_hand(url: str, size: int) -> Figures:
    database = await opened(url)
    found = await verbs(database, size)
    await database.stop()
    return found


async def copied(url: str, folder: Path) -> Figures:
    """The time of a backup; of PostgreSQL none is made here."""
    if not url.startswith("sqlite"):
        return {}
    target = folder / "backup.db"

    async def work() -> None:
        await asyncio.to_thread(backup, sqlite_path(url, "backup"), target)

    found = {"time of a backup": await median_ms(work, 1, time.perf_counter)}
    target.unlink()
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", default="10,100000,2000000", help="numbers of answered messages")
    parser.add_argument("--seconds", type=float, default=3.0, help="length of each measurement under load")
    parser.add_argument("--url", default="", help="another database, such as postgresql+psycopg://...")
    parser.add_argument("--folder", type=Path, help="where the databases are kept for the next time")
    parser.add_argument("--only", default="", help="one part: console, texts, starts, verbs, backup, pruning")
    parser.add_argument("--json", type=Path, help="file for the figures")
    given = parser.parse_args()
    sizes = [int(size) for size in given.sizes.split(",")]
    found = {}
    for size in sizes:
        found[size] = asyncio.run(measure(size, given.url, given.seconds, given.folder, given.only))
        if given.json:
            given.json.write_text(json.dumps(found, indent=1))
    print(f"{'':48}" + "".join(f"{size:>12} {'':7}" for size in sizes))
    for name, smallest in found[sizes[0]].items():
        cells = ((found[size][name], found[size][name] / smallest if smallest else 0.0) for size in sizes)
        print(f"{name:48}" + "".join(f"{value:9.2f} ms {ratio:6.2f}x" for value, ratio in cells))


if __name__ == "__main__":
    main()
