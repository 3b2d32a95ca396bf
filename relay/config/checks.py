"""What a check of the configuration found, and the check whether something answers at an address."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from urllib.parse import urlsplit

_LOOPBACK_NAMES = {"127.0.0.1", "localhost", "::1"}


class Severity(StrEnum):
    """How a finding is shown; only a problem keeps the product from running."""

    FINE = "ok"
    NOTE = "note"
    PROBLEM = "PROBLEM"


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of one check. what: its subject; text: one sentence, with the remedy of a problem."""

    severity: Severity
    what: str
    text: str


def connection(what: str, url: str, default_port: int, otherwise: Severity) -> Finding:
    """Whether a TCP connection to the URL is accepted. Only host and port are shown: a URL may hold a password."""
    parts = urlsplit(url)
    host, port = parts.hostname or "localhost", parts.port or default_port
    try:
        socket.create_connection((host, port), timeout=3).close()
    except OSError as error:
        reason = error.strerror or str(error)
        return Finding(otherwise, what, f"nothing answers at {host}:{port} ({reason}). Is it running?")
    return Finding(Severity.FINE, what, f"something answers at {host}:{port}")


def local_connection(what: str, url: str | None) -> Iterator[Finding]:
    """The same for a URL on this machine; servers on the internet are checked by /ready only."""
    if url and urlsplit(url).hostname in _LOOPBACK_NAMES:
        yield connection(what, url, 80, Severity.NOTE)
