"""A server that dies and is started again, the people who write to it, and the books that must balance afterwards."""

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

from tests.crash.crash_points import CrashCase, End, Trouble, Way
from tests.crash.dying_server import Trap, run
from tests.crash.small_model import ANSWERED, SmallModel, lines_asked
from tests.simulator.running_simulator import Running

STOP_SECONDS = 4.0
LATEST_STOP = STOP_SECONDS + 30.0
"""When a server that was told to stop is given up; it has its own clock, and this machine may be busy."""

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

    def __init__(self, way: Way, folder: Path, sim: Running, model: SmallModel, ports: tuple[int, int]) -> None:
        self.way = way
        self.sim = sim
        self.model = model
        self.trap = folder / "trap.json"
        self.log = folder / "server.log"
        self.database = folder / "crash.db"
        self._port = ports[0] if way is Way.SMS else ports[1]
        self._process: BaseProcess | None = None
        self._environment = {
            "SIMULATED": "true",
            "SIMULATOR_PORT": sim.base.rpartition(":")[2],
            "SMS_SERVER_PORT": str(ports[0]),
            "TELEGRAM_SERVER_PORT": str(ports[1]),
            "TELEGRAM_MODE": "polling" if way is Way.POLLING else "webhook",
            "LLM_SERVER_URL": model.url,
            "DATABASE_URL": f"sqlite:///{self.database}",
            "STOP_SECONDS": str(STOP_SECONDS),
            "SMS_SETTLE_SECONDS": "2",
        }
        options = {"status_seconds": 0.01, "telegram_limits": False, "telegram_retry_seconds": 0.1}
        webhook = f"http://127.0.0.1:{ports[0]}/sms/webhook"
        sim.sim("POST", "options", json={**options, "twilio_webhook_url": webhook})

    @property
    def platform(self) -> str:
        return "sms" if self.way is Way.SMS else "telegram"

    @property
    def process(self) -> BaseProcess:
        assert self._process is not None
        return self._process

    def clear_up(self) -> None:
        """Take away what an earlier case may have left outside."""
        self.sim.sim("DELETE", "faults")
        self.model.failures = 0
        self.model.gate.set()
        if self.trap.exists():
            self.forget()

    def be_up(self) -> None:
        """Start a process unless one runs, and return when it is ready."""
        if self._process is not None and self._process.is_alive():
            return
        self.forget()
        process = _FORKS.Process(target=run, args=(self.way, self._environment, self.trap, self.log))
        process.start()
        self._process = process
        await_true(self._is_ready, f"the server did not become ready:\n{self.log_tail()}")

    def _is_ready(self) -> bool:
        assert self.process.is_alive(), f"the server ended at its start:\n{self.log_tail()}"
        try:
            return httpx.get(f"http://127.0.0.1:{self._port}/ready", timeout=PATIENCE).status_code == 200
        except httpx.TransportError:
            return False

    def await_end(self, end: End) -> None:
        """The process ends as it was told to: by kill -9, or by itself after SIGTERM, before its time is up."""
        await_true(lambda: not self.trap.exists(), f"the point was never reached:\n{self.log_tail()}")
        self.process.join(LATEST_STOP)
        assert not self.process.is_alive(), f"the server did not end within {LATEST_STOP} s:\n{self.log_tail()}"
        wanted = {-signal.SIGKILL} if end is End.KILL else {0, -signal.SIGTERM}
        assert self.process.exitcode in wanted, self.log_tail()

    def forget(self) -> None:
        """End the process at once, if there is one, and take the trap away."""
        self.trap.unlink(missing_ok=True)
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
class CrashWriter:
    """One person; `undelivered` is what the provider could not bring, and will bring again."""

    runs: ServerRuns
    address: str
    sent: list[str] = field(default_factory=list)
    undelivered: list[tuple[str, str]] = field(default_factory=list)

    def say(self, *texts: str) -> None:
        """One after the other, as fast as the provider brings them."""
        for text in texts:
            self.sent.append(text)
            if self.runs.way is Way.SMS:
                self._text(text, {})
            else:
                self.runs.sim.say(text, int(self.address))

    def _text(self, text: str, more: dict[str, str]) -> None:
        said = self.runs.sim.sim("POST", "sms/send", json={"from": self.address, "body": text, **more})
        if said["webhook_status"] != 200:
            self.undelivered.append((said["message_sid"], text))

    def say_again(self) -> None:
        """What Twilio does with `rc=3` in the webhook's URL: the same message once more, in the same order."""
        again, self.undelivered = self.undelivered, []
        for sid, text in again:
            self._text(text, {"sid": sid})
        assert not self.undelivered, f"the server is up and does not take a text:\n{self.runs.log_tail()}"

    def bubbles(self) -> list[str]:
        return [bubble["text"] for bubble in self.runs.sim.bubbles(self.runs.platform, self.address)]

    def has_been_reported(self) -> bool:
        """The provider has said of every text that it was delivered (Telegram says nothing of the kind)."""
        query = "SELECT count(*) FROM outbound WHERE user_id = ? AND state <> 'delivered'"
        return self.runs.way is not Way.SMS or self.runs.rows(query, self.address) == [(0,)]

    def await_calm(self) -> None:
        """Everything that was said is in the inbox, and nothing is open any more."""
        await_true(self._is_calm, f"{self.address} still waits for an answer:\n{self.runs.log_tail()}")

    def _is_calm(self) -> bool:
        query = "SELECT count(*), coalesce(sum(state = 'received'), 0) FROM inbound WHERE user_id = ?"
        stored, waiting = self.runs.rows(query, self.address)[0]
        query = "SELECT count(*) FROM outbound WHERE user_id = ? AND state IN ('planned', 'sending', 'unknown')"
        return (stored, waiting) == (len(self.sent), 0) and self.runs.rows(query, self.address) == [(0,)]


def new_writer(runs: ServerRuns, name: str) -> CrashWriter:
    """Somebody who has registered."""
    person = runs.sim.sim("POST", "people", json={"name": name})["person"]
    writer = CrashWriter(runs, str(person["phone_number" if runs.way is Way.SMS else "chat_id"]))
    writer.say("name=Ada" if runs.way is Way.SMS else "/start")
    writer.await_calm()
    await_true(writer.has_been_reported, f"a report on the welcome is missing:\n{runs.log_tail()}")
    return writer


def make_trouble(runs: ServerRuns, trouble: Trouble) -> None:
    target, method = ("twilio", "messages.create") if runs.way is Way.SMS else ("telegram", "sendMessage")
    if trouble is Trouble.MODEL:
        runs.model.failures = 1
    elif trouble is Trouble.CUT:
        runs.sim.fault(target=target, method=method, effect="cut", when="before", count=1)
    elif trouble is Trouble.BUSY:
        runs.sim.fault(target=target, method=method, effect="status", status=429, retry_after=1, count=1)


def lay_trap(runs: ServerRuns, case: CrashCase) -> None:
    Trap(case.point.verb, case.point.when, case.point.nth, case.end).lay(runs.trap)


def end_from_outside(runs: ServerRuns, end: End) -> None:
    """While the model works; with `TERM` it ends its work while the server stops, with `HANG` it does not."""
    pid = runs.process.pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL if end is End.KILL else signal.SIGTERM)
    if end is End.TERM:
        runs.model.gate.set()


# -- the books ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class CrashAudit:
    """What became of one person's messages. `repeats`: bubbles that came twice; `given_up`: parts that failed."""

    wanted: list[str]
    seen: list[str]
    bubbles: int
    repeats: int
    given_up: int


def audit(writer: CrashWriter) -> CrashAudit:
    """Compare what a person saw with what they asked for, and with what the database says that they saw."""
    runs, bubbles = writer.runs, writer.bubbles()
    once = list(dict.fromkeys(bubbles))
    seen = ANSWERED.findall("\n".join(once))
    said = runs.rows("SELECT role, message FROM conversations WHERE user_id = ? ORDER BY id", writer.address)
    asked = "\n".join(message for role, message in said if role == "user")
    told = [message for role, message in said if role == "assistant"]
    assert lines_asked(asked) == lines_asked("\n".join(writer.sent)), "the history has not what was asked"
    failed = runs.rows("SELECT count(*) FROM outbound WHERE user_id = ? AND state = 'failed'", writer.address)[0][0]
    if not failed:
        shown = "".join(re.sub(r"^\(\d+/\d+\)\s*", "", bubble) for bubble in once)
        assert _squeezed("".join(told)) == _squeezed(shown), "the history has not what was seen"
    assert ANSWERED.findall("\n".join(told)) == seen, "the history has not what was seen"
    assert runs.rows("SELECT error FROM inbound WHERE state = 'dead'") == []
    wanted = lines_asked("\n".join(writer.sent))
    return CrashAudit(wanted, seen, len(bubbles), len(bubbles) - len(once), failed)


def _squeezed(text: str) -> str:
    return "".join(text.split())
