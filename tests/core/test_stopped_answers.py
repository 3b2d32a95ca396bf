"""A stop ends the answers to what its person wrote before, whichever server has stored it and which one answers."""

from __future__ import annotations

import asyncio

import pytest

from relay.core.decisions import STOPS, STOPS_MESSAGE, Decision, Stops
from relay.core.messages import Answer, InboundMessage, Kind, ReplyId, UserId
from relay.core.parts import Part
from relay.core.progress import Progress
from relay.storage.schema import inbound, outbound
from tests.core.harness import ANN, BOB, NewRelay, RelayHarness


class SlowModel:
    """Writes two words and then nothing more, until it is cancelled."""

    def __init__(self, relay: RelayHarness) -> None:
        self.writing = asyncio.Event()
        self.cancelled = asyncio.Event()
        relay.model.ask = self.ask  # type: ignore[method-assign]

    async def ask(self, *_: object, progress: Progress | None = None, **__: object) -> Answer:
        assert progress is not None
        progress.add("Once upon")
        self.writing.set()
        try:
            await asyncio.Event().wait()
        finally:
            self.cancelled.set()
        raise AssertionError


def stop(relay: RelayHarness, number: int) -> InboundMessage:
    options = {STOPS: Stops.ALL}
    return InboundMessage(relay.platform, f"stop{number}", ANN, "/stop", relay.clock.time(), options=options)


async def stopped(relay: RelayHarness, number: int) -> bool:
    """Whether the stored message ended an answer."""
    [body] = [row for row in await relay.rows(inbound, "external_id", "body") if row[0] == f"stop{number}"]
    return bool(body[1]["options"].get("stopped"))


async def test_a_stop_reaches_the_server_that_writes_through_the_database(new_relay: NewRelay) -> None:
    """Another server stored it; the one that writes learns of it when it renews its leases."""
    relay = await new_relay()
    model = SlowModel(relay)
    await relay.receive("tell me a story")
    await asyncio.wait_for(model.writing.wait(), 60)
    await relay.database.store_inbound(stop(relay, 1), "")  # and nothing tells this process
    assert not model.cancelled.is_set()
    await relay.advance_clock(2)
    await asyncio.wait_for(model.cancelled.wait(), 60)
    await relay.idle()
    assert (await relay.history())[1][1].startswith("Once upon\n\n_(stopped here")
    assert (await relay.rows(outbound, "stopped"))[0] == (True,)


async def test_a_question_that_waits_is_stopped_before_it_is_asked(relay: RelayHarness) -> None:
    """The model is not asked, and nothing is sent; what is written after the stop is answered."""
    await relay.database.store_inbound(InboundMessage(relay.platform, "q1", ANN, "one", relay.clock.time()), "")
    await relay.database.store_inbound(stop(relay, 1), "")
    await relay.receive("two")
    await relay.idle()
    assert relay.model.prompts == [["two"]]
    outcomes = {row[0]: row[1:] for row in await relay.rows(inbound, "external_id", "outcome", "reason")}
    assert outcomes["q1"] == ("silent", "stopped by the user")


async def test_only_the_first_of_several_stops_ends_anything(new_relay: NewRelay) -> None:
    """A repeated delivery ends nothing, neither does a stop after a stop, whose person gets an answer."""
    relay = await new_relay(started=False)
    await relay.database.start()
    await relay.database.store_inbound(InboundMessage(relay.platform, "q1", ANN, "one", relay.clock.time()), "")
    first, second = stop(relay, 1), stop(relay, 2)
    await relay.database.store_batch([(first, ""), (second, ""), (first, "")], [], relay.platform, ("offset", 1))
    assert (await stopped(relay, 1), await stopped(relay, 2)) == (True, False)
    await relay.database.store_inbound(InboundMessage(relay.platform, "q2", ANN, "two", relay.clock.time()), "")
    await relay.database.store_batch([(first, "")], [], relay.platform, ("offset", 1))
    rows = {row[0]: row[1] for row in await relay.rows(inbound, "external_id", "stopped_at")}
    assert (rows["q1"] is None, rows["q2"] is None) == (False, True)


@pytest.mark.parametrize(
    ("stops", "at", "sender", "ended"),
    [
        (Stops.ALL, None, "7", ["q0", "q1", "q2"]),
        (Stops.OWN, None, "7", ["q1"]),
        (Stops.OWN, None, "9", []),
        (Stops.OWN, "55", "9", ["q0"]),
        (Stops.OWN, "55", "8", ["q0"]),
        (Stops.OWN, "54", "7", ["q1"]),
        (Stops.OWN, "54", "9", []),
        (Stops.UNDER_WAY, None, "7", ["q1"]),
        (Stops.UNDER_WAY, None, "9", ["q0"]),
    ],
)
async def test_a_stop_in_a_group_ends_the_answer_that_it_means(
    new_relay: NewRelay, stops: Stops, at: str | None, sender: str, ended: list[str]
) -> None:
    """That to its writer, the one whose message it points at, or for an administrator the one under way."""
    relay = await new_relay(started=False)
    await relay.database.start()
    for number, (chat, writer) in enumerate([(ANN, "8"), (ANN, "7"), (ANN, "8"), (BOB, "7")]):
        message = InboundMessage(relay.platform, f"q{number}", chat, "x", 1.0, sender=UserId(writer))
        await relay.database.store_inbound(message, "")
    claim = await relay.database.claim_next_inbound(relay.platform, ANN)
    assert claim is not None
    await relay.database.record_shown(claim, "55")
    options = {STOPS: stops, **({STOPS_MESSAGE: at} if at else {})}
    one = InboundMessage(relay.platform, "s", ANN, "/stop", 2.0, options=options, sender=UserId(sender))
    await relay.database.store_inbound(one, "")
    rows = [row[0] for row in await relay.rows(inbound, "external_id", "stopped_at") if row[1] is not None]
    assert rows == ended


async def test_an_answer_becomes_the_message_in_which_it_grew(new_relay: NewRelay) -> None:
    """Also when another process completes it after a kill, with the first part; a removal replaces what is not used."""
    relay = await new_relay(started=False)
    await relay.database.start()
    await relay.database.store_inbound(InboundMessage(relay.platform, "q1", ANN, "question", 1.0), "")
    claim = await relay.database.claim_next_inbound(relay.platform, ANN)
    assert claim is not None
    await relay.database.record_shown(claim, "55")
    await relay.database.release_leases(relay.platform)
    again = await relay.database.claim_next_inbound(relay.platform, ANN)
    assert again is not None
    assert again.shown_as == "55"
    parts = relay.channel.plan("one|two")
    await relay.database.complete_inbound(again, Decision(prompt="question"), parts, answer=Answer("one|two"))
    assert await relay.rows(outbound, "text", "replaces", "number") == [("one", "55", 1), ("two", None, 2)]


async def test_a_stopped_answer_without_words_removes_what_was_shown_before(new_relay: NewRelay) -> None:
    """The history has nothing of it, so neither has the chat."""
    relay = await new_relay(started=False)
    await relay.database.start()
    await relay.database.store_inbound(InboundMessage(relay.platform, "q1", ANN, "question", 1.0), "")
    claim = await relay.database.claim_next_inbound(relay.platform, ANN)
    assert claim is not None
    await relay.database.record_shown(claim, "55")
    await relay.database.complete_inbound(claim, Decision(prompt="question"), [])
    assert await relay.rows(outbound, "text", "replaces") == [("", "55")]
    part: Part | None = await relay.database.claim_next_part(relay.platform, ANN)
    assert part is not None
    assert part.repeatable


async def sent_ids(relay: RelayHarness) -> list[str]:
    return [row[0] for row in await relay.rows(outbound, "provider_id")]


async def test_a_press_and_an_edit_revise_the_history(new_relay: NewRelay) -> None:
    """The new answer stands in the place of the old one; an edit changes the question too; nothing is doubled."""
    relay = await new_relay()
    await relay.receive("what is a fax?")
    await relay.idle()

    async def newest() -> ReplyId:
        reply = await relay.database.find_reply(relay.platform, ANN, message_id=(await sent_ids(relay))[-1])
        assert reply is not None
        assert (reply.is_newest, reply.is_answer, reply.asker) == (True, True, None)
        return reply.id

    async def take(kind: Kind, text: str, prompt: str) -> None:
        decision = Decision(prompt=prompt, replaces=await newest())
        relay.channel.decide = lambda *_: decision  # type: ignore[method-assign]
        await relay.receive(text, kind=kind)
        await relay.idle()

    await take(Kind.PRESSED, "", "shorter")
    assert relay.model.prompts[-1] == ["what is a fax?", "re: what is a fax?", "shorter"]
    assert await relay.history() == [("user", "what is a fax?"), ("assistant", "re: shorter")]
    await take(Kind.EDITED, "what is a fox?", "what is a fox?")
    assert relay.model.prompts[-1] == ["what is a fox?"]
    assert await relay.history() == [("user", "what is a fox?"), ("assistant", "re: what is a fox?")]
    first, second, _ = await sent_ids(relay)
    assert await relay.rows(outbound, "replaces") == [(None,), (first,), (second,)]
    user = await relay.database.find_user(relay.platform, ANN)
    assert user is not None
    assert user.message_count == 2
