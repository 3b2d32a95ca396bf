"""What /metrics measures of answers, queues and the errors of providers."""

from __future__ import annotations

import asyncio

from relay.channels.sms.spec import SMS
from relay.core.errors import SendError, SendFailure
from relay.core.metrics import Metrics
from relay.core.parts import DeliveryEvent, PartState, Receipt
from relay.storage import queries
from tests.core.harness import ANN, BOB, RelayHarness


def value(metrics: Metrics, name: str, **labels: str) -> float:
    return metrics.registry.get_sample_value(name, {"platform": SMS, **labels}) or 0.0


async def test_an_answer_is_measured_from_arrival_to_acceptance(relay: RelayHarness) -> None:
    """Once for each reply, whatever its parts; what the model needs is part of it."""
    thinking = asyncio.Event()
    relay.model.script.append(thinking.wait)
    await relay.receive("one|two|three")
    await relay.until(lambda: len(relay.model.prompts) == 1)
    relay.clock.advance(7)
    thinking.set()
    await relay.idle()
    assert len(relay.channel.to(ANN)) == 3
    assert value(relay.metrics, "relay_answer_seconds_count") == 1
    assert value(relay.metrics, "relay_answer_seconds_sum") == 7
    await relay.receive("/help", from_=BOB)
    await relay.idle()
    assert value(relay.metrics, "relay_answer_seconds_count") == 2


async def test_what_was_planned_before_a_restart_is_left_out(relay: RelayHarness) -> None:
    """Its arrival is not known any more; a wrong figure would be worse than none."""
    busy = SendError(SendFailure.BUSY, "429", "too fast", retry_after=5)
    relay.channel.script.append(busy)
    await relay.receive("hello")
    await relay.idle()
    await relay.stop()
    relay.metrics = Metrics()
    relay.rebuild()
    await relay.start()
    await relay.advance(60)
    assert relay.channel.to(ANN) == ["re: hello"]
    assert value(relay.metrics, "relay_answer_seconds_count") == 0


async def test_segments_and_their_cost_are_counted_when_a_part_is_accepted(relay: RelayHarness) -> None:
    """As the receipt has them; a part without a count is one message, and what was refused costs nothing."""
    refused = SendError(SendFailure.BUSY, "429", "too fast", retry_after=2)
    relay.channel.script.extend([refused, Receipt("A", segments=3, cost_usd=0.03), Receipt("B")])
    await relay.receive("one|two")
    for _ in range(4):
        await relay.advance(10)
    assert value(relay.metrics, "relay_segments_total") == 4
    assert value(relay.metrics, "relay_sent_cost_usd_total") == 0.03


async def test_errors_of_the_provider_are_counted_by_code(relay: RelayHarness) -> None:
    """Each refusal, retried or not; and each failed delivery once, however often it is reported."""
    relay.channel.script.extend([SendError(SendFailure.BUSY, "429", "too fast", retry_after=2)] * 2)
    await relay.receive("hello")
    for _ in range(4):
        await relay.advance(10)
    assert value(relay.metrics, "relay_provider_errors_total", code="429") == 2
    lost = DeliveryEvent(SMS, "P1", PartState.UNDELIVERED, relay.clock.now, error_code="30006")
    for _ in range(2):
        await relay.outbox.record_status(lost)
    assert value(relay.metrics, "relay_provider_errors_total", code="30006") == 1


async def test_the_backlog_is_what_waits(relay: RelayHarness) -> None:
    """Messages without an answer, the arrival of the oldest, parts that were not sent."""
    first = relay.clock.time()
    relay.model.always = asyncio.Event().wait
    await relay.receive("one")
    relay.clock.advance(30)
    await relay.receive("two", from_=BOB)
    assert await relay.database.query(lambda c: queries.backlog(c, SMS)) == (2, first, 0)
