"""PostgreSQL hangs, with its connections open: every verb ends in time, and commits nothing after its caller left."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

import pytest

from messaging_database import MessagingDatabase
from relay.channels.sms.spec import SMS
from relay.core.decisions import Decision
from relay.core.errors import SendError, SendFailure, StorageError
from relay.core.parts import PartState, Receipt
from relay.storage.schema import inbound
from tests.running_postgresql import Postgresql
from tests.storage.fixtures import (
    ANN,
    ANSWER,
    Opener,
    answered,
    claimed,
    claimed_part,
    counted,
    history,
    message,
    parts,
    report,
    rows,
    states,
)

BUSY = SendError(SendFailure.BUSY, "429", "slow down")
Verbs = list[Callable[[], Awaitable[object]]]


@pytest.fixture
def server(postgresql: Postgresql) -> Iterator[Postgresql]:
    """Thawed after the test, whatever happened."""
    yield postgresql
    postgresql.thaw()


@pytest.fixture
async def db(postgresql_url: str, server: Postgresql) -> AsyncIterator[MessagingDatabase]:
    """With a short timeout; closed after the server was thawed."""
    opener = Opener()
    yield await opener(postgresql_url, patience=2)
    server.thaw()
    await opener.close()


async def _refused(*verbs: Callable[[], Awaitable[object]]) -> set[type]:
    """The kinds of the outcomes of all verbs, called at once."""
    async with asyncio.timeout(60):
        outcomes = await asyncio.gather(*(verb() for verb in verbs), return_exceptions=True)
    return {type(outcome) for outcome in outcomes}


async def _verbs(db: MessagingDatabase) -> Verbs:
    """Verbs of every kind, on a message and a part that are claimed."""
    await answered(db, "one", "two")
    part = await claimed_part(db)
    await db.store_inbound(message(text="waiting"), "")
    claim = await claimed(db)
    return [
        lambda: db.store_inbound(message(external_id="SM-hang"), ""),
        lambda: db.store_batch([(message(external_id="SM-batch"), "")], [("odd", "raw", "odd")], SMS, ("offset", 7)),
        lambda: db.complete_inbound(claim, Decision(prompt="x"), parts("an answer"), answer=ANSWER),
        lambda: db.plan_message(SMS, ANN, parts("by hand")),
        lambda: db.record_accepted(part, Receipt("P1")),
        lambda: db.record_delivery(report(PartState.SENT)),
        lambda: db.find_user(SMS, ANN),
        lambda: db.users_waiting(SMS),
        lambda: db.hold_lease(SMS, "polling", 15),
    ]


async def test_every_verb_ends_and_nothing_is_committed_behind_its_back(
    db: MessagingDatabase, server: Postgresql
) -> None:
    """What was refused may be tried again: it is there once."""
    verbs = await _verbs(db)
    before = [await rows(db, inbound), await history(db), await states(db), await counted(db)]
    server.freeze()
    assert await _refused(*verbs) == {StorageError}
    server.thaw()
    await _until_it_answers(db)
    assert [await rows(db, inbound), await history(db), await states(db), await counted(db)] == before
    for verb in verbs:
        await verb()
    assert await states(db) == ["sent", "planned", "planned", "planned"]
    assert await db.problems() == []


async def _until_it_answers(db: MessagingDatabase) -> None:
    """The first write that works, after the threads of abandoned verbs have ended."""
    end = time.monotonic() + 60
    while True:
        try:
            await db.set_state(SMS, "written", 1)
            await db.check()  # C7: ready again with it
            return
        except StorageError:
            assert time.monotonic() < end


async def test_a_check_does_not_wait_for_it(postgresql_url: str, server: Postgresql, opener: Opener) -> None:
    """A minute is what a verb would wait; who asks whether the server is ready is not to wait."""
    now = 1000.0
    db = await opener(postgresql_url, patience=60, monotonic=lambda: now)
    await db.check()
    now += 2
    server.freeze()
    for _ in range(2):
        with pytest.raises(StorageError, match=r"not answered for 0\.45 s"):
            await db.check()
    server.thaw()
    await db.set_state(SMS, "written", 1)
    await db.check()


async def test_hanging_verbs_use_no_more_threads_than_there_are(db: MessagingDatabase, server: Postgresql) -> None:
    """However often they are called while it hangs."""
    threads = threading.active_count()
    server.freeze()
    verbs: Verbs = [lambda n=n: db.store_inbound(message(external_id=f"SM-{n}"), "") for n in range(50)]  # type: ignore[misc]
    for _ in range(2):
        assert await _refused(*verbs, lambda: db.find_user(SMS, ANN)) == {StorageError}
    assert threading.active_count() == threads


@pytest.mark.parametrize("verb", ["record_retry", "record_unknown"])
async def test_an_outcome_that_was_committed_unseen_may_be_recorded_again(db: MessagingDatabase, verb: str) -> None:
    """The answer of the commit can get lost; the same record again changes nothing."""
    await answered(db, "one")
    part = await claimed_part(db)
    due = time.time() + 60
    for _ in range(2):
        await getattr(db, verb)(part, due, BUSY)
    assert await db.problems() == []
    assert await db.claim_next_part(SMS, ANN) is None


async def test_an_acceptance_that_was_committed_unseen_is_counted_once(db: MessagingDatabase) -> None:
    """Its segments too."""
    await answered(db, "one")
    part = await claimed_part(db)
    for _ in range(2):
        await db.record_accepted(part, Receipt("P1", segments=3))
    assert (await counted(db))["segments"] == 3


async def test_it_can_be_closed_while_it_hangs(db: MessagingDatabase, server: Postgresql) -> None:
    """A stop takes its share of the time budget, and no more."""
    server.freeze()
    assert await _refused(lambda: db.store_inbound(message(), "")) == {StorageError}
    async with asyncio.timeout(60):
        await db.stop(0.1)


async def test_a_start_does_not_wait_for_it(postgresql_url: str, server: Postgresql) -> None:
    """The server is up and not ready; when the database answers again, it is."""
    server.freeze()
    opener = Opener()
    async with asyncio.timeout(60):
        db = await opener(postgresql_url, patience=1)
    with pytest.raises(StorageError, match="not ready"):
        await db.check()
    server.thaw()
    async with asyncio.timeout(60):
        await asyncio.gather(*(task for task in asyncio.all_tasks() if "_keep_preparing" in repr(task)))
    await db.check()
    await opener.close()
