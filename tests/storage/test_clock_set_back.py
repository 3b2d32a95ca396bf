"""The machine's clock is set back: what was due soon stays due soon, and leases of the dead still end."""

from __future__ import annotations

import pytest

from messaging_database import MessagingDatabase
from relay.channels.sms.spec import SMS
from relay.core.errors import SendError, SendFailure
from relay.storage.leases import MAX_LEASE_SECONDS
from tests.storage.fixtures import ANN, Opener, answered, claimed, claimed_part, message

NOW = 1_790_000_000.0
BUSY = SendError(SendFailure.BUSY, "429", "slow down")


class MovableClock:
    """The time of all servers of this machine."""

    now = NOW

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> MovableClock:
    return MovableClock()


@pytest.fixture
async def db(sqlite_url: str, opener: Opener, clock: MovableClock) -> MessagingDatabase:
    """PostgreSQL's own clock counts there, and cannot be moved."""
    return await opener(sqlite_url, owner="sms@one", clock=clock)


@pytest.mark.parametrize("step", [60, 7200, 30 * 86_400])
async def test_a_postponed_message_is_answered(db: MessagingDatabase, clock: MovableClock, step: float) -> None:
    """Its pause was seconds; it must not become the hours that the clock was wrong."""
    await db.store_inbound(message(), "")
    await db.postpone_inbound(await claimed(db), NOW + 3, "unavailable")
    assert await db.users_waiting(SMS) == []
    clock.now -= step
    assert await db.users_waiting(SMS) == [ANN]
    assert await db.claim_next_inbound(SMS, ANN) is not None


@pytest.mark.parametrize("record", ["record_retry", "record_unknown"])
async def test_a_postponed_part_is_sent(db: MessagingDatabase, clock: MovableClock, record: str) -> None:
    """Whether it is sent again or looked up."""
    await answered(db, "one")
    await getattr(db, record)(await claimed_part(db), NOW + 3, BUSY)
    assert await db.users_with_parts(SMS) == []
    clock.now -= 7200
    assert await db.users_with_parts(SMS) == [ANN]
    assert await db.claim_next_part(SMS, ANN) is not None


async def test_what_was_stored_just_before_is_handled(db: MessagingDatabase, clock: MovableClock) -> None:
    """A message and a part that never failed."""
    await answered(db, "one")
    await db.store_inbound(message(), "")
    clock.now -= 7200
    assert await db.users_waiting(SMS) == await db.users_with_parts(SMS) == [ANN]


async def test_a_pause_is_kept_while_the_clock_goes_forward(db: MessagingDatabase, clock: MovableClock) -> None:
    """However long the provider asked for."""
    await answered(db, "one")
    await db.record_retry(await claimed_part(db), NOW + 86_400, BUSY)
    clock.now += 86_399
    assert await db.users_with_parts(SMS) == []
    clock.now += 1
    assert await db.users_with_parts(SMS) == [ANN]


async def test_leases_of_a_dead_server_end(
    db: MessagingDatabase, sqlite_url: str, opener: Opener, clock: MovableClock
) -> None:
    """On messages and parts, and the named ones; within the longest lease they hold."""
    await db.store_inbound(message(), "")
    await claimed(db)
    await db.hold_lease(SMS, "polling", 15)
    other = await opener(sqlite_url, owner="sms@two", clock=clock)
    clock.now -= MAX_LEASE_SECONDS / 2
    assert await other.claim_next_inbound(SMS, ANN) is None
    assert await other.hold_lease(SMS, "polling", 15) == "sms@one"
    clock.now -= 7200
    assert await other.claim_next_inbound(SMS, ANN) is not None
    assert await other.hold_lease(SMS, "polling", 15) == "sms@two"
