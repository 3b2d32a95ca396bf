"""The settings of the Telegram channel."""

from __future__ import annotations

import hashlib
import hmac
from typing import Annotated, Any, Literal

from pydantic import Field, SecretStr

from relay.config.errors import SettingsError
from relay.config.settings import Settings
from relay.config.types import BotToken, OneOf, Port, ProxyUrl, Url, WebhookSecret, Words

SIMULATED_BOT_TOKEN = "5150000000:SIMULATED-bot-token-of-the-try-out-mode"  # noqa: S105 (as above)


class TelegramSettings(Settings):
    """All settings that the Telegram channel reads: the common ones and its own."""

    telegram_server_port: Port = 8041
    """Port of the Telegram server."""
    telegram_bot_token: BotToken = None
    """Token from @BotFather."""
    telegram_mode: Annotated[Literal["polling", "webhook"], OneOf] = "polling"
    """How updates arrive."""
    telegram_webhook_secret: WebhookSecret = None
    """Secret token of the webhook, 1 to 256 of A-Z a-z 0-9 _ -; derived from the bot token when empty."""
    telegram_api_base_url: Url = "https://api.telegram.org"
    """Base URL of the Bot API; requests go to {base}/bot{token}/{method}."""
    telegram_proxy: ProxyUrl = None
    """Proxy through which Telegram is reached where it is blocked, such as socks5://127.0.0.1:1080."""
    telegram_poll_seconds: Annotated[int, Field(ge=0, le=50)] = 30
    """Timeout of one long poll."""
    telegram_messages_per_second: Annotated[int, Field(ge=1, le=1000)] = 30
    """Maximum number of messages a second to all chats together. Above 30 they are sent as paid broadcasts, which the
    bot must be allowed to make: Telegram charges 0.1 Stars for each message above 30 a second."""
    telegram_max_parts: Annotated[int, Field(ge=1, le=40)] = 10
    """Maximum number of messages per answer; the rest is cut off, with a note."""

    telegram_code_file_chars: Annotated[int, Field(ge=0, le=100_000)] = 6000
    """A block of code with more characters is sent as a file; 0: never."""

    telegram_streaming: Annotated[Literal["auto", "draft", "edit", "off"], OneOf] = "auto"
    """How an answer is shown while it is written: draft, as a draft in private chats; edit, in a message that grows;
    auto, as a draft in private chats and in a message that grows in groups; off, not at all."""

    telegram_buttons: bool = True
    """Whether buttons below an answer stop and continue it, or replace it by another, a shorter or a longer one."""

    telegram_triggers: Words = ("mention", "reply")
    """What the bot answers in a group besides its commands: mention, of its name; reply, to a message of its own;
    always, every message; any other word, or several, is a keyword: a message that contains it."""

    telegram_inline: bool = False
    """Whether the bot answers what people write behind its name in other chats; @BotFather must allow it (/setinline).
    Each pause of a second in the writing is a question, which counts for its writer."""

    telegram_admins: Words = ()
    """Chat ids of the people to whom /admin shows the numbers of the bot, in their private chats."""

    telegram_answer_tokens: Annotated[int, Field(ge=32, le=1_000_000)] = 2000
    """Maximum number of tokens of an answer; the model is asked for no more."""

    @property
    def proxied(self) -> dict[str, str]:
        if not self.telegram_proxy or self.simulated:
            return {}
        return {self.telegram_api_base_url: self.telegram_proxy}

    def secrets(self) -> list[str]:
        derived = [webhook_secret(self)] if self.telegram_bot_token else []
        return [*super().secrets(), *derived]

    def simulated_values(self) -> dict[str, Any]:
        return {
            **super().simulated_values(),
            "telegram_bot_token": SecretStr(SIMULATED_BOT_TOKEN),
            "telegram_api_base_url": self.simulator_url,
            "telegram_webhook_secret": None,
        }


def missing_credentials(settings: TelegramSettings) -> tuple[str, ...]:
    return () if settings.telegram_bot_token else ("telegram_bot_token",)


def bot_token(settings: TelegramSettings) -> str:
    """The bot's token, which begins with the bot's id and a colon. Raises SettingsError when there is none."""
    if settings.telegram_bot_token is None:
        raise SettingsError(
            "TELEGRAM_BOT_TOKEN is not set: write to @BotFather in Telegram, send /newbot, and put the token that it "
            "gives you into .env. To try everything without an account: python start_all_servers.py --demo"
        )
    return settings.telegram_bot_token.get_secret_value()


def webhook_secret(settings: TelegramSettings) -> str:
    """The X-Telegram-Bot-Api-Secret-Token of Telegram's webhooks: as set, or else derived from the bot token."""
    if settings.telegram_webhook_secret is not None:
        return settings.telegram_webhook_secret.get_secret_value()
    return hmac.new(bot_token(settings).encode(), b"telegram webhook", hashlib.sha256).hexdigest()
