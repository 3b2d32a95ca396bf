"""Telegram's flood limits and Twilio's segments: rules with a clock and with numbers."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.simulator.flood_limits import Family, FloodLimits
from relay.simulator.twilio_rules import keyword, segments


class Clock:
    """Time that passes when told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_one_message_a_second_in_a_private_chat() -> None:
    """The second one waits one second, another chat does not."""
    clock = Clock()
    flood_limits = FloodLimits(clock)
    assert flood_limits.retry_after(1, Family.MESSAGE) is None
    assert flood_limits.retry_after(1, Family.MESSAGE) == 1
    assert flood_limits.retry_after(2, Family.MESSAGE) is None
    clock.now += 1.0
    assert flood_limits.retry_after(1, Family.MESSAGE) is None


def test_twenty_a_minute_in_a_group() -> None:
    """The twenty-first is told to wait for the rest of the minute."""
    clock = Clock()
    flood_limits = FloodLimits(clock)
    for _ in range(20):
        assert flood_limits.retry_after(-1, Family.MESSAGE) is None
        clock.now += 1
    assert flood_limits.retry_after(-1, Family.MESSAGE) == 40


def test_thirty_a_second_over_all_chats() -> None:
    """The thirty-first chat waits, without a growing penalty for anybody."""
    clock = Clock()
    flood_limits = FloodLimits(clock)
    assert [flood_limits.retry_after(chat, Family.MESSAGE) for chat in range(1, 33)] == [None] * 30 + [1, 1]
    clock.now += 1
    assert flood_limits.retry_after(31, Family.MESSAGE) is None


def test_calling_again_too_early_doubles_the_pause() -> None:
    """And keeping the pause ends it."""
    clock = Clock()
    flood_limits = FloodLimits(clock)
    waits = [flood_limits.retry_after(1, Family.MESSAGE) for _ in range(4)]
    assert waits == [None, 1, 2, 4]
    clock.now += 4
    assert flood_limits.retry_after(1, Family.MESSAGE) is None


def test_typing_and_edits_have_budgets_of_their_own() -> None:
    """Twenty typings in five seconds; an edit does not wait for a message."""
    flood_limits = FloodLimits(Clock())
    assert [flood_limits.retry_after(1, Family.COSMETIC) for _ in range(21)] == [None] * 20 + [5]
    assert flood_limits.retry_after(1, Family.MESSAGE) is None
    assert flood_limits.retry_after(1, Family.EDIT) is None


@given(st.lists(st.floats(0, 3), max_size=60))
def test_a_client_that_keeps_the_pauses_never_gets_a_second_429(gaps: list[float]) -> None:
    """A caller that waits as told gets through at the next try."""
    clock = Clock()
    flood_limits = FloodLimits(clock)
    for gap in gaps:
        clock.now += gap
        wait = flood_limits.retry_after(1, Family.MESSAGE)
        if wait is not None:
            clock.now += wait
            assert flood_limits.retry_after(1, Family.MESSAGE) is None


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("", 1),
        ("a" * 160, 1),
        ("a" * 161, 2),
        ("a" * 306, 2),
        ("a" * 307, 3),
        ("€" * 80, 1),
        ("€" * 81, 2),
        ("a" * 152 + "€" + "a" * 152, 3),
        ("ü" * 160, 1),
        ("ё" * 70, 1),
        ("ё" * 71, 2),
        ("😀" * 35, 1),
        ("😀" * 36, 2),
        ("😀" * 67, 3),
    ],
)
def test_segments_are_counted_as_they_are_billed(text: str, count: int) -> None:
    """GSM-7 and UCS-2, escape and surrogate pairs never split."""
    assert segments(text) == count


@pytest.mark.parametrize(
    ("body", "word"),
    [(" Stop\n", "STOP"), ("OPTOUT", "STOP"), ("yes", "START"), ("info", "HELP"), ("stop it", None), ("", None)],
)
def test_keywords_are_whole_bodies(body: str, word: str | None) -> None:
    """Any case, blanks around."""
    assert keyword(body) == word
