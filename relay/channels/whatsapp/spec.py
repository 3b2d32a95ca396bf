"""The description of the WhatsApp channel for the rest of the product."""

from __future__ import annotations

from relay.channels.sms.spec import CHANNEL as SMS
from relay.channels.spec import ChannelSpec, Setup, checks_in, function_in, planned_by
from relay.channels.whatsapp.settings import WhatsAppSettings, missing
from relay.core.messages import Platform

WHATSAPP = Platform("whatsapp")
"""Also the scheme of Twilio's addresses: "whatsapp:+12345678900"."""

BROADCAST_PER_SECOND = 20.0
"""Of the 80 that a sender may send: https://www.twilio.com/docs/whatsapp/api#rate-limits"""

REPLY_SECONDS = 86_400.0
"""Later only templates may be sent: https://www.twilio.com/docs/whatsapp/key-concepts#customer-service-windows"""

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
    check=checks_in("relay.channels.whatsapp.checks"),
    setup=Setup(
        {"whatsapp_number": "WhatsApp number"},
        "It uses the account of the SMS step, and comes in at the same webhook. Twilio's console lists your numbers "
        "under Messaging, Senders, WhatsApp; to try it out, take that of the sandbox: +14155238886.",
    ),
    segment_usd=lambda settings: settings.whatsapp_message_usd,
    text_usd=lambda settings, _: settings.whatsapp_message_usd,
    broadcast_per_second=lambda _: BROADCAST_PER_SECOND,
    reply_seconds=REPLY_SECONDS,
    time_zones=SMS.time_zones,
    plan_by_hand=planned_by("relay.channels.whatsapp.by_hand"),
    quote=function_in("relay.core.markdown_source", "escape_markdown"),
    max_answer_tokens=lambda settings: settings.whatsapp_answer_tokens,
    media_key="media_urls",
)
