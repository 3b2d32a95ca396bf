"""Plays cloudflared or ngrok, whichever its file is called: prints what that prints, and forwards TCP to the server.

A file named like the program with .mode at its end chooses how it behaves: refuse (no address, status 1), silent (runs
without naming one), or well. The addresses are of this machine; .addresses has one line for each start.
"""

import json
import os
import socket
import sys
import threading
import time
from urllib.parse import urlsplit

HERE = os.path.abspath(__file__)  # noqa: PTH100 (as the launcher's other stand-in: pathlib takes long to import)
NAME = os.path.basename(HERE)  # noqa: PTH119
TARGET = urlsplit(next(word for word in sys.argv if word.startswith("http://")))
FRAME = "+" + "-" * 92 + "+"


def read(file: str) -> str:
    try:
        with open(f"{HERE}.{file}") as found:  # noqa: PTH123
            return found.read().strip()
    except FileNotFoundError:
        return ""


def log(line: str) -> None:
    print(line, flush=True, file=sys.stdout if NAME == "ngrok" else sys.stderr)


def inf(text: str, level: str = "INF") -> None:
    log(f"2026-11-28T00:00:00Z {level} {text}")


def announce(address: str) -> None:
    if NAME == "ngrok":
        log(json.dumps({"lvl": "info", "msg": "starting web service", "addr": "127.0.0.1:4040"}))
        entry = {"addr": TARGET.geturl(), "lvl": "info", "msg": "started tunnel", "name": "command_line"}
        log(json.dumps({**entry, "obj": "tunnels", "t": "2026-11-28T00:00:00Z", "url": address}))
        return
    inf(FRAME)
    inf(f"|  {'Your quick Tunnel has been created! Visit it at (it may take some time to be reachable):':<90}|")
    inf(f"|  {address:<90}|")
    inf(FRAME)
    inf("Registered tunnel connection connIndex=0 protocol=quic")


def refuse() -> None:
    if NAME == "ngrok":
        log("ERROR:  authentication failed: Usage of ngrok requires a verified account and authtoken.")
        log("ERROR:  ERR_NGROK_4018")
    else:
        inf("Requesting new quick Tunnel on trycloudflare.com...")
        inf('failed to request quick Tunnel: Post "https://api.trycloudflare.com/tunnel": EOF', "ERR")
    sys.exit(1)


def copy(source: socket.socket, sink: socket.socket) -> None:
    try:
        while data := source.recv(65_536):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)
    except OSError:
        pass


def forward(client: socket.socket) -> None:
    with client:
        try:
            server = socket.create_connection((TARGET.hostname, TARGET.port))
        except OSError:
            client.sendall(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            return
        with server:
            back = threading.Thread(target=copy, args=(server, client), daemon=True)
            back.start()
            copy(client, server)
            back.join()


mode = read("mode")
if mode == "refuse":
    refuse()
if mode == "silent":
    time.sleep(3600)
with socket.create_server(("127.0.0.1", 0)) as tunnel:
    address = f"http://127.0.0.1:{tunnel.getsockname()[1]}"
    with open(f"{HERE}.addresses", "a") as file:  # noqa: PTH123
        file.write(f"{os.getpid()} {address} {' '.join(sys.argv[1:])}\n")
    announce(address)
    while True:
        threading.Thread(target=forward, args=tunnel.accept()[:1], daemon=True).start()
