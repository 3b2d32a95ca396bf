"""The audit of fairness: it must find a user who waits while others are served again and again, and no other user."""

from __future__ import annotations

from collections.abc import Sequence

from relay.channels.sms.spec import SMS
from relay.channels.telegram.spec import TELEGRAM
from relay.core.messages import Platform
from tests.chaos.chaos_fairness import ModelLog, Served, waits
from tests.chaos.chaos_questions import Kind, make_question, user_of

ANN, BOB = 1, 2


def marker(person: int, number: int, platform: Platform = SMS) -> str:
    return make_question(1, platform, person, number, Kind.SHORT).marker


def log_of(*requests: tuple[float, str]) -> ModelLog:
    """A model that is asked at these moments and has answered half a second later."""
    log = ModelLog()
    for moment, text in requests:
        log.add(text, moment, moment + 0.5)
    return log


def rounds(
    log: ModelLog, settled: dict[str, float], parts: Sequence[tuple[float, str]] = (), failed: Sequence[str] = ()
) -> dict[str, int]:
    """The rounds of each leg of Ann's first question."""
    arrived = [Served(moment, user_of(text)) for moment, text in parts]
    first = {text: moment for moment, text in reversed(parts)}
    found = waits(log, settled, arrived, first, set(failed))
    return {wait.leg: wait.rounds for wait in found if wait.marker == marker(ANN, 1)}


def test_who_waits_while_another_is_asked_again_and_again_is_found() -> None:
    """One round for each time that the other one was served meanwhile; what came before does not count."""
    busy = [(float(moment), marker(BOB, moment)) for moment in range(20)]
    log = log_of(*busy, (15.5, marker(ANN, 1)))
    assert rounds(log, {marker(ANN, 1): 4.5}) == {"asking": 11}
    assert rounds(log, {marker(ANN, 1): 12.5}) == {"asking": 3}


def test_many_others_are_one_round() -> None:
    """However many users there are, each of them goes first once."""
    log = log_of(*((float(person), marker(person, 1)) for person in range(10, 40)), (50.0, marker(ANN, 1)))
    assert rounds(log, {marker(ANN, 1): 9.0}) == {"asking": 1}


def test_a_question_waits_from_the_end_of_the_users_own_earlier_one() -> None:
    """One at a time is a promise, not a wait for others."""
    busy = [(float(moment), marker(BOB, moment)) for moment in range(20)]
    log = log_of(*busy, (18.0, marker(ANN, 9)), (19.2, marker(ANN, 1)))
    assert rounds(log, {marker(ANN, 9): 0.0, marker(ANN, 1): 0.5}) == {"asking": 1}


def test_another_platform_counts_for_nothing() -> None:
    """Its servers are others."""
    log = log_of(*((float(n), marker(BOB, n, TELEGRAM)) for n in range(9)), (10.0, marker(ANN, 1)))
    assert rounds(log, {marker(ANN, 1): 0.5}) == {"asking": 0}


def test_parts_that_come_while_an_answer_waits_are_counted() -> None:
    """From the response of the model to the first part on the phone."""
    log = log_of((1.0, marker(ANN, 1)))
    parts = [(float(moment), marker(BOB, 1)) for moment in range(12)]
    assert rounds(log, {marker(ANN, 1): 0.9}, [*parts, (11.5, marker(ANN, 1))]) == {"asking": 0, "sending": 10}
    own = [(9.5, marker(ANN, 9)), (11.5, marker(ANN, 1))]
    assert rounds(log, {marker(ANN, 1): 0.9}, [*parts, *own]) == {"asking": 0, "sending": 2}


def test_what_was_tried_again_is_left_out() -> None:
    """It waited for a pause of its own."""
    busy = [(float(moment), marker(BOB, moment)) for moment in range(20)]
    log = log_of(*busy, (15.5, marker(ANN, 1)))
    assert rounds(log, {marker(ANN, 1): 4.5}, failed=[marker(ANN, 1)]) == {}
