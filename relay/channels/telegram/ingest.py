"""Stores Telegram updates, pushed or polled.

A raw update is committed before it is confirmed to Telegram, whatever it holds: one that cannot be parsed becomes a
dead letter, so that no update can block the ones behind it.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from relay.channels.telegram.spec import TELEGRAM
from relay.channels.telegram.updates import BUSINESS, MOVES
from relay.core.decisions import STOPS
from relay.core.errors import PayloadError, StorageError
from relay.core.messages import InboundMessage, Kind, UserId
from relay.core.metrics import Metrics
from relay.core.store import Store

log = logging.getLogger("relay.channels.telegram.ingest")

MAX_RAW = 200_000  # characters of an update that are kept


@dataclass(frozen=True, slots=True)
class ParsedBatch:
    """A batch of updates, parsed.

    messages: each with its raw update. dead_letters: external id, raw update and reason of those that cannot be parsed.
    offset: confirms all of them in the next getUpdates; None when no update has an id.
    """

    messages: list[tuple[InboundMessage, str]]
    dead_letters: list[tuple[str, str, str]]
    offset: int | None


async def _no_preparation(_: Sequence[Any]) -> None:
    pass


async def _no_answers() -> None:
    pass


async def _as_parsed(message: InboundMessage) -> InboundMessage:
    return message


class UpdateIngest:
    """Parses updates with `parse`, which raises PayloadError, and stores them.

    `notify` is called, after the commit, for every user with a new message; `prepare` before updates are parsed,
    `refine` with each message after that; `stop` when a message that ends answers may be new.
    """

    def __init__(
        self,
        parse: Callable[[Any], InboundMessage],
        store: Store,
        bot_id: int,
        metrics: Metrics,
        notify: Callable[[UserId], None],
        prepare: Callable[[Sequence[Any]], Awaitable[None]] = _no_preparation,
        refine: Callable[[InboundMessage], Awaitable[InboundMessage]] = _as_parsed,
        stop: Callable[[], Awaitable[None]] = _no_answers,
    ) -> None:
        self._parse = parse
        self._store = store
        self._bot_id = bot_id
        self._metrics = metrics
        self._notify = notify
        self._prepare = prepare
        self._refine = refine
        self._stop = stop

    async def store_pushed(self, update: Any) -> None:
        """Store one update of the webhook; it is committed on return. Raises StorageError."""
        batch = await self.parse([update])
        await self._move_groups(batch)
        for message, raw in batch.messages:
            await self._store_message(message, raw)
        for external_id, raw, reason in batch.dead_letters:
            await self._store.store_dead_letter(TELEGRAM, external_id, raw, reason)
        self._count(batch)

    async def _move_groups(self, batch: ParsedBatch) -> None:
        """Give groups that became supergroups their new address, before the notes count as stored. Repeatable."""
        for message, _ in batch.messages:
            new, old = (message.options.get(key) for key in MOVES)
            if new or old:
                here = message.user_id
                await self._store.move_user(TELEGRAM, UserId(old or here), UserId(new or here))

    async def store_batch(self, batch: ParsedBatch, state: tuple[str, Any]) -> None:
        """Store a batch and this state in one transaction. Raises StorageError when nothing was committed."""
        await self._move_groups(batch)
        users = await self._store.store_batch(batch.messages, batch.dead_letters, TELEGRAM, state)
        self._count(batch)
        if any(message.options.get(STOPS) for message, _ in batch.messages):
            await self._stop()
        for user_id in dict.fromkeys(users):
            self._notify(user_id)

    async def store_one_by_one(self, batch: ParsedBatch, state: tuple[str, Any]) -> None:
        """Store a batch that the database refuses as a whole; a message that it refuses alone becomes a dead letter.

        Raises StorageError when the database accepts nothing at all; messages stored before it are ignored as repeats
        the next time.
        """
        for message, raw in batch.messages:
            try:
                await self._store_message(message, raw)
            except StorageError:
                await self._store.set_state(TELEGRAM, "written_at", message.received_at)
                try:
                    await self._store_message(message, raw)
                except StorageError as error:
                    await self._dead_letter(message.external_id, raw, error)
        for external_id, raw, reason in batch.dead_letters:
            await self._dead_letter(external_id, raw, reason)
        await self._store.set_state(TELEGRAM, *state)
        self._count(batch)

    async def _store_message(self, message: InboundMessage, raw: str) -> None:
        if await self._store.store_inbound(message, raw) is not None:
            if message.options.get(STOPS):
                await self._stop()
            self._notify(message.user_id)

    async def _dead_letter(self, external_id: str, raw: str, reason: object) -> None:
        log.error("update %s cannot be stored as it is, it is kept as a dead letter: %s", external_id, reason)
        await self._store.store_dead_letter(TELEGRAM, external_id, ascii(raw), str(reason))

    async def parse(self, updates: Sequence[Any]) -> ParsedBatch:
        """Parse updates after `prepare`, and refine them; never raises."""
        await self._prepare(updates)
        batch = self.parse_batch(updates)
        return replace(batch, messages=[(await self._refine(message), raw) for message, raw in batch.messages])

    def parse_batch(self, updates: Sequence[Any]) -> ParsedBatch:
        """Never raises: each update is a message or a dead letter."""
        messages: list[tuple[InboundMessage, str]] = []
        dead_letters: list[tuple[str, str, str]] = []
        ids = [number for update in updates if (number := update_id(update)) is not None]
        for update in updates:
            raw = _serialised(update)
            try:
                messages.append((self._parse(update), raw))
            except PayloadError as error:
                log.warning("an update cannot be understood, it is kept as a dead letter: %s", error)
                dead_letters.append((self._external_id(update, raw), raw, str(error)))
            except Exception as error:
                log.exception("an update could not be read, it is kept as a dead letter")
                reason = f"unforeseen: {type(error).__name__}: {error}"
                dead_letters.append((self._external_id(update, raw), raw, reason))
        return ParsedBatch(messages, dead_letters, max(ids) + 1 if ids else None)

    def _external_id(self, update: Any, raw: str) -> str:
        """The update's id, or else a hash of its content, so that a repeat is recognised."""
        number = update_id(update)
        name = str(number) if number is not None else hashlib.sha256(raw.encode("utf-8", "replace")).hexdigest()[:32]
        return f"{self._bot_id}:{name}"

    def _count(self, batch: ParsedBatch) -> None:
        for message, _ in batch.messages:
            self._metrics.inbound.labels(TELEGRAM, _counted_as(message)).inc()
        if batch.dead_letters:
            self._metrics.inbound.labels(TELEGRAM, "not understood").inc(len(batch.dead_letters))


def _counted_as(message: InboundMessage) -> str:
    """The outcome by which a message is counted; content without a text that we cannot even fetch stands out."""
    if message.options.get("chat_type") == BUSINESS:
        return "business"
    if message.kind is Kind.SERVICE:
        return "ignored"
    is_empty = message.kind is Kind.MEDIA and not any(one.reference for one in message.attachments)
    return "not readable" if is_empty else "stored"


def _serialised(update: Any) -> str:
    """The update as JSON; of one that is nested too deeply only the error."""
    try:
        return json.dumps(update, ensure_ascii=False)[:MAX_RAW]
    except (ValueError, RecursionError) as error:
        return f"not writable: {type(error).__name__}"


def update_id(update: Any) -> int | None:
    """The number by which an update is confirmed, if it has one."""
    number = update.get("update_id") if isinstance(update, dict) else None
    return number if isinstance(number, int) and not isinstance(number, bool) and 0 <= number < 1 << 62 else None
