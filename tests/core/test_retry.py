"""When to try again: delays grow, stay within their bounds, honour the provider, and end by age and by count."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.core.errors import RelayError, SendError, SendFailure, StorageError
from relay.core.retry import (
    JITTER,
    LONGEST_DELAY,
    MAX_EXTRA_SECONDS,
    MODEL_BACKOFF,
    SEND_BACKOFF,
    Backoff,
    next_delay,
    retry_forever,
)

RNG = st.floats(0, 1)
SECONDS = st.floats(0, 1e6)
BACKOFFS = st.builds(Backoff, st.floats(0.1, 100), st.floats(100, 10_000), st.integers(1, 50))


@given(
    backoff=BACKOFFS, attempts=st.integers(1, 10_000), age=SECONDS, give_up=SECONDS, after=st.none() | SECONDS, rng=RNG
)
def test_a_pause_is_within_its_bounds_or_there_is_none(
    backoff: Backoff, attempts: int, age: float, give_up: float, after: float | None, rng: float
) -> None:
    """None exactly when count or age is used up; else never less than asked for, nor longer than the longest."""
    delay = next_delay(backoff, attempts=attempts, age=age, give_up_after=give_up, retry_after=after, rng=lambda: rng)
    assert (delay is None) == (attempts >= backoff.max_attempts or age >= give_up)
    if delay is not None:
        assert delay >= (after or 0)
        assert delay <= max(backoff.longest * (1 + JITTER), after or 0) + 1e-9
        assert delay >= min(backoff.first, backoff.longest) * (1 - JITTER) - 1e-9


@given(backoff=BACKOFFS, attempts=st.integers(1, 40))
def test_pauses_grow(backoff: Backoff, attempts: int) -> None:
    """Each attempt waits at least as long as the one before, jitter aside."""
    delays = [
        next_delay(Backoff(backoff.first, backoff.longest, 1000), attempts=n, age=0, give_up_after=1, rng=lambda: 0.5)
        for n in (attempts, attempts + 1)
    ]
    assert delays[0] is not None
    assert delays[1] is not None
    assert delays[0] <= delays[1]


def test_pauses_double_from_the_first_to_the_longest() -> None:
    """The plain row, without jitter."""
    backoff = Backoff(1.0, 60.0, 100)
    delays = [next_delay(backoff, attempts=n, age=0, give_up_after=1, rng=lambda: 0.5) for n in range(1, 9)]
    assert delays == [1, 2, 4, 8, 16, 32, 60, 60]


def test_a_provider_that_names_the_time_often_is_not_avoided_for_minutes() -> None:
    """Ten refusals with "retry after 1" are no reason to wait five minutes."""
    backoff = SEND_BACKOFF[SendFailure.BUSY]
    delays = [
        next_delay(backoff, attempts=n, age=0, give_up_after=1, retry_after=after, rng=lambda: 0.5)
        for n, after in ((1, 1.0), (3, 1.0), (10, 1.0), (10, 300.0), (10, None))
    ]
    assert delays == [1, 4, MAX_EXTRA_SECONDS, 300, backoff.longest]


@pytest.mark.parametrize(
    "kind", [SendFailure.RECIPIENT, SendFailure.OPTED_OUT, SendFailure.BLOCKED, SendFailure.REJECTED]
)
def test_what_is_final_is_not_tried_again(kind: SendFailure) -> None:
    """Not even when the provider names a time."""
    assert next_delay(SEND_BACKOFF.get(kind), attempts=1, age=0, give_up_after=86_400, retry_after=5) is None


@pytest.mark.parametrize("kind", [*SEND_BACKOFF])
def test_what_may_pass_is_tried_again_until_it_is_too_old(kind: SendFailure) -> None:
    """The age decides, however the provider puts us off; what waits for its user has an age of its own."""
    too_old = SEND_BACKOFF[kind].max_age or 86_400
    assert next_delay(SEND_BACKOFF.get(kind), attempts=1, age=too_old - 1, give_up_after=86_400) is not None
    assert next_delay(SEND_BACKOFF.get(kind), attempts=1, age=too_old, give_up_after=86_400, retry_after=1) is None


def test_only_what_waits_for_its_user_is_put_off_for_days() -> None:
    """By this the store tells the two apart when the user writes."""
    for kind, backoff in SEND_BACKOFF.items():
        least = next_delay(backoff, attempts=1, age=0, give_up_after=86_400, rng=lambda: 0.0)
        most = backoff.delay(1000, rng=lambda: 1.0)
        assert least is not None
        assert (least > LONGEST_DELAY) == (most > LONGEST_DELAY) == (kind is SendFailure.WINDOW), kind


def test_later_means_one_careful_repetition() -> None:
    """Ten minutes on, and no third attempt."""
    first = next_delay(SEND_BACKOFF[SendFailure.LATER], attempts=1, age=0, give_up_after=86_400, rng=lambda: 0.0)
    assert first == pytest.approx(480)
    assert next_delay(SEND_BACKOFF[SendFailure.LATER], attempts=2, age=700, give_up_after=86_400) is None


def test_a_daily_limit_is_tried_every_hour_until_the_next_day() -> None:
    """Seldom enough not to be punished, and it is no reason to give anything up."""
    for attempts in (1, 2, 20):
        delay = next_delay(
            SEND_BACKOFF[SendFailure.LIMIT], attempts=attempts, age=80_000, give_up_after=86_400, rng=lambda: 0.5
        )
        assert delay == pytest.approx(3600)


def test_an_outage_of_the_model_is_outlasted() -> None:
    """The attempts of an hour are far from the limit of the count."""
    age, attempts = 0.0, 0
    while (delay := next_delay(MODEL_BACKOFF, attempts=attempts + 1, age=age, give_up_after=3600)) is not None:
        age, attempts = age + delay, attempts + 1
    assert 3600 <= age <= 3600 + 72
    assert attempts < MODEL_BACKOFF.max_attempts / 10


def test_without_a_request_of_the_provider_the_backoff_alone_decides() -> None:
    """A delay below one second stays below one second."""
    delay = next_delay(Backoff(0.1, 0.1), attempts=1, age=0, give_up_after=1, rng=lambda: 0.5)
    assert delay == pytest.approx(0.1)


async def test_a_call_is_repeated_until_it_succeeds(caplog: pytest.LogCaptureFixture) -> None:
    """Pauses double, never shorter than the provider asks for; each error is passed on; then nothing more is called."""
    outcomes: list[RelayError | None] = [
        StorageError("locked"),
        SendError(SendFailure.BUSY, "429", "slow down", retry_after=7.0),
        SendError(SendFailure.BUSY, "429", "once more", retry_after=1.0),
        None,
    ]
    errors: list[str] = []
    pauses: list[float] = []

    async def call() -> None:
        if (outcome := outcomes.pop(0)) is not None:
            raise outcome

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)

    await retry_forever("the call", call, on_failure=errors.append, sleep=sleep)
    assert (outcomes, errors) == ([], ["locked", "slow down", "once more"])
    assert pauses == [1.0, 7.0, 4.0]
    assert caplog.messages[0] == "the call failed: locked; next try in 1 s"


async def test_refused_credentials_are_tried_again_seldom() -> None:
    """Only their correction helps; a provider may lock an account that asks every second."""
    refusals = [SendError(SendFailure.CONFIG, "401", "no such token")] * 3
    pauses: list[float] = []

    async def call() -> None:
        if refusals:
            raise refusals.pop()

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)

    await retry_forever("the call", call, sleep=sleep)
    assert pauses == [60.0, 120.0, 240.0]
