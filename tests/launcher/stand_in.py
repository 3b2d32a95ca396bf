"""A small program that plays a server under the launcher: a port, GET /health, SIGTERM, and the lifeline on stdin.

A file named like the program with .mode at its end chooses how it behaves: refuse (exit 2), crash, stubborn,
unready (GET /ready is 503), or well.
"""

import json
import os
import signal
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

ME = Path(__file__)
PORT = {
    "llm_server": "LLM_SERVER_PORT",
    "sms_server": "SMS_SERVER_PORT",
    "telegram_server": "TELEGRAM_SERVER_PORT",
    "admin_server": "ADMIN_SERVER_PORT",
    "simulator": "SIMULATOR_PORT",
}


class Health(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(503 if mode == "unready" and self.path == "/ready" else 200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (the name is the base class's)
        pass


def log(text: str) -> None:
    print(text, flush=True)  # noqa: T201 (this is what the launcher shows)


def stop(*_: object) -> None:
    log("asked to stop")
    if mode != "stubborn":
        os._exit(0)


def watch_lifeline() -> None:
    os.read(0, 1)
    os._exit(1)


mode_file = ME.with_suffix(".mode")
mode = mode_file.read_text().strip() if mode_file.exists() else ""
if mode == "refuse":
    log("there is no setting called SMS_SERVR_PORT")
    sys.exit(2)
if mode == "crash":
    sys.exit("crashing")
signal.signal(signal.SIGTERM, stop)
if os.environ.get("RELAY_SUPERVISED") == "1":
    threading.Thread(target=watch_lifeline, daemon=True).start()
port = int(os.environ.get(PORT[ME.stem]) or json.loads(Path("config.json").read_text())[PORT[ME.stem].lower()])
log(f"pid {os.getpid()} simulated {os.environ.get('SIMULATED')}")
ThreadingHTTPServer(("127.0.0.1", port), Health).serve_forever()
