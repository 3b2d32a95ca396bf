"""The operator's desk: what the status, the readiness and sending by hand of both channels have in common."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Annotated, Any, Protocol, TypeVar

from fastapi import Query
from sqlalchemy import Connection

from relay.channels.registry import PLATFORMS
from relay.channels.spec import ChannelSpec
from relay.core.errors import StorageError
from relay.core.messages import PlannedPart, Platform, ReplyId, UserId
from relay.core.pipeline import Relay
from relay.llm.client import LlmClient
from relay.storage import queries

SHOWN_PROBLEMS = 10
_PART_KEYS = ("id", "user_id", "state", "error_code", "error", "created_at")
_LETTER_KEYS = ("id", "external_id", "user_id", "outcome", "error", "received_at")

T = TypeVar("T")
Limit = Annotated[int, Query(ge=1, le=queries.PAGE_LIMIT)]
Offset = Annotated[int, Query(ge=0, le=1_000_000_000)]


class Store(Protocol):
    """The verbs of the database that a desk needs."""

    async def check(self) -> None: ...
    async def query(self, query: Callable[[Connection], T]) -> T: ...
    async def plan_message(self, platform: Platform, user_id: UserId, parts: Sequence[PlannedPart]) -> ReplyId: ...


class Desk:
    """The desk of one channel."""

    def __init__(self, channel: ChannelSpec, store: Store, relay: Relay, model: LlmClient) -> None:
        self._channel = channel
        self._platform = channel.platform
        self._store = store
        self._relay = relay
        self._model = model

    async def readiness(self) -> dict[str, Any]:
        """Ready is who can store what comes; that the model or the provider is away for a while loses no message."""
        try:
            await self._store.check()
            database = "ok"
        except StorageError:
            database = "cannot be written now"
        return {
            "ready": database == "ok",
            "database": database,
            "sending_paused": self._relay.outbox.paused_reason is not None,
        }

    async def status(self, limit: int, offset: int) -> dict[str, Any]:
        """Figures, a page of the people, the model, and the newest troubles."""
        platform = self._platform
        figures = await self._store.query(lambda c: queries.status(c, platform, PLATFORMS, time.time()))
        users = await self._store.query(lambda c: queries.list_named_users(c, platform, limit, offset))
        return {
            **figures,
            "users": users,
            "limit": limit,
            "offset": offset,
            "sending_paused": self._relay.outbox.paused_reason,
            "model": await self._model.health(),
            "last_errors": await self._last_errors(),
        }

    async def _last_errors(self) -> dict[str, Any]:
        """The newest parts that failed and messages that were given up, without what people wrote."""
        which = (self._platform,)
        failed = await self._store.query(lambda c: queries.failed_parts(c, which, SHOWN_PROBLEMS))
        dead = await self._store.query(lambda c: queries.dead_letters(c, which, SHOWN_PROBLEMS))
        return {
            "parts": [{key: row[key] for key in _PART_KEYS} for row in failed],
            "messages": [{key: row[key] for key in _LETTER_KEYS} for row in dead],
        }

    async def send(self, person: UserId, parts: Sequence[PlannedPart]) -> dict[str, Any]:
        """Hand an operator's message to the outbox, committed: its id, its state, and each part with both."""
        reply_id = await self._store.plan_message(self._platform, person, parts)
        self._relay.send_soon(person)
        rows = await self._store.query(lambda c: queries.reply(c, reply_id))
        return {
            "id": reply_id,
            "state": rows[-1]["state"] if rows else "planned",
            "parts": [{key: row[key] for key in self._channel.receipt_keys} for row in rows],
        }
