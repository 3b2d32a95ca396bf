"""The clock is set back by hours while something waits: it waits no longer than it would have."""

from __future__ import annotations

from relay.core.errors import OutcomeUnknown, SendError, SendFailure
from relay.core.guards import SAME_TEXTS
from relay.storage.schema import outbound
from tests.core.harness import ANN, NewRelay, RelayHarness
from tests.english import english

HOURS = 2 * 3600.0
LOST = OutcomeUnknown("timeout", "no answer")
WRONG_TOKEN = SendError(SendFailure.CONFIG, "20003", "authenticate")


async def test_a_paused_channel_sends_again_after_its_pause(relay: RelayHarness) -> None:
    """The pause is a minute, and everybody's parts wait for it."""
    relay.channel.script.append(WRONG_TOKEN)
    await relay.receive("/a")
    await relay.idle()
    relay.clock.set_back(HOURS)
    await relay.advance(61)
    assert relay.channel.to(ANN) == ["did /a"]


async def test_a_part_of_unknown_outcome_is_looked_up(relay: RelayHarness) -> None:
    """Two seconds after the attempt, although the attempt now seems to be in the future."""
    relay.channel.script.append(LOST)
    await relay.receive("/a")
    await relay.idle()
    relay.clock.set_back(HOURS)
    for _ in range(3):
        await relay.advance(3)
    assert relay.channel.lookups == ["did /a"]
    assert relay.channel.to(ANN) == ["did /a"]


async def test_a_part_that_is_not_found_is_sent_again(relay: RelayHarness) -> None:
    """When it can turn up no more, and once."""
    relay.channel.lookup_seconds = 60.0
    relay.channel.script.append(LOST)
    await relay.receive("/a")
    await relay.idle()
    relay.clock.set_back(HOURS)
    for _ in range(20):
        await relay.advance(10)
    assert relay.channel.to(ANN) == ["did /a"]
    assert await relay.rows(outbound, "state", "resends") == [("accepted", 1)]


async def test_a_question_that_waited_for_more_is_asked(new_relay: NewRelay) -> None:
    """With a window of five seconds for further messages."""
    relay = await new_relay(merge_messages=True, merge_window_seconds=5)
    await relay.receive("one")
    await relay.until(lambda: relay.clock.sleeping(5) == 1)
    await relay.receive("two")
    relay.clock.set_back(HOURS)
    await relay.advance(6)
    assert relay.channel.to(ANN) == ["re: one+two"]


async def test_earlier_messages_do_not_count_for_the_limit_of_this_minute(new_relay: NewRelay) -> None:
    """They seem to come from the future."""
    relay = await new_relay(messages_per_minute=2)
    for text in ("one", "two", "three"):
        await relay.receive(text)
        await relay.advance(120)
    relay.clock.set_back(HOURS)
    await relay.receive("four", "five", "six")
    await relay.idle()
    assert relay.channel.to(ANN)[3:5] == ["re: four", "re: five"]
    assert "wait a minute" in relay.channel.to(ANN)[5]


async def test_a_sender_who_was_taken_for_a_machine_is_answered_after_the_pause(new_relay: NewRelay) -> None:
    """The pause of ten minutes seems to last two hours more; within it nothing changes."""
    relay = await new_relay(loop_turns=10, loop_pause_seconds=600)
    await relay.receive(*["out of office"] * SAME_TEXTS)
    await relay.idle()
    await relay.receive("still paused")
    await relay.idle()
    relay.clock.set_back(HOURS)
    await relay.receive("sorry, that was my phone")
    await relay.idle()
    assert relay.channel.to(ANN)[-2:] == [english("looks-like-a-machine"), "re: sorry, that was my phone"]
