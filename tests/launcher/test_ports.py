"""A port that is taken is named, with the program that has it, before anything starts."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Callable

import pytest

from relay.launcher.plan import Program
from relay.launcher.ports import port_problems, why_closed


def test_a_free_port_is_no_problem(free_port: Callable[[], int]) -> None:
    """Nothing to say about it."""
    assert port_problems([Program("sms", "sms_server", free_port(), "sms_server_port")]) == []


def test_a_port_in_use_is_named_with_its_process_and_the_setting_that_moves_us() -> None:
    """The process is another one, started for this."""
    listen = "import socket; s = socket.create_server(('127.0.0.1', 0)); print(s.getsockname()[1], flush=True); input()"
    with subprocess.Popen([sys.executable, "-c", listen], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout
        port = int(other.stdout.readline())
        [sentence] = port_problems([Program("sms", "sms_server", port, "sms_server_port")])
        other.kill()
    assert sentence.startswith(f"sms cannot use port {port}: it is in use by python")
    assert f"(process {other.pid})" in sentence
    assert "set SMS_SERVER_PORT to another number" in sentence


def test_the_arguments_of_the_other_process_stay_unsaid() -> None:
    """They may hold a user's password."""
    listen = "import socket; s = socket.create_server(('127.0.0.1', 0)); print(s.getsockname()[1], flush=True); input()"
    command = [sys.executable, "-c", listen, "--password=hunter2"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout
        reason = why_closed("127.0.0.1", int(other.stdout.readline()))
        other.kill()
    assert reason is not None
    assert "hunter2" not in reason


@pytest.mark.parametrize("bind_host", ["192.0.2.1", "no such host"])
def test_an_address_that_is_not_ours_is_said_to_be_so(bind_host: str, free_port: Callable[[], int]) -> None:
    """192.0.2.0/24 belongs to documents, to no machine."""
    assert why_closed(bind_host, free_port()) == f"bind_host {bind_host} is not an address of this machine"


def test_the_advice_fits_what_is_wrong() -> None:
    """Nothing can be stopped where the address is the mistake."""
    [sentence] = port_problems([Program("sms", "sms_server", 8040, "sms_server_port", "192.0.2.1")])
    assert sentence.endswith(
        "is not an address of this machine. Set bind_host to one of its addresses; 127.0.0.1 suits most."
    )


def test_a_port_that_only_waits_for_old_connections_to_fade_is_free() -> None:
    """A restart right after a stop must not be refused."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)) as client:
            accepted, _ = server.accept()
            accepted.close()
            client.recv(1)
    assert why_closed("127.0.0.1", port) is None
