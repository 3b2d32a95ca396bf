"""What an attack costs: memory and open files of each server, bytes of the log, and how long a good webhook takes."""

from __future__ import annotations

import itertools
import statistics
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import httpx
import psutil

from tests.product.running_product import SERVERS, RunningProduct

SAMPLE_SECONDS = 0.1
WEBHOOK_PAUSE_SECONDS = 0.1
MEGABYTE = 1_000_000

_message_ids = itertools.count(1)


@dataclass
class Cost:
    """What was measured during one attack. Memory in bytes, times in seconds."""

    name: str
    seconds: float = 0.0
    memory_growth: dict[str, int] = field(default_factory=dict)
    most_files: dict[str, int] = field(default_factory=dict)
    files_left: dict[str, int] = field(default_factory=dict)
    log_bytes: int = 0
    webhooks: list[float] = field(default_factory=list)
    failed_webhooks: list[str] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)
    """Promises of the routes under attack that did not hold."""

    def line(self) -> str:
        times, failed = self.webhooks or [float("nan")], len(self.failed_webhooks)
        grown, most, left = (max(of.values()) for of in (self.memory_growth, self.most_files, self.files_left))
        return (
            f"{self.name:<22}{self.seconds:6.1f} s  memory {grown / MEGABYTE:+6.1f} MB  files {most:5}, then {left:+3} "
            f"log {self.log_bytes:7} B  webhook {statistics.median(times):6.3f} s, at most {max(times):6.3f} s, "
            f"{failed} of {len(self.webhooks) + failed} failed"
        )


@contextmanager
def measured(product: RunningProduct, name: str, settle_seconds: float) -> Iterator[Cost]:
    """Measure while the block runs, then wait up to `settle_seconds` until the servers have closed its connections."""
    cost = Cost(name)
    processes = {server: product.process(server) for server in SERVERS}
    memory = {server: process.memory_info().rss for server, process in processes.items()}
    files = {server: process.num_fds() for server, process in processes.items()}
    logged, started, ended = product.log.stat().st_size, time.monotonic(), threading.Event()
    threads = [
        threading.Thread(target=_sample, args=(cost, processes, memory, ended)),
        threading.Thread(target=_send_webhooks, args=(cost, product, ended)),
    ]
    for thread in threads:
        thread.start()
    try:
        yield cost
        cost.seconds = time.monotonic() - started
        deadline = time.monotonic() + settle_seconds
        while any(process.num_fds() > files[server] + 40 for server, process in processes.items()):
            if time.monotonic() > deadline:
                break
            time.sleep(0.2)  # another process closes its files without an event
    finally:
        ended.set()
        for thread in threads:
            thread.join()
    cost.files_left = {server: process.num_fds() - files[server] for server, process in processes.items()}
    cost.log_bytes = product.log.stat().st_size - logged


def _sample(cost: Cost, processes: dict[str, psutil.Process], memory: dict[str, int], ended: threading.Event) -> None:
    while True:
        for server, process in processes.items():
            grown = process.memory_info().rss - memory[server]
            cost.memory_growth[server] = max(cost.memory_growth.get(server, grown), grown)
            cost.most_files[server] = max(cost.most_files.get(server, 0), process.num_fds())
        if ended.wait(SAMPLE_SECONDS):
            return


def _send_webhooks(cost: Cost, product: RunningProduct, ended: threading.Event) -> None:
    """Text the number again and again, as Twilio would."""
    with httpx.Client(timeout=30) as http:
        while not ended.is_set():
            form = {"From": "+12025550199", "Body": "hello", "MessageSid": f"SM{next(_message_ids):032x}"}
            before = time.monotonic()
            try:
                response = http.post(f"{product.url('sms_server')}/sms/webhook", data=form)
            except httpx.HTTPError as error:
                cost.failed_webhooks.append(repr(error))
            else:
                if response.status_code == 200:
                    cost.webhooks.append(time.monotonic() - before)
                else:
                    cost.failed_webhooks.append(f"{response.status_code}: {response.text[:200]}")
            ended.wait(WEBHOOK_PAUSE_SECONDS)
