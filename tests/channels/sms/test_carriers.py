"""Texts that carriers cut in two or deliver twice, told from those that a person wrote like that."""

from __future__ import annotations

import pytest

from relay.channels.sms.carriers import is_repetition, joined, looks_cut
from relay.channels.sms.spec import SMS
from relay.core.messages import HistoryMessage, InboundMessage, UserId

WORDS = "please tell me everything about the long history of the city of rome and its many emperors who ruled it "
SEGMENT = (WORDS * 2)[:153]


@pytest.mark.parametrize(
    ("text", "cut"),
    [
        (SEGMENT, True),
        ((WORDS * 2)[:160], True),
        (WORDS + "from", True),
        ("Please tell me about the history of Rome and", True),
        ("Can you tell me, because I really want to know,", True),
        ("расскажи мне пожалуйста все что ты знаешь об истории города рима и его", True),  # noqa: RUF001 (Russian)
        (WORDS + "from the first to the last.", False),
        (WORDS + "from the first to the last? 🙂", False),
        ("What time is it", False),
        ("when do you open", False),
        ("and", False),
        ("Tell me a joke", False),
        ("", False),
    ],
)
def test_a_text_looks_cut_when_it_is_long_or_leads_on_without_a_stop(text: str, *, cut: bool) -> None:
    """A short question without a mark is whole, so it is not made to wait."""
    assert looks_cut(text) is cut


@pytest.mark.parametrize(
    ("texts", "whole"),
    [
        ((SEGMENT, "rest"), SEGMENT + "rest"),
        ((WORDS + "from", "the first"), WORDS + "from the first"),
        ((WORDS + "from", " the first"), WORDS + "from the first"),
        (("Hello.", "How are you?"), "Hello.\nHow are you?"),
        (("hi", "you there", "John"), "hi\nyou there\nJohn"),
        (("one",), "one"),
    ],
)
def test_halves_are_joined_and_messages_are_lines(texts: tuple[str, ...], whole: str) -> None:
    """A full segment may end within a word."""
    assert joined(texts) == whole


def _received(text: str, at: float) -> InboundMessage:
    return InboundMessage(SMS, "SM2", UserId("+12345678900"), text, at)


@pytest.mark.parametrize(
    ("text", "at", "answered_at", "repeated"),
    [
        ("What is up?", 100.3, None, True),
        ("What is up?", 108.0, None, True),
        ("What is up?", 102.0, 100.5, True),
        ("What is up?\n", 102.0, 100.5, True),
        ("And so?", 100.3, None, True),
        ("What is up?", 104.0, 100.5, False),
        ("What is up?", 120.0, None, False),
        ("What is up", 100.3, None, False),
        ("up?", 100.3, None, False),
        ("", 100.3, None, False),
    ],
)
def test_the_same_text_moments_later_is_the_carriers(
    text: str, at: float, answered_at: float | None, *, repeated: bool
) -> None:
    """Until a person can have read the answer; several messages may have been answered together."""
    history = [HistoryMessage("user", "What is up?\nAnd so?", 100.0)]
    if answered_at is not None:
        history.append(HistoryMessage("assistant", "Not much.", answered_at))
    assert is_repetition(_received(text, at), history) is repeated
