"""Sends an alert to the addresses of `alert_urls` through apprise, which is loaded when the first one is sent."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from importlib import import_module
from typing import Any

from pydantic import SecretStr

log = logging.getLogger("relay.alerts")


async def send_each(urls: Sequence[SecretStr], title: str, text: str) -> list[tuple[str, bool]]:
    """The kind of each address (`mailto`, `tgram`, ...), in order, and whether it took the message; never raises."""
    return await asyncio.gather(*(_send(url.get_secret_value(), title, text) for url in urls))


async def send(urls: Sequence[SecretStr], title: str, text: str) -> bool:
    """Whether at least one of the addresses took the message; without any address it is in the log alone."""
    log.warning("%s. %s", title, text)
    results = await send_each(urls, title, text)
    for kind in (kind for kind, taken in results if not taken):
        log.error("an alert could not be sent by %s: look at alert_urls, and at the test in the console", kind)
    return not results or any(taken for _, taken in results)


async def _send(url: str, title: str, text: str) -> tuple[str, bool]:
    return url.partition("://")[0], await asyncio.to_thread(_notify, url, title, text)


def _notify(url: str, title: str, text: str) -> bool:
    apprise: Any = import_module("apprise")  # 231 modules: for those who are called only
    logging.getLogger("apprise").setLevel(logging.CRITICAL)  # its lines name addresses, which hold passwords
    receiver = apprise.Apprise()
    return bool(receiver.add(url)) and bool(receiver.notify(title=title, body=text))
