"""Two machines, each with an SMS server and a Telegram server, on one PostgreSQL; the rest of the world exists once."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import psutil
from sqlalchemy import create_engine, select

from relay.storage.schema import inbound
from tests.product.running_product import ROOT, Phone, RunningProduct

MACHINES = ("one", "two")
LEASE_SECONDS = 15
"""As it is by default. With a shorter one a busy machine, on which a server has to wait for its turn, seems dead."""

TAKEN_OVER_SECONDS = 60
"""A generous wait on a busy machine: the lease, the look at it, and the next sweep."""

SMS = ("sms_server one", "sms_server two")
TELEGRAM = ("telegram_server one", "telegram_server two")


class Machines(RunningProduct):
    """A product without a launcher: each server is started and killed by itself, under its name and its machine's."""

    def __init__(self, folder: Path, database_url: str, **settings: str) -> None:
        super().__init__(
            folder,
            DATABASE_URL=database_url,
            SIMULATED="true",
            LEASE_SECONDS=str(LEASE_SECONDS),
            DATABASE_TIMEOUT_SECONDS="5",
            MERGE_MESSAGES="false",
            **settings,
        )
        self._database_url = database_url
        self.ports |= {name: self._held.take() for name in (*SMS, *TELEGRAM)}
        self._processes: dict[str, subprocess.Popen[bytes]] = {}

    @property
    def launcher(self) -> subprocess.Popen[bytes]:
        """What must live while a server is awaited; here it is whatever was started last."""
        return self._processes[list(self._processes)[-1]]

    def start(self) -> None:
        """Start everything and return when all of it is ready."""
        names = ["simulator", "llm_server", *SMS, *TELEGRAM]
        for name in names:
            self.start_one(name)
        for name in names:
            self.await_ready(name)
        self.sim("POST", "options", json={"status_seconds": 0.01, "telegram_limits": False})
        self.texts_go_to(SMS[0])

    def start_one(self, name: str) -> None:
        server, _, machine = name.partition(" ")
        changes = {f"{server.upper()}_PORT": str(self.ports[name]), "INSTANCE_NAME": machine or "one"}
        self._processes.pop(name, None)  # the last one started is the last in the table
        with self.log.open("ab") as log:
            self._processes[name] = subprocess.Popen(
                [sys.executable, str(ROOT / f"{server}.py")],
                cwd=self.folder,
                env={**self.environment, **changes},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def process(self, server: str) -> psutil.Process:
        return psutil.Process(self._processes[server].pid)

    def kill(self, server: str) -> None:
        """Kill -9 one server; none is started in its place."""
        self._processes[server].kill()
        self._processes[server].wait(60)

    def close(self) -> None:
        for process in self._processes.values():
            process.terminate()
        for process in self._processes.values():
            process.wait(60)
        self._given_up()

    def texts_go_to(self, server: str) -> None:
        """From now on the webhook of a text message goes to this server."""
        self.sim("POST", "options", json={"twilio_webhook_url": f"{self.url(server)}/sms/webhook"})

    def post(self, server: str, phone: Phone, body: str, sid: str | None = None) -> int:
        """A text message whose webhook goes to this server; the status that Twilio got."""
        self.texts_go_to(server)
        given = {"from": phone.address, "body": body} | ({"sid": sid} if sid else {})
        status: int = self.sim("POST", "sms/send", json=given)["webhook_status"]
        return status

    def polling(self, server: str) -> dict[str, Any]:
        found: dict[str, Any] = self.call("GET", f"{self.url(server)}/telegram/status")["polling"]
        return found

    def poller(self) -> str | None:
        """The Telegram server that says that it polls; two of them never do at the same time for long."""
        running = [name for name in TELEGRAM if self._processes[name].poll() is None]
        polling = [name for name in running if self.polling(name)["state"] == "polling"]
        return polling[0] if len(polling) == 1 else None

    def owners(self, platform: str) -> set[str]:
        """Which servers have answered messages of a platform."""
        engine = create_engine(self._database_url)
        with engine.connect() as connection:
            found = connection.execute(select(inbound.c.owner).where(inbound.c.platform == platform).distinct())
            owners = {str(owner) for (owner,) in found}
        engine.dispose()
        return owners

    def until(self, condition: Callable[[], bool], what: str, seconds: float = TAKEN_OVER_SECONDS) -> None:
        end = monotonic() + seconds
        while not condition():
            assert monotonic() < end, f"{what} did not happen:\n{self.log.read_text()[-6000:]}"
            sleep(0.05)  # other processes give no event to wait for
