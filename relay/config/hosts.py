"""Addresses of hosts: which are this machine's own, and how programs on this machine reach a server."""

from __future__ import annotations

import functools
import ipaddress


@functools.lru_cache(maxsize=256)  # few distinct hosts, looked up on every request
def is_loopback(host: str | None) -> bool:
    """Whether a name or an address is one of this machine's own; IPv4 in IPv6 too."""
    if host is None:
        return False
    name = host.strip("[]").lower()
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        address = ipaddress.ip_address(name)
    except ValueError:
        return False
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return (mapped or address).is_loopback


def local_url(bind_host: str, port: int) -> str:
    """The URL under which programs on this machine reach a server that listens on `bind_host`."""
    host = reachable(bind_host)
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def reachable(bind_host: str) -> str:
    """The address under which programs on this machine reach a server that listens on `bind_host`."""
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(bind_host, bind_host)  # noqa: S104 (compared)
