"""The faults of the processes: killed, ended, stopped with SIGSTOP, a launcher that is started twice.

Signals are counted by name.
"""

from __future__ import annotations

import asyncio
import itertools
import random
import signal
import time
from collections import Counter

from tests.chaos.chaos_product import SERVERS, ChaosProduct

VICTIMS = {"sms_server": 30, "telegram_server": 30, "llm_server": 15, "launcher": 12, "admin_server": 5}
QUICK_SECONDS = 28.0
MAX_QUICK_CRASHES = 3  # after five the launcher waits for five minutes
KILLED_SECONDS = 90.0  # the launcher kills a server that has not answered for a minute


class ProcessFaults:
    """Disturbs one process at a time, and none while `calm` is held."""

    def __init__(self, product: ChaosProduct, rng: random.Random) -> None:
        self._product = product
        self._rng = rng
        self._signals: dict[str, list[float]] = {}
        self._stopped: set[str] = set()
        self.kills: Counter[str] = Counter()
        self.calm = asyncio.Lock()

    async def kills_until(self, until: float, pauses: tuple[float, float]) -> None:
        """Send SIGKILL or SIGTERM to one process after the other; a launcher is started again."""
        while (now := time.monotonic()) < until:
            await asyncio.sleep(min(self._rng.uniform(*pauses), until - now))
            victim = self._rng.choices(list(VICTIMS), list(VICTIMS.values()))[0]
            async with self.calm:
                await self._kill(victim, self._rng.choices((signal.SIGKILL, signal.SIGTERM), (75, 25))[0])

    async def _kill(self, victim: str, number: signal.Signals) -> None:
        """Send one signal, unless the launcher would make a long pause before it starts this server again."""
        if victim in self._stopped or self._crashed_too_often(victim):
            return
        if victim == "launcher":
            self._resume_all()  # a stopped server does not notice that its launcher has ended
        if not self._product.send_signal(victim, number):
            return
        self._signals.setdefault(victim, []).append(time.monotonic())
        self.kills[f"{victim} {number.name}"] += 1
        if victim == "launcher":
            await self._product.launcher_ended()
            await self._launch_again()
            self._signals.clear()

    async def _launch_again(self) -> None:
        copies = self._rng.choice((1, 2))
        if copies > 1:
            self.kills["launcher started twice at once"] += 1
        await self._product.launch(copies)

    def _crashed_too_often(self, victim: str) -> bool:
        latest = [*self._signals.get(victim, []), time.monotonic()][-MAX_QUICK_CRASHES - 1 :]
        gaps = [after - before for before, after in itertools.pairwise(latest)]
        return len(gaps) == MAX_QUICK_CRASHES and all(gap < QUICK_SECONDS for gap in gaps)

    async def stops_until(self, until: float, pauses: tuple[float, float], longest: float) -> None:
        """Stop one server after the other with SIGSTOP and let it go on; now and then start a second launcher."""
        while (now := time.monotonic()) < until:
            await asyncio.sleep(min(3 * self._rng.uniform(*pauses), until - now))
            if self._rng.random() < 0.2:
                async with self.calm:
                    await self._product.launch_another()
                    self.kills["second launcher refused"] += 1
                continue
            async with self.calm:
                victim = self._stop(self._rng.choice([name for name in SERVERS if name not in self._stopped]))
            await asyncio.sleep(self._rng.uniform(0.5, 2 * longest))
            self._resume(victim)

    async def hang(self, server: str) -> None:
        """Stop a server for good: its launcher has to kill it and to start another."""
        async with self.calm:
            await self._product.all_ready()
            process = self._product.process(server)
            self._stop(server)
        try:
            await asyncio.to_thread(process.wait, KILLED_SECONDS)
        finally:
            self._stopped.discard(server)
        self.kills[f"{server} hung until it was ended"] += 1

    def _stop(self, server: str) -> str:
        if self._product.send_signal(server, signal.SIGSTOP):
            self._stopped.add(server)
            self.kills[f"{server} SIGSTOP"] += 1
        return server

    def _resume(self, server: str) -> None:
        self._stopped.discard(server)
        self._product.send_signal(server, signal.SIGCONT)

    def _resume_all(self) -> None:
        for server in tuple(self._stopped):
            self._resume(server)
