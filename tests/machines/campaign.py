"""Kills servers of two machines behind nginx in the middle of a load, and counts what was lost and what came twice.

    .venv/bin/python -m tests.machines.campaign [--seconds 60] [--rate 20]

First people who write again when they are answered, with one server of each kind and with two: messages a second, and
the CPU of a message by program, which is what tells how many cores a rate takes. Then so many new people a second write
by text and on Telegram, each once, while one server of each kind is killed with kill -9 and started again. Everybody
must be answered, nobody twice by text; Telegram has no list of what was sent, so a repeated message is allowed there.
PostgreSQL writes to the disk as by default. Ends with status 1 when something is wrong.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.channels import drained
from benchmarks.outside import Pushing, Refused, Texting, Writer
from benchmarks.processes import cpu
from tests.machines.cluster import KINDS, MACHINES, Cluster
from tests.machines.providers import Providers
from tests.running_postgresql import Postgresql, running_postgresql

CONNECTIONS = 32
PEOPLE = 100
TRIES = 4
"""How often a webhook is sent: Twilio does with #rc=3 at the end of its URL, Telegram far longer."""
PAUSE_SECONDS = 0.5
DOWN_SECONDS = 3.0
"""How long a killed server stays away."""
DRAIN_SECONDS = 120.0
"""How long all answers may take after the load: a lease, its takeover, and the work that is left."""


@dataclass(slots=True)
class Load:
    """What the people outside saw."""

    written: list[str] = field(default_factory=list)
    refused: Counter[str] = field(default_factory=Counter)
    given_up: list[str] = field(default_factory=list)


async def deliver(load: Load, writer: Writer, name: str) -> None:
    """Write once as this person; a provider repeats a webhook that is refused."""
    load.written.append(name)
    for _ in range(TRIES):
        try:
            await writer.write(name)
        except (Refused, OSError, asyncio.IncompleteReadError) as error:
            load.refused[str(error).splitlines()[0]] += 1
            await asyncio.sleep(PAUSE_SECONDS)
        else:
            return
    load.given_up.append(name)


async def steady(load: Load, writer: Writer, names: itertools.count[int], rate: float, seconds: float) -> None:
    """New people write at this rate."""
    began = time.monotonic()
    async with asyncio.TaskGroup() as group:
        for number in range(round(rate * seconds)):
            await asyncio.sleep(began + number / rate - time.monotonic())
            group.create_task(deliver(load, writer, writer.name(next(names))))


async def kills(cluster: Cluster, seconds: float) -> None:
    """Kill one server of each kind in turn, in the middle of its share of the time, and start it again."""
    share = seconds / len(KINDS)
    for kind, machine in zip(KINDS, itertools.cycle(MACHINES), strict=False):
        await asyncio.sleep(share / 3)
        print(f"kill -9 of the {kind} of machine {machine}", flush=True)
        began = time.monotonic()
        await cluster.kill((kind, machine))
        await asyncio.sleep(DOWN_SECONDS)
        await cluster.start((kind, machine))
        print(f"it is ready again after {time.monotonic() - began:.1f} s", flush=True)
        await asyncio.sleep(max(0.0, share * 2 / 3 - (time.monotonic() - began)))


async def failover(cluster: Cluster, outside: Providers, rate: float, seconds: float) -> bool:
    """Whether everybody was answered in spite of the kills, and nobody twice by text."""
    names, loads = itertools.count(5_000_000), {"sms": Load(), "telegram": Load()}
    texting, pushing = Texting(cluster.web, CONNECTIONS), Pushing(cluster.web, CONNECTIONS)
    async with asyncio.TaskGroup() as group:
        group.create_task(steady(loads["sms"], texting, names, rate / 2, seconds))
        group.create_task(steady(loads["telegram"], pushing, names, rate / 2, seconds))
        group.create_task(kills(cluster, seconds))
    everybody = {name for load in loads.values() for name in load.written}
    ends = time.monotonic() + DRAIN_SECONDS
    while not everybody <= outside.reached and time.monotonic() < ends:  # noqa: ASYNC110 (another program answers)
        await asyncio.sleep(0.1)
    await drained(outside)
    fine = True
    for platform, load in loads.items():
        lost = [name for name in load.written if not outside.copies[name]]
        doubled = [name for name in load.written if outside.copies[name] > 1]
        refused = f"{load.refused.total()} webhooks repeated, {len(load.given_up)} given up"
        print(f"{platform}: {len(load.written)} people, {len(lost)} lost, {len(doubled)} answered twice, {refused}")
        for reason, count in load.refused.most_common(3):
            print(f"    {count} x {reason}")
        fine &= not lost and not (doubled and platform == "sms")
    return fine


async def throughput(cluster: Cluster, outside: Providers, database: Postgresql, seconds: float, first: int) -> None:
    """People who write again when they are answered: by text, then on Telegram."""
    for title, kind in (("SMS", Texting), ("Telegram", Pushing)):
        writer, before = kind(cluster.web, CONNECTIONS), _used(cluster, database)
        names = [writer.name(first + number) for number in range(PEOPLE)]
        done = sum(await asyncio.gather(*(_conversing(outside, writer, name, seconds) for name in names)))
        writer.close()
        used = {name: (now - before[name]) / done * 1000 for name, now in _used(cluster, database).items()}
        costs = ", ".join(f"{name} {value:.2f}" for name, value in used.items() if value > 0.005)
        print(f"{title}: {done / seconds:.0f} messages/s; CPU of one in ms: {costs}", flush=True)
        first += PEOPLE


async def _conversing(outside: Providers, writer: Writer, name: str, seconds: float) -> int:
    """Write again when answered, for so long; how often."""
    ends, count = time.monotonic() + seconds, 0
    while time.monotonic() < ends:
        await outside.answered(name, lambda: writer.write(name))
        count += 1
    return count


def _used(cluster: Cluster, database: Postgresql) -> dict[str, float]:
    return {**cluster.cpu(), "postgresql": _of(database)}


def _of(database: Postgresql) -> float:
    """Seconds of the processor of all processes of PostgreSQL."""
    postmaster = database.process()
    return sum(map(cpu, (postmaster, *postmaster.children(recursive=True))))


async def run(database: Postgresql, rate: float, seconds: float, measured: float) -> bool:
    with tempfile.TemporaryDirectory() as name:
        async with Providers() as outside:
            cluster = Cluster(Path(name), outside, database.url)
            try:
                await cluster.start_nginx()
                await cluster.start(*((kind, "one") for kind in KINDS))
                if measured:
                    print("one server of each kind")
                    await throughput(cluster, outside, database, measured, 1_000_000)
                await cluster.start(*((kind, "two") for kind in KINDS))
                if measured:
                    print("two servers of each kind")
                    await throughput(cluster, outside, database, measured, 2_000_000)
                return await failover(cluster, outside, rate, seconds)
            finally:
                await cluster.stop()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60.0, help="length of the load with kills")
    parser.add_argument("--rate", type=float, default=20.0, help="new people a second, half of them by text")
    parser.add_argument("--measured", type=float, default=10.0, help="length of each measurement; 0 for none")
    given = parser.parse_args()
    with running_postgresql() as database:
        database.make_durable()
        fine = asyncio.run(run(database, given.rate, given.seconds, given.measured))
    print("CLEAN" if fine else "NOT CLEAN")
    return 0 if fine else 1


if __name__ == "__main__":
    sys.exit(main())
