"""The channels of this product. A new one is a folder beside this file and a line here."""

from __future__ import annotations

from importlib import import_module
from typing import Annotated

from pydantic import AfterValidator

from relay.channels.spec import ChannelSpec
from relay.config.loading import compose
from relay.config.settings import S, Settings
from relay.core.messages import Platform

FOLDERS = (
    "sms",
    "whatsapp",
    "telegram",
)
"""The folders of the channels, in the order in which they are started and shown."""

CHANNELS: tuple[ChannelSpec, ...] = tuple(import_module(f"relay.channels.{name}.spec").CHANNEL for name in FOLDERS)
PLATFORMS = tuple(channel.platform for channel in CHANNELS)
BY_PLATFORM = {channel.platform: channel for channel in CHANNELS}


def _known(platform: Platform) -> Platform:
    if platform not in BY_PLATFORM:
        raise ValueError(f"must be one of {', '.join(BY_PLATFORM)}")
    return platform


KnownPlatform = Annotated[Platform, AfterValidator(_known)]
"""A platform in a request, refused unless a channel has it."""

AllSettings = compose(channel.settings for channel in CHANNELS)
"""The settings of the whole product."""


def served(settings: Settings) -> tuple[ChannelSpec, ...]:
    """The channels that people use with these settings: a hosted one without credentials was never wanted."""
    return tuple(channel for channel in CHANNELS if channel.host is None or not channel.missing(settings))


def has_any_credential(settings: Settings) -> bool:
    """Whether any channel is configured, be it in part: then nothing is ever simulated silently."""
    unset = type(settings)()
    return any(channel.missing(settings) != channel.missing(unset) for channel in CHANNELS)


def settings_as(group: type[S]) -> type[S]:
    """AllSettings, typed as the settings of one channel."""
    if not issubclass(AllSettings, group):
        raise TypeError(f"{group.__name__} belongs to no channel of the registry")
    return AllSettings
