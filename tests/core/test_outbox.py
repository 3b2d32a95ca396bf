"""From planned parts to what became of them, whatever the provider does."""

from __future__ import annotations

import asyncio
import io
import logging
from collections.abc import Awaitable, Callable

import pytest

from messaging_database import MessagingDatabase
from relay.channels.sms.spec import SMS
from relay.config.logs import TextLines
from relay.core.circuit import SEND_PAUSES, CircuitState
from relay.core.errors import OutcomeUnknown, SendError, SendFailure
from relay.core.messages import UserId
from relay.core.outbox import MAX_MOVES
from relay.core.parts import DeliveryEvent, Part, PartState, Receipt
from relay.core.store import PAUSED
from relay.storage.schema import outbound
from tests.core.harness import ANN, BOB, CAT, NewRelay, RelayHarness, ScriptedChannel
from tests.english import english

LOST = OutcomeUnknown("timeout", "no answer in time")
GATEWAY = OutcomeUnknown("502", "Bad Gateway", answered=True)
NO_CONNECTION = SendError(SendFailure.OUTAGE, "unreachable", "nothing listens there")
WRONG_TOKEN = SendError(SendFailure.CONFIG, "20003", "authenticate")


async def test_parts_go_out_one_after_another_in_order(relay: RelayHarness) -> None:
    """The second is sent when the first was accepted, the next reply after the whole of the one before."""
    gate = asyncio.Event()
    relay.channel.script.append(gate.wait)
    await relay.receive("/a|b|c", "/d")
    await relay.until(lambda: not relay.conversation.workers.busy)
    assert await relay.part_states() == ["sending", "planned", "planned", "planned"]
    gate.set()
    await relay.idle()
    assert relay.channel.to(ANN) == ["did /a", "b", "c", "did /d"]
    assert await relay.part_states() == ["accepted"] * 4
    assert await relay.rows(outbound, "provider_id") == [("P1",), ("P2",), ("P3",), ("P4",)]


async def test_a_slow_send_holds_up_no_other_user(relay: RelayHarness) -> None:
    """One user's send hangs, another's goes through."""
    gate = asyncio.Event()
    relay.channel.script.append(gate.wait)
    await relay.receive("/a", from_=ANN)
    await relay.until(lambda: not relay.channel.script)
    await relay.receive("/b", from_=BOB)
    await relay.until(lambda: relay.channel.to(BOB) == ["did /b"])
    gate.set()
    await relay.idle()


async def test_a_busy_provider_is_tried_again_when_it_said(relay: RelayHarness) -> None:
    """Retry-After holds; nothing is sent before, nothing twice, and the order stays."""
    relay.channel.script.append(SendError(SendFailure.BUSY, "429", "slow down", retry_after=30))
    await relay.receive("/a|b")
    await relay.idle()
    await relay.advance(29)
    assert relay.channel.sent == []
    await relay.advance(2)
    assert relay.channel.to(ANN) == ["did /a", "b"]
    assert (await relay.rows(outbound, "attempts", "resends"))[0] == (2, 0)


FINAL = [
    (SendFailure.REJECTED, "active"),
    (SendFailure.OPTED_OUT, "stopped"),
    (SendFailure.BLOCKED, "blocked"),
    (SendFailure.RECIPIENT, "unreachable"),
]


@pytest.mark.parametrize(("kind", "state"), FINAL)
async def test_what_is_final_is_given_up_at_once(relay: RelayHarness, kind: SendFailure, state: str) -> None:
    """The rest of the reply is canceled, the history is what was seen, and the person changes as the error says."""
    await relay.receive("name=Ann")
    await relay.idle()
    relay.channel.script.extend([None, SendError(kind, "1", "no")])
    await relay.receive("one |two |three")
    await relay.idle()
    assert (await relay.part_states())[1:] == ["accepted", "failed", "canceled"]
    assert (await relay.history())[-1] == ("assistant", "re: one ")
    person = await relay.database.find_user(SMS, ANN)
    assert person is not None
    assert person.state == state
    await relay.advance(100_000)
    assert relay.channel.to(ANN) == ["registered", "re: one "]


async def test_what_fails_for_long_is_given_up_by_age(new_relay: NewRelay) -> None:
    """A day of refusals by default; here ten minutes."""
    relay = await new_relay(send_give_up_seconds=600)
    relay.channel.always = SendError(SendFailure.BUSY, "503", "busy")
    await relay.receive("one")
    await relay.idle()
    for _ in range(8):
        await relay.advance(100)
    assert await relay.part_states() == ["failed"]
    assert await relay.history() == [("user", "one")]


async def test_a_wrong_account_pauses_the_channel_and_burns_nothing(relay: RelayHarness) -> None:
    """One try, a note for the console, no other user's part is touched; then all goes out, and the note is gone."""
    relay.channel.always = WRONG_TOKEN
    await relay.receive("/a", from_=ANN)
    await relay.idle()
    assert relay.outbox.pause.reason == "authenticate (20003)"
    note = await relay.database.read_state(SMS, PAUSED)
    assert note["reason"] == "authenticate (20003)"
    await relay.receive("/b", from_=BOB)
    await relay.idle()
    assert (await relay.rows(outbound, "attempts")) == [(1,), (0,)]
    relay.channel.always = None
    await relay.advance(61)
    assert sorted(relay.channel.sent) == [(ANN, "did /a"), (BOB, "did /b")]
    assert relay.outbox.pause.reason is None
    assert await relay.database.read_state(SMS, PAUSED) is None


async def test_after_a_pause_the_user_who_was_refused_is_the_last(relay: RelayHarness) -> None:
    """The account is refused for one user alone, against its code: the others are answered before the next pause."""
    relay.channel.script.append(WRONG_TOKEN)
    await relay.receive("/a", from_=ANN)
    await relay.idle()
    for user in (BOB, CAT):
        await relay.receive("/b", from_=user)
        await relay.idle()
    relay.channel.script.extend([None, None, WRONG_TOKEN])
    await relay.advance(61)
    assert sorted(relay.channel.sent) == [(BOB, "did /b"), (CAT, "did /b")]
    assert await relay.part_states() == ["planned", "accepted", "accepted"]


async def test_a_new_life_takes_away_the_note_of_an_old_pause(new_relay: NewRelay) -> None:
    """The account was mended while the server was down."""
    relay = await new_relay(started=False)
    await relay.database.start()
    await relay.database.set_state(SMS, PAUSED, {"reason": "old", "until": 0})
    await relay.start()
    await relay.receive("/a")
    await relay.idle()
    assert await relay.database.read_state(SMS, PAUSED) is None


# -- unknown outcomes --------------------------------------------------------------------------------------------------


async def test_a_part_that_did_arrive_is_not_sent_again(relay: RelayHarness) -> None:
    """The provider's list has it: its receipt is kept, and the next part goes."""
    relay.channel.script.append(LOST)
    relay.channel.lookup_results.append(Receipt("P-found", PartState.SENT))
    await relay.receive("/a|b")
    await relay.idle()
    assert relay.channel.sent == []
    await relay.advance(5)
    assert relay.channel.lookups == ["did /a"]
    assert relay.channel.to(ANN) == ["b"]
    assert (await relay.rows(outbound, "state", "provider_id"))[0] == ("sent", "P-found")


async def test_a_part_that_did_not_arrive_is_sent_again(relay: RelayHarness) -> None:
    """Once it is known; and counted."""
    relay.channel.script.append(LOST)
    await relay.receive("/a|b")
    await relay.idle()
    await relay.advance(5)
    assert relay.channel.to(ANN) == ["did /a", "b"]
    assert (await relay.rows(outbound, "resends")) == [(1,), (0,)]


async def test_nothing_is_sent_while_the_provider_cannot_tell(relay: RelayHarness) -> None:
    """The list cannot be read: we look again, with growing pauses, and send only then."""
    relay.channel.script.append(LOST)
    relay.channel.lookup_results.extend([LOST, SendError(SendFailure.CONFIG, "401", "no"), LOST])
    await relay.receive("/a")
    await relay.idle()
    for _ in range(3):
        await relay.advance(3)
    assert relay.channel.sent == []
    for _ in range(10):
        await relay.advance(20)
    assert relay.channel.to(ANN) == ["did /a"]
    assert len(relay.channel.lookups) == 4


async def test_a_delivery_status_decides_it_before_the_lookup(relay: RelayHarness) -> None:
    """The callback carries our part id: neither a look nor a second send is needed."""
    relay.channel.script.append(LOST)
    await relay.receive("/a|b")
    await relay.idle()
    ((part_id, *_),) = [row for row in await relay.rows(outbound, "part_id", "number") if row[1] == 1]
    await relay.database.record_delivery(
        DeliveryEvent(SMS, "P1", PartState.DELIVERED, relay.clock.now, part_id=part_id)
    )
    await relay.advance(5)
    assert relay.channel.lookups == []
    assert relay.channel.to(ANN) == ["b"]


@pytest.mark.parametrize("second", [None, LOST])
async def test_without_a_lookup_an_unknown_outcome_is_repeated_once(
    new_relay: NewRelay, second: Exception | None
) -> None:
    """A resend is allowed once; after a second silence the part is given up, and the person's next answer goes out."""
    relay = await new_relay(supports_lookup=False)
    relay.channel.script.extend([LOST, second])
    await relay.receive("/a")
    await relay.idle()
    for _ in range(5):
        await relay.advance(20)
    assert (await relay.part_states())[0] == ("failed" if second else "accepted")
    assert (await relay.rows(outbound, "resends"))[0] == (1,)
    await relay.receive("/b")
    await relay.idle()
    assert relay.channel.to(ANN)[-1] == "did /b"


async def test_a_user_who_may_have_lost_an_answer_is_notified_once(new_relay: NewRelay) -> None:
    """Two silences end the part and the rest of its reply; a notice is repeated until it is accepted."""
    relay = await new_relay(supports_lookup=False)
    relay.channel.script.extend([LOST, LOST])
    await relay.receive("/a|b")
    await relay.idle()
    for _ in range(5):
        await relay.advance(20)
    assert await relay.part_states() == ["failed", "canceled", "accepted"]
    assert relay.channel.to(ANN) == [english("perhaps-lost")]
    assert await relay.history() == [("user", "/a|b"), ("assistant", english("perhaps-lost"))]
    relay.channel.always = LOST
    await relay.receive("/c")
    await relay.idle()
    for _ in range(8):
        await relay.advance(60)
    assert await relay.part_states() == ["failed", "canceled", "accepted", "failed", "unknown"]
    relay.channel.always = None
    for _ in range(4):
        await relay.advance(60)
    assert await relay.part_states() == ["failed", "canceled", "accepted", "failed", "accepted"]
    assert relay.channel.to(ANN) == [english("perhaps-lost")] * 2


async def test_the_only_repetition_waits_until_the_provider_is_well(new_relay: NewRelay) -> None:
    """An outage in which no notice can be sent loses no answer, however long it lasts."""
    relay = await new_relay(supports_lookup=False)
    relay.channel.script.append(LOST)
    relay.channel.probes.extend([LOST, NO_CONNECTION, LOST])
    await relay.receive("/a|b")
    await relay.idle()
    for _ in range(4):
        assert relay.channel.sent == []
        await relay.advance(20)
    for _ in range(4):
        await relay.advance(100)
    assert relay.channel.to(ANN) == ["did /a", "b"]
    assert await relay.rows(outbound, "resends") == [(1,), (0,)]


async def test_what_is_not_found_at_once_is_looked_for_until_it_cannot_turn_up_any_more(relay: RelayHarness) -> None:
    """The provider may take a request after we gave up on it: it is found at the third look, and not sent again."""
    relay.channel.lookup_seconds = 60
    relay.channel.script.append(LOST)
    relay.channel.lookup_results.extend([None, None, Receipt("P-late")])
    await relay.receive("/a|b")
    await relay.idle()
    for _ in range(5):
        await relay.advance(10)
    assert relay.channel.lookups == ["did /a"] * 3
    assert relay.channel.to(ANN) == ["b"]
    assert (await relay.rows(outbound, "provider_id", "resends"))[0] == ("P-late", 0)


async def test_what_is_not_found_in_time_is_sent_again(relay: RelayHarness) -> None:
    """Not before the time is over, and right after it."""
    relay.channel.lookup_seconds = 60
    relay.channel.script.append(LOST)
    await relay.receive("/a")
    await relay.idle()
    for _ in range(29):
        await relay.advance(2)
    assert relay.channel.sent == []
    assert len(relay.channel.lookups) > 1
    await relay.advance(3)
    assert relay.channel.to(ANN) == ["did /a"]


@pytest.mark.parametrize("outcome_unknown", [False, True])
async def test_a_stop_while_a_part_waits_for_its_turn_leaves_nothing_unknown(
    new_relay: NewRelay, *, outcome_unknown: bool
) -> None:
    """It was not marked yet: neither does a first send become doubtful, nor is the only repetition spent."""
    relay = await new_relay(supports_lookup=False, rate_limited=True)
    waiting = asyncio.Event()

    async def hang() -> None:
        waiting.set()
        await asyncio.Event().wait()

    if outcome_unknown:
        relay.channel.script.append(LOST)
        relay.channel.rate_limits.append(None)
    relay.channel.rate_limits.append(hang)
    await relay.receive("/a|b")
    await relay.until(lambda: waiting.is_set() or outcome_unknown)
    if outcome_unknown:
        await relay.idle()
        await relay.advance_clock(5)
        await waiting.wait()
    await relay.stop(0)
    assert (await relay.rows(outbound, "state", "resends"))[0] == ("unknown" if outcome_unknown else "planned", 0)
    relay.rebuild()
    await relay.start()
    await relay.idle()
    assert relay.channel.to(ANN) == ["did /a", "b"]


async def test_a_turn_that_is_far_off_puts_the_part_back(new_relay: NewRelay) -> None:
    """It is planned again for then; one of unknown fate stays one of unknown fate."""
    relay = await new_relay(supports_lookup=False, rate_limited=True)
    far = SendError(SendFailure.BUSY, "rate_limit", "a minute", retry_after=60)
    relay.channel.rate_limits.extend([far, None, far])
    relay.channel.script.append(LOST)
    await relay.receive("/a")
    await relay.idle()
    assert await relay.rows(outbound, "state", "resends") == [("planned", 0)]
    await relay.advance(61)
    assert await relay.rows(outbound, "state", "resends") == [("unknown", 0)]
    await relay.advance(5)
    assert await relay.rows(outbound, "state", "resends") == [("unknown", 0)]
    await relay.advance(61)
    assert relay.channel.to(ANN) == ["did /a"]
    assert await relay.rows(outbound, "state", "resends") == [("accepted", 1)]


async def test_a_lease_that_ended_while_the_part_waited_for_its_turn_is_not_used(new_relay: NewRelay) -> None:
    """A process that slept past its lease finds that another one has the part, and sends nothing."""
    relay = await new_relay(supports_lookup=False, rate_limited=True)
    other = MessagingDatabase(relay.database._transactions, owner="sms@other", clock=relay.clock.time)
    other._ready = True

    async def oversleep() -> None:
        relay.clock.now += 16
        relay.clock._on_change(relay.clock.now)
        taken = await other.claim_next_part(SMS, ANN)
        assert taken is not None
        await other.record_accepted(taken, Receipt("P-other"))

    relay.channel.rate_limits.append(oversleep)
    await relay.receive("/a")
    await relay.idle()
    assert relay.channel.sent == []
    assert await relay.rows(outbound, "state", "provider_id") == [("accepted", "P-other")]


async def test_an_unforeseen_error_counts_as_unknown(relay: RelayHarness) -> None:
    """It may have been sent, so it is looked up first, and it is not tried for ever."""
    relay.channel.script.append(KeyError("sid"))
    relay.channel.lookup_results.append(Receipt("P-found"))
    await relay.receive("/a")
    await relay.idle()
    await relay.advance(5)
    assert relay.channel.sent == []
    assert await relay.part_states() == ["accepted"]


async def test_a_kill_between_mark_and_record_is_looked_up_after_the_restart(relay: RelayHarness) -> None:
    """The row says "sending": the provider is asked before anything else is done."""
    sending = asyncio.Event()

    async def hang() -> None:
        sending.set()
        await asyncio.Event().wait()

    relay.channel.always = hang
    await relay.receive("/a|b")
    await sending.wait()
    await relay.stop(0)
    assert await relay.part_states() == ["sending", "planned"]
    relay.channel.always = None
    relay.channel.lookup_results.append(Receipt("P-found"))
    relay.clock.advance(3)
    relay.rebuild()
    await relay.start()
    await relay.idle()
    assert relay.channel.to(ANN) == ["b"]
    assert await relay.part_states() == ["accepted", "accepted"]


# -- outages -----------------------------------------------------------------------------------------------------------


async def test_in_an_outage_one_part_at_a_time_is_tried_and_the_others_wait_unspent(relay: RelayHarness) -> None:
    """Not even claimed; when the trial succeeds, all parts go out."""
    relay.channel.always = NO_CONNECTION
    await relay.receive("/a", from_=ANN)
    await relay.idle()
    await relay.receive("/b", from_=BOB)
    await relay.receive("/c", from_=CAT)
    await relay.idle()
    for _ in range(5):
        await relay.advance(2)
    assert await relay.rows(outbound, "state", "attempts") == [("planned", 3), ("planned", 0), ("planned", 0)]
    relay.channel.always = None
    await relay.advance(15)
    assert sorted(relay.channel.sent) == [(ANN, "did /a"), (BOB, "did /b"), (CAT, "did /c")]


async def test_a_part_that_was_surely_not_sent_is_tried_before_one_that_may_have_been(new_relay: NewRelay) -> None:
    """It risks no second copy, and its success shows that the other one's only resend may be spent."""
    relay = await new_relay(supports_lookup=False)
    relay.channel.script.append(GATEWAY)
    await relay.receive("/a", from_=ANN)
    await relay.idle()
    await relay.receive("/b", from_=BOB)
    await relay.advance(2)
    await relay.advance(2)
    assert relay.channel.sent == [(BOB, "did /b"), (ANN, "did /a")]


async def test_a_lone_part_that_may_have_been_sent_is_tried_again_when_a_probe_recovers(new_relay: NewRelay) -> None:
    """The probe sends nothing, so the only resend is not spent to find out that nothing works."""
    relay = await new_relay(supports_lookup=False)
    relay.channel.script.append(GATEWAY)
    relay.channel.probes.extend([GATEWAY] * 3)
    await relay.receive("/a")
    await relay.idle()
    for _ in range(18):  # the pauses are 37 s
        await relay.advance(2)
        assert relay.channel.sent == []
    await relay.advance(5)
    assert relay.channel.to(ANN) == ["did /a"]


@pytest.mark.parametrize("supports_lookup", [True, False])
async def test_an_outage_ends_by_a_probe_when_nothing_waits(new_relay: NewRelay, supports_lookup: bool) -> None:
    """The only part was given up; no other one comes to find out, and the operator is not to see an outage for ever."""
    relay = await new_relay(supports_lookup=supports_lookup)
    relay.channel.script.append(NO_CONNECTION)
    relay.channel.always = SendError(SendFailure.BLOCKED, "403", "blocked")
    await relay.receive("/a")
    await relay.idle()
    relay.channel.probes.extend([None, GATEWAY, GATEWAY])
    while await relay.part_states() != ["failed"]:
        assert relay.outbox.circuit.status() is not None
        await relay.advance(2)
    while relay.channel.probes:
        assert relay.outbox.circuit.status() is not None
        await relay.advance(2)
    await relay.advance(sum(SEND_PAUSES))
    assert relay.outbox.circuit.status() is None


async def test_a_lone_part_waits_half_a_minute_when_the_probe_proves_nothing(new_relay: NewRelay) -> None:
    """A provider that answers the probe and fails to send costs no answer for so long."""
    relay = await new_relay(supports_lookup=False)
    relay.channel.script.append(GATEWAY)
    await relay.receive("/a")
    await relay.idle()
    for _ in range(14):
        await relay.advance(2)
    assert relay.channel.sent == []
    await relay.advance(2)
    assert relay.channel.to(ANN) == ["did /a"]


async def test_a_text_that_the_provider_always_fails_on_ends_alone(new_relay: NewRelay) -> None:
    """Its two attempts open the circuit, the success of another part closes it, and its user is told."""
    relay = await new_relay(supports_lookup=False)

    async def send(part: Part) -> Receipt:
        if part.text == "did /poison":
            raise GATEWAY
        return await ScriptedChannel.send(relay.channel, part)

    relay.channel.send = send  # type: ignore[method-assign]
    await relay.receive("/poison", from_=ANN)
    await relay.idle()
    for number in range(12):
        await relay.receive(f"/{number}", from_=BOB)
        await relay.idle()  # or the clock moves in the middle of a send
        await relay.advance(2)
    assert relay.channel.to(BOB) == [f"did /{number}" for number in range(12)]
    assert relay.channel.to(ANN) == [english("perhaps-lost")]
    assert (ANN, "failed", 1) in await relay.rows(outbound, "user_id", "state", "resends")
    assert relay.outbox.circuit.state is CircuitState.CLOSED


async def test_a_single_failure_of_a_provider_that_sends_holds_up_no_other_user(new_relay: NewRelay) -> None:
    """Its part waits for the next accepted one, because only then is its resend well spent."""
    relay = await new_relay(supports_lookup=False)
    await relay.receive("/a", from_=ANN)
    await relay.idle()
    relay.channel.script.append(GATEWAY)
    await relay.receive("/b", from_=BOB)
    await relay.idle()
    await relay.advance(2)
    assert relay.channel.sent == [(ANN, "did /a")]
    await relay.receive("/c", from_=CAT)
    await relay.idle()
    assert relay.channel.sent == [(ANN, "did /a"), (CAT, "did /c")]
    await relay.advance(2)
    assert relay.channel.sent[2:] == [(BOB, "did /b")]


async def test_a_refusal_of_one_user_delays_no_other_in_a_half_open_circuit(relay: RelayHarness) -> None:
    """It proves nothing, so the next part is tried at once, not after another pause."""
    relay.channel.script.extend([NO_CONNECTION, SendError(SendFailure.BLOCKED, "403", "blocked")])
    await relay.receive("/a", from_=ANN)
    await relay.idle()
    await relay.receive("/b", from_=BOB)
    await relay.idle()
    await relay.advance(2)
    assert relay.channel.sent == [(BOB, "did /b")]
    assert await relay.part_states() == ["failed", "accepted"]


async def test_a_restart_in_an_outage_spends_no_resend(new_relay: NewRelay) -> None:
    """What may have been sent waits until a send works; what was resent already is not sent a third time."""
    relay = await new_relay(supports_lookup=False)
    gate = asyncio.Event()

    async def cut() -> None:
        await gate.wait()
        raise GATEWAY

    relay.channel.always = cut
    for user in (ANN, BOB, CAT):
        await relay.receive("/a", from_=user)
    await relay.until(lambda: relay.outbox.workers.busy == 3)
    gate.set()
    await relay.idle()
    await relay.stop(0)
    rows = outbound.update().where(outbound.c.user_id == CAT).values(resends=1)
    await relay.database._write(lambda tx: tx.run(rows))
    relay.clock.advance(3)
    relay.rebuild()
    relay.channel.probes.extend([GATEWAY] * 2)
    await relay.start()
    for _ in range(4):
        await relay.advance(2)
    assert relay.channel.sent == []
    relay.channel.always = None
    for _ in range(20):
        await relay.advance(2)
    assert sorted(relay.channel.sent) == [(ANN, "did /a"), (BOB, "did /a"), (CAT, english("perhaps-lost"))]


async def test_a_part_that_waited_for_its_slot_meanwhile_is_put_back_unspent(new_relay: NewRelay) -> None:
    """The circuit opened while it waited: it is neither marked nor sent."""
    relay = await new_relay(supports_lookup=False, rate_limited=True)
    waits = asyncio.Event()
    relay.channel.rate_limits.extend([None, waits.wait])
    await relay.receive("/a", from_=ANN)
    relay.channel.script.append(GATEWAY)
    await relay.receive("/b", from_=BOB)
    await relay.until(lambda: relay.outbox.circuit.state is CircuitState.OPEN)
    waits.set()
    await relay.idle()
    assert sorted(await relay.rows(outbound, "state")) == [("planned",), ("unknown",)]
    assert relay.channel.sent == []
    await relay.advance(2)
    await relay.advance(2)
    assert len(relay.channel.sent) == 2


# -- reports that come later -------------------------------------------------------------------------------------------


async def _reported(relay: RelayHarness, failure: SendFailure, provider_id: str) -> None:
    ((part_id,),) = await relay.rows(outbound, "part_id")
    event = DeliveryEvent(
        SMS, provider_id, PartState.UNDELIVERED, relay.clock.now, part_id, "30003", "the phone is off", failure=failure
    )
    assert await relay.outbox.record_status(event)


async def test_a_phone_that_was_off_gets_one_more_try_later(relay: RelayHarness) -> None:
    """The carrier says so long after the provider took it; ten minutes on it is sent again, and that is all."""
    await relay.receive("/a")
    await relay.idle()
    await _reported(relay, SendFailure.LATER, "P1")
    await relay.advance(500)
    assert relay.channel.to(ANN) == ["did /a"]
    await relay.advance(300)
    assert relay.channel.to(ANN) == ["did /a"] * 2
    await _reported(relay, SendFailure.LATER, "P2")
    await relay.advance(10_000)
    assert relay.channel.to(ANN) == ["did /a"] * 2
    assert await relay.part_states() == ["undelivered"]
    assert await relay.history() == [("user", "/a")]


@pytest.mark.parametrize("known", [True, False])
async def test_a_report_of_a_loss_is_logged_under_the_id_of_the_message(relay: RelayHarness, *, known: bool) -> None:
    """So that a search for the id tells the whole story; the provider may know the part by its own id alone."""
    lines = io.StringIO()
    handler = logging.StreamHandler(lines)
    handler.setFormatter(TextLines("%H:%M:%S"))
    logging.getLogger("relay.core.outbox").addHandler(handler)
    await relay.receive("/a")
    await relay.idle()
    ((part_id, inbound_id),) = await relay.rows(outbound, "part_id", "inbound_id")
    lost = (PartState.UNDELIVERED, relay.clock.now, part_id if known else None, "30003", "the phone is off")
    assert await relay.outbox.record_status(DeliveryEvent(SMS, "P1", *lost, failure=SendFailure.LATER))
    logging.getLogger("relay.core.outbox").removeHandler(handler)
    [line] = [line for line in lines.getvalue().splitlines() if "reported" in line]
    assert f"[sms-{inbound_id}]" in line
    assert line.endswith("P1 was reported as undelivered: the phone is off (30003)")


async def test_a_sender_that_carriers_refuse_pauses_the_channel_and_burns_nothing(relay: RelayHarness) -> None:
    """An unregistered number is refused by the carrier only: loud, and the part waits with all others."""
    await relay.receive("/a")
    await relay.idle()
    await _reported(relay, SendFailure.CONFIG, "P1")
    assert relay.outbox.pause.reason == "the phone is off (30003)"
    await relay.receive("/b", from_=BOB)
    await relay.idle()
    assert await relay.part_states() == ["planned", "planned"]
    await relay.advance(100)
    assert relay.channel.to(ANN) == ["did /a"] * 2
    assert relay.channel.to(BOB) == ["did /b"]


NO_ROUTE = SendError(SendFailure.DESTINATION, "21606", "not for this destination")


async def test_a_refused_destination_holds_up_nobody_else(relay: RelayHarness) -> None:
    """One user's part is tried a few times and fails with the provider's words; others are answered meanwhile."""
    relay.channel.script.append(NO_ROUTE)
    await relay.receive("/a", from_=ANN)
    await relay.idle()
    for number in range(5):
        await relay.receive(f"/{number}", from_=BOB)
        await relay.idle()
        relay.channel.script.append(NO_ROUTE)
        await relay.advance(1200)
    assert relay.outbox.pause.reason is None
    assert relay.channel.to(BOB) == [f"did /{number}" for number in range(5)]
    assert await relay.rows(outbound, "state", "error_code", "attempts") == [
        ("failed", "21606", 5),
        *[("accepted", None, 1)] * 5,
    ]


async def test_destinations_that_are_all_refused_wait_for_the_operator(relay: RelayHarness) -> None:
    """When nobody is reached it is probably our sender: nothing is given up before its time."""
    relay.channel.script.extend([NO_ROUTE] * 8)
    await relay.receive("/a", from_=ANN)
    await relay.idle()
    for _ in range(8):
        await relay.advance(1200)
    assert relay.channel.to(ANN) == ["did /a"]


@pytest.mark.parametrize(
    ("state", "failure", "end"),
    [
        (PartState.DELIVERED, None, "delivered"),
        (PartState.READ, None, "read"),
        (PartState.FAILED, SendFailure.RECIPIENT, "failed"),
        (PartState.SENT, None, "accepted"),
        (PartState.FAILED, SendFailure.LATER, "accepted"),
    ],
)
async def test_a_later_status_of_a_lost_attempt_decides_about_its_repetition(
    relay: RelayHarness, state: PartState, failure: SendFailure | None, end: str
) -> None:
    """Carriers contradict themselves: a delivery and a final refusal end it, a late "sent" or another loss does not."""
    await relay.receive("/a")
    await relay.idle()
    await _reported(relay, SendFailure.LATER, "P1")
    ((part_id,),) = await relay.rows(outbound, "part_id")
    code = "30005" if failure else None
    event = DeliveryEvent(SMS, "P1", state, relay.clock.now, part_id, code, failure=failure)
    assert await relay.outbox.record_status(event)
    await relay.advance(10_000)
    assert len(relay.channel.to(ANN)) == (2 if end == "accepted" else 1)
    assert await relay.part_states() == [end]


async def test_a_repeated_delivery_status_does_not_pause_the_channel_again(relay: RelayHarness) -> None:
    """A provider repeats its callbacks: one that was recorded before says nothing about the account now."""
    await relay.receive("/a")
    await relay.idle()
    ((part_id,),) = await relay.rows(outbound, "part_id")
    event = DeliveryEvent(
        SMS, "P1", PartState.UNDELIVERED, relay.clock.now, part_id, "30034", "unregistered", failure=SendFailure.CONFIG
    )
    assert await relay.outbox.record_status(event)
    await relay.advance(100)
    assert (relay.channel.to(ANN), relay.outbox.pause.reason) == (["did /a"] * 2, None)
    assert not await relay.outbox.record_status(event)
    assert relay.outbox.pause.reason is None
    await relay.receive("/b")
    await relay.idle()
    assert relay.channel.to(ANN) == ["did /a", "did /a", "did /b"]


@pytest.mark.parametrize("failure", [SendFailure.REJECTED, SendFailure.RECIPIENT])
async def test_what_a_carrier_refuses_for_good_is_not_repeated(relay: RelayHarness, failure: SendFailure) -> None:
    """A text that was filtered would only be filtered again."""
    await relay.receive("/a")
    await relay.idle()
    await _reported(relay, failure, "P1")
    await relay.advance(100_000)
    assert relay.channel.to(ANN) == ["did /a"]
    assert await relay.part_states() == ["undelivered"]


# -- moved people ------------------------------------------------------------------------------------------------------


def _moved_to(address: str) -> SendError:
    return SendError(SendFailure.REJECTED, "400", "upgraded to a supergroup", moved_to=address)


async def test_a_group_is_followed_to_its_new_address(relay: RelayHarness) -> None:
    """Nothing is lost on the way, and the rest goes there too, in order."""
    relay.channel.script.append(_moved_to("-100"))
    await relay.receive("/a|b", "/c")
    await relay.idle()
    assert relay.channel.sent == [("-100", "did /a"), ("-100", "b"), ("-100", "did /c")]
    assert await relay.database.find_user(SMS, ANN) is None
    assert await relay.database.find_user(SMS, UserId("-100")) is not None


async def test_a_part_that_was_put_off_often_follows_its_group_too(relay: RelayHarness) -> None:
    """Its earlier attempts were no moves."""
    busy = SendError(SendFailure.BUSY, "429", "slow down", retry_after=1)
    relay.channel.script.extend([busy] * (MAX_MOVES + 1) + [_moved_to("-100")])
    await relay.receive("/a")
    await relay.idle()
    for _ in range(MAX_MOVES + 1):
        await relay.advance(700)
    assert relay.channel.sent == [("-100", "did /a")]


async def test_addresses_that_point_at_each_other_are_no_endless_loop(relay: RelayHarness) -> None:
    """After some moves it counts as any other refusal."""
    relay.channel.always = _moved_to("-100")
    await relay.receive("/a")
    await relay.idle()
    assert await relay.part_states() == ["failed"]
    assert await relay.rows(outbound, "attempts") == [(MAX_MOVES + 1,)]


# -- trouble of our own ------------------------------------------------------------------------------------------------

faked_errors = pytest.mark.parametrize("empty_database", ["sqlite"], indirect=True)
"""For tests in which a verb raises before it reaches the database: it does not matter which one that is."""

VERBS = ["claim_next_part", "record_accepted", "users_with_parts", "renew_leases", "set_state"]


@faked_errors
@pytest.mark.parametrize("verb", VERBS)
async def test_trouble_with_the_database_sends_nothing_twice(relay: RelayHarness, verb: str) -> None:
    """Whichever verb could not be used for a while, each part was sent once."""
    relay.flaky_database.verb, relay.flaky_database.times = verb, 3
    await relay.receive("/a|b", "/c")
    for _ in range(20):
        await relay.all_asleep()
        await relay.advance_clock(3)
    await relay.idle()
    assert relay.channel.to(ANN) == ["did /a", "b", "did /c"]
    assert relay.channel.lookups == []
    assert relay.flaky_database.times == 0
    assert await relay.part_states() == ["accepted"] * 3


@faked_errors
@pytest.mark.parametrize(
    ("verb", "script"),
    [
        ("record_retry", [SendError(SendFailure.BUSY, "429", "slow")]),
        ("record_unknown", [LOST]),
        ("begin_send", [LOST]),
        ("set_state", [WRONG_TOKEN]),
        ("move_user", [_moved_to("ann2")]),
    ],
)
async def test_trouble_after_a_failed_send_is_outlasted(
    relay: RelayHarness, verb: str, script: list[Exception]
) -> None:
    """What became of the send is recorded when the database is back, and everything goes its way."""
    relay.flaky_database.verb, relay.flaky_database.times = verb, 2
    relay.channel.script.extend(script)
    await relay.receive("/a|b")
    for _ in range(60):
        await relay.all_asleep()
        await relay.advance_clock(3)
    await relay.idle()
    assert [text for _, text in relay.channel.sent] == ["did /a", "b"]
    assert await relay.part_states() == ["accepted", "accepted"]


async def test_a_stop_cuts_off_the_waiting_but_not_the_record(relay: RelayHarness) -> None:
    """The provider took the part; a stop at that very moment does not lose the receipt."""
    holding, recording = asyncio.Event(), asyncio.Event()
    record: Callable[..., Awaitable[bool]] = relay.database.record_accepted

    class Slow:
        def __getattr__(self, name: str) -> object:
            return self.slowly if name == "record_accepted" else getattr(relay.database, name)

        async def slowly(self, *args: object) -> bool:
            recording.set()
            await holding.wait()
            return await record(*args)

    relay.outbox._store = Slow()  # type: ignore[assignment]
    await relay.receive("/a")
    await recording.wait()
    await relay.stop(0)
    holding.set()
    async with asyncio.timeout(60):
        while await relay.part_states() != ["accepted"]:  # noqa: ASYNC110 (a record that nobody awaits any more)
            await asyncio.sleep(0.001)


async def test_a_lease_that_ended_before_the_send_is_not_used(relay: RelayHarness) -> None:
    """After a long sleep of the machine, between mark and send: another owner may have it by now."""
    claim = relay.database.claim_next_part

    class Asleep:
        def __getattr__(self, name: str) -> object:
            return self.late if name == "claim_next_part" else getattr(relay.database, name)

        async def late(self, *_: object, **__: object) -> object:
            part = await claim(SMS, ANN)
            relay.clock.now += 16 if part and part.attempts == 1 else 0
            return part

    relay.outbox._store = Asleep()  # type: ignore[assignment]
    relay.model.script.append("a|b")
    await relay.receive("x")
    await relay.idle()
    await relay.advance(20)
    assert relay.channel.lookups == ["b"]
    assert relay.channel.to(ANN) == ["a", "b"]
