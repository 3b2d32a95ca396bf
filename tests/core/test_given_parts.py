"""The first part of an answer, which is claimed in the transaction that plans it and given to the outbox."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from relay.core.circuit import SEND_PAUSES
from relay.core.errors import SendError, SendFailure
from relay.core.messages import InboundMessage
from relay.core.outbox import GIVEN_SECONDS
from relay.core.parts import CompletedMessage
from tests.core.harness import ANN, NewRelay, RelayHarness


class Interrupted:
    """The store of a conversation: something happens between the end of a message and the send of its first part."""

    def __init__(self, relay: RelayHarness, then: Callable[[], Awaitable[None]]) -> None:
        self._relay = relay
        self._then = then

    def __getattr__(self, name: str) -> object:
        return self.interrupted if name == "complete_inbound" else getattr(self._relay.database, name)

    async def interrupted(self, *args: Any, **more: Any) -> CompletedMessage:
        done = await self._relay.database.complete_inbound(*args, **more)
        assert done.first is not None
        await self._then()
        return done


@pytest.mark.parametrize("late", [0.0, GIVEN_SECONDS + 0.1, 16.0], ids=["at once", "late", "after the lease"])
@pytest.mark.parametrize("rate_limited", [False, True])
async def test_a_part_that_is_claimed_as_it_is_planned_is_sent_once(
    new_relay: NewRelay, late: float, *, rate_limited: bool
) -> None:
    """However long the process was away between the two; the other parts follow it."""
    relay = await new_relay(rate_limited=rate_limited)

    async def pause() -> None:
        relay.clock.advance(late)

    relay.conversation._inbox = Interrupted(relay, pause)  # type: ignore[assignment]
    relay.model.script.append("a|b")
    await relay.receive("x")
    await relay.idle()
    await relay.all_asleep()  # a sweep that the pause woke has looked at the time before it
    await relay.advance(20)
    assert relay.channel.to(ANN) == ["a", "b"]
    assert await relay.part_states() == ["accepted", "accepted"]


async def test_an_opt_out_stops_a_part_that_was_claimed_as_it_was_planned(new_relay: NewRelay) -> None:
    """Unless it is sent at once, the opt-out is checked again, as for every claim."""
    relay = await new_relay()

    async def opt_out() -> None:
        relay.clock.advance(GIVEN_SECONDS + 0.1)
        message = InboundMessage(relay.platform, "stop", ANN, "STOP", relay.clock.now)
        await relay.database.store_opt_out(message, "opted out")

    relay.conversation._inbox = Interrupted(relay, opt_out)  # type: ignore[assignment]
    relay.model.script.append("a|b")
    await relay.receive("x")
    await relay.idle()
    assert relay.channel.to(ANN) == []
    assert await relay.part_states() == ["failed", "canceled"]


async def test_a_part_that_is_not_admitted_any_more_is_held(new_relay: NewRelay) -> None:
    """The circuit opened between its claim and its send: it waits as one that was surely not sent."""
    relay = await new_relay()

    async def outage() -> None:
        relay.outbox.circuit.record_failure(SendError(SendFailure.OUTAGE, "x", "x"), relay.clock.now + 1)

    relay.conversation._inbox = Interrupted(relay, outage)  # type: ignore[assignment]
    await relay.receive("x")
    await relay.idle()
    assert await relay.part_states() == ["planned"]
    for _ in range(3):
        await relay.advance(SEND_PAUSES[0] + 1)
    assert relay.channel.to(ANN) == ["re: x"]
    assert relay.channel.lookups == []
