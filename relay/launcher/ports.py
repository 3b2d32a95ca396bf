"""Finds out which ports are free, and which process uses one that is not."""

from __future__ import annotations

import errno
import socket
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import psutil

from relay.launcher.plan import Program

_IN_USE = "it is in use"

PORT_WAIT_SECONDS = 5.0
"""How long a start waits for ports that are in use."""


def wait_for_ports(programs: Sequence[Program], note: Callable[[str], None]) -> bool:
    """Wait until no port of the programs is in use, at most PORT_WAIT_SECONDS; whether one still is.

    note: called with each port's problem before the wait.
    """
    for problem in in_use(programs):
        note(problem)
    end = time.monotonic() + PORT_WAIT_SECONDS
    while in_use(programs):
        if time.monotonic() >= end:
            return True
        time.sleep(0.1)  # another process: there is no event to await
    return False


def in_use(programs: Sequence[Program]) -> list[str]:
    """A sentence for each program whose port is in use, which may pass by itself."""
    return [problem for problem in port_problems(programs) if f": {_IN_USE}" in problem]


def port_problems(programs: Sequence[Program]) -> list[str]:
    """One sentence for each program whose port cannot be opened."""
    return [
        f"{program.name} cannot use port {program.port}: {reason}. {_advice(program, reason)}"
        for program in programs
        if (reason := why_closed(program.bind_host, program.port)) is not None
    ]


def _advice(program: Program, reason: str) -> str:
    if reason.startswith("bind_host"):
        return "Set bind_host to one of its addresses; 127.0.0.1 suits most."
    move = f"set {program.port_key.upper()} to another number."
    return f"Stop that, or {move}" if reason.startswith(_IN_USE) else "S" + move[1:]


def why_closed(bind_host: str, port: int) -> str | None:
    """None when a server can listen there, else the reason as text."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            bind_host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except OSError:
        return f"bind_host {bind_host} is not an address of this machine"
    with socket.socket(family, kind, protocol) as probe:
        # As the servers do: a port with connections in TIME_WAIT may be opened again. Windows has an option of its own;
        # there, SO_REUSEADDR would let two servers listen on one port.
        probe.setsockopt(socket.SOL_SOCKET, getattr(socket, "SO_EXCLUSIVEADDRUSE", socket.SO_REUSEADDR), 1)
        try:
            probe.bind(address)
            # Two sockets may be bound to a port with SO_REUSEADDR as long as neither listens.
            probe.listen(1)
        except OSError as error:
            if error.errno == errno.EADDRINUSE or getattr(error, "winerror", None) in {10013, 10048}:
                return f"{_IN_USE} by {owner_of(port) or 'another process'}"
            if error.errno == errno.EADDRNOTAVAIL:
                return f"bind_host {bind_host} is not an address of this machine"
            if error.errno == errno.EACCES:
                return "this user may not open it (ports below 1024 need special permissions)"
            return error.strerror or str(error)
    return None


def owner_of(port: int) -> str | None:
    """Name, script and id of the process that listens on a port; None when the system does not reveal it."""
    try:
        connections = psutil.net_connections(kind="tcp")
    except (psutil.Error, OSError):
        return None
    for connection in connections:
        if connection.status == psutil.CONN_LISTEN and connection.pid and connection.laddr[1:2] == (port,):
            return _describe(connection.pid)
    return None


def _describe(pid: int) -> str:
    """Name and id, with the script of an interpreter; other arguments are left out, they may hold secrets."""
    try:
        process = psutil.Process(pid)
        scripts = [Path(word).name for word in process.cmdline()[1:3] if word.endswith(".py")]
        return " ".join([process.name(), *scripts, f"(process {pid})"])
    except psutil.Error:
        return f"process {pid}"
