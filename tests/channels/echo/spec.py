"""What the rest of the product knows of the echo channel."""

from __future__ import annotations

from relay.channels.echo.settings import EchoSettings, missing_credentials

from relay.channels.spec import ChannelSpec, Row
from relay.core.messages import Platform

ECHO = Platform("echo")


def _addresses(settings: EchoSettings) -> list[Row]:
    return [("Echo webhook", f"{CHANNEL.url(settings)}/echo/webhook")]


CHANNEL = ChannelSpec(
    platform=ECHO,
    title="Echo",
    about="Programs post messages, and an AI answers.",
    colour="red",
    settings=EchoSettings,
    chapter=("Echo", "Messages come and go as JSON over HTTP."),
    missing=missing_credentials,
    address_key="caller",
    address_help="The name under which a caller has written.",
    message_help="Plain text; it is sent unchanged.",
    module="relay.channels.echo.server",
    port_key="echo_server_port",
    addresses=_addresses,
)
