"""A server dies, or is stopped, at every step of the way of a message; after a restart nothing is lost or doubled.

`make test` runs a part of the table, `make crash` (CRASH_WINDOWS=all) the whole of it, and prints what became of each.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from itertools import count

import pytest

from tests.crash.crash_points import MODEL, CrashCase, Way, cases
from tests.crash.outcomes import note
from tests.crash.runs import ServerRuns, audit, end_from_outside, lay_trap, make_trouble, new_writer
from tests.crash.small_model import SmallModel
from tests.ports import Ports
from tests.simulator.running_simulator import Running, running_simulator

pytestmark = pytest.mark.processes

CASES = list(cases(whole=os.environ.get("CRASH_WINDOWS") == "all"))
LINES_OF_TWO_PARTS = {Way.SMS: 14, Way.POLLING: 35, Way.WEBHOOK: 35}
_names = count(1)


@pytest.fixture(scope="module")
def sim() -> Iterator[Running]:
    with running_simulator() as one:
        yield one


@pytest.fixture(scope="module")
def model() -> Iterator[SmallModel]:
    one = SmallModel()
    yield one
    one.close()


@pytest.fixture(scope="module")
def runs_of(
    tmp_path_factory: pytest.TempPathFactory, sim: Running, model: SmallModel
) -> Iterator[Callable[[Way], ServerRuns]]:
    """The server of a way, which runs on from case to case, with its database; the server of another way ends."""
    held = Ports()
    ports = held.take(), held.take()
    known: dict[Way, ServerRuns] = {}

    def find(way: Way) -> ServerRuns:
        for other in known.values():
            if other.way is not way:
                other.forget()
        if way not in known:
            known[way] = ServerRuns(way, tmp_path_factory.mktemp(f"crash-{way}"), sim, model, ports)
        known[way].clear_up()
        return known[way]

    yield find
    for one in known.values():
        one.forget()
    held.give_back()


@pytest.mark.parametrize("case", [pytest.param(case, id=case.name) for case in CASES])
def test_after_an_end_at_any_step_every_message_is_answered_once_and_in_order(
    runs_of: Callable[[Way], ServerRuns], case: CrashCase
) -> None:
    """Three messages in a row, the first with an answer of two parts; and the server ends at the point."""
    runs = runs_of(case.way)
    runs.be_up()
    writer = new_writer(runs, case.name)
    make_trouble(runs, case.point.trouble)
    name = next(_names)
    first, *others = f"Tell me #{name}ax{LINES_OF_TWO_PARTS[case.way]}", f"and #{name}bx1", f"and #{name}cx1"
    if case.point.is_arrival:
        lay_trap(runs, case)
        writer.say(first, *others)
    else:
        runs.model.hold()
        writer.say(first)
        runs.model.await_question()
        writer.say(*others)
        if case.point.verb == MODEL:
            end_from_outside(runs, case.end)
        else:
            lay_trap(runs, case)
            runs.model.gate.set()
    runs.await_end(case.end)
    runs.model.gate.set()

    runs.be_up()
    writer.say_again()
    writer.await_calm()
    found = audit(writer)
    note(case, found)
    assert found.given_up == (1 if case.gives_up else 0)
    assert found.seen == [line for line in found.wanted if line in found.seen or not case.gives_up]
    assert found.repeats <= case.repeats
