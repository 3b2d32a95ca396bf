"""While messages are being stored few steps begin, in the order in which they asked; nothing starves, nothing leaks."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from dataclasses import replace

import pytest

from relay.core.decisions import Decision
from relay.core.messages import InboundMessage, User, UserId
from relay.core.priority import MAX_STEPS, MAX_STEPS_WHILE_STORING, Priority
from relay.texts import ENGLISH
from tests.core.harness import BOB, NewRelay, ScriptedChannel

MANY = 3 * MAX_STEPS


class Steps:
    """Steps that run until `finish`; each notes when it began."""

    def __init__(self, priority: Priority, count: int) -> None:
        self.priority = priority
        self.begun: list[int] = []
        self.begins = [asyncio.Event() for _ in range(count)]
        self.ends = [asyncio.Event() for _ in range(count)]
        self.tasks = [asyncio.create_task(self._step(number)) for number in range(count)]

    async def _step(self, number: int) -> None:
        async with self.priority.step():
            self.begun.append(number)
            self.begins[number].set()
            await self.ends[number].wait()

    async def finish(self, *numbers: int) -> None:
        for number in numbers:
            self.ends[number].set()
        await settle()


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_few_steps_begin_while_a_message_is_stored() -> None:
    """Those that run go on; when it is stored, as many begin as otherwise, in order."""
    priority = Priority(pace=0)
    with priority.storing():
        steps = Steps(priority, MANY)
        await settle()
        assert steps.begun == list(range(MAX_STEPS_WHILE_STORING))
        await steps.finish(0)
        assert steps.begun == list(range(MAX_STEPS_WHILE_STORING + 1))
    await settle()
    assert steps.begun == list(range(MAX_STEPS + 1))
    await steps.finish(*range(MANY))
    assert steps.begun == list(range(MANY))
    await asyncio.gather(*steps.tasks)


async def test_steps_begin_one_after_another_while_a_message_is_stored() -> None:
    """The second begins by itself, a pause behind the first; when the message is stored, the rest begins at once."""
    priority = Priority()
    with priority.storing():
        steps = Steps(priority, MANY)
        await settle()
        assert steps.begun == [0]
        await steps.begins[1].wait()
        assert steps.begun == [0, 1]
    await settle()
    assert steps.begun == list(range(MAX_STEPS))
    await steps.finish(*range(MANY))
    await asyncio.gather(*steps.tasks)


async def test_urgent_steps_begin_first() -> None:
    """What is answered is sent before another question is begun."""
    priority, begun = Priority(pace=0), list[str]()

    async def step(name: str, *, urgent: bool) -> None:
        async with priority.step(urgent=urgent):
            begun.append(name)

    with priority.storing():
        running = Steps(priority, MAX_STEPS_WHILE_STORING)
        await settle()
        tasks = [asyncio.create_task(step(name, urgent=name.startswith("send"))) for name in ("ask", "send", "send 2")]
        await settle()
        await running.finish(*range(MAX_STEPS_WHILE_STORING))
    await asyncio.gather(*tasks)
    assert begun == ["send", "send 2", "ask"]


async def test_a_flood_of_messages_stops_no_step() -> None:
    """However many are being stored, steps begin one after the other."""
    priority = Priority(pace=0)
    with ExitStack() as stack:
        for _ in range(1000):
            stack.enter_context(priority.storing())
        steps = Steps(priority, MANY)
        for number in range(MANY):
            await settle()
            await steps.finish(number)
        assert steps.begun == list(range(MANY))


async def test_a_step_that_waits_lets_another_begin() -> None:
    """A call of the model takes no place; after it the step goes on at once, though all places are taken."""
    priority = Priority()
    model = asyncio.Event()
    answered = asyncio.Event()

    async def asks() -> None:
        async with priority.step():
            with priority.paused():
                await model.wait()
            answered.set()

    asking = [asyncio.create_task(asks()) for _ in range(MANY)]
    await settle()
    steps = Steps(priority, MANY)
    await settle()
    assert len(steps.begun) == MAX_STEPS
    model.set()
    await asyncio.gather(*asking)
    assert answered.is_set()
    await steps.finish(*range(MANY))
    assert len(steps.begun) == MANY


async def test_a_cancelled_step_gives_its_place_back() -> None:
    """Whether it was waiting, running or just admitted."""
    priority = Priority()
    for _ in range(3):
        steps = Steps(priority, MANY)
        await settle()
        for task in steps.tasks:
            task.cancel()
        await asyncio.gather(*steps.tasks, return_exceptions=True)
    steps = Steps(priority, MAX_STEPS)
    await settle()
    assert len(steps.begun) == MAX_STEPS
    await steps.finish(*range(MAX_STEPS))


async def test_a_step_that_is_cancelled_as_it_is_admitted_gives_its_place_back() -> None:
    """The place was given, but the step has not run since."""
    priority = Priority()
    first = Steps(priority, MAX_STEPS)
    await settle()
    second = Steps(priority, 1)
    await settle()
    first.ends[0].set()
    await asyncio.sleep(0)  # the first step ends and admits the second, which has not begun
    second.tasks[0].cancel()
    await settle()
    third = Steps(priority, 1)
    await settle()
    assert third.begun == [0]
    await first.finish(*range(MAX_STEPS))
    await third.finish(0)


async def test_messages_that_keep_coming_delay_answers_and_lose_none(new_relay: NewRelay) -> None:
    """Each of many people gets an answer although a message is being stored all the time."""
    relay = await new_relay()
    people = [f"+1202555{number:04}" for number in range(2 * MAX_STEPS_WHILE_STORING)]
    with relay.database.priority.storing():
        for person in people:
            await relay.receive("hello", from_=UserId(person))
        await relay.idle()
    assert sorted(user for user, _ in relay.channel.sent) == people


class HangingChannel(ScriptedChannel):
    """A call about a sender's rights, or of a draft, hangs until `answers` is set."""

    def __init__(self, hangs: str) -> None:
        super().__init__()
        self.hangs = hangs
        self.answers = asyncio.Event()
        self.waiting = 0

    async def _hang(self) -> None:
        self.waiting += 1
        await self.answers.wait()

    def decide(self, message: InboundMessage, user: User | None) -> Decision:
        decision = super().decide(message, user)

        async def resolve(_: object) -> Decision:
            await self._hang()
            return decision

        return replace(decision, resolve=resolve) if message.text == self.hangs == "rights" else decision

    @asynccontextmanager
    async def typing(self, message: InboundMessage, language: str = ENGLISH) -> AsyncIterator[None]:  # noqa: ARG002 (no words of ours)
        yield
        if message.text == self.hangs == "draft":
            await self._hang()


@pytest.mark.parametrize("hangs", ["rights", "draft"])
async def test_a_provider_that_does_not_answer_delays_only_those_it_concerns(new_relay: NewRelay, hangs: str) -> None:
    """However many steps wait for it, others begin while messages are being stored."""
    channel = HangingChannel(hangs)
    relay = await new_relay(channel=channel)
    waiting = [UserId(f"+1202555{number:04}") for number in range(MAX_STEPS_WHILE_STORING)]
    with relay.database.priority.storing():
        for person in waiting:
            await relay.receive(hangs, from_=person)
        await relay.until(lambda: channel.waiting == len(waiting))
        await relay.receive("hello", from_=BOB)
        await relay.until(lambda: channel.to(BOB) == ["re: hello"])
        channel.answers.set()
        await relay.idle()
    assert sorted(user for user, _ in channel.sent) == sorted([*waiting, BOB])
