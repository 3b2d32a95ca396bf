"""How much the LLM server costs: requests a second, p50, p99, CPU and memory, against its upstream and LiteLLM's proxy.

    .venv/bin/python benchmarks/llm_server.py [--seconds 5] [--litellm PATH_TO_LITELLM]

Starts three processes: a model server that answers at once with canned text, the LLM server in front of it with queue,
circuit, accounts, metrics and every limit on, and the callers. LiteLLM is measured too when its command is found.
The callers are Python as well and share the machine, so all rates are lower bounds; compare them with each other.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import psutil

ROOT = Path(__file__).resolve().parent.parent
SHORT_WORDS = 4  # about 0.6 kB on the wire
PACED_WORDS = 200
PACE_SECONDS = 0.005
KEY = "sk-of-the-benchmark-alone-0123456789"  # LiteLLM starts only with one, so both check it
START_SECONDS = 180  # LiteLLM imports for half a minute on a busy machine


@dataclass(frozen=True)
class Cell:
    """One measurement: so many callers for so long."""

    rate: float
    p50_ms: float
    p99_ms: float
    cpu_us: float
    errors: int


# -- the model server --------------------------------------------------------------------------------------------------


def events(words: int) -> list[bytes]:
    """The events of a streamed answer in OpenAI's protocol, one a word."""

    def event(delta: dict[str, str], finish: str | None, **more: object) -> bytes:
        choice = {"index": 0, "delta": delta, "finish_reason": finish}
        chunk = {"id": "x", "object": "chat.completion.chunk", "created": 1, "model": "canned", "choices": [choice]}
        return b"data: " + json.dumps({**chunk, **more}).encode() + b"\n\n"

    usage = {"prompt_tokens": 20, "completion_tokens": words, "total_tokens": 20 + words}
    said = [event({"content": "word "}, None) for _ in range(words)]
    return [*said, event({}, "stop", usage=usage) + b"data: [DONE]\n\n"]


def document(words: int) -> bytes:
    """The same answer for a caller who does not stream."""
    message = {"role": "assistant", "content": "word " * words}
    usage = {"prompt_tokens": 20, "completion_tokens": words, "total_tokens": 20 + words}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    body = {"id": "x", "object": "chat.completion", "created": 1, "model": "canned", "choices": [choice]}
    return json.dumps({**body, "usage": usage}).encode()


def answer_of(content_type: bytes, body: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Type: %b\r\nContent-Length: %d\r\n\r\n%b" % (content_type, len(body), body)


SHORT = answer_of(b"text/event-stream", b"".join(events(SHORT_WORDS)))
WHOLE = answer_of(b"application/json", document(SHORT_WORDS))
PACED = events(PACED_WORDS)
PACED_HEAD = answer_of(b"text/event-stream", b"".join(PACED)).split(b"data:")[0]
BURST = answer_of(b"text/event-stream", b"".join(PACED))
NAMES = ("short", "paced", "burst")
LISTED = {"object": "list", "data": [{"id": name} for name in NAMES]}
MODELS = answer_of(b"application/json", json.dumps(LISTED).encode())


class Canned(asyncio.Protocol):
    """Answers at once; the model "paced" sends one word every few milliseconds, each in a packet of its own."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._data = b""

    def data_received(self, data: bytes) -> None:
        self._data += data
        while (end := self._data.find(b"\r\n\r\n")) >= 0:
            head = self._data[:end].lower()
            length = int(head.split(b"content-length:")[1].split(b"\r\n")[0]) if b"content-length:" in head else 0
            if len(self._data) < end + 4 + length:
                return
            body, self._data = self._data[end + 4 : end + 4 + length], self._data[end + 4 + length :]
            self._answer(head, body.replace(b" ", b""))

    def _answer(self, head: bytes, body: bytes) -> None:
        if b"models" in head.split(b" ", 2)[1]:
            self._transport.write(MODELS)
        elif b'"model":"paced"' in body:
            self._transport.write(PACED_HEAD)
            self._say(0)
        elif b'"model":"burst"' in body:
            self._transport.write(BURST)
        else:
            self._transport.write(SHORT if b'"stream":true' in body else WHOLE)

    def _say(self, number: int) -> None:
        self._transport.write(PACED[number])
        if number + 1 < len(PACED):
            asyncio.get_running_loop().call_later(PACE_SECONDS, self._say, number + 1)


async def serve_canned(port: int) -> None:
    server = await asyncio.get_running_loop().create_server(Canned, "127.0.0.1", port)
    await server.serve_forever()


# -- the callers -------------------------------------------------------------------------------------------------------


async def one_caller(port: int, request: bytes, until: float, times: list[float], errors: list[int]) -> None:
    """Send requests until then, at least one."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    while not times or time.perf_counter() < until:
        times.append(await one_answer(reader, writer, request, errors))
    writer.close()


async def one_answer(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: bytes, errors: list[int]
) -> float:
    """The seconds until the whole answer was there."""
    began = time.perf_counter()
    writer.write(request)
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    if not head.startswith(b"http/1.1 200"):
        errors.append(1)
    if b"\r\ncontent-length:" in head:  # LiteLLM has headers that end in these words too
        await reader.readexactly(int(head.split(b"\r\ncontent-length:")[1].split(b"\r\n")[0]))
    else:
        while size := int(await reader.readline(), 16):
            await reader.readexactly(size + 2)
        await reader.readexactly(2)
    return time.perf_counter() - began


async def measure(port: int, request: bytes, callers: int, seconds: float, process: psutil.Process) -> Cell:
    times: list[float] = []
    errors: list[int] = []
    await one_caller(port, request, 0.0, [], [])  # one-time work is paid by the first request
    before = process.cpu_times()
    began = time.perf_counter()
    tasks = (one_caller(port, request, began + seconds, times, errors) for _ in range(callers))
    await asyncio.gather(*tasks)
    took = time.perf_counter() - began
    after = process.cpu_times()
    used = after.user + after.system - before.user - before.system
    cuts = statistics.quantiles(times, n=100)
    return Cell(len(times) / took, cuts[49] * 1000, cuts[98] * 1000, used / len(times) * 1e6, len(errors))


async def first_bytes(port: int, request: bytes, count: int) -> float:
    """Median milliseconds until the first byte of a streamed answer, one request at a time."""
    times = []
    for _ in range(count):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        began = time.perf_counter()
        writer.write(request)
        await reader.readuntil(b"\r\n\r\n")
        await reader.read(1)
        times.append(time.perf_counter() - began)
        writer.close()  # in the middle of the answer
    return statistics.median(times) * 1000


def request_bytes(path: str, body: dict[str, object]) -> bytes:
    content = json.dumps(body).encode()
    head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
    return f"{head}Authorization: Bearer {KEY}\r\nContent-Length: {len(content)}\r\n\r\n".encode() + content


MESSAGES = [{"role": "system", "content": "Be short."}, {"role": "user", "content": "Say something, please."}]
BODY: dict[str, object] = {"model": "short", "messages": MESSAGES}
PERSON: dict[str, object] = {"x_relay": {"channel": "sms", "name": "Alice", "person": "p1"}}


# -- the processes -----------------------------------------------------------------------------------------------------


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def started(
    command: list[str], port: int, path: str, folder: Path, **environ: str
) -> Iterator[tuple[psutil.Process, float]]:
    """A process and the seconds until it answered; it is stopped at the end."""
    began = time.perf_counter()
    process = subprocess.Popen(
        command, cwd=folder, env={**os.environ, **environ}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        while True:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=1) as answer:
                    answer.read()
                    break
            except OSError:
                if process.poll() is not None or time.perf_counter() - began > START_SECONDS:
                    raise SystemExit(f"{' '.join(command)} did not start") from None
                time.sleep(0.01)
        yield psutil.Process(process.pid), time.perf_counter() - began
    finally:
        process.terminate()
        process.wait(20)


def row(name: str, cell: Cell, process: psutil.Process) -> str:
    memory = process.memory_info().rss / 1e6
    return (
        f"{name:38} {cell.rate:8.0f}/s  p50 {cell.p50_ms:7.2f} ms  p99 {cell.p99_ms:7.2f} ms  "
        f"CPU {cell.cpu_us:6.0f} us  RSS {memory:5.0f} MB  errors {cell.errors}"
    )


def bench(seconds: float, litellm: str | None) -> None:
    upstream_port = free_port()
    serving = [sys.executable, __file__, "--serve", str(upstream_port)]
    with (
        tempfile.TemporaryDirectory() as name,
        started(serving, upstream_port, "/v1/models", Path(name)) as (upstream, _),
    ):
        request = request_bytes("/v1/chat/completions", {**BODY, "stream": True})
        for callers in (1, 16, 64):
            cell = asyncio.run(measure(upstream_port, request, callers, seconds, upstream))
            print(row(f"upstream itself, {callers} callers", cell, upstream))
        bench_ours(upstream_port, seconds, Path(name))
        if litellm:
            bench_litellm(litellm, upstream_port, seconds, Path(name))


def bench_ours(upstream_port: int, seconds: float, folder: Path) -> None:
    port = free_port()
    environ = {
        "LLM_SOURCE": "openai",
        "OPENAI_BASE_URL": f"http://127.0.0.1:{upstream_port}/v1",
        "OPENAI_MODEL": "short",
        "OPENAI_MAX_CONCURRENT": "64",
        "LLM_SERVER_PORT": str(port),
        "INTERNAL_TOKEN": KEY,
        "LLM_MONTHLY_BUDGET_USD": "1000000",
        "LLM_PRICES": '{"canned": [0.1, 0.1]}',
        "LLM_SPENDING_FILE": str(folder / "spending.json"),
    }
    command = [sys.executable, str(ROOT / "llm_server.py")]
    with started(command, port, "/health", folder, **environ) as (server, ready):
        print(f"LLM server ready in {ready:.2f} s, {server.memory_info().rss / 1e6:.0f} MB at rest")
        cell = asyncio.run(measure(port, b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", 16, seconds, server))
        print(row("a route that does nothing, 16 callers", cell, server))
        for label, path, extra in (
            ("/api/chat whole", "/api/chat", {**PERSON, "stream": False}),
            ("/api/chat streamed", "/api/chat", {**PERSON, "stream": True}),
            ("/v1 whole", "/v1/chat/completions", {"stream": False}),
        ):
            for callers in (1, 16, 64):
                cell = asyncio.run(measure(port, request_bytes(path, {**BODY, **extra}), callers, seconds, server))
                print(row(f"{label}, {callers} callers", cell, server))
        first_byte(upstream_port, port)
        chunk_costs(port, seconds, server)


def first_byte(upstream_port: int, port: int) -> None:
    """What the LLM server adds until the first byte, in turns with the model server itself."""
    paced = {**BODY, "model": "paced", "stream": True}
    straight, ours = request_bytes("/v1/chat/completions", paced), request_bytes("/api/chat", {**paced, **PERSON})
    asyncio.run(first_bytes(port, ours, 3))
    pairs = [
        (asyncio.run(first_bytes(upstream_port, straight, 20)), asyncio.run(first_bytes(port, ours, 20)))
        for _ in range(5)
    ]
    direct, through = (statistics.median(times) for times in zip(*pairs, strict=True))
    print(f"first byte of a streamed answer: {direct:.2f} ms from the upstream, {through:.2f} ms through /api/chat")


def chunk_costs(port: int, seconds: float, server: psutil.Process) -> None:
    """CPU of one streamed chunk: when many come in one packet, and when each wakes the server up by itself."""

    def cost(model: str) -> float:
        request = request_bytes("/api/chat", {**BODY, "model": model, "stream": True})
        return asyncio.run(measure(port, request, 16, max(seconds, 4.0), server)).cpu_us

    short, burst, paced = cost("short"), cost("burst"), cost("paced")
    extra = PACED_WORDS - SHORT_WORDS
    print(f"CPU of one chunk among many in a packet: {(burst - short) / extra:.1f} us")
    print(f"CPU of one chunk in a packet of its own: {(paced - short) / extra:.1f} us")


def bench_litellm(command: str, upstream_port: int, seconds: float, folder: Path) -> None:
    port = free_port()
    config = folder / "litellm.yaml"
    config.write_text(
        "model_list:\n"
        + "".join(
            f"  - model_name: {name}\n    litellm_params:\n      model: openai/{name}\n"
            f"      api_base: http://127.0.0.1:{upstream_port}/v1\n      api_key: none\n"
            for name in NAMES
        )
    )
    arguments = [command, "--config", str(config), "--port", str(port), "--host", "127.0.0.1"]
    # Its price list is included: no request leaves this machine.
    environ = {"LITELLM_MASTER_KEY": KEY, "LITELLM_LOCAL_MODEL_COST_MAP": "True", "DO_NOT_TRACK": "1"}
    with started(arguments, port, "/health/liveliness", folder, **environ) as (process, ready):
        print(f"LiteLLM ready in {ready:.2f} s, {process.memory_info().rss / 1e6:.0f} MB at rest")
        for label, stream in (("whole", False), ("streamed", True)):
            request = request_bytes("/v1/chat/completions", {**BODY, "stream": stream})
            for callers in (1, 16, 64):
                cell = asyncio.run(measure(port, request, callers, seconds, process))
                print(row(f"LiteLLM {label}, {callers} callers", cell, process))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=5.0, help="length of each measurement")
    parser.add_argument("--litellm", default=shutil.which("litellm"), help="LiteLLM's command, if it is to be measured")
    parser.add_argument("--serve", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.serve:
        asyncio.run(serve_canned(arguments.serve))
    else:
        bench(arguments.seconds, arguments.litellm)


if __name__ == "__main__":
    main()
