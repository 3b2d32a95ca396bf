"""The long poll for Telegram updates. Routes, start and stop are the Telegram server's."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from enum import StrEnum
from typing import Any

import httpx

from relay.channels.telegram.bot_api import BotCalls
from relay.channels.telegram.ingest import UpdateIngest
from relay.channels.telegram.spec import TELEGRAM
from relay.core.errors import OutcomeUnknown, SendError, SendFailure, StorageError
from relay.core.lease import Lease
from relay.core.retry import Backoff
from relay.core.store import Store

log = logging.getLogger("relay.channels.telegram.polling")

OFFSET_STATE = "polling_offset"
LEASE_NAME = "polling_lease"
BATCH = 100  # the most that getUpdates gives: https://core.telegram.org/bots/api#getupdates

# Telegram forgets updates after a day, and after a week without any it starts counting anew, at random: an offset from
# before would hide later updates. Leaving it out costs at most a batch of repeats, which the store ignores.
OFFSET_SECONDS = 6 * 86_400.0

BACKOFF = Backoff(1.0, 30.0)
REFUSED_PAUSE_SECONDS = 60.0  # a token that was refused seldom becomes right
RESPONSE_GRACE_SECONDS = 10.0
MIN_POLL_SECONDS = 0.5  # an empty response that comes sooner was no long poll
ONE_BY_ONE_AFTER = 3  # failures of the database


class PollingState(StrEnum):
    """What the long poll is doing, as the status shows it."""

    STOPPED = "stopped"
    STARTING = "starting"
    STANDBY = "standby"  # another of our servers polls; this one takes over when it stops or dies
    POLLING = "polling"
    WAITING = "waiting"  # Telegram cannot be reached, or asks for a pause; it is tried again
    CONFLICT = "conflict"  # another process polls with this token, or a webhook is set
    REFUSED = "refused"  # Telegram refuses the token
    DATABASE = "database"  # the database cannot be used: the offset is held


class Poller:
    """Polls for updates and stores them, one batch at a time.

    Of several servers on one database only the one that holds `lease` polls; the others stand by.
    prepare: awaited before the first poll and after every conflict (learns the bot's identity, deletes the webhook),
    also by servers that stand by, because they send too.
    open_client: opens an HTTP client; after a failure a new one is opened, so no failed connection is used again.
    """

    def __init__(
        self,
        ingest: UpdateIngest,
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
        self._ingest = ingest
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
        self._switching = asyncio.Lock()
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
        """The server that polled when the lease was last read; None while this one is stopped."""
        return self._lease.holder if self.running else None

    async def start(self) -> None:
        """Start to poll, or to stand by while another server polls; does nothing when it is running."""
        async with self._switching:
            if not self.running:
                self.state, self._prepared, self._failures = PollingState.STARTING, False, 0
                self._task = asyncio.create_task(self._run(), name="telegram-polling")

    async def stop(self, seconds: float = 5.0) -> None:
        """Stop within `seconds`; a batch that was being stored is committed or will be fetched again.

        Another server that stands by takes over at once.
        """
        async with self._switching:
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
        await self._lease.release()

    async def _run(self) -> None:
        while True:
            async with self._open_client() as client:
                pause = await self._poll_until_failure(self._open_calls(client))
            await self._sleep(pause)

    async def _poll_until_failure(self, calls: BotCalls) -> float:
        """Poll until something fails; returns the seconds to wait before the next poll."""
        try:
            while True:
                await self._poll_once(calls)
        except SendError as error:
            return self._refused(error)
        except StorageError as error:
            return self._failed(PollingState.DATABASE, f"the database cannot be used now, the offset is held: {error}")
        except Exception as error:
            log.exception("unforeseen error in the long poll; it goes on")
            return self._failed(PollingState.WAITING, f"unforeseen: {type(error).__name__}")

    async def _poll_once(self, calls: BotCalls) -> None:
        if not self._prepared:
            await self._prepare()
            self._prepared = True
        if not self._lease.held:
            await self._stand_by()
            await self._read_offset()
        # The first poll, and the first one after a failure, returns at once, so that the state soon shows success.
        seconds = self._poll_seconds if self.state is PollingState.POLLING else 0
        started_at, confirmed = self._monotonic(), self._usable_offset()
        updates = await self._get_updates(calls, confirmed, seconds)
        if not self._lease.held:
            return  # not confirmed: the server that polls now fetches them again
        if updates:
            await self._store_updates(updates, confirmed)
        elif self.state is PollingState.POLLING and self._monotonic() - started_at < MIN_POLL_SECONDS:
            await self._sleep(MIN_POLL_SECONDS)
        if self.state is not PollingState.POLLING:
            log.info("polling for updates")
        self.state, self.last_error, self._failures = PollingState.POLLING, None, 0

    async def _stand_by(self) -> None:
        """Wait until this server holds the lease; its former holder may have moved the offset."""
        while not await self._lease.take():
            if self.state is not PollingState.STANDBY:
                log.info("polling: %s polls, this server stands by", self._lease.holder)
            self.state, self.last_error, self._failures = PollingState.STANDBY, None, 0
            await self._lease.wait_to_retry()
        self.state = PollingState.STARTING if self.state is PollingState.STANDBY else self.state

    def _usable_offset(self) -> int | None:
        return self._offset if self._clock() - self._offset_at < OFFSET_SECONDS else None

    async def _get_updates(self, calls: BotCalls, offset: int | None, seconds: int) -> list[Any]:
        parameters: dict[str, Any] = {"timeout": seconds, "limit": BATCH, "allowed_updates": self._allowed_updates}
        if offset is not None:
            parameters["offset"] = offset
        updates = await calls.call("getUpdates", parameters, seconds=seconds + RESPONSE_GRACE_SECONDS)
        if not isinstance(updates, list):
            raise OutcomeUnknown("body", "Telegram's answer to getUpdates is not a list")
        self.last_success_at = self._clock()
        return updates

    async def _store_updates(self, updates: Sequence[Any], confirmed: int | None) -> None:
        """Commit the updates together with the new offset; the next poll confirms them."""
        batch = await self._ingest.parse(updates)
        now = self._clock()
        offset = confirmed if batch.offset is None else batch.offset
        state = (OFFSET_STATE, {"bot": self._bot_id, "offset": offset, "at": now})
        if self.state is PollingState.DATABASE and self._failures >= ONE_BY_ONE_AFTER:
            await self._ingest.store_one_by_one(batch, state)
        else:
            await self._ingest.store_batch(batch, state)
        self._offset, self._offset_at = offset, now
        if batch.offset is None or (confirmed is not None and batch.offset <= confirmed):
            raise OutcomeUnknown("body", "Telegram sends updates that cannot be confirmed, or were confirmed already")

    async def _read_offset(self) -> None:
        stored = await self._store.read_state(TELEGRAM, OFFSET_STATE)
        if isinstance(stored, dict) and stored.get("bot") == self._bot_id and isinstance(stored.get("offset"), int):
            self._offset, self._offset_at = stored["offset"], float(stored.get("at", 0.0))
        else:
            self._offset = None

    def _refused(self, error: SendError) -> float:
        text = f"{error.message} ({error.code})"
        if error.code == "409":
            if self._prepared and not self._lease.held:
                return 0.0  # another of our servers took over
            self._prepared = False  # a webhook may have been set meanwhile
            return self._failed(PollingState.CONFLICT, f"another program uses this bot: {text}")
        if error.kind is SendFailure.CONFIG:
            refused = f"Telegram does not accept TELEGRAM_BOT_TOKEN: {text}"
            return max(self._failed(PollingState.REFUSED, refused), REFUSED_PAUSE_SECONDS)
        return max(self._failed(PollingState.WAITING, text), error.retry_after or 0.0)

    def _failed(self, state: PollingState, error: str) -> float:
        """Record a failure, logged as a warning the first time only; returns the pause in seconds, which doubles."""
        if (state, error) == (self.state, self.last_error):
            log.info("polling: still %s", error)
        else:
            log.warning("polling: %s", error)
        self.state, self.last_error = state, error
        self._failures += 1
        return BACKOFF.delay(self._failures)
