"""The bot's webhook at Telegram: registered, watched, and left to another copy of the bot that holds it.

A bot has one webhook, so that two copies of it would take it from each other for ever. An address that is not ours is
replaced once; when another comes within an hour, or when polling meets one that works, the copy that holds it keeps it.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from enum import StrEnum
from typing import Any, Final

from relay.channels.telegram.bot_api import BotCalls
from relay.channels.telegram.json_fields import is_integer, text_at
from relay.channels.telegram.spec import TELEGRAM
from relay.core.errors import RelayError, SendError, SendFailure
from relay.core.retry import retry_forever
from relay.core.store import Store
from relay.core.text import timestamp

log = logging.getLogger("relay.channels.telegram.webhook")

CHECK_SECONDS: Final = 15.0
FOREIGN_SECONDS: Final = 3600.0
"""After an address of ours was replaced this soon, it is not set again."""
FAILING_SECONDS: Final = 300.0
"""Telegram names the last failed delivery for ever; one that is older than this is past."""
ABANDONED_SECONDS: Final = 600.0
"""A foreign webhook behind which updates have waited for so long serves no copy of the bot."""
LOOK_SECONDS: Final = 3.0
PENDING_SECONDS: Final = 15.0
STATUS_TIMEOUT_SECONDS: Final = 1.5
STATE: Final = "webhook"


class WebhookState(StrEnum):
    """What is known of the webhook, as /ready shows it."""

    REGISTERING = "registering"
    REGISTERED = "webhook"
    FAILING = "failing"  # Telegram could not deliver to us a short while ago
    CONFLICT = "conflict"  # another copy of the bot holds it


class Webhook:
    """The webhook of one bot.

    learn_identity: called before updates are asked for; raises SendError. allowed_updates: the kinds that Telegram
    pushes; it remembers the last list when none is given. url: ours; None in polling mode, where there must be no
    webhook. former_url: where we would have been in the other mode; None when that is unknown.
    """

    def __init__(
        self,
        calls: BotCalls,
        store: Store,
        url: str | None,
        secret: str,
        *,
        learn_identity: Callable[[], Awaitable[None]],
        allowed_updates: Sequence[str],
        former_url: str | None = None,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._calls = calls
        self._store = store
        self._secret = secret
        self._learn_identity = learn_identity
        self._allowed_updates = list(allowed_updates)
        self._former_url = former_url
        self._clock = clock
        self._sleep = sleep
        self._replaced_at: float | None = None
        self._held_by = ""
        self._stuck_since: float | None = None
        self._claimed = False
        self._info: dict[str, Any] = {}
        self._info_at: float | None = None
        self.url = url
        self.state = WebhookState.REGISTERING
        self.error: str | None = None

    async def run(self) -> None:
        """Register the webhook, however often that takes, then watch it; returns only when it is cancelled."""
        await retry_forever("registering the webhook", self._register, on_failure=self._failed, sleep=self._sleep)
        while True:
            await self._sleep(CHECK_SECONDS)
            try:
                await self.check()
            except RelayError as error:
                log.warning("the webhook could not be checked: %s", error)

    async def check(self) -> None:
        """Compare Telegram's webhook with ours, and replace a foreign one once. Raises SendError, StorageError."""
        info = await self._look_up()
        url = text_at(info, "url")
        if url == self.url:
            self.error = text_at(info, "last_error_message") or None
            self.state = WebhookState.FAILING if self._failed_within(FAILING_SECONDS) else WebhookState.REGISTERED
        elif self._may_replace(url):
            log.warning("Telegram's webhook of this bot is %s, ours is set again", url or "removed")
            self._replaced_at = self._clock()
            await self._register()
        else:
            self._give_way(url)

    def _may_replace(self, url: str) -> bool:
        recently = self._replaced_at is not None and self._clock() - self._replaced_at < FOREIGN_SECONDS
        held = bool(url) and url == self._held_by
        return self._is_abandoned() or not (recently or held)

    def _give_way(self, url: str) -> None:
        """Leave the webhook to the copy of the bot that changed it again."""
        change = f"set its webhook to {url}" if url else "removed the webhook"
        explained = f"another copy of this bot {change} again: stop one of the two"
        if self.state is not WebhookState.CONFLICT:
            log.error("no updates arrive here: %s", explained)
        self._held_by, self.state, self.error = url, WebhookState.CONFLICT, explained

    async def _register(self) -> None:
        if self.url is None:
            raise ValueError("there is no webhook in polling mode")
        await self._learn_identity()
        parameters = {"url": self.url, "secret_token": self._secret, "allowed_updates": self._allowed_updates}
        await self._calls.call("setWebhook", parameters)
        await self._store.set_state(TELEGRAM, STATE, {"url": self.url})
        self.state, self.error = WebhookState.REGISTERED, None
        log.info("Telegram pushes updates to %s", self.url)

    async def _look_up(self) -> dict[str, Any]:
        info = await self._calls.call("getWebhookInfo", {}, seconds=LOOK_SECONDS)
        self._info = info if isinstance(info, dict) else {}
        self._info_at = self._clock()
        return self._info

    def _failed(self, error: str) -> None:
        self.error = error

    def _failed_within(self, seconds: float) -> bool:
        failed_at = self._failed_at
        return failed_at is not None and self._clock() - failed_at < seconds

    @property
    def _failed_at(self) -> float | None:
        """When Telegram last failed to deliver an update, as it says."""
        date = self._info.get("last_error_date")
        return float(date) if date is not None and is_integer(date) else None

    def _is_abandoned(self) -> bool:
        """Whether updates have waited behind a webhook that fails, at each look for ten minutes."""
        if not (self._info.get("pending_update_count") and self._failed_within(FOREIGN_SECONDS)):
            self._stuck_since = None
            return False
        self._stuck_since = self._stuck_since or self._clock()
        return self._clock() - self._stuck_since >= ABANDONED_SECONDS

    def claim(self) -> None:
        """The operator wants to poll here: the next `release` removes any webhook."""
        self._claimed = True

    async def release(self) -> None:
        """Remove the webhook, so that polling is allowed; one of another copy of the bot only when it is abandoned.

        Raises SendError, with the code 409 while another copy receives the updates.
        """
        info = await self._look_up()
        url = text_at(info, "url")
        if url and not (self._claimed or self._is_abandoned() or await self._is_own(url)):
            why = (
                f"updates of this bot are pushed to {url}, perhaps to another copy of it; if that is not wanted any "
                "more, POST /telegram/polling/start removes it"
            )
            raise SendError(SendFailure.BUSY, "409", why)
        await self._calls.call("deleteWebhook", {})  # pending updates are kept
        self._claimed = False

    async def _is_own(self, url: str) -> bool:
        """Whether a server on this database registered it, or one with this public_url."""
        stored = await self._store.read_state(TELEGRAM, STATE)
        return url in {self._former_url, text_at(stored, "url") if isinstance(stored, dict) else None}

    async def pending_updates(self) -> int | None:
        """Number of updates pending at Telegram, cached for PENDING_SECONDS; None when it does not answer in time."""
        if self._info_at is None or not 0 <= self._clock() - self._info_at < PENDING_SECONDS:
            try:
                async with asyncio.timeout(STATUS_TIMEOUT_SECONDS):
                    await self._look_up()
            except (SendError, TimeoutError):
                self._info, self._info_at = {}, self._clock()
        count = self._info.get("pending_update_count")
        return count if is_integer(count) else None

    def report(self) -> dict[str, Any] | None:
        """The webhook as the status shows it; None in polling mode. Its words may be Telegram's."""
        if self.url is None:
            return None
        return {
            "url": self.url,
            "registered": self.state in {WebhookState.REGISTERED, WebhookState.FAILING},
            "state": self.state,
            "last_error": self.error,
            "last_error_at": timestamp(self._failed_at) if self.error else None,
        }
