"""The queue of unconfirmed updates, and the long poll that fetches them."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from relay.simulator.telegram_params import BotError, Params, bad_request
from relay.simulator.transcripts import PhoneBubble
from relay.simulator.world import World

RETENTION_SECONDS = 24 * 3600  # the Bot API keeps updates for a day
MAX_BATCH = 100
MAX_POLL_SECONDS = 50
_OPT_IN_KINDS = frozenset({"chat_member", "message_reaction", "message_reaction_count"})
_IDS_BEGIN = 1_782_864_000  # 2026-07-01; ids count from here so that they fit 32 bits for years
_IDS_A_SECOND = 40


def first_id(now: float) -> int:
    """The first id: above all ids of earlier runs."""
    return max(1, int((now - _IDS_BEGIN) * _IDS_A_SECOND))


@dataclass(slots=True)
class Update:
    """One update. forced: it is delivered once more, even when its id is below the offset."""

    id: int
    body: dict[str, Any]
    chat_id: int
    at: float
    bubble: PhoneBubble | None = None
    forced: bool = False

    def to_json(self) -> dict[str, Any]:
        return {"update_id": self.id, **self.body}


class UpdateQueue:
    """The updates that the bot has not confirmed. on_arrival: called with the chat id of each new one."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.waiting: list[Update] = []
        self.allowed: list[str] = []
        self.on_arrival: Callable[[int], None] = lambda _chat_id: None
        self._webhook_is_set = False
        self._changed = asyncio.Event()
        self._next_id = first_id(world.clock())
        self._poll = 0

    def clear(self) -> None:
        """Drop all updates; ids keep rising."""
        self.waiting = []

    def allow(self, params: Params) -> None:
        """Store allowed_updates when given; it applies to later updates."""
        names = params.structure("allowed_updates")
        if names is None:
            return
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise bad_request("can't parse allowed_updates: an Array of strings is expected")
        self.allowed = names

    def set_webhook(self, is_set: bool) -> None:
        """Whether a webhook gets the updates; polls are refused then, and one that waits ends."""
        self._webhook_is_set = is_set
        self.notify()

    def notify(self) -> None:
        """Wake the waiting poll, which then checks the queue again."""
        self._changed.set()

    def _wanted(self, body: dict[str, Any]) -> bool:
        if self.allowed:
            return any(name in self.allowed for name in body)
        return not _OPT_IN_KINDS.intersection(body)

    def put(
        self, body: dict[str, Any], chat_id: int, *, text: str = "", bubble: PhoneBubble | None = None
    ) -> int | None:
        """Queue an update; returns its id, or None when allowed_updates excludes it."""
        if not self._wanted(body):
            return None
        given = body.get("update_id")
        self._next_id += 1
        number = given if isinstance(given, int) else self._next_id
        content = {name: value for name, value in body.items() if name != "update_id"}
        update = Update(number, content, chat_id, self._world.clock(), bubble, forced=isinstance(given, int))
        fault = self._world.faults.match("telegram_update", next(iter(content), "*"), text)
        effect = fault.effect if fault else None
        if effect in {"disorder", "slow"} and fault:
            self._world.spawn(self._enqueue_late(update, fault.seconds))
        elif effect != "lose":
            self._enqueue(update)
        if effect == "duplicate":
            self._enqueue(Update(number, content, chat_id, update.at, bubble, forced=True))
        return number

    def _enqueue(self, update: Update) -> None:
        self.waiting.append(update)
        self.notify()
        self.on_arrival(update.chat_id)

    async def _enqueue_late(self, update: Update, seconds: float) -> None:
        await self._world.pause(seconds)
        update.forced = True
        self._enqueue(update)

    def confirm(self, update: Update) -> None:
        """Remove an update that the bot has accepted, and mark its bubble as delivered."""
        if update in self.waiting:
            self.waiting.remove(update)
        if update.bubble is not None and update.bubble.status == "sent":
            update.bubble.status = "delivered"
            self._world.transcripts.announce_bubble(update.bubble)

    def first(self, chat_id: int) -> Update | None:
        """The oldest update of a chat."""
        self.drop_expired()
        return next((update for update in self.waiting if update.chat_id == chat_id), None)

    def drop_expired(self) -> None:
        oldest = self._world.clock() - RETENTION_SECONDS
        self.waiting = [update for update in self.waiting if update.at > oldest]

    # -- long polling -------------------------------------------------------------------------------------------------

    async def poll(self, params: Params) -> list[dict[str, Any]]:
        """Answer getUpdates. Raises BotError 409 when a webhook is set, or when another poll replaces this one."""
        if self._webhook_is_set:
            raise BotError(
                409,
                "Conflict: can't use getUpdates method while webhook is active; use deleteWebhook to delete it first",
            )
        self.allow(params)
        self._poll += 1
        poll = self._poll
        self.notify()  # the poll that this one replaces
        offset = self._apply_offset(params.integer("offset"))
        limit = min(MAX_BATCH, max(1, params.integer("limit", MAX_BATCH)))
        await self._wait_for_updates(poll, offset, min(MAX_POLL_SECONDS, max(0, params.integer("timeout"))))
        if poll != self._poll:
            raise BotError(
                409, "Conflict: terminated by other getUpdates request; make sure that only one bot instance is running"
            )
        return [update.to_json() for update in self._batch(offset, limit)]

    def _apply_offset(self, offset: int) -> int:
        """Confirm all updates below the offset; a negative one drops all but the last ones."""
        self.drop_expired()
        if offset < 0:
            offset = self.waiting[offset].id if -offset <= len(self.waiting) else 0
        for update in [one for one in self.waiting if one.id < offset and not one.forced]:
            self.confirm(update)
        return offset

    async def _wait_for_updates(self, poll: int, offset: int, seconds: int) -> None:
        def done() -> bool:
            replaced = poll != self._poll or self._world.stopping.is_set() or self._webhook_is_set
            return replaced or any(one.id >= offset or one.forced for one in self.waiting)

        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while not done():
                    self._changed.clear()
                    await self._changed.wait()

    def _batch(self, offset: int, limit: int) -> list[Update]:
        batch = [one for one in self.waiting if one.id >= offset or one.forced][:limit]
        for update in batch:
            update.forced = False
        return batch
