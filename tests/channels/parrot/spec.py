"""What the rest of the product knows of the parrot channel, which the echo server hosts."""

from __future__ import annotations

from relay.channels.echo.spec import CHANNEL as ECHO

from relay.channels.spec import ChannelSpec
from relay.config.settings import Settings
from relay.core.messages import Platform

PARROT = Platform("parrot")

CHANNEL = ChannelSpec(
    platform=PARROT,
    title="Parrot",
    about="Birds post messages, and a parrot answers.",
    colour="white",
    settings=Settings,
    chapter=("Parrot", "Served by the echo server."),
    missing=lambda settings: () if settings.echo_url else ("echo_url",),
    address_key="bird",
    address_help="The name under which a caller has written.",
    message_help="Plain text; it is sent unchanged.",
    module="relay.channels.parrot.server",
    host=ECHO,
)
