"""The description of the Telegram channel for the rest of the product."""

from __future__ import annotations

from typing import Annotated

from pydantic import BeforeValidator

from relay.channels.spec import ChannelSpec, Push, Setup, checks_in, function_in, planned_by
from relay.channels.telegram.reasons import REASONS
from relay.channels.telegram.settings import TelegramSettings, missing_credentials
from relay.core.messages import Platform

TELEGRAM = Platform("telegram")
WEBHOOK_PATH = "/telegram/webhook"
BROADCAST_PER_SECOND = 20.0
"""Of the 30 that Telegram allows a bot: https://core.telegram.org/bots/faq#broadcasting-to-users"""


GROUP_PREFIX = "-"


def is_group(chat: str) -> bool:
    """https://core.telegram.org/bots/api#chat: groups have negative ids."""
    return chat.startswith(GROUP_PREFIX)


def _as_text(value: object) -> str:
    """A chat id as text; JSON numbers are accepted, but true and 1.5 are no chats."""
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise ValueError("must be a whole number")  # noqa: TRY004 (what pydantic turns into a sentence)
    return str(value)


CHANNEL = ChannelSpec(
    platform=TELEGRAM,
    title="Telegram",
    about="People message a Telegram bot, and an AI answers.",
    colour="blue",
    settings=TelegramSettings,
    chapter=(
        "Telegram",
        "The token alone is enough. [TELEGRAM_SETUP_GUIDE.md](TELEGRAM_SETUP_GUIDE.md) explains how.",
    ),
    missing=missing_credentials,
    address_key="chat_id",
    address_help="A chat that the bot knows: a number, as JSON number or text.",
    message_help="Markdown; formatted and split like the answers of the model.",
    address_type=Annotated[str, BeforeValidator(_as_text)],
    topic_key="message_thread_id",
    module="telegram_server",
    port_key="telegram_server_port",
    addresses=lambda _: [("Telegram", "write to your bot")],
    check=checks_in("relay.channels.telegram.checks"),
    setup=Setup(
        {"telegram_bot_token": "Bot token"},
        "Write to @BotFather in Telegram, send /newbot, and copy the token that it gives you.",
    ),
    push=Push(
        WEBHOOK_PATH,
        "relay.channels.telegram.connecting",
        "Telegram",
        lambda settings: settings.telegram_api_base_url,
        (
            *("telegram_bot_token", "telegram_mode", "telegram_webhook_secret", "telegram_api_base_url"),
            *("telegram_proxy", "telegram_server_port"),
        ),
        needed=lambda settings: settings.telegram_mode == "webhook",
    ),
    plan_by_hand=planned_by("relay.channels.telegram.by_hand"),
    quote=function_in("relay.core.markdown_source", "escape_markdown"),
    has_replies=True,
    reasons=REASONS,
    simulated_as="a Telegram chat",
    broadcast_per_second=lambda _: BROADCAST_PER_SECOND,
    group_prefix=GROUP_PREFIX,
    max_answer_tokens=lambda settings: settings.telegram_answer_tokens,
)
