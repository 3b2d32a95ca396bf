"""Two machines behind nginx: an SMS server, a Telegram server and an LLM server on each, one PostgreSQL for both.

nginx runs with deploy/nginx.conf, in which only addresses, ports and the certificate are replaced.
"""

from __future__ import annotations

import asyncio
import re
import shutil
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import psutil

from benchmarks.llm_server import free_port
from benchmarks.processes import ROOT, Entered, cpu, server, settings
from tests.machines.providers import Providers

MACHINES = {"one": "10.0.0.11", "two": "10.0.0.12"}
"""The machines, and their addresses in deploy/nginx.conf."""

KINDS = {"llm_server": 8033, "sms_server": 8040, "telegram_server": 8041}
"""The servers of a machine, and their ports in deploy/nginx.conf."""

TOKEN = "an-internal-token-of-the-campaign"
NGINX_SECONDS = 10.0

Node = tuple[str, str]
"""A server: its kind and its machine."""


def adapted(ports: Mapping[Node, int], web: int, llm: int) -> str:
    """deploy/nginx.conf for servers on this machine, without TLS."""
    text = (ROOT / "deploy" / "nginx.conf").read_text()
    changes = {"listen 443 ssl;": f"listen 127.0.0.1:{web};", "listen 10.0.0.10:8033;": f"listen 127.0.0.1:{llm};"}
    changes |= {f"{MACHINES[machine]}:{KINDS[kind]}": f"127.0.0.1:{port}" for (kind, machine), port in ports.items()}
    for written, ours in changes.items():
        if written not in text:
            raise ValueError(f"deploy/nginx.conf does not have {written!r}")
        text = text.replace(written, ours)
    return re.sub(r"^\s*ssl_certificate.*\n", "", text, flags=re.MULTILINE)


@contextmanager
def nginx(folder: Path, relay: str, port: int) -> Iterator[psutil.Process]:
    """Nginx with these blocks of configuration, once it listens on the port."""
    program = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
    if program is None:
        raise SystemExit("nginx is not installed. On Debian and Ubuntu: apt install nginx-light")
    places = (f"{name}_temp_path {folder}/{name};" for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    http = f"access_log off; {' '.join(places)}\n{relay}"
    main = f"daemon off; pid {folder}/nginx.pid; events {{ worker_connections 4096; }}\nhttp {{ {http} }}\n"
    if psutil.Process().username() == "root":
        main = f"user root; {main}"
    (folder / "nginx.conf").write_text(main)
    process = subprocess.Popen([program, "-p", str(folder), "-c", "nginx.conf", "-e", str(folder / "nginx.log")])
    try:
        _await_answer(f"http://127.0.0.1:{port}/", process)
        yield psutil.Process(process.pid)
    finally:
        process.terminate()
        process.wait(20)


def _await_answer(url: str, process: subprocess.Popen[bytes]) -> None:
    ends = time.monotonic() + NGINX_SECONDS
    while True:
        try:
            urllib.request.urlopen(url, timeout=1)  # noqa: S310 (always our own address)
        except urllib.error.HTTPError:
            return
        except OSError:
            if process.poll() is not None or time.monotonic() > ends:
                raise SystemExit("nginx did not start; its log says why") from None
            time.sleep(0.05)  # another process gives no event to await
        else:
            return


class Cluster:
    """The servers, each started and killed by itself. `web` and `llm` are the ports of nginx."""

    def __init__(self, folder: Path, outside: Providers, database_url: str) -> None:
        self.web, self.llm = free_port(), free_port()
        self.ports = {(kind, machine): free_port() for kind in KINDS for machine in MACHINES}
        self._folder = folder
        self._nginx: Entered[psutil.Process] | None = None
        self._running: dict[Node, Entered[tuple[psutil.Process, int]]] = {}
        self._environ = {
            **settings(outside, folder, database_url),
            "LLM_SERVER_URL": f"http://127.0.0.1:{self.llm}",
            "INTERNAL_TOKEN": TOKEN,
            "LLM_SOURCE": "openai",
            "OPENAI_BASE_URL": f"{outside.url}/v1",
            "OPENAI_MODEL": "short",
            "OPENAI_MAX_CONCURRENT": "64",
        }

    async def start_nginx(self) -> None:
        config = adapted(self.ports, self.web, self.llm)
        self._nginx = await asyncio.to_thread(Entered, nginx(self._folder, config, self.web))

    async def start(self, *nodes: Node) -> None:
        """Start servers one after the other, each until it is ready."""
        for kind, machine in nodes:
            own = {"INSTANCE_NAME": machine, "LLM_SPENDING_FILE": str(self._folder / f"spending-{machine}.json")}
            if kind == "telegram_server":
                own |= {"TELEGRAM_MODE": "webhook", "PUBLIC_URL": "https://relay.example.com"}
            program = server(kind, self._folder, self._environ | own, self.ports[kind, machine])
            self._running[kind, machine] = await asyncio.to_thread(Entered, program)

    async def kill(self, node: Node) -> None:
        """Kill -9 a server."""
        running = self._running.pop(node)
        running.value[0].kill()
        await asyncio.to_thread(running.leave)

    async def stop(self) -> None:
        for running in self._running.values():
            await asyncio.to_thread(running.leave)
        if self._nginx is not None:
            await asyncio.to_thread(self._nginx.leave)

    def cpu(self) -> dict[str, float]:
        """Seconds of the processor by server and for nginx, all servers of a kind in one sum."""
        used = dict.fromkeys(KINDS, 0.0)
        for (kind, _), running in self._running.items():
            used[kind] += cpu(running.value[0])
        if self._nginx is not None:
            used["nginx"] = sum(map(cpu, self._nginx.value.children(recursive=True)))
        return used
