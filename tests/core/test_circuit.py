"""When sending is tried again after a failure, and by which part."""

from __future__ import annotations

import logging
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.core.circuit import (
    SEND_PAUSES,
    TOLERATED_FAILURES,
    UNPROVEN_RESEND_SECONDS,
    WORKING_SECONDS,
    CircuitState,
    SendCircuit,
)
from relay.core.errors import OutcomeUnknown, SendError, SendFailure

GATEWAY = OutcomeUnknown("502", "Bad Gateway", answered=True)


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def make() -> tuple[SendCircuit, Clock]:
    clock = Clock()
    return SendCircuit("telegram", clock), clock


def test_each_failed_trial_lengthens_the_pause() -> None:
    """2, 5, 15, 15, 15 s; after a success it begins with 2 s again."""
    circuit, clock = make()
    pauses = []
    for _ in range(5):
        circuit.record_failure(GATEWAY, clock.now)
        pauses.append(circuit.open_seconds)
        clock.now += circuit.open_seconds
        assert circuit.state is CircuitState.HALF_OPEN
    assert pauses == [*SEND_PAUSES, *[SEND_PAUSES[-1]] * 2]
    circuit.record_success(clock.now)
    clock.now += WORKING_SECONDS
    circuit.record_failure(GATEWAY, clock.now)
    assert circuit.open_seconds == SEND_PAUSES[0]


def test_failures_between_successes_hold_up_no_other_part() -> None:
    """A provider that fails now and then sends; only the part that met the failure waits."""
    circuit, clock = make()
    for _ in range(20):
        circuit.record_success(clock.now)
        for _ in range(TOLERATED_FAILURES):
            clock.now += 0.2
            circuit.record_failure(GATEWAY, clock.now)
            assert circuit.admits("ann")
            assert not circuit.has_worked_within(60)
        clock.now += 0.2
    assert circuit.status() is None


@pytest.mark.parametrize(
    ("pause", "failures"),
    [(1.0, TOLERATED_FAILURES + 1), (WORKING_SECONDS, 1)],
    ids=["while it sends", "while it is idle"],
)
def test_failures_without_a_success_open_it(pause: float, failures: int) -> None:
    """The third in a row while parts are accepted, the first when none was for a while."""
    circuit, clock = make()
    circuit.record_success(clock.now)
    for count in range(1, failures + 1):
        clock.now += pause
        circuit.record_failure(GATEWAY, clock.now)
        assert circuit.admits("ann") is (count < failures)


def test_a_failed_probe_opens_it_at_once() -> None:
    """It is made because a send has failed."""
    circuit, clock = make()
    circuit.record_success(clock.now)
    clock.now += 1
    circuit.record_failure(GATEWAY, clock.now, probe=True)
    assert circuit.state is CircuitState.OPEN


@pytest.mark.parametrize("kind", [kind for kind in SendFailure if kind not in {"outage", "unknown"}])
def test_a_refusal_neither_opens_nor_closes_it(kind: SendFailure) -> None:
    """One user's trouble concerns no other user, and does not show that the provider sends again."""
    circuit, clock = make()
    circuit.record_failure(SendError(kind, "403", "blocked"), clock.now)
    assert circuit.state is CircuitState.CLOSED
    circuit.record_failure(GATEWAY, clock.now)
    clock.now += 2
    assert circuit.begin_trial("ann")
    circuit.record_failure(SendError(kind, "403", "blocked"), clock.now)
    assert circuit.end_trial("ann")
    assert (circuit.state, circuit.begin_trial("bob")) == (CircuitState.HALF_OPEN, True)


def test_calls_in_flight_when_it_opened_are_one_failure() -> None:
    """Whenever they end: neither do their failures lengthen the pause, nor does an older success close it."""
    circuit, clock = make()
    began = clock.now
    clock.now += 0.1
    circuit.record_failure(GATEWAY, began)
    clock.now += 0.1
    circuit.record_failure(GATEWAY, began)
    circuit.record_success(began)
    assert circuit.state is CircuitState.OPEN
    assert circuit.open_seconds == pytest.approx(SEND_PAUSES[0] - 0.1)
    clock.now += 2
    circuit.record_success(clock.now)
    clock.now += 20
    circuit.record_failure(GATEWAY, began)
    assert circuit.admits("ann")


def test_only_a_send_that_began_after_an_attempt_proves_something_about_it() -> None:
    """What was sent earlier does not, nor what was sent before the circuit opened again."""
    circuit, clock = make()
    circuit.record_success(clock.now)
    clock.now += 10
    assert (circuit.has_worked_within(5), circuit.has_worked_within(15)) == (False, True)
    circuit.record_failure(GATEWAY, clock.now)
    assert not circuit.has_worked_within(15)


def test_a_resend_is_risked_after_a_recovery_or_much_later() -> None:
    """A probe that never failed says nothing about a 502; one that failed before does, and about a cut connection."""
    circuit, clock = make()
    circuit.record_failure(GATEWAY, clock.now)
    clock.now += 2
    assert not circuit.risks_resend
    clock.now += UNPROVEN_RESEND_SECONDS - 2
    assert circuit.risks_resend
    circuit.record_failure(GATEWAY, clock.now)
    clock.now += 5
    assert not circuit.risks_resend
    circuit.record_failure(GATEWAY, clock.now, probe=True)
    assert circuit.risks_resend
    clock.now += 15
    circuit.record_failure(OutcomeUnknown("cut off", "the connection was cut"), clock.now)
    assert circuit.risks_resend


def test_an_outage_takes_two_lines_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    """When it opens and when it closes, whatever is tried in between."""
    caplog.set_level(logging.INFO, "relay.core.circuit")
    circuit, clock = make()
    for _ in range(5):
        circuit.record_failure(GATEWAY, clock.now)
        clock.now += circuit.open_seconds
    circuit.record_success(clock.now)
    assert [record.message for record in caplog.records] == [
        "sending on telegram fails: Bad Gateway (502). Parts wait, one at a time is tried. Nothing is lost.",
        "sending on telegram works again, after 52 s",
    ]


def test_the_operator_sees_why_and_for_how_long() -> None:
    """Nothing while it is closed."""
    circuit, clock = make()
    assert circuit.status() is None
    circuit.record_failure(GATEWAY, clock.now)
    clock.now += 0.5
    assert circuit.status() == {
        "state": "open",
        "reason": "Bad Gateway (502)",
        "failing_seconds": 0.5,
        "next_trial_seconds": 1.5,
    }


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("wait"), st.floats(0.1, 40)),
        st.tuples(st.just("start"), st.sampled_from("abcd")),
        st.tuples(st.sampled_from(["sent", "failed", "refused", "probe failed"]), st.sampled_from("abcd")),
    ),
    max_size=80,
)


@given(STEPS)
def test_whatever_happens_one_at_a_time_finds_out(steps: list[tuple[str, str | float]]) -> None:
    """While it is open nothing starts; half-open, one; it closes only by a send that began after it opened last."""
    circuit, clock = make()
    calls: dict[str, float] = {}
    trial, last_failure, opened, worked, in_a_row = "", 0.0, 0.0, -math.inf, 0
    for what, value in steps:
        clock.now += 0.001
        if isinstance(value, float):
            clock.now += value
            continue
        before = circuit.state
        if what == "start":
            if value in calls:
                continue
            begins = circuit.admits(value) or circuit.begin_trial(value)
            assert begins == (before is CircuitState.CLOSED or (before is CircuitState.HALF_OPEN and not trial))
            if begins:
                calls[value] = clock.now
                trial = value if before is CircuitState.HALF_OPEN else trial
        elif value in calls:
            began = calls.pop(value)
            if what == "sent":
                circuit.record_success(began)
                worked, in_a_row = max(worked, began), 0
            else:
                kind = SendFailure.BLOCKED if what == "refused" else SendFailure.UNKNOWN
                circuit.record_failure(SendError(kind, "", ""), began, probe=what == "probe failed")
                if what != "refused" and began > opened:
                    last_failure, in_a_row = clock.now, in_a_row + 1
                    sends = before is CircuitState.CLOSED and worked > clock.now - WORKING_SECONDS
                    single = sends and in_a_row <= TOLERATED_FAILURES and what == "failed"
                    assert circuit.state is (CircuitState.CLOSED if single else CircuitState.OPEN)
                    opened = opened if single else clock.now
            assert circuit.end_trial(value) == (trial == value)
            trial = "" if trial == value else trial
            if (before, circuit.state) != (CircuitState.CLOSED, CircuitState.CLOSED):
                assert (circuit.state is CircuitState.CLOSED) == (what == "sent" and began > opened)
        proven = worked > last_failure and circuit.state is CircuitState.CLOSED
        assert circuit.has_worked_within(clock.now - last_failure) == proven
