"""Messages older than keep_days are deleted while the server runs; people, consent, totals and costs stay."""

from __future__ import annotations

import asyncio

from sqlalchemy import select

from relay.channels.registry import PLATFORMS
from relay.core.messages import InboundMessage, UserId
from relay.core.parts import DeliveryEvent, PartState
from relay.core.retention import PAUSE_SECONDS, ROUND_SECONDS, retention
from relay.storage import queries
from relay.storage.schema import delivery_events, inbound, users
from tests.core.harness import ANN, BOB, CAT, NewRelay, RelayHarness

DAY = 86_400.0


async def _answered(relay: RelayHarness, user: UserId, text: str) -> None:
    await relay.receive(text, from_=user)
    await relay.idle()
    receipt, moment = f"P{len(relay.channel.sent)}", relay.clock.now
    await relay.database.record_delivery(DeliveryEvent(relay.platform, receipt, PartState.DELIVERED, moment))


async def _status(relay: RelayHarness) -> dict[str, object]:
    """The figures of the status at one moment of the clock."""
    now = 1_000_000 + 12 * DAY
    return await relay.database.query(lambda c: queries.status(c, relay.platform, PLATFORMS, now))


async def _round(relay: RelayHarness, keep_days: int = 10) -> None:
    """Prune until the pause of an hour."""
    pruning = retention(relay.database, keep_days, sleep=relay.clock.sleep)
    pruning.start()
    while not relay.clock.sleeping(ROUND_SECONDS):
        await relay.until(lambda: relay.clock.sleeping(PAUSE_SECONDS) + relay.clock.sleeping(ROUND_SECONDS) > 0)
        if relay.clock.sleeping(PAUSE_SECONDS):
            relay.clock.advance(PAUSE_SECONDS)
            await asyncio.sleep(0)
    await pruning.stop()


async def test_old_messages_go_and_everything_else_stays(new_relay: NewRelay) -> None:
    """The rows of finished messages go; the person, the opt-out, the totals and what is open stay."""
    relay = await new_relay(model_give_up_seconds=86_400)
    await _answered(relay, ANN, "name=Ann")
    await _answered(relay, ANN, "old")
    await _answered(relay, BOB, "state=stopped")
    relay.clock.now += 11 * DAY
    relay.clock.advance(0)
    await _answered(relay, ANN, "new")
    await relay.database.store_inbound(InboundMessage(relay.platform, "open", CAT, "open", 0.0), "raw")
    before = await _status(relay)
    await _round(relay)
    assert await relay.history() == [("user", "new"), ("assistant", "re: new")]
    assert await relay.rows(inbound, "user_id", "state") == [(ANN, "done"), (CAT, "received")]
    assert await relay.part_states() == ["delivered"]
    assert len(await relay.rows(delivery_events)) == 1
    people = await relay.database.query(lambda c: c.execute(select(users.c.user_id, users.c.state)).all())
    assert sorted(map(tuple, people)) == [(ANN, "active"), (BOB, "stopped"), (CAT, "new")]
    assert await _status(relay) == before
    assert await relay.database.problems() == []
