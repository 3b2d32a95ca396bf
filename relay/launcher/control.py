"""The launcher's control socket: a Unix socket in the settings folder that only its owner may open.

A request is one line, "reload"; the response is one JSON object: what the changed settings restart, or why they are
refused. Where the system has no Unix sockets, or the folder takes none, the settings take effect at the next start.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import socketserver
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

FILE = "launcher.sock"
_SECONDS = 10.0
_MAX_BYTES = 100_000

Reload = Callable[[], dict[str, Any]]


class NoLauncherError(Exception):
    """No launcher of the folder can be reached."""


def serve_control(folder: Path, reload: Reload) -> Callable[[], None]:
    """Answer requests in a thread until the returned function is called. Raises OSError, also without Unix sockets.

    The caller holds the lock of the folder, so a socket that lies there is that of a launcher that was killed.
    """

    class Request(socketserver.StreamRequestHandler):
        timeout = _SECONDS

        def handle(self) -> None:
            with contextlib.suppress(OSError):
                known = self.rfile.readline(_MAX_BYTES).strip() == b"reload"
                response = reload() if known else {"error": 'the only request is "reload"'}
                self.wfile.write(json.dumps(response).encode() + b"\n")

    if not hasattr(socketserver, "UnixStreamServer"):
        raise OSError("this system has no Unix sockets")
    with contextlib.chdir(folder):  # the path of a socket may have about 100 bytes only
        Path(FILE).unlink(missing_ok=True)
        server = socketserver.UnixStreamServer(FILE, Request, bind_and_activate=False)
        server.server_bind()
        os.chmod(FILE, 0o600)  # noqa: PTH101 (relative, as above)
        server.server_activate()  # no connection is accepted before
    threading.Thread(target=server.serve_forever, args=(0.2,), daemon=True).start()

    def close() -> None:
        server.shutdown()
        server.server_close()
        with contextlib.suppress(OSError):
            (folder / FILE).unlink()

    return close


def request_reload(folder: Path) -> dict[str, Any]:
    """Have the launcher of the folder put changed settings into force; returns its response.

    {"restarted": names of servers, "stopped": ..., "simulated": bool, "left_out": [[name, reason]]} or {"error": ...}.
    Raises NoLauncherError.
    """
    try:
        with contextlib.closing(_connected(folder)) as connection, connection.makefile("rwb") as file:
            file.write(b"reload\n")
            file.flush()
            response = json.loads(file.readline(_MAX_BYTES))
    except (OSError, ValueError, AttributeError):  # no AF_UNIX on Windows
        raise NoLauncherError from None
    return response if isinstance(response, dict) else {}


def _connected(folder: Path) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connection.settimeout(_SECONDS)
        connection.connect(os.path.relpath(folder / FILE))
    except BaseException:
        connection.close()
        raise
    return connection
