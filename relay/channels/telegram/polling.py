"""Telegram updates: the intake that stores them, and the long poll that fetches them.

A raw update is committed before Telegram hears that we have it, whatever it holds: what cannot be understood becomes a
dead letter, so that no update can stop the ones behind it. Routes, start and stop are the Telegram server's.
"""

from __future__ import annotations

import asyncio
import hashlib
import itertools
import json
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import httpx

from relay.channels.telegram.bot_api import BotCalls
from relay.channels.telegram.spec import TELEGRAM
from relay.core.errors import OutcomeUnknown, PayloadError, RelayError, SendError, SendFailure, StorageError
from relay.core.lease import Lease
from relay.core.messages import InboundMessage, Kind, UserId
from relay.core.metrics import Metrics
from relay.core.retry import Backoff
from relay.core.store import Store

log = logging.getLogger("relay.channels.telegram.polling")

OFFSET_NOTE = "polling_offset"
LEASE_NOTE = "polling_lease"
MAX_RAW = 200_000
BATCH = 100  # the most that getUpdates gives: https://core.telegram.org/bots/api#getupdates

# Telegram forgets updates after a day, and after a week without any it starts counting anew, at random: an offset from
# before would hide what comes then. Leaving it out costs at most a batch of repeats, which the store does not take.
OFFSET_SECONDS = 6 * 86_400.0

BACKOFF = Backoff(1.0, 30.0)
REFUSED_PAUSE_SECONDS = 60.0  # a token that was refused seldom becomes right
_CALL_BACKOFF = Backoff(1.0, REFUSED_PAUSE_SECONDS)
ANSWER_GRACE_SECONDS = 10.0
SINGLY_AFTER = 3
HASTY_SECONDS = 0.5  # an empty answer that comes sooner was no long poll


@dataclass(frozen=True, slots=True)
class Sorted:
    """A batch of updates: what was understood, what was not, and the offset that confirms all of it."""

    messages: list[tuple[InboundMessage, str]]
    dead_letters: list[tuple[str, str, str]]
    offset: int | None


class Intake:
    """Reads raw updates and stores them. `notify` hears of every person who has something new."""

    def __init__(
        self,
        parse_update: Callable[[Any], InboundMessage],
        store: Store,
        bot_id: int,
        metrics: Metrics,
        notify: Callable[[UserId], None],
    ) -> None:
        self._parse_update = parse_update
        self._store = store
        self._bot_id = bot_id
        self._metrics = metrics
        self._notify = notify

    async def take_pushed(self, raw: Any) -> None:
        """Store one update that Telegram pushed; it is committed when this returns. Raises StorageError."""
        batch = self.sort([raw])
        for message, text in batch.messages:
            await self._take_one(message, text)
        for external_id, text, reason in batch.dead_letters:
            await self._store.store_dead_letter(TELEGRAM, external_id, text, reason)
        self._count(batch)

    async def take_batch(self, batch: Sorted, note: tuple[str, Any]) -> None:
        """Store a whole poll and the note that the next one starts from, or nothing. Raises StorageError."""
        people = await self._store.store_batch(batch.messages, batch.dead_letters, TELEGRAM, note)
        self._count(batch)
        for user_id in dict.fromkeys(people):
            self._notify(user_id)

    async def take_singly(self, batch: Sorted, note: tuple[str, Any]) -> None:
        """Store a batch that the database refuses as a whole: what it refuses by itself is kept as a dead letter.

        Raises StorageError when it is the database that is at fault; what was stored until then is a repeat next time.
        """
        for message, raw in batch.messages:
            try:
                await self._take_one(message, raw)
            except StorageError:
                await self._store.set_state(TELEGRAM, "written_at", message.received_at)
                try:
                    await self._take_one(message, raw)
                except StorageError as error:
                    await self._bury(message.external_id, raw, error)
        for external_id, raw, reason in batch.dead_letters:
            await self._bury(external_id, raw, reason)
        await self._store.set_state(TELEGRAM, *note)
        self._count(batch)

    async def _take_one(self, message: InboundMessage, raw: str) -> None:
        if await self._store.store_inbound(message, raw) is not None:
            self._notify(message.user_id)

    async def _bury(self, external_id: str, raw: str, reason: object) -> None:
        log.error("update %s cannot be stored as it is, it is kept as a dead letter: %s", external_id, reason)
        await self._store.store_dead_letter(TELEGRAM, external_id, ascii(raw), str(reason))

    def sort(self, updates: Sequence[Any]) -> Sorted:
        """Never raises: whatever an update holds, it is a message or a dead letter."""
        messages: list[tuple[InboundMessage, str]] = []
        dead_letters: list[tuple[str, str, str]] = []
        ids = [number for update in updates if (number := update_id(update)) is not None]
        for update in updates:
            raw = _as_text(update)
            try:
                messages.append((self._parse_update(update), raw))
            except PayloadError as error:
                log.warning("an update cannot be understood, it is kept as a dead letter: %s", error)
                dead_letters.append((self._name(update, raw), raw, str(error)))
            except Exception as error:
                log.exception("an update could not be read, it is kept as a dead letter")
                dead_letters.append((self._name(update, raw), raw, f"unforeseen: {type(error).__name__}: {error}"))
        return Sorted(messages, dead_letters, max(ids) + 1 if ids else None)

    def _name(self, update: Any, raw: str) -> str:
        """Its own id, or, without one, a name made of what it holds, so that a repeat is known as such."""
        number = update_id(update)
        told = str(number) if number is not None else hashlib.sha256(raw.encode("utf-8", "replace")).hexdigest()[:32]
        return f"{self._bot_id}:{told}"

    def _count(self, batch: Sorted) -> None:
        for message, _ in batch.messages:
            outcome = "ignored" if message.kind is Kind.SERVICE else "stored"
            self._metrics.inbound.labels(TELEGRAM, outcome).inc()
        if batch.dead_letters:
            self._metrics.inbound.labels(TELEGRAM, "not understood").inc(len(batch.dead_letters))


def _as_text(update: Any) -> str:
    """The update as it is kept; one that is nested beyond reason is only named."""
    try:
        return json.dumps(update, ensure_ascii=False)[:MAX_RAW]
    except (ValueError, RecursionError) as error:
        return f"not writable: {type(error).__name__}"


def update_id(update: Any) -> int | None:
    """The number by which an update is confirmed, if it has one."""
    number = update.get("update_id") if isinstance(update, dict) else None
    return number if isinstance(number, int) and not isinstance(number, bool) and 0 <= number < 1 << 62 else None


class PollingState(StrEnum):
    """What the long poll is doing, in the word of the status."""

    STOPPED = "stopped"
    STARTING = "starting"
    STANDBY = "standby"  # another of our servers polls; this one takes over when it stops or dies
    POLLING = "polling"
    WAITING = "waiting"  # Telegram cannot be reached, or asked us to wait; it is tried again
    CONFLICT = "conflict"  # another process polls with this token, or a webhook is set
    REFUSED = "refused"  # Telegram does not know the token
    DATABASE = "database"  # the database cannot be used: the offset is held


class Poller:
    """The long poll: one at a time, started and stopped at will.

    Of several servers on one database, only the one that holds `lease` polls; the others stand by. `prepare` is done
    before the first poll and after every conflict (who are we, no webhook), and also by those who stand by: they answer
    too. `open_client` gives a fresh HTTP client; a connection that once failed is not used again.
    """

    def __init__(
        self,
        intake: Intake,
        store: Store,
        prepare: Callable[[], Awaitable[None]],
        open_calls: Callable[[httpx.AsyncClient], BotCalls],
        open_client: Callable[[], httpx.AsyncClient],
        lease: Lease,
        *,
        bot_id: int,
        poll_seconds: int,
        allowed_updates: Sequence[str],
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._intake = intake
        self._store = store
        self._prepare = prepare
        self._open_calls = open_calls
        self._open_client = open_client
        self._lease = lease
        self._bot_id = bot_id
        self._poll_seconds = poll_seconds
        self._allowed_updates = list(allowed_updates)
        self._clock = clock
        self._monotonic = monotonic
        self._sleep = sleep
        self._task: asyncio.Task[None] | None = None
        self._one_at_a_time = asyncio.Lock()
        self._offset: int | None = None
        self._offset_at = 0.0
        self._prepared = False
        self._failures = 0
        self.state = PollingState.STOPPED
        self.last_success_at: float | None = None
        self.last_error: str | None = None

    @property
    def running(self) -> bool:
        return self._task is not None and not self._task.done()

    @property
    def polled_by(self) -> str | None:
        """The server that polls, or did when it was last looked at; None while this one is stopped."""
        return self._lease.holder if self.running else None

    async def start(self) -> None:
        """Begin to poll, or to stand by while another server does; nothing changes when it polls already."""
        async with self._one_at_a_time:
            if not self.running:
                self.state, self._prepared, self._failures = PollingState.STARTING, False, 0
                self._task = asyncio.create_task(self._run(), name="telegram-polling")

    async def stop(self, seconds: float = 5.0) -> None:
        """End the poll within `seconds`; what it was storing is either committed or will be fetched again.

        Another server that stands by takes over at once.
        """
        async with self._one_at_a_time:
            try:
                async with asyncio.timeout(seconds):
                    await self._end()
            except TimeoutError:
                log.warning("polling: the lease ends by itself, the database is busy")
            self.state = PollingState.STOPPED

    async def _end(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})
        await self._lease.give_back()

    async def _run(self) -> None:
        while True:
            async with self._open_client() as client:
                pause = await self._poll_until_trouble(self._open_calls(client))
            await self._sleep(pause)

    async def _poll_until_trouble(self, calls: BotCalls) -> float:
        """Poll until something fails; how long to wait before the next try."""
        try:
            while True:
                await self._one_poll(calls)
        except SendError as error:
            return self._after_refusal(error)
        except StorageError as error:
            return self._after(PollingState.DATABASE, f"the database cannot be used now, the offset is held: {error}")
        except Exception as error:
            log.exception("unforeseen error in the long poll; it goes on")
            return self._after(PollingState.WAITING, f"unforeseen: {type(error).__name__}")

    async def _one_poll(self, calls: BotCalls) -> None:
        if not self._prepared:
            await self._prepare()
            self._prepared = True
        if not self._lease.held:
            await self._stand_by()
            await self._read_offset()
        # The first poll, and the first one after trouble, does not wait: so it is soon known that all is well.
        seconds = self._poll_seconds if self.state is PollingState.POLLING else 0
        asked_at, confirmed = self._monotonic(), self._offset_to_ask()
        updates = await self._get_updates(calls, confirmed, seconds)
        if not self._lease.held:
            return  # the process that polls now fetches them too: they are not confirmed
        if updates:
            await self._store_all(updates, confirmed)
        elif self.state is PollingState.POLLING and self._monotonic() - asked_at < HASTY_SECONDS:
            await self._sleep(HASTY_SECONDS)
        if self.state is not PollingState.POLLING:
            log.info("polling for updates")
        self.state, self.last_error, self._failures = PollingState.POLLING, None, 0

    async def _stand_by(self) -> None:
        """Wait until the lease is ours; its former holder may have moved the offset."""
        while not await self._lease.take():
            if self.state is not PollingState.STANDBY:
                log.info("polling: %s polls, this server stands by", self._lease.holder)
            self.state, self.last_error, self._failures = PollingState.STANDBY, None, 0
            await self._lease.wait_a_while()
        self.state = PollingState.STARTING if self.state is PollingState.STANDBY else self.state

    def _offset_to_ask(self) -> int | None:
        return self._offset if self._clock() - self._offset_at < OFFSET_SECONDS else None

    async def _get_updates(self, calls: BotCalls, offset: int | None, seconds: int) -> list[Any]:
        asked: dict[str, Any] = {
            "timeout": seconds,
            "limit": BATCH,
            "allowed_updates": self._allowed_updates,
        }
        if offset is not None:
            asked["offset"] = offset
        updates = await calls.call("getUpdates", asked, read_seconds=seconds + ANSWER_GRACE_SECONDS)
        if not isinstance(updates, list):
            raise OutcomeUnknown("body", "Telegram's answer to getUpdates is not a list")
        self.last_success_at = self._clock()
        return updates

    async def _store_all(self, updates: Sequence[Any], confirmed: int | None) -> None:
        """Commit all of it together with the new offset; only then the next poll confirms it."""
        batch = self._intake.sort(updates)
        now = self._clock()
        offset = confirmed if batch.offset is None else batch.offset
        note = (OFFSET_NOTE, {"bot": self._bot_id, "offset": offset, "at": now})
        if self.state is PollingState.DATABASE and self._failures >= SINGLY_AFTER:
            await self._intake.take_singly(batch, note)
        else:
            await self._intake.take_batch(batch, note)
        self._offset, self._offset_at = offset, now
        if batch.offset is None or (confirmed is not None and batch.offset <= confirmed):
            raise OutcomeUnknown("body", "Telegram sends updates that cannot be confirmed, or were confirmed already")

    async def _read_offset(self) -> None:
        note = await self._store.read_state(TELEGRAM, OFFSET_NOTE)
        if isinstance(note, dict) and note.get("bot") == self._bot_id and isinstance(note.get("offset"), int):
            self._offset, self._offset_at = note["offset"], float(note.get("at", 0.0))
        else:
            self._offset = None

    def _after_refusal(self, error: SendError) -> float:
        words = f"{error.message} ({error.code})"
        if error.code == "409":
            if not self._lease.held:
                return 0.0  # it is our own other server, which took over
            self._prepared = False  # a webhook may have been set meanwhile
            return self._after(PollingState.CONFLICT, f"another program uses this bot: {words}")
        if error.kind is SendFailure.CONFIG:
            refused = f"Telegram does not accept TELEGRAM_BOT_TOKEN: {words}"
            return max(self._after(PollingState.REFUSED, refused), REFUSED_PAUSE_SECONDS)
        return max(self._after(PollingState.WAITING, words), error.retry_after or 0.0)

    def _after(self, state: PollingState, words: str) -> float:
        """Note the trouble, once loudly and then quietly, and give the pause, which doubles."""
        if (state, words) == (self.state, self.last_error):
            log.info("polling: still %s", words)
        else:
            log.warning("polling: %s", words)
        self.state, self.last_error = state, words
        self._failures += 1
        return BACKOFF.delay(self._failures)


async def insist(
    what: str,
    call: Callable[[], Awaitable[None]],
    *,
    failed: Callable[[str], None] = lambda _: None,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> None:
    """Make a call until it succeeds, with growing pauses; `failed` hears why it did not, each time."""
    for failures in itertools.count(1):
        try:
            await call()
        except RelayError as error:
            asked = error.retry_after if isinstance(error, SendError) and error.retry_after else 0.0
            delay = max(_CALL_BACKOFF.delay(failures), asked)
            log.warning("%s failed: %s; next try in %.0f s", what, error, delay)
            failed(str(error))
            await sleep(delay)
        else:
            return
