"""What a check of the configuration found, and the check whether something answers at an address."""

from __future__ import annotations

import socket
from dataclasses import dataclass
from enum import StrEnum
from urllib.parse import urlsplit


class Severity(StrEnum):
    """How a finding is shown; only a problem keeps the product from running."""

    FINE = "ok"
    NOTE = "note"
    PROBLEM = "PROBLEM"


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of one check. what: its subject; text: one sentence, with the remedy of a problem.

    channel: the title of the only channel that it concerns; empty: it concerns everything.
    """

    severity: Severity
    what: str
    text: str
    channel: str = ""


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
