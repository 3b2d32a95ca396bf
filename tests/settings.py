"""All settings with static types: the class that the registry composes has none for the channels' groups."""

from __future__ import annotations

from relay.channels.sms.settings import SmsSettings
from relay.channels.telegram.settings import TelegramSettings


class Settings(TelegramSettings, SmsSettings):
    """The settings of the channels that the tests name."""
