"""The product of a campaign: the real launcher with credentials, and beside it, never killed, the simulator as witness.

To the servers the simulator is the real Twilio and the real Telegram, behind one public address.
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx
import psutil

from relay.channels.sms.settings import SIMULATED_ACCOUNT_SID, SIMULATED_AUTH_TOKEN, SIMULATED_PHONE_NUMBER
from relay.channels.telegram.settings import SIMULATED_BOT_TOKEN
from tests.chaos.chaos_clock import FakedClock
from tests.product.running_product import ROOT, RunningProduct

ADMIN_TOKEN = "admin-token-of-the-campaign"
SERVERS = ("llm_server", "sms_server", "telegram_server", "admin_server")
RETRIED = frozenset({1, 2, 3})  # ports in use, or another launcher that has not ended yet
ANOTHER_LAUNCHER = 3
START_SECONDS = 60.0
CONCURRENT_ANSWERS = 6  # few, so that users compete for them


class ChaosProduct(RunningProduct):
    """A product whose launcher may be killed and restarted; `port` is that of the proxy and the model.

    `clock` moves the servers' clock. With PostgreSQL the timeout of the database is the default; with SQLite it is
    shorter than the locks of a campaign.
    """

    def __init__(
        self, folder: Path, port: int, telegram_mode: str, clock: FakedClock, database_url: str | None = None
    ) -> None:
        self.database_url = database_url or f"sqlite:///{folder / 'product.db'}"
        super().__init__(folder, DATABASE_URL=self.database_url)
        self.public_url = f"http://127.0.0.1:{port}"
        self.clock = clock
        simulator = self.url("simulator")
        self.environment |= {
            "TWILIO_ACCOUNT_SID": SIMULATED_ACCOUNT_SID,
            "TWILIO_AUTH_TOKEN": SIMULATED_AUTH_TOKEN,
            "TWILIO_PHONE_NUMBER": SIMULATED_PHONE_NUMBER,
            "TWILIO_API_BASE_URL": simulator,
            "TELEGRAM_BOT_TOKEN": SIMULATED_BOT_TOKEN,
            "TELEGRAM_API_BASE_URL": simulator,
            "TELEGRAM_MODE": telegram_mode,
            "PUBLIC_URL": self.public_url,
            "ADMIN_TOKEN": ADMIN_TOKEN,
            "LLM_SOURCE": "openai",
            "OPENAI_BASE_URL": f"{self.public_url}/v1",
            "OPENAI_MODEL": "scripted",
            "OPENAI_MAX_CONCURRENT": "64",
            "LLM_FIRST_TOKEN_SECONDS": "3",
            "LLM_SILENCE_SECONDS": "3",
            "LLM_SPENDING_FILE": str(folder / "spending.json"),
            **({} if database_url else {"DATABASE_TIMEOUT_SECONDS": "3"}),
            "MAX_CONCURRENT_ANSWERS": str(CONCURRENT_ANSWERS),
            "LOOP_TURNS": "0",  # those who never stop writing are no machines
            "MESSAGES_PER_MINUTE": "1000",
            "MESSAGES_PER_DAY": "100000",
            "SMS_SEGMENTS_PER_SECOND": "0",  # each answer would wait for the pace of one number
            "SMS_MAX_PARTS": "40",
            "SMS_MAX_SEGMENTS": "400",
            "SMS_PART_SECONDS": "1",  # many reports are lost
            **dict.fromkeys(("SMS_USER_DAILY_USD", "SMS_DAILY_USD", "SMS_MONTHLY_USD"), "1000000"),
            "SMS_SETTLE_SECONDS": "22",  # a little longer than we wait for an answer
            "TELEGRAM_MAX_PARTS": "40",
            **self.clock.environment(),
        }
        self._simulator: subprocess.Popen[bytes] | None = None

    def start_simulator(self) -> None:
        with (self.folder / "simulator.log").open("ab") as log:
            self._simulator = subprocess.Popen(
                [sys.executable, str(ROOT / "simulator.py")],
                cwd=ROOT,
                env={**self._clean(), "SIMULATOR_PORT": str(self.ports["simulator"])},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def await_simulator(self, seconds: float = START_SECONDS) -> None:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            try:
                if self.http.get(self.url("simulator") + "/health").is_success:
                    return
            except httpx.TransportError:
                time.sleep(0.05)  # another process's socket gives no event to wait for
        raise AssertionError("the simulator cannot be started")

    def _clean(self) -> dict[str, str]:
        return {key: value for key, value in os.environ.items() if not key.startswith(("TWILIO_", "TELEGRAM_"))}

    def _launch(self) -> subprocess.Popen[bytes]:
        with self.log.open("ab") as log:
            return subprocess.Popen(
                [sys.executable, str(ROOT / "start_all_servers.py"), "--all", "--folder", str(self.folder)],
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    async def launch(self, copies: int = 1) -> None:
        """Start the launcher, perhaps twice at once, of which one must run and the other end.

        While the servers of the last one still hold their ports it refuses, so repeat.
        """
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            running = [self._launch() for _ in range(copies)]
            while running and (len(running) > 1 or not psutil.Process(running[0].pid).children()):
                assert time.monotonic() < deadline, f"no launcher runs alone:\n{self._log_tail()}"
                await asyncio.sleep(0.1)
                for ended in [one for one in running if one.poll() is not None]:
                    assert ended.returncode in RETRIED, f"the launcher ended:\n{self._log_tail()}"
                    running.remove(ended)
            if running:
                self._launcher = running[0]
                return
        raise AssertionError(f"the launcher cannot be started:\n{self._log_tail()}")

    async def launch_another(self) -> None:
        """Start a second launcher beside the one that runs; it must end by itself."""
        status = await asyncio.to_thread(self._launch().wait, START_SECONDS)
        assert status == ANOTHER_LAUNCHER, f"a second launcher ended with {status}:\n{self._log_tail()}"

    async def all_ready(self, seconds: float = START_SECONDS) -> None:
        for server in SERVERS:
            await asyncio.to_thread(self.await_ready, server, seconds)

    def send_signal(self, victim: str, number: signal.Signals) -> bool:
        """Send a signal to a server or the launcher; False when it does not run at this moment."""
        try:
            process = psutil.Process(self.launcher.pid) if victim == "launcher" else self.process(victim)
            process.send_signal(number)
        except (AssertionError, psutil.Error):
            return False
        return True

    async def launcher_ended(self) -> None:
        await asyncio.to_thread(self.launcher.wait, START_SECONDS)

    def status(self, platform: str) -> dict[str, Any]:
        """The status route's answer. Raises httpx.HTTPError or AssertionError while the server is away."""
        url = f"{self.url(f'{platform}_server')}/{platform}/status"
        found: dict[str, Any] = self.call("GET", url, headers={"Authorization": f"Bearer {ADMIN_TOKEN}"}, timeout=10)
        return found

    def close(self) -> None:
        super().close()
        if self._simulator is not None:
            self._simulator.terminate()
            self._simulator.wait(60)

    def _log_tail(self) -> str:
        return self.log.read_text(errors="replace")[-4000:]


def new_folder(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    assert not (folder / "product.db").exists(), f"{folder} is another campaign's"
    return folder
