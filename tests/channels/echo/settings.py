"""The settings of the echo channel."""

from __future__ import annotations

from relay.config.settings import Settings
from relay.config.types import OptionalUrl, Port


class EchoSettings(Settings):
    """All settings that the echo channel reads: the common ones and its own."""

    echo_server_port: Port = 8044
    """Port of the echo server."""
    echo_url: OptionalUrl = None
    """Where answers are posted as JSON."""


def missing_credentials(settings: EchoSettings) -> tuple[str, ...]:
    return () if settings.echo_url else ("echo_url",)
