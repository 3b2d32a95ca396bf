"""The parser of HTTP/1.1 requests: httptools', which an Upgrade does not end.

No server of ours changes protocols, so Upgrade is ignored (RFC 9110, 7.8). httptools would stop behind such a head and
leave out its body; what follows would count as a request of its own, which a stranger could write: it would lack the
headers that a proxy adds. Java's client asks for HTTP/2 with the first request of each connection, body or not.
"""

from __future__ import annotations

from typing import Any

import httptools


class RequestParser(httptools.HttpRequestParser):
    """Calls `protocol` as httptools does, but twice up to the end of the headers when a request has an Upgrade.

    The first time `should_upgrade` is true, and the protocol has to leave the message alone. Its `head_without_upgrade`
    is what is parsed the second time.
    """

    def __init__(self, protocol: Any) -> None:
        super().__init__(protocol)
        self._protocol = protocol
        self.set_dangerous_leniencies(lenient_data_after_close=True)  # as uvicorn does

    def feed_data(self, data: bytes) -> None:  # type: ignore[override]  # (asyncio delivers bytes)
        """Parse the next bytes. Raises httptools.HttpParserError."""
        while True:
            try:
                super().feed_data(data)
            except httptools.HttpParserUpgrade as upgrade:
                data = self._protocol.head_without_upgrade() + data[upgrade.args[0] :]
                self.__init__(self._protocol)  # type: ignore[misc]  # (the library's way to begin anew)
            else:
                return
