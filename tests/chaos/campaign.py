"""A campaign against the product: load, kills and faults for a while, then healing, draining, and an audit.

    python -m tests.chaos.campaign --seconds 180 --seed 7 --people 200

Bounded and seeded. Exit status 0 when the audit is clean, 1 when it is not. docs/CHAOS.md tells how to read it.
"""

from __future__ import annotations

import argparse
import asyncio
import json
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

from relay.channels.registry import PLATFORMS
from tests.chaos.chaos_audit import Bubble, Findings, audit, key_of, read_books
from tests.chaos.chaos_faults import Mischief
from tests.chaos.chaos_model import ChaosModel
from tests.chaos.chaos_people import Crowd, Simulation
from tests.chaos.chaos_product import ChaosProduct, new_product
from tests.chaos.chaos_report import Report, print_report, save_report
from tests.chaos.proxy import FrontDoor
from tests.ports import Ports
from tests.product.running_product import ROOT

ILL_ALWAYS = 0.06
BAD_ALWAYS = 0.05
SHORT = 60.0  # below this there is no time for what takes more than 20 s


@dataclass(frozen=True, slots=True)
class Orders:
    """What a campaign is told. drain: the longest wait for the queues to be empty, in seconds."""

    seconds: float
    seed: int
    people: int
    folder: Path
    telegram_mode: str
    pause: float = 12.0
    drain: float = 240.0
    calm: tuple[float, float] = (1.0, 5.0)
    between_kills: tuple[float, float] = (3.0, 8.0)


@dataclass(slots=True)
class Campaign:
    """All that takes part."""

    orders: Orders
    chance: random.Random
    product: ChaosProduct
    simulation: Simulation
    model: ChaosModel
    door: FrontDoor
    crowd: Crowd
    mischief: Mischief
    statuses: dict[str, dict[str, Any]] = field(default_factory=dict)

    async def run(self) -> Report:
        began = time.monotonic()
        await self.product.all_ready()
        await self.simulation.ask("POST", "reset", json={"seed": self.orders.seed})
        await self.simulation.ask("POST", "options", json=self._options())
        await self.crowd.invite(self.orders.people)
        await self._chaos()
        await self.mischief.heal()
        healed = time.monotonic()
        drained = await self._drain(healed + self.orders.drain)
        findings = await self._audit()
        took = time.monotonic() - began
        return self._report(findings, took, time.monotonic() - healed, drained=drained)

    def _options(self) -> dict[str, Any]:
        webhook = f"{self.outside}/sms/webhook"
        return {"twilio_webhook_url": webhook, "telegram_retry_seconds": 0.3, "twilio_read_seconds": 6}

    @property
    def outside(self) -> str:
        return str(self.product.outside)

    async def _chaos(self) -> None:
        orders, until = self.orders, time.monotonic() + self.orders.seconds
        self.model.ill, self.door.bad = ILL_ALWAYS, BAD_ALWAYS
        if orders.seconds < SHORT:
            self.mischief.long_waits, self.mischief.longest = False, 1.5
        async with asyncio.TaskGroup() as group:
            group.create_task(self.mischief.kills_until(until, orders.between_kills))
            group.create_task(self.mischief.storms(until, orders.calm))
            group.create_task(self.mischief.troubles(until, orders.calm))
            for person in self.crowd.people:
                group.create_task(self.crowd.talk(person, until, orders.pause, self.mischief.fate))

    async def _drain(self, until: float) -> bool:
        """Wait until everything was delivered and nothing is left to do, seen twice in a row."""
        empty = 0
        while time.monotonic() < until and empty < 2:
            pending = [task for task in self.crowd.deliveries if not task.done()]
            if pending:
                await asyncio.wait(pending, timeout=min(5.0, max(0.1, until - time.monotonic())))
                continue
            empty = empty + 1 if await self._is_empty() else 0
            await asyncio.sleep(0.5)
        for task in self.crowd.deliveries:
            task.cancel()
        for outcome in await asyncio.gather(*self.crowd.deliveries, return_exceptions=True):
            if isinstance(outcome, Exception):
                raise outcome
        return empty >= 2

    async def _is_empty(self) -> bool:
        try:
            for platform in PLATFORMS:
                self.statuses[platform] = await asyncio.to_thread(self.product.status, platform)
        except (httpx.HTTPError, AssertionError):
            return False
        waiting = (await self.simulation.ask("GET", "stats"))["waiting_updates"]
        return waiting == 0 and all(left(status) == 0 for status in self.statuses.values())

    async def _audit(self) -> Findings:
        seen: dict[str, list[Bubble]] = {}
        for person in self.crowd.people:
            query = {"platform": person.platform, "person": person.address}
            transcript = await self.simulation.ask("GET", "transcript", params=query)
            seen[key_of(person)] = [bubble for bubble in transcript["bubbles"] if bubble["direction"] == "out"]
        (self.product.folder / "transcripts.json").write_text(json.dumps(seen), encoding="utf-8")
        books = await asyncio.to_thread(read_books, self.product.folder / "product.db")
        return audit(self.crowd.people, seen, books)

    def _report(self, findings: Findings, took: float, draining: float, *, drained: bool) -> Report:
        questions = [question for person in self.crowd.people for question in person.questions]
        return Report(
            orders={
                "seconds": self.orders.seconds,
                "seed": self.orders.seed,
                "people": self.orders.people,
                "telegram": self.orders.telegram_mode,
            },
            kills=dict(self.mischief.kills),
            faults=dict(self.mischief.struck + self.model.struck + self.door.struck + self.crowd.struck),
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
        )


def left(status: dict[str, Any]) -> int:
    """How much a platform still has to do."""
    delivery = status["delivery"]
    return int(status["queue_depth"] + sum(delivery[state] for state in ("planned", "sending", "unknown")))


async def campaign(orders: Orders) -> Report:
    """Run a campaign from an empty folder to its report; everything that was started is stopped again."""
    held = Ports()
    outside = held.take()
    product = new_product(orders.folder, outside, orders.telegram_mode)
    # Each its own dice: what one does must not change what the others draw.
    dice = {name: random.Random(f"{orders.seed} {name}") for name in ("crowd", "model", "door", "mischief")}
    model = ChaosModel(dice["model"])
    door = FrontDoor({name: product.url(f"{name}_server") for name in ("sms", "telegram")}, dice["door"])
    simulation = Simulation(product.url("simulator"))
    async with AsyncExitStack() as stack:
        stack.callback(held.give_back)
        await open_outside(stack, outside, model, door)
        stack.push_async_callback(asyncio.to_thread, product.close)
        await simulation.open()
        stack.push_async_callback(simulation.close)
        product.start_simulator()
        await asyncio.to_thread(product.await_simulator)
        await product.launch()
        crowd = Crowd(orders.seed, simulation, dice["crowd"], disorder=orders.telegram_mode == "webhook")
        mischief = Mischief(product, simulation, model, door, dice["mischief"])
        return await Campaign(orders, dice["crowd"], product, simulation, model, door, crowd, mischief).run()


async def open_outside(stack: AsyncExitStack, port: int, model: ChaosModel, door: FrontDoor) -> None:
    """Open the front door and the model on one port; the stack closes them."""
    await door.open()
    stack.push_async_callback(door.close)
    app = web.Application(client_max_size=10_000_000)
    app.add_routes([*model.routes(), *door.routes()])
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    stack.push_async_callback(runner.cleanup)
    await web.TCPSite(runner, "127.0.0.1", port).start()


def orders_from(arguments: list[str] | None) -> Orders:
    parser = argparse.ArgumentParser(prog="chaos", description="Kill, disturb, heal, and count what went wrong.")
    parser.add_argument("--seconds", type=float, default=120, help="how long the chaos lasts (default 120)")
    parser.add_argument("--seed", type=int, default=None, help="repeat an earlier campaign; a new one when left out")
    parser.add_argument("--people", type=int, default=200, help="how many write, half of them by text (default 200)")
    parser.add_argument("--telegram", choices=("polling", "webhook"), help="how updates arrive; drawn when left out")
    parser.add_argument("--folder", type=Path, default=None, help="logs, database and audit (default build/chaos-SEED)")
    given = parser.parse_args(arguments)
    seed = random.randrange(1, 100_000) if given.seed is None else given.seed
    mode = given.telegram or random.Random(f"{seed} mode").choice(("polling", "webhook"))
    folder = given.folder or ROOT / "build" / f"chaos-{seed}"
    shutil.rmtree(folder, ignore_errors=True)
    return Orders(given.seconds, seed, given.people, folder, mode)


def main(arguments: list[str] | None = None) -> int:
    orders = orders_from(arguments)
    report = asyncio.run(campaign(orders))
    save_report(report, orders.folder)
    print_report(report, orders.folder)
    return 0 if report.clean else 1


if __name__ == "__main__":
    sys.exit(main())
