"""Whether anything gets slower with the past: the same measurements on databases with few and with many messages.

    .venv/bin/python -m benchmarks.growth [--sizes 1000,100000,2000000] [--url postgresql+psycopg://...] [--json FILE]

Fills a database with finished messages as years of use leave them (people who come back, a few with very long
conversations, failed and dead rows, delivery statuses), inside the database and without its indexes, which are made
afterwards, and measures on it what the servers do. Shown are milliseconds, and the ratio to the smallest database:
CPU of this process for what is done on the database alone, which other programs disturb least. A PostgreSQL database is
emptied first.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import tempfile
import time
import urllib.request
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from sqlalchemy import create_engine, text

from benchmarks import channels, processes
from benchmarks.outside import Outside, Texting, person
from messaging_database import MessagingDatabase, open_database
from relay.channels.registry import PLATFORMS
from relay.channels.sms.spec import SMS
from relay.config.settings import Settings
from relay.core.messages import UserId
from relay.core.retention import ROWS_AT_ONCE
from relay.storage import listings, queries
from relay.storage.files import backup, sqlite_path
from relay.storage.search import find_messages

YEARS_SECONDS = 2 * 365 * 86_400
MESSAGES_EACH = 100
REPEATS = 31

# One SQL for both databases. A fiftieth of the people has written half of the messages.
_NUMBERS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < :count)"
_PERSON = "'+49151' || CAST(10000000 + CASE WHEN i % 2 = 0 THEN i % :people ELSE i % :heavy END AS TEXT)"
_NUMBER = "CAST(1000000000 + i AS TEXT)"  # of one length, so that unique ids come in their order
_WHEN = "(:now - (:count - i) * :gap)"
_PART = (
    "CASE WHEN i % 100 < 90 THEN 'delivered' WHEN i % 100 < 95 THEN 'sent' WHEN i % 100 < 97 THEN 'failed'"
    " WHEN i % 100 < 99 THEN 'undelivered' ELSE 'canceled' END"
)
_FILLED = ("users", "inbound", "outbound", "conversations", "delivery_events", "counters", "notes")
_ROWS = f"""
INSERT INTO users (platform, user_id, name, state, message_count, created_at, updated_at, last_message_at)
WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < :people)
SELECT 'sms', '+49151' || CAST(10000000 + i AS TEXT), 'Person ' || CAST(i AS TEXT), 'active', 0, :now, :now, :now - i
FROM n;
INSERT INTO inbound (platform, external_id, user_id, state, received_at, due, tries, outcome, finished_at, updated_at)
{_NUMBERS} SELECT 'sms', 'old' || {_NUMBER}, {_PERSON}, CASE WHEN i % 50 = 0 THEN 'dead' ELSE 'done' END,
{_WHEN}, {_WHEN}, 1, 'answered', {_WHEN}, {_WHEN} FROM n;
INSERT INTO outbound (part_id, reply_id, platform, user_id, origin, number, part_count, text, source, state,
provider_id, due, attempts, created_at, accepted_at, updated_at)
{_NUMBERS} SELECT 'part' || {_NUMBER}, 'reply' || {_NUMBER}, 'sms', {_PERSON}, 'answer', 1, 1,
'An answer of a common length.', 'An answer of a common length.', {_PART}, 'SMold' || {_NUMBER}, {_WHEN}, 1,
{_WHEN}, {_WHEN}, {_WHEN} FROM n;
INSERT INTO conversations (platform, user_id, role, message, timestamp, in_context)
{_NUMBERS} SELECT 'sms', {_PERSON}, 'user', 'A question of a common length?', {_WHEN}, i % 10 <> 0 FROM n;
INSERT INTO conversations (platform, user_id, role, message, timestamp, reply_id, in_context)
{_NUMBERS} SELECT 'sms', {_PERSON}, 'assistant', 'An answer of a common length.', {_WHEN},
'reply' || {_NUMBER}, i % 10 <> 0 FROM n;
INSERT INTO delivery_events (platform, provider_id, part_id, state, received_at, applied)
{_NUMBERS} SELECT 'sms', 'SMold' || {_NUMBER}, 'part' || {_NUMBER}, {_PART}, {_WHEN}, 1 = 1 FROM n"""
_SUMS = """
UPDATE users SET message_count = (SELECT count(*) FROM conversations AS c
WHERE c.platform = users.platform AND c.user_id = users.user_id);
INSERT INTO counters (platform, name, value) SELECT 'sms', 'inbound', count(*) FROM inbound;
INSERT INTO counters (platform, name, value) SELECT 'sms', 'messages', count(*) FROM conversations;
INSERT INTO counters (platform, name, value) SELECT 'sms', 'users', count(*) FROM users;
INSERT INTO counters (platform, name, value)
SELECT 'sms', 'part:' || state, count(*) FROM outbound GROUP BY state"""
_INDEXES = {
    "sqlite": "SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL",
    "postgresql": "SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = current_schema()"
    " AND indexname NOT IN (SELECT conname FROM pg_constraint)",
}
"""The names of all indexes that can be dropped, and the statements that make them again."""

_UNSAFE = {
    "sqlite": ("PRAGMA journal_mode=OFF", "PRAGMA synchronous=OFF", "PRAGMA cache_size=-1000000"),
    "postgresql": ("SET synchronous_commit = off", "SET maintenance_work_mem = '512MB'"),
}


class EnoughSteps(Exception):
    """Ends the pruning after some steps."""


def fill(url: str, count: int) -> None:
    """Replace everything by `count` messages; nothing is synced to the disk, as an unfinished database is useless."""
    people = max(2, count // MESSAGES_EACH)
    values = {"count": count, "people": people, "heavy": max(1, people // 50), "now": time.time()}
    values["gap"] = YEARS_SECONDS / count
    engine = create_engine(url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        for setting in _UNSAFE[engine.dialect.name]:
            connection.exec_driver_sql(setting)
        indexes = [tuple(row) for row in connection.exec_driver_sql(_INDEXES[engine.dialect.name])]
        dropped = [f"DROP INDEX {name}" for name, _ in indexes]
        emptied = [f"DELETE FROM {table}" for table in _FILLED]
        made = [statement for _, statement in indexes]
        for statement in (*dropped, *emptied, *_ROWS.split(";"), *made, *_SUMS.split(";")):
            used = {name: value for name, value in values.items() if f":{name}" in statement}
            connection.execute(text(statement), used)
    engine.dispose()


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


async def verbs(database: MessagingDatabase, size: int) -> dict[str, float]:
    """Milliseconds of CPU of what is done by hand or by the clock."""
    heavy = UserId(person(0))
    listed = partial(listings.list_all_users, platforms=PLATFORMS, limit=50, offset=0)
    reads = {
        "sweep of the inbox": lambda: database.users_waiting(SMS),
        "sweep of the outbox": lambda: database.users_with_parts(SMS),
        "figures of the status": lambda: database.query(lambda c: queries.status(c, SMS, PLATFORMS, time.time())),
        "console: people": lambda: database.query(partial(listed, search="")),
        "console: a search for people": lambda: database.query(partial(listed, search="Person 1")),
        "console: a search in messages": lambda: database.query(
            lambda c: find_messages(c, PLATFORMS, "of no common length", 50)
        ),
        "console: a history": lambda: database.query(lambda c: listings.conversation(c, SMS, heavy, 50)),
        "console: dead letters": lambda: database.query(lambda c: listings.dead_letters(c, PLATFORMS, 50)),
    }
    found = {name: await median_ms(read) for name, read in reads.items()}
    # People with about as many messages as most have; those with small numbers have written far more.
    rare = (UserId(person(number)) for number in range(max(1, size // MESSAGES_EACH) - 2, 0, -1))
    found["clear a history"] = await median_ms(lambda: database.clear_history(SMS, next(rare, heavy)), 5)
    found["forget a person"] = await median_ms(lambda: database.forget_user(SMS, next(rare, heavy)), 5)
    steps: list[float] = []

    async def pause() -> None:
        steps.append(time.process_time())
        if len(steps) > REPEATS:
            raise EnoughSteps

    began = time.process_time()
    with suppress(EnoughSteps):
        await database.prune_oldest(365, ROWS_AT_ONCE, pause)
    found["a step of keep_days"] = (time.process_time() - began) / max(1, len(steps)) * 1000
    return found


async def servers(outside: Outside, folder: Path, url: str, seconds: float) -> dict[str, float]:
    """Milliseconds of what people and operators wait for, of the real SMS server."""
    environ = processes.settings(outside, folder, url)
    # The first start writes bytecode and migrates.
    first = await asyncio.to_thread(processes.Entered, processes.server("sms_server", folder, environ))
    await asyncio.to_thread(first.leave)
    running = await asyncio.to_thread(processes.Entered, processes.server("sms_server", folder, environ))
    process, port = running.value
    found = {"CPU of a start of the SMS server": processes.cpu(process) * 1000}
    texting = partial(Texting, port, channels.CALLERS)
    one = await channels.end_to_end(outside, texting(), 1, seconds, process)
    many = await channels.end_to_end(outside, texting(), channels.PEOPLE, seconds, process)
    webhooks = await channels.idle_acknowledgements(outside, running.value, seconds)
    found["CPU of a webhook"] = webhooks["cpu_ms"]
    found["webhook to Twilio's API, one person"] = one["p50_ms"]
    found["CPU of a text, 200 people"] = many["cpu_ms"]
    found["milliseconds a text, 200 people"] = 1000 / many["rate"]

    async def status() -> None:
        await asyncio.to_thread(urllib.request.urlopen, f"http://127.0.0.1:{port}/sms/status")

    found["CPU of GET /sms/status"] = await median_ms(status, clock=partial(processes.cpu, process))
    await asyncio.to_thread(running.leave)
    return found


async def measure(size: int, url: str, seconds: float) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        url = url or f"sqlite:///{folder / 'messages.db'}"
        await (await opened(url)).stop()
        began = time.perf_counter()
        await asyncio.to_thread(fill, url, size)
        print(f"{size} messages, filled in {time.perf_counter() - began:.1f} s", flush=True)
        async with Outside() as outside:
            found = await servers(outside, folder, url, seconds)
        database = await opened(url)
        found |= await verbs(database, size)
        await database.stop()
        if url.startswith("sqlite"):
            found["backup"] = await median_ms(partial(_backup, url, folder), 1, time.perf_counter)
    return found


async def _backup(url: str, folder: Path) -> None:
    await asyncio.to_thread(backup, sqlite_path(url, "backup"), folder / "backup.db")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", default="1000,100000,2000000", help="numbers of messages")
    parser.add_argument("--seconds", type=float, default=3.0, help="length of each measurement under load")
    parser.add_argument("--url", default="", help="another database, such as postgresql+psycopg://...")
    parser.add_argument("--json", type=Path, help="file for the figures")
    given = parser.parse_args()
    sizes = [int(size) for size in given.sizes.split(",")]
    found = {size: asyncio.run(measure(size, given.url, given.seconds)) for size in sizes}
    print(f"{'':38}" + "".join(f"{size:>12} {'':7}" for size in sizes))
    for name in found[sizes[0]]:
        cells = ((found[size][name], found[size][name] / found[sizes[0]][name]) for size in sizes)
        print(f"{name:38}" + "".join(f"{value:9.2f} ms {ratio:6.2f}x" for value, ratio in cells))
    if given.json:
        given.json.write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
