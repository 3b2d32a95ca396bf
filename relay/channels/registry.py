"""The channels of this product. A new one is a folder beside this file and a line here."""

from __future__ import annotations

from importlib import import_module

from relay.channels.spec import ChannelSpec

FOLDERS = (
    "sms",
    "telegram",
)
"""The folders of the channels, in the order in which they are started and shown."""

CHANNELS: tuple[ChannelSpec, ...] = tuple(import_module(f"relay.channels.{name}.spec").CHANNEL for name in FOLDERS)
PLATFORMS = tuple(channel.platform for channel in CHANNELS)
