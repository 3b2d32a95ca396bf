"""All settings with static types: the class that the registry composes has none for the channels' groups."""

from __future__ import annotations

from relay.channels.telegram.settings import TelegramSettings
from relay.channels.whatsapp.settings import WhatsAppSettings


class Settings(TelegramSettings, WhatsAppSettings):
    """The settings of the channels that the tests name; those of WhatsApp extend those of texts."""
