"""A fake LLM server whose answers consist of numbered lines.

`#3x40` in a question asks for forty lines: `3:1 ... 3:40`. So the bubbles of a user show whether anything is missing,
came twice, or came out of order.
"""

from __future__ import annotations

import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

ASKED = re.compile(r"#(\w+?)x(\d+)")
ANSWERED = re.compile(r"(\w+:\d+)\.")


def lines_asked(question: str) -> list[str]:
    """The lines of the answer to a question."""
    return [f"{name}:{number}" for name, count in ASKED.findall(question) for number in range(1, int(count) + 1)]


def answer_to(question: str) -> str:
    return "\n\n".join(f"{line}. {'And some more text, so that it is a line. ' * 3}" for line in lines_asked(question))


class CountingModel:
    """Runs in a thread on a free port. `gate` holds answers back; `failures` are given instead of the next answers."""

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.gate.set()
        self.asked = threading.Semaphore(0)
        self.failures = 0
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def close(self) -> None:
        self.gate.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def hold(self) -> None:
        """From now on answers wait until the gate is opened."""
        self.gate.clear()
        while self.asked.acquire(blocking=False):
            pass

    def await_question(self) -> None:
        assert self.asked.acquire(timeout=60), "the model was not asked"

    def reply(self, question: str) -> tuple[int, list[dict[str, Any]]]:
        """Status and lines of the answer, when the time for it has come."""
        self.asked.release()
        self.gate.wait(60)
        if self.failures > 0:
            self.failures -= 1
            return 503, [{"error": "the model is away", "kind": "unavailable"}]
        message = {"role": "assistant", "content": answer_to(question)}
        return 200, [{"message": message, "done": False}, {"model": "small", "done": True}]

    def _handler(model) -> type[BaseHTTPRequestHandler]:  # noqa: N805 (the handler's own self is meant below)
        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *_: Any) -> None:
                """Say nothing."""

            def do_GET(self) -> None:
                self._send(200, [{"status": "ok"}])

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                self._send(*model.reply(body["messages"][-1]["content"]))

            def _send(self, status: int, lines: list[dict[str, Any]]) -> None:
                try:
                    self.send_response(status)
                    self.send_header("Content-Type", "application/x-ndjson")
                    self.end_headers()
                    self.wfile.write(b"".join(json.dumps(line).encode() + b"\n" for line in lines))
                except (BrokenPipeError, ConnectionResetError):
                    pass  # the client was killed meanwhile

        return Handler
