"""Notifications to systemd: where they go, and how often."""

from __future__ import annotations

import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from relay.launcher.systemd import BEATS, ServiceManager

SECONDS = 30


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture(params=["path", "@abstract"])
def manager(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[str, socket.socket]]:
    """The address and the socket of a service manager."""
    if request.param == "@abstract" and sys.platform != "linux":
        pytest.skip("only Linux has abstract names")
    address = f"@{tmp_path}" if request.param == "@abstract" else str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind(address.replace("@", "\0", 1))
        receiver.setblocking(False)
        yield address, receiver


def received(receiver: socket.socket) -> list[bytes]:
    found = []
    while True:
        try:
            found.append(receiver.recv(4096))
        except BlockingIOError:
            return found


def test_messages_arrive(manager: tuple[str, socket.socket]) -> None:
    """At a path and at an abstract name; the variables are not left for the servers."""
    address, receiver = manager
    environ = {"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "1", "WATCHDOG_PID": "1", "PATH": "/bin"}
    ServiceManager(environ, Clock()).notify("READY=1")
    assert received(receiver) == [b"READY=1"]
    assert environ == {"PATH": "/bin"}


def test_a_stall_of_most_of_the_watchdogs_time_is_survived(manager: tuple[str, socket.socket]) -> None:
    """Called five times a second, it sends one message in each tenth of the time."""
    address, receiver = manager
    clock = Clock()
    service = ServiceManager({"NOTIFY_SOCKET": address, "WATCHDOG_USEC": str(SECONDS * 1_000_000)}, clock)
    sent = 0
    for _ in range(5 * SECONDS):
        service.heartbeat()
        sent += len(received(receiver))
        clock.now += 0.2
    assert sent == BEATS


@pytest.mark.parametrize("address", ["", "/nowhere/notify", "@" + "x" * 200, "vsock:2:1", "\0", "x\0y"])
def test_an_address_that_cannot_be_reached_is_no_error(address: str) -> None:
    """Nor is the absence of a service manager."""
    service = ServiceManager({"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "1000000"}, Clock())
    service.notify("READY=1")
    service.heartbeat()
