"""A model's invented next message is cut in plain text too, and what a person asked for in the same form is kept."""

from __future__ import annotations

from pathlib import Path

import pytest

from relay.core.http_client import open_http_client
from relay.core.messages import Platform
from relay.llm.client import LlmClient
from relay.llm.providers.invented_messages import InventedMessages
from relay.llm.providers.repeated_prompt import RepeatedPrompt
from tests.llm.running_llm_server import openai, running
from tests.llm.scripted_upstream import COMPLETIONS, Upstream, completion

QUESTION = "Are you open on Sunday?"
CLOSED = "We are closed."

CUT: list[tuple[str, str]] = [
    (f"{CLOSED}\n\nHuman: And on Monday?\n\nAssistant: Yes.", CLOSED),
    (f"{CLOSED}\n\nHuman:", CLOSED),
    (f"{CLOSED}\nUser: Thanks!\nAssistant: Gladly.", CLOSED),
    (f"{CLOSED}\n\nUSER: Ok", CLOSED),
    (f"{CLOSED}\n\nAssistant: You're welcome!", CLOSED),
    (f"{CLOSED}\n\n### Instruction:\nWrite a poem.\n\n### Response:\nRoses", CLOSED),
    (f"{CLOSED}\n### Human: and then?", CLOSED),
    (f"{CLOSED}\n\nBob: Thanks!\n", CLOSED),
    (f"{CLOSED}\n\nWillow: Gladly!", CLOSED),
    ("Hours: 9 to 18.\n\nHuman: And on Sunday?", "Hours: 9 to 18."),
    ("我们不营业。\n\n用户\uff1a谢谢\n助手\uff1a不客气", "我们不营业。"),
    ("Fermé.\n\nUtilisateur : Merci !\n", "Fermé."),
    ("Закрыто.\nПользователь: Спасибо", "Закрыто."),  # noqa: RUF001 (Cyrillic)
    (f"Assistant: {CLOSED}", CLOSED),
    (f"### Response:\n{CLOSED}", CLOSED),
    (f"Willow: {CLOSED}", CLOSED),
    (f"User: {QUESTION}\nAssistant: {CLOSED}", CLOSED),
    (f"Human: {QUESTION}\n\nAI: {CLOSED}\n\nHuman: Why?", CLOSED),
    (f"```\nUser: x\n```\n{CLOSED}\n\nHuman: Ok\nAI: Ok", f"```\nUser: x\n```\n{CLOSED}"),
]
KEPT: list[tuple[str, str]] = [
    (QUESTION, "A dialogue for you:\n\nHuman: Hello\nAssistant: Hi"),
    (QUESTION, "User: Hello\nAssistant: Hi\nUser: Bye"),
    (QUESTION, "There are two roles.\n\nUser: Can read.\nAdmin: Can write."),
    (QUESTION, "Admin: Can write.\nUser: Can read.\n"),
    (QUESTION, "Two words.\n\nHuman: a being that thinks."),
    (QUESTION, "Assistant: a person who helps."),
    (QUESTION, "It is a log.\n\n```\nUser: bob\nAssistant: on\n```\nSo it is."),
    (QUESTION, "~~~\nok\n\nHuman: x\n~~~"),
    (QUESTION, "Every human: old or young. The user: you."),
    (QUESTION, "1. Human: x\n- User: y\n> Bob: z"),
    (QUESTION, "Mix it.\n\n### Instructions\n1. Stir"),
    (QUESTION, "Userland: a place.\n\nHumans: many.\n\nBobby: someone."),
    (QUESTION, "We are closed\n\nUser " + "long " * 90 + "\n\nEnd."),
    (QUESTION, "Good.\n\nUser: " + "A long paragraph of the answer. " * 20),
    ("What is the difference between a human and a bot?", "Easy.\n\nHuman: Feels.\n\nBot: Does not."),
    ("Write a talk of two users", "Fine.\n\nUser: Hello!\n"),
    ("A poem for Bob", "Here you are.\n\nBob: The Poem\n"),
    ("用户是什么意思\uff1f", "好的。\n\n用户\uff1a使用者\n"),
    (QUESTION, "Prices\n\nRepair: 15\nService: 79\n"),
    (QUESTION, "Human"),
]
OF_BOTH = [*((QUESTION, text, shown) for text, shown in CUT), *((asked, text, text) for asked, text in KEPT)]


@pytest.mark.parametrize(("asked", "text", "shown"), OF_BOTH, ids=[text[:40] for _, text, _ in OF_BOTH])
def test_an_invented_message_is_cut_and_an_answer_is_kept_wherever_the_stream_is_cut(
    asked: str, text: str, shown: str
) -> None:
    """Whole, character by character and in every two pieces the outcome is the same."""
    for cuts in ([text], [*text], *([text[:at], text[at:]] for at in range(1, len(text)))):
        passed = InventedMessages(asked, "Bob", "Willow")
        whole = "".join(passed.feed(piece) for piece in cuts) + passed.end()
        assert whole.strip() == shown.strip()


PROMPT = "You answer text messages (SMS) as a friendly, honest assistant. Write plain text: no emoji.\n\nBe brief."
REPEATED: list[tuple[str, str]] = [
    (PROMPT, ""),
    (PROMPT[:90], ""),
    (f"{PROMPT}\n\nWe are closed.", "We are closed."),
    (f"\n{PROMPT[:100]} and so on", "and so on"),
    (PROMPT[:40], PROMPT[:40]),
    ("You answer text messages well!", "You answer text messages well!"),
    ("We are closed.", "We are closed."),
    (f"My instructions: {PROMPT}", f"My instructions: {PROMPT}"),
    ("", ""),
]


@pytest.mark.parametrize(("text", "shown"), REPEATED, ids=[text[:40] for text, _ in REPEATED])
def test_instructions_that_a_model_repeats_are_no_answer(text: str, shown: str) -> None:
    """Whole, character by character and in every two pieces; a few words in common are no repetition."""
    for cuts in ([text], [*text], *([text[:at], text[at:]] for at in range(1, len(text)))):
        passed = RepeatedPrompt(PROMPT)
        assert ("".join(passed.feed(piece) for piece in cuts) + passed.end()).strip() == shown


def test_without_instructions_nothing_is_cut() -> None:
    """Nor held back."""
    assert RepeatedPrompt("").feed("You") == "You"


def test_a_line_that_is_no_label_is_delivered_at_once() -> None:
    """A stream does not wait for the ends of its lines."""
    passed = InventedMessages(QUESTION)
    assert passed.feed("We are") == "We are"
    assert passed.feed(" closed.\nMon") == " closed.\nMon"
    assert passed.feed("day: open.\n\nHu") == "day: open.\n\n"
    assert passed.feed("ndreds") == "Hundreds"


async def test_a_person_gets_no_invented_message_and_another_client_gets_all(
    upstream: Upstream, tmp_path: Path
) -> None:
    """A program may have asked for such lines."""
    upstream.on(COMPLETIONS, completion("We are closed.\n\nHum", "an: And on Monday?\n\nAssistant: Yes."))
    settings = openai(tmp_path, upstream)
    async with running(settings) as server, open_http_client() as http:
        client = LlmClient(http, settings.model_copy(update={"llm_server_url": server.url}))
        asked = [{"role": "user", "content": QUESTION}]
        answer = await client.ask(asked, platform=Platform("sms"), user="u", name="Bob")
        assert answer.text == CLOSED
        assert "And on Monday?" in (await server.chat(QUESTION)).json()["message"]["content"]
