"""The pipeline of one channel: conversation and outbox, started and stopped together.

A server stores a message and calls `notify`, or plans a message by hand and calls `notify_outbox`. Neither waits.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress

from relay.config.settings import Settings
from relay.core import shutdown
from relay.core.asking import Model
from relay.core.attachments import AttachmentReader, no_attachments
from relay.core.channel import Channel
from relay.core.conversation import Conversation
from relay.core.errors import StorageError
from relay.core.messages import UserId
from relay.core.metrics import Metrics
from relay.core.outbox import Outbox
from relay.core.prompt import PromptBuilder, channel_prompt
from relay.core.store import Store
from relay.core.takeover import ANY_TEXT, Channels

log = logging.getLogger("relay")


class Pipeline:
    """Conversation and outbox of one channel, started and stopped together."""

    def __init__(
        self,
        store: Store,
        channel: Channel,
        model: Model,
        settings: Settings,
        metrics: Metrics,
        build_prompt: PromptBuilder = channel_prompt,
        attachments: AttachmentReader = no_attachments,
        channels: Channels = ANY_TEXT,
    ) -> None:
        self._store = store
        self._platform = channel.platform
        self._stop_seconds = settings.stop_seconds
        self.outbox = Outbox(store, channel, settings, metrics)
        self.conversation = Conversation(
            store,
            channel,
            model,
            settings,
            metrics,
            outbox=self.outbox,
            build_prompt=build_prompt,
            attachments=attachments,
            channels=channels,
        )

    async def start(self) -> None:
        """Resume at once the work of an earlier process, and start all work that is due."""
        await self._release()
        self.outbox.workers.start()
        self.conversation.workers.start()

    def notify(self, user_id: UserId) -> None:
        """A message of this user was stored."""
        self.conversation.workers.notify(user_id)

    async def end_stopped_answers(self) -> None:
        """A message was stored that ends answers; those of another server end with its next sweep. Never raises."""
        with suppress(StorageError):  # the sweep tries again
            await self.conversation.end_stopped_answers()

    def notify_outbox(self, user_id: UserId) -> None:
        """A part was planned for this user."""
        self.outbox.notify(user_id)

    async def stop(self) -> None:
        """Let running steps end within their share of the shutdown budget; the others resume after the next start."""
        await self.conversation.workers.stop(self._stop_seconds * shutdown.ANSWERS)
        await self.outbox.workers.stop(self._stop_seconds * shutdown.SENDS)
        await self._release()

    async def _release(self) -> None:
        try:
            await asyncio.wait_for(self._store.release_leases(self._platform), self._stop_seconds * shutdown.LEASES)
        except (StorageError, TimeoutError) as error:
            log.warning("leases of %s end by themselves: %s", self._platform, str(error) or "the database is busy")
