"""A simulator on a free port with real sockets, and a scripted server for its webhooks to reach."""

from __future__ import annotations

import queue
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl

import httpx
import uvicorn
from pydantic import SecretStr
from twilio.http.http_client import TwilioHttpClient
from twilio.http.response import Response as TwilioResponse
from twilio.rest import Client

from relay.channels.sms.settings import SIMULATED_ACCOUNT_SID, SIMULATED_AUTH_TOKEN
from relay.channels.telegram.settings import SIMULATED_BOT_TOKEN
from simulator import create_app
from tests.ports import Ports
from tests.settings import Settings

ADA_PHONE, BEN_PHONE = "+12025550101", "+12025550102"
ADA, BEN = 700_000_001, 700_000_002
PATIENCE = 60.0


class RedirectedTwilio(TwilioHttpClient):  # type: ignore[misc]  # (the SDK has no types)
    """The SDK's own client, with the base URL replaced."""

    def __init__(self, base: str) -> None:
        super().__init__(pool_connections=False, timeout=PATIENCE)
        self._base = base

    def request(self, method: str, url: str, *args: Any, **options: Any) -> TwilioResponse:
        return super().request(method, url.replace("https://api.twilio.com", self._base), *args, **options)


@dataclass(frozen=True, slots=True)
class RunningSimulator:
    """A simulator that listens; `http` has its address as base."""

    base: str
    http: httpx.Client

    def sim(self, method: str, path: str, **options: Any) -> Any:
        answer = self.http.request(method, f"/sim/{path}", **options)
        assert answer.is_success, f"{answer.status_code} {answer.text}"
        return answer.json()

    def fault(self, **fault: Any) -> None:
        self.sim("POST", "faults", json=fault)

    def twilio(self, token: str = SIMULATED_AUTH_TOKEN) -> Client:
        return Client(SIMULATED_ACCOUNT_SID, token, http_client=RedirectedTwilio(self.base))

    def bot(self, method: str, **parameters: Any) -> dict[str, Any]:
        answer: dict[str, Any] = self.http.post(f"/bot{SIMULATED_BOT_TOKEN}/{method}", json=parameters).json()
        return answer

    def ok(self, method: str, **parameters: Any) -> Any:
        answer = self.bot(method, **parameters)
        assert answer["ok"], answer
        return answer["result"]

    def write(self, text: str, chat_id: int = ADA, **more: Any) -> Any:
        return self.sim("POST", "telegram/send", json={"chat_id": chat_id, "text": text, **more})

    def bubbles(self, platform: str, person: str | int, direction: str = "out") -> list[dict[str, Any]]:
        seen = self.sim("GET", "transcript", params={"platform": platform, "person": person})
        return [bubble for bubble in seen["bubbles"] if bubble["direction"] == direction]


@contextmanager
def running_simulator() -> Iterator[RunningSimulator]:
    """A simulator in a thread, beside a console with a password; stopped, with everything that waits, at the end."""
    ports = Ports()
    port = ports.take()
    app = create_app(Settings(simulator_port=port, admin_token=SecretStr("a password of the console")))
    config = uvicorn.Config(app, "127.0.0.1", port, log_config=None, access_log=False, timeout_graceful_shutdown=1)
    server = uvicorn.Server(config)
    started = threading.Event()
    thread = threading.Thread(target=_run, args=(server, started), daemon=True)
    thread.start()
    assert started.wait(PATIENCE)
    base = f"http://127.0.0.1:{port}"
    with httpx.Client(base_url=base, timeout=PATIENCE) as client:
        yield RunningSimulator(base, client)
    server.should_exit = True
    thread.join(PATIENCE)
    assert not thread.is_alive()
    ports.give_back()


def _run(server: uvicorn.Server, started: threading.Event) -> None:
    original = server.startup

    async def startup(sockets: list[socket.socket] | None = None) -> None:
        await original(sockets)
        started.set()

    server.startup = startup  # type: ignore[method-assign]  # (uvicorn has no event for it)
    server.run()


@dataclass(frozen=True, slots=True)
class Received:
    """One request that the scripted server got."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def form(self) -> dict[str, str]:
        return dict(parse_qsl(self.body.decode(), keep_blank_values=True))


@dataclass(slots=True)
class Receiver:
    """A scripted server: keeps its requests, and answers with its script as soon as its gate is open."""

    url: str
    answers: list[tuple[int, str]] = field(default_factory=list)
    requests: queue.Queue[Received] = field(default_factory=queue.Queue)
    gate: threading.Event = field(default_factory=threading.Event)

    def next(self) -> Received:
        return self.requests.get(timeout=PATIENCE)

    def take(self, request: Received) -> tuple[int, str]:
        self.requests.put(request)
        self.gate.wait(PATIENCE)
        return self.answers.pop(0) if self.answers else (200, "<Response/>")


def _handler(take: Callable[[Received], tuple[int, str]]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            headers = {name.lower(): value for name, value in self.headers.items()}
            status, text = take(Received(self.path, headers, body))
            self.send_response(status)
            self.send_header("Content-Length", str(len(text.encode())))
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, *_: Any) -> None:
            """Write no log."""

    return Handler


@contextmanager
def receiver() -> Iterator[Receiver]:
    """A scripted webhook server on a free port."""
    made = Receiver("")
    made.gate.set()
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(made.take))
    server.daemon_threads = True
    made.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield made
    finally:
        made.gate.set()
        server.shutdown()
        thread.join()
        server.server_close()
