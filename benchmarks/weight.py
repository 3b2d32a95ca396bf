"""How long each server takes until it is healthy, the CPU time of that, and its memory at rest.

    .venv/bin/python benchmarks/weight.py [--runs 5] [--rest 3]

Starts all servers with their launcher, in try-out mode on free ports, with a database that is removed at the end;
then the LLM server alone. One start before the measured ones makes the database and the bytecode, so that all is warm.
Medians are shown. Seconds on the clock depend on what else the machine does; CPU seconds depend on it less.
"""

from __future__ import annotations

import argparse
import os
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

ROOT = Path(__file__).resolve().parent.parent
SERVERS = ("llm_server", "simulator", "admin_server", "sms_server", "telegram_server")
LAUNCHER = "start_all_servers"
START_SECONDS = 60.0
PROBE_SECONDS = 0.01
MEGABYTE = 1e6


@dataclass(frozen=True)
class Weight:
    """One process: seconds from the first start until it was healthy, its CPU seconds by then, bytes at rest."""

    healthy: float
    cpu: float
    rss: int
    uss: int


Weights = dict[str, Weight]
Parts = Callable[[], Mapping[str, psutil.Process]]


def free_ports(count: int) -> list[int]:
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


def settings(folder: Path, ports: Mapping[str, int]) -> dict[str, str]:
    """An environment in which nothing of this machine's own installation is used."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("TWILIO_", "TELEGRAM_", "LLM_"))}
    # Without bytecode every start would compile again, which is not measured here.
    clean.pop("PYTHONDONTWRITEBYTECODE", None)
    return {
        **clean,
        **{f"{server.upper()}_PORT": str(port) for server, port in ports.items()},
        "DATABASE_URL": f"sqlite:///{folder / 'weight.db'}",
        "LLM_SPENDING_FILE": str(folder / "spending.json"),
        "LLM_SOURCE": "demo",
    }


@contextmanager
def running(command: list[str], folder: Path, ports: Mapping[str, int]) -> Iterator[psutil.Process]:
    """A process that is stopped at the end, with all that it started."""
    with (folder / "output.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, *command],
            cwd=ROOT,
            env=settings(folder, ports),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    try:
        yield psutil.Process(process.pid)
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()  # the servers notice that their launcher is gone, and stop


def is_healthy(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=2) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def cpu_seconds(process: psutil.Process) -> float:
    used = process.cpu_times()
    return used.user + used.system


def processes_of(launcher: psutil.Process) -> dict[str, psutil.Process]:
    """The servers by the names of their files."""
    return {Path(child.cmdline()[-1]).stem: child for child in launcher.children()}


def healthy_seconds(process: psutil.Process, ports: Mapping[str, int], began: float) -> dict[str, float]:
    """Wait until all are healthy; gives the seconds since `began` of each. Ends the program when it takes too long."""
    healthy: dict[str, float] = {}
    while missing := ports.keys() - healthy:
        for server in missing:
            if is_healthy(ports[server]):
                healthy[server] = time.perf_counter() - began
        if process.status() == psutil.STATUS_ZOMBIE:
            raise SystemExit("it ended before it was healthy")
        if time.perf_counter() - began > START_SECONDS:
            raise SystemExit(f"not healthy within {START_SECONDS:g} s: {', '.join(missing)}")
        time.sleep(PROBE_SECONDS)
    return healthy


def weigh(process: psutil.Process, ports: Mapping[str, int], began: float, rest: float, parts: Parts) -> Weights:
    """Wait until all are healthy, wait until they are idle, and measure each part."""
    healthy = healthy_seconds(process, ports, began)
    found = parts()
    cpu = {name: cpu_seconds(part) for name, part in found.items()}
    time.sleep(rest)
    weights = {}
    for name, part in found.items():
        memory = part.memory_full_info()
        weights[name] = Weight(healthy.get(name, max(healthy.values())), cpu[name], memory.rss, memory.uss)
    return weights


def weigh_all(folder: Path, rest: float) -> Weights:
    """The launcher counts as healthy when all servers are."""
    ports = dict(zip(SERVERS, free_ports(len(SERVERS)), strict=True))
    began = time.perf_counter()
    with running([f"{LAUNCHER}.py", "--all", "--demo"], folder, ports) as launcher:
        return weigh(launcher, ports, began, rest, lambda: {**processes_of(launcher), LAUNCHER: launcher})


def weigh_llm_server(folder: Path, rest: float) -> Weights:
    ports = {"llm_server": free_ports(1)[0]}
    began = time.perf_counter()
    with running(["llm_server.py"], folder, ports) as process:
        return weigh(process, ports, began, rest, lambda: {"llm_server": process})


def table(title: str, runs: list[Weights]) -> str:
    """The medians, the first to be healthy on top."""

    def median(name: str, figure: Callable[[Weight], float]) -> float:
        return statistics.median(figure(run[name]) for run in runs)

    lines = [f"{title:24}   healthy      CPU      RSS      USS"]
    for name in sorted(runs[0], key=lambda name: median(name, lambda weight: weight.healthy)):
        healthy, cpu = median(name, lambda weight: weight.healthy), median(name, lambda weight: weight.cpu)
        rss, uss = median(name, lambda weight: weight.rss), median(name, lambda weight: weight.uss)
        lines.append(f"  {name:22} {healthy:7.2f} s {cpu:6.2f} s {rss / MEGABYTE:5.0f} MB {uss / MEGABYTE:5.0f} MB")
    cpu = statistics.median(sum(weight.cpu for weight in run.values()) for run in runs)
    uss = statistics.median(sum(weight.uss for weight in run.values()) for run in runs)
    lines.append(f"  {'together':32} {cpu:6.2f} s {'':8} {uss / MEGABYTE:5.0f} MB")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=5, help="how many starts")
    parser.add_argument("--rest", type=float, default=3.0, help="seconds between healthy and looking at the memory")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        weigh_all(folder, 0)
        runs_of_all = [weigh_all(folder, arguments.rest) for _ in range(arguments.runs)]
        alone = [weigh_llm_server(folder, arguments.rest) for _ in range(arguments.runs)]
    print(table("all servers", runs_of_all), table("the LLM server alone", alone), sep="\n")


if __name__ == "__main__":
    main()
