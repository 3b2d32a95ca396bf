"""UserWorkers: one step at a time for a user, users side by side, no notification lost, and an end in time."""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict, deque
from collections.abc import AsyncIterator, Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.core.errors import StorageError
from relay.core.messages import UserId
from relay.core.user_workers import CANCEL_SECONDS, ERROR_PAUSE_SECONDS, SWEEP_SECONDS, UserWorkers
from tests.core.harness import ANN, BOB, CAT, FakeClock
from tests.examples import examples


class WorkerHarness:
    """Work of several people, in memory, and a record of who worked when."""

    def __init__(self, concurrency: int = 3) -> None:
        self.clock = FakeClock()
        self.waiting: dict[UserId, deque[Callable[[], object] | None]] = defaultdict(deque)
        self.done: list[UserId] = []
        self.at_once: Counter[UserId] = Counter()
        self.most_at_once = 0
        self.ahead: dict[UserId, Counter[UserId]] = {}  # of each waiting user: the steps that others began meanwhile
        self.rounds = [0]
        self.listed: list[UserId] = []
        self.trouble: list[Exception] = []
        self.renewals = 0
        self.workers = UserWorkers(
            "test", self.step, self.due, concurrency=concurrency, renew=self.renew, sleep=self.clock.sleep
        )

    async def step(self, user_id: UserId) -> bool:
        if self.trouble:
            raise self.trouble.pop()
        self.at_once[user_id] += 1
        self.rounds += self.ahead.pop(user_id, Counter()).values()
        for others in self.ahead.values():
            others[user_id] += 1
        assert self.at_once[user_id] == 1, "two steps of one person at once"
        self.most_at_once = max(self.most_at_once, sum(self.at_once.values()))
        try:
            await asyncio.sleep(0)
            if not self.waiting[user_id]:
                await asyncio.sleep(0)  # what arrives now was not seen by this step, as with a real database
                return False
            work = self.waiting[user_id].popleft()
            if work is not None:
                await work()  # type: ignore[misc]
            self.done.append(user_id)
            return True
        finally:
            self.at_once[user_id] -= 1
            if self.waiting[user_id]:
                self.ahead[user_id] = Counter()

    async def due(self) -> list[UserId]:
        return self.listed

    async def renew(self) -> None:
        self.renewals += 1

    def put(self, user_id: UserId, work: Callable[[], object] | None = None) -> None:
        self.waiting[user_id].append(work)
        if not self.at_once[user_id]:
            self.ahead.setdefault(user_id, Counter())
        self.workers.notify(user_id)

    async def idle(self) -> None:
        async with asyncio.timeout(60):
            while self.workers.busy:  # noqa: ASYNC110 (the workers are what is tested)
                await asyncio.sleep(0)


@pytest.fixture
async def harness() -> AsyncIterator[WorkerHarness]:
    harness = WorkerHarness()
    yield harness
    await harness.workers.stop(0)


@examples(1.2)
@given(st.lists(st.tuples(st.sampled_from([ANN, BOB, CAT]), st.integers(0, 4)), max_size=40))
def test_no_notification_is_lost(steps: list[tuple[UserId, int]]) -> None:
    """Whenever work arrives, at whichever moment of a worker's life: all is done without any sweep, nothing at once."""

    async def live() -> None:
        harness = WorkerHarness(concurrency=2)
        for user_id, turns in steps:
            harness.put(user_id)
            for _ in range(turns):
                await asyncio.sleep(0)
        await harness.idle()
        assert Counter(harness.done) == Counter(user_id for user_id, _ in steps)
        assert harness.most_at_once <= 2

    asyncio.run(live())


async def test_people_wait_for_a_place_in_the_order_of_their_coming(harness: WorkerHarness) -> None:
    """No more than so many at once; who came first is served first."""
    gate = asyncio.Event()
    people = [UserId(f"p{number}") for number in range(8)]
    for person in people:
        harness.put(person, gate.wait)
    for _ in range(10):
        await asyncio.sleep(0)
    assert (harness.most_at_once, harness.workers.busy) == (3, 8)
    gate.set()
    await harness.idle()
    assert harness.done == people


async def test_the_sweep_notifies_users_that_are_due_and_renews_leases(harness: WorkerHarness) -> None:
    """At the start, and every two seconds."""
    harness.waiting[ANN].append(None)
    harness.listed = [ANN]
    harness.workers.start()
    await asyncio.sleep(0)
    await harness.idle()
    assert harness.done == [ANN]
    harness.waiting[BOB].append(None)
    harness.listed = [BOB]
    await _until(lambda: harness.clock.sleeping(SWEEP_SECONDS) == 1)
    harness.clock.advance(SWEEP_SECONDS)
    await _until(lambda: harness.done == [ANN, BOB])
    assert harness.renewals == 2


async def test_a_timer_notifies_a_worker(harness: WorkerHarness) -> None:
    """Without any sweep; and a worker that has nothing to do just ends."""
    harness.waiting[ANN].append(None)
    harness.workers.notify_later(0.0, ANN)
    harness.workers.notify_later(0.0, BOB)
    await _until(lambda: harness.done == [ANN])
    await harness.idle()


@pytest.mark.parametrize("trouble", [StorageError("locked"), ValueError("a bug")])
async def test_trouble_ends_no_worker_and_no_sweep(harness: WorkerHarness, trouble: Exception) -> None:
    """A pause, then the next sweep comes back to this person."""
    harness.trouble = [trouble]
    harness.put(ANN)
    await _until(lambda: harness.clock.sleeping(ERROR_PAUSE_SECONDS) == 1)
    harness.clock.advance(ERROR_PAUSE_SECONDS)
    await harness.idle()
    assert harness.done == []
    harness.listed = [ANN]
    harness.workers.start()
    await _until(lambda: harness.done == [ANN])


async def test_a_sweep_that_fails_is_followed_by_another(harness: WorkerHarness) -> None:
    """Whether in renewing or in listing."""
    failures: list[Exception] = [StorageError("locked"), ValueError("a bug")]

    async def failing() -> list[UserId]:
        if failures:
            raise failures.pop()
        return [ANN]

    harness.workers._due = failing
    harness.waiting[ANN].append(None)
    harness.workers.start()
    for _ in range(2):
        await _until(lambda: harness.clock.sleeping(SWEEP_SECONDS) == 1)
        harness.clock.advance(SWEEP_SECONDS)
        await asyncio.sleep(0)
    await _until(lambda: harness.done == [ANN])


async def test_an_outage_of_the_database_is_logged_once_and_so_is_its_end(
    harness: WorkerHarness, caplog: pytest.LogCaptureFixture
) -> None:
    """An hour without it must not hide the rest of the log."""
    caplog.set_level("INFO", "relay.core.user_workers")
    failures: list[Exception] = [StorageError("locked")] * 3
    sweeps: list[int] = []

    async def failing() -> list[UserId]:
        sweeps.append(len(failures))
        if failures:
            raise failures.pop()
        return []

    harness.workers._due = failing
    harness.workers.start()
    for number in range(1, 6):
        await _until(lambda: len(sweeps) == number and harness.clock.sleeping(SWEEP_SECONDS) == 1)  # noqa: B023
        harness.clock.advance(SWEEP_SECONDS)
    messages = [record.getMessage() for record in caplog.records]
    assert messages == ["test: the database cannot be used now: locked", "test: the database can be used again"]


async def test_stopping_lets_the_step_under_way_end_and_begins_no_other(harness: WorkerHarness) -> None:
    """Nor does a notification start a worker afterwards."""
    gate = asyncio.Event()
    harness.put(ANN, gate.wait)
    harness.put(ANN)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    stopping = asyncio.create_task(harness.workers.stop(10))
    await asyncio.sleep(0)
    harness.put(BOB)
    harness.workers.notify_later(0, BOB)
    gate.set()
    await stopping
    assert harness.done == [ANN]
    assert harness.workers.busy == 0


async def test_stopping_has_a_deadline_whatever_hangs(harness: WorkerHarness) -> None:
    """A step that never ends is cut off; one that will not even be cut off is left behind, with a line in the log."""
    released = asyncio.Event()

    async def stubborn() -> None:
        while not released.is_set():
            try:
                await released.wait()
            except asyncio.CancelledError:
                continue

    harness.put(ANN, asyncio.Event().wait)
    harness.put(BOB, stubborn)
    for _ in range(4):
        await asyncio.sleep(0)
    async with asyncio.timeout(CANCEL_SECONDS + 60):
        await harness.workers.stop(0.01)
    assert harness.workers.busy == 1
    released.set()
    await harness.idle()


async def _until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110 (the workers are what is tested)
            await asyncio.sleep(0)


PEOPLE = [UserId(f"p{number}") for number in range(6)]
ARRIVALS = st.tuples(st.sampled_from(PEOPLE), st.integers(1, 8), st.integers(0, 6), st.integers(0, 9))
"""Who comes, with how many items, of how many turns of the loop each, and how many turns after the one before."""


@examples(2)
@given(st.lists(ARRIVALS, min_size=1, max_size=25), st.integers(1, 3))
def test_a_user_waits_for_one_round_at_most(arrivals: list[tuple[UserId, int, int, int]], concurrency: int) -> None:
    """From the moment a user has work and none of it is being done, every other user begins at most one more step."""

    async def story() -> None:
        harness = WorkerHarness(concurrency)
        for user_id, items, turns, pause in arrivals:
            for _ in range(pause):
                await asyncio.sleep(0)
            for _ in range(items):
                harness.put(user_id, lambda turns=turns: _turns(turns))  # type: ignore[misc]
        await harness.idle()
        assert Counter(harness.done) == sum((Counter({user_id: items}) for user_id, items, *_ in arrivals), Counter())
        assert max(harness.rounds) <= 1

    asyncio.run(story())


async def _turns(count: int) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def test_waiting_without_a_slot_lets_others_work(harness: WorkerHarness) -> None:
    """As many users as there are slots wait for a rate limit; another is served meanwhile."""
    harness = WorkerHarness(concurrency=2)
    released = asyncio.Event()

    async def wait() -> None:
        async with harness.workers.without_slot():
            await released.wait()

    harness.put(ANN, wait)
    harness.put(BOB, wait)
    harness.put(CAT)
    async with asyncio.timeout(60):
        while CAT not in harness.done:  # noqa: ASYNC110 (the workers are what is tested)
            await asyncio.sleep(0)
    assert harness.done == [CAT]
    released.set()
    await harness.idle()
    assert Counter(harness.done) == {ANN: 1, BOB: 1, CAT: 1}


async def test_a_user_after_an_error_holds_no_slot(harness: WorkerHarness) -> None:
    """The pause after an error is no work."""
    harness = WorkerHarness(concurrency=1)
    harness.trouble.append(RuntimeError("broken"))
    harness.workers.notify(ANN)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    harness.put(BOB)
    async with asyncio.timeout(60):
        while BOB not in harness.done:  # noqa: ASYNC110 (as above)
            await asyncio.sleep(0)
    await harness.workers.stop(0)
