"""The description of the WhatsApp channel for the rest of the product."""

from __future__ import annotations

from relay.channels.sms.spec import CHANNEL as SMS
from relay.channels.spec import ChannelSpec
from relay.channels.whatsapp.settings import WhatsAppSettings, missing
from relay.core.messages import Platform

WHATSAPP = Platform("whatsapp")
"""Also the scheme of Twilio's addresses: "whatsapp:+12345678900"."""

CHANNEL = ChannelSpec(
    platform=WHATSAPP,
    title="WhatsApp",
    about="People write to a WhatsApp number, and an AI answers.",
    colour="cyan",
    settings=WhatsAppSettings,
    chapter=(
        "WhatsApp",
        "Served by the SMS server at the same webhook. [SMS_SETUP_GUIDE.md](SMS_SETUP_GUIDE.md#whatsapp) explains how.",
    ),
    missing=missing,
    address_key="whatsapp_id",
    address_help="The person's number as +12345678900, or Twilio's identifier of a person without one.",
    message_help="Markdown; formatted and split like the answers of the model.",
    module="relay.channels.whatsapp.server",
    host=SMS,
    segment_usd=lambda settings: settings.whatsapp_message_usd,
    max_answer_tokens=lambda settings: settings.whatsapp_answer_tokens,
    media_key="media_urls",
)
