"""The way from a stored message to its planned and sent answer, whatever the model does."""

from __future__ import annotations

import asyncio

import pytest

from relay.channels.sms.spec import SMS
from relay.core.conversation import MAX_ATTEMPTS, SENTENCES
from relay.core.errors import ModelError, ModelFailure, SendError, SendFailure, UnusableAnswers
from relay.core.messages import Answer, InboundMessage, Kind, Outcome, UserState
from relay.core.parts import PlannedPart
from relay.storage import queries
from relay.storage.schema import conversations, inbound, outbound
from tests.core.conftest import EmptyDatabase
from tests.core.harness import ANN, BOB, CAT, NewRelay, RelayHarness, ScriptedModel
from tests.english import english


@pytest.fixture
def empty_database(sqlite_database: EmptyDatabase) -> EmptyDatabase:
    """One database is enough: what a conversation decides is the same on both, and the verbs have tests on each."""
    return sqlite_database


AWAY = ModelError(ModelFailure.UNAVAILABLE, "connection refused")


async def test_a_question_is_answered_with_its_history(relay: RelayHarness) -> None:
    """The model sees earlier exchanges and the name; commands stay out of its sight."""
    await relay.receive("name=Ann", "one", "/status", "two")
    await relay.idle()
    assert relay.channel.to(ANN) == ["registered", "re: one", "did /status", "re: two"]
    assert relay.model.prompts == [["one"], ["one", "re: one", "two"]]
    assert relay.model.names == ["Ann", "Ann"]
    assert relay.channel.typing_for == [ANN, ANN]


async def test_only_as_many_exchanges_are_shown_as_the_setting_says(new_relay: NewRelay) -> None:
    """The last ones, oldest first."""
    relay = await new_relay(history_exchanges=2)
    await relay.receive("a", "b", "c", "d")
    await relay.idle()
    assert relay.model.prompts[-1] == ["b", "re: b", "c", "re: c", "d"]


async def test_what_was_said_long_ago_is_no_part_of_a_question(new_relay: NewRelay) -> None:
    """A week later the model starts anew; what is younger stays."""
    relay = await new_relay(history_days=7)
    await relay.receive("a")
    await relay.idle()
    await relay.advance(6 * 86_400)
    await relay.receive("b")
    await relay.idle()
    await relay.advance(2 * 86_400)
    await relay.receive("c")
    await relay.idle()
    assert relay.model.prompts == [["a"], ["a", "re: a", "b"], ["b", "re: b", "c"]]


async def test_one_persons_messages_are_answered_in_order_one_at_a_time(relay: RelayHarness) -> None:
    """However slow the first answer is, the second question waits, and no other user does."""
    slow = asyncio.Event()
    relay.model.script.append(slow.wait)
    await relay.receive("first", "second", from_=ANN)
    await relay.until(lambda: len(relay.model.prompts) == 1)
    await relay.receive("hello", from_=BOB)
    await relay.until(lambda: relay.channel.to(BOB) == ["re: hello"])
    assert relay.channel.to(ANN) == []
    relay.model.always = None
    slow.set()
    await relay.idle()
    assert relay.model.prompts[-1][-1] == "second"
    assert [text for _, text in relay.channel.sent if "hello" not in text][-1] == "re: second"


async def test_only_so_many_are_served_at_once(new_relay: NewRelay) -> None:
    """The others wait for a place, and get it."""
    relay = await new_relay(max_concurrent_answers=2)
    gate = asyncio.Event()
    relay.model.always = gate.wait
    for person in (ANN, BOB, CAT):
        await relay.receive("hi", from_=person)
    await relay.until(lambda: len(relay.model.prompts) == 2)
    assert relay.conversation.workers.busy == 3
    relay.model.always = None
    gate.set()
    await relay.idle()
    assert len(relay.channel.sent) == 3


async def test_silence_is_a_decision_too(relay: RelayHarness) -> None:
    """The message is done, with the reason, and nothing is sent."""
    await relay.receive("-STOP")
    await relay.receive("", kind=Kind.LEFT)
    await relay.idle()
    assert await relay.rows(inbound, "state", "outcome", "reason") == [("done", Outcome.SILENT, "passed over")] * 2
    assert relay.channel.sent == []


async def test_a_message_that_the_channel_ignores_is_done_with_its_reason(
    relay: RelayHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The model is not asked, and what the message changes about the user is changed."""
    await relay.receive("hello")
    await relay.idle()
    monkeypatch.setattr(relay.channel, "why_ignored", lambda _message, _history: "written by a machine")
    await relay.receive("state=stopped")
    await relay.idle()
    kept = (await relay.rows(inbound, "state", "outcome", "reason"))[1]
    assert kept == ("done", Outcome.SILENT, "written by a machine")
    assert relay.channel.to(ANN) == ["re: hello"]
    user = await relay.database.find_user(relay.platform, ANN)
    assert user is not None
    assert user.state is UserState.STOPPED


async def test_what_an_answer_took_is_kept_with_it(relay: RelayHarness) -> None:
    """Model, tokens and cost stand beside the line."""
    relay.model.script.append(Answer("hi", "gpt", "openrouter", 12, 3, 0.5, 0.1, 0.9))
    await relay.receive("hello")
    await relay.idle()
    columns = ("message", "model", "source", "prompt_tokens", "answer_tokens", "cost_usd", "total_seconds")
    assert (await relay.rows(conversations, *columns))[1] == ("hi", "gpt", "openrouter", 12, 3, 0.5, 0.9)


@pytest.mark.parametrize("kind", [kind for kind in SENTENCES if kind is not ModelFailure.IMAGES_UNSUPPORTED])
async def test_what_asking_again_would_not_help_is_said_at_once(relay: RelayHarness, kind: ModelFailure) -> None:
    """One sentence, no repetition, and the next question is free; the model never sees the sentence.

    A model that takes no pictures is asked without them: tests/core/test_attachments.py.
    """
    relay.model.script.append(ModelError(kind, "no"))
    await relay.receive("odd", "next")
    await relay.idle()
    assert relay.channel.to(ANN) == [english(SENTENCES[kind]), "re: next"]
    assert relay.model.prompts[-1] == ["next"]
    assert (await relay.rows(inbound, "outcome", "reason"))[0] == (Outcome.UNANSWERABLE, kind)


def paid_in_vain(count: int, cost_usd: float = 0.0) -> ModelError:
    error = ModelError(ModelFailure.UNAVAILABLE, "the model gave an empty answer")
    error.unusable = UnusableAnswers(count, cost_usd)
    return error


async def test_after_three_unusable_answers_the_user_is_notified(relay: RelayHarness) -> None:
    """They add up over attempts and a restart, the LLM server learns how many there were, and their cost is kept."""
    relay.model.script.extend([paid_in_vain(1, 0.25), AWAY, paid_in_vain(2, 0.5)])
    await relay.receive("odd", "next")
    await relay.idle()
    await relay.stop()
    relay.rebuild()
    await relay.start()
    for _ in range(3):
        await relay.advance(5)
    assert relay.channel.to(ANN) == [english(SENTENCES[ModelFailure.UNUSABLE]), "re: next"]
    assert relay.model.unusable == [0, 1, 1, 0]
    first = (await relay.rows(inbound, "outcome", "reason", "unusable"))[0]
    assert first == (Outcome.UNANSWERABLE, ModelFailure.UNUSABLE, 3)
    cost = (await relay.database.query(lambda c: queries.status(c, SMS, [SMS], relay.clock.now)))["cost"]
    assert (cost["unusable_usd"], cost["unusable_answers"], cost["model_usd"]) == (0.75, 3, 0.0)


async def test_a_question_that_has_had_its_answers_is_not_asked_again(relay: RelayHarness) -> None:
    """The process died between the count and the sentence."""
    relay.flaky_database.verb, relay.flaky_database.times = "complete_inbound", 1
    relay.model.script.append(paid_in_vain(3))
    await relay.receive("odd")
    await relay.until(lambda: relay.flaky_database.times == 0)
    await relay.stop(0)
    relay.rebuild()
    await relay.start()
    await relay.idle()
    assert relay.channel.to(ANN) == [english(SENTENCES[ModelFailure.UNUSABLE])]
    assert len(relay.model.prompts) == 1


async def test_what_was_paid_for_before_an_answer_is_kept_too(relay: RelayHarness) -> None:
    """The LLM server asked twice for the one that could be used."""
    relay.model.script.append(Answer("hi", cost_usd=0.5, unusable=UnusableAnswers(1, 0.25)))
    await relay.receive("hello")
    await relay.idle()
    cost = (await relay.database.query(lambda c: queries.status(c, SMS, [SMS], relay.clock.now)))["cost"]
    assert (cost["unusable_usd"], cost["unusable_answers"], cost["model_usd"]) == (0.25, 1, 0.5)
    assert relay.channel.to(ANN) == ["hi"]


async def test_unusable_answers_count_for_the_limits_of_a_user(new_relay: NewRelay) -> None:
    """Each has cost money, so a user cannot have them without end."""
    relay = await new_relay(messages_per_minute=2, max_unusable_answers=1)
    relay.model.always = paid_in_vain(1)
    await relay.receive("one", "two", "three", "four")
    await relay.idle()
    assert len(relay.model.prompts) == 2


@pytest.mark.parametrize("kind", [kind for kind in ModelFailure if kind not in SENTENCES])
async def test_what_may_pass_is_asked_again(relay: RelayHarness, kind: ModelFailure) -> None:
    """The person waits, hears nothing of a short trouble, and is answered once, in order."""
    relay.model.script.extend([ModelError(kind, "no"), ModelError(kind, "no")])
    await relay.receive("one", "two")
    await relay.idle()
    for _ in range(3):
        await relay.advance(2)
    assert relay.channel.to(ANN) == ["re: one", "re: two"]
    assert (await relay.rows(inbound, "failures"))[0] == (2,)


async def test_a_source_that_says_when_is_not_asked_before(relay: RelayHarness) -> None:
    """Retry-After holds, however short our own pause would be."""
    relay.model.script.append(ModelError(ModelFailure.RATE_LIMIT, "busy", retry_after=25))
    await relay.receive("one")
    await relay.idle()
    await relay.advance(20)
    assert len(relay.model.prompts) == 1
    await relay.advance(5)
    assert relay.channel.to(ANN) == ["re: one"]


async def test_an_outage_is_notified_once_and_outlasted(relay: RelayHarness) -> None:
    """One notice after a while, then the answers in order; the notice is no part of the model's history."""
    relay.model.always = AWAY
    await relay.receive("one", "two")
    for _ in range(60):
        await relay.advance(50)
    assert relay.channel.to(ANN) == [english("answer-later")]
    relay.model.always = None
    await relay.advance(61)
    assert relay.channel.to(ANN) == [english("answer-later"), "re: one", "re: two"]
    assert relay.model.prompts[-1] == ["one", "re: one", "two"]
    assert await relay.inbound_states() == ["done", "done"]


async def outage(relay: RelayHarness, seconds: float) -> None:
    """Three users ask, the last one late, while the model is away and the LLM server knows it."""
    relay.model.usable, relay.model.always = False, AWAY
    await relay.receive("one", from_=ANN)
    await relay.receive("two", from_=BOB)
    for _ in range(int(seconds / 50)):
        await relay.advance(50)
    await relay.receive("three", from_=CAT)
    await relay.idle()
    for _ in range(2):
        await relay.advance(2)


async def test_postponed_questions_are_asked_at_once_when_the_model_is_back(relay: RelayHarness) -> None:
    """After ten minutes their pauses are a minute; two sweeps of two seconds each are enough all the same."""
    await outage(relay, 600)
    relay.model.usable, relay.model.always = True, None
    await relay.advance(2)
    await relay.advance(2)
    assert [relay.channel.to(user)[-1] for user in (ANN, BOB, CAT)] == ["re: one", "re: two", "re: three"]


async def test_one_question_finds_out_whether_the_model_really_is_back(relay: RelayHarness) -> None:
    """It is the one that failed least, so that a question that makes the model fail does not stop the others."""
    await outage(relay, 600)
    asked = len(relay.model.prompts)
    relay.model.usable = True
    await relay.advance(2)
    assert relay.model.prompts[asked:] == [["three"]]
    await relay.advance(2)
    assert relay.model.prompts[asked:] == [["three"], ["three"]]


async def test_a_question_that_makes_the_model_fail_keeps_its_pauses(relay: RelayHarness) -> None:
    """Answers to others are no sign of anything, as long as there was no outage."""
    relay.model.script.extend([AWAY] * 5)
    await relay.receive("poison")
    for _ in range(5):
        await relay.advance(30)
    asked = len(relay.model.prompts)
    await relay.receive("fine", from_=BOB)
    await relay.idle()
    await relay.advance(2)
    assert relay.model.prompts[asked:] == [["fine"]]


async def test_a_restart_asks_postponed_questions_at_once(relay: RelayHarness) -> None:
    """Their pauses were for the model's sake, and the new process cannot tell when it came back."""
    await outage(relay, 600)
    await relay.stop()
    relay.rebuild()
    relay.model.usable, relay.model.always = True, None
    await relay.start()
    await relay.idle()
    await relay.advance(2)
    assert [relay.channel.to(user)[-1] for user in (ANN, BOB, CAT)] == ["re: one", "re: two", "re: three"]


async def test_the_llm_server_is_checked_only_while_questions_wait(relay: RelayHarness) -> None:
    """Once at the start, and then not before a question is postponed nor after the answers."""
    await relay.receive("one")
    await relay.advance(60)
    assert relay.model.checks == 1
    await outage(relay, 100)
    assert relay.model.checks > 1
    relay.model.usable, relay.model.always = True, None
    for _ in range(3):
        await relay.advance(2)
    checks = relay.model.checks
    await relay.advance(60)
    assert relay.model.checks == checks


async def test_after_too_long_an_outage_there_is_an_apology_and_a_dead_letter(new_relay: NewRelay) -> None:
    """The operator sees it with the reason, and the person's next message is answered."""
    relay = await new_relay(model_give_up_seconds=600)
    relay.model.always = AWAY
    await relay.receive("lost")
    for _ in range(12):
        await relay.advance(60)
    assert relay.channel.to(ANN) == [english("answer-later"), english("given-up")]
    ((state, error),) = await relay.rows(inbound, "state", "error")
    assert state == "dead"
    assert "no answer from the model" in error
    assert "connection refused" in error
    relay.model.always = None
    await relay.receive("next")
    await relay.idle()
    assert relay.channel.to(ANN)[-1] == "re: next"


async def test_a_question_that_is_too_long_never_reaches_the_model(new_relay: NewRelay) -> None:
    """It would cost money and fail."""
    relay = await new_relay(max_message_length=100)
    await relay.receive("x" * 101)
    await relay.idle()
    assert relay.channel.to(ANN) == [english(SENTENCES[ModelFailure.CONTEXT_TOO_LONG])]
    assert relay.model.prompts == []


@pytest.mark.parametrize("trouble", [RuntimeError("a bug of ours"), "bug"])
async def test_a_bug_holds_up_no_other_user_and_not_for_ever(relay: RelayHarness, trouble: Exception | str) -> None:
    """The message is tried after each lease, then it is a dead letter with an apology; others are served meanwhile."""
    relay.model.always = trouble if isinstance(trouble, Exception) else None
    await relay.receive("bug" if trouble == "bug" else "hello")
    await relay.receive("/fine", from_=BOB)
    await relay.until(lambda: relay.channel.to(BOB) == ["did /fine"])
    for _ in range(MAX_ATTEMPTS * 2 + 4):
        await relay.advance_clock(16)
        await relay.all_asleep()
    assert relay.channel.to(ANN) == [english("given-up")]
    assert (await relay.rows(inbound, "state", "error"))[0] == (
        "dead",
        f"was claimed {MAX_ATTEMPTS} times without an end",
    )


async def test_a_message_that_kills_its_worker_is_buried(relay: RelayHarness) -> None:
    """Claims without an end are counted by the database, so that even kill -9 after kill -9 comes to an end."""
    await relay.database.store_inbound(InboundMessage(SMS, "SM-poison", ANN, "poison", relay.clock.now), "")
    for _ in range(MAX_ATTEMPTS):
        assert await relay.database.claim_next_inbound(SMS, ANN) is not None
        await relay.database.release_leases(SMS)
    relay.conversation.workers.notify(ANN)
    await relay.idle()
    assert relay.channel.to(ANN) == [english("given-up")]
    assert relay.model.prompts == []


async def test_a_user_who_left_meanwhile_gets_no_answer(relay: RelayHarness) -> None:
    """They blocked us while the model was thinking: the question is kept, the answer is not planned."""
    gate = asyncio.Event()
    relay.model.script.append(gate.wait)
    await relay.receive("hello")
    await relay.until(lambda: len(relay.model.prompts) == 1)
    await relay.database.plan_message(SMS, ANN, [PlannedPart("by hand", "by hand")])
    relay.channel.script.append(SendError(SendFailure.BLOCKED, "403", "blocked"))
    relay.outbox.workers.notify(ANN)
    await relay.until(lambda: not relay.outbox.workers.busy)
    gate.set()
    await relay.idle()
    assert relay.channel.to(ANN) == []
    assert await relay.history() == [("user", "hello")]


VERBS = ["claim_next_inbound", "load_context", "complete_inbound", "users_waiting", "postpone_inbound", "renew_leases"]


@pytest.mark.parametrize("verb", VERBS)
async def test_trouble_with_the_database_at_any_verb_delays_and_loses_nothing(new_relay: NewRelay, verb: str) -> None:
    """One answer for each message, in order, whichever verb could not be used for a while."""
    relay = await new_relay(model_notice_seconds=3600)
    relay.flaky_database.verb, relay.flaky_database.times = verb, 3
    relay.model.script.extend([AWAY] * 4)
    await relay.receive("one", "two")
    for _ in range(60):
        await relay.all_asleep()
        await relay.advance_clock(3)
    await relay.idle()
    assert relay.channel.to(ANN) == ["re: one", "re: two"]
    assert relay.flaky_database.times == 0
    assert await relay.inbound_states() == ["done", "done"]


async def test_a_stop_in_the_middle_loses_nothing(new_relay: NewRelay) -> None:
    """The model is cut off at the deadline; the next life takes up the question at once and asks again."""
    relay = await new_relay()
    relay.model.always = asyncio.Event().wait
    await relay.receive("one", "two")
    await relay.until(lambda: len(relay.model.prompts) == 1)
    async with asyncio.timeout(60):
        await relay.stop(0.05)
    relay.model.always = None
    relay.rebuild()
    await relay.start()
    await relay.idle()
    assert relay.channel.to(ANN) == ["re: one", "re: two"]


async def test_a_stop_lets_what_is_almost_done_end(new_relay: NewRelay) -> None:
    """An answer that comes in time is stored; nothing new is begun."""
    relay = await new_relay()
    gate = asyncio.Event()
    relay.model.script.append(gate.wait)
    await relay.receive("one", "two")
    await relay.until(lambda: len(relay.model.prompts) == 1)
    stopping = asyncio.create_task(relay.conversation.workers.stop(60))
    await asyncio.sleep(0)
    gate.set()
    await stopping
    assert await relay.inbound_states() == ["done", "received"]
    assert await relay.rows(outbound, "state") == [("planned",)] or relay.channel.to(ANN) == ["re: one"]


async def test_no_name_of_a_person_reaches_the_models_provider(relay: RelayHarness) -> None:
    """Users get an id that reveals nothing, and the same each time."""
    people: list[str] = []

    class Listening(ScriptedModel):
        async def ask(self, *_: object, user: str, **__: object) -> Answer:
            people.append(user)
            return Answer("ok")

    relay.conversation._asking._model = Listening()
    await relay.receive("one", "two")
    await relay.receive("three", from_=BOB)
    await relay.idle()
    assert len(set(people)) == 2
    assert all(ANN not in person and len(person) == 32 for person in people)


@pytest.mark.parametrize("original", ["hello", "two|lines"])
async def test_an_edit_that_changes_no_text_is_ignored(new_relay: NewRelay, original: str) -> None:
    """Link previews and changed names arrive as edits; the text is the one in the history, alone or merged."""
    relay = await new_relay()
    original = original.replace("|", "\n")
    await relay.receive(original)
    await relay.idle()
    await relay.receive(original.split("\n")[0], kind=Kind.EDITED)
    await relay.idle()
    assert relay.channel.to(ANN) == [f"re: {original}"]
    assert (await relay.rows(inbound, "reason"))[-1] == ("the edit changed no text",)


async def test_an_edit_that_asks_is_answered_once(new_relay: NewRelay) -> None:
    """A message that was no question before is one now; one that was answered already is not asked again."""
    relay = await new_relay()
    await relay.receive("what time?", kind=Kind.EDITED, reply_to="7")
    await relay.idle()
    await relay.receive("what time is it?", kind=Kind.EDITED, reply_to="7")
    await relay.idle()
    assert relay.channel.to(ANN) == ["re: what time?"]
    assert await relay.history() == [("user", "what time?"), ("assistant", "re: what time?")]
