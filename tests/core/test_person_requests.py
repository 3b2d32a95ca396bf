"""A user asks for a person: which words count, who is told, and that nothing changes without operators."""

from __future__ import annotations

import pytest

from relay.core.messages import Outcome
from relay.core.person_requests import asks_for_person
from relay.storage.schema import inbound
from tests.core.harness import ANN, CAT, NewRelay, RelayHarness
from tests.english import english


@pytest.mark.parametrize(
    "text",
    [
        *("human", "Human!", " HUMAN ", "Agent.", "a real person", "Talk to a human", "Mensch", "¿Humano?"),
        *("Parler à un humain", "человек", "人工", "真人。", "オペレーター", "इंसान", "נציג"),
    ],
)
def test_a_request_for_a_person_is_recognized(text: str) -> None:
    """In any case, with any punctuation, in several languages."""
    assert asks_for_person(text)


@pytest.mark.parametrize(
    "text",
    [
        "Are you human?",
        "The agent told me to write",
        "persons",
        "humans are odd",
        "",
        "?",
        "My agent",
        "person of the year",
    ],
)
def test_a_sentence_with_the_word_is_a_question(text: str) -> None:
    """It is for the AI."""
    assert not asks_for_person(text)


async def test_the_person_is_handed_over_and_the_operators_are_told(new_relay: NewRelay) -> None:
    """With an honest sentence; what follows is left to the person as well, and every operator reads it."""
    relay = await new_relay(operators=(f"sms:{CAT}",))
    await relay.receive("name=Ann", "Human!", "my order is late")
    await relay.idle()
    assert relay.channel.to(ANN) == ["registered", english("handed-over")]
    assert relay.model.prompts == []
    assert (await relay.rows(inbound, "outcome"))[1:] == [(Outcome.ANSWERED,), (Outcome.LEFT_TO_PERSON,)]
    await relay.advance(60)
    assert relay.channel.to(CAT) == [
        f"Waits for you: Ann, sms {ANN}\n\nHuman!",
        f"Waits for you: Ann, sms {ANN}\n\nmy order is late",
    ]


async def test_without_operators_the_ai_answers(relay: RelayHarness) -> None:
    """A promise that somebody comes would be a lie."""
    await relay.receive("human")
    await relay.idle()
    assert relay.channel.to(ANN) == ["re: human"]
