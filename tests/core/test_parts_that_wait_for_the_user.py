"""A provider that lets us write only after the user wrote: the parts stay, and leave with the user's next message."""

from __future__ import annotations

import pytest

from relay.channels.sms.spec import SMS
from relay.core.errors import SendError, SendFailure
from relay.core.messages import InboundMessage, PartId
from relay.core.parts import DeliveryEvent, PartState, PlannedPart
from relay.core.retry import SEND_BACKOFF
from relay.storage.schema import outbound
from tests.core.harness import ANN, BOB, RelayHarness

CLOSED = SendError(SendFailure.WINDOW, "63016", "more than 24 hours since the person wrote")
DAY = 86_400.0


async def write_by_hand(relay: RelayHarness, *texts: str) -> None:
    parts = [PlannedPart(text, text) for text in texts]
    await relay.database.plan_message(SMS, ANN, parts, None)
    relay.outbox.notify(ANN)
    await relay.idle()


async def report_closed(relay: RelayHarness, number: int, state: PartState = PartState.UNDELIVERED) -> None:
    rows = await relay.rows(outbound, "part_id", "provider_id")
    part_id, sid = rows[number]
    event = DeliveryEvent(SMS, sid, state, relay.clock.now, PartId(part_id), "63016", "closed", failure=CLOSED.kind)
    assert await relay.outbox.record_status(event)


async def reopen(relay: RelayHarness) -> list[str]:
    """The user writes; what was sent to them since."""
    before = len(relay.channel.to(ANN))
    await relay.receive("/back")
    await relay.idle()
    await relay.advance(5)
    return relay.channel.to(ANN)[before:]


@pytest.mark.parametrize("days", [0.01, 3.0, 20.0])
async def test_a_refused_part_leaves_when_the_user_writes(relay: RelayHarness, days: float) -> None:
    """Whatever the limit for other failures is; the operator sees the reason meanwhile."""
    await relay.receive("/hello")
    await relay.idle()
    relay.channel.script.append(CLOSED)
    await write_by_hand(relay, "one", "two")
    await relay.advance(days * DAY)
    assert relay.channel.to(ANN) == ["did /hello"]
    assert await relay.rows(outbound, "state", "error_code") == [
        ("accepted", None),
        ("planned", "63016"),
        ("planned", None),
    ]
    assert await reopen(relay) == ["one", "two", "did /back"]


async def test_parts_that_are_reported_as_refused_leave_again_in_order(relay: RelayHarness) -> None:
    """The provider took them first: the reports come in any order, and the second part left behind the first."""
    await relay.receive("/hello")
    await relay.idle()
    await write_by_hand(relay, "one", "two", "three")
    for number in (2, 1, 3):
        await report_closed(relay, number)
    await relay.advance(2 * DAY)
    assert await relay.part_states() == ["accepted", "planned", "planned", "planned"]
    assert await reopen(relay) == ["one", "two", "three", "did /back"]


async def test_a_part_that_was_overtaken_is_not_sent_behind(relay: RelayHarness) -> None:
    """The next one was delivered: the user wrote in between."""
    await relay.receive("/hello")
    await relay.idle()
    await write_by_hand(relay, "one", "two")
    rows = await relay.rows(outbound, "part_id", "provider_id")
    delivered = DeliveryEvent(SMS, rows[2][1], PartState.DELIVERED, relay.clock.now, PartId(rows[2][0]))
    assert await relay.outbox.record_status(delivered)
    await report_closed(relay, 1)
    assert await relay.part_states() == ["accepted", "undelivered", "delivered"]


async def test_other_users_do_not_wait(relay: RelayHarness) -> None:
    """Neither the channel pauses nor does another user's message reopen this one."""
    await relay.receive("/hello")
    await relay.idle()
    relay.channel.script.append(CLOSED)
    await write_by_hand(relay, "one")
    await relay.receive("/b", from_=BOB)
    await relay.idle()
    assert relay.channel.to(BOB) == ["did /b"]
    assert (relay.outbox.pause.reason, relay.channel.to(ANN)) == (None, ["did /hello"])


async def test_who_opts_out_meanwhile_gets_nothing(relay: RelayHarness) -> None:
    """A STOP takes back what waits, too."""
    await relay.receive("/hello")
    await relay.idle()
    relay.channel.script.append(CLOSED)
    await write_by_hand(relay, "one")
    stop = InboundMessage(SMS, "SM-stop", ANN, "STOP", relay.clock.time())
    await relay.database.store_opt_out(stop, "opted out")
    assert await relay.part_states() == ["accepted", "canceled"]


@pytest.mark.parametrize("kind", [SendFailure.BUSY, SendFailure.LIMIT, SendFailure.DESTINATION])
async def test_a_pause_of_the_provider_holds_when_the_user_writes(relay: RelayHarness, kind: SendFailure) -> None:
    """What was put off for its own reason keeps its time."""
    await relay.receive("/hello")
    await relay.idle()
    relay.channel.script.append(SendError(kind, "429", "not now", retry_after=600))
    await write_by_hand(relay, "one")
    await relay.receive("/more")
    await relay.advance(5)
    assert relay.channel.to(ANN) == ["did /hello"]


async def test_after_a_month_it_is_given_up(relay: RelayHarness) -> None:
    """An answer of last season helps no one; it is listed as failed."""
    await relay.receive("/hello")
    await relay.idle()
    relay.channel.script.extend([CLOSED] * 2)
    await write_by_hand(relay, "one")
    await relay.advance(2 * (SEND_BACKOFF[SendFailure.WINDOW].max_age or 0.0))
    assert await relay.rows(outbound, "state", "error_code") == [("accepted", None), ("failed", "63016")]
