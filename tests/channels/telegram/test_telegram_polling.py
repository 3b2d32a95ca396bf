"""The long poll between a scripted Bot API and a real database: what is committed when, and what trouble does."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from itertools import chain, repeat
from pathlib import Path
from typing import Any

import pytest

from messaging_database import MessagingDatabase, open_database
from relay.channels.registry import PLATFORMS
from relay.channels.telegram.bot_api import BotCalls
from relay.channels.telegram.ingest import UpdateIngest
from relay.channels.telegram.polling import LEASE_NAME, OFFSET_SECONDS, OFFSET_STATE, Poller, PollingState
from relay.channels.telegram.spec import TELEGRAM
from relay.core.errors import StorageError
from relay.core.http_client import open_http_client
from relay.core.lease import MAX_RETRY_SECONDS, Lease
from relay.core.messages import InboundId, InboundMessage, Platform, UserId
from relay.core.metrics import Metrics
from relay.storage import listings
from telegram_service import TelegramService
from tests.channels.scripted_server import CUT, Reply, listening
from tests.channels.telegram.scripted_bot_api import BOT_ID, TOKEN, ScriptedBotApi, ok, private, refused
from tests.databases import sqlite_in
from tests.settings import Settings

NOW = 1_790_000_000.0


class FailingStore:
    """The real database, which fails as often as it is told; `poison` is an external id that it never takes."""

    def __init__(self, database: MessagingDatabase) -> None:
        self._database = database
        self.owner = database.owner
        self.failures = 0
        self.poison = ""

    def _maybe_fail(self) -> None:
        if self.failures > 0:
            self.failures -= 1
            raise StorageError("database is locked")

    async def store_inbound(self, message: InboundMessage, raw: str) -> InboundId | None:
        self._maybe_fail()
        if message.external_id == self.poison:
            raise StorageError("invalid byte sequence")
        return await self._database.store_inbound(message, raw)

    async def store_dead_letter(self, platform: Platform, external_id: str, raw: str, reason: str) -> InboundId | None:
        self._maybe_fail()
        return await self._database.store_dead_letter(platform, external_id, raw, reason)

    async def store_batch(
        self,
        messages: Sequence[tuple[InboundMessage, str]],
        dead_letters: Sequence[tuple[str, str, str]],
        platform: Platform,
        state: tuple[str, Any],
    ) -> list[UserId]:
        self._maybe_fail()
        if any(message.external_id == self.poison for message, _ in messages):
            raise StorageError("invalid byte sequence")
        return await self._database.store_batch(messages, dead_letters, platform, state)

    async def set_state(self, platform: Platform, name: str, value: Any) -> None:
        self._maybe_fail()
        await self._database.set_state(platform, name, value)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._database, name)


async def _looks_are_quick(seconds: float) -> None:
    """A server on standby reads the lease again soon; renewals, which come later, are not needed here."""
    await asyncio.sleep(0.01 if seconds <= MAX_RETRY_SECONDS else 3600)


class Scene:
    """A poller with everything around it. Its pauses take no time; `notified` lists the users notified."""

    def __init__(self, api: ScriptedBotApi, database: MessagingDatabase, service: TelegramService) -> None:
        self.api = api
        self.database = database
        self.store = FailingStore(database)
        self.notified: list[UserId] = []
        self.pauses: list[float] = []
        self.troubles: list[tuple[PollingState, str | None]] = []
        self.now = NOW
        self._service = service
        self.monotonic: Callable[[], float] = time.monotonic
        self.lease = Lease(self.store, TELEGRAM, LEASE_NAME, 15.0, monotonic=self._moment, sleep=_looks_are_quick)
        self.poller = self.make_poller()

    def make_poller(self) -> Poller:
        ingest = UpdateIngest(self._service.parse_update, self.store, BOT_ID, Metrics(), self._notify)

        async def prepare() -> None:
            await self._service.learn_identity()
            await self._service.calls.call("deleteWebhook", {})

        return Poller(
            ingest,
            self.store,
            prepare,
            lambda client: BotCalls(client, self.api.base_url, TOKEN),
            open_http_client,
            self.lease,
            bot_id=BOT_ID,
            poll_seconds=20,
            allowed_updates=self._service.allowed_updates,
            clock=lambda: self.now,
            monotonic=lambda: self.now,  # so no answer takes long
            sleep=self._sleep,
        )

    def _moment(self) -> float:
        return self.monotonic()

    def other_server(self) -> MessagingDatabase:
        """The same database, as another server sees it."""
        return MessagingDatabase(self.database._transactions, owner="other")

    async def other_takes_over(self) -> None:
        """As after a long sleep of this machine."""
        self.monotonic = lambda: time.monotonic() + 100
        other = self.other_server()
        await other.prepare()
        await self.database.release_lease(TELEGRAM, LEASE_NAME)
        await other.hold_lease(TELEGRAM, LEASE_NAME, 600)

    def _notify(self, user_id: UserId) -> None:
        self.notified.append(user_id)

    async def _sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.troubles.append((self.poller.state, self.poller.last_error))
        await asyncio.sleep(0)

    async def until(self, state: PollingState) -> None:
        async with asyncio.timeout(60):
            while self.poller.state is not state:  # noqa: ASYNC110 (a state is no event)
                await asyncio.sleep(0.005)

    async def stored(self) -> list[str]:
        """The texts that wait for an answer, in order."""
        return [
            row["text"] for row in await self.database.query(lambda c: listings.waiting_messages(c, PLATFORMS, 200))
        ]

    async def dead_letters(self) -> list[dict[str, Any]]:
        return await self.database.query(lambda c: listings.dead_letters(c, PLATFORMS, 200))

    async def confirmed(self, offset: int) -> None:
        """Wait until Telegram was asked for what comes from this offset on."""
        for count in range(1, 200):
            if (await self.api.until("getUpdates", count))[-1].get("offset") == offset:
                return


@asynccontextmanager
async def scene_in(folder: Path) -> AsyncIterator[Scene]:
    async with listening(ScriptedBotApi()) as api, open_http_client() as client:
        settings = Settings(
            telegram_bot_token=TOKEN, telegram_api_base_url=api.base_url, database_url=sqlite_in(folder)
        )
        database = open_database(settings, "telegram_server")
        await database.start()
        scene = Scene(api, database, TelegramService(settings, client))
        try:
            yield scene
        finally:
            await scene.poller.stop()
            await database.stop()


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[Scene]:
    async with scene_in(tmp_path) as one:
        yield one


async def test_what_comes_is_stored_before_it_is_confirmed(scene: Scene) -> None:
    """The next poll asks from behind the last update, which is in the database by then; its sender is notified."""
    await scene.poller.start()
    await scene.api.bring(private(10, "one"), private(11, "two"))
    await scene.confirmed(12)
    assert await scene.stored() == ["one", "two"]
    assert scene.notified == ["700000001"]
    assert scene.poller.state is PollingState.POLLING


async def test_polling_begins_by_learning_who_we_are_and_ending_any_webhook(scene: Scene) -> None:
    """Else Telegram answers 409."""
    await scene.poller.start()
    await scene.api.until("getUpdates")
    assert [call.method for call in scene.api.calls[:3]] == ["getMe", "deleteWebhook", "getUpdates"]
    assert scene.api.made("getUpdates")[0]["allowed_updates"] == [
        *("message", "edited_message", "my_chat_member", "stopped_message_generation"),
        *("callback_query", "guest_message", "business_message"),
    ]


async def test_a_batch_that_comes_again_changes_nothing(scene: Scene) -> None:
    """Telegram repeats what it does not know to be confirmed."""
    scene.api.scripts["getUpdates"].extend(
        [ok([private(10, "one")]), CUT, ok([private(10, "one"), private(11, "two")])]
    )
    await scene.poller.start()
    await scene.confirmed(12)
    assert await scene.stored() == ["one", "two"]


@pytest.mark.parametrize(
    "poison",
    [
        {"update_id": 11, "message": {"chat": "nonsense"}},
        {"update_id": 11, "message": {"message_id": 1, "chat": {"id": 7, "type": "private"}, "text": ["no text"]}},
        {"update_id": 11, "edited_message": 5},
    ],
)
async def test_a_poison_update_stops_nobody_behind_it(
    scene: Scene, poison: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """It is kept as a dead letter, with its reason and a line in the log, and the rest of its batch is stored."""
    await scene.api.bring(private(10, "before"), poison, private(12, "behind"))
    await scene.poller.start()
    await scene.confirmed(13)
    assert await scene.stored() == ["before", "behind"]
    [letter] = await scene.dead_letters()
    assert letter["external_id"] == f"{BOT_ID}:11"
    assert letter["error"]
    assert letter["raw"]
    assert f"it is kept as a dead letter: {letter['error']}" in caplog.text


@pytest.mark.parametrize("garbage", ["text", 5, None, [], {}, {"update_id": "11"}, {"message": {"text": "x"}}])
async def test_an_update_without_an_id_is_kept_once_and_does_not_spin(scene: Scene, garbage: Any) -> None:
    """It cannot be confirmed by itself; a later one confirms it, and until then the pauses grow."""
    scene.api.scripts["getUpdates"].extend([ok([garbage])] * 4)
    await scene.api.bring(private(12, "behind"))
    await scene.poller.start()
    await scene.confirmed(13)
    assert len(await scene.dead_letters()) == 1
    assert scene.pauses[:4] == [1.0, 2.0, 4.0, 8.0]
    assert await scene.stored() == ["behind"]


async def test_a_server_that_ignores_the_offset_is_not_asked_without_end(scene: Scene) -> None:
    """The same batch again and again is trouble, not work."""
    scene.api.scripts["getUpdates"].extend([ok([private(10, "one")])] * 4)
    await scene.poller.start()
    await scene.api.until("getUpdates", 5)
    assert scene.pauses[:3] == [1.0, 2.0, 4.0]
    assert await scene.stored() == ["one"]


async def test_while_the_database_is_away_the_offset_is_held(scene: Scene) -> None:
    """Nothing is confirmed, nothing is lost, the state says why, and it resumes by itself."""
    scene.store.failures = 2
    await scene.api.bring(private(10, "one"))
    await scene.poller.start()
    polls = await scene.api.until("getUpdates", 3)
    assert [poll.get("offset") for poll in polls[:3]] == [None, None, None]
    await scene.confirmed(11)
    assert scene.pauses == [1.0, 2.0]
    assert await scene.stored() == ["one"]


async def test_one_message_that_the_database_refuses_does_not_hold_up_the_others(scene: Scene) -> None:
    """After a few tries the batch is stored one by one; what is refused by itself becomes a dead letter."""
    scene.store.poison = f"{BOT_ID}:11"
    await scene.api.bring(private(10, "before"), private(11, "poison"), private(12, "behind"))
    await scene.poller.start()
    await scene.confirmed(13)
    assert await scene.stored() == ["before", "behind"]
    [letter] = await scene.dead_letters()
    assert "poison" in letter["raw"]


async def test_a_long_outage_of_the_database_gives_nothing_up(scene: Scene) -> None:
    """One by one or all together: as long as nothing can be written, nothing is given up."""
    scene.store.failures = 12
    await scene.api.bring(private(10, "one"), private(11, "two"))
    await scene.poller.start()
    await scene.confirmed(12)
    assert await scene.stored() == ["one", "two"]
    assert await scene.dead_letters() == []


async def test_the_offset_outlives_the_process(scene: Scene) -> None:
    """The next run continues where this one stopped."""
    await scene.poller.start()
    await scene.api.bring(private(10, "one"))
    await scene.confirmed(11)
    await scene.poller.stop()
    scene.poller = scene.make_poller()
    before = len(scene.api.made("getUpdates"))
    await scene.poller.start()
    assert (await scene.api.until("getUpdates", before + 1))[before]["offset"] == 11


@pytest.mark.parametrize(
    "stored",
    [{"bot": BOT_ID, "offset": 500, "at": NOW - OFFSET_SECONDS - 1}, {"bot": 1, "offset": 500, "at": NOW}, "x"],
)
async def test_an_old_or_foreign_offset_is_not_used(scene: Scene, stored: Any) -> None:
    """After a week of silence Telegram counts anew, and another bot counts by itself: updates would be hidden."""
    await scene.database.set_state(TELEGRAM, OFFSET_STATE, stored)
    await scene.poller.start()
    assert "offset" not in (await scene.api.until("getUpdates"))[0]


@pytest.mark.parametrize(
    ("reply", "state", "says"),
    [
        (refused(409, "Conflict: terminated by other getUpdates request"), PollingState.CONFLICT, "another program"),
        (refused(401, "Unauthorized"), PollingState.REFUSED, "TELEGRAM_BOT_TOKEN"),
        (refused(404, "Not Found"), PollingState.REFUSED, "TELEGRAM_BOT_TOKEN"),
        (refused(429, "Too Many Requests", retry_after=77), PollingState.WAITING, "Too Many"),
        (Reply(502, b"<html>Bad Gateway</html>"), PollingState.WAITING, "502"),
        (Reply(200, b"half"), PollingState.WAITING, "understood"),
        (ok({"not": "a list"}), PollingState.WAITING, "list"),
        (CUT, PollingState.WAITING, "did not answer"),
    ],
)
async def test_trouble_is_shown_for_what_it_is_and_ends_by_itself(
    scene: Scene, caplog: pytest.LogCaptureFixture, reply: Reply | str, state: PollingState, says: str
) -> None:
    """The state tells it while it lasts; the next poll uses another connection; then all is well."""
    scene.api.scripts["getUpdates"].append(reply)
    await scene.poller.start()
    await scene.api.bring(private(10, "one"))
    await scene.confirmed(11)
    [(shown, words)] = scene.troubles
    assert shown is state
    assert says in (words or "")
    assert says in caplog.text
    assert (scene.poller.state, scene.poller.last_error) == (PollingState.POLLING, None)
    first, second = [call.connection for call in scene.api.calls if call.method == "getUpdates"][:2]
    assert first != second


@pytest.mark.parametrize(
    ("reply", "pause"), [(refused(429, "x", retry_after=77), 77.0), (refused(401, "Unauthorized"), 60.0)]
)
async def test_pauses_are_as_long_as_asked_for(scene: Scene, reply: Reply, pause: float) -> None:
    """retry_after is honoured; a refused token is not tried every second."""
    scene.api.scripts["getUpdates"].append(reply)
    await scene.poller.start()
    await scene.api.until("getUpdates", 2)
    assert scene.pauses == [pause]


async def test_a_webhook_that_is_in_the_way_is_removed(scene: Scene) -> None:
    """After a 409 the webhook is deleted once more."""
    scene.api.scripts["getUpdates"].append(
        refused(409, "Conflict: can't use getUpdates method while webhook is active")
    )
    await scene.poller.start()
    await scene.api.until("getUpdates", 2)
    assert len(scene.api.made("deleteWebhook")) == 2


async def test_start_and_stop_really_do_and_may_be_repeated(scene: Scene) -> None:
    """Never two polls at a time; a stopped one asks nothing more and loses nothing."""
    await asyncio.gather(*(scene.poller.start() for _ in range(5)))
    await scene.api.until("getUpdates", 2)
    assert scene.poller.running
    assert len(scene.api.made("getMe")) == 1
    await asyncio.gather(scene.poller.stop(), scene.poller.stop())
    assert (scene.poller.running, scene.poller.state) == (False, PollingState.STOPPED)
    asked = len(scene.api.made("getUpdates"))
    await scene.api.bring(private(10, "meanwhile"))
    assert len(scene.api.made("getUpdates")) == asked
    await scene.poller.start()
    await scene.confirmed(11)
    assert await scene.stored() == ["meanwhile"]


async def test_empty_answers_that_come_at_once_do_not_make_it_spin(scene: Scene) -> None:
    """A server that does not wait is asked again after a pause."""
    scene.api.scripts["getUpdates"].extend([ok([])] * 5)
    await scene.poller.start()
    await scene.api.until("getUpdates", 5)
    assert scene.pauses[:3] == [0.5] * 3


async def test_while_another_server_polls_this_one_stands_by(scene: Scene) -> None:
    """It learns who it is, says who polls, and asks for no updates; it takes over from where the other stopped."""
    other = scene.other_server()
    await other.prepare()
    await other.hold_lease(TELEGRAM, LEASE_NAME, 600)
    await scene.poller.start()
    await scene.api.until("deleteWebhook")
    await scene.until(PollingState.STANDBY)
    assert (scene.poller.running, scene.poller.polled_by) == (True, "other")
    assert scene.api.made("getUpdates") == []
    await other.set_state(TELEGRAM, OFFSET_STATE, {"bot": BOT_ID, "offset": 77, "at": NOW})
    await other.release_lease(TELEGRAM, LEASE_NAME)
    assert (await scene.api.until("getUpdates"))[0]["offset"] == 77
    await scene.until(PollingState.POLLING)
    assert scene.poller.polled_by == scene.database.owner


async def test_a_stopped_poller_leaves_its_turn_to_another_server(scene: Scene) -> None:
    """At once, and it says no more who polls."""
    await scene.poller.start()
    await scene.api.until("getUpdates")
    other = scene.other_server()
    await other.prepare()
    assert await other.hold_lease(TELEGRAM, LEASE_NAME, 600) == scene.database.owner
    await scene.poller.stop()
    assert await other.hold_lease(TELEGRAM, LEASE_NAME, 600) == "other"
    assert scene.poller.polled_by is None


async def test_what_comes_after_the_lease_was_lost_is_left_to_the_other_server(scene: Scene) -> None:
    """It is not stored here and not confirmed: the offset is the other's to move."""
    await scene.poller.start()
    await scene.until(PollingState.POLLING)
    await scene.other_takes_over()
    await scene.api.bring(private(10, "one"))
    await scene.until(PollingState.STANDBY)
    assert await scene.stored() == []
    assert await scene.database.read_state(TELEGRAM, OFFSET_STATE) is None


async def test_a_conflict_with_the_server_that_took_over_is_no_trouble(scene: Scene) -> None:
    """Telegram ends our last poll with 409 because our own other server polls now: no alarm, and a new try."""
    moments = chain([0.0, 0.0], repeat(100.0))  # the lease is over as soon as the first poll has gone out
    scene.monotonic = lambda: next(moments)
    scene.api.scripts["getUpdates"].append(refused(409, "Conflict: terminated by other getUpdates request"))
    await scene.poller.start()
    await scene.until(PollingState.POLLING)
    assert scene.troubles == [(PollingState.STARTING, None)]
