"""The settings of the Telegram channel."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import Field, SecretStr, model_validator

from relay.config.settings import Settings
from relay.config.types import BotToken, OneOf, Port, Secret, Url

SIMULATED_BOT_TOKEN = "5150000000:SIMULATED-bot-token-of-the-try-out-mode"  # noqa: S105 (as above)


class TelegramSettings(Settings):
    """All settings that the Telegram channel reads: the common ones and its own."""

    telegram_server_port: Port = Field(8041, description="Port of the Telegram server.")
    telegram_bot_token: BotToken = Field(None, description="Token from @BotFather.")
    telegram_mode: Annotated[Literal["polling", "webhook"], OneOf] = Field("polling", description="How updates arrive.")
    telegram_webhook_secret: Secret = Field(
        None,
        description="Secret token of the webhook, 1 to 256 of A-Z a-z 0-9 _ -; derived from the bot token when empty.",
    )
    telegram_api_base_url: Url = Field(
        "https://api.telegram.org", description="Base URL of the Bot API; requests go to {base}/bot{token}/{method}."
    )
    telegram_poll_seconds: int = Field(30, ge=0, le=50, description="Timeout of one long poll.")
    telegram_max_parts: int = Field(
        10, ge=1, le=40, description="Maximum number of messages per answer; the rest is cut off, with a note."
    )

    @model_validator(mode="after")
    def _usable_secret(self) -> Self:
        secret = self.telegram_webhook_secret
        if secret is not None:
            value = secret.get_secret_value()
            allowed = all(char.isascii() and (char.isalnum() or char in "_-") for char in value)
            if not allowed or len(value) > 256:
                msg = "telegram_webhook_secret must be 1 to 256 characters of A-Z a-z 0-9 _ -"
                raise ValueError(msg)
        return self

    @property
    def has_any_credential(self) -> bool:
        return super().has_any_credential or self.telegram_bot_token is not None

    def simulated_values(self) -> dict[str, Any]:
        return {
            **super().simulated_values(),
            "telegram_bot_token": SecretStr(SIMULATED_BOT_TOKEN),
            "telegram_api_base_url": self.simulator_url,
            "telegram_webhook_secret": None,
        }


def missing_credentials(settings: TelegramSettings) -> tuple[str, ...]:
    return () if settings.telegram_bot_token else ("telegram_bot_token",)
