"""When to try again: pauses grow, stay within their bounds, honour the provider, and end by age and by count."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.core.errors import SendFailure
from relay.core.retry import JITTER, MODEL_PACE, SEND_PACES, Pace, next_pause, next_send

CHANCE = st.floats(0, 1)
SECONDS = st.floats(0, 1e6)
PACES = st.builds(Pace, st.floats(0.1, 100), st.floats(100, 10_000), st.integers(1, 50))


@given(
    pace=PACES, attempts=st.integers(1, 10_000), age=SECONDS, give_up=SECONDS, after=st.none() | SECONDS, chance=CHANCE
)
def test_a_pause_is_within_its_bounds_or_there_is_none(
    pace: Pace, attempts: int, age: float, give_up: float, after: float | None, chance: float
) -> None:
    """None exactly when count or age is used up; else never less than asked for, nor longer than the longest."""
    pause = next_pause(
        pace, attempts=attempts, age=age, give_up_after=give_up, retry_after=after, chance=lambda: chance
    )
    assert (pause is None) == (attempts >= pace.attempts or age >= give_up)
    if pause is not None:
        assert pause >= (after or 0)
        assert pause <= max(pace.longest * (1 + JITTER), after or 0) + 1e-9
        assert pause >= min(pace.first, pace.longest) * (1 - JITTER) - 1e-9


@given(pace=PACES, attempts=st.integers(1, 40))
def test_pauses_grow(pace: Pace, attempts: int) -> None:
    """Each attempt waits at least as long as the one before, chance aside."""
    pauses = [
        next_pause(Pace(pace.first, pace.longest, 1000), attempts=n, age=0, give_up_after=1, chance=lambda: 0.5)
        for n in (attempts, attempts + 1)
    ]
    assert pauses[0] is not None
    assert pauses[1] is not None
    assert pauses[0] <= pauses[1]


def test_pauses_double_from_the_first_to_the_longest() -> None:
    """The plain row, without jitter."""
    pace = Pace(1.0, 60.0, 100)
    pauses = [next_pause(pace, attempts=n, age=0, give_up_after=1, chance=lambda: 0.5) for n in range(1, 9)]
    assert pauses == [1, 2, 4, 8, 16, 32, 60, 60]


@pytest.mark.parametrize(
    "kind", [SendFailure.RECIPIENT, SendFailure.OPTED_OUT, SendFailure.BLOCKED, SendFailure.REJECTED]
)
def test_what_is_final_is_not_tried_again(kind: SendFailure) -> None:
    """Not even when the provider names a time."""
    assert next_send(kind, attempts=1, age=0, give_up_after=86_400, retry_after=5) is None


@pytest.mark.parametrize("kind", [*SEND_PACES])
def test_what_may_pass_is_tried_again_until_it_is_too_old(kind: SendFailure) -> None:
    """The age decides, however the provider puts us off."""
    assert next_send(kind, attempts=1, age=86_399, give_up_after=86_400) is not None
    assert next_send(kind, attempts=1, age=86_400, give_up_after=86_400, retry_after=1) is None


def test_later_means_one_careful_repetition() -> None:
    """Ten minutes on, and no third attempt."""
    first = next_send(SendFailure.LATER, attempts=1, age=0, give_up_after=86_400, chance=lambda: 0.0)
    assert first == pytest.approx(480)
    assert next_send(SendFailure.LATER, attempts=2, age=700, give_up_after=86_400) is None


def test_a_daily_limit_is_tried_every_hour_until_the_next_day() -> None:
    """Seldom enough not to be punished, and it is no reason to give anything up."""
    for attempts in (1, 2, 20):
        pause = next_send(SendFailure.LIMIT, attempts=attempts, age=80_000, give_up_after=86_400, chance=lambda: 0.5)
        assert pause == pytest.approx(3600)


def test_an_outage_of_the_model_is_outlasted() -> None:
    """The attempts of an hour are far from the limit of the count."""
    age, attempts = 0.0, 0
    while (pause := next_pause(MODEL_PACE, attempts=attempts + 1, age=age, give_up_after=3600)) is not None:
        age, attempts = age + pause, attempts + 1
    assert 3600 <= age <= 3600 + 72
    assert attempts < MODEL_PACE.attempts / 10
