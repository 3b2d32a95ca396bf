"""The way from a stored message to its planned and sent answer, whatever the model does."""

from __future__ import annotations

import asyncio

import pytest

from relay.channels.sms.spec import SMS
from relay.core.conversation import APOLOGY, MAX_ATTEMPTS, NOTICE, SENTENCES
from relay.core.errors import ModelError, ModelFailure, SendError, SendFailure
from relay.core.messages import Answer, InboundMessage, Kind, Outcome, PlannedPart
from relay.storage.schema import conversations, inbound, outbound
from tests.core.world import ANN, BOB, CAT, Found, Town

AWAY = ModelError(ModelFailure.UNAVAILABLE, "connection refused")


async def test_a_question_is_answered_with_its_history(town: Town) -> None:
    """The model sees earlier exchanges and the name; commands stay out of its sight."""
    await town.hear("name=Ann", "one", "/status", "two")
    await town.quiet()
    assert town.channel.to(ANN) == ["registered", "re: one", "did /status", "re: two"]
    assert town.model.prompts == [["one"], ["one", "re: one", "two"]]
    assert town.model.names == ["Ann", "Ann"]
    assert town.channel.typing_for == [ANN, ANN]


async def test_only_as_many_exchanges_are_shown_as_the_setting_says(found_town: Found) -> None:
    """The last ones, oldest first."""
    town = await found_town(history_exchanges=2)
    await town.hear("a", "b", "c", "d")
    await town.quiet()
    assert town.model.prompts[-1] == ["b", "re: b", "c", "re: c", "d"]


async def test_one_persons_messages_are_answered_in_order_one_at_a_time(town: Town) -> None:
    """However slow the first answer is, the second question waits, and nobody else does."""
    slow = asyncio.Event()
    town.model.script.append(slow.wait)
    await town.hear("first", "second", from_=ANN)
    await town.until(lambda: len(town.model.prompts) == 1)
    await town.hear("hello", from_=BOB)
    await town.until(lambda: town.channel.to(BOB) == ["re: hello"])
    assert town.channel.to(ANN) == []
    town.model.always = None
    slow.set()
    await town.quiet()
    assert town.model.prompts[-1][-1] == "second"
    assert [text for _, text in town.channel.sent if "hello" not in text][-1] == "re: second"


async def test_only_so_many_are_served_at_once(found_town: Found) -> None:
    """The others wait for a place, and get it."""
    town = await found_town(max_concurrent_answers=2)
    gate = asyncio.Event()
    town.model.always = gate.wait
    for person in (ANN, BOB, CAT):
        await town.hear("hi", from_=person)
    await town.until(lambda: len(town.model.prompts) == 2)
    assert town.conversation.workers.busy == 3
    town.model.always = None
    gate.set()
    await town.quiet()
    assert len(town.channel.sent) == 3


async def test_silence_is_a_decision_too(town: Town) -> None:
    """The message is done, with the reason, and nothing is sent."""
    await town.hear("-STOP")
    await town.hear("", kind=Kind.LEFT)
    await town.quiet()
    assert await town.rows(inbound, "state", "outcome", "reason") == [("done", Outcome.SILENT, "passed over")] * 2
    assert town.channel.sent == []


async def test_what_an_answer_took_is_kept_with_it(town: Town) -> None:
    """Model, tokens and cost stand beside the line."""
    town.model.script.append(Answer("hi", "gpt", "openrouter", 12, 3, 0.5, 0.1, 0.9))
    await town.hear("hello")
    await town.quiet()
    columns = ("message", "model", "source", "prompt_tokens", "answer_tokens", "cost_usd", "total_seconds")
    assert (await town.rows(conversations, *columns))[1] == ("hi", "gpt", "openrouter", 12, 3, 0.5, 0.9)


@pytest.mark.parametrize("kind", [*SENTENCES])
async def test_what_asking_again_would_not_help_is_said_at_once(town: Town, kind: ModelFailure) -> None:
    """One sentence, no repetition, and the next question is free; the model never sees the sentence."""
    town.model.script.append(ModelError(kind, "no"))
    await town.hear("odd", "next")
    await town.quiet()
    assert town.channel.to(ANN) == [SENTENCES[kind], "re: next"]
    assert town.model.prompts[-1] == ["next"]
    assert (await town.rows(inbound, "outcome", "reason"))[0] == (Outcome.UNANSWERABLE, kind)


@pytest.mark.parametrize("kind", [kind for kind in ModelFailure if kind not in SENTENCES])
async def test_what_may_pass_is_asked_again(town: Town, kind: ModelFailure) -> None:
    """The person waits, hears nothing of a short trouble, and is answered once, in order."""
    town.model.script.extend([ModelError(kind, "no"), ModelError(kind, "no")])
    await town.hear("one", "two")
    await town.quiet()
    for _ in range(3):
        await town.wait(2)
    assert town.channel.to(ANN) == ["re: one", "re: two"]
    assert (await town.rows(inbound, "failures"))[0] == (2,)


async def test_a_source_that_says_when_is_not_asked_before(town: Town) -> None:
    """Retry-After holds, however short our own pause would be."""
    town.model.script.append(ModelError(ModelFailure.RATE_LIMIT, "busy", retry_after=25))
    await town.hear("one")
    await town.quiet()
    await town.wait(20)
    assert len(town.model.prompts) == 1
    await town.wait(5)
    assert town.channel.to(ANN) == ["re: one"]


async def test_an_outage_is_told_once_and_outlasted(town: Town) -> None:
    """One notice after a while, then the answers in order; the notice is no part of the model's history."""
    town.model.always = AWAY
    await town.hear("one", "two")
    for _ in range(60):
        await town.wait(50)
    assert town.channel.to(ANN) == [NOTICE]
    town.model.always = None
    await town.wait(61)
    assert town.channel.to(ANN) == [NOTICE, "re: one", "re: two"]
    assert town.model.prompts[-1] == ["one", "re: one", "two"]
    assert await town.inbound_states() == ["done", "done"]


async def test_after_too_long_an_outage_there_is_an_apology_and_a_dead_letter(found_town: Found) -> None:
    """The operator sees it with the reason, and the person's next message is answered."""
    town = await found_town(model_give_up_seconds=600)
    town.model.always = AWAY
    await town.hear("lost")
    for _ in range(12):
        await town.wait(60)
    assert town.channel.to(ANN) == [NOTICE, APOLOGY]
    ((state, error),) = await town.rows(inbound, "state", "error")
    assert state == "dead"
    assert "no answer from the model" in error
    assert "connection refused" in error
    town.model.always = None
    await town.hear("next")
    await town.quiet()
    assert town.channel.to(ANN)[-1] == "re: next"


async def test_a_question_that_is_too_long_never_reaches_the_model(found_town: Found) -> None:
    """It would cost money and fail."""
    town = await found_town(max_message_length=100)
    await town.hear("x" * 101)
    await town.quiet()
    assert town.channel.to(ANN) == [SENTENCES[ModelFailure.CONTEXT_TOO_LONG]]
    assert town.model.prompts == []


@pytest.mark.parametrize("trouble", [RuntimeError("a bug of ours"), "bug"])
async def test_a_bug_holds_up_nobody_else_and_not_for_ever(town: Town, trouble: Exception | str) -> None:
    """The message is tried after each lease, and buried with an apology in the end; others are served meanwhile."""
    town.model.always = trouble if isinstance(trouble, Exception) else None
    await town.hear("bug" if trouble == "bug" else "hello")
    await town.hear("/fine", from_=BOB)
    await town.until(lambda: town.channel.to(BOB) == ["did /fine"])
    for _ in range(MAX_ATTEMPTS * 2 + 4):
        await town.pass_by(16)
        await town.still()
    assert town.channel.to(ANN) == [APOLOGY]
    assert (await town.rows(inbound, "state", "error"))[0] == (
        "dead",
        f"was claimed {MAX_ATTEMPTS} times without an end",
    )


async def test_a_message_that_kills_its_worker_is_buried(town: Town) -> None:
    """Claims without an end are counted by the database, so that even kill -9 after kill -9 comes to an end."""
    await town.database.store_inbound(InboundMessage(SMS, "SM-poison", ANN, "poison", town.hours.now), "")
    for _ in range(MAX_ATTEMPTS):
        assert await town.database.claim_next_inbound(SMS, ANN) is not None
        await town.database.release_leases(SMS)
    town.conversation.workers.notify(ANN)
    await town.quiet()
    assert town.channel.to(ANN) == [APOLOGY]
    assert town.model.prompts == []


async def test_somebody_who_left_meanwhile_gets_no_answer(town: Town) -> None:
    """They blocked us while the model was thinking: the question is kept, the answer is not planned."""
    gate = asyncio.Event()
    town.model.script.append(gate.wait)
    await town.hear("hello")
    await town.until(lambda: len(town.model.prompts) == 1)
    await town.database.plan_message(SMS, ANN, [PlannedPart("by hand", "by hand")])
    town.channel.script.append(SendError(SendFailure.BLOCKED, "403", "blocked"))
    town.outbox.workers.notify(ANN)
    await town.until(lambda: not town.outbox.workers.busy)
    gate.set()
    await town.quiet()
    assert town.channel.to(ANN) == []
    assert await town.history() == [("user", "hello")]


VERBS = ["claim_next_inbound", "read_context", "complete_inbound", "users_waiting", "postpone_inbound", "renew_leases"]


@pytest.mark.parametrize("verb", VERBS)
async def test_trouble_with_the_database_at_any_verb_delays_and_loses_nothing(found_town: Found, verb: str) -> None:
    """One answer for each message, in order, whichever verb could not be used for a while."""
    town = await found_town(model_notice_seconds=3600)
    town.moody.verb, town.moody.times = verb, 3
    town.model.script.extend([AWAY] * 4)
    await town.hear("one", "two")
    for _ in range(60):
        await town.still()
        await town.pass_by(3)
    await town.quiet()
    assert town.channel.to(ANN) == ["re: one", "re: two"]
    assert town.moody.times == 0
    assert await town.inbound_states() == ["done", "done"]


async def test_a_stop_in_the_middle_loses_nothing(found_town: Found) -> None:
    """The model is cut off at the deadline; the next life takes up the question at once and asks again."""
    town = await found_town()
    town.model.always = asyncio.Event().wait
    await town.hear("one", "two")
    await town.until(lambda: len(town.model.prompts) == 1)
    async with asyncio.timeout(60):
        await town.stop(0.05)
    town.model.always = None
    town.reborn()
    await town.start()
    await town.quiet()
    assert town.channel.to(ANN) == ["re: one", "re: two"]


async def test_a_stop_lets_what_is_almost_done_end(found_town: Found) -> None:
    """An answer that comes in time is stored; nothing new is begun."""
    town = await found_town()
    gate = asyncio.Event()
    town.model.script.append(gate.wait)
    await town.hear("one", "two")
    await town.until(lambda: len(town.model.prompts) == 1)
    stopping = asyncio.create_task(town.conversation.workers.stop(60))
    await asyncio.sleep(0)
    gate.set()
    await stopping
    assert await town.inbound_states() == ["done", "received"]
    assert await town.rows(outbound, "state") == [("planned",)] or town.channel.to(ANN) == ["re: one"]


async def test_no_name_of_a_person_reaches_the_models_provider(town: Town) -> None:
    """Users get an id that reveals nothing, and the same each time."""
    people: list[str] = []

    class Listening:
        async def ask(self, *_: object, user: str, **__: object) -> Answer:
            people.append(user)
            return Answer("ok")

    town.conversation._model = Listening()
    await town.hear("one", "two")
    await town.hear("three", from_=BOB)
    await town.quiet()
    assert len(set(people)) == 2
    assert all(ANN not in person and len(person) == 32 for person in people)
