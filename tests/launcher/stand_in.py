"""A small program that plays a server under the launcher: a port, GET /health, SIGTERM, and the lifeline on stdin.

A file named like the program with .mode at its end chooses how it behaves: refuse (exit 2), crash, stubborn,
unready (GET /ready is 503), or well.
"""

import os
import signal
import socket
import sys
import threading

# Sixty of these are started by the tests, so what takes long to import (pathlib, json, http.server) is left out.
NAME = os.path.splitext(os.path.basename(__file__))[0]  # noqa: PTH119, PTH122
PORT = {
    "llm_server": "LLM_SERVER_PORT",
    "sms_server": "SMS_SERVER_PORT",
    "telegram_server": "TELEGRAM_SERVER_PORT",
    "admin_server": "ADMIN_SERVER_PORT",
    "simulator": "SIMULATOR_PORT",
}


def answer(client: socket.socket) -> None:
    """Answer one request of any path, and close the connection."""
    with client:
        asked = client.recv(4096)
        status = b"503 Not" if mode == "unready" and asked.startswith(b"GET /ready ") else b"200 OK"
        client.sendall(b"HTTP/1.1 " + status + b"\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")


def log(text: str) -> None:
    print(text, flush=True)  # noqa: T201 (this is what the launcher shows)


def stop(*_: object) -> None:
    log("asked to stop")
    if mode != "stubborn":
        os._exit(0)


def watch_lifeline() -> None:
    os.read(0, 1)
    os._exit(1)


def read(file: str) -> str:
    """The content of a file beside this one; nothing if it is not there."""
    try:
        with open(os.path.join(os.path.dirname(__file__), file)) as found:  # noqa: PTH118, PTH120, PTH123
            return found.read()
    except FileNotFoundError:
        return ""


def chosen_port() -> int:
    """The port of the environment, or else of the settings in the folder of the launcher."""
    if given := os.environ.get(PORT[NAME]):
        return int(given)
    import json  # noqa: PLC0415

    with open("config.json") as settings:  # noqa: PTH123
        return int(json.load(settings)[PORT[NAME].lower()])


mode = read(f"{NAME}.mode").strip()
if mode == "refuse":
    log("there is no setting called SMS_SERVR_PORT")
    sys.exit(2)
if mode == "crash":
    sys.exit("crashing")
signal.signal(signal.SIGTERM, stop)
if os.environ.get("RELAY_SUPERVISED") == "1":
    threading.Thread(target=watch_lifeline, daemon=True).start()
port = chosen_port()
log(f"pid {os.getpid()} simulated {os.environ.get('SIMULATED')}")
with socket.create_server(("127.0.0.1", port)) as server:
    while True:
        threading.Thread(target=answer, args=server.accept()[:1], daemon=True).start()
