"""UserWorkers: one step at a time for a user, users side by side, no notification lost, and an end in time."""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict, deque
from collections.abc import AsyncIterator, Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relay.core.errors import StorageError
from relay.core.messages import UserId
from relay.core.user_workers import CANCEL_SECONDS, ERROR_PAUSE_SECONDS, SWEEP_SECONDS, UserWorkers
from tests.core.world import ANN, BOB, CAT, Hours


class Works:
    """Work of several people, in memory, and a record of who worked when."""

    def __init__(self, concurrency: int = 3) -> None:
        self.hours = Hours(lambda _: None)
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
            "test", self.step, self.due, concurrency=concurrency, renew=self.renew, sleep=self.hours.sleep
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
                await asyncio.sleep(0)  # what arrives now was not seen by this look, as with a real database
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

    async def quiet(self) -> None:
        async with asyncio.timeout(60):
            while self.workers.busy:  # noqa: ASYNC110 (the workers are what is tested)
                await asyncio.sleep(0)


@pytest.fixture
async def works() -> AsyncIterator[Works]:
    works = Works()
    yield works
    await works.workers.stop(0)


@settings(max_examples=60)
@given(st.lists(st.tuples(st.sampled_from([ANN, BOB, CAT]), st.integers(0, 4)), max_size=40))
def test_no_notification_is_lost(steps: list[tuple[UserId, int]]) -> None:
    """Whenever work arrives, at whichever moment of a worker's life: all is done without any sweep, nothing at once."""

    async def live() -> None:
        works = Works(concurrency=2)
        for user_id, turns in steps:
            works.put(user_id)
            for _ in range(turns):
                await asyncio.sleep(0)
        await works.quiet()
        assert Counter(works.done) == Counter(user_id for user_id, _ in steps)
        assert works.most_at_once <= 2

    asyncio.run(live())


async def test_people_wait_for_a_place_in_the_order_of_their_coming(works: Works) -> None:
    """No more than so many at once; who came first is served first."""
    gate = asyncio.Event()
    people = [UserId(f"p{number}") for number in range(8)]
    for person in people:
        works.put(person, gate.wait)
    for _ in range(10):
        await asyncio.sleep(0)
    assert (works.most_at_once, works.workers.busy) == (3, 8)
    gate.set()
    await works.quiet()
    assert works.done == people


async def test_the_sweep_notifies_users_that_are_due_and_renews_leases(works: Works) -> None:
    """At the start, and every two seconds."""
    works.waiting[ANN].append(None)
    works.listed = [ANN]
    works.workers.start()
    await asyncio.sleep(0)
    await works.quiet()
    assert works.done == [ANN]
    works.waiting[BOB].append(None)
    works.listed = [BOB]
    await _until(lambda: works.hours.asleep(SWEEP_SECONDS) == 1)
    works.hours.move(SWEEP_SECONDS)
    await _until(lambda: works.done == [ANN, BOB])
    assert works.renewals == 2


async def test_a_timer_notifies_a_worker(works: Works) -> None:
    """Without any sweep; and a worker that has nothing to do just ends."""
    works.waiting[ANN].append(None)
    works.workers.notify_later(0.0, ANN)
    works.workers.notify_later(0.0, BOB)
    await _until(lambda: works.done == [ANN])
    await works.quiet()


@pytest.mark.parametrize("trouble", [StorageError("locked"), ValueError("a bug")])
async def test_trouble_ends_no_worker_and_no_sweep(works: Works, trouble: Exception) -> None:
    """A pause, then the next sweep comes back to this person."""
    works.trouble = [trouble]
    works.put(ANN)
    await _until(lambda: works.hours.asleep(ERROR_PAUSE_SECONDS) == 1)
    works.hours.move(ERROR_PAUSE_SECONDS)
    await works.quiet()
    assert works.done == []
    works.listed = [ANN]
    works.workers.start()
    await _until(lambda: works.done == [ANN])


async def test_a_sweep_that_fails_is_followed_by_another(works: Works) -> None:
    """Whether in renewing or in listing."""
    failures: list[Exception] = [StorageError("locked"), ValueError("a bug")]

    async def failing() -> list[UserId]:
        if failures:
            raise failures.pop()
        return [ANN]

    works.workers._due = failing
    works.waiting[ANN].append(None)
    works.workers.start()
    for _ in range(2):
        await _until(lambda: works.hours.asleep(SWEEP_SECONDS) == 1)
        works.hours.move(SWEEP_SECONDS)
        await asyncio.sleep(0)
    await _until(lambda: works.done == [ANN])


async def test_a_database_that_is_away_is_told_of_once_and_so_is_its_return(
    works: Works, caplog: pytest.LogCaptureFixture
) -> None:
    """An hour without it must not bury the rest of the log."""
    caplog.set_level("INFO", "relay.core.user_workers")
    failures: list[Exception] = [StorageError("locked")] * 3
    sweeps: list[int] = []

    async def failing() -> list[UserId]:
        sweeps.append(len(failures))
        if failures:
            raise failures.pop()
        return []

    works.workers._due = failing
    works.workers.start()
    for number in range(1, 6):
        await _until(lambda: len(sweeps) == number and works.hours.asleep(SWEEP_SECONDS) == 1)  # noqa: B023
        works.hours.move(SWEEP_SECONDS)
    told = [record.getMessage() for record in caplog.records]
    assert told == ["test: the database cannot be used now: locked", "test: the database can be used again"]


async def test_stopping_lets_the_step_under_way_end_and_begins_no_other(works: Works) -> None:
    """Nor does a notification start a worker afterwards."""
    gate = asyncio.Event()
    works.put(ANN, gate.wait)
    works.put(ANN)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    stopping = asyncio.create_task(works.workers.stop(10))
    await asyncio.sleep(0)
    works.put(BOB)
    works.workers.notify_later(0, BOB)
    gate.set()
    await stopping
    assert works.done == [ANN]
    assert works.workers.busy == 0


async def test_stopping_has_a_deadline_whatever_hangs(works: Works) -> None:
    """A step that never ends is cut off; one that will not even be cut off is left behind, with a line in the log."""
    released = asyncio.Event()

    async def stubborn() -> None:
        while not released.is_set():
            try:
                await released.wait()
            except asyncio.CancelledError:
                continue

    works.put(ANN, asyncio.Event().wait)
    works.put(BOB, stubborn)
    for _ in range(4):
        await asyncio.sleep(0)
    async with asyncio.timeout(CANCEL_SECONDS + 60):
        await works.workers.stop(0.01)
    assert works.workers.busy == 1
    released.set()
    await works.quiet()


async def _until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110 (the workers are what is tested)
            await asyncio.sleep(0)


PEOPLE = [UserId(f"p{number}") for number in range(6)]
ARRIVALS = st.tuples(st.sampled_from(PEOPLE), st.integers(1, 8), st.integers(0, 6), st.integers(0, 9))
"""Who comes, with how many items, of how many turns of the loop each, and how many turns after the one before."""


@settings(max_examples=100)
@given(st.lists(ARRIVALS, min_size=1, max_size=25), st.integers(1, 3))
def test_a_user_waits_for_one_round_at_most(arrivals: list[tuple[UserId, int, int, int]], concurrency: int) -> None:
    """From the moment a user has work and none of it is being done, every other user begins at most one more step."""

    async def story() -> None:
        works = Works(concurrency)
        for user_id, items, turns, pause in arrivals:
            for _ in range(pause):
                await asyncio.sleep(0)
            for _ in range(items):
                works.put(user_id, lambda turns=turns: _turns(turns))  # type: ignore[misc]
        await works.quiet()
        assert Counter(works.done) == sum((Counter({user_id: items}) for user_id, items, *_ in arrivals), Counter())
        assert max(works.rounds) <= 1

    asyncio.run(story())


async def _turns(count: int) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def test_waiting_without_a_slot_lets_others_work(works: Works) -> None:
    """As many users as there are slots wait for a rate limit; another is served meanwhile."""
    works = Works(concurrency=2)
    released = asyncio.Event()

    async def wait() -> None:
        async with works.workers.without_slot():
            await released.wait()

    works.put(ANN, wait)
    works.put(BOB, wait)
    works.put(CAT)
    async with asyncio.timeout(60):
        while CAT not in works.done:  # noqa: ASYNC110 (the workers are what is tested)
            await asyncio.sleep(0)
    assert works.done == [CAT]
    released.set()
    await works.quiet()
    assert Counter(works.done) == {ANN: 1, BOB: 1, CAT: 1}


async def test_a_user_after_an_error_holds_no_slot(works: Works) -> None:
    """The pause after an error is no work."""
    works = Works(concurrency=1)
    works.trouble.append(RuntimeError("broken"))
    works.workers.notify(ANN)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    works.put(BOB)
    async with asyncio.timeout(60):
        while BOB not in works.done:  # noqa: ASYNC110 (as above)
            await asyncio.sleep(0)
    await works.workers.stop(0)
