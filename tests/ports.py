"""Free ports for servers that are told where to listen: reserved, so that no other process gets them meanwhile."""

from __future__ import annotations

import socket


class Ports:
    """Ports of loopback on which nothing listens. Until they are given back, the system gives them to no program that
    asks for just any port, not even while the server that listens there is down.

    A socket is bound to each and does not listen. Servers that set SO_REUSEADDR, as all of ours do, may listen there.
    """

    def __init__(self) -> None:
        self._holders: list[socket.socket] = []

    def take(self) -> int:
        holder = socket.socket()
        self._holders.append(holder)
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        holder.bind(("127.0.0.1", 0))
        port: int = holder.getsockname()[1]
        return port

    def give_back(self) -> None:
        while self._holders:
            self._holders.pop().close()
