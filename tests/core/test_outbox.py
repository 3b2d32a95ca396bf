"""From planned parts to what became of them, whatever the provider does."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from messaging_database import MessagingDatabase
from relay.channels.sms.spec import SMS
from relay.core.errors import OutcomeUnknown, SendError, SendFailure
from relay.core.messages import DeliveryEvent, PartState, Receipt, UserId
from relay.core.outbox import MAX_MOVES, PAUSED, PERHAPS_LOST
from relay.storage.schema import outbound
from tests.core.world import ANN, BOB, Found, Town

LOST = OutcomeUnknown("timeout", "no answer in time")
WRONG_TOKEN = SendError(SendFailure.CONFIG, "20003", "authenticate")


async def test_parts_go_out_one_after_another_in_order(town: Town) -> None:
    """The second is sent when the first was accepted, the next reply after the whole of the one before."""
    gate = asyncio.Event()
    town.channel.script.append(gate.wait)
    await town.hear("/a|b|c", "/d")
    await town.until(lambda: not town.conversation.workers.busy)
    assert await town.part_states() == ["sending", "planned", "planned", "planned"]
    gate.set()
    await town.quiet()
    assert town.channel.to(ANN) == ["did /a", "b", "c", "did /d"]
    assert await town.part_states() == ["accepted"] * 4
    assert await town.rows(outbound, "provider_id") == [("P1",), ("P2",), ("P3",), ("P4",)]


async def test_a_slow_provider_holds_up_nobody_else(town: Town) -> None:
    """One person's send hangs, another's goes through."""
    gate = asyncio.Event()
    town.channel.script.append(gate.wait)
    await town.hear("/a", from_=ANN)
    await town.until(lambda: not town.channel.script)
    await town.hear("/b", from_=BOB)
    await town.until(lambda: town.channel.to(BOB) == ["did /b"])
    gate.set()
    await town.quiet()


async def test_a_busy_provider_is_tried_again_when_it_said(town: Town) -> None:
    """Retry-After holds; nothing is sent before, nothing twice, and the order stays."""
    town.channel.script.append(SendError(SendFailure.BUSY, "429", "slow down", retry_after=30))
    await town.hear("/a|b")
    await town.quiet()
    await town.wait(29)
    assert town.channel.sent == []
    await town.wait(2)
    assert town.channel.to(ANN) == ["did /a", "b"]
    assert (await town.rows(outbound, "attempts", "resends"))[0] == (2, 0)


FINAL = [
    (SendFailure.REJECTED, "active"),
    (SendFailure.OPTED_OUT, "stopped"),
    (SendFailure.BLOCKED, "blocked"),
    (SendFailure.RECIPIENT, "unreachable"),
]


@pytest.mark.parametrize(("kind", "state"), FINAL)
async def test_what_is_final_is_given_up_at_once(town: Town, kind: SendFailure, state: str) -> None:
    """The rest of the reply is canceled, the history is what was seen, and the person changes as the error says."""
    await town.hear("name=Ann")
    await town.quiet()
    town.channel.script.extend([None, SendError(kind, "1", "no")])
    await town.hear("one |two |three")
    await town.quiet()
    assert (await town.part_states())[1:] == ["accepted", "failed", "canceled"]
    assert (await town.history())[-1] == ("assistant", "re: one ")
    person = await town.database.find_user(SMS, ANN)
    assert person is not None
    assert person.state == state
    await town.wait(100_000)
    assert town.channel.to(ANN) == ["registered", "re: one "]


async def test_what_fails_for_long_is_given_up_by_age(found_town: Found) -> None:
    """A day of refusals by default; here ten minutes."""
    town = await found_town(send_give_up_seconds=600)
    town.channel.always = SendError(SendFailure.BUSY, "503", "busy")
    await town.hear("one")
    await town.quiet()
    for _ in range(8):
        await town.wait(100)
    assert await town.part_states() == ["failed"]
    assert await town.history() == [("user", "one")]


async def test_a_wrong_account_pauses_the_channel_and_burns_nothing(town: Town) -> None:
    """One try, a note for the console, nobody else's part is touched; then all goes out, and the note is gone."""
    town.channel.always = WRONG_TOKEN
    await town.hear("/a", from_=ANN)
    await town.quiet()
    assert town.outbox.paused_reason == "authenticate (20003)"
    note = await town.database.read_state(SMS, PAUSED)
    assert note["reason"] == "authenticate (20003)"
    await town.hear("/b", from_=BOB)
    await town.quiet()
    assert (await town.rows(outbound, "attempts")) == [(1,), (0,)]
    town.channel.always = None
    await town.wait(61)
    assert sorted(town.channel.sent) == [(ANN, "did /a"), (BOB, "did /b")]
    assert town.outbox.paused_reason is None
    assert await town.database.read_state(SMS, PAUSED) is None


async def test_a_new_life_takes_away_the_note_of_an_old_pause(found_town: Found) -> None:
    """The account was mended while the server was down."""
    town = await found_town(started=False)
    await town.database.start()
    await town.database.set_state(SMS, PAUSED, {"reason": "old", "until": 0})
    await town.start()
    await town.hear("/a")
    await town.quiet()
    assert await town.database.read_state(SMS, PAUSED) is None


# -- unknown outcomes --------------------------------------------------------------------------------------------------


async def test_a_part_that_did_arrive_is_not_sent_again(town: Town) -> None:
    """The provider's list has it: its receipt is kept, and the next part goes."""
    town.channel.script.append(LOST)
    town.channel.findings.append(Receipt("P-found", PartState.SENT))
    await town.hear("/a|b")
    await town.quiet()
    assert town.channel.sent == []
    await town.wait(5)
    assert town.channel.lookups == ["did /a"]
    assert town.channel.to(ANN) == ["b"]
    assert (await town.rows(outbound, "state", "provider_id"))[0] == ("sent", "P-found")


async def test_a_part_that_did_not_arrive_is_sent_again(town: Town) -> None:
    """Once it is known; and counted."""
    town.channel.script.append(LOST)
    await town.hear("/a|b")
    await town.quiet()
    await town.wait(5)
    assert town.channel.to(ANN) == ["did /a", "b"]
    assert (await town.rows(outbound, "resends")) == [(1,), (0,)]


async def test_nothing_is_sent_while_the_provider_cannot_tell(town: Town) -> None:
    """The list cannot be read: we look again, with growing pauses, and send only then."""
    town.channel.script.append(LOST)
    town.channel.findings.extend([LOST, SendError(SendFailure.CONFIG, "401", "no"), LOST])
    await town.hear("/a")
    await town.quiet()
    for _ in range(3):
        await town.wait(3)
    assert town.channel.sent == []
    for _ in range(10):
        await town.wait(20)
    assert town.channel.to(ANN) == ["did /a"]
    assert len(town.channel.lookups) == 4


async def test_a_delivery_status_decides_it_before_the_lookup(town: Town) -> None:
    """The callback carries our part id: neither a look nor a second send is needed."""
    town.channel.script.append(LOST)
    await town.hear("/a|b")
    await town.quiet()
    ((part_id, *_),) = [row for row in await town.rows(outbound, "part_id", "number") if row[1] == 1]
    await town.database.record_delivery(DeliveryEvent(SMS, "P1", PartState.DELIVERED, town.hours.now, part_id=part_id))
    await town.wait(5)
    assert town.channel.lookups == []
    assert town.channel.to(ANN) == ["b"]


@pytest.mark.parametrize("second", [None, LOST])
async def test_where_nobody_can_tell_it_is_repeated_once(found_town: Found, second: Exception | None) -> None:
    """A resend is allowed once; after a second silence the part is given up, and the person's next answer goes out."""
    town = await found_town(supports_lookup=False)
    town.channel.script.extend([LOST, second])
    await town.hear("/a")
    await town.quiet()
    for _ in range(5):
        await town.wait(20)
    assert (await town.part_states())[0] == ("failed" if second else "accepted")
    assert (await town.rows(outbound, "resends"))[0] == (1,)
    await town.hear("/b")
    await town.quiet()
    assert town.channel.to(ANN)[-1] == "did /b"


async def test_whoever_may_have_lost_an_answer_is_told_so_once(found_town: Found) -> None:
    """Two silences end the part and the rest of its reply; a notice that gets lost itself brings no other."""
    town = await found_town(supports_lookup=False)
    town.channel.script.extend([LOST, LOST])
    await town.hear("/a|b")
    await town.quiet()
    for _ in range(5):
        await town.wait(20)
    assert await town.part_states() == ["failed", "canceled", "accepted"]
    assert town.channel.to(ANN) == [PERHAPS_LOST]
    assert await town.history() == [("user", "/a|b"), ("assistant", PERHAPS_LOST)]
    town.channel.always = LOST
    await town.hear("/c")
    await town.quiet()
    for _ in range(8):
        await town.wait(60)
    assert await town.part_states() == ["failed", "canceled", "accepted", "failed", "failed"]


async def test_the_only_repetition_waits_until_the_provider_is_well(found_town: Found) -> None:
    """An outage in which nothing can be told costs nobody an answer, however long it lasts."""
    town = await found_town(supports_lookup=False)
    town.channel.script.append(LOST)
    town.channel.probes.extend([LOST, SendError(SendFailure.BUSY, "unreachable", "no"), WRONG_TOKEN, LOST])
    await town.hear("/a|b")
    await town.quiet()
    for _ in range(4):
        assert town.channel.sent == []
        await town.wait(20)
    for _ in range(4):
        await town.wait(100)
    assert town.channel.to(ANN) == ["did /a", "b"]
    assert await town.rows(outbound, "resends") == [(1,), (0,)]


async def test_what_is_not_found_at_once_is_looked_for_until_it_cannot_turn_up_any_more(town: Town) -> None:
    """The provider may take a request after we gave up on it: it is found at the third look, and not sent again."""
    town.channel.lookup_seconds = 60
    town.channel.script.append(LOST)
    town.channel.findings.extend([None, None, Receipt("P-late")])
    await town.hear("/a|b")
    await town.quiet()
    for _ in range(5):
        await town.wait(10)
    assert town.channel.lookups == ["did /a"] * 3
    assert town.channel.to(ANN) == ["b"]
    assert (await town.rows(outbound, "provider_id", "resends"))[0] == ("P-late", 0)


async def test_what_is_not_found_in_time_is_sent_again(town: Town) -> None:
    """Not before the time is over, and right after it."""
    town.channel.lookup_seconds = 60
    town.channel.script.append(LOST)
    await town.hear("/a")
    await town.quiet()
    for _ in range(29):
        await town.wait(2)
    assert town.channel.sent == []
    assert len(town.channel.lookups) > 1
    await town.wait(3)
    assert town.channel.to(ANN) == ["did /a"]


@pytest.mark.parametrize("outcome_unknown", [False, True])
async def test_a_stop_while_a_part_waits_for_its_turn_leaves_nothing_unknown(
    found_town: Found, *, outcome_unknown: bool
) -> None:
    """It was not marked yet: neither does a first send become doubtful, nor is the only repetition spent."""
    town = await found_town(supports_lookup=False, rate_limited=True)
    waiting = asyncio.Event()

    async def hang() -> None:
        waiting.set()
        await asyncio.Event().wait()

    if outcome_unknown:
        town.channel.script.append(LOST)
        town.channel.turns.append(None)
    town.channel.turns.append(hang)
    await town.hear("/a|b")
    await town.until(lambda: waiting.is_set() or outcome_unknown)
    if outcome_unknown:
        await town.quiet()
        await town.pass_by(5)
        await waiting.wait()
    await town.stop(0)
    assert (await town.rows(outbound, "state", "resends"))[0] == ("unknown" if outcome_unknown else "planned", 0)
    town.reborn()
    await town.start()
    await town.quiet()
    assert town.channel.to(ANN) == ["did /a", "b"]


async def test_a_turn_that_is_far_off_puts_the_part_back(found_town: Found) -> None:
    """It is planned again for then; one of unknown fate stays one of unknown fate."""
    town = await found_town(supports_lookup=False, rate_limited=True)
    far = SendError(SendFailure.BUSY, "rate_limit", "a minute", retry_after=60)
    town.channel.turns.extend([far, None, far])
    town.channel.script.append(LOST)
    await town.hear("/a")
    await town.quiet()
    assert await town.rows(outbound, "state", "resends") == [("planned", 0)]
    await town.wait(61)
    assert await town.rows(outbound, "state", "resends") == [("unknown", 0)]
    await town.wait(5)
    assert await town.rows(outbound, "state", "resends") == [("unknown", 0)]
    await town.wait(61)
    assert town.channel.to(ANN) == ["did /a"]
    assert await town.rows(outbound, "state", "resends") == [("accepted", 1)]


async def test_a_lease_that_ended_while_the_part_waited_for_its_turn_is_not_used(found_town: Found) -> None:
    """A process that slept past its lease finds that another one has the part, and sends nothing."""
    town = await found_town(supports_lookup=False, rate_limited=True)
    other = MessagingDatabase(town.database._transactions, owner="sms@other", clock=town.hours.clock)
    other._ready = True

    async def oversleep() -> None:
        town.hours.now += 16
        town.hours._show(town.hours.now)
        taken = await other.claim_next_part(SMS, ANN)
        assert taken is not None
        await other.record_accepted(taken, Receipt("P-other"))

    town.channel.turns.append(oversleep)
    await town.hear("/a")
    await town.quiet()
    assert town.channel.sent == []
    assert await town.rows(outbound, "state", "provider_id") == [("accepted", "P-other")]


async def test_an_error_that_nobody_foresaw_counts_as_unknown(town: Town) -> None:
    """It may have been sent, so it is looked up first, and it is not tried for ever."""
    town.channel.script.append(KeyError("sid"))
    town.channel.findings.append(Receipt("P-found"))
    await town.hear("/a")
    await town.quiet()
    await town.wait(5)
    assert town.channel.sent == []
    assert await town.part_states() == ["accepted"]


async def test_a_kill_between_mark_and_record_is_looked_up_after_the_restart(town: Town) -> None:
    """The row says "sending": the provider is asked before anything else is done."""
    sending = asyncio.Event()

    async def hang() -> None:
        sending.set()
        await asyncio.Event().wait()

    town.channel.always = hang
    await town.hear("/a|b")
    await sending.wait()
    await town.stop(0)
    assert await town.part_states() == ["sending", "planned"]
    town.channel.always = None
    town.channel.findings.append(Receipt("P-found"))
    town.hours.move(3)
    town.reborn()
    await town.start()
    await town.quiet()
    assert town.channel.to(ANN) == ["b"]
    assert await town.part_states() == ["accepted", "accepted"]


# -- reports that come later -------------------------------------------------------------------------------------------


async def _reported(town: Town, failure: SendFailure, provider_id: str) -> None:
    ((part_id,),) = await town.rows(outbound, "part_id")
    event = DeliveryEvent(
        SMS, provider_id, PartState.UNDELIVERED, town.hours.now, part_id, "30003", "the phone is off", failure=failure
    )
    assert await town.outbox.record_status(event)


async def test_a_phone_that_was_off_gets_one_more_try_later(town: Town) -> None:
    """The carrier says so long after the provider took it; ten minutes on it is sent again, and that is all."""
    await town.hear("/a")
    await town.quiet()
    await _reported(town, SendFailure.LATER, "P1")
    await town.wait(500)
    assert town.channel.to(ANN) == ["did /a"]
    await town.wait(300)
    assert town.channel.to(ANN) == ["did /a"] * 2
    await _reported(town, SendFailure.LATER, "P2")
    await town.wait(10_000)
    assert town.channel.to(ANN) == ["did /a"] * 2
    assert await town.part_states() == ["undelivered"]
    assert await town.history() == [("user", "/a")]


async def test_a_sender_that_carriers_refuse_pauses_the_channel_and_burns_nothing(town: Town) -> None:
    """An unregistered number is refused by the carrier only: loud, and the part waits with all others."""
    await town.hear("/a")
    await town.quiet()
    await _reported(town, SendFailure.CONFIG, "P1")
    assert town.outbox.paused_reason == "the phone is off (30003)"
    await town.hear("/b", from_=BOB)
    await town.quiet()
    assert await town.part_states() == ["planned", "planned"]
    await town.wait(100)
    assert town.channel.to(ANN) == ["did /a"] * 2
    assert town.channel.to(BOB) == ["did /b"]


async def test_a_repeated_delivery_status_does_not_pause_the_channel_again(town: Town) -> None:
    """A provider repeats its callbacks: one that was recorded before says nothing about the account now."""
    await town.hear("/a")
    await town.quiet()
    ((part_id,),) = await town.rows(outbound, "part_id")
    event = DeliveryEvent(
        SMS, "P1", PartState.UNDELIVERED, town.hours.now, part_id, "30034", "unregistered", failure=SendFailure.CONFIG
    )
    assert await town.outbox.record_status(event)
    await town.wait(100)
    assert (town.channel.to(ANN), town.outbox.paused_reason) == (["did /a"] * 2, None)
    assert not await town.outbox.record_status(event)
    assert town.outbox.paused_reason is None
    await town.hear("/b")
    await town.quiet()
    assert town.channel.to(ANN) == ["did /a", "did /a", "did /b"]


@pytest.mark.parametrize("failure", [SendFailure.REJECTED, SendFailure.RECIPIENT])
async def test_what_a_carrier_refuses_for_good_is_not_repeated(town: Town, failure: SendFailure) -> None:
    """A text that was filtered would only be filtered again."""
    await town.hear("/a")
    await town.quiet()
    await _reported(town, failure, "P1")
    await town.wait(100_000)
    assert town.channel.to(ANN) == ["did /a"]
    assert await town.part_states() == ["undelivered"]


# -- moved people ------------------------------------------------------------------------------------------------------


def _moved_to(address: str) -> SendError:
    return SendError(SendFailure.REJECTED, "400", "upgraded to a supergroup", moved_to=address)


async def test_a_group_is_followed_to_its_new_address(town: Town) -> None:
    """Nothing is lost on the way, and the rest goes there too, in order."""
    town.channel.script.append(_moved_to("-100"))
    await town.hear("/a|b", "/c")
    await town.quiet()
    assert town.channel.sent == [("-100", "did /a"), ("-100", "b"), ("-100", "did /c")]
    assert await town.database.find_user(SMS, ANN) is None
    assert await town.database.find_user(SMS, UserId("-100")) is not None


async def test_addresses_that_point_at_each_other_are_no_endless_loop(town: Town) -> None:
    """After some moves it counts as any other refusal."""
    town.channel.always = _moved_to("-100")
    await town.hear("/a")
    await town.quiet()
    assert await town.part_states() == ["failed"]
    assert await town.rows(outbound, "attempts") == [(MAX_MOVES + 1,)]


# -- trouble of our own ------------------------------------------------------------------------------------------------

VERBS = ["claim_next_part", "record_accepted", "users_with_parts", "renew_leases", "set_state"]


@pytest.mark.parametrize("verb", VERBS)
async def test_trouble_with_the_database_sends_nothing_twice(town: Town, verb: str) -> None:
    """Whichever verb could not be used for a while, each part was sent once."""
    town.moody.verb, town.moody.times = verb, 3
    await town.hear("/a|b", "/c")
    for _ in range(20):
        await town.still()
        await town.pass_by(3)
    await town.quiet()
    assert town.channel.to(ANN) == ["did /a", "b", "did /c"]
    assert town.channel.lookups == []
    assert town.moody.times == 0
    assert await town.part_states() == ["accepted"] * 3


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
async def test_trouble_after_a_failed_send_is_outlasted(town: Town, verb: str, script: list[Exception]) -> None:
    """What became of the send is recorded when the database is back, and everything goes its way."""
    town.moody.verb, town.moody.times = verb, 2
    town.channel.script.extend(script)
    await town.hear("/a|b")
    for _ in range(60):
        await town.still()
        await town.pass_by(3)
    await town.quiet()
    assert [text for _, text in town.channel.sent] == ["did /a", "b"]
    assert await town.part_states() == ["accepted", "accepted"]


async def test_a_stop_cuts_off_the_waiting_but_not_the_record(town: Town) -> None:
    """The provider took the part; a stop at that very moment does not lose the receipt."""
    holding, recording = asyncio.Event(), asyncio.Event()
    record: Callable[..., Awaitable[None]] = town.database.record_accepted

    class Slow:
        def __getattr__(self, name: str) -> object:
            return self.slowly if name == "record_accepted" else getattr(town.database, name)

        async def slowly(self, *args: object) -> None:
            recording.set()
            await holding.wait()
            await record(*args)

    town.outbox._store = Slow()  # type: ignore[assignment]
    await town.hear("/a")
    await recording.wait()
    await town.stop(0)
    holding.set()
    async with asyncio.timeout(60):
        while await town.part_states() != ["accepted"]:  # noqa: ASYNC110 (a record that nobody awaits any more)
            await asyncio.sleep(0.001)


async def test_a_lease_that_ended_before_the_send_is_not_used(town: Town) -> None:
    """After a long sleep of the machine, between mark and send: somebody else may have it by now."""
    claim = town.database.claim_next_part

    class Asleep:
        def __getattr__(self, name: str) -> object:
            return self.late if name == "claim_next_part" else getattr(town.database, name)

        async def late(self, *_: object, **__: object) -> object:
            part = await claim(SMS, ANN)
            town.hours.now += 16 if part and part.attempts == 1 else 0
            return part

    town.outbox._store = Asleep()  # type: ignore[assignment]
    await town.hear("/a")
    await town.quiet()
    await town.wait(20)
    assert town.channel.lookups == ["did /a"]
    assert town.channel.to(ANN) == ["did /a"]
