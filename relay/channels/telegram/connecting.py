"""Where Telegram pushes updates to while a tunnel is up. The server sets its webhook itself, at its start.

https://core.telegram.org/bots/api#setwebhook
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from relay.channels.telegram.bot_api import open_bot_calls
from relay.channels.telegram.settings import TelegramSettings, webhook_secret
from relay.channels.telegram.spec import WEBHOOK_PATH
from relay.config.checks import Finding, Severity

_SECONDS = 10.0


async def addresses(settings: TelegramSettings) -> dict[str, Any]:
    """The webhook that Telegram has now, as the parameters that would set it. Raises SendError."""
    info = await _call(settings, "getWebhookInfo", {})
    kept = {key: info[key] for key in ("allowed_updates", "max_connections") if info.get(key)}
    return {"url": info.get("url") or "", **kept}


async def connect(settings: TelegramSettings) -> list[Finding]:
    """Leave the webhook to the Telegram server, which sets it to public_url at its start."""
    text = f"the Telegram server has updates pushed to {_our_url(settings)}"
    return [Finding(Severity.FINE, "telegram webhook", text)]


async def restore(settings: TelegramSettings, before: Mapping[str, Any]) -> list[Finding]:
    """Put back what `addresses` returned before, unless another webhook was set since. Raises SendError.

    Telegram does not tell the secret of a webhook: the one of these settings goes with it.
    """
    if (await addresses(settings))["url"] != _our_url(settings):
        return []
    if (url := before["url"]) and url != _our_url(settings):
        await _call(settings, "setWebhook", {**before, "secret_token": webhook_secret(settings)})
    else:
        await _call(settings, "deleteWebhook", {})
    where = f"are pushed to {url} again" if url else "wait at Telegram again"
    return [Finding(Severity.FINE, "telegram webhook", f"updates {where}, as before")]


def _our_url(settings: TelegramSettings) -> str:
    return f"{settings.public_url}{WEBHOOK_PATH}"


async def _call(settings: TelegramSettings, method: str, parameters: dict[str, Any]) -> Any:
    async with open_bot_calls(settings) as calls:
        return await calls.call(method, parameters, seconds=_SECONDS)
