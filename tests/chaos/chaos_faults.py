"""The faults of a campaign: failing providers, model, proxy and database, single bad answers, a clock that is stepped.

`chaos_processes` has those of the processes.

Injected faults are counted by name. All choices come from one seeded generator; the moments do not, because the
product runs in real time.
"""

from __future__ import annotations

import asyncio
import random
import sqlite3
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from relay.channels.sms.spec import SMS
from relay.channels.telegram.spec import TELEGRAM
from tests.chaos.chaos_model import ChaosModel
from tests.chaos.chaos_product import ChaosProduct
from tests.chaos.chaos_questions import Question
from tests.chaos.chaos_users import ChaosUser, SimulatorClient
from tests.chaos.proxy import FaultyProxy
from tests.running_postgresql import Postgresql

CLOCK_STEPS = (-1500, -600, 0, 600, 1500)
"""Differences to the real time, in seconds: two of them are less apart than the hour after which we apologise."""
TIMED_OUT_SECONDS = 22.0  # longer than the channels wait for an answer
Fault = dict[str, Any]

_SEND = {SMS: ("twilio", "messages.create"), TELEGRAM: ("telegram", "sendMessage")}
_SEND_FAULTS: dict[str, Fault] = {
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
    "twilio storm: 503 on create alone": {
        "target": "twilio",
        "method": "messages.create",
        "effect": "status",
        "status": 503,
    },
    "telegram storm: 502": {"target": "telegram", "effect": "status", "status": 502},
    "telegram storm: 502 on sendMessage alone": {
        "target": "telegram",
        "method": "sendMessage",
        "effect": "status",
        "status": 502,
    },
    "telegram storm: 500 on sendChatAction alone": {
        "target": "telegram",
        "method": "sendChatAction",
        "effect": "status",
        "status": 500,
    },
    "telegram storm: cut after acceptance": {
        "target": "telegram",
        "method": "sendMessage",
        "effect": "cut",
        "when": "after",
    },
    "telegram storm: cut": {"target": "telegram", "effect": "cut"},
    "polling storm: 502": {"target": "telegram", "method": "getUpdates", "effect": "status", "status": 502},
    "polling storm: cut": {"target": "telegram", "method": "getUpdates", "effect": "cut", "when": "after"},
    "polling storm: broken": {"target": "telegram", "method": "getUpdates", "effect": "broken", "when": "after"},
}


class FaultInjector:
    """Injects faults into the product and its surroundings until `heal`."""

    def __init__(
        self,
        product: ChaosProduct,
        simulator: SimulatorClient,
        model: ChaosModel,
        proxy: FaultyProxy,
        rng: random.Random,
        postgresql: Postgresql | None = None,
    ) -> None:
        self._product = product
        self._postgresql = postgresql
        self._simulator = simulator
        self._model = model
        self._proxy = proxy
        self._rng = rng
        self.database_is_free = asyncio.Lock()
        self.injected: Counter[str] = Counter()
        self.long_waits = True
        self.longest = 4.0

    # -- single bad answers --------------------------------------------------------------------------------------------

    async def prepare_fault(self, person: ChaosUser, question: Question) -> None:
        """Let one send of the answer to this question fail once, for a quarter of the questions."""
        if self._rng.random() >= 0.25:
            return
        name = self._rng.choice(list(_SEND_FAULTS))
        if name.startswith("timeout") and not self.long_waits:
            return
        if person.platform == TELEGRAM and name not in _KNOWN and self._rng.random() < RARELY_UNKNOWN:
            return
        target, method = _SEND[person.platform]
        fault = {"target": target, "method": method, "contains": question.marker, "count": 1, **_SEND_FAULTS[name]}
        await self._simulator.call("POST", "faults", json=fault)
        self.injected[f"{target} send: {name}"] += 1

    # -- storms --------------------------------------------------------------------------------------------------------

    async def storms(self, until: float, pauses: tuple[float, float]) -> None:
        """Make the providers fail in one way after the other, each for some seconds."""
        await self._repeat([self._storm], until, pauses)

    async def own_faults(self, until: float, pauses: tuple[float, float]) -> None:
        """Likewise for the model, the proxy, the database and the clock."""
        database = self._locked_database if self._postgresql is None else self._stopped_postgresql
        kinds = [self._failing_model, self._failing_proxy, database]
        if self._product.clock.stepped:
            kinds.append(self._stepped_clock)
        await self._repeat(kinds, until, pauses)

    async def _repeat(
        self, kinds: Sequence[Callable[[], Awaitable[None]]], until: float, pauses: tuple[float, float]
    ) -> None:
        while (now := time.monotonic()) < until:
            await asyncio.sleep(min(self._rng.uniform(*pauses), until - now))
            await self._rng.choice(kinds)()

    async def _storm(self) -> None:
        name = self._rng.choice(list(_STORMS))
        added = await self._simulator.call("POST", "faults", json=_STORMS[name])
        await asyncio.sleep(self._rng.uniform(1, self.longest))
        for fault in (await self._simulator.call("GET", "faults"))["faults"]:
            if fault["id"] == added["fault"]["id"]:
                self.injected[name] += fault["used"]
                await self._simulator.call("DELETE", f"faults/{fault['id']}")

    async def _failing_model(self) -> None:
        before, self._model.failure_rate = self._model.failure_rate, self._rng.choice((0.5, 1.0))
        await asyncio.sleep(self._rng.uniform(1, self.longest))
        self._model.failure_rate = before

    async def _failing_proxy(self) -> None:
        before, self._proxy.failure_rate = self._proxy.failure_rate, self._rng.choice((0.5, 1.0))
        await asyncio.sleep(self._rng.uniform(1, self.longest))
        self._proxy.failure_rate = before

    async def _locked_database(self) -> None:
        seconds = self._rng.uniform(0.5, self.longest + 1)
        if await asyncio.to_thread(lock, self._product.folder / "product.db", seconds):
            self.injected["database: locked"] += 1

    async def _stopped_postgresql(self) -> None:
        assert self._postgresql is not None
        async with self.database_is_free:
            with frozen(self._postgresql):
                await asyncio.sleep(self._rng.uniform(0.5, self.longest + 1))
        self.injected["database: stopped"] += 1

    async def _stepped_clock(self) -> None:
        self._product.clock.set(self._rng.choice(CLOCK_STEPS))
        self.injected["clock: stepped"] += 1

    # -- the end -------------------------------------------------------------------------------------------------------

    async def heal(self) -> None:
        """Remove all faults; those that were prepared and never applied are not counted."""
        self._model.failure_rate = self._proxy.failure_rate = 0.0
        if self._product.clock.stepped:
            self._product.clock.set(0)
        for fault in (await self._simulator.call("GET", "faults"))["faults"]:
            name = _send_fault_name(fault)
            if name in self.injected:
                self.injected[name] -= fault["count"] or 0
        await self._simulator.call("DELETE", "faults")


def _send_fault_name(fault: Fault) -> str:
    """The name under which a prepared fault was counted."""
    for name, spec in _SEND_FAULTS.items():
        if all(fault.get(key) == value for key, value in {"when": "before", **spec}.items()):
            return f"{fault['target']} send: {name}"
    return ""


@contextmanager
def frozen(postgresql: Postgresql) -> Iterator[None]:
    """All processes of PostgreSQL are stopped with SIGSTOP meanwhile."""
    postgresql.freeze()
    try:
        yield
    finally:
        postgresql.thaw()


def lock(database: Path, seconds: float) -> bool:
    """Lock the database for writers, as a failed backup would; False when the lock was not obtained."""
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
