"""One channel's relay: its conversation and its outbox, started and stopped together.

A server stores a message and calls `notify`; it plans a message by hand and calls `send_soon`. Neither waits.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Protocol

from relay.config.settings import Settings
from relay.core import shutdown
from relay.core.channel import Channel
from relay.core.conversation import Conversation, Inbox, Model
from relay.core.errors import StorageError
from relay.core.messages import Platform, UserId
from relay.core.metrics import Metrics
from relay.core.outbox import Outbox, PartStore

log = logging.getLogger("relay")


class Store(Inbox, PartStore, Protocol):
    """The verbs of the database that a relay needs."""

    async def release_leases(self, platform: Platform) -> None: ...


class Relay:
    """The way of a message between the store and the provider, for one platform."""

    def __init__(self, store: Store, channel: Channel, model: Model, settings: Settings, metrics: Metrics) -> None:
        self._store = store
        self._platform = channel.platform
        self._stop_seconds = settings.stop_seconds
        self.outbox = Outbox(store, channel, settings, metrics)
        self.conversation = Conversation(store, channel, model, settings, metrics, planned=self.outbox.workers.notify)

    async def start(self) -> None:
        """Take up at once what an earlier life of this process was working on, and whatever is due."""
        await self._release()
        self.outbox.workers.start()
        self.conversation.workers.start()

    def notify(self, user_id: UserId) -> None:
        """This person has a new message in the inbox."""
        self.conversation.workers.notify(user_id)

    def send_soon(self, user_id: UserId) -> None:
        """This person has a new part in the outbox."""
        self.outbox.workers.notify(user_id)

    async def stop(self) -> None:
        """Let what is under way end within its shares of the time; what does not is taken up after the next start."""
        await self.conversation.workers.stop(self._stop_seconds * shutdown.ANSWERS)
        await self.outbox.workers.stop(self._stop_seconds * shutdown.SENDS)
        await self._release()

    async def _release(self) -> None:
        try:
            await asyncio.wait_for(self._store.release_leases(self._platform), self._stop_seconds * shutdown.LEASES)
        except (StorageError, TimeoutError) as error:
            log.warning("leases of %s end by themselves: %s", self._platform, str(error) or "the database is busy")
