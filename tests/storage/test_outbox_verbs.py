"""The outbox: marked before it is sent, recorded after, in order, and never against what is known."""

from __future__ import annotations

import time

import pytest
from sqlalchemy import update

from messaging_database import MessagingDatabase
from relay.channels.registry import PLATFORMS
from relay.channels.sms.spec import SMS
from relay.channels.telegram.spec import TELEGRAM
from relay.core.decisions import Decision
from relay.core.errors import LeaseLost, OutcomeUnknown, SendError, SendFailure
from relay.core.messages import UserState
from relay.core.parts import DeliveryEvent, Part, PartState, Receipt
from relay.storage import listings, queries
from relay.storage.schema import conversations, counters, outbound, users
from tests.storage.fixtures import (
    ANN,
    ANSWER,
    BOB,
    PAST_LEASE,
    Opener,
    answered,
    claimed,
    claimed_part,
    counted,
    history,
    known,
    message,
    parts,
    report,
    rows,
    states,
)

REFUSED = SendError(SendFailure.REJECTED, "21617", "too long")
GONE = OutcomeUnknown("timeout", "no answer in time")


async def test_a_part_is_marked_before_it_is_sent(db: MessagingDatabase, database_url: str, opener: Opener) -> None:
    """A process that is killed now leaves a state that another one sees."""
    await answered(db, "x")
    part = await claimed_part(db)
    assert (part.text, part.number, part.count, part.attempts, part.outcome_unknown) == ("x", 1, 1, 1, False)
    other = await opener(database_url, owner="sms@two")
    assert await states(other) == ["sending"]


async def test_a_part_that_waited_for_its_turn_counts_from_its_send(db: MessagingDatabase) -> None:
    """A lookup of an unknown outcome begins some time after it."""
    await answered(db, "x")
    part = await db.claim_next_part(SMS, ANN, mark=False)
    assert part is not None
    assert part.attempted_at is None
    began = time.time()
    begun = await db.begin_send(part)
    assert await states(db) == ["sending"]
    assert begun.attempted_at is not None
    assert began - 60 < begun.attempted_at


async def test_the_next_part_waits_for_the_one_before(db: MessagingDatabase) -> None:
    """Parts go out in the order of the reply, replies in the order in which they were planned."""
    await answered(db, "a1", "a2")
    await answered(db, "b1")
    sent = []
    for _ in range(3):
        part = await claimed_part(db)
        assert await db.claim_next_part(SMS, ANN) is None
        assert await db.users_with_parts(SMS) == []
        await db.record_accepted(part, Receipt(f"P-{part.text}"))
        sent.append(part.text)
    assert sent == ["a1", "a2", "b1"]
    assert await db.claim_next_part(SMS, ANN) is None


async def test_people_with_parts_do_not_wait_for_each_other(db: MessagingDatabase) -> None:
    """A user's part that is to be repeated later holds up no other user."""
    await answered(db, "x", user_id=ANN)
    await answered(db, "y", user_id=BOB)
    await db.record_retry(await claimed_part(db, ANN), time.time() + 60, SendError(SendFailure.BUSY, "429", "slow"))
    assert await db.users_with_parts(SMS) == [BOB]


async def test_the_next_user_is_the_one_who_was_served_longest_ago(db: MessagingDatabase) -> None:
    """After each interruption the sweep goes on with the others, not with the owner of the oldest part."""
    await answered(db, "a1", "a2", "a3", user_id=ANN)
    await answered(db, "b1", "b2", user_id=BOB)
    sent = []
    for _ in range(4):
        part = await claimed_part(db, (await db.users_with_parts(SMS))[0])
        await db.record_accepted(part, Receipt(f"P-{part.text}"))
        sent.append(part.text)
    assert sent == ["a1", "b1", "a2", "b2"]


async def test_a_refused_part_is_planned_again(db: MessagingDatabase) -> None:
    """Nothing was sent, so the next attempt is a first one, with a new fence."""
    await answered(db, "x")
    part = await claimed_part(db)
    await db.record_retry(part, time.time() - 1, SendError(SendFailure.BUSY, "429", "slow"))
    again = await claimed_part(db)
    assert (again.id, again.attempts, again.outcome_unknown) == (part.id, 2, False)
    assert await rows(db, outbound, "error_code", "error") == [("429", "slow")]


async def test_a_part_of_unknown_outcome_is_to_be_looked_up(db: MessagingDatabase) -> None:
    """It comes with the moment of the attempt, and is repeated only by an operator's command."""
    await answered(db, "x")
    part = await claimed_part(db)
    await db.record_unknown(part, time.time() - 1, GONE)
    again = await claimed_part(db)
    assert again.outcome_unknown
    assert again.attempted_at == pytest.approx(part.attempted_at, abs=0.5)
    assert await states(db) == ["unknown"]
    resent = await db.begin_send(again)
    assert (resent.attempts, resent.resends, resent.outcome_unknown) == (3, 1, False)
    assert (await counted(db))["resends"] == 1
    await db.record_accepted(resent, Receipt("P"))
    assert await states(db) == ["accepted"]


async def test_what_a_dead_process_was_sending_is_to_be_looked_up(database_url: str, opener: Opener) -> None:
    """After its lease, by another process; after a restart, at once."""
    dead = await opener(database_url, owner="sms@dead", lease=PAST_LEASE)
    await answered(dead, "x", user_id=ANN)
    await answered(dead, "y", user_id=BOB)
    await claimed_part(dead, ANN)
    other = await opener(database_url, owner="sms@other")
    assert (await claimed_part(other, ANN)).outcome_unknown
    before = await opener(database_url, owner="sms@dead")
    await claimed_part(before, BOB)
    restarted = await opener(database_url, owner="sms@dead")
    await restarted.release_leases(SMS)
    assert (await claimed_part(restarted, BOB)).outcome_unknown


async def test_the_fence_holds_for_parts(database_url: str, opener: Opener) -> None:
    """A process that lost the lease records no failure and plans no repetition beside the new owner."""
    slow = await opener(database_url, owner="sms@slow", lease=PAST_LEASE)
    await answered(slow, "x")
    stale = await claimed_part(slow)
    quick = await opener(database_url, owner="sms@quick")
    fresh = await claimed_part(quick)
    for verb in (
        slow.record_retry(stale, 0, REFUSED),
        slow.record_unknown(stale, 0, GONE),
        slow.record_failed(stale, REFUSED, UserState.BLOCKED),
        slow.begin_send(stale),
    ):
        with pytest.raises(LeaseLost):
            await verb
    assert await states(quick) == ["unknown"]
    assert await rows(quick, users, "state") == [("new",)]
    assert (await quick.begin_send(fresh)).attempts == fresh.attempts + 1


async def test_a_restarted_process_is_fenced_from_its_earlier_life(database_url: str, opener: Opener) -> None:
    """It has the same name: the number of attempts tells them apart."""
    before = await opener(database_url, owner="sms@one")
    await answered(before, "x")
    stale = await claimed_part(before)
    after = await opener(database_url, owner="sms@one")
    await after.release_leases(SMS)
    await claimed_part(after)
    with pytest.raises(LeaseLost):
        await before.record_failed(stale, REFUSED)
    with pytest.raises(LeaseLost):
        await before.record_retry(stale, 0, REFUSED)


async def test_an_acceptance_counts_for_any_holder_of_the_lease(database_url: str, opener: Opener) -> None:
    """What was sent was sent: the new owner is not to send it again."""
    slow = await opener(database_url, owner="sms@slow", lease=PAST_LEASE)
    await answered(slow, "x")
    stale = await claimed_part(slow)
    quick = await opener(database_url, owner="sms@quick")
    fresh = await claimed_part(quick)
    await slow.record_accepted(stale, Receipt("P1", segments=2))
    await slow.record_accepted(stale, Receipt("P1", segments=2))
    with pytest.raises(LeaseLost):
        await quick.begin_send(fresh)
    assert await rows(quick, outbound, "state", "provider_id", "segments") == [("accepted", "P1", 2)]
    assert (await counted(quick))["segments"] == 2


async def test_renewing_keeps_a_part(database_url: str, opener: Opener) -> None:
    """A slow provider does not give the part to another owner."""
    slow = await opener(database_url, owner="sms@slow", lease=PAST_LEASE)
    await answered(slow, "x")
    part = await claimed_part(slow)
    living = await opener(database_url, owner="sms@slow")
    await living.renew_leases([], [part.id])
    other = await opener(database_url, owner="sms@other")
    assert await other.claim_next_part(SMS, ANN) is None
    await slow.record_accepted(part, Receipt("P1"))


async def test_a_failed_part_takes_the_rest_of_its_reply_along(db: MessagingDatabase) -> None:
    """History keeps what was seen; another reply is not touched."""
    await answered(db, "one ", "two ", "three", question="q")
    await answered(db, "other", question="r")
    await db.record_accepted(await claimed_part(db), Receipt("P1"))
    await db.record_failed(await claimed_part(db), REFUSED)
    assert await states(db) == ["accepted", "failed", "canceled", "planned"]
    assert await history(db) == [("user", "q"), ("assistant", "one "), ("user", "r"), ("assistant", "other")]
    assert (await claimed_part(db)).text == "other"


@pytest.mark.parametrize("texts", [["one"], ["one", "two"]])
async def test_a_reply_of_which_nothing_was_seen_leaves_no_line(db: MessagingDatabase, texts: list[str]) -> None:
    """The count of lines goes down with it."""
    await answered(db, *texts, question="q")
    await db.record_failed(await claimed_part(db), REFUSED)
    assert await history(db) == [("user", "q")]
    assert await rows(db, users, "message_count") == [(1,)]
    assert (await counted(db))["messages"] == 1


async def test_a_user_who_blocked_us_is_sent_nothing(db: MessagingDatabase) -> None:
    """All that was planned for them is canceled, and nothing new is planned."""
    await answered(db, "one", question="q")
    await answered(db, "two", question="r")
    await answered(db, "for Bob", user_id=BOB)
    await db.record_failed(await claimed_part(db), SendError(SendFailure.BLOCKED, "403", "blocked"), UserState.BLOCKED)
    assert await states(db) == ["failed", "canceled", "planned"]
    assert await rows(db, users, "state") == [("blocked",), ("new",)]
    await db.store_inbound(message(), "")
    assert (await db.complete_inbound(await claimed(db), Decision(prompt="x"), parts("never"))).reply_id is None
    assert await db.users_with_parts(SMS) == [BOB]


async def test_an_operator_may_write_to_anybody(db: MessagingDatabase) -> None:
    """The line enters the history as the person will read it, and the model will see it."""
    reply = await db.plan_message(SMS, ANN, parts("(1/2) hi ", "(2/2) there"))
    assert await rows(db, outbound, "reply_id", "origin") == [(reply, "operator")] * 2
    assert await rows(db, conversations, "message", "in_context") == [("(1/2) hi (2/2) there", True)]
    assert await rows(db, users, "state", "name", "message_count") == [("new", None, 1)]


async def test_delivery_states_only_move_forward(db: MessagingDatabase) -> None:
    """Reports come twice and in any order; a final state stays."""
    await answered(db, "x")
    await db.record_accepted(await claimed_part(db), Receipt("P1"))
    for reported, expected in (
        (PartState.DELIVERED, "delivered"),
        (PartState.SENT, "delivered"),
        (PartState.ACCEPTED, "delivered"),
        (PartState.FAILED, "delivered"),
        (PartState.READ, "read"),
        (PartState.UNDELIVERED, "read"),
    ):
        assert await db.record_delivery(report(reported))
        assert await states(db) == [expected]
    assert not await db.record_delivery(report(PartState.SENT))
    assert (await counted(db))["delivery_events"] == 6


@pytest.mark.parametrize("by_part_id", [True, False])
async def test_a_report_may_come_before_the_answer_to_our_send(db: MessagingDatabase, by_part_id: bool) -> None:
    """It is kept, by our part id or by the provider's, and counts when the answer comes."""
    await answered(db, "x", "y")
    part = await claimed_part(db)
    early = report(PartState.DELIVERED, part_id=part.id if by_part_id else None)
    assert await db.record_delivery(early)
    assert not await db.record_delivery(early)
    await db.record_accepted(part, Receipt("P1", PartState.ACCEPTED))
    assert await states(db) == ["delivered", "planned"]
    assert (await counted(db))["segments"] == 1


async def test_the_check_recounts_segments(db: MessagingDatabase) -> None:
    """A status that comes before the receipt counts one segment, the receipt the rest; a forgotten user's stay."""
    await db.plan_message(SMS, ANN, parts("x"))
    part = await claimed_part(db)
    await db.record_delivery(report(PartState.SENT, "SM1", part_id=part.id))
    await db.record_accepted(part, Receipt("SM1", segments=2))
    assert (await counted(db))["segments"] == 2
    assert await db.problems() == []
    segments = update(counters).where(counters.c.name == "segments")
    await db._write(lambda tx: tx.run(segments.values(value=1)))
    assert await db.problems() == ["sms: the counter segments says 1, the rows say 2 or more"]
    await db._write(lambda tx: tx.run(segments.values(value=2)))
    await db.forget_user(SMS, ANN)
    assert await db.problems() == []


async def test_a_delivery_status_decides_an_unknown_outcome(db: MessagingDatabase) -> None:
    """Then it is not sent again, and the next part may go."""
    await answered(db, "x", "y")
    part = await claimed_part(db)
    await db.record_unknown(part, time.time() - 1, GONE)
    again = await claimed_part(db)
    await db.record_delivery(report(PartState.SENT, part_id=part.id))
    with pytest.raises(LeaseLost):
        await db.begin_send(again)
    assert await rows(db, outbound, "state", "provider_id") == [("sent", "P1"), ("planned", None)]
    assert (await claimed_part(db)).text == "y"


@pytest.mark.parametrize("early", [True, False])
async def test_an_undelivered_part_is_taken_out_of_the_history(db: MessagingDatabase, early: bool) -> None:
    """The person did not see it; what was planned behind it is canceled."""
    await answered(db, "one ", "two ", "three", question="q")
    await db.record_accepted(await claimed_part(db), Receipt("P1"))
    second = await claimed_part(db)
    lost = report(PartState.UNDELIVERED, "P2", error_code="30003", error="unreachable handset")
    if early:
        await db.record_delivery(lost)
    await db.record_accepted(second, Receipt("P2"))
    if not early:
        await db.record_delivery(lost)
    assert await states(db) == ["accepted", "undelivered", "canceled"]
    assert await history(db) == [("user", "q"), ("assistant", "one ")]
    assert (await rows(db, outbound, "error_code"))[1] == ("30003",)


async def test_a_send_that_is_found_failed_counts_as_failed(db: MessagingDatabase) -> None:
    """Settling may find the message in the provider's list with a bad end."""
    await answered(db, "one", "two", question="q")
    await db.record_accepted(await claimed_part(db), Receipt("P1", PartState.FAILED))
    assert await states(db) == ["failed", "canceled"]
    assert await history(db) == [("user", "q")]


async def test_a_report_changes_the_person_when_it_says_so(db: MessagingDatabase) -> None:
    """An opt-out that the provider reports later stops what is planned."""
    await answered(db, "one")
    await db.record_accepted(await claimed_part(db), Receipt("P1"))
    await answered(db, "two")
    await db.record_delivery(report(PartState.FAILED, error_code="21610", user_state=UserState.STOPPED))
    assert await states(db) == ["failed", "canceled"]
    assert await rows(db, users, "state") == [("stopped",)]


async def test_a_report_about_nothing_we_know_is_kept(db: MessagingDatabase) -> None:
    """Forgotten or foreign: no error, no part."""
    assert await db.record_delivery(report(PartState.SENT, "P-foreign"))
    assert await db.record_delivery(report(PartState.FAILED, "P-forgotten", part_id="0" * 32, error_code="1"))
    assert await states(db) == []


async def test_a_late_answer_to_a_send_cannot_undo_a_failure(db: MessagingDatabase) -> None:
    """Final states stay final."""
    await answered(db, "x")
    part = await claimed_part(db)
    await db.record_failed(part, REFUSED)
    await db.record_accepted(part, Receipt("P1"))
    assert await states(db) == ["failed"]


# -- lost on the way ---------------------------------------------------------------------------------------------------


def _in_a_minute(_attempts: int, _age: float) -> float:
    return 60.0


def _at_once(_attempts: int, _age: float) -> float:
    return 0.0


async def _sending(db: MessagingDatabase, *texts: str) -> Part:
    await answered(db, *texts)
    return await claimed_part(db)


def _lost(provider_id: str, part: Part) -> DeliveryEvent:
    return report(PartState.UNDELIVERED, provider_id, part_id=part.id, error_code="30003", error="unreachable")


@pytest.mark.parametrize("early", [False, True])
async def test_a_part_that_was_lost_on_its_way_is_planned_again(db: MessagingDatabase, *, early: bool) -> None:
    """Whether its loss is reported before or after the provider's answer; late words about the lost one are ignored."""
    part = await _sending(db, "x")
    if early:
        await db.record_delivery(_lost("P1", part), _in_a_minute)
    await db.record_accepted(part, Receipt("P1"))
    if not early:
        await db.record_delivery(_lost("P1", part), _in_a_minute)
    await db.record_delivery(report(PartState.SENT, "P1", part_id=part.id), _in_a_minute)
    await db.record_delivery(report(PartState.FAILED, "P1", part_id=part.id, error_code="1"), _in_a_minute)
    assert await states(db) == ["planned"]
    assert await rows(db, outbound, "error_code", "error") == [("30003", "unreachable")]
    assert await db.claim_next_part(SMS, ANN) is None
    assert await db.problems() == []


async def test_a_repeated_part_takes_its_own_way(db: MessagingDatabase) -> None:
    """It is sent when it is due, the lost attempt is never taken for the new one, and reports about that one count."""
    part = await _sending(db, "x")
    await db.record_accepted(part, Receipt("P1"))
    await db.record_delivery(_lost("P1", part), _at_once)
    again = await claimed_part(db)
    assert (again.id, again.attempts, again.outcome_unknown) == (part.id, 2, False)
    assert "P1" in await db.accepted_ids(again)
    await db.record_delivery(report(PartState.SENT, "P2", part_id=part.id))
    await db.record_accepted(again, Receipt("P2"))
    await db.record_delivery(report(PartState.FAILED, "P1", part_id=part.id, error_code="1"))
    assert await states(db) == ["sent"]
    await db.record_delivery(report(PartState.DELIVERED, "P2", part_id=part.id))
    assert await states(db) == ["delivered"]
    assert await db.problems() == []


async def test_what_would_come_out_of_order_is_not_repeated(db: MessagingDatabase) -> None:
    """The second part was sent already, so the lost first one ends, as far as the history is concerned as well."""
    first = await _sending(db, "one ", "two")
    await db.record_accepted(first, Receipt("P1"))
    second = await claimed_part(db)
    await db.record_accepted(second, Receipt("P2"))
    await db.record_delivery(_lost("P1", first), _in_a_minute)
    assert await states(db) == ["undelivered", "accepted"]
    await db.record_delivery(_lost("P2", second), _in_a_minute)
    assert await states(db) == ["undelivered", "undelivered"]


async def test_a_user_who_writes_gets_what_was_lost_at_once(db: MessagingDatabase) -> None:
    """Their telephone is on: the lost part goes first, and the new answer does not wait for its time."""
    part = await _sending(db, "x")
    await db.record_accepted(part, Receipt("P1"))
    await db.record_delivery(_lost("P1", part), _in_a_minute)
    await answered(db, "new answer")
    assert (await claimed_part(db)).id == part.id


async def test_a_message_of_the_user_does_not_override_retry_after(db: MessagingDatabase) -> None:
    """The provider asked to wait: that the user can be reached changes nothing about it."""
    part = await _sending(db, "x")
    await db.record_retry(part, time.time() + 60, SendError(SendFailure.BUSY, "429", "slow"))
    await answered(db, "new answer")
    assert await db.claim_next_part(SMS, ANN) is None


async def test_a_part_that_waits_for_its_user_leaves_with_their_message(db: MessagingDatabase) -> None:
    """It is put off for weeks, and counted in the status until the user writes."""
    part = await _sending(db, "x")
    closed = SendError(SendFailure.WINDOW, "63016", "not before they write")
    await db.record_retry(part, time.time() + 30 * 86_400, closed)
    status = await db.query(lambda c: queries.status(c, SMS, PLATFORMS, time.time()))
    assert status["parts_waiting_for_user"] == 1
    await answered(db, "new answer")
    assert (await claimed_part(db)).id == part.id
    status = await db.query(lambda c: queries.status(c, SMS, PLATFORMS, time.time()))
    assert status["parts_waiting_for_user"] == 0


@pytest.mark.parametrize("unknown_before", [False, True])
async def test_a_message_of_the_user_does_not_override_the_retry_after_of_a_redelivery(
    db: MessagingDatabase, *, unknown_before: bool
) -> None:
    """That an earlier attempt was accepted and lost changes nothing about the wait that the provider asked for now."""
    part = await _sending(db, "x")
    await db.record_accepted(part, Receipt("P1"))
    await db.record_delivery(_lost("P1", part), _at_once)
    again = await claimed_part(db)
    if unknown_before:
        await db.record_unknown(again, time.time() - 1, GONE)
        again = await db.begin_send(await claimed_part(db))
    await db.record_retry(again, time.time() + 60, SendError(SendFailure.BUSY, "429", "slow"))
    await answered(db, "new answer")
    assert await db.claim_next_part(SMS, ANN) is None
    assert await db.problems() == []


async def test_the_failures_of_one_platform_push_out_none_of_the_other(db: MessagingDatabase) -> None:
    """The newest of each are listed, however many the other has since had."""
    for platform, many in ((SMS, 1), (TELEGRAM, 3)):
        for _ in range(many):
            await db.plan_message(platform, ANN, parts("x"))
            part = await db.claim_next_part(platform, ANN)
            assert part is not None
            await db.record_failed(part, REFUSED)
    failed = await db.query(lambda c: listings.failed_parts(c, [SMS], 2))
    assert [row["platform"] for row in failed] == [SMS]
    failed = await db.query(lambda c: listings.failed_parts(c, PLATFORMS, 2))
    assert [row["platform"] for row in failed] == [TELEGRAM] * 2


async def test_the_next_part_waits_until_the_one_before_is_reported_as_sent(db: MessagingDatabase) -> None:
    """Or for a short time, so that a telephone shows them in order."""
    await answered(db, "one", "two", "three")
    first = await claimed_part(db)
    await db.record_accepted(first, Receipt("P1", pause=600.0))
    assert await db.claim_next_part(SMS, ANN) is None
    await db.record_delivery(report(PartState.SENT, "P1"))
    second = await claimed_part(db)
    await db.record_delivery(report(PartState.DELIVERED, "P2", part_id=second.id))
    await db.record_accepted(second, Receipt("P2", pause=600.0))
    assert (await claimed_part(db)).text == "three"


async def test_a_report_does_not_hasten_a_part_that_was_refused(db: MessagingDatabase) -> None:
    """The provider said when to try it again, while the part before it was being sent anew."""
    first = await _sending(db, "one ", "two")
    await db.record_accepted(first, Receipt("P1"))
    second = await claimed_part(db)
    await db.record_retry(second, time.time() + 600, SendError(SendFailure.BUSY, "429", "slow"))
    await db.record_delivery(_lost("P1", first), _at_once)
    again = await claimed_part(db)
    assert again.id == first.id
    await db.record_accepted(again, Receipt("P2", pause=1200.0))
    await db.record_delivery(report(PartState.SENT, "P2", part_id=first.id))
    assert await db.claim_next_part(SMS, ANN) is None


async def test_another_reply_does_not_wait_for_a_report(db: MessagingDatabase) -> None:
    """The order is that of one answer."""
    await answered(db, "one")
    await answered(db, "two")
    await db.record_accepted(await claimed_part(db), Receipt("P1", pause=600.0))
    assert (await claimed_part(db)).text == "two"


async def test_a_pause_and_a_message_concern_no_other_user(db: MessagingDatabase) -> None:
    """Only the part behind the accepted one waits for its report, and only what its writer waits for becomes due."""
    await answered(db, "a1", "a2", user_id=ANN)
    await answered(db, "b1", "b2", user_id=BOB)
    before = await rows(db, outbound, "text", "due")
    await db.record_accepted(await claimed_part(db, ANN), Receipt("P1", pause=600.0))
    after = await rows(db, outbound, "text", "due")
    assert {text for (text, due), (_, was) in zip(after, before, strict=True) if due != was} == {"a2"}
    lost = await claimed_part(db, BOB)
    await db.record_accepted(lost, Receipt("P2"))
    await db.record_delivery(_lost("P2", lost), _in_a_minute)
    await answered(db, "a3", user_id=ANN)
    assert await db.claim_next_part(SMS, BOB) is None
    await answered(db, "b3", user_id=BOB)
    assert (await claimed_part(db, BOB)).text == "b1"


async def test_a_failed_part_keeps_why_and_is_free(db: MessagingDatabase) -> None:
    """An operator reads code and words of the refusal, and of what was canceled with it."""
    await answered(db, "x", "y")
    await db.record_failed(await claimed_part(db), REFUSED)
    columns = ("text", "state", "error_code", "error", "lease_until")
    assert await rows(db, outbound, *columns) == [
        ("x", "failed", "21617", "too long", 0.0),
        ("y", "canceled", None, "an earlier part could not be sent", 0.0),
    ]


async def test_parts_are_sent_from_the_address_that_was_written_to(db: MessagingDatabase) -> None:
    """What has no message of its own goes like the part before it."""
    await known(db)
    await db.store_inbound(message(text="a", to="+15005550099"), "")
    await db.store_inbound(message(text="b"), "")
    for _ in range(2):
        await db.complete_inbound(await claimed(db), Decision(prompt="x"), parts("re"), answer=ANSWER)
    await db.plan_message(SMS, ANN, parts("by hand"))
    sent = []
    for number in range(3):
        part = await claimed_part(db)
        sent.append(part.sender)
        await db.record_accepted(part, Receipt(f"P{number}"))
    assert sent == ["+15005550099", None, None]
    await db.plan_message(SMS, ANN, parts("by hand again"))
    again = await claimed_part(db)
    assert again.sender is None
    await db.record_accepted(again, Receipt("P3"))
    await db.store_opt_out(message(text="Stop!", to="+15005550099"), "opted out", parts("Bye"))
    assert (await claimed_part(db)).sender == "+15005550099"


async def test_accepted_parts_without_a_report_are_found(db: MessagingDatabase) -> None:
    """Those of which something was reported are not."""
    await answered(db, "one")
    await answered(db, "two")
    for number in range(2):
        await db.record_accepted(await claimed_part(db), Receipt(f"P{number}"))
    await db.record_delivery(report(PartState.SENT, "P0"))
    now = time.time()
    found = await db.parts_without_status(SMS, now - 60, now + 60)
    assert [sid for _, sid, _ in found] == ["P1"]
    assert await db.parts_without_status(SMS, now - 60, now - 30) == []


@pytest.mark.parametrize("end", ["accepted", "reported", "found"])
async def test_a_part_that_was_under_way_when_its_user_opted_out_stays_in_the_history(
    db: MessagingDatabase, end: str
) -> None:
    """It was accepted, so the user reads it; the others were never sent."""
    await known(db)
    await answered(db, "one", "two", "three")
    part = await claimed_part(db)
    await db.store_opt_out(message(text="STOP"), "opted out")
    if end == "found":
        await db.record_unknown(part, 0.0, OutcomeUnknown("timeout", "no answer"))
        part = await claimed_part(db)
        assert part.withdrawn
    if end == "reported":
        await db.record_delivery(report(PartState.DELIVERED, "P1", part_id=part.id))
    await db.record_accepted(part, Receipt("P1"))
    texts = await rows(db, conversations, "role", "message")
    assert ("assistant", "one") in texts
    assert [text for role, text in texts if role == "assistant"] == ["one"]
