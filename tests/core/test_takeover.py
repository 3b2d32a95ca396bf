"""A person takes over from the AI: who answers when, what the model sees later, and what is dropped."""

from __future__ import annotations

import asyncio

from relay.channels.sms.spec import SMS
from relay.core.messages import BARRED, Outcome
from relay.core.parts import PlannedPart
from relay.core.text import timestamp
from relay.storage import listings
from relay.storage.schema import inbound
from tests.core.harness import ANN, BOB, NewRelay, RelayHarness

HOUR = 3600.0


async def by_hand(relay: RelayHarness, text: str) -> None:
    """An operator writes, and takes over with it."""
    await relay.database.plan_message(SMS, ANN, [PlannedPart(text, text)], takeover_seconds=12 * HOUR)
    relay.outbox.workers.notify(ANN)
    await relay.idle()


async def test_the_ai_is_silent_after_a_takeover_and_reads_it_later(relay: RelayHarness) -> None:
    """Questions enter the history, are put to no model, and stand at their place when the AI answers again."""
    await relay.receive("where is it?")
    await relay.idle()
    await by_hand(relay, "I am looking")
    await relay.receive("thanks", "and the bill?")
    await relay.idle()
    assert relay.channel.to(ANN) == ["re: where is it?", "I am looking"]
    assert len(relay.model.prompts) == 1
    assert await relay.rows(inbound, "state", "outcome", "reason") == [
        ("done", Outcome.ANSWERED, None),
        *[("done", Outcome.LEFT_TO_PERSON, "a person answers")] * 2,
    ]
    await by_hand(relay, "found it")
    assert await relay.database.hand_back(SMS, ANN)
    await relay.receive("are you a machine?")
    await relay.idle()
    assert relay.channel.to(ANN)[-1] == "re: are you a machine?"
    assert relay.model.prompts[-1] == [
        *("where is it?", "re: where is it?", "I am looking", "thanks", "and the bill?", "found it"),
        "are you a machine?",
    ]


async def test_an_answer_under_way_is_dropped(relay: RelayHarness) -> None:
    """The question stands before what the person wrote, as on the phone."""
    slow = asyncio.Event()
    relay.model.script.append(slow.wait)
    await relay.receive("hello", "anyone?")
    await relay.until(lambda: len(relay.model.prompts) == 1)
    await by_hand_while_busy(relay, "a person here")
    slow.set()
    await relay.idle()
    assert relay.channel.to(ANN) == ["a person here"]
    assert await relay.history() == [("user", "hello"), ("user", "anyone?"), ("assistant", "a person here")]


async def by_hand_while_busy(relay: RelayHarness, text: str) -> None:
    await relay.database.plan_message(SMS, ANN, [PlannedPart(text, text)], takeover_seconds=HOUR)
    relay.outbox.workers.notify(ANN)
    await relay.until(lambda: relay.channel.to(ANN) == [text])


async def test_what_has_left_stays_and_the_rest_of_the_answer_is_canceled(relay: RelayHarness) -> None:
    """The history has what the person on the phone saw."""
    relay.model.script.append(_text("one|two|three"))
    sending = asyncio.Event()
    relay.channel.script.append(sending.wait)
    await relay.receive("tell me")
    await relay.until(lambda: not relay.channel.script)
    assert await relay.database.take_over(SMS, ANN, HOUR)
    sending.set()
    await relay.idle()
    assert relay.channel.to(ANN) == ["one"]
    assert await relay.part_states() == ["accepted", "canceled", "canceled"]
    assert await relay.history() == [("user", "tell me"), ("assistant", "one")]


def _text(text: str) -> object:
    async def answer() -> str:
        return text

    return answer


async def test_commands_work_and_other_people_are_answered(relay: RelayHarness) -> None:
    """Only what the AI would answer is left to the person."""
    await relay.receive("hi")
    await relay.idle()
    assert await relay.database.take_over(SMS, ANN, HOUR)
    await relay.receive("/help")
    await relay.receive("hello", from_=BOB)
    await relay.idle()
    assert relay.channel.to(ANN)[-1] == "did /help"
    assert relay.channel.to(BOB) == ["re: hello"]


async def test_after_hours_of_silence_the_ai_answers_again(relay: RelayHarness) -> None:
    """Counted from the last message by hand."""
    await relay.receive("hi")
    await relay.idle()
    await by_hand(relay, "a person here")
    await relay.advance(11 * HOUR)
    await by_hand(relay, "still here")
    await relay.advance(11 * HOUR)
    await relay.receive("are you?")
    await relay.idle()
    assert relay.channel.to(ANN)[-1] == "still here"
    await relay.advance(2 * HOUR)
    await relay.receive("hello?")
    await relay.idle()
    assert relay.channel.to(ANN)[-1] == "re: hello?"
    assert not await relay.database.hand_back(SMS, ANN)


async def test_a_question_that_waits_for_the_model_is_the_persons_too(new_relay: NewRelay) -> None:
    """An outage of the model must not end in an answer, or an apology, behind the person's."""
    relay = await new_relay(model_give_up_seconds=600)
    relay.model.always = RuntimeError("away")
    await relay.receive("hello")
    await relay.all_asleep()
    assert await relay.database.take_over(SMS, ANN, HOUR)
    relay.model.always = None
    for _ in range(12):
        await relay.advance(60)
    assert relay.channel.to(ANN) == []
    assert await relay.inbound_states() == ["done"]


async def test_who_waits_for_a_person_is_listed_with_the_time(relay: RelayHarness) -> None:
    """The longest wait first, answered ones last, and those of the AI not at all."""
    for person in (ANN, BOB):
        await relay.receive("hi", from_=person)
    await relay.idle()
    await by_hand(relay, "yes?")
    assert await relay.database.take_over(SMS, BOB, HOUR)
    await relay.receive("when?", "where?", from_=BOB)
    await relay.idle()
    listed = await relay.database.query(lambda c: listings.with_persons(c, [SMS], relay.clock.now, 10))
    assert [(one["user_id"], one["waiting_since"] is None) for one in listed] == [(BOB, False), (ANN, True)]
    await relay.advance(HOUR)
    listed = await relay.database.query(lambda c: listings.with_persons(c, [SMS], relay.clock.now, 10))
    assert [one["user_id"] for one in listed] == [ANN]


async def test_our_automatic_words_do_not_end_the_wait(new_relay: NewRelay) -> None:
    """Who asked for a person waits from then on, until one writes; what was answered before is not counted."""
    relay = await new_relay(operators=(f"sms:{BOB}",))
    await relay.receive("hi")
    await relay.idle()
    await relay.advance(60)

    async def waits() -> list[str | None]:
        listed = await relay.database.query(lambda c: listings.with_persons(c, [SMS], relay.clock.now, 10))
        return [one["waiting_since"] for one in listed]

    asked = timestamp(relay.clock.now)
    await relay.receive("human")
    await relay.idle()
    assert await waits() == [asked]
    await relay.advance(60)
    await relay.receive("/help")
    await relay.idle()
    assert await waits() == [asked]
    await by_hand(relay, "Bob here")
    assert await waits() == [None]
    assert await relay.database.hand_back(SMS, ANN)
    assert await relay.database.take_over(SMS, ANN, HOUR)
    assert await waits() == [None]


async def test_a_blocked_person_is_not_answered_until_unblocked(relay: RelayHarness) -> None:
    """Neither by the AI nor to a command; the messages are kept with the reason."""
    await relay.receive("hi")
    await relay.idle()
    assert await relay.database.set_for_person(SMS, ANN, {BARRED: True}, "this machine", "block")
    await relay.receive("hello?", "/help")
    await relay.idle()
    assert relay.channel.to(ANN) == ["re: hi"]
    assert (await relay.rows(inbound, "outcome", "reason"))[1:] == [(Outcome.SILENT, "blocked by the operator")] * 2
    assert await relay.database.set_for_person(SMS, ANN, {BARRED: None}, "this machine", "unblock")
    await relay.receive("and now?")
    await relay.idle()
    assert relay.channel.to(ANN)[-1] == "re: and now?"
