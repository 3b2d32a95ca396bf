"""One text to many people: who gets it, once each, behind the answers to people who wait, whatever ends when."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import insert, select, update

from relay.channels.sms.spec import SMS
from relay.config import weekly_times
from relay.config.settings import SpendingCaps
from relay.core.broadcast import Audience, BroadcastState, Terms
from relay.core.broadcaster import MAX_DUE, Broadcaster
from relay.core.errors import SendError, SendFailure
from relay.core.messages import UserId, UserState
from relay.core.parts import PlannedPart, Receipt
from relay.core.placeholders import with_name
from relay.storage import broadcasts
from relay.storage.planning import plan_parts
from relay.storage.schema import audit, broadcast_people, outbound, users
from tests.core.harness import ANN, BOB, CAT, FakeClock, RelayHarness

TEXT = "We are closed tomorrow"
DAY = 86_400.0
REASONS = (
    *("opted out", "blocked the bot", "cannot be reached", "taken for a machine", "never wrote", "blocked by you"),
    *("paused by you", "a group", "on the blocklist", "wrote too long ago for the provider"),
)


async def people(relay: RelayHarness, *user_ids: str, **columns: Any) -> None:
    """Users who wrote an hour ago."""
    now = relay.clock.now
    usual = {"platform": SMS, "state": UserState.ACTIVE, "settings": {}, "created_at": now - DAY, "updated_at": now}
    usual |= {"last_message_at": now - 3600, "message_count": 0, **columns}
    rows = [{**usual, "user_id": user_id} for user_id in user_ids]
    await relay.database._write(lambda tx: tx.connection.execute(insert(users), rows))


async def started(relay: RelayHarness, form: str = "a form", **changes: Any) -> int:
    values: dict[str, Any] = {"platform": SMS, "text": TEXT, "wrote_after": None, "beyond_caps": False}
    values |= {"people": 3, "usd": 0.1, **changes}
    (broadcast_id,) = await relay.database.start_broadcasts(form, "this machine", [values])
    return broadcast_id


def broadcaster(
    relay: RelayHarness, audience: Audience | None = None, caps: SpendingCaps | None = None, per_second: float = 20.0
) -> Broadcaster:
    who = audience or Audience(SMS)

    def plan(text: str, name: str | None) -> list[PlannedPart]:
        text = with_name(text, name)
        if text.startswith("too long") or len(text) > 60:
            raise ValueError(text)
        return [PlannedPart(text, text)]

    def begin(hours: str, user_id: UserId, now: float) -> float:
        zone = ZoneInfo("Asia/Tokyo" if "+81" in user_id else "UTC")
        return weekly_times.opens_everywhere_at(hours, now, (zone,)) or now

    terms = Terms(plan, lambda after: replace(who, wrote_after=after), per_second, caps or SpendingCaps(), begin)
    return Broadcaster(relay.database, SMS, terms, relay.outbox, sleep=relay.clock.sleep)


async def run(relay: RelayHarness, one: Broadcaster) -> None:
    """Let it run to its end, with time passing as it asks for it."""
    task = asyncio.create_task(one.once())
    while not task.done():
        await asyncio.sleep(0.001)
        relay.clock.advance(0.5)
    await task
    await relay.idle()


async def state_of(relay: RelayHarness) -> list[Any]:
    rows = await relay.database.query(lambda c: broadcasts.newest(c, [SMS], 10))
    return [(row["state"], row["reason"], row["planned"]) for row in rows]


async def test_each_person_gets_it_once_and_the_model_knows_it(relay: RelayHarness) -> None:
    """In the order of their addresses; a second round finds nothing to do, and a repeated form starts nothing."""
    await people(relay, *(f"p{n:03}" for n in range(25)))
    await relay.receive("hi", from_=UserId("p003"))
    await relay.idle()
    await started(relay)
    await run(relay, broadcaster(relay))
    await run(relay, broadcaster(relay))
    assert [text for _, text in relay.channel.sent[1:]] == [TEXT] * 25
    assert sorted(user for user, _ in relay.channel.sent[1:]) == [f"p{n:03}" for n in range(25)]
    assert await state_of(relay) == [(BroadcastState.DONE, None, 25)]
    again: dict[str, Any] = {"platform": SMS, "text": TEXT, "wrote_after": None, "beyond_caps": False}
    assert await relay.database.start_broadcasts("a form", "x", [{**again, "people": 3, "usd": 0.0}]) == []
    assert await relay.rows(audit, "action", "detail") == [("broadcast", f"number 1 to 3 people: {TEXT}")]
    await relay.receive("why?", from_=UserId("p003"))
    await relay.idle()
    assert relay.model.prompts[-1] == ["hi", "re: hi", TEXT, "why?"]


async def test_each_person_reads_their_own_name(relay: RelayHarness) -> None:
    """Or the word instead; a name that would make the text too long for the channel is left out."""
    for user, name in (("a", "Ann"), ("b", None), ("c", "C" * 50)):
        await people(relay, user, name=name)
    await started(relay, text="Hello {name|there}, we are closed on {day}")
    await run(relay, broadcaster(relay))
    without = "Hello there, we are closed on {day}"
    assert sorted(relay.channel.sent) == [("a", "Hello Ann, we are closed on {day}"), ("b", without), ("c", without)]


HOUR = 3600.0
NIGHT = ("+8101", "+8102", "+8103")
"""In Tokyo, where it is 9 hours later than in UTC."""


def next_hour(relay: RelayHarness, ahead: int = 0) -> str:
    """The hours of a broadcast: in UTC the full hour that begins within an hour, or `ahead` hours later."""
    opens = datetime.fromtimestamp(relay.clock.now, UTC).replace(minute=0) + timedelta(hours=1 + ahead)
    return f"Mon-Sun {opens:%H:%M}-{opens + timedelta(hours=1):%H:%M}"


async def waiting(relay: RelayHarness) -> list[str]:
    chosen = select(broadcast_people.c.user_id).where(broadcast_people.c.due.is_not(None))
    found = await relay.database.query(lambda c: c.execute(chosen).scalars().all())
    return sorted(found)


async def test_it_waits_for_the_hours_of_each_person(relay: RelayHarness) -> None:
    """Whose hours have begun get it, the others when theirs do; meanwhile nothing is done for it."""
    await people(relay, "a", "b", *NIGHT)
    await started(relay, hours=next_hour(relay, 9))
    one = broadcaster(relay)
    await run(relay, one)
    assert relay.channel.sent == []
    assert await state_of(relay) == [(BroadcastState.RUNNING, None, 0)]
    assert await waiting(relay) == [*NIGHT, "a", "b"]
    relay.clock.advance(HOUR)
    await run(relay, one)
    assert [user for user, _ in relay.channel.sent] == list(NIGHT)
    assert await relay.database.running_broadcast(SMS) is None
    assert await state_of(relay) == [(BroadcastState.RUNNING, None, 3)]
    relay.clock.advance(9 * HOUR)
    await run(relay, one)
    assert [user for user, _ in relay.channel.sent] == [*NIGHT, "a", "b"]
    assert await state_of(relay) == [(BroadcastState.DONE, None, 5)]


async def test_hours_that_end_before_all_have_got_it_leave_the_others_to_the_next(relay: RelayHarness) -> None:
    """Two are planned in the hours, the others wait for those of the next day."""
    await people(relay, *(f"p{n}" for n in range(5)))
    hours = next_hour(relay)
    broadcast_id = await started(relay, hours=hours)
    one = broadcaster(relay)
    await run(relay, one)
    relay.clock.advance(HOUR)
    begin, parts = partial(one._terms.begin, hours), [PlannedPart(TEXT, TEXT)]
    assert await relay.database.plan_broadcast(broadcast_id, Audience(SMS), lambda _: parts, 2, begin) == ["p0", "p1"]
    relay.clock.advance(HOUR)
    await run(relay, one)
    assert await waiting(relay) == ["p2", "p3", "p4"]
    assert await relay.database.running_broadcast(SMS) is None
    relay.clock.advance(DAY - HOUR)
    await run(relay, one)
    assert await waiting(relay) == []
    assert await state_of(relay) == [(BroadcastState.DONE, None, 5)]


async def test_who_waits_does_not_delay_another_broadcast(relay: RelayHarness) -> None:
    """An older one that waits for the morning."""
    await people(relay, "a", "b")
    await started(relay, hours=next_hour(relay))
    await started(relay, "another form", text="Now")
    await run(relay, broadcaster(relay))
    assert sorted(relay.channel.sent) == [("a", "Now"), ("b", "Now")]


async def test_who_may_not_get_it_any_more_in_the_morning_gets_nothing(relay: RelayHarness) -> None:
    """They opted out, were forgotten, or have another number; who moved to it gets it once, in the hours there."""
    moving, zoe = UserId("+8104"), UserId("zoe")
    await people(relay, "a", "b", "c", *NIGHT, moving)
    await started(relay, hours=next_hour(relay, 9))
    one = broadcaster(relay)
    await run(relay, one)
    await relay.database.move_user(SMS, moving, zoe)
    await relay.database.forget_user(SMS, UserId("a"))
    stopped = update(users).where(users.c.user_id.in_(["b", NIGHT[1]])).values(state=UserState.STOPPED)
    await relay.database._write(lambda tx: tx.run(stopped))
    relay.clock.advance(HOUR)
    await run(relay, one)
    assert [user for user, _ in relay.channel.sent] == [NIGHT[0], NIGHT[2]]
    relay.clock.advance(9 * HOUR)
    await run(relay, one)
    assert sorted(user for user, _ in relay.channel.sent[2:]) == ["c", "zoe"]
    assert await state_of(relay) == [(BroadcastState.DONE, None, 4)]


async def test_stopped_at_night_it_goes_on_in_the_morning_of_each(relay: RelayHarness) -> None:
    """Who waits goes on waiting; whose part was cancelled is added anew; each gets it once."""
    await people(relay, "a", "b", "c", *NIGHT)
    broadcast_id = await started(relay, hours=next_hour(relay, 9))
    one = broadcaster(relay)
    await run(relay, one)
    relay.clock.advance(HOUR)
    await relay.outbox.workers.stop(0)
    begin = partial(one._terms.begin, next_hour(relay, 8))
    parts = [PlannedPart(TEXT, TEXT)]
    assert await relay.database.plan_broadcast(broadcast_id, Audience(SMS), lambda _: parts, 2, begin) == [*NIGHT[:2]]
    assert await relay.database.stop_broadcast(broadcast_id, "stopped by you")
    assert await waiting(relay) == [NIGHT[2], "a", "b", "c"]
    relay.rebuild()
    one = broadcaster(relay)
    relay.clock.advance(2 * HOUR)
    await run(relay, one)
    assert await relay.database.resume_broadcast(broadcast_id, "")
    await run(relay, one)
    assert relay.channel.sent == []
    assert await waiting(relay) == [*NIGHT, "a", "b", "c"]
    for hours in (7, 15):
        relay.clock.advance(hours * HOUR)
        await run(relay, one)
    assert sorted(user for user, _ in relay.channel.sent) == [*NIGHT, "a", "b", "c"]
    assert await state_of(relay) == [(BroadcastState.DONE, None, 6)]


async def test_only_those_get_it_who_wrote_and_may_be_written_to(relay: RelayHarness) -> None:
    """Everybody else is counted by the reason, and gets nothing when it is sent."""
    now = relay.clock.now
    await people(relay, "good", "new", "past-pause")
    await people(relay, "opted-out", state=UserState.STOPPED)
    await people(relay, "blocked-us", state=UserState.BLOCKED)
    await people(relay, "gone", state=UserState.UNREACHABLE)
    await people(relay, "machine", state=UserState.PAUSED)
    await people(relay, "silent", last_message_at=None)
    await people(relay, "barred", settings={"barred": True})
    await people(relay, "paused", settings={"quiet_until": now + DAY})
    await people(relay, "-100", "listed")
    await people(relay, "long-ago", last_message_at=now - 2 * DAY)
    await relay.database._write(
        lambda tx: tx.run(update(users).where(users.c.user_id == "past-pause").values(settings={"quiet_until": 5}))
    )
    who = Audience(SMS, reply_seconds=DAY, group_prefix="-", blocklist=("listed",))
    counted = await relay.database.query(lambda c: broadcasts.count_audience(c, who, now))
    assert counted.pop(None) == 3
    assert counted == dict.fromkeys(REASONS, 1)
    await started(relay)
    await run(relay, broadcaster(relay, who))
    assert sorted(user for user, _ in relay.channel.sent) == ["good", "new", "past-pause"]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"allowlist": ("a",)}, {None: 1, "not on the allowlist": 2}),
        ({"wrote_after": 1_000_000.0 - 1800}, {"did not write lately": 3}),
        ({"wrote_after": 1_000_000.0 - 3700}, {None: 3}),
        ({"group_prefix": "-"}, {None: 3}),
    ],
)
async def test_an_audience_is_chosen(relay: RelayHarness, changes: dict[str, Any], expected: dict[str, int]) -> None:
    """By the access list, and by when people wrote."""
    await people(relay, "a", "b", "c")
    who = replace(Audience(SMS), **changes)
    assert await relay.database.query(lambda c: broadcasts.count_audience(c, who, relay.clock.now)) == expected


async def test_who_opts_out_or_writes_for_the_first_time_meanwhile_gets_nothing(relay: RelayHarness) -> None:
    """The one may not be written to any more, the other was not counted."""
    await people(relay, "a", "b", "z")
    await started(relay)
    await people(relay, "y", created_at=relay.clock.now + 1)
    await relay.database._write(
        lambda tx: tx.run(update(users).where(users.c.user_id == "b").values(state=UserState.STOPPED))
    )
    await run(relay, broadcaster(relay))
    assert sorted(user for user, _ in relay.channel.sent) == ["a", "z"]


def one_a_second(clock: FakeClock) -> Callable[[], Any]:
    """A provider that takes one part at a time, each within a second."""
    free = asyncio.Lock()

    async def send() -> Receipt | None:
        async with free:
            await clock.sleep(1)
        return None

    return send


async def test_ten_thousand_people_do_not_delay_an_answer(relay: RelayHarness) -> None:
    """A provider that is slower than the broadcast: a question is answered behind at most MAX_DUE of its parts."""
    await people(relay, *(f"p{n:05}" for n in range(10_000)))
    await started(relay)
    relay.channel.always = one_a_second(relay.clock)
    task = asyncio.create_task(broadcaster(relay).once())
    await relay.until(lambda: relay.clock.sleeping(1.0) >= 1)
    for _ in range(10):
        await _pass_a_second(relay)
    before = len(relay.channel.sent)
    await relay.receive("are you open?")
    for _ in range(3 * MAX_DUE):
        if relay.channel.to(ANN):
            break
        await _pass_a_second(relay)
    assert before >= MAX_DUE - 1
    assert relay.channel.to(ANN) == ["re: are you open?"]
    position = [user for user, _ in relay.channel.sent].index(ANN)
    assert position - before <= MAX_DUE
    planned = await relay.database.query(lambda c: c.execute(select(broadcast_people)).all())
    assert len(planned) <= len(relay.channel.sent) + MAX_DUE
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def _pass_a_second(relay: RelayHarness) -> None:
    """A second passes in steps, with time for whatever it makes due."""
    for _ in range(2):
        relay.clock.advance(0.5)
        for _ in range(20):
            await asyncio.sleep(0.001)


async def test_a_stop_cancels_what_is_not_sent_and_goes_on_with_those(relay: RelayHarness) -> None:
    """Who got it gets it no second time; who did not gets it when it goes on."""
    await people(relay, *(f"p{n}" for n in range(9)))
    broadcast_id = await started(relay)
    await relay.outbox.workers.stop(0)
    assert await relay.database.plan_broadcast(broadcast_id, Audience(SMS), lambda _: [PlannedPart(TEXT, TEXT)], 6)
    relay.rebuild()
    relay.outbox.workers.notify(UserId("p0"))
    relay.outbox.workers.notify(UserId("p4"))
    await relay.idle()
    assert await relay.database.stop_broadcast(broadcast_id, "stopped by you", "this machine")
    assert not await relay.database.stop_broadcast(broadcast_id, "again", "this machine")
    assert await state_of(relay) == [(BroadcastState.STOPPED, "stopped by you", 2)]
    assert Counter(await relay.part_states()) == {"accepted": 2, "canceled": 4}
    await run(relay, broadcaster(relay))
    assert len(relay.channel.sent) == 2
    assert await relay.database.resume_broadcast(broadcast_id, "this machine")
    assert not await relay.database.resume_broadcast(broadcast_id, "this machine")
    await run(relay, broadcaster(relay))
    assert sorted(user for user, _ in relay.channel.sent) == [f"p{n}" for n in range(9)]
    assert await state_of(relay) == [(BroadcastState.DONE, None, 9)]
    actions = [action for (action,) in await relay.rows(audit, "action")]
    assert actions == ["broadcast", "stop the broadcast", "go on with the broadcast"]


@pytest.mark.parametrize(
    ("changes", "caps", "reason"),
    [
        ({}, SpendingCaps(day=2.0), "the cap of today is reached"),
        ({}, SpendingCaps(month=2.0), "the cap of this month is reached"),
        ({"text": "too long"}, SpendingCaps(), "the text cannot be sent: too long"),
    ],
)
async def test_it_stops_by_itself(
    relay: RelayHarness, changes: dict[str, Any], caps: SpendingCaps, reason: str
) -> None:
    """At a cap on spending, before it is exceeded by more than a few parts, or when the text became unsendable."""
    relay.channel.always = _costs_a_dollar
    await people(relay, *(f"p{n}" for n in range(50)))
    await started(relay, **changes)
    await run(relay, broadcaster(relay, caps=caps, per_second=2.0))
    ((state, why, _),) = await state_of(relay)
    assert (state, why) == (BroadcastState.STOPPED, reason)
    assert len(relay.channel.sent) <= MAX_DUE


async def _costs_a_dollar() -> Receipt:
    return Receipt("P", cost_usd=1.0)


async def test_an_operator_may_go_beyond_a_cap(relay: RelayHarness) -> None:
    """Confirmed at its start."""
    relay.channel.always = _costs_a_dollar
    await people(relay, *(f"p{n}" for n in range(5)))
    await started(relay, beyond_caps=True)
    await run(relay, broadcaster(relay, caps=SpendingCaps(day=2.0)))
    assert len(relay.channel.sent) == 5


async def test_nothing_is_added_while_sending_is_paused(relay: RelayHarness) -> None:
    """An account that is refused holds one part of it, not thousands."""
    await people(relay, *(f"p{n}" for n in range(50)))
    await started(relay)
    relay.channel.always = SendError(SendFailure.CONFIG, "20003", "the account is refused")
    one = broadcaster(relay, per_second=2.0)
    task = asyncio.create_task(one.once())
    for _ in range(40):
        await _pass_a_second(relay)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert relay.channel.sent == []
    assert len(await relay.rows(outbound)) <= MAX_DUE


# -- crashes: the windows between the commits, one test each; real kills are in tests/storage/test_processes.py --------


async def test_killed_while_the_next_people_are_planned(relay: RelayHarness, monkeypatch: pytest.MonkeyPatch) -> None:
    """The transaction is undone as a whole: whom it had added are planned again, once."""
    await people(relay, *(f"p{n}" for n in range(6)))
    await started(relay)
    planned = 0

    def dies(*args: Any, **how: Any) -> Any:
        nonlocal planned
        planned += 1
        if planned == 4:
            raise RuntimeError
        return plan_parts(*args, **how)

    monkeypatch.setattr("relay.storage.broadcasts.plan_parts", dies)
    with pytest.raises(RuntimeError):
        await broadcaster(relay).once()
    assert await relay.part_states() == []
    await run(relay, broadcaster(relay))
    assert sorted(user for user, _ in relay.channel.sent) == [f"p{n}" for n in range(6)]


async def test_killed_after_the_commit_before_the_outbox_learns_of_it(relay: RelayHarness) -> None:
    """The sweep of the next process sends them; the broadcast goes on behind them."""
    await people(relay, *(f"p{n}" for n in range(9)))
    broadcast_id = await started(relay)
    assert await relay.database.plan_broadcast(broadcast_id, Audience(SMS), lambda _: [PlannedPart(TEXT, TEXT)], 4)
    await relay.stop(0)
    relay.rebuild()
    await relay.start()
    await relay.idle()
    assert len(relay.channel.sent) == 4
    await run(relay, broadcaster(relay))
    assert sorted(user for user, _ in relay.channel.sent) == [f"p{n}" for n in range(9)]


async def test_killed_while_a_part_is_sent(relay: RelayHarness) -> None:
    """The provider is asked, and what it took is not sent again."""
    await people(relay, "p0", "p1")
    broadcast_id = await started(relay)
    await relay.outbox.workers.stop(0)
    await relay.database.plan_broadcast(broadcast_id, Audience(SMS), lambda _: [PlannedPart(TEXT, TEXT)], 1)
    part = await relay.database.claim_next_part(SMS, UserId("p0"))
    assert part is not None
    relay.channel.sent.append((UserId("p0"), TEXT))  # the provider took it, and the process ended
    relay.channel.lookup_results.append(Receipt("P0"))
    await relay.stop(0)  # with its sweep, which would be counted as one of the next process
    relay.rebuild()
    await relay.start()
    await relay.all_asleep()  # else the clock may be advanced amid the step that waits for a status of the part
    await relay.advance(20)
    await run(relay, broadcaster(relay))
    assert sorted(user for user, _ in relay.channel.sent) == ["p0", "p1"]
    assert relay.channel.lookups == [TEXT]


async def test_two_servers_share_no_person(relay: RelayHarness) -> None:
    """One of them holds the lease; a person whom the other added meanwhile is passed over by the unique key."""
    await people(relay, *(f"p{n}" for n in range(8)))
    broadcast_id = await started(relay)
    parts = [PlannedPart(TEXT, TEXT)]
    both = await asyncio.gather(
        *(relay.database.plan_broadcast(broadcast_id, Audience(SMS), lambda _: parts, 4) for _ in range(2))
    )
    assert sorted(user for found in both for user in found or ()) == [f"p{n}" for n in range(8)]
    await relay.database.hold_lease(SMS, "broadcast", 15)
    relay.database.owner = "another"
    await started(relay, "another form")
    await broadcaster(relay).once()
    assert len(await relay.rows(outbound)) == 8


async def test_a_person_who_moves_or_is_forgotten_gets_it_once(relay: RelayHarness) -> None:
    """A new address counts as having got it; what is forgotten leaves no row behind."""
    await people(relay, ANN, BOB, CAT)
    broadcast_id = await started(relay)
    parts = [PlannedPart(TEXT, TEXT)]
    assert await relay.database.plan_broadcast(broadcast_id, Audience(SMS), lambda _: parts, 2) == [ANN, BOB]
    await relay.database.move_user(SMS, ANN, UserId("zoe"))
    await relay.database.move_user(SMS, BOB, CAT)
    await run(relay, broadcaster(relay))
    got = await relay.database.query(lambda c: c.execute(select(broadcast_people.c.user_id)).scalars().all())
    assert sorted(got) == [CAT, "zoe"]
    assert len(await relay.rows(outbound)) == 2
    await relay.database.forget_user(SMS, CAT)
    got = await relay.database.query(lambda c: c.execute(select(broadcast_people.c.user_id)).scalars().all())
    assert list(got) == ["zoe"]


async def test_prices_are_known_by_the_beginnings_of_numbers(relay: RelayHarness) -> None:
    """One address for each country or area, with how many people have it."""
    await people(relay, "+12025550100", "+12025550101", "+16045550100", "+491701234567")
    found = await relay.database.query(lambda c: broadcasts.numbers_by_prefix(c, Audience(SMS), relay.clock.now))
    assert sorted(found) == [("+12025550100", 2), ("+16045550100", 1), ("+491701234567", 1)]
