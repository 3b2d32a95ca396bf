"""A channel, a model and a clock that do as they are told, around the real conversation, outbox and database."""

# ruff: noqa: ARG002 (the arguments are the protocols')
from __future__ import annotations

import asyncio
from collections import defaultdict, deque
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

from sqlalchemy import select

from messaging_database import MessagingDatabase
from relay.channels.sms.spec import SMS
from relay.core.conversation import Conversation
from relay.core.errors import StorageError
from relay.core.messages import (
    Answer,
    Decision,
    InboundMessage,
    Kind,
    Part,
    PlannedPart,
    Platform,
    Receipt,
    User,
    UserId,
    UserState,
)
from relay.core.metrics import Metrics
from relay.core.outbox import Outbox
from relay.core.store import Store
from relay.core.user_workers import SWEEP_SECONDS
from relay.storage.engine import open_transactions
from relay.storage.schema import conversations, inbound, outbound
from tests.settings import Settings

ANN, BOB, CAT = UserId("ann"), UserId("bob"), UserId("cat")


class Hours:
    """A clock that stands until it is moved, and the sleeps that wait for it. `show` hears of every moment."""

    def __init__(self, show: Callable[[float], None]) -> None:
        self.now = 1_000_000.0
        self._show = show
        show(self.now)
        self._sleepers: list[tuple[float, float, asyncio.Future[None]]] = []

    def clock(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        entry = (self.now + seconds, seconds, future)
        self._sleepers.append(entry)
        try:
            await future
        finally:
            self._sleepers.remove(entry)

    def asleep(self, seconds: float | None = None) -> int:
        """How many sleep for so long; without a number, how many sleep at all."""
        return sum(1 for _, wanted, future in self._sleepers if seconds in {None, wanted} and not future.done())

    def move(self, seconds: float) -> None:
        self.now += seconds
        self._show(self.now)
        for end, _, future in self._sleepers:
            if end <= self.now and not future.done():
                future.set_result(None)


Outcome = Any
"""What a script says to one call: a value to return, an error to raise, or a function to await."""


async def _play(outcome: Outcome) -> Any:
    if isinstance(outcome, Exception):
        raise outcome
    if callable(outcome):
        outcome = await outcome()
    return None if outcome is True else outcome  # True is what an event says when it was awaited


class ScriptedModel:
    """Says what it is told to, and "re: QUESTION" when it is told nothing."""

    def __init__(self) -> None:
        self.script: deque[Outcome] = deque()
        self.always: Outcome = None
        self.prompts: list[list[str]] = []
        self.names: list[str | None] = []

    async def ask(
        self, messages: Sequence[Mapping[str, str]], *, platform: Platform, user: str, name: str | None
    ) -> Answer:
        self.prompts.append([line["content"] for line in messages[1:]])
        self.names.append(name)
        outcome = self.script.popleft() if self.script else self.always
        said = await _play(outcome)
        return said if isinstance(said, Answer) else Answer(said or f"re: {messages[-1]['content']}")


class ScriptedChannel:
    """Accepts what it is not told to refuse. Text that begins with "/" is a command, with "-" it gets no answer."""

    platform = SMS
    lookup_seconds = 0.0

    def __init__(self, *, supports_lookup: bool = True, rate_limited: bool = False) -> None:
        self.supports_lookup = supports_lookup
        self.rate_limited = rate_limited
        self.turns: deque[Outcome] = deque()
        self.probes: deque[Outcome] = deque()
        self.script: deque[Outcome] = deque()
        self.always: Outcome = None
        self.findings: deque[Outcome] = deque()
        self.sent: list[tuple[UserId, str]] = []
        self.lookups: list[str] = []
        self.typing_for: list[UserId] = []

    def decide(self, message: InboundMessage, user: User | None) -> Decision:
        if message.text.startswith("name="):
            return Decision(reply="registered", name=message.text.removeprefix("name="))
        if message.text.startswith("/"):
            return Decision(reply=f"did {message.text}")
        if message.kind is Kind.LEFT or message.text.startswith("-"):
            return Decision(reason="passed over")
        if message.text.startswith("state="):
            return Decision(reply="changed", state=UserState(message.text.removeprefix("state=")))
        if message.text == "bug":
            raise ValueError(message.text)
        return Decision(prompt=message.text)

    def debounce_seconds(self, message: InboundMessage) -> float:
        return 0.0

    def merge(self, messages: Sequence[InboundMessage]) -> str:
        return "+".join(message.text for message in messages)

    def system_prompt(self, user: User | None) -> str:
        return "system"

    def plan(self, markdown: str) -> list[PlannedPart]:
        return [PlannedPart(text, text) for text in markdown.split("|")]

    @asynccontextmanager
    async def typing(self, user_id: UserId) -> AsyncIterator[None]:
        self.typing_for.append(user_id)
        yield

    async def wait_for_rate_limit(self, part: Part) -> None:
        await _play(self.turns.popleft() if self.turns else None)

    async def probe(self) -> None:
        await _play(self.probes.popleft() if self.probes else None)

    async def send(self, part: Part) -> Receipt:
        receipt = await _play(self.script.popleft() if self.script else self.always)
        self.sent.append((part.user_id, part.text))
        return receipt or Receipt(f"P{len(self.sent)}")

    async def lookup(self, part: Part, taken: Collection[str]) -> Receipt | None:
        self.lookups.append(part.text)
        found: Receipt | None = await _play(self.findings.popleft() if self.findings else None)
        return found

    def to(self, user_id: UserId) -> list[str]:
        return [text for person, text in self.sent if person == user_id]


class Moody:
    """The database, of which one verb cannot be used for a while: before it begins, or after it was committed."""

    def __init__(self, database: MessagingDatabase, verb: str = "", times: int = 0) -> None:
        self._database = database
        self.verb, self.times = verb, times
        self.calls: dict[str, int] = defaultdict(int)

    def __getattr__(self, name: str) -> Any:
        verb = getattr(self._database, name)

        async def moody(*args: Any, **more: Any) -> Any:
            self.calls[name] += 1
            if name == self.verb and self.times > 0:
                self.times -= 1
                raise StorageError("locked")
            return await verb(*args, **more)

        return moody


class Town:
    """Everything between the store and the provider, on a clock of its own."""

    def __init__(
        self, url: str, hours: Hours, *, supports_lookup: bool = True, rate_limited: bool = False, **changes: Any
    ) -> None:
        self.hours = hours
        self.database = MessagingDatabase(open_transactions(url, 60), owner="sms@town", clock=hours.clock)
        self.moody = Moody(self.database)
        defaults = {"merge_messages": False, "messages_per_minute": 10_000, "loop_turns": 0}
        self.settings = Settings(**{**defaults, **changes})
        self.channel = ScriptedChannel(supports_lookup=supports_lookup, rate_limited=rate_limited)
        self.model, self.metrics = ScriptedModel(), Metrics()
        self.reborn()

    def reborn(self) -> None:
        """A new life of the same server: nothing but the database is left of the last one."""
        store: Store = self.moody
        ways: dict[str, Any] = {"clock": self.hours.clock, "sleep": self.hours.sleep, "rng": lambda: 0.5}
        self.outbox = Outbox(store, self.channel, self.settings, self.metrics, **ways)
        self.conversation = Conversation(
            store, self.channel, self.model, self.settings, self.metrics, planned=self.outbox.workers.notify, **ways
        )

    async def start(self) -> None:
        await self.database.start()
        await self.database.release_leases(SMS)
        self.outbox.workers.start()
        self.conversation.workers.start()
        await self._swept()

    async def stop(self, seconds: float = 5) -> None:
        await self.conversation.workers.stop(seconds)
        await self.outbox.workers.stop(seconds)
        await self.database.release_leases(SMS)

    async def hear(self, *texts: str, from_: UserId = ANN, **changes: Any) -> None:
        """A person writes, and the workers are notified, as a server does it."""
        for text in texts:
            external_id = changes.pop("external_id", f"SM-{id(text)}-{len(await self.rows(inbound))}")
            message = InboundMessage(SMS, external_id, from_, text, self.hours.now, **changes)
            await self.database.store_inbound(message, "")
            self.conversation.workers.notify(from_)

    async def quiet(self) -> None:
        """Until nobody is being served: all that is left waits for the clock."""
        await self.until(lambda: not self.conversation.workers.busy and not self.outbox.workers.busy)

    async def still(self) -> None:
        """Until nobody does anything but wait for the clock: both sweeps, and every worker that there is."""
        await self.until(lambda: self.hours.asleep() == 2 + self.conversation.workers.busy + self.outbox.workers.busy)

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(60):
            while not condition():  # noqa: ASYNC110 (the database's own threads work meanwhile)
                await asyncio.sleep(0.001)

    async def wait(self, seconds: float) -> None:
        """Let so much time go by, and everything happen that it brings."""
        await self.pass_by(seconds)
        await self.quiet()

    async def pass_by(self, seconds: float) -> None:
        self.hours.move(max(seconds, SWEEP_SECONDS))
        await self._swept()

    async def _swept(self) -> None:
        await asyncio.sleep(0)
        await self.until(lambda: self.hours.asleep(SWEEP_SECONDS) == 2)

    async def rows(self, table: Any, *columns: str) -> list[Any]:
        chosen = [table.c[name] for name in columns] or [table]
        query = select(*chosen).order_by(table.c.id)
        return await self.database.query(lambda c: [tuple(row) for row in c.execute(query)])

    async def history(self) -> list[tuple[str, str]]:
        return await self.rows(conversations, "role", "message")

    async def part_states(self) -> list[str]:
        return [state for (state,) in await self.rows(outbound, "state")]

    async def inbound_states(self) -> list[str]:
        return [state for (state,) in await self.rows(inbound, "state")]


Found = Callable[..., Awaitable[Town]]
