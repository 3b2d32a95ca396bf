"""People, their history, their addresses; saved state."""

from __future__ import annotations

import pytest

from messaging_database import MessagingDatabase
from relay.channels.registry import PLATFORMS
from relay.channels.sms.spec import SMS
from relay.channels.telegram.spec import TELEGRAM
from relay.core.decisions import Decision
from relay.core.errors import LeaseLost, SendError, SendFailure
from relay.core.messages import Kind, Outcome, UserId, UserState
from relay.core.parts import Receipt
from relay.storage import queries
from relay.storage.schema import conversations, inbound, outbound, users
from tests.storage.fixtures import (
    ANN,
    ANSWER,
    BOB,
    answered,
    claimed,
    claimed_part,
    counted,
    history,
    known,
    message,
    miscounted_users,
    parts,
    prompted,
    rows,
    states,
)

GROUP = UserId("-100200300")
"""The address that a Telegram group got when it became a supergroup."""


async def test_a_first_message_makes_a_person_without_a_name(db: MessagingDatabase) -> None:
    """They count as a user from the day they give a name."""
    await db.store_inbound(message(username="ann", language="en"), "")
    person = await db.find_user(SMS, ANN)
    assert person is not None
    assert (person.name, person.username, person.language, person.state) == (None, "ann", "en", UserState.NEW)
    assert "users" not in await counted(db)
    await db.complete_inbound(await claimed(db), Decision(reply="Hi Ann", name="Ann"), parts("Hi Ann"))
    person = await db.find_user(SMS, ANN)
    assert person is not None
    assert (person.name, person.state, person.message_count) == ("Ann", UserState.ACTIVE, 2)
    await known(db, name="Anna")
    assert (await counted(db))["users"] == 1


async def test_what_the_platform_no_longer_tells_is_kept(db: MessagingDatabase) -> None:
    """A message without a username does not wipe out the one we know."""
    await db.store_inbound(message(username="ann", language="en"), "")
    await db.store_inbound(message(language="de"), "")
    assert await rows(db, users, "username", "language") == [("ann", "de")]


async def test_platforms_never_mix(db: MessagingDatabase) -> None:
    """The same address on two platforms is two people with two histories."""
    await answered(db, "by sms")
    await db.store_inbound(message(platform=TELEGRAM), "")
    claim = await db.claim_next_inbound(TELEGRAM, ANN)
    assert claim is not None
    await db.complete_inbound(claim, Decision(prompt="x"), parts("by telegram"), answer=ANSWER)
    assert await prompted(db, 5, TELEGRAM) == [("user", "hello"), ("assistant", "by telegram")]
    assert await db.clear_history(SMS, ANN) == 2
    assert len(await prompted(db, 5, TELEGRAM)) == 2


async def test_the_model_sees_the_last_exchanges_oldest_first(db: MessagingDatabase) -> None:
    """Whole exchanges, without commands and notices, with what an operator wrote in between."""
    for number in range(7):
        await answered(db, f"a{number}", question=f"q{number}")
    await known(db)
    await db.plan_message(SMS, ANN, parts("operator"))
    shown = await prompted(db, 3)
    assert [text for _, text in shown] == ["q4", "a4", "q5", "a5", "q6", "a6", "operator"]
    assert [role for role, _ in shown][:2] == ["user", "assistant"]
    assert await prompted(db, 0) == []
    assert await prompted(db, 3, user_id=BOB) == []


async def test_the_model_sees_the_last_exchanges_behind_many_commands(db: MessagingDatabase) -> None:
    """Also when the latest messages of a history are commands, or not enough of them are questions."""
    for number in range(3):
        await answered(db, f"a{number}", question=f"q{number}")
    for _ in range(queries.MAX_RECENT_MESSAGES):
        await known(db)
    asked = [text for number in range(3) for text in (f"q{number}", f"a{number}")]
    assert [text for _, text in await prompted(db, 5)] == asked
    assert [text for _, text in await prompted(db, 2)] == asked[2:]
    await answered(db, "a3", question="q3")
    assert [text for _, text in await prompted(db, 1)] == ["q3", "a3"]
    assert [text for _, text in await prompted(db, 2)] == ["q2", "a2", "q3", "a3"]


async def test_clearing_says_how_many_lines_went(db: MessagingDatabase) -> None:
    """Nothing of it is left for the model; an unknown person is told apart from an empty history."""
    await answered(db, "x")
    assert await db.clear_history(SMS, ANN) == 2
    assert await db.clear_history(SMS, ANN) == 0
    assert await db.clear_history(SMS, BOB) is None
    assert await history(db) == []
    assert await miscounted_users(db) == []


async def test_the_clear_command_leaves_no_line_of_itself(db: MessagingDatabase) -> None:
    """The confirmation is sent but not remembered."""
    await answered(db, "x")
    await db.store_inbound(message(text="/clear"), "")
    await db.complete_inbound(await claimed(db), Decision(reply="gone", clear_history=True), parts("gone"))
    assert await history(db) == []
    assert (await states(db)) == ["planned", "planned"]


async def test_a_part_that_fails_after_the_history_was_cleared_mends_nothing(db: MessagingDatabase) -> None:
    """The line is gone already."""
    await answered(db, "x")
    part = await claimed_part(db)
    await db.clear_history(SMS, ANN)
    await db.record_failed(part, SendError(SendFailure.REJECTED, "1", "no"))
    assert await history(db) == []
    assert await miscounted_users(db) == []


@pytest.mark.parametrize("state", [UserState.STOPPED, UserState.BLOCKED])
async def test_a_user_who_leaves_is_sent_nothing_more(db: MessagingDatabase, state: UserState) -> None:
    """What was planned is canceled with the decision itself; coming back opens the way again."""
    await answered(db, "x", question="q")
    await db.store_inbound(message(kind=Kind.LEFT, text=""), "")
    await db.complete_inbound(await claimed(db), Decision(state=state), [], outcome=Outcome.SILENT, reason="left")
    assert await states(db) == ["canceled"]
    assert await history(db) == [("user", "q")]
    await db.store_inbound(message(text="START"), "")
    await db.complete_inbound(await claimed(db), Decision(reply="back", state=UserState.ACTIVE), parts("back"))
    assert (await claimed_part(db)).text == "back"


async def test_what_an_answer_cost_counts_even_when_it_is_not_sent(db: MessagingDatabase) -> None:
    """The model was paid before the person was found to have left."""
    await db.store_inbound(message(), "")
    claim = await claimed(db)
    await db.complete_inbound(claim, Decision(prompt="x", state=UserState.BLOCKED), parts("x"), answer=ANSWER)
    counts = await counted(db)
    assert (counts["model_cost_usd"], counts["prompt_tokens"], counts["answer_tokens"]) == (0.25, 11, 7)
    assert await states(db) == []


async def test_a_group_takes_everything_along_to_its_new_address(db: MessagingDatabase) -> None:
    """History, waiting messages, claimed ones, and parts; what is answered now goes to the new address."""
    await known(db)
    await answered(db, "one", question="q")
    await db.store_inbound(message(text="claimed"), "")
    await db.store_inbound(message(text="waiting"), "")
    claim = await claimed(db)
    await db.move_user(SMS, ANN, GROUP)
    await db.complete_inbound(claim, Decision(prompt="claimed"), parts("two"), answer=ANSWER)
    assert (await claimed(db, GROUP)).message.user_id == GROUP
    for table in (users, conversations, inbound, outbound):
        assert {user_id for (user_id,) in await rows(db, table, "user_id")} == {GROUP}
    assert [await _send(db), await _send(db)] == ["one", "two"]
    assert (await counted(db))["users"] == 1
    assert await miscounted_users(db) == []


async def _send(db: MessagingDatabase) -> str:
    part = await claimed_part(db, GROUP)
    await db.record_accepted(part, Receipt(f"P-{part.text}"))
    return part.text


@pytest.mark.parametrize(("old_name", "new_name", "kept"), [("A", "B", "B"), ("A", None, "A"), (None, "B", "B")])
async def test_two_known_addresses_become_one_person(
    db: MessagingDatabase, old_name: str | None, new_name: str | None, kept: str
) -> None:
    """The lines of both stay, and one name; moving once more changes nothing."""
    for address, name in ((ANN, old_name), (GROUP, new_name)):
        await answered(db, "x", user_id=address)
        if name:
            await known(db, address, name)
    for _ in range(2):
        await db.move_user(SMS, ANN, GROUP)
        assert await rows(db, users, "user_id", "name") == [(GROUP, kept)]
        assert (await counted(db))["users"] == 1
        assert await miscounted_users(db) == []
    await db.move_user(SMS, GROUP, GROUP)
    assert await rows(db, users, "user_id", "name") == [(GROUP, kept)]


async def test_an_answer_for_a_user_forgotten_meanwhile_is_not_sent(db: MessagingDatabase) -> None:
    """No row comes back to life with the answer."""
    await db.store_inbound(message(), "")
    claim = await claimed(db)
    await db.forget_user(SMS, ANN)
    with pytest.raises(LeaseLost):
        await db.complete_inbound(claim, Decision(prompt="x"), parts("x"), answer=ANSWER)
    assert await rows(db, users) == await rows(db, outbound) == []


async def test_notes_hold_any_small_value(db: MessagingDatabase) -> None:
    """The last one counts, and each platform has its own."""
    for value in (1, {"reason": "why", "until": 2.5}, None, [True], "text"):
        await db.set_state(SMS, "n", value)
        assert await db.read_state(SMS, "n") == value
    assert await db.read_state(TELEGRAM, "n") is None


async def test_the_status_tells_both_platforms_apart(db: MessagingDatabase) -> None:
    """Totals of both, figures of one."""
    await known(db)
    await answered(db, "x")
    await db.store_inbound(message(), "")
    status = await db.query(lambda c: queries.status(c, SMS, PLATFORMS, now=1060.0))
    assert status["users_by_platform"] == {"sms": 1, "whatsapp": 0, "telegram": 0}
    assert status["messages_by_platform"] == {"sms": 3, "whatsapp": 0, "telegram": 0}
    assert (status["queue_depth"], status["oldest_unanswered_seconds"], status["unsent_parts"]) == (1, 60.0, 1)
    assert status["delivery"]["planned"] == 1
    assert status["cost"]["model_usd"] == 0.25
