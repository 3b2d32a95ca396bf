"""Whatever is done in whatever order, the counters say what a count of the rows says, and no verb breaks."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from sqlalchemy import Engine

from messaging_database import MessagingDatabase
from relay.channels.sms.spec import SMS
from relay.core.decisions import Decision
from relay.core.errors import LeaseLost, OutcomeUnknown, SendError, SendFailure
from relay.core.messages import Claim, UserId, UserState
from relay.core.parts import Part, PartState, Receipt
from tests.databases import empty, sqlite_in
from tests.examples import examples
from tests.storage.fixtures import (
    ANSWER,
    PAST_LEASE,
    Opener,
    counted,
    message,
    miscounted_users,
    parts,
    recounted,
    report,
)

PEOPLE = [UserId(f"+1202555020{n}") for n in range(3)]
REFUSED = SendError(SendFailure.REJECTED, "21617", "too long")
BLOCKED = SendError(SendFailure.BLOCKED, "403", "blocked")
UNKNOWN = OutcomeUnknown("timeout", "no answer")


class Scenario:
    """Three users and two processes whose leases end at once, so that every claim can be taken over and be stale."""

    def __init__(self, one: MessagingDatabase, two: MessagingDatabase) -> None:
        self.processes = (one, two)
        self.claims: list[Claim] = []
        self.parts: list[Part] = []

    async def do(self, verb: str, who: int, which: int) -> None:
        """Do one thing. Losing a lease is what happens to the late; nothing else may be raised."""
        db, person = self.processes[which % 2], PEOPLE[who]
        with suppress(LeaseLost):
            await VERBS[verb](self, db, person, which)

    def claim(self, which: int) -> Claim:
        if not self.claims:
            raise LeaseLost
        return self.claims[which % len(self.claims)]

    def part(self, which: int) -> Part:
        if not self.parts:
            raise LeaseLost
        return self.parts[which % len(self.parts)]


async def store(scenario: Scenario, db: MessagingDatabase, person: UserId, which: int) -> None:
    await db.store_inbound(message(person, external_id=f"SM-{person}-{which}"), "raw")


async def claim(scenario: Scenario, db: MessagingDatabase, person: UserId, which: int) -> None:
    scenario.claims += [found] if (found := await db.claim_next_inbound(SMS, person)) else []


async def answer(scenario: Scenario, db: MessagingDatabase, person: UserId, which: int) -> None:
    await db.complete_inbound(
        scenario.claim(which), Decision(prompt="x"), parts(*"abc"[: which % 3 + 1]), answer=ANSWER
    )


async def register(scenario: Scenario, db: MessagingDatabase, person: UserId, which: int) -> None:
    await db.complete_inbound(scenario.claim(which), Decision(reply="hi", name=f"N{which}"), parts("hi"))


async def leave(scenario: Scenario, db: MessagingDatabase, person: UserId, which: int) -> None:
    state = (UserState.STOPPED, UserState.ACTIVE)[which % 2]
    await db.complete_inbound(scenario.claim(which), Decision(state=state, reason="-"), [])


async def clear(scenario: Scenario, db: MessagingDatabase, person: UserId, which: int) -> None:
    if which % 2:
        await db.clear_history(SMS, person)
    else:
        await db.complete_inbound(scenario.claim(which), Decision(reply="gone", clear_history=True), parts("gone"))


async def postpone(scenario: Scenario, db: MessagingDatabase, person: UserId, which: int) -> None:
    await db.postpone_inbound(scenario.claim(which), 0, "x", parts("later") if which % 2 else [])


async def dead_letter(scenario: Scenario, db: MessagingDatabase, person: UserId, which: int) -> None:
    await db.dead_letter_inbound(scenario.claim(which), "x", parts("sorry"))


async def claim_part(scenario: Scenario, db: MessagingDatabase, person: UserId, which: int) -> None:
    scenario.parts += [found] if (found := await db.claim_next_part(SMS, person)) else []


async def accept(scenario: Scenario, db: MessagingDatabase, person: UserId, which: int) -> None:
    part = scenario.part(which)
    await db.record_accepted(part, Receipt(f"P-{part.id}", segments=which % 3 or None))


async def refuse(scenario: Scenario, db: MessagingDatabase, person: UserId, which: int) -> None:
    part = scenario.part(which)
    if which % 4 == 0:
        await db.record_retry(part, time.time() - 5, REFUSED)
    elif which % 4 == 1:
        await db.record_unknown(part, time.time() - 5, UNKNOWN)
    elif which % 4 == 2:
        await db.record_failed(part, REFUSED)
    else:
        await db.record_failed(part, BLOCKED, UserState.BLOCKED)


async def resend(scenario: Scenario, db: MessagingDatabase, person: UserId, which: int) -> None:
    scenario.parts.append(await db.begin_send(scenario.part(which)))


async def deliver(scenario: Scenario, db: MessagingDatabase, person: UserId, which: int) -> None:
    part = scenario.part(which // 8)
    state = (PartState.SENT, PartState.DELIVERED, PartState.UNDELIVERED, PartState.READ)[which % 4]
    await db.record_delivery(report(state, f"P-{part.id}", part_id=part.id if which % 8 < 4 else None))


async def write_by_hand(scenario: Scenario, db: MessagingDatabase, person: UserId, which: int) -> None:
    await db.plan_message(SMS, person, parts("operator", "writes"))


async def move(scenario: Scenario, db: MessagingDatabase, person: UserId, which: int) -> None:
    await db.move_user(SMS, person, PEOPLE[which % 3])


async def lose(scenario: Scenario, db: MessagingDatabase, person: UserId, which: int) -> None:
    await db.store_dead_letter(SMS, f"dead-{which}", "raw", "odd")


VERBS: dict[str, Callable[[Scenario, MessagingDatabase, UserId, int], Awaitable[None]]] = {
    verb.__name__: verb
    for verb in (
        store,
        claim,
        answer,
        register,
        leave,
        clear,
        postpone,
        dead_letter,
        claim_part,
        accept,
        refuse,
        resend,
        deliver,
        write_by_hand,
        move,
        lose,
    )
}

Story = list[tuple[str, int, int]]
ANSWERED: Story = [("store", 0, 1), ("claim", 0, 0), ("answer", 0, 2), ("claim_part", 0, 0)]
# The steps that others build on are more likely, so that most stories come to have parts at all.
STORIES = st.lists(
    st.tuples(
        st.sampled_from([*VERBS, "store", "claim", "answer", "claim_part", "claim_part"]),
        st.integers(0, 2),
        st.integers(0, 31),
    ),
    min_size=1,
    max_size=40,
)


async def _live(url: str, story: Story) -> None:
    opener = Opener()
    one = await opener(url, owner="sms@one", lease=PAST_LEASE)
    scenario = Scenario(one, await opener(url, owner="sms@two", lease=PAST_LEASE))
    try:
        for step in story:
            await scenario.do(*step)
        counts = await counted(one)
        shown = {name: value for name, value in counts.items() if not name.startswith(("model_", "prompt_", "answer_"))}
        assert shown == await recounted(one)
        assert await miscounted_users(one) == []
    finally:
        await opener.close()


@examples(0.8)
@example(story=[*ANSWERED, ("refuse", 0, 3), ("accept", 0, 1), ("deliver", 0, 1)])
@example(story=[*ANSWERED, ("deliver", 0, 2), ("deliver", 0, 6), ("accept", 0, 0), ("move", 0, 1)])
@example(story=[("write_by_hand", 0, 0), ("claim_part", 0, 0), ("deliver", 0, 0), ("accept", 0, 2)])
@given(story=STORIES)
def test_counters_equal_a_recount_on_sqlite(story: Story) -> None:
    """A random story of verbs, stale ones among them."""
    with TemporaryDirectory() as folder:
        asyncio.run(_live(sqlite_in(Path(folder)), story))


@examples(0.3)
@example(story=[*ANSWERED, ("refuse", 0, 3), ("accept", 0, 1), ("deliver", 0, 1)])
@given(story=STORIES)
def test_counters_equal_a_recount_on_postgresql(sweeper: Engine, story: Story) -> None:
    """The same on PostgreSQL."""
    empty(sweeper)
    asyncio.run(_live(sweeper.url.render_as_string(hide_password=False), story))


@pytest.mark.campaign
async def test_counters_add_up_when_everything_happens_at_once(database_url: str, opener: Opener) -> None:
    """Many verbs at the same moment, from two processes: none is lost, none deadlocks."""
    one = await opener(database_url, owner="sms@one")
    scenario = Scenario(one, await opener(database_url, owner="sms@two"))
    for round_ in range(6):
        for verbs in (
            ["store", "lose", "write_by_hand", "move"],
            ["claim", "claim_part"],
            ["answer", "leave", "register"],
        ):
            steps = [scenario.do(verb, who, round_ * 3 + who) for verb in verbs for who in range(3)]
            await asyncio.gather(*steps)
        ends = ["accept", "refuse", "deliver", "clear"]
        await asyncio.gather(
            *(scenario.do(verb, who, which) for verb in ends for who in range(3) for which in range(4))
        )
    counts = await counted(one)
    shown = {name: value for name, value in counts.items() if not name.startswith(("model_", "prompt_", "answer_"))}
    assert shown == await recounted(one)
    assert await miscounted_users(one) == []


@pytest.mark.campaign
@pytest.mark.parametrize("turns", [30])
async def test_opposite_orders_of_locks_do_not_end_in_an_error(database_url: str, opener: Opener, turns: int) -> None:
    """STOP from the person and a refusal from the provider meet on the same rows, from two processes."""
    one, two = await opener(database_url, owner="sms@one"), await opener(database_url, owner="sms@two")
    for turn in range(turns):
        person = UserId(f"+1303555{turn:04}")
        await one.plan_message(SMS, person, parts("a", "b"))
        await one.store_inbound(message(person, "STOP"), "")
        claim, part = await one.claim_next_inbound(SMS, person), await two.claim_next_part(SMS, person)
        assert claim is not None
        assert part is not None
        await asyncio.gather(
            one.complete_inbound(claim, Decision(state=UserState.STOPPED, reason="STOP"), []),
            two.record_failed(part, BLOCKED, UserState.BLOCKED),
        )
