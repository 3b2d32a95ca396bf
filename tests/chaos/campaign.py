"""A campaign against the product: load, kills and faults for a while, then healing, draining, and an audit.

    python -m tests.chaos.campaign --seconds 180 --seed 7 --people 200

Bounded and seeded. Exit status 0 when the audit is clean, 1 when it is not. docs/CHAOS.md describes the audit.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import random
import shutil
import sys
import time
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from aiohttp import web

from relay.launcher.plan import SIMULATED_CHANNELS
from tests.chaos.chaos_audit import Bubble, Findings, audit, audit_fairness, key_of, read_rows
from tests.chaos.chaos_clock import FakedClock
from tests.chaos.chaos_faults import FaultInjector
from tests.chaos.chaos_model import ChaosModel
from tests.chaos.chaos_outage import Outage, minute_without_postgresql
from tests.chaos.chaos_processes import ProcessFaults
from tests.chaos.chaos_product import ChaosProduct, new_folder
from tests.chaos.chaos_report import Report, print_report, save_report
from tests.chaos.chaos_users import ChaosUsers, SimulatorClient
from tests.chaos.proxy import FaultyProxy
from tests.ports import Ports
from tests.product.running_product import ROOT
from tests.running_postgresql import Postgresql, running_postgresql

MODEL_FAILURE_RATE = 0.06
PROXY_FAILURE_RATE = 0.05
SHORT = 60.0  # below this there is no time for what takes more than 20 s
LONG = 120.0  # from this on there is time for what takes more than a minute
HANGING = ("llm_server", "sms_server", "telegram_server")


@dataclass(frozen=True, slots=True)
class CampaignOptions:
    """Options of a campaign. pauses: seconds between faults.

    drain: seconds without progress after which the queues count as stuck. How long they take in all depends on those
    who never stop writing: Telegram takes one message a second for each chat.
    """

    seconds: float
    seed: int
    people: int
    folder: Path
    telegram_mode: str
    database: str = "sqlite"
    clock: str = "steady"
    pause: float = 12.0
    drain: float = 300.0
    pauses: tuple[float, float] = (1.0, 5.0)
    between_kills: tuple[float, float] = (3.0, 8.0)


@dataclass(slots=True)
class Campaign:
    """The product, the fakes around it, and the course of the campaign."""

    options: CampaignOptions
    product: ChaosProduct
    simulator: SimulatorClient
    model: ChaosModel
    proxy: FaultyProxy
    users: ChaosUsers
    injector: FaultInjector
    processes: ProcessFaults
    rng: random.Random
    postgresql: Postgresql | None = None
    outage: Outage | None = None
    statuses: dict[str, dict[str, Any]] = field(default_factory=dict)

    async def run(self) -> Report:
        began = time.monotonic()
        await self.product.all_ready()
        await self.simulator.call("POST", "reset", json={"seed": self.options.seed})
        await self.simulator.call("POST", "options", json=self._simulator_options())
        await self.users.register_all(self.options.people)
        await self._chaos()
        await self.injector.heal()
        healed = time.monotonic()
        drained = await self._drain()
        findings = await self._audit()
        took = time.monotonic() - began
        return self._report(findings, took, time.monotonic() - healed, drained=drained)

    def _simulator_options(self) -> dict[str, Any]:
        webhook = f"{self.product.public_url}/sms/webhook"
        return {"twilio_webhook_url": webhook, "telegram_retry_seconds": 0.3, "twilio_read_seconds": 6}

    async def _chaos(self) -> None:
        options, until = self.options, time.monotonic() + self.options.seconds
        self.model.failure_rate, self.proxy.failure_rate = MODEL_FAILURE_RATE, PROXY_FAILURE_RATE
        if options.seconds < SHORT:
            self.injector.long_waits, self.injector.longest = False, 1.5
        async with asyncio.TaskGroup() as group:
            group.create_task(self.processes.kills_until(until, options.between_kills))
            group.create_task(self.processes.stops_until(until, options.between_kills, self.injector.longest))
            if options.seconds >= LONG:
                group.create_task(self._long_faults(options.seconds))
            group.create_task(self.injector.storms(until, options.pauses))
            group.create_task(self.injector.own_faults(until, options.pauses))
            for person in self.users.all:
                group.create_task(self.users.talk(person, until, options.pause, self.injector.prepare_fault))

    async def _long_faults(self, seconds: float) -> None:
        """What takes a minute each: a server hangs until the launcher kills it, and PostgreSQL stops."""
        await asyncio.sleep(seconds / 10)
        if self.postgresql is not None:
            async with self.processes.calm, self.injector.database_is_free:
                await self.product.all_ready()
                self.outage = await minute_without_postgresql(self.product, self.postgresql, self.proxy)
            self.injector.injected["database: stopped for a minute"] += 1
        await self.processes.hang(self.rng.choice(HANGING))

    async def _drain(self) -> bool:
        """Wait until everything was delivered and nothing is left to do, seen twice in a row; False when stuck."""
        empty, fewest, progressed = 0, math.inf, time.monotonic()
        while empty < 2 and time.monotonic() - progressed < self.options.drain:
            waiting = [task for task in self.users.deliveries if not task.done()]
            if waiting:
                await asyncio.wait(waiting, timeout=5.0)
            count = len(waiting) + await self._left()
            if count < fewest:
                fewest, progressed = count, time.monotonic()
            empty = empty + 1 if count == 0 else 0
            await asyncio.sleep(0.5)
        for task in self.users.deliveries:
            task.cancel()
        for outcome in await asyncio.gather(*self.users.deliveries, return_exceptions=True):
            if isinstance(outcome, Exception):
                raise outcome
        return empty >= 2

    async def _left(self) -> float:
        """The number of messages and parts that are not done; infinite while a server does not answer."""
        try:
            for platform in (channel.platform for channel in SIMULATED_CHANNELS):
                self.statuses[platform] = await asyncio.to_thread(self.product.status, platform)
        except (httpx.HTTPError, AssertionError):
            return math.inf
        waiting = int((await self.simulator.call("GET", "stats"))["waiting_updates"])
        return waiting + sum(left(status) for status in self.statuses.values())

    async def _audit(self) -> Findings:
        seen: dict[str, list[Bubble]] = {}
        for person in self.users.all:
            query = {"platform": person.platform, "person": person.address}
            transcript = await self.simulator.call("GET", "transcript", params=query)
            seen[key_of(person)] = [bubble for bubble in transcript["bubbles"] if bubble["direction"] == "out"]
        stored = await asyncio.to_thread(read_rows, self.product.database_url)
        for name, content in (("transcripts", seen), ("rows", stored.as_json())):
            (self.product.folder / f"{name}.json").write_text(json.dumps(content), encoding="utf-8")
        findings = audit(self.users.all, seen, stored)
        offset = time.time() - time.monotonic()
        for bubbles in seen.values():
            for bubble in bubbles:
                bubble["at"] -= offset
        audit_fairness(self.users.all, seen, stored, self.model.log, findings)
        return findings

    def _report(self, findings: Findings, took: float, draining: float, *, drained: bool) -> Report:
        questions = [question for person in self.users.all for question in person.questions]
        return Report(
            options={
                "seconds": self.options.seconds,
                "seed": self.options.seed,
                "people": self.options.people,
                "telegram": self.options.telegram_mode,
                "database": self.options.database,
                "clock": self.options.clock,
            },
            kills=dict(self.processes.kills),
            faults=dict(self.injector.injected + self.model.injected + self.proxy.injected + self.users.injected),
            sent=len(questions),
            refused=[f"{question.marker}: {question.refusal}" for question in questions if question.refusal],
            findings=findings,
            statuses={
                name: {key: status[key] for key in ("delivery", "resends_after_unknown_outcome", "dead_letters")}
                for name, status in self.statuses.items()
            },
            took=took,
            draining=draining,
            drained=drained,
            outage=self.outage,
        )


def left(status: dict[str, Any]) -> int:
    """The number of messages and parts of a platform that are not done."""
    delivery = status["delivery"]
    return int(status["queue_depth"] + sum(delivery[state] for state in ("planned", "sending", "unknown")))


async def campaign(options: CampaignOptions) -> Report:
    """Run a campaign from an empty folder to its report; everything that was started is stopped again."""
    held = Ports()
    port = held.take()
    # One generator each: the draws of one must not change those of the others.
    names = ("users", "model", "proxy", "injector", "processes", "campaign")
    rngs = {name: random.Random(f"{options.seed} {name}") for name in names}
    model = ChaosModel(rngs["model"])
    async with AsyncExitStack() as stack:
        stack.callback(held.give_back)
        postgresql = stack.enter_context(running_postgresql()) if options.database == "postgresql" else None
        url = postgresql.url if postgresql else None
        folder = new_folder(options.folder)
        clock = FakedClock(folder / "clock", stepped=options.clock == "stepped")
        product = ChaosProduct(folder, port, options.telegram_mode, clock, url)
        proxy = FaultyProxy({name: product.url(f"{name}_server") for name in ("sms", "telegram")}, rngs["proxy"])
        simulator = SimulatorClient(product.url("simulator"))
        await open_surroundings(stack, port, model, proxy)
        stack.push_async_callback(asyncio.to_thread, product.close)
        await simulator.open()
        stack.push_async_callback(simulator.close)
        product.start_simulator()
        await asyncio.to_thread(product.await_simulator)
        await product.launch()
        users = ChaosUsers(options.seed, simulator, rngs["users"], disorder=options.telegram_mode == "webhook")
        injector = FaultInjector(product, simulator, model, proxy, rngs["injector"], postgresql)
        processes = ProcessFaults(product, rngs["processes"])
        return await Campaign(
            options, product, simulator, model, proxy, users, injector, processes, rngs["campaign"], postgresql
        ).run()


async def open_surroundings(stack: AsyncExitStack, port: int, model: ChaosModel, proxy: FaultyProxy) -> None:
    """Open the proxy and the model on one port; the stack closes them."""
    await proxy.open()
    stack.push_async_callback(proxy.close)
    app = web.Application(client_max_size=10_000_000)
    app.add_routes([*model.routes(), *proxy.routes()])
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    stack.push_async_callback(runner.cleanup)
    await web.TCPSite(runner, "127.0.0.1", port).start()


def parse_options(arguments: list[str] | None) -> CampaignOptions:
    parser = argparse.ArgumentParser(prog="chaos", description="Kill, disturb, heal, and count what went wrong.")
    parser.add_argument("--seconds", type=float, default=120, help="how long the chaos lasts (default 120)")
    parser.add_argument("--seed", type=int, default=None, help="repeat an earlier campaign; a new one when left out")
    parser.add_argument("--people", type=int, default=200, help="how many write, half of them by text (default 200)")
    parser.add_argument("--telegram", choices=("polling", "webhook"), help="how updates arrive; drawn when left out")
    parser.add_argument("--database", choices=("sqlite", "postgresql"), default="sqlite", help="(default sqlite)")
    parser.add_argument("--clock", choices=("steady", "stepped"), default="steady", help="stepped: needs libfaketime")
    parser.add_argument("--folder", type=Path, default=None, help="logs, database and audit (default build/chaos-SEED)")
    given = parser.parse_args(arguments)
    seed = random.randrange(1, 100_000) if given.seed is None else given.seed
    mode = given.telegram or random.Random(f"{seed} mode").choice(("polling", "webhook"))
    folder = given.folder or ROOT / "build" / f"chaos-{seed}"
    shutil.rmtree(folder, ignore_errors=True)
    return CampaignOptions(given.seconds, seed, given.people, folder, mode, given.database, given.clock)


def main(arguments: list[str] | None = None) -> int:
    options = parse_options(arguments)
    report = asyncio.run(campaign(options))
    save_report(report, options.folder)
    print_report(report, options.folder)
    return 0 if report.clean else 1


if __name__ == "__main__":
    sys.exit(main())
