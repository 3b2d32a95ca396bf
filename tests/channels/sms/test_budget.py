"""An answer keeps within its budget of segments, and MORE brings the rest, all of it, in its order."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.channels.sms.budget import asks_for_more, plan_within, verbatim
from relay.channels.sms.plain_text import to_plain_text
from relay.channels.sms.segments import segments
from relay.channels.sms.spelling import clean_sms
from relay.channels.sms.texts import more
from relay.core.cutting import utf16_length
from relay.core.parts import PlannedPart
from relay.texts import ENGLISH

STORY = " ".join(f"Sentence number {number} of a long story." for number in range(100))


def cost(parts: list[PlannedPart]) -> int:
    return sum(segments(part.text) for part in parts)


def told(text: str, max_segments: int, max_parts: int) -> tuple[list[str], int]:
    """The texts without the note, one for each MORE until the rest is empty; and the most that one cost."""
    texts: list[str] = []
    most = 0
    while text:
        parts = plan_within(text, more(ENGLISH), max_segments, max_parts, 1600)
        assert len(texts) < 2000
        texts.append("".join(part.history_text for part in parts).removesuffix(more(ENGLISH)))
        text, most = parts[-1].rest, max(most, cost(parts))
    return texts, most


@pytest.mark.parametrize(("max_segments", "max_parts"), [(1, 6), (2, 1), (4, 6), (11, 1), (25, 6), (400, 2)])
@pytest.mark.parametrize("text", [STORY, STORY.replace("story", "истории"), STORY.replace(". ", ".\n\n")])
def test_an_answer_keeps_within_its_budget_and_nothing_is_lost(text: str, max_segments: int, max_parts: int) -> None:
    """However small the budget and whatever the alphabet."""
    texts, most = told(text, max_segments, max_parts)
    assert most <= max_segments
    assert " ".join(" ".join(texts).split()) == " ".join(text.split())


def test_the_budget_is_used() -> None:
    """Four segments hold about 600 characters of GSM-7, and about 260 of others."""
    [latin] = plan_within(STORY, more(ENGLISH), 4, 6, 1600)
    [other] = plan_within(STORY.replace("story", "истории"), more(ENGLISH), 4, 6, 1600)
    assert 540 <= utf16_length(latin.text) <= 4 * 153
    assert 220 <= utf16_length(other.text) <= 4 * 67
    assert latin.text.endswith("." + more(ENGLISH))


def test_an_answer_within_the_budget_is_left_alone() -> None:
    """To the last character."""
    [part] = plan_within("a" * 612, more(ENGLISH), 4, 6, 1600)
    assert (part.text, part.rest, part.segments) == ("a" * 612, "", 4)


@given(st.text(max_size=1500), st.integers(1, 8))
def test_any_text_comes_through_in_the_end(text: str, max_segments: int) -> None:
    """Whatever is in it; white space at a cut may go."""
    text = clean_sms(text)
    texts, most = told(text, max_segments, 6)
    assert most <= max_segments
    assert "".join("".join(texts).split()) == "".join(text.split())


@given(st.text(max_size=300))
def test_a_rest_reads_as_it_was_planned(text: str) -> None:
    """It was rendered already, so it is not rendered once more: marks, indentation and fences stay."""
    text = clean_sms(text)
    assert clean_sms(to_plain_text(verbatim(text))) == text


@pytest.mark.parametrize(
    "text", ["MORE", "more", "More!", " more please ", "“more”", "Mehr", "más", "Plus", "еще", "更多"]
)
def test_a_person_asks_for_the_rest_by_a_word(text: str) -> None:
    """In the languages of our texts."""
    assert asks_for_more(text)


@pytest.mark.parametrize("text", ["more about prices", "tell me more", "no more", "more?more", "moreover", "less", ""])
def test_other_texts_are_questions(text: str) -> None:
    """They go to the model."""
    assert not asks_for_more(text)
