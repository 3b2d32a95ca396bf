"""The description of the SMS channel for the rest of the product."""

from __future__ import annotations

from relay.channels.sms.settings import SmsSettings, missing_credentials
from relay.channels.spec import ChannelSpec, Push, Row, Setup, checks_in, function_in, offered_by, planned_by
from relay.core.messages import Platform

SMS = Platform("sms")
WEBHOOK_PATH = "/sms/webhook"
RETRIES = "#rc=3&rp=all"
"""Makes Twilio repeat a webhook or callback after every failure; by default a lost one is not repeated:
https://www.twilio.com/docs/usage/webhooks/webhooks-connection-overrides"""


def _addresses(settings: SmsSettings) -> list[Row]:
    number = settings.twilio_phone_number or f"a number of {settings.twilio_messaging_service_sid}"
    if settings.public_url:
        webhook = f"{settings.public_url}{WEBHOOK_PATH}{RETRIES}"
    else:
        here = CHANNEL.url(settings)
        webhook = f"{here}{WEBHOOK_PATH}, which Twilio cannot reach: start with --tunnel, or set public_url"
    return [("text to", number), ("Twilio's webhook", webhook)]


CHANNEL = ChannelSpec(
    platform=SMS,
    title="SMS",
    about="People text a number, and an AI answers.",
    colour="green",
    settings=SmsSettings,
    chapter=(
        "SMS",
        "From the first page of Twilio's console. [SMS_SETUP_GUIDE.md](SMS_SETUP_GUIDE.md) explains how.",
    ),
    missing=missing_credentials,
    address_key="phone_number",
    address_help="A phone number, preferably as +12345678900.",
    message_help="Plain text; it is sent unchanged.",
    module="sms_server",
    port_key="sms_server_port",
    addresses=_addresses,
    check=checks_in("relay.channels.sms.checks"),
    setup=Setup(
        {
            "twilio_account_sid": "Account SID",
            "twilio_auth_token": "Auth token",
            "twilio_phone_number": "Number",
        },
        "All three are on the first page of Twilio's console. Without the number, those of your account are listed.",
        offer=offered_by("relay.channels.sms.connecting"),
        connect=checks_in("relay.channels.sms.connecting", "connect"),
    ),
    push=Push(
        WEBHOOK_PATH,
        "relay.channels.sms.connecting",
        "Twilio",
        lambda settings: settings.twilio_api_base_url,
        (
            *("twilio_account_sid", "twilio_auth_token", "twilio_api_key_sid", "twilio_api_key_secret"),
            *("twilio_phone_number", "twilio_other_numbers", "twilio_messaging_service_sid"),
            *("twilio_api_base_url", "sms_server_port"),
        ),
    ),
    plan_by_hand=planned_by("relay.channels.sms.by_hand"),
    simulated_as="an SMS phone",
    receipt_keys=("id", "state", "segments"),
    segment_usd=lambda settings: settings.sms_segment_usd,
    text_usd=function_in("relay.channels.sms.prices", "text_usd"),
    caps=lambda settings: settings.spending_caps,
    broadcast_per_second=function_in("relay.channels.sms.throughput", "broadcasts_per_second"),
    time_zones=function_in("relay.channels.sms.time_zones", "time_zones"),
    max_answer_tokens=lambda settings: settings.sms_answer_tokens,
    media_key="media_urls",
)
