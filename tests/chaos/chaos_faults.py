"""What goes wrong in a campaign: kills, storms at the providers, an ill model, a locked database, single bad answers.

What strikes is counted by its name. Everything is drawn from one seeded source of chance; the moments are not, as the
product runs in real time.
"""

from __future__ import annotations

import asyncio
import itertools
import random
import signal
import sqlite3
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from relay.channels.sms.spec import SMS
from relay.channels.telegram.spec import TELEGRAM
from tests.chaos.chaos_model import ChaosModel
from tests.chaos.chaos_people import Person, Simulation
from tests.chaos.chaos_product import ChaosProduct
from tests.chaos.chaos_questions import Question
from tests.chaos.proxy import FrontDoor

VICTIMS = {"sms_server": 30, "telegram_server": 30, "llm_server": 15, "launcher": 12, "admin_server": 5}
QUICK_SECONDS = 28.0
MOST_QUICK_DEATHS = 3  # the launcher gives a server up after five
TIMED_OUT_SECONDS = 22.0  # longer than the channels wait for an answer
Fault = dict[str, Any]

_SEND = {SMS: ("twilio", "messages.create"), TELEGRAM: ("telegram", "sendMessage")}
_FATES: dict[str, Fault] = {
    "429": {"effect": "status", "status": 429, "retry_after": 1},
    "500": {"effect": "status", "status": 500},
    "503 after acceptance": {"effect": "status", "status": 503, "when": "after"},
    "cut before acceptance": {"effect": "cut"},
    "cut after acceptance": {"effect": "cut", "when": "after"},
    "broken body": {"effect": "broken"},
    "broken body after acceptance": {"effect": "broken", "when": "after"},
    "slow": {"effect": "slow", "seconds": 1.2},
    "timeout after acceptance": {"effect": "slow", "seconds": TIMED_OUT_SECONDS, "when": "after"},
}
_KNOWN = frozenset({"429", "slow"})
# After two unknown outcomes in a row Telegram's part is given up. So single ones are rare there, and a storm in which
# outcomes are unknown strikes every method: the only repetition waits until Telegram answers again.
RARELY_UNKNOWN = 0.75
_STORMS: dict[str, Fault] = {
    "twilio storm: 503": {"target": "twilio", "effect": "status", "status": 503, "chance": 0.7},
    "twilio storm: 429": {"target": "twilio", "effect": "status", "status": 429, "retry_after": 1, "chance": 0.7},
    "twilio storm: cut": {"target": "twilio", "effect": "cut", "chance": 0.7},
    "twilio storm: no list": {"target": "twilio", "method": "messages.list", "effect": "status", "status": 500},
    "twilio storm: cut after acceptance": {
        "target": "twilio",
        "method": "messages.create",
        "effect": "cut",
        "when": "after",
        "chance": 0.6,
    },
    "callbacks lost": {"target": "twilio_callback", "effect": "lose", "chance": 0.9},
    "callbacks twice": {"target": "twilio_callback", "effect": "duplicate"},
    "callbacks late": {"target": "twilio_callback", "effect": "disorder", "seconds": 2.5, "chance": 0.7},
    "telegram storm: 429": {
        "target": "telegram",
        "method": "sendMessage",
        "effect": "status",
        "status": 429,
        "retry_after": 2,
        "chance": 0.7,
    },
    "telegram storm: 502": {"target": "telegram", "effect": "status", "status": 502},
    "telegram storm: cut": {"target": "telegram", "effect": "cut"},
    "polling storm: 502": {"target": "telegram", "method": "getUpdates", "effect": "status", "status": 502},
    "polling storm: cut": {"target": "telegram", "method": "getUpdates", "effect": "cut", "when": "after"},
    "polling storm: broken": {"target": "telegram", "method": "getUpdates", "effect": "broken", "when": "after"},
}


class Mischief:
    """Everything that is done to the product until `heal`."""

    def __init__(
        self, product: ChaosProduct, simulation: Simulation, model: ChaosModel, door: FrontDoor, chance: random.Random
    ) -> None:
        self._product = product
        self._simulation = simulation
        self._model = model
        self._door = door
        self._chance = chance
        self._hits: dict[str, list[float]] = {}
        self.kills: Counter[str] = Counter()
        self.struck: Counter[str] = Counter()
        self.long_waits = True
        self.longest = 4.0

    # -- single bad answers --------------------------------------------------------------------------------------------

    async def fate(self, person: Person, question: Question) -> None:
        """Now and then one send of the answer to this question goes wrong, once."""
        if self._chance.random() >= 0.25:
            return
        name = self._chance.choice(list(_FATES))
        if name.startswith("timeout") and not self.long_waits:
            return
        if person.platform == TELEGRAM and name not in _KNOWN and self._chance.random() < RARELY_UNKNOWN:
            return
        target, method = _SEND[person.platform]
        fault = {"target": target, "method": method, "contains": question.marker, "count": 1, **_FATES[name]}
        await self._simulation.ask("POST", "faults", json=fault)
        self.struck[f"{target} send: {name}"] += 1

    # -- storms --------------------------------------------------------------------------------------------------------

    async def storms(self, until: float, calm: tuple[float, float]) -> None:
        """Trouble at the providers, one after the other, each for some seconds."""
        await self._again_and_again([self._storm], until, calm)

    async def troubles(self, until: float, calm: tuple[float, float]) -> None:
        """Trouble of our own, likewise: the model, the way in, the database."""
        await self._again_and_again([self._ill_model, self._bad_door, self._locked_database], until, calm)

    async def _again_and_again(
        self, kinds: list[Callable[[], Awaitable[None]]], until: float, calm: tuple[float, float]
    ) -> None:
        while (now := time.monotonic()) < until:
            await asyncio.sleep(min(self._chance.uniform(*calm), until - now))
            await self._chance.choice(kinds)()

    async def _storm(self) -> None:
        name = self._chance.choice(list(_STORMS))
        added = await self._simulation.ask("POST", "faults", json=_STORMS[name])
        await asyncio.sleep(self._chance.uniform(1, self.longest))
        for fault in (await self._simulation.ask("GET", "faults"))["faults"]:
            if fault["id"] == added["fault"]["id"]:
                self.struck[name] += fault["used"]
                await self._simulation.ask("DELETE", f"faults/{fault['id']}")

    async def _ill_model(self) -> None:
        before, self._model.ill = self._model.ill, self._chance.choice((0.5, 1.0))
        await asyncio.sleep(self._chance.uniform(1, self.longest))
        self._model.ill = before

    async def _bad_door(self) -> None:
        before, self._door.bad = self._door.bad, self._chance.choice((0.5, 1.0))
        await asyncio.sleep(self._chance.uniform(1, self.longest))
        self._door.bad = before

    async def _locked_database(self) -> None:
        if await asyncio.to_thread(
            lock, self._product.folder / "product.db", self._chance.uniform(0.5, self.longest + 1)
        ):
            self.struck["database: locked"] += 1

    # -- kills ---------------------------------------------------------------------------------------------------------

    async def kills_until(self, until: float, calm: tuple[float, float]) -> None:
        """Kill, and sometimes ask to stop, one process after the other; a launcher is started again."""
        while (now := time.monotonic()) < until:
            await asyncio.sleep(min(self._chance.uniform(*calm), until - now))
            victim = self._chance.choices(list(VICTIMS), list(VICTIMS.values()))[0]
            await self.hit(victim, self._chance.choices((signal.SIGKILL, signal.SIGTERM), (75, 25))[0])

    async def hit(self, victim: str, number: signal.Signals) -> None:
        """Send one signal, unless the launcher would lose patience with this server."""
        if self._dies_too_often(victim) or not self._product.hit(victim, number):
            return
        self._hits.setdefault(victim, []).append(time.monotonic())
        self.kills[f"{victim} {number.name}"] += 1
        if victim == "launcher":
            await self._product.launcher_ended()
            await self._product.launch()
            self._hits.clear()

    def _dies_too_often(self, victim: str) -> bool:
        latest = [*self._hits.get(victim, []), time.monotonic()][-MOST_QUICK_DEATHS - 1 :]
        gaps = [after - before for before, after in itertools.pairwise(latest)]
        return len(gaps) == MOST_QUICK_DEATHS and all(gap < QUICK_SECONDS for gap in gaps)

    # -- the end -------------------------------------------------------------------------------------------------------

    async def heal(self) -> None:
        """Take everything back; what was prepared and never struck is not counted."""
        self._model.ill = self._door.bad = 0.0
        for fault in (await self._simulation.ask("GET", "faults"))["faults"]:
            name = _fate_of(fault)
            if name in self.struck:
                self.struck[name] -= fault["count"] or 0
        await self._simulation.ask("DELETE", "faults")


def _fate_of(fault: Fault) -> str:
    """The name under which a prepared fault was counted."""
    for name, fate in _FATES.items():
        if all(fault.get(key) == value for key, value in {"when": "before", **fate}.items()):
            return f"{fault['target']} send: {name}"
    return ""


def lock(database: Path, seconds: float) -> bool:
    """Keep every writer out of the database for a while, as a backup gone wrong would; False when it got no turn."""
    connection = sqlite3.connect(database, timeout=20, isolation_level=None)
    try:
        connection.execute("BEGIN EXCLUSIVE")
        time.sleep(seconds)  # holding the lock is the whole point
        connection.execute("ROLLBACK")
    except sqlite3.OperationalError:
        return False
    finally:
        connection.close()
    return True
