"""The inbox: stored once, claimed in order, leased, fenced, finished once."""

from __future__ import annotations

import asyncio
import time

import pytest

from messaging_database import MessagingDatabase
from relay.channels.sms.spec import SMS
from relay.channels.telegram.spec import TELEGRAM
from relay.core.decisions import Decision
from relay.core.errors import LeaseLost, StorageError
from relay.core.messages import Attachment, Claim, Kind, UserId, UserState
from relay.storage.leases import MAX_USERS
from relay.storage.schema import inbound, outbound, users
from tests.storage.fixtures import (
    ANN,
    ANSWER,
    BOB,
    PAST_LEASE,
    Opener,
    answered,
    claimed,
    counted,
    history,
    message,
    parts,
    rows,
    states,
)

ONE_PICTURE = Attachment("image/png", "file-1", "x.png", 5)


async def test_a_message_is_there_after_it_was_stored(db: MessagingDatabase, database_url: str, opener: Opener) -> None:
    """What one process stored, another one claims."""
    sent = message(
        text="hi",
        name="Ann",
        attachments=(Attachment("image/png", "file-1", "x.png", 5),),
        options={"opt_out": "STOP"},
        reply_to="7",
    )
    await db.store_inbound(sent, "raw")
    other = await opener(database_url, owner="sms@two")
    assert (await claimed(other)).message == sent


async def test_a_repeat_changes_nothing(db: MessagingDatabase) -> None:
    """The provider may deliver as often as it likes."""
    first = message(external_id="SM-once", text="first")
    assert await db.store_inbound(first, "") is not None
    assert await db.store_inbound(message(external_id="SM-once", text="second"), "") is None
    assert await db.store_inbound(message(external_id="SM-once", platform=TELEGRAM), "") is not None
    assert (await claimed(db)).message.text == "first"
    assert (await counted(db))["inbound"] == 1


async def test_a_repeat_after_the_answer_changes_nothing(db: MessagingDatabase) -> None:
    """A late repetition of an answered message is not answered again."""
    await db.store_inbound(message(external_id="SM-once"), "")
    await db.complete_inbound(await claimed(db), Decision(reply="x"), parts("x"))
    assert await db.store_inbound(message(external_id="SM-once"), "") is None
    assert await db.claim_next_inbound(SMS, ANN) is None


async def test_service_messages_are_kept_but_never_claimed(db: MessagingDatabase) -> None:
    """A channel post needs no answer and adds no user."""
    await db.store_inbound(message(kind=Kind.SERVICE), "raw")
    assert await db.users_waiting(SMS) == []
    assert await rows(db, users) == []


async def test_only_the_head_of_a_line_can_be_claimed(db: MessagingDatabase) -> None:
    """The second message waits for the first, whatever becomes of that."""
    await db.store_inbound(message(text="one"), "")
    await db.store_inbound(message(text="two"), "")
    first = await claimed(db)
    assert first.message.text == "one"
    assert await db.claim_next_inbound(SMS, ANN) is None
    await db.postpone_inbound(first, time.time() + 60, "later")
    assert await db.claim_next_inbound(SMS, ANN) is None
    assert await db.users_waiting(SMS) == []


async def test_people_do_not_wait_for_each_other(db: MessagingDatabase) -> None:
    """One person's claimed message is no obstacle to another person's."""
    await db.store_inbound(message(ANN), "")
    await db.store_inbound(message(BOB), "")
    await claimed(db, ANN)
    assert await db.users_waiting(SMS) == [BOB]
    assert (await claimed(db, BOB)).message.user_id == BOB


async def test_the_user_who_waits_longest_is_named_first(db: MessagingDatabase) -> None:
    """The sweep is fair."""
    people = [UserId(f"+1202555{n:04}") for n in (3, 1, 2)]
    for person in people:
        await db.store_inbound(message(person), "")
    assert await db.users_waiting(SMS) == people


async def test_a_sweep_names_as_many_users_as_may_wait_in_memory(db: MessagingDatabase) -> None:
    """Those who have waited longest; the others are named by a later sweep."""
    names = [f"user {number:03}" for number in range(MAX_USERS + 1)]
    new = {"platform": SMS, "state": "received", "received_at": 0.0}
    waiting = [{**new, "user_id": name, "external_id": name, "due": float(due)} for due, name in enumerate(names)]
    await db._write(lambda tx: tx.connection.execute(inbound.insert(), waiting))
    assert await db.users_waiting(SMS) == names[:MAX_USERS]


async def test_the_next_user_is_the_one_who_was_answered_longest_ago(db: MessagingDatabase) -> None:
    """A user with a queue of questions comes after those whose questions are younger than the last answer to it."""
    for text in ("a1", "a2", "a3"):
        await db.store_inbound(message(ANN, text), "")
    for text in ("b1", "b2"):
        await db.store_inbound(message(BOB, text), "")
    asked = []
    for _ in range(4):
        [user_id, *_] = await db.users_waiting(SMS)
        claim = await claimed(db, user_id)
        await db.complete_inbound(claim, Decision(prompt=claim.message.text), [], answer=ANSWER)
        asked.append(claim.message.text)
    assert asked == ["a1", "b1", "a2", "b2"]


async def test_completing_commits_history_parts_and_done_together(db: MessagingDatabase) -> None:
    """The next message can be claimed, and the answer waits to be sent."""
    await answered(db, "part one, ", "part two", question="why?")
    assert await history(db) == [("user", "why?"), ("assistant", "part one, part two")]
    assert await states(db) == ["planned", "planned"]
    assert await rows(db, inbound, "state", "outcome") == [("done", "answered")]
    assert await rows(db, users, "message_count", "state") == [(2, "new")]


async def test_what_the_person_wrote_does_not_stay_in_the_inbox(db: MessagingDatabase) -> None:
    """A history that was cleared is gone: the finished row keeps nothing but its id."""
    await answered(db, "x")
    row = (await rows(db, inbound))[0]
    assert (row.body, row.raw) == (None, None)


async def test_a_lost_lease_commits_nothing(database_url: str, opener: Opener) -> None:
    """A worker that wakes up too late must not answer what another one is answering."""
    slow = await opener(database_url, owner="sms@slow", lease=PAST_LEASE)
    quick = await opener(database_url, owner="sms@quick")
    await slow.store_inbound(message(), "")
    stale = await claimed(slow)
    fresh = await claimed(quick)
    assert fresh.attempts == stale.attempts + 1
    with pytest.raises(LeaseLost):
        await slow.complete_inbound(stale, Decision(prompt="x"), parts("stale"), answer=ANSWER)
    with pytest.raises(LeaseLost):
        await slow.postpone_inbound(stale, 0, "x", parts("notice"))
    with pytest.raises(LeaseLost):
        await slow.dead_letter_inbound(stale, "x", parts("sorry"))
    assert await states(quick) == []
    await quick.complete_inbound(fresh, Decision(prompt="x"), parts("fresh"), answer=ANSWER)
    assert await history(quick) == [("user", "hello"), ("assistant", "fresh")]
    with pytest.raises(LeaseLost):
        await quick.complete_inbound(fresh, Decision(prompt="x"), parts("twice"), answer=ANSWER)
    assert await states(quick) == ["planned"]


async def test_the_same_owner_is_fenced_too(database_url: str, opener: Opener) -> None:
    """A restarted process has its predecessor's name: the number of attempts tells them apart."""
    before = await opener(database_url, owner="sms@one")
    await before.store_inbound(message(), "")
    stale = await claimed(before)
    after = await opener(database_url, owner="sms@one")
    await after.release_leases(SMS)
    await claimed(after)
    with pytest.raises(LeaseLost):
        await before.complete_inbound(stale, Decision(reply="x"), parts("x"))


async def test_a_lease_that_is_held_cannot_be_taken(database_url: str, opener: Opener) -> None:
    """Nor does a restart of one process free what another one holds."""
    one = await opener(database_url, owner="sms@one")
    two = await opener(database_url, owner="sms@two")
    await one.store_inbound(message(), "")
    claim = await claimed(one)
    await two.release_leases(SMS)
    assert await two.users_waiting(SMS) == []
    assert await two.claim_next_inbound(SMS, ANN) is None
    await one.complete_inbound(claim, Decision(reply="x"), parts("x"))


async def test_a_renewed_lease_lasts(database_url: str, opener: Opener) -> None:
    """A slow answer stays ours as long as we give signs of life."""
    slow = await opener(database_url, owner="sms@slow", lease=PAST_LEASE)
    await slow.store_inbound(message(), "")
    claim = await claimed(slow)
    living = await opener(database_url, owner="sms@slow")
    await living.renew_leases([claim.id], [])
    other = await opener(database_url, owner="sms@other")
    assert await other.claim_next_inbound(SMS, ANN) is None


async def test_a_lease_of_another_owner_is_not_renewed(database_url: str, opener: Opener) -> None:
    """A renewal that comes late does not prolong the new owner's lease, nor take it back."""
    slow = await opener(database_url, owner="sms@slow", lease=PAST_LEASE)
    await slow.store_inbound(message(), "")
    claim = await claimed(slow)
    other = await opener(database_url, owner="sms@other", lease=PAST_LEASE)
    await claimed(other)
    await slow.renew_leases([claim.id], [])
    assert (await rows(other, inbound, "owner")) == [("sms@other",)]


async def test_a_postponed_message_comes_back_when_it_is_due(db: MessagingDatabase) -> None:
    """The failure is counted, and the person is told once."""
    await db.store_inbound(message(), "")
    await db.postpone_inbound(await claimed(db), time.time() - 1, "unavailable", parts("later"))
    again = await claimed(db)
    assert (again.failures, again.notified, again.attempts) == (1, True, 2)
    assert await rows(db, outbound, "origin", "text") == [("notice", "later")]
    assert await history(db) == [("assistant", "later")]


async def test_postponing_twice_plans_one_notice(db: MessagingDatabase) -> None:
    """A verb that gave no answer may have been committed; asked again, it is refused by its fence."""
    await db.store_inbound(message(), "")
    claim = await claimed(db)
    await db.postpone_inbound(claim, 0, "unavailable", parts("later"))
    with pytest.raises(LeaseLost):
        await db.postpone_inbound(claim, 0, "unavailable", parts("later"))
    assert await states(db) == ["planned"]


async def test_no_notice_reaches_a_user_who_left(db: MessagingDatabase) -> None:
    """A person who stopped us while the model was away hears nothing more."""
    await db.store_inbound(message(), "")
    await db.complete_inbound(await claimed(db), Decision(state=UserState.STOPPED, reason="STOP"), [])
    await db.store_inbound(message(), "")
    await db.postpone_inbound(await claimed(db), 0, "unavailable", parts("later"))
    await db.dead_letter_inbound(await claimed(db), "too old", parts("sorry"))
    assert await states(db) == []


async def test_a_buried_message_is_a_dead_letter_with_its_reason(db: MessagingDatabase) -> None:
    """The operator sees what was lost and why, and the next message is free."""
    await db.store_inbound(message(text="one"), "raw")
    await db.store_inbound(message(text="two"), "")
    await db.dead_letter_inbound(await claimed(db), "the model was away", parts("sorry"))
    dead = (await rows(db, inbound))[0]
    assert (dead.state, dead.error, dead.body["text"]) == ("dead", "the model was away", "one")
    assert (await counted(db))["dead_letters"] == 1
    assert (await claimed(db)).message.text == "two"


async def test_what_cannot_be_parsed_is_kept_once(db: MessagingDatabase) -> None:
    """Raw, where the operator sees it; a repetition adds nothing."""
    assert await db.store_dead_letter(SMS, "x-1", "raw\x00 bytes", "no sender") is not None
    assert await db.store_dead_letter(SMS, "x-1", "raw", "no sender") is None
    assert await rows(db, inbound, "state", "raw", "user_id") == [("dead", "raw bytes", None)]
    assert (await counted(db)) == {"inbound": 1, "dead_letters": 1}


async def test_a_poll_is_stored_with_the_offset_or_not_at_all(db: MessagingDatabase) -> None:
    """The next poll starts exactly behind what is stored."""
    batch = [(message(ANN, external_id="1"), ""), (message(BOB, external_id="2"), "")]
    assert await db.store_batch(batch, [("3", "raw", "odd")], SMS, ("offset", 4)) == [ANN, BOB]
    assert await db.read_state(SMS, "offset") == 4
    assert await db.store_batch(batch, [("3", "raw", "odd")], SMS, ("offset", 4)) == []
    with pytest.raises((StorageError, TypeError)):
        await db.store_batch([(message(BOB, external_id="9"), "")], [], SMS, ("offset", object()))
    assert await db.read_state(SMS, "offset") == 4
    assert len(await rows(db, inbound)) == 3


NASTY = "a\x00b \ud83d half 🎈 \u202e \uffff"


async def test_text_that_no_database_takes_is_stored_without_it(db: MessagingDatabase) -> None:
    """NUL and halves of characters come from broken phones; no message is refused for them, wherever they stand."""
    sent = message(
        text=NASTY, external_id="SM\x001", name=NASTY, username=NASTY, language="e\ud800n", options={NASTY: [NASTY]}
    )
    assert await db.store_inbound(sent, NASTY) is not None
    assert await db.store_inbound(sent, NASTY) is None
    claim = await claimed(db)
    clean = "ab � half 🎈 \u202e \uffff"
    assert (claim.message.text, claim.message.name, claim.message.options) == (clean, clean, {clean: [clean]})
    answer = type(ANSWER)(NASTY, model=NASTY, source=NASTY)
    await db.complete_inbound(claim, Decision(prompt=NASTY, name=NASTY), parts(NASTY), answer=answer)
    assert await history(db) == [("user", clean), ("assistant", clean)]
    assert await rows(db, users, "name", "username") == [(clean, clean)]


async def test_twenty_claims_at_once_give_one(database_url: str, opener: Opener) -> None:
    """However many look at the same moment, from two processes, a message is claimed once."""
    one, two = await opener(database_url, owner="sms@one"), await opener(database_url, owner="sms@two")
    await one.store_inbound(message(), "")
    looks = [owner.claim_next_inbound(SMS, ANN) for owner in (one, two) for _ in range(10)]
    assert sum(claim is not None for claim in await asyncio.gather(*looks)) == 1


async def test_follow_ups_never_fall_between_two_processes(database_url: str, opener: Opener) -> None:
    """Whichever of two looks last sees the new message: after store and complete at once, one of the two claims it."""
    one, two = await opener(database_url, owner="sms@one"), await opener(database_url, owner="sms@two")
    await one.store_inbound(message(text="0"), "")
    owner, claim = one, await claimed(one)
    for turn in range(1, 16):
        texts = await asyncio.gather(_finish_and_look(owner, claim), _store_and_look(two, str(turn)))
        found = [look for look in texts if look is not None]
        assert [claim.message.text for _, claim in found] == [str(turn)]
        owner, claim = found[0]


Look = tuple[MessagingDatabase, Claim] | None


async def _finish_and_look(owner: MessagingDatabase, claim: Claim) -> Look:
    await owner.complete_inbound(claim, Decision(reason="-"), [])
    following = await owner.claim_next_inbound(SMS, ANN)
    return (owner, following) if following else None


async def _store_and_look(other: MessagingDatabase, text: str) -> Look:
    await other.store_inbound(message(text=text), "")
    found = await other.claim_next_inbound(SMS, ANN)
    return (other, found) if found else None
