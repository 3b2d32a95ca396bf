"""A model outside the product: an OpenAI-compatible server that keeps what it was asked and answers as it is told."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Messages = list[dict[str, Any]]


def echo(messages: Messages) -> str:
    """The answer of a model that only repeats."""
    return f"You said: {messages[-1]['content']}"


class ScriptedModel:
    """Runs in a thread on a free port. `requests` holds the messages of every question; `gate` holds answers back.

    It also writes down recordings: each is kept, and its words are `transcript`.
    """

    def __init__(self) -> None:
        self.requests: list[Messages] = []
        self.recordings: list[bytes] = []
        self.transcript = ""
        self.answer: Callable[[Messages], str] = echo
        self.gate = threading.Event()
        self.gate.set()
        self.asked = threading.Semaphore(0)
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}/v1"

    def close(self) -> None:
        self.gate.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def questions(self, marker: str) -> list[Messages]:
        """The requests whose last message contains the marker."""
        return [messages for messages in self.requests if marker in str(messages[-1]["content"])]

    def _handler(model) -> type[BaseHTTPRequestHandler]:  # noqa: N805 (the handler's own self is meant below)
        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *_: Any) -> None:
                """Say nothing."""

            def do_GET(self) -> None:
                self._send({"object": "list", "data": [{"id": "scripted", "object": "model"}]})

            def do_POST(self) -> None:
                content = self.rfile.read(int(self.headers["Content-Length"]))
                if self.path.endswith("/audio/transcriptions"):
                    model.recordings.append(content)
                    self._send({"text": model.transcript})
                    return
                body = json.loads(content)
                model.requests.append(body["messages"])
                model.asked.release()
                model.gate.wait(60)
                answer = model.answer(body["messages"])
                if body.get("stream"):
                    self._stream(answer)
                else:
                    message = {"role": "assistant", "content": answer}
                    self._send({"choices": [{"index": 0, "message": message, "finish_reason": "stop"}], "usage": {}})

            def _send(self, value: Any) -> None:
                content = json.dumps(value).encode()
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def _stream(self, answer: str) -> None:
                self.send_response(200)
                self.send_header("Content-Type", "text/event-stream")
                self.end_headers()
                usage = {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}
                chunks: list[dict[str, Any]] = [
                    {"choices": [{"index": 0, "delta": {"role": "assistant", "content": answer}}]},
                    {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]},
                    {"choices": [], "usage": usage},
                ]
                try:
                    for chunk in chunks:
                        line = {"id": "c1", "object": "chat.completion.chunk", "model": "scripted", **chunk}
                        self.wfile.write(f"data: {json.dumps(line)}\n\n".encode())
                    self.wfile.write(b"data: [DONE]\n\n")
                except (BrokenPipeError, ConnectionResetError):
                    pass  # the client was killed meanwhile

        return Handler
