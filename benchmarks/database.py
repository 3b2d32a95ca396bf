"""How much of the disk's own speed the messaging database keeps: ratios, measured in one run on one disk.

`python benchmarks/database.py [--url URL] [--folder DIR] [--messages N] [--people N]`. One message's whole way is five
transactions (store, claim, complete with one part, claim the part, accept) and one read of the context.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sqlite3
import statistics
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from messaging_database import MessagingDatabase, open_database
from relay.channels.sms.spec import SMS
from relay.core.decisions import Decision
from relay.core.messages import Answer, InboundMessage, UserId
from relay.core.parts import PlannedPart, Receipt
from tests.settings import Settings

ANSWER = Answer("An answer of the usual length. " * 4, "model", "source", 400, 60, 0.001, 0.5, 2.0)
PARTS = [PlannedPart(ANSWER.text, ANSWER.text)]


def bare_commits(folder: Path, seconds: float = 1.5) -> float:
    """Inserts a second of one bare sqlite3 connection, WAL and full sync, one commit each."""
    with closing(sqlite3.connect(folder / "bare.db", isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, body TEXT)")
        started, count = time.perf_counter(), 0
        while time.perf_counter() - started < seconds:
            connection.execute("INSERT INTO t(body) VALUES (?)", ("x" * 200,))
            count += 1
        return count / (time.perf_counter() - started)


async def one_message(database: MessagingDatabase, user_id: UserId, number: int) -> float:
    """The whole way of one message; seconds from its arrival to the start of work on it."""
    arrived = time.perf_counter()
    message = InboundMessage(SMS, f"{user_id}-{number}", user_id, "A question?", time.time())
    await database.store_inbound(message, "From=...&Body=...")
    claim = await database.claim_next_inbound(SMS, user_id)
    begun = time.perf_counter() - arrived
    assert claim is not None  # noqa: S101
    await database.load_context(claim, 5, 20)
    done = await database.complete_inbound(claim, Decision(prompt="A question?"), PARTS, answer=ANSWER, claim_part=True)
    assert done.first is not None  # noqa: S101
    await database.record_accepted(done.first, Receipt(f"SM{done.first.id}"))
    return begun


async def whole_ways(url: str, messages: int, people: int) -> tuple[float, float, float]:
    """Messages a second, milliseconds of CPU a message, median milliseconds from arrival to work."""
    database = open_database(Settings(database_url=url), "benchmark")
    await database.start()
    run = f"{os.getpid()}-{time.time_ns()}"  # a database that is used twice has no old ids in the way

    async def person(index: int) -> list[float]:
        user_id = UserId(f"{run}-{index}")
        return [await one_message(database, user_id, number) for number in range(messages // people)]

    await person(-1)
    started, worked = time.perf_counter(), time.process_time()
    waits = [wait for waits in await asyncio.gather(*map(person, range(people))) for wait in waits]
    seconds, cpu = time.perf_counter() - started, time.process_time() - worked
    await database.stop()
    return len(waits) / seconds, 1000 * cpu / len(waits), 1000 * statistics.median(waits)


def main() -> None:
    arguments = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    arguments.add_argument("--url", help="another database, such as postgresql+psycopg://...")
    arguments.add_argument("--folder", help="where the SQLite files are made; the disk to measure")
    arguments.add_argument("--messages", type=int, default=2000)
    arguments.add_argument("--people", type=int, default=200)
    given = arguments.parse_args()
    with tempfile.TemporaryDirectory(dir=given.folder) as folder:
        bare = bare_commits(Path(folder))
        print(f"bare inserts, one commit each       {bare:8.0f} /s")
        for people in (1, given.people):
            url = given.url or f"sqlite:///{folder}/{people}.db"
            messages = given.messages if people > 1 else min(given.messages, 300)
            rate, cpu, wait = asyncio.run(whole_ways(url, messages, people))
            print(
                f"messages, {people:4} people at once         {rate:8.0f} /s   {rate / bare:5.2f} of the bare inserts"
                f"   {4 * rate / bare:5.2f} verbs of one   {cpu:5.2f} ms CPU   {wait:6.1f} ms to start"
            )


if __name__ == "__main__":
    main()
