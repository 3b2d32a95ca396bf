"""What the rest of the product knows of the Telegram channel."""

from __future__ import annotations

from relay.channels.spec import ChannelSpec
from relay.core.messages import Platform

TELEGRAM = Platform("telegram")
CHANNEL = ChannelSpec(platform=TELEGRAM, title="Telegram", address_key="chat_id")
