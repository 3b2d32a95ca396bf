"""The figures of a day, counted from rows that are found by their ids."""

from __future__ import annotations

from messaging_database import MessagingDatabase
from relay.channels.registry import PLATFORMS
from relay.channels.sms.spec import SMS
from relay.channels.telegram.spec import TELEGRAM
from relay.core.decisions import Decision
from relay.core.errors import SendError, SendFailure
from relay.core.parts import Receipt
from relay.storage.daily_totals import day_totals
from tests.core.harness import FakeClock
from tests.storage.fixtures import ANSWER, BOB, Opener, claimed, claimed_part, message, parts

DAY = 86_400.0


async def exchange(db: MessagingDatabase, clock: FakeClock, seconds: float, *texts: str) -> None:
    """A question that is answered in so many seconds, with parts of one segment each."""
    await db.store_inbound(message(BOB, "hello", received_at=clock.now), "")
    await db.complete_inbound(await claimed(db, BOB), Decision(prompt="hello"), parts(*texts), answer=ANSWER)
    clock.advance(seconds)
    for number, _ in enumerate(texts):
        await db.record_accepted(await claimed_part(db, BOB), Receipt(f"P{clock.now}-{number}"))


async def test_a_day_has_its_own_figures(sqlite_url: str, opener: Opener) -> None:
    """Messages of both roles, cost, accepted segments, failures, and how long half and nearly all answers took."""
    clock = FakeClock()
    db = await opener(sqlite_url, clock=clock.time)
    begin = clock.now
    await exchange(db, clock, 50.0, "yesterday")
    clock.advance(DAY)
    today = clock.now
    for number in range(1, 20):
        await exchange(db, clock, float(number), "one", "two")
        clock.advance(60)
    await exchange(db, clock, 600.0, "slow")
    await db.store_inbound(message(BOB, "hello", received_at=clock.now), "")
    await db.complete_inbound(await claimed(db, BOB), Decision(prompt="hello"), parts("lost"), answer=ANSWER)
    await db.record_failed(await claimed_part(db, BOB), SendError(SendFailure.REJECTED, "30007", "spam"))
    figures = await db.query(lambda c: day_totals(c, PLATFORMS, today, clock.now + 1))
    # A failed answer is no part of the history.
    assert figures[SMS] == {
        "messages": 41,
        "model_usd": 5.0,
        "segments": 39,
        "failed": 1,
        "median_seconds": 10.0,
        "slow_seconds": 19.0,
    }
    assert figures[TELEGRAM]["messages"] == 0
    yesterday = await db.query(lambda c: day_totals(c, PLATFORMS, begin, today))
    assert (yesterday[SMS]["messages"], yesterday[SMS]["median_seconds"]) == (2, 50.0)


async def test_an_empty_database_has_empty_figures(sqlite_url: str, opener: Opener) -> None:
    """Without an answer there is no time to one."""
    db = await opener(sqlite_url)
    figures = await db.query(lambda c: day_totals(c, PLATFORMS, 0.0, 1e12))
    assert figures[SMS]["median_seconds"] is None
    assert figures[SMS]["messages"] == 0
