"""What `--check` asks Telegram: whose token this is (getMe), and where updates go (getWebhookInfo). Changes nothing."""

from __future__ import annotations

from urllib.parse import urlsplit

from relay.channels.telegram.bot_api import open_bot_calls
from relay.channels.telegram.settings import TelegramSettings
from relay.channels.telegram.spec import WEBHOOK_PATH
from relay.config.checks import Finding, Severity
from relay.core.errors import SendError, SendFailure
from relay.web.public_address import check_public_url

WEBHOOK_PORTS = (443, 80, 88, 8443)  # https://core.telegram.org/bots/api#setwebhook
_SECONDS = 10.0


async def check(settings: TelegramSettings) -> list[Finding]:
    """The findings about the configured bot; raises SettingsError when there is no token."""
    async with open_bot_calls(settings) as calls:
        try:
            me = await calls.call("getMe", {}, seconds=_SECONDS)
            hook = await calls.call("getWebhookInfo", {}, seconds=_SECONDS)
        except SendError as error:
            return [Finding(Severity.PROBLEM, "telegram bot", _refusal(error))]
    bot = Finding(Severity.FINE, "telegram bot", f"@{me.get('username')} ({me.get('first_name')})")
    if settings.telegram_mode == "webhook":
        return [bot, *_webhook_port(settings), await _webhook_address(settings)]
    if set_url := hook.get("url"):
        text = f"updates go to {set_url}; polling removes one of ours, and leaves that of another copy of the bot"
        return [bot, Finding(Severity.NOTE, "telegram webhook", text)]
    return [bot]


def _refusal(error: SendError) -> str:
    text = f"{error.message} ({error.code})"
    if error.kind is SendFailure.CONFIG:
        return f"Telegram does not accept telegram_bot_token: {text}. Copy it again from @BotFather (/mybots)"
    return text


def _webhook_port(settings: TelegramSettings) -> list[Finding]:
    port = urlsplit(settings.public_url or "").port or 443
    if port in WEBHOOK_PORTS:
        return []
    text = f"Telegram pushes updates to the ports {', '.join(map(str, WEBHOOK_PORTS))} only, not to {port}"
    return [Finding(Severity.PROBLEM, "telegram webhook", text)]


async def _webhook_address(settings: TelegramSettings) -> Finding:
    return await check_public_url(
        settings,
        port=settings.telegram_server_port,
        webhook=WEBHOOK_PATH,
        provider="Telegram",
        provider_url=settings.telegram_api_base_url,
    )
