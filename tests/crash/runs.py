"""A server that is killed and started again, its users, and the audit of their messages."""

from __future__ import annotations

import multiprocessing
import os
import re
import signal
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import httpx

from tests.crash.counting_model import ANSWERED, CountingModel, lines_asked
from tests.crash.crash_points import CrashCase, Ingress, OutsideFault, Termination
from tests.crash.failpoint_server import Failpoint, run
from tests.simulator.running_simulator import RunningSimulator

STOP_SECONDS = 4.0
LATEST_STOP = STOP_SECONDS + 30.0
"""Seconds after which a stopping server has failed; above its own limit, because this machine may be busy."""

PATIENCE = 60.0

_FORKS = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload([run.__module__])  # a run costs its start only, not the imports


def await_true(seen: Callable[[], bool], what: str, seconds: float = PATIENCE) -> None:
    """Other processes give no event to wait for."""
    deadline = time.monotonic() + seconds
    while not seen():
        assert time.monotonic() < deadline, what
        time.sleep(0.02)


class ServerRuns:
    """Successive runs of one channel server on one database; `sim` is the provider, `model` the LLM server."""

    def __init__(
        self, ingress: Ingress, folder: Path, sim: RunningSimulator, model: CountingModel, ports: tuple[int, int]
    ) -> None:
        self.ingress = ingress
        self.sim = sim
        self.model = model
        self.failpoint = folder / "failpoint.json"
        self.log = folder / "server.log"
        self.database = folder / "crash.db"
        self._port = ports[0] if ingress is Ingress.SMS else ports[1]
        self._process: BaseProcess | None = None
        self._environment = {
            "SIMULATED": "true",
            "SIMULATOR_PORT": sim.base.rpartition(":")[2],
            "SMS_SERVER_PORT": str(ports[0]),
            "TELEGRAM_SERVER_PORT": str(ports[1]),
            "TELEGRAM_MODE": "polling" if ingress is Ingress.POLLING else "webhook",
            "LLM_SERVER_URL": model.url,
            "DATABASE_URL": f"sqlite:///{self.database}",
            "STOP_SECONDS": str(STOP_SECONDS),
            "SMS_SETTLE_SECONDS": "2",
            "SMS_MAX_SEGMENTS": "400",
            "SMS_PART_SECONDS": "0.2",  # a kill loses the report that the next part would wait for
        }
        options = {"status_seconds": 0.01, "telegram_limits": False, "telegram_retry_seconds": 0.1}
        webhook = f"http://127.0.0.1:{ports[0]}/sms/webhook"
        sim.sim("POST", "options", json={**options, "twilio_webhook_url": webhook})

    @property
    def platform(self) -> str:
        return "sms" if self.ingress is Ingress.SMS else "telegram"

    @property
    def process(self) -> BaseProcess:
        assert self._process is not None
        return self._process

    def reset(self) -> None:
        """Remove faults and failpoints of an earlier case."""
        self.sim.sim("DELETE", "faults")
        self.model.failures = 0
        self.model.gate.set()
        if self.failpoint.exists():
            self.kill()

    def ensure_running(self) -> None:
        """Start a process unless one runs, and return when it is ready."""
        if self._process is not None and self._process.is_alive():
            return
        self.kill()
        process = _FORKS.Process(target=run, args=(self.ingress, self._environment, self.failpoint, self.log))
        process.start()
        self._process = process
        await_true(self._is_ready, f"the server did not become ready:\n{self.log_tail()}")

    def _is_ready(self) -> bool:
        assert self.process.is_alive(), f"the server ended at its start:\n{self.log_tail()}"
        try:
            return httpx.get(f"http://127.0.0.1:{self._port}/ready", timeout=PATIENCE).status_code == 200
        except httpx.TransportError:
            return False

    def await_end(self, end: Termination) -> None:
        """Wait until the process has ended as demanded: by SIGKILL, or by itself after SIGTERM, in time."""
        await_true(lambda: not self.failpoint.exists(), f"the point was never reached:\n{self.log_tail()}")
        self.process.join(LATEST_STOP)
        assert not self.process.is_alive(), f"the server did not end within {LATEST_STOP} s:\n{self.log_tail()}"
        wanted = {-signal.SIGKILL} if end is Termination.KILL else {0, -signal.SIGTERM}
        assert self.process.exitcode in wanted, self.log_tail()

    def kill(self) -> None:
        """Kill the process, if there is one, and remove the failpoint."""
        self.failpoint.unlink(missing_ok=True)
        if self._process is not None:
            self._process.kill()
            self._process.join(PATIENCE)
            self._process.close()
            self._process = None

    def log_tail(self) -> str:
        return self.log.read_text()[-6000:] if self.log.exists() else "(the log is empty)"

    def rows(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        with closing(sqlite3.connect(f"file:{self.database}?mode=ro", uri=True)) as connection:
            return connection.execute(query, values).fetchall()


@dataclass(slots=True)
class CrashUser:
    """One user; `undelivered`: texts that the webhook did not accept, to be delivered again."""

    runs: ServerRuns
    address: str
    sent: list[str] = field(default_factory=list)
    undelivered: list[tuple[str, str]] = field(default_factory=list)

    def send(self, *texts: str) -> None:
        """Send the texts one after the other, without pauses."""
        for text in texts:
            self.sent.append(text)
            if self.runs.ingress is Ingress.SMS:
                self._text(text, {})
            else:
                self.runs.sim.write(text, int(self.address))

    def _text(self, text: str, more: dict[str, str]) -> None:
        sent = self.runs.sim.sim("POST", "sms/send", json={"from": self.address, "body": text, **more})
        if sent["webhook_status"] != 200:
            self.undelivered.append((sent["message_sid"], text))

    def redeliver(self) -> None:
        """Deliver the same messages once more, in the same order, as Twilio does with `rc=3` in the webhook's URL."""
        again, self.undelivered = self.undelivered, []
        for sid, text in again:
            self._text(text, {"sid": sid})
        assert not self.undelivered, f"the server is up and refuses a text:\n{self.runs.log_tail()}"

    def bubbles(self) -> list[str]:
        return [bubble["text"] for bubble in self.runs.sim.bubbles(self.runs.platform, self.address)]

    def all_delivered(self) -> bool:
        """Whether the provider has reported every text as delivered (Telegram has no such reports)."""
        query = "SELECT count(*) FROM outbound WHERE user_id = ? AND state <> 'delivered'"
        return self.runs.ingress is not Ingress.SMS or self.runs.rows(query, self.address) == [(0,)]

    def await_idle(self) -> None:
        """Wait until all messages are stored and nothing is open any more."""
        await_true(self._is_idle, f"{self.address} still waits for an answer:\n{self.runs.log_tail()}")

    def _is_idle(self) -> bool:
        query = "SELECT count(*), coalesce(sum(state = 'received'), 0) FROM inbound WHERE user_id = ?"
        stored, waiting = self.runs.rows(query, self.address)[0]
        query = "SELECT count(*) FROM outbound WHERE user_id = ? AND state IN ('planned', 'sending', 'unknown')"
        return (stored, waiting) == (len(self.sent), 0) and self.runs.rows(query, self.address) == [(0,)]


def new_user(runs: ServerRuns, name: str) -> CrashUser:
    """A user who has registered."""
    person = runs.sim.sim("POST", "people", json={"name": name})["person"]
    user = CrashUser(runs, str(person["phone_number" if runs.ingress is Ingress.SMS else "chat_id"]))
    user.send("name=Ada" if runs.ingress is Ingress.SMS else "/start")
    user.await_idle()
    await_true(user.all_delivered, f"a report on the welcome is missing:\n{runs.log_tail()}")
    return user


def inject_fault(runs: ServerRuns, fault: OutsideFault) -> None:
    target, method = ("twilio", "messages.create") if runs.ingress is Ingress.SMS else ("telegram", "sendMessage")
    if fault is OutsideFault.MODEL:
        runs.model.failures = 1
    elif fault is OutsideFault.CUT:
        runs.sim.fault(target=target, method=method, effect="cut", when="before", count=1)
    elif fault is OutsideFault.BUSY:
        runs.sim.fault(target=target, method=method, effect="status", status=429, retry_after=1, count=1)


def set_failpoint(runs: ServerRuns, case: CrashCase) -> None:
    Failpoint(case.point.verb, case.point.when, case.point.nth, case.end).save(runs.failpoint)


def end_from_outside(runs: ServerRuns, end: Termination) -> None:
    """End the server while the model works; with `TERM` the model answers while the server stops."""
    pid = runs.process.pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL if end is Termination.KILL else signal.SIGTERM)
    if end is Termination.TERM:
        runs.model.gate.set()


# -- the audit ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class CrashAudit:
    """The outcome of one user's messages. `repeats`: bubbles that came twice; `given_up`: parts that failed."""

    wanted: list[str]
    seen: list[str]
    bubbles: int
    repeats: int
    given_up: int


def audit(user: CrashUser) -> CrashAudit:
    """Compare a user's bubbles with their questions and with the history in the database."""
    runs, bubbles = user.runs, user.bubbles()
    once = list(dict.fromkeys(bubbles))
    seen = ANSWERED.findall("\n".join(once))
    history = runs.rows("SELECT role, message FROM conversations WHERE user_id = ? ORDER BY id", user.address)
    asked = "\n".join(message for role, message in history if role == "user")
    replies = [message for role, message in history if role == "assistant"]
    assert lines_asked(asked) == lines_asked("\n".join(user.sent)), "the history has not what was asked"
    failed = runs.rows("SELECT count(*) FROM outbound WHERE user_id = ? AND state = 'failed'", user.address)[0][0]
    if not failed:
        shown = "".join(re.sub(r"^\(\d+/\d+\)\s*", "", bubble) for bubble in once)
        assert _squeezed("".join(replies)) == _squeezed(shown), "the history has not what was seen"
    assert ANSWERED.findall("\n".join(replies)) == seen, "the history has not what was seen"
    assert runs.rows("SELECT error FROM inbound WHERE state = 'dead'") == []
    wanted = lines_asked("\n".join(user.sent))
    return CrashAudit(wanted, seen, len(bubbles), len(bubbles) - len(once), failed)


def _squeezed(text: str) -> str:
    return "".join(text.split())
