"""Stands in for Twilio, Telegram and a model server on one loopback port, with answers that a test sets."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl

Answers = dict[str, tuple[int, Any]]
"""Status and JSON by the beginning of "METHOD path"; the longest one that fits is taken, 404 without any."""


class ProviderStandIn(ThreadingHTTPServer):
    """The server; `requests` has the request lines so far, `credentials` the header Authorization of each.

    forms: each line with the fields of its form.
    """

    daemon_threads = True

    def __init__(self, answers: Answers) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answers = answers
        self.requests: list[str] = []
        self.credentials: list[str] = []
        self.forms: list[tuple[str, dict[str, str]]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    server: ProviderStandIn

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
        line = f"{self.command} {self.path}"
        self.server.forms.append((line, dict(parse_qsl(body, keep_blank_values=True))))
        self.server.requests.append(line)
        self.server.credentials.append(self.headers.get("Authorization", ""))
        fitting = [start for start in self.server.answers if line.startswith(start)]
        status, value = self.server.answers[max(fitting, key=len)] if fitting else (404, {"detail": "Not Found"})
        content = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def do_GET(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self._answer()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (the name is the base class's)
        pass


@contextmanager
def provider_stand_in(answers: Answers) -> Iterator[ProviderStandIn]:
    with ProviderStandIn(answers) as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        yield server
        server.shutdown()
