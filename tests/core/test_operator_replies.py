"""Operators are told who needs a person and answer by replying; when nobody is there, nothing is promised."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from relay.channels.sms.spec import SMS
from relay.core import person_requests as texts
from relay.core.decisions import REPLIES_TO
from relay.core.errors import ModelError, ModelFailure
from relay.core.messages import Kind, UserId, UserState
from relay.core.prompt import NO_ANSWER
from relay.storage.schema import conversations, outbound
from relay.texts.sentences import localize
from tests.core.harness import ANN, BOB, CAT, NewRelay, RelayHarness

HANDED_OVER = localize("handed-over", "en")
BY_CAT: dict[str, Any] = {"operators": (f"sms:{CAT}",)}
TOLD = f"Waits for you: Ann, sms {ANN}\n\nhuman"


async def notice_id(relay: RelayHarness, text: str) -> str:
    """The provider's id of the newest notice with this text."""
    sent: list[str] = [one for one, said in await relay.rows(outbound, "provider_id", "text") if said == text]
    return sent[-1]


async def asked_for_person(relay: RelayHarness) -> str:
    """Ann has a name and asks for a person; the provider's id of the notice to Cat."""
    await relay.receive("name=Ann", "human")
    await relay.idle()
    await relay.advance(5)
    return await notice_id(relay, TOLD)


async def reply(relay: RelayHarness, text: str, to: str, **changes: Any) -> None:
    await relay.receive(text, from_=CAT, options={REPLIES_TO: to}, **changes)
    await relay.idle()
    await relay.advance(5)


async def test_an_operator_answers_by_replying_to_the_notice(new_relay: NewRelay) -> None:
    """Each reply is sent once, as written by a person, and the model reads it later; the operator is told so."""
    relay = await new_relay(**BY_CAT)
    told = await asked_for_person(relay)
    await relay.receive("my order is late")
    await relay.idle()
    await reply(relay, "Hello Ann, Cat here.", told)
    assert relay.channel.to(ANN) == ["registered", HANDED_OVER, "Hello Ann, Cat here."]
    assert relay.channel.to(CAT)[-1] == "Sent to Ann. The AI is silent there."
    assert ("operator",) in await relay.rows(outbound, "origin")
    await reply(relay, "/BACK", told)
    assert relay.channel.to(CAT)[-1] == "The AI answers Ann again."
    await relay.receive("thanks")
    await relay.idle()
    assert relay.model.prompts == [["my order is late", "Hello Ann, Cat here.", "thanks"]]


async def test_a_crash_after_the_reply_was_stored_sends_it_once(new_relay: NewRelay) -> None:
    """The operator's message and what it sends are one transaction: it fails as a whole, and is done as a whole."""
    relay = await new_relay(**BY_CAT)
    told = await asked_for_person(relay)
    relay.flaky_database.verb, relay.flaky_database.times = "complete_inbound", 1
    await relay.receive("once", from_=CAT, options={REPLIES_TO: told})
    await relay.until(lambda: relay.flaky_database.times == 0)
    assert "once" not in relay.channel.to(ANN)
    for _ in range(2):
        await relay.stop(0)
        relay.rebuild()
        await relay.start()
        await relay.idle()
        await relay.advance(5)
    assert relay.channel.to(ANN).count("once") == 1


NOT_FORWARDED: list[tuple[str, dict[str, Any]]] = [
    ("no reply", {"options": {}}),
    ("a reply to another message", {"options": {REPLIES_TO: "P999"}}),
    ("an edit", {"kind": Kind.EDITED}),
    ("a picture", {"kind": Kind.MEDIA}),
    ("a reply by another user", {"from_": ANN}),
]


@pytest.mark.parametrize("changes", [row[1] for row in NOT_FORWARDED], ids=[row[0] for row in NOT_FORWARDED])
async def test_other_messages_of_operators_are_their_own(new_relay: NewRelay, changes: dict[str, Any]) -> None:
    """They reach no other user."""
    relay = await new_relay(**BY_CAT)
    told = await asked_for_person(relay)
    before = len(relay.channel.to(ANN))
    await relay.receive("for myself", **{"from_": CAT, "options": {REPLIES_TO: told}, **changes})
    await relay.idle()
    await relay.advance(5)
    assert "for myself" not in relay.channel.to(ANN)[before:]


async def test_a_reply_to_a_notice_of_another_operator_reaches_nobody(new_relay: NewRelay) -> None:
    """The ids of messages are those of one chat."""
    relay = await new_relay(operators=(f"sms:{CAT}", "sms:dan"))
    await asked_for_person(relay)
    [theirs] = [
        sent for whose, sent, text in await relay.rows(outbound, "user_id", "provider_id", "text")
        if whose == "dan" and text == TOLD
    ]  # fmt: skip
    await reply(relay, "not mine", theirs)
    assert "not mine" not in relay.channel.to(ANN)


async def test_who_opted_out_is_sent_nothing(new_relay: NewRelay) -> None:
    """The operator reads why."""
    relay = await new_relay(**BY_CAT)
    told = await asked_for_person(relay)
    await relay.receive(f"state={UserState.STOPPED}")
    await relay.idle()
    await reply(relay, "are you there?", told)
    assert relay.channel.to(CAT)[-1] == "Not sent to Ann: they cannot be reached now."
    assert "are you there?" not in relay.channel.to(ANN)


async def test_outside_business_hours_the_ai_goes_on(new_relay: NewRelay) -> None:
    """The clock stands at Monday, 12 January 1970, 13:46 UTC: nobody is there until Tuesday, and nobody is promised."""
    relay = await new_relay(**BY_CAT, business_hours="Tue-Fri 9:00-17:00")
    await relay.receive("name=Ann", "human", "when do you open?")
    await relay.idle()
    await relay.advance(5)
    assert relay.channel.to(ANN)[1:] == [
        texts.away_until(datetime(1970, 1, 13, 9, 0, tzinfo=UTC), "en"),
        "re: when do you open?",
    ]
    assert "They are back on Tuesday at 09:00." in relay.channel.to(ANN)[1]
    assert relay.channel.to(CAT) == [TOLD]


async def test_within_business_hours_the_user_is_left_to_a_person(new_relay: NewRelay) -> None:
    """In the time zone of the settings."""
    relay = await new_relay(**BY_CAT, business_hours="Mon 14:00-15:00", timezone="Europe/Berlin")
    await relay.receive("name=Ann", "human", "and?")
    await relay.idle()
    assert relay.channel.to(ANN) == ["registered", HANDED_OVER]


@pytest.mark.parametrize(
    ("operators", "answer"),
    [((f"sms:{CAT}",), HANDED_OVER), ((), localize("unknown-answer", "en"))],
    ids=["operators", "no operators"],
)
async def test_what_the_documents_do_not_answer_is_left_to_a_person(
    new_relay: NewRelay, operators: tuple[str, ...], answer: str
) -> None:
    """The model's sign is never sent; its cost counts; with the setting off it is a text like any other."""
    relay = await new_relay(operators=operators, takeover_without_answer=True)
    relay.model.script.extend([f"**{NO_ANSWER}**.", "re: hello"])
    await relay.receive("do you sell hats?")
    await relay.idle()
    await relay.advance(5)
    assert relay.channel.to(ANN) == [answer]
    assert len(relay.channel.to(CAT)) == len(operators)
    assert [text for (text,) in await relay.rows(conversations, "message")][:2] == ["do you sell hats?", answer]


async def test_the_sign_within_a_sentence_is_an_answer(new_relay: NewRelay) -> None:
    """As is the sign alone while nobody asked the model for it."""
    relay = await new_relay(**BY_CAT, takeover_without_answer=True)
    relay.model.script.append(f"{NO_ANSWER} is a word")
    await relay.receive("what is it?")
    await relay.idle()
    assert relay.channel.to(ANN) == [f"{NO_ANSWER} is a word"]


async def test_a_user_whose_questions_fail_is_left_to_a_person(new_relay: NewRelay) -> None:
    """After so many in a row; an answer between them begins the count anew."""
    relay = await new_relay(**BY_CAT, takeover_after_failures=2)
    refused = ModelError(ModelFailure.REFUSED, "no")
    relay.model.script.extend([refused, "fine", refused, refused, "later"])
    await relay.receive("one", "two", "three", "four")
    await relay.idle()
    await relay.receive("five")
    await relay.idle()
    await relay.advance(5)
    assert len(relay.model.prompts) == 4
    assert [text.rpartition("\n")[2] for text in relay.channel.to(CAT)] == ["four", "five"]


async def test_the_user_is_told_in_both_directions_if_the_setting_says_so(relay: RelayHarness) -> None:
    """Once each, and not in the prompt of the model."""
    relay.database.takeover_notices = notices = ("person-answers", "ai-answers")
    await relay.receive("hello")
    await relay.idle()
    for _ in range(2):
        await relay.database.take_over(relay.platform, ANN, 3600, "login 1")
    await relay.advance(5)
    for _ in range(2):
        await relay.database.hand_back(relay.platform, ANN, "login 1")
    await relay.advance(5)
    assert relay.channel.to(ANN) == ["re: hello", *(localize(key, "en") for key in notices)]
    await relay.receive("again")
    await relay.idle()
    assert relay.model.prompts[-1] == ["hello", "re: hello", "again"]


async def test_a_user_who_is_forgotten_is_forgotten_in_notices_too(new_relay: NewRelay) -> None:
    """What was quoted to operators is a copy of what the user wrote."""
    relay = await new_relay(**BY_CAT)
    await asked_for_person(relay)
    await relay.receive("my secret illness")
    await relay.idle()
    await relay.advance(5)
    assert "my secret illness" in str(await relay.rows(outbound, "text"))
    await relay.database.forget_user(SMS, ANN)
    everything = [await relay.rows(outbound, "text", "source", "about"), await relay.rows(conversations, "message")]
    assert "illness" not in str(everything)
    assert str(ANN) not in str(everything)


async def test_a_reply_reaches_a_user_who_has_moved(new_relay: NewRelay) -> None:
    """A group that became a supergroup has another address than in the notice."""
    relay = await new_relay(**BY_CAT)
    told = await asked_for_person(relay)
    await relay.database.move_user(SMS, ANN, UserId("ann-2"))
    await reply(relay, "found you", told)
    assert relay.channel.to(UserId("ann-2")) == ["found you"]


async def test_users_and_operators_are_told_in_their_own_language(relay: RelayHarness) -> None:
    """That of their profile, for people who have not just written; the day of the return as well."""
    relay.database.takeover_notices = ("person-answers", "ai-answers")
    await relay.receive("hello", language="de")
    await relay.idle()
    await relay.database.take_over(relay.platform, ANN, 3600, "login 1")
    await relay.advance(5)
    assert relay.channel.to(ANN)[-1] == "Jetzt antwortet Ihnen ein Mensch."
    assert "mardi" in texts.away_until(datetime(1970, 1, 13, 9, 0, tzinfo=UTC), "fr")
    assert texts.away_until(None, "fr") == localize("nobody-there", "fr")


async def test_an_operator_reads_notices_in_their_language(new_relay: NewRelay) -> None:
    """And what became of a reply; the message of the user is quoted as it is."""
    relay = await new_relay(**BY_CAT)
    await relay.receive("hallo", from_=CAT, language="de")
    await relay.receive("name=Ann", "human")
    await relay.idle()
    await relay.advance(5)
    told = f"Wartet auf Sie: Ann, sms {ANN}\n\nhuman"
    await reply(relay, "/back", await notice_id(relay, told))
    assert relay.channel.to(CAT)[-2:] == [told, "Die KI antwortet Ann wieder."]


async def test_a_takeover_that_ends_by_its_time_is_told_as_well(relay: RelayHarness) -> None:
    """Once, whichever server finds it first; not while it lasts, and not long afterwards, as at an upgrade."""
    relay.database.takeover_notices = ("", "ai-answers")
    for person in (ANN, BOB, CAT):
        await relay.receive("hello", from_=person)
    await relay.idle()
    await relay.database.take_over(relay.platform, BOB, 10, "login 1")
    await relay.advance(2 * 3600)
    await relay.database.take_over(relay.platform, ANN, 3600, "login 1")
    await relay.database.take_over(relay.platform, CAT, 7200, "login 1")
    assert await relay.database.end_takeovers(relay.platform) == [BOB]
    await relay.advance(3600)
    assert await relay.database.end_takeovers(relay.platform) == [ANN]
    assert await relay.database.end_takeovers(relay.platform) == []
    await relay.advance(5)
    assert [relay.channel.to(person)[1:] for person in (ANN, BOB, CAT)] == [["The AI answers you again."], [], []]
