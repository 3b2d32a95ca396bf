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

import psutil

ROOT = Path(__file__).resolve().parent.parent
WORDS = 50
TOTAL_TEXT = "word " * WORDS


@dataclass(frozen=True)
class Cell:
    """One measurement: so many callers for so long."""

    rate: float
    p50_ms: float
    p99_ms: float
    cpu_us: float
    errors: int


# -- the model server --------------------------------------------------------------------------------------------------


def canned(words: int) -> bytes:
    """A whole HTTP answer in OpenAI's protocol, `words` events long."""

    def event(delta: dict[str, str], finish: str | None, **more: object) -> bytes:
        choice = {"index": 0, "delta": delta, "finish_reason": finish}
        chunk = {"id": "x", "object": "chat.completion.chunk", "created": 1, "model": "canned", "choices": [choice]}
        return b"data: " + json.dumps({**chunk, **more}).encode() + b"\n\n"

    usage = {"prompt_tokens": 20, "completion_tokens": words, "total_tokens": 20 + words}
    events = [event({"content": "word "}, None) for _ in range(words)]
    body = b"".join([*events, event({}, "stop", usage=usage), b"data: [DONE]\n\n"])
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: %d\r\n\r\n" % len(body)
    return head + body


class Canned(asyncio.Protocol):
    """Answers every request with the same bytes; a path that contains "models" with a list."""

    answers: tuple[bytes, bytes]

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._data = b""

    def data_received(self, data: bytes) -> None:
        self._data += data
        while (end := self._data.find(b"\r\n\r\n")) >= 0:
            head = self._data[:end].lower()
            length = int(head.split(b"content-length:")[1].split(b"\r\n")[0]) if b"content-length:" in head else 0
            if len(self._data) < end + 4 + length:
                return
            whole = b'"stream":true' in self._data or b'"stream": true' in self._data
            self._data = self._data[end + 4 + length :]
            path = head.split(b" ", 2)[1]
            assert isinstance(self._transport, asyncio.Transport)
            if b"models" in path:
                self._transport.write(MODELS)
            else:
                self._transport.write(self.answers[0 if whole else 1])


LISTED = b'{"object":"list","data":[{"id":"canned","object":"model"}]}'
MODELS = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (len(LISTED), LISTED)


def whole_answer(words: int) -> bytes:
    message = {"role": "assistant", "content": "word " * words}
    usage = {"prompt_tokens": 20, "completion_tokens": words, "total_tokens": 20 + words}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    document = {"id": "x", "object": "chat.completion", "created": 1, "model": "canned", "choices": [choice]}
    body = json.dumps({**document, "usage": usage}).encode()
    return b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)


async def serve_canned(port: int, words: int) -> None:
    Canned.answers = (canned(words), whole_answer(words))
    server = await asyncio.get_running_loop().create_server(Canned, "127.0.0.1", port)
    await server.serve_forever()


# -- the callers -------------------------------------------------------------------------------------------------------


async def one_caller(port: int, request: bytes, until: float, times: list[float], errors: list[int]) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    while time.perf_counter() < until:
        began = time.perf_counter()
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 200"):
            errors.append(1)
        lower = head.lower()
        if b"content-length:" in lower:
            await reader.readexactly(int(lower.split(b"content-length:")[1].split(b"\r\n")[0]))
        else:
            while size := int(await reader.readline(), 16):
                await reader.readexactly(size + 2)
            await reader.readexactly(2)
        times.append(time.perf_counter() - began)
    writer.close()


async def measure(port: int, request: bytes, callers: int, seconds: float, process: psutil.Process) -> Cell:
    times: list[float] = []
    errors: list[int] = []
    before = process.cpu_times()
    began = time.perf_counter()
    tasks = (one_caller(port, request, began + seconds, times, errors) for _ in range(callers))
    await asyncio.gather(*tasks)
    took = time.perf_counter() - began
    after = process.cpu_times()
    used = after.user + after.system - before.user - before.system
    cuts = statistics.quantiles(times, n=100)
    return Cell(len(times) / took, cuts[49] * 1000, cuts[98] * 1000, used / len(times) * 1e6, len(errors))


def request_bytes(path: str, body: dict[str, object]) -> bytes:
    content = json.dumps(body).encode()
    head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
    return f"{head}Authorization: Bearer none\r\nContent-Length: {len(content)}\r\n\r\n".encode() + content


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
    process = subprocess.Popen(command, cwd=folder, env={**os.environ, **environ}, stderr=subprocess.DEVNULL)
    try:
        while True:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=1) as answer:
                    answer.read()
                    break
            except OSError:
                if process.poll() is not None or time.perf_counter() - began > 60:
                    raise SystemExit(f"{command[0]} did not start") from None
                time.sleep(0.01)
        yield psutil.Process(process.pid), time.perf_counter() - began
    finally:
        process.terminate()
        process.wait(20)


def row(name: str, cell: Cell, process: psutil.Process) -> str:
    memory = process.memory_info().rss / 1e6
    return (
        f"{name:34} {cell.rate:8.0f}/s  p50 {cell.p50_ms:7.2f} ms  p99 {cell.p99_ms:7.2f} ms  "
        f"CPU {cell.cpu_us:6.0f} us  RSS {memory:5.0f} MB  errors {cell.errors}"
    )


def bench(seconds: float, litellm: str | None) -> None:
    messages = [{"role": "system", "content": "Be short."}, {"role": "user", "content": "Say fifty words, please."}]
    body: dict[str, object] = {"model": "canned", "messages": messages}
    person = {"x_relay": {"channel": "sms", "name": "Alice", "person": "p1"}}
    completions = request_bytes("/v1/chat/completions", {**body, "stream": True})
    upstream_port, port = free_port(), free_port()
    here = [sys.executable, __file__]
    with (
        tempfile.TemporaryDirectory() as name,
        started([*here, "--serve", str(upstream_port)], upstream_port, "/v1/models", Path(name)) as (upstream, _),
    ):
        environ = {
            "LLM_SOURCE": "openai",
            "OPENAI_BASE_URL": f"http://127.0.0.1:{upstream_port}/v1",
            "OPENAI_MAX_CONCURRENT": "64",
            "LLM_SERVER_PORT": str(port),
            "LLM_MONTHLY_BUDGET_USD": "1000000",
            "LLM_PRICES": '{"canned": [0.1, 0.1]}',
            "LLM_SPENDING_FILE": str(Path(name) / "spending.json"),
        }
        for callers in (1, 16, 64):
            print(
                row(
                    f"upstream itself, {callers} callers",
                    asyncio.run(measure(upstream_port, completions, callers, seconds, upstream)),
                    upstream,
                )
            )
        with started([sys.executable, str(ROOT / "llm_server.py")], port, "/health", Path(name), **environ) as (
            server,
            ready,
        ):
            print(f"LLM server ready in {ready:.2f} s, {server.memory_info().rss / 1e6:.0f} MB at rest")
            for label, path, extra in (
                ("/api/chat whole", "/api/chat", {**person, "stream": False}),
                ("/api/chat streamed", "/api/chat", {**person, "stream": True}),
                ("/v1 streamed", "/v1/chat/completions", {"stream": True}),
            ):
                for callers in (1, 16, 64):
                    cell = asyncio.run(measure(port, request_bytes(path, {**body, **extra}), callers, seconds, server))
                    print(row(f"{label}, {callers} callers", cell, server))
            chunk_cost(port, server, upstream_port, seconds)
        if litellm:
            bench_litellm(litellm, upstream_port, seconds, Path(name), completions)


def chunk_cost(port: int, server: psutil.Process, upstream_port: int, seconds: float) -> None:
    """CPU of one streamed chunk, when each arrives by itself: paced answers of two lengths, and the difference."""
    body: dict[str, object] = {"model": "canned", "messages": [{"role": "user", "content": "hi"}], "stream": True}
    del upstream_port
    cell = asyncio.run(measure(port, request_bytes("/api/chat", body), 4, seconds, server))
    print(f"CPU for each of the {WORDS} chunks of an answer, everything included: {cell.cpu_us / WORDS:.1f} us")


def bench_litellm(command: str, upstream_port: int, seconds: float, folder: Path, request: bytes) -> None:
    port = free_port()
    config = folder / "litellm.yaml"
    config.write_text(
        "model_list:\n  - model_name: canned\n    litellm_params:\n      model: openai/canned\n"
        f"      api_base: http://127.0.0.1:{upstream_port}/v1\n      api_key: none\n"
    )
    arguments = [command, "--config", str(config), "--port", str(port), "--host", "127.0.0.1"]
    with started(arguments, port, "/health/liveliness", folder) as (process, ready):
        print(f"LiteLLM ready in {ready:.2f} s")
        body: dict[str, object] = {"model": "canned", "messages": [{"role": "user", "content": "hi"}]}
        for callers in (1, 16, 64):
            cell = asyncio.run(measure(port, request_bytes("/v1/chat/completions", body), callers, seconds, process))
            print(row(f"LiteLLM whole, {callers} callers", cell, process))
        cell = asyncio.run(measure(port, request, 16, seconds, process))
        print(row("LiteLLM streamed, 16 callers", cell, process))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=5.0, help="length of each measurement")
    parser.add_argument("--litellm", default=shutil.which("litellm"), help="LiteLLM's command, if it is to be measured")
    parser.add_argument("--serve", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.serve:
        asyncio.run(serve_canned(arguments.serve, WORDS))
        return
    bench(arguments.seconds, arguments.litellm)


if __name__ == "__main__":
    main()
