"""A server is killed or stopped at every step of a message; after a restart nothing is lost or doubled.

`make test` runs a part of the table, `make crash` (CRASH_POINTS=all) the whole of it, and prints the outcome of each.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from itertools import count

import pytest

from tests.crash.counting_model import CountingModel
from tests.crash.crash_points import MODEL, CrashCase, Ingress, cases
from tests.crash.outcomes import record
from tests.crash.runs import ServerRuns, audit, end_from_outside, inject_fault, new_user, set_failpoint
from tests.ports import Ports
from tests.simulator.running_simulator import RunningSimulator, running_simulator

pytestmark = [pytest.mark.processes, pytest.mark.campaign]

CASES = list(cases(whole=os.environ.get("CRASH_POINTS") == "all"))
LINES_OF_TWO_PARTS = {Ingress.SMS: 14, Ingress.POLLING: 35, Ingress.WEBHOOK: 35}
_names = count(1)


@pytest.fixture(scope="module")
def sim() -> Iterator[RunningSimulator]:
    with running_simulator() as one:
        yield one


@pytest.fixture(scope="module")
def model() -> Iterator[CountingModel]:
    one = CountingModel()
    yield one
    one.close()


@pytest.fixture(scope="module")
def runs_of(
    tmp_path_factory: pytest.TempPathFactory, sim: RunningSimulator, model: CountingModel
) -> Iterator[Callable[[Ingress], ServerRuns]]:
    """The runs of an ingress, continued from case to case on one database; those of another ingress are ended."""
    held = Ports()
    ports = held.take(), held.take()
    known: dict[Ingress, ServerRuns] = {}

    def find(ingress: Ingress) -> ServerRuns:
        for other in known.values():
            if other.ingress is not ingress:
                other.kill()
        if ingress not in known:
            known[ingress] = ServerRuns(ingress, tmp_path_factory.mktemp(f"crash-{ingress}"), sim, model, ports)
        known[ingress].reset()
        return known[ingress]

    yield find
    for one in known.values():
        one.kill()
    held.give_back()


@pytest.mark.parametrize("case", [pytest.param(case, id=case.name) for case in CASES])
def test_after_an_end_at_any_step_every_message_is_answered_once_and_in_order(
    runs_of: Callable[[Ingress], ServerRuns], case: CrashCase
) -> None:
    """Three messages in a row, the first with an answer of two parts; and the server ends at the point."""
    runs = runs_of(case.ingress)
    runs.ensure_running()
    user = new_user(runs, case.name)
    inject_fault(runs, case.point.fault)
    name = next(_names)
    first, *others = f"Tell me #{name}ax{LINES_OF_TWO_PARTS[case.ingress]}", f"and #{name}bx1", f"and #{name}cx1"
    if case.point.is_arrival:
        set_failpoint(runs, case)
        user.send(first, *others)
    else:
        runs.model.hold()
        user.send(first)
        runs.model.await_question()
        user.send(*others)
        if case.point.verb == MODEL:
            end_from_outside(runs, case.end)
        else:
            set_failpoint(runs, case)
            runs.model.gate.set()
    runs.await_end(case.end)
    runs.model.gate.set()

    runs.ensure_running()
    user.redeliver()
    user.await_idle()
    found = audit(user)
    record(case, found)
    assert found.given_up == (1 if case.gives_up else 0)
    assert found.seen == [line for line in found.wanted if line in found.seen or not case.gives_up]
    assert found.repeats <= case.repeats
