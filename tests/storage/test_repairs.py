"""What operators do about failures: each act once, recorded, with counters, lists and history in step."""

from __future__ import annotations

import time

import pytest

from messaging_database import MessagingDatabase
from relay.channels.registry import PLATFORMS
from relay.channels.sms.spec import SMS
from relay.channels.telegram.spec import TELEGRAM
from relay.core.decisions import Decision
from relay.core.errors import LeaseLost, NotRepaired, SendError, SendFailure
from relay.core.messages import UserState
from relay.core.parts import PartState
from relay.storage import queries
from relay.storage.maintenance import problems
from relay.storage.schema import conversations, inbound, outbound
from tests.storage.fixtures import (
    ANN,
    ANSWER,
    BOB,
    Opener,
    answered,
    claimed,
    claimed_part,
    known,
    message,
    parts,
    rows,
)

REFUSED = SendError(SendFailure.REJECTED, "30007", "the carrier treated the text as spam")
WHO = "login 12345678"


async def failed_reply(db: MessagingDatabase) -> str:
    """An answer of three parts, whose second could not be sent; the id of that part."""
    await known(db)
    await answered(db, "one ", "two ", "three")
    first = await claimed_part(db)
    await db.record_failed(first, REFUSED)
    ((part_id,),) = [row for row in await rows(db, outbound, "part_id") if row[0] == first.id]
    return str(part_id)


async def listed(db: MessagingDatabase, kind: str, **chosen: object) -> list[str]:
    return [row["text"] for row in await db.find_failures(kind, PLATFORMS, 50, **chosen)]


async def test_a_failed_part_is_sent_again_with_what_was_canceled_behind_it(db: MessagingDatabase) -> None:
    """As a new reply: the old rows keep what happened, the history has the text again, and it cannot be done twice."""
    part_id = await failed_reply(db)
    await db.repair("send-again", part_id, WHO)
    states = [state for (state,) in await rows(db, outbound, "state")]
    assert states == [PartState.FAILED, *[PartState.CANCELED] * 2, *[PartState.PLANNED] * 3]
    assert (await rows(db, conversations, "message"))[-1] == ("one two three",)
    assert await listed(db, "failed") == []
    assert await listed(db, "unsent") == ["one ", "two ", "three"]
    assert await db.query(problems) == []
    with pytest.raises(NotRepaired, match="dealt with already"):
        await db.repair("send-again", part_id, WHO)
    (entry,) = await db.newest_actions(10)
    assert (entry["who"], entry["action"], entry["user_id"]) == (WHO, "send-again", ANN)


async def test_a_part_is_sent_again_into_the_topic_of_the_chat(db: MessagingDatabase) -> None:
    """Without the reply to a message, which may be gone; the text is in the history of that topic."""
    question = message(platform=TELEGRAM, reply_to="5/17", topic="17")
    await db.store_inbound(question, "")
    claim = await db.claim_next_inbound(TELEGRAM, ANN)
    assert claim is not None
    await db.complete_inbound(claim, Decision(prompt="hello"), parts("an answer"), answer=ANSWER)
    part = await db.claim_next_part(TELEGRAM, ANN)
    assert part is not None
    await db.record_failed(part, REFUSED)
    await db.repair("send-again", part.id, WHO)
    assert await rows(db, outbound, "reply_to") == [("5/17",), ("/17",)]
    assert (await rows(db, conversations, "message", "topic"))[-1] == ("an answer", "17")


async def test_nothing_is_sent_again_to_a_person_who_opted_out(db: MessagingDatabase) -> None:
    """The reason is for the operator, and nothing is recorded."""
    part_id = await failed_reply(db)
    await db.store_opt_out(message(), "STOP")
    with pytest.raises(NotRepaired, match="stopped"):
        await db.repair("send-again", part_id, WHO)
    assert await db.newest_actions(10) == []
    assert await listed(db, "failed") == ["one "]


async def test_a_dismissed_failure_leaves_the_list_only(db: MessagingDatabase) -> None:
    """The row keeps its state and code."""
    part_id = await failed_reply(db)
    await db.repair("dismiss", part_id, WHO)
    assert await listed(db, "failed") == []
    assert (await rows(db, outbound, "state", "error_code"))[0] == (PartState.FAILED, "30007")
    with pytest.raises(NotRepaired):
        await db.repair("dismiss", part_id, WHO)


async def test_what_is_not_sent_yet_can_be_canceled(db: MessagingDatabase) -> None:
    """The whole rest of the reply, and its text leaves the history."""
    await known(db)
    await answered(db, "one", "two")
    ((part_id,), _) = await rows(db, outbound, "part_id")
    await db.repair("cancel", part_id, WHO)
    assert [state for (state,) in await rows(db, outbound, "state")] == [PartState.CANCELED] * 2
    assert await rows(db, conversations, "message") == [("name=Ann",), ("hello",)]
    with pytest.raises(NotRepaired, match="is being sent, or was sent"):
        await db.repair("cancel", part_id, WHO)


async def given_up(db: MessagingDatabase) -> str:
    await known(db)
    await db.store_inbound(message(text="lost"), "raw")
    claim = await claimed(db)
    await db.dead_letter_inbound(claim, "no answer from the model", [])
    return str(claim.id)


async def test_a_dead_letter_is_answered_as_if_it_had_come_now(db: MessagingDatabase) -> None:
    """It is claimed again, without the time that had run out, and stands once in the history."""
    letter = await given_up(db)
    assert await listed(db, "dead") == ["lost"]
    before = time.time()
    await db.repair("answer-again", letter, WHO)
    claim = await claimed(db)
    assert (claim.message.text, claim.failures, claim.attempts) == ("lost", 0, 1)
    assert claim.message.received_at >= before - 1
    await db.complete_inbound(claim, Decision(prompt="lost"), [])
    assert await rows(db, conversations, "message") == [("name=Ann",), ("lost",)]
    assert await listed(db, "dead") == []
    assert await db.query(problems) == []


async def test_a_letter_that_is_given_up_twice_stands_once_in_the_history(db: MessagingDatabase) -> None:
    """The text of the second time has another moment than the letter."""
    letter = await given_up(db)
    await db.repair("answer-again", letter, WHO)
    await db.dead_letter_inbound(await claimed(db), "no answer again", [])
    await db.repair("answer-again", letter, WHO)
    await db.complete_inbound(await claimed(db), Decision(prompt="lost"), [])
    assert await rows(db, conversations, "message") == [("name=Ann",), ("lost",)]
    assert await db.query(problems) == []


async def test_a_dead_letter_is_dismissed_once(db: MessagingDatabase) -> None:
    """Its outcome stays; nothing can be done with it again."""
    letter = await given_up(db)
    await db.repair("dismiss-letter", letter, WHO)
    assert await listed(db, "dead") == []
    for act in ("dismiss-letter", "answer-again"):
        with pytest.raises(NotRepaired, match="no such dead letter"):
            await db.repair(act, letter, WHO)
    assert (await rows(db, inbound, "outcome"))[-1] == ("gave up",)


@pytest.mark.parametrize("way", ["prune", "forget"])
async def test_failures_that_are_deleted_are_not_counted_any_more(sqlite_url: str, opener: Opener, way: str) -> None:
    """The home page would show their number for ever, and no list would have them."""
    moment = [time.time()]
    db = await opener(sqlite_url, clock=lambda: moment[0])
    await failed_reply(db)
    await given_up(db)
    assert await counted_failures(db) == (1, 1)
    moment[0] += 3 * 86_400
    await (db.forget_user(SMS, ANN) if way == "forget" else db.prune(2))
    assert await counted_failures(db) == (0, 0)


async def counted_failures(db: MessagingDatabase) -> tuple[int, int]:
    """How many failed parts and dead letters the console counts."""
    figures = await db.query(lambda c: queries.status(c, SMS, PLATFORMS, time.time()))
    return figures["delivery"][PartState.FAILED] - figures["dismissed_parts"], figures["dead_letters"]


async def test_what_could_not_be_read_can_only_be_dismissed(db: MessagingDatabase) -> None:
    """There is no text that could be answered."""
    await db.store_dead_letter(SMS, "SM-x", "garbage", "no sender")
    ((letter,),) = await rows(db, inbound, "id")
    with pytest.raises(NotRepaired, match="could not be read"):
        await db.repair("answer-again", str(letter), WHO)
    await db.repair("dismiss-letter", str(letter), WHO)


@pytest.mark.parametrize("act", ["send-again", "dismiss", "cancel", "answer-again", "dismiss-letter"])
@pytest.mark.parametrize("row_id", ["", "no-such-row", "99999999999999999999999", "-1", "²"])
async def test_an_unknown_row_is_refused_in_words(sqlite_url: str, opener: object, act: str, row_id: str) -> None:
    """Whatever a form may hold."""
    db: MessagingDatabase = await opener(sqlite_url)  # type: ignore[operator]
    with pytest.raises(NotRepaired, match="any more"):
        await db.repair(act, row_id, WHO)


async def test_failures_are_filtered_and_paged(db: MessagingDatabase) -> None:
    """By code, person, time and channel; a page goes on behind the last row of the one before."""
    await failed_reply(db)
    await known(db, BOB, "Bob")
    await answered(db, "to Bob", user_id=BOB)
    await db.record_failed(await claimed_part(db, BOB), SendError(SendFailure.RECIPIENT, "30005", "no such number"))
    assert await listed(db, "failed") == ["to Bob", "one "]
    assert await listed(db, "failed", code="30007") == ["one "]
    assert await listed(db, "failed", person="bo") == ["to Bob"]
    assert await listed(db, "failed", person=ANN[-4:]) == ["one "]
    assert await listed(db, "failed", since=time.time() + 60) == []
    assert [row["text"] for row in await db.find_failures("failed", [TELEGRAM], 50)] == []
    (newest,) = await db.find_failures("failed", PLATFORMS, 1)
    assert await listed(db, "failed", beyond=newest["row"]) == ["one "]
    assert sorted(await db.failure_codes("failed", PLATFORMS)) == ["30005", "30007"]
    user = await db.find_user(SMS, BOB)
    assert user is not None
    assert user.state is UserState.ACTIVE


async def test_a_part_that_waits_for_its_next_try_is_sent_now(db: MessagingDatabase) -> None:
    """It keeps its attempts and its place; one that is due already is refused."""
    await known(db)
    await answered(db, "one ", "two")
    part = await claimed_part(db)
    await db.record_retry(part, time.time() + 3600, SendError(SendFailure.BUSY, "30001", "the queue is full"))
    assert await db.users_with_parts(SMS) == []
    assert await listed(db, "unsent", code="30001") == ["one "]
    assert await db.failure_codes("unsent", PLATFORMS) == ["30001"]
    await db.repair("send-now", part.id, WHO)
    assert await db.users_with_parts(SMS) == [ANN]
    with pytest.raises(NotRepaired, match="due already"):
        await db.repair("send-now", part.id, WHO)
    again = await claimed_part(db)
    assert (again.id, again.attempts) == (part.id, 2)


async def test_a_message_that_waits_for_the_model_is_answered_now_or_left(db: MessagingDatabase) -> None:
    """Now: it is claimed at once. Left: it is in the history, is answered by nobody, and a claim on it has ended."""
    await db.store_inbound(message(text="first"), "")
    await db.store_inbound(message(text="second"), "")
    claim = await claimed(db)
    await db.postpone_inbound(claim, time.time() + 3600, "the model is away")
    assert await db.users_waiting(SMS) == []
    await db.repair("answer-now", str(claim.id), WHO)
    with pytest.raises(NotRepaired, match="due already"):
        await db.repair("answer-now", str(claim.id), WHO)
    claim = await claimed(db)
    await db.repair("leave", str(claim.id), WHO)
    with pytest.raises(LeaseLost):
        await db.complete_inbound(claim, Decision(), [])
    for act in ("leave", "answer-now"):
        with pytest.raises(NotRepaired, match="does not wait"):
            await db.repair(act, str(claim.id), WHO)
    assert await rows(db, conversations, "role", "message") == [("user", "first")]
    assert await rows(db, inbound, "state", "reason") == [
        ("done", "left without an answer by the operator"),
        ("received", None),
    ]
    assert (await claimed(db)).message.text == "second"
    assert await db.query(problems) == []
