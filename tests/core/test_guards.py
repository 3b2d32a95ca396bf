"""Who is answered at all, how often, and whether it is a person: the rules, and what the conversation makes of them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace

import pytest

from relay.channels.sms.spec import SMS
from relay.core.conversation import SENTENCES
from relay.core.errors import ModelError, ModelFailure
from relay.core.guards import SAME_TEXT_SECONDS, SAME_TEXTS, SAME_WORDS, looks_like_a_loop, not_invited, over_limit
from relay.core.messages import Attachment, HistoryMessage, Kind, Limit, Outcome, Usage, UserId, UserState
from relay.core.person_settings import MessageLimits
from relay.storage.schema import inbound
from tests.core.conftest import EmptyDatabase
from tests.core.harness import ANN, BOB, NewRelay, RelayHarness
from tests.english import english
from tests.settings import Settings


@pytest.fixture
def empty_database(sqlite_database: EmptyDatabase) -> EmptyDatabase:
    """One database is enough: what the limits refuse is the same on both, and the verbs have tests on each."""
    return sqlite_database


LIMITS = MessageLimits(messages_per_minute=3, messages_per_day=10)


@pytest.mark.parametrize(
    ("usage", "sentence"),
    [
        (Usage(minute=2, day=2), None),
        (Usage(minute=3, day=3), "wait a minute"),
        (Usage(minute=3, day=3, notified_minute=True), ""),
        (Usage(minute=0, day=10), "tomorrow"),
        (Usage(minute=3, day=10), "tomorrow"),
        (Usage(minute=0, day=10, notified_day=True), ""),
    ],
)
def test_a_limit_is_notified_once(usage: Usage, sentence: str | None) -> None:
    """Below it nothing, at it one sentence, behind it silence with a reason."""
    refusal = over_limit(usage, LIMITS)
    if sentence is None:
        assert refusal is None
    else:
        assert refusal is not None
        assert refusal.reason in set(Limit)
        assert sentence in (refusal.reply or "") if sentence else refusal.reply is None


@pytest.mark.parametrize(
    ("settings", "known", "silent", "sentence"),
    [
        (Settings(), False, False, None),
        (Settings(blocklist=(ANN,)), False, True, None),
        (Settings(allowlist=(ANN,)), False, False, None),
        (Settings(allowlist=(BOB,)), False, True, "private line"),
        (Settings(allowlist=(BOB,)), True, True, None),
        (Settings(allowlist=(ANN,), blocklist=(ANN,)), False, True, None),
    ],
)
def test_the_lists_decide_who_is_answered(
    settings: Settings, *, known: bool, silent: bool, sentence: str | None
) -> None:
    """The blocklist wins; a stranger hears once that the line is private."""
    refusal = not_invited(ANN, settings, known=known)
    assert (refusal is not None) == silent
    if refusal is not None:
        assert (sentence in (refusal.reply or "")) if sentence else refusal.reply is None


def talk(
    turns: int, pause: float, *, texts: str = "different", start: float = 1000.0
) -> tuple[list[HistoryMessage], float]:
    """A history of so many turns, the person writing `pause` seconds after each answer; and when they write next."""
    lines, moment = [], start
    for number in range(turns):
        lines.append(HistoryMessage("user", texts if texts == "same" else f"{texts} {number}", moment))
        lines.append(HistoryMessage("assistant", f"answer {number}", moment + 1))
        moment += 1 + pause
    return lines, moment


@pytest.mark.parametrize(
    ("turns", "pause", "text", "machine"),
    [
        (10, 0.5, "different x", True),
        (9, 0.5, "different x", False),
        (20, 5.0, "different x", False),
        (SAME_TEXTS - 1, 30.0, "  SAME ", True),
        (SAME_TEXTS - 2, 30.0, "same", False),
        (SAME_TEXTS - 1, SAME_TEXT_SECONDS, "same", False),
        (0, 0.0, "hello", False),
    ],
)
def test_a_machine_is_known_by_its_speed_or_its_sameness(turns: int, pause: float, text: str, *, machine: bool) -> None:
    """A quick person is no machine: it takes a long run without a pause to read, or the same text again and again."""
    lines, now = talk(turns, pause, texts="same" if "same" in text.lower() else "different")
    assert (looks_like_a_loop(lines, text, now, 10) is not None) == machine
    assert looks_like_a_loop(lines, text, now, 0) is None


@pytest.mark.parametrize(
    ("text", "turns", "pause", "machine"),
    [
        ("Auto-reply {0}: we got your message. Ticket #{1}", SAME_TEXTS - 1, 3.0, True),
        ("Auto-reply {0}: we got your message. Ticket #{1}", SAME_TEXTS - 2, 3.0, False),
        ("Auto-reply {0}: we got your message. Ticket #{1}", SAME_WORDS - 1, 60.0, True),
        ("Auto-reply {0}: we got your message. Ticket #{1}", SAME_WORDS - 1, 3600.0, False),
        ("what is the square root of {1}", SAME_TEXTS - 1, 8.0, False),
        ("what is the square root of {1}?", 15, 8.0, False),
        ("what is 7 times {0}", SAME_TEXTS - 1, 3.0, False),
        ("{0}", 9, 3.0, False),
    ],
)
def test_a_machine_that_numbers_its_texts_is_known(text: str, turns: int, pause: float, *, machine: bool) -> None:
    """A person who asks the same about several numbers reads the answers in between."""
    lines, moment = [], 1000.0
    for number in range(turns):
        lines.append(HistoryMessage("user", text.format(number, 1000 + number), moment))
        lines.append(HistoryMessage("assistant", f"answer {number}", moment + 1))
        moment += 1 + pause
    assert (looks_like_a_loop(lines, text.format(turns, 1000 + turns), moment, 10) is not None) == machine


async def test_a_user_over_the_limit_is_notified_once_and_answered_again_later(new_relay: NewRelay) -> None:
    """Nothing is lost silently: each unanswered message has its reason in the inbox."""
    relay = await new_relay(messages_per_minute=2)
    await relay.receive("one", "two", "three", "four")
    await relay.idle()
    assert relay.channel.to(ANN)[:2] == ["re: one", "re: two"]
    assert "wait a minute" in relay.channel.to(ANN)[2]
    assert len(relay.channel.to(ANN)) == 3
    answered, minute = (Outcome.ANSWERED, None), Limit.MINUTE
    outcomes = await relay.rows(inbound, "outcome", "reason")
    assert outcomes == [answered, answered, (Outcome.TOLD, minute), (Outcome.SILENT, minute)]
    await relay.advance(61)
    await relay.receive("five")
    await relay.idle()
    assert relay.channel.to(ANN)[-1] == "re: five"


async def test_a_refusal_by_a_limit_keeps_the_change_of_state(new_relay: NewRelay) -> None:
    """START one message above the limit opts the user in all the same."""
    relay = await new_relay(messages_per_minute=1)
    await relay.receive("state=stopped", "state=active")
    await relay.idle()
    assert (await relay.rows(inbound, "reason"))[1] == (Limit.MINUTE,)
    user = await relay.database.find_user(SMS, ANN)
    assert user is not None
    assert user.state is UserState.ACTIVE


async def test_a_machine_is_paused_with_one_notice_and_comes_back_by_time(new_relay: NewRelay) -> None:
    """The pause is the person's state, so the operator sees it; after it everything is as before."""
    relay = await new_relay(loop_turns=10, loop_pause_seconds=600)
    await relay.receive(*["out of office"] * SAME_TEXTS, "out of office")
    await relay.idle()
    assert relay.channel.to(ANN)[SAME_TEXTS - 1 :] == [english("looks-like-a-machine")]
    user = await relay.database.find_user(SMS, ANN)
    assert user is not None
    assert user.state is UserState.PAUSED
    await relay.advance(601)
    await relay.receive("sorry, that was my phone")
    await relay.idle()
    assert relay.channel.to(ANN)[-1] == "re: sorry, that was my phone"
    user = await relay.database.find_user(SMS, ANN)
    assert user is not None
    assert user.state is UserState.ACTIVE


async def test_an_operator_ends_a_pause(new_relay: NewRelay) -> None:
    """Released, the person is answered at once; a second release changes nothing."""
    relay = await new_relay(loop_turns=10)
    await relay.receive("name=Ann", *["out of office"] * SAME_TEXTS)
    await relay.idle()
    assert await relay.database.release_user(SMS, ANN)
    assert not await relay.database.release_user(SMS, ANN)
    await relay.receive("it is me")
    await relay.idle()
    assert relay.channel.to(ANN)[-1] == "re: it is me"


async def test_a_user_on_the_blocklist_is_never_answered(new_relay: NewRelay) -> None:
    """Others are."""
    relay = await new_relay(blocklist=(ANN,))
    await relay.receive("hello", from_=ANN)
    await relay.receive("hello", from_=BOB)
    await relay.idle()
    assert relay.channel.to(ANN) == []
    assert relay.channel.to(BOB) == ["re: hello"]


GROUP = UserId("group")


@pytest.mark.parametrize(
    ("settings", "answered"),
    [
        (Settings(blocklist=(ANN,)), False),
        (Settings(blocklist=(GROUP,)), False),
        (Settings(blocklist=(BOB,)), True),
        (Settings(allowlist=(ANN,)), True),
        (Settings(allowlist=(GROUP,)), True),
        (Settings(allowlist=(BOB,)), False),
        (Settings(allowlist=(GROUP,), blocklist=(ANN,)), False),
    ],
)
def test_the_lists_name_members_of_a_group_or_the_whole_group(settings: Settings, *, answered: bool) -> None:
    """A group's id covers everyone in it; the blocklist wins."""
    assert (not_invited(GROUP, settings, known=True, writer=ANN) is None) == answered


async def test_the_limits_of_a_group_are_those_of_each_member(new_relay: NewRelay) -> None:
    """One member over the limit gets one notice; the others go on, and the limit follows the member elsewhere."""
    relay = await new_relay(messages_per_minute=1)
    await relay.receive("one", "two", "three", from_=GROUP, sender=ANN)
    await relay.receive("four", from_=GROUP, sender=BOB)
    await relay.idle()
    await relay.receive("five", from_=ANN)
    await relay.idle()
    first, notice, last = relay.channel.to(GROUP)
    assert (first, last) == ("re: one", "re: four")
    assert "wait a minute" in notice
    assert relay.channel.to(ANN) == []


async def test_messages_of_other_members_are_questions_of_their_own(new_relay: NewRelay) -> None:
    """Each member gets an answer to what that member wrote."""
    relay = await new_relay(merge_messages=True)
    gate = asyncio.Event()
    relay.model.script.append(gate.wait)
    await relay.receive("first", from_=GROUP, sender=ANN)
    await relay.until(lambda: len(relay.model.prompts) == 1)
    await relay.receive("a", "b", from_=GROUP, sender=ANN)
    await relay.receive("c", from_=GROUP, sender=BOB)
    gate.set()
    await relay.idle()
    assert relay.channel.to(GROUP)[1:] == ["re: a+b", "re: c"]


async def test_each_topic_has_a_history_of_its_own(new_relay: NewRelay) -> None:
    """What was written in one is not known in another, or outside; /clear in a topic clears that topic only."""
    relay = await new_relay(merge_messages=True)
    decide = relay.channel.decide
    relay.channel.decide = lambda message, user: replace(  # type: ignore[method-assign]
        decide(message, user), clear_history=message.text == "/clear"
    )
    for text, topic in (("code 99", "3"), ("which?", "9"), ("out", None), ("/clear", "9"), ("again", "3")):
        await relay.receive(text, from_=GROUP, topic=topic)
        await relay.idle()
    assert relay.model.prompts == [["code 99"], ["which?"], ["out"], ["code 99", "re: code 99", "again"]]
    assert "which?" not in [text for _, text in await relay.history()]
    assert await relay.database.problems() == []


async def test_a_person_by_the_providers_word_is_never_taken_for_a_machine(new_relay: NewRelay) -> None:
    """The same text five times is answered five times, and a command is answered beyond the limit."""
    relay = await new_relay(loop_turns=10, messages_per_minute=SAME_TEXTS)
    decide = relay.channel.decide
    relay.channel.decide = lambda message, user: replace(decide(message, user), from_person=True)  # type: ignore[method-assign]
    await relay.receive(*["yes"] * SAME_TEXTS, "too much", "/help")
    await relay.idle()
    assert relay.channel.to(ANN)[:SAME_TEXTS] == ["re: yes"] * SAME_TEXTS
    assert "wait a minute" in relay.channel.to(ANN)[SAME_TEXTS]
    assert relay.channel.to(ANN)[SAME_TEXTS + 1 :] == ["did /help"]


async def test_texts_that_wait_are_answered_as_one_turn(new_relay: NewRelay) -> None:
    """The first is not delayed; what comes while the model works is one question, with one line in the history."""
    relay = await new_relay(merge_messages=True)
    await while_the_model_works(relay, "second", "third")
    assert relay.model.prompts[1:] == [["first", "re: first", "second+third"]]
    assert relay.channel.to(ANN) == ["re: first", "re: second+third"]
    assert [line for role, line in await relay.history() if role == "user"] == ["first", "second+third"]
    assert await relay.inbound_states() == ["done", "done", "done"]


async def while_the_model_works(relay: RelayHarness, *texts: str, then: Sequence[Exception] = ()) -> None:
    """Ask something, write more before the answer is there, and let it come; what the model sentence `then`."""
    gate = asyncio.Event()
    relay.model.script.extend([gate.wait, *then])
    await relay.receive("first")
    await relay.until(lambda: len(relay.model.prompts) == 1)
    await relay.receive(*texts)
    gate.set()
    await relay.idle()


async def test_a_command_among_them_is_not_merged(new_relay: NewRelay) -> None:
    """It is done in its place, and what follows is another turn."""
    relay = await new_relay(merge_messages=True)
    await while_the_model_works(relay, "a", "b", "/status", "c")
    assert relay.channel.to(ANN) == ["re: first", "re: a+b", "did /status", "re: c"]


async def test_the_window_waits_for_more(new_relay: NewRelay) -> None:
    """With merge_window_seconds the first text waits that long for others."""
    relay = await new_relay(merge_messages=True, merge_window_seconds=5)
    await relay.receive("one")
    await relay.until(lambda: relay.clock.sleeping(5) == 1)
    await relay.receive("two")
    assert relay.model.prompts == []
    await relay.advance_clock(5)
    await relay.advance_clock(5)
    await relay.idle()
    assert relay.channel.to(ANN) == ["re: one+two"]


async def test_waiting_for_more_of_one_message_delays_no_other_user(new_relay: NewRelay) -> None:
    """With a single slot, another user is answered while the first one's message is being awaited."""
    relay = await new_relay(merge_messages=True, max_concurrent_answers=1)
    relay.channel.debounce_seconds = lambda message: 60.0 if message.user_id == ANN else 0.0  # type: ignore[method-assign]
    await relay.receive("a long paste", from_=ANN)
    await relay.until(lambda: relay.clock.sleeping(60) == 1)
    await relay.receive("hello", from_=BOB)
    await relay.until(lambda: relay.channel.to(BOB) == ["re: hello"])
    assert relay.channel.to(ANN) == []
    await relay.advance(60)
    assert relay.channel.to(ANN) == ["re: a long paste"]


async def test_what_continues_a_question_while_it_is_asked_is_asked_with_it(new_relay: NewRelay) -> None:
    """A forward after its comment: the first answer is dropped, one answer to both is sent."""
    relay = await new_relay(merge_messages=True)
    relay.channel.continues = lambda earlier, later: later.text > earlier.text[:0] and later.text[0] == ">"  # type: ignore[method-assign]
    gate = asyncio.Event()
    relay.model.script.append(gate.wait)
    await relay.receive("is this true?")
    await relay.until(lambda: len(relay.model.prompts) == 1)
    await relay.receive("> tax starts in May")
    gate.set()
    await relay.idle()
    assert relay.channel.to(ANN) == ["re: is this true?+> tax starts in May"]
    assert await relay.inbound_states() == ["done", "done"]


async def test_an_answer_is_held_back_for_what_may_follow_at_once(new_relay: NewRelay) -> None:
    """However quick the model is; it works meanwhile, so a slow one is not made slower."""
    relay = await new_relay(merge_messages=True)
    relay.channel.follow_seconds = lambda message: 0.3 if message.text else 0.0  # type: ignore[method-assign]
    await relay.receive("hello")
    await relay.until(lambda: relay.clock.sleeping() == 3)
    assert (len(relay.model.prompts), relay.channel.sent) == (1, [])
    await relay.advance(1)
    assert relay.channel.to(ANN) == ["re: hello"]


@pytest.mark.parametrize("working", [True, False])
async def test_an_edit_changes_a_question_that_is_not_answered_yet(new_relay: NewRelay, *, working: bool) -> None:
    """While it waits or while the model works; the history has the new text only, and no hint is sent."""
    relay = await new_relay(merge_messages=True)
    relay.channel.continues = lambda earlier, later: later.reply_to == earlier.reply_to  # type: ignore[method-assign]
    gate = asyncio.Event()
    relay.model.script.append(gate.wait)
    if not working:
        await relay.receive("first")
        await relay.until(lambda: len(relay.model.prompts) == 1)
    await relay.receive("wat time?", reply_to="7")
    if working:
        await relay.until(lambda: len(relay.model.prompts) == 1)
    await relay.receive("what time?", reply_to="7", kind=Kind.EDITED)
    gate.set()
    await relay.idle()
    assert relay.channel.to(ANN)[-1] == "re: what time?"
    assert len(relay.channel.to(ANN)) == (1 if working else 2)
    assert "wat time?" not in [text for _, text in await relay.history()]


@pytest.mark.parametrize("caption", [0, 1, 2])
async def test_an_album_is_one_question_wherever_its_caption_is(new_relay: NewRelay, caption: int) -> None:
    """Its other pictures are finished with it; one without any caption gets one reply."""
    relay = await new_relay(merge_messages=True)
    relay.channel.continues = lambda earlier, later: "album" in earlier.options and "album" in later.options  # type: ignore[method-assign]
    relay.channel.debounce_seconds = lambda message: 1.0 if message.kind is Kind.MEDIA else 0.0  # type: ignore[method-assign]
    relay.channel.follow_seconds = lambda message: 1.0 if message.options else 0.0  # type: ignore[method-assign]
    for number in range(2):
        kind, text = (Kind.TEXT, "which is best?") if number == caption else (Kind.MEDIA, "")
        picture = Attachment("image/jpeg", f"{number}")
        await relay.receive(text, kind=kind, options={"album": "9"}, attachments=(picture,))
    await relay.until(lambda: relay.clock.sleeping() >= 3)
    await relay.advance(3)
    await relay.advance(3)
    unseen = "\n\n[a picture, not visible to you]" * 2
    answers = [f"re: which is best?{unseen}"] if caption < 2 else [english("pictures-unsupported")]
    assert relay.channel.to(ANN) == answers
    assert await relay.inbound_states() == ["done", "done"]


async def test_a_paste_beyond_the_limit_is_refused_once(new_relay: NewRelay) -> None:
    """Not piece by piece, with answers to fragments."""
    relay = await new_relay(merge_messages=True, max_message_length=100)
    relay.channel.debounce_seconds = lambda message: 1.5 if len(message.text) == 60 else 0.0  # type: ignore[method-assign]
    await relay.receive("a" * 60, "b" * 60, "the end")
    await relay.until(lambda: relay.clock.sleeping() == 3)
    await relay.advance(2)
    assert relay.channel.to(ANN) == [english(SENTENCES[ModelFailure.CONTEXT_TOO_LONG])]


async def test_merging_stops_before_a_question_becomes_too_long(new_relay: NewRelay) -> None:
    """Each turn stays within what may be put to the model."""
    relay = await new_relay(merge_messages=True, max_message_length=100)
    await while_the_model_works(relay, "a" * 60, "b" * 60)
    assert relay.channel.to(ANN)[1:] == [f"re: {'a' * 60}", f"re: {'b' * 60}"]


async def test_a_refusal_ends_the_whole_turn(new_relay: NewRelay) -> None:
    """What was refused as one question is refused once: none of it is asked again or stands twice in the history."""
    relay = await new_relay(merge_messages=True)
    sorry = english(SENTENCES[ModelFailure.REFUSED])
    await while_the_model_works(relay, "second", "third", "fourth", then=[ModelError(ModelFailure.REFUSED, "no")])
    assert relay.channel.to(ANN) == ["re: first", sorry]
    assert [line for role, line in await relay.history() if role == "user"] == ["first", "second+third+fourth"]
    assert await relay.inbound_states() == ["done"] * 4


async def test_what_a_channel_adds_to_a_text_counts_for_its_length(new_relay: NewRelay) -> None:
    """A turn never becomes too long to be asked, whatever the question sentence beside the person's own words."""
    relay = await new_relay(merge_messages=True, max_message_length=100)
    decide = relay.channel.decide
    relay.channel.decide = lambda message, user: replace(decide(message, user), prompt=f"{'note ' * 8}{message.text}")  # type: ignore[method-assign]
    await while_the_model_works(relay, "a" * 40, "b" * 40)
    assert [len(prompt[-1]) for prompt in relay.model.prompts] == [45, 80, 80]


async def test_what_was_asked_in_an_outage_is_given_up_with_one_apology(new_relay: NewRelay) -> None:
    """One notice and one apology, however many messages waited; the operator sees each of them."""
    relay = await new_relay(merge_messages=True, model_give_up_seconds=600)
    relay.model.always = ModelError(ModelFailure.UNAVAILABLE, "down")
    for text in ("one", "two", "three"):
        await relay.receive(text)
        await relay.advance(60)
    for _ in range(12):
        await relay.advance(70)
    assert relay.channel.to(ANN) == [english("answer-later"), english("given-up")]
    assert await relay.inbound_states() == ["dead"] * 3
    assert ("user", "one+two+three") in await relay.history()
    assert await relay.database.problems() == []


async def test_a_source_that_wants_a_long_rest_does_not_delay_the_apology(new_relay: NewRelay) -> None:
    """It said "again tomorrow": after the time that a person may wait they are told so all the same."""
    relay = await new_relay(model_give_up_seconds=600)
    relay.model.always = ModelError(ModelFailure.RATE_LIMIT, "quota", retry_after=86_400)
    await relay.receive("one")
    await relay.idle()
    await relay.advance(601)
    assert relay.channel.to(ANN) == [english("answer-later"), english("given-up")]
