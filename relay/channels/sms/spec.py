"""What the rest of the product knows of the SMS channel."""

from __future__ import annotations

from relay.channels.spec import ChannelSpec
from relay.core.messages import Platform

SMS = Platform("sms")
CHANNEL = ChannelSpec(platform=SMS, title="SMS", address_key="phone_number", receipt_keys=("id", "state", "segments"))
