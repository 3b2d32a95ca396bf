"""A scripted channel, a scripted model and a fake clock around the real conversation, outbox and database."""

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
from relay.core.attachments import AttachmentReader, no_attachments
from relay.core.channel import Channel
from relay.core.conversation import Conversation
from relay.core.decisions import Decision
from relay.core.download import Write
from relay.core.errors import StorageError
from relay.core.messages import (
    Answer,
    Attachment,
    HistoryMessage,
    InboundMessage,
    Kind,
    Platform,
    User,
    UserId,
    UserState,
)
from relay.core.metrics import Metrics
from relay.core.outbox import Outbox
from relay.core.parts import Part, PlannedPart, Receipt
from relay.core.progress import Progress
from relay.core.store import Store
from relay.core.user_workers import SWEEP_SECONDS
from relay.storage.engine import open_transactions
from relay.storage.schema import conversations, inbound, outbound
from relay.texts import ENGLISH
from tests.settings import Settings

ANN, BOB, CAT = UserId("ann"), UserId("bob"), UserId("cat")


class FakeClock:
    """A clock that only `advance` moves, and the sleeps that wait for it. `on_change` is called with each new time.

    `time` differs from `monotonic` after `set_back`, as on a machine whose clock is corrected.
    """

    def __init__(self, on_change: Callable[[float], None] = lambda _now: None) -> None:
        self.now = 1_000_000.0
        self._set_back = 0.0
        self._on_change = on_change
        on_change(self.now)
        self._sleepers: list[tuple[float, float, asyncio.Future[None]]] = []

    def time(self) -> float:
        return self.now - self._set_back

    def monotonic(self) -> float:
        return self.now

    def set_back(self, seconds: float) -> None:
        self._set_back += seconds

    async def sleep(self, seconds: float) -> None:
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        entry = (self.now + seconds, seconds, future)
        self._sleepers.append(entry)
        try:
            await future
        finally:
            self._sleepers.remove(entry)

    def sleeping(self, seconds: float | None = None) -> int:
        """The number of sleeps of this length that wait now; without a length, of all of them."""
        return sum(1 for _, wanted, future in self._sleepers if seconds in {None, wanted} and not future.done())

    def advance(self, seconds: float) -> None:
        self.now += seconds
        self._on_change(self.now)
        for end, _, future in self._sleepers:
            if end <= self.now and not future.done():
                future.set_result(None)


Outcome = Any
"""The scripted outcome of one call: a value to return, an error to raise, or a function to await."""


async def _play(outcome: Outcome) -> Any:
    if isinstance(outcome, Exception):
        raise outcome
    if callable(outcome):
        outcome = await outcome()
    return None if outcome is True else outcome  # an awaited event returns True


class ScriptedModel:
    """Answers with its script, and with "re: QUESTION" when that is empty."""

    def __init__(self) -> None:
        self.script: deque[Outcome] = deque()
        self.always: Outcome = None
        self.prompts: list[list[str]] = []
        self.pictures: list[list[str]] = []
        self.names: list[str | None] = []
        self.unusable: list[int] = []
        self.usable = True
        self.checks = 0

    async def ask(
        self,
        messages: Sequence[Mapping[str, Any]],
        *,
        platform: Platform,
        user: str,
        name: str | None,
        language: str = "en",
        unusable: int = 0,
        progress: Progress | None = None,
        model: str = "default",
    ) -> Answer:
        self.prompts.append([message["content"] for message in messages[1:]])
        self.pictures.append([picture for message in messages for picture in message.get("images", ())])
        self.names.append(name)
        self.unusable.append(unusable)
        outcome = self.script.popleft() if self.script else self.always
        answer = await _play(outcome)
        return answer if isinstance(answer, Answer) else Answer(answer or f"re: {messages[-1]['content']}")

    async def is_usable(self) -> bool:
        self.checks += 1
        return self.usable


class ScriptedChannel:
    """Accepts every part unless its script differs. Text that begins with "/" is a command, with "-" gets no answer."""

    platform = SMS
    lookup_seconds = 0.0
    joins_messages = True

    def __init__(self, *, supports_lookup: bool = True, rate_limited: bool = False) -> None:
        self.supports_lookup = supports_lookup
        self.rate_limited = rate_limited
        self.is_billed = False
        self.rate_limits: deque[Outcome] = deque()
        self.probes: deque[Outcome] = deque()
        self.script: deque[Outcome] = deque()
        self.always: Outcome = None
        self.lookup_results: deque[Outcome] = deque()
        self.sent: list[tuple[UserId, str]] = []
        self.lookups: list[str] = []
        self.downloads: list[str] = []
        self.typing_for: list[UserId] = []
        self.countries: dict[UserId, str] = {}

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

    def language(self, user: User | None, message: InboundMessage | None = None) -> str:
        return ENGLISH

    def why_ignored(self, message: InboundMessage, history: Sequence[HistoryMessage]) -> str | None:
        return None

    def continues(self, earlier: InboundMessage, later: InboundMessage) -> bool:
        return False

    def country(self, user_id: UserId) -> str | None:
        return self.countries.get(user_id)

    def follow_seconds(self, message: InboundMessage) -> float:
        return 0.0

    def merge(self, messages: Sequence[InboundMessage]) -> str:
        return "+".join(message.text for message in messages)

    def system_prompt(self, user: User | None) -> str:
        return "system"

    async def download_attachment(self, attachment: Attachment, write: Write, max_bytes: int) -> None:
        self.downloads.append(attachment.reference)
        write(attachment.reference.encode())

    def plan(self, markdown: str, language: str = ENGLISH) -> list[PlannedPart]:
        return [PlannedPart(text, text) for text in markdown.split("|")]

    @asynccontextmanager
    async def typing(self, message: InboundMessage, language: str = ENGLISH) -> AsyncIterator[None]:
        self.typing_for.append(message.user_id)
        yield

    async def wait_for_rate_limit(self, part: Part) -> None:
        await _play(self.rate_limits.popleft() if self.rate_limits else None)

    async def probe(self) -> None:
        await _play(self.probes.popleft() if self.probes else None)

    async def send(self, part: Part) -> Receipt:
        receipt = await _play(self.script.popleft() if self.script else self.always)
        self.sent.append((part.user_id, part.text))
        return receipt or Receipt(f"P{len(self.sent)}")

    async def lookup(self, part: Part, taken: Collection[str]) -> Receipt | None:
        self.lookups.append(part.text)
        found: Receipt | None = await _play(self.lookup_results.popleft() if self.lookup_results else None)
        return found

    def to(self, user_id: UserId) -> list[str]:
        return [text for person, text in self.sent if person == user_id]


class FlakyDatabase:
    """The database, one verb of which raises StorageError `times` times instead of running."""

    def __init__(self, database: MessagingDatabase, verb: str = "", times: int = 0) -> None:
        self._database = database
        self.priority = database.priority
        self.verb, self.times = verb, times
        self.calls: dict[str, int] = defaultdict(int)

    def __getattr__(self, name: str) -> Any:
        verb = getattr(self._database, name)

        async def flaky(*args: Any, **more: Any) -> Any:
            self.calls[name] += 1
            if name == self.verb and self.times > 0:
                self.times -= 1
                raise StorageError("locked")
            return await verb(*args, **more)

        return flaky


class RelayHarness:
    """Everything between the store and the provider, on a fake clock."""

    def __init__(
        self,
        url: str,
        clock: FakeClock,
        *,
        supports_lookup: bool = True,
        rate_limited: bool = False,
        channel: Channel | None = None,
        **changes: Any,
    ) -> None:
        self.clock = clock
        self.database = MessagingDatabase(open_transactions(url, 60), owner="sms@relay", clock=clock.time)
        self.flaky_database = FlakyDatabase(self.database)
        defaults = {"merge_messages": False, "messages_per_minute": 10_000, "loop_turns": 0}
        self.settings = Settings(**{**defaults, **changes})
        self.channel = ScriptedChannel(supports_lookup=supports_lookup, rate_limited=rate_limited)
        self.provider: Channel = channel or self.channel
        self.platform = self.provider.platform
        self.model, self.metrics = ScriptedModel(), Metrics()
        self.attachments: AttachmentReader = no_attachments
        self.rebuild()

    def rebuild(self) -> None:
        """Create the services anew, as a restart of the server does; only the database stays."""
        store: Store = self.flaky_database
        faked: dict[str, Any] = {"clock": self.clock.time, "sleep": self.clock.sleep, "rng": lambda: 0.5}
        self.outbox = Outbox(store, self.provider, self.settings, self.metrics, monotonic=self.clock.monotonic, **faked)
        self.conversation = Conversation(
            store,
            self.provider,
            self.model,
            self.settings,
            self.metrics,
            outbox=self.outbox,
            attachments=self.attachments,
            **faked,
        )

    async def start(self) -> None:
        await self.database.start()
        await self.database.release_leases(self.platform)
        self.outbox.workers.start()
        self.conversation.workers.start()
        await self._swept()

    async def stop(self, seconds: float = 5) -> None:
        await self.conversation.workers.stop(seconds)
        await self.outbox.workers.stop(seconds)
        await self.database.release_leases(self.platform)

    async def receive(self, *texts: str, from_: UserId = ANN, **changes: Any) -> None:
        """Store messages of a user and notify the workers, as a server does."""
        for text in texts:
            external_id = changes.pop("external_id", f"SM-{id(text)}-{len(await self.rows(inbound))}")
            message = InboundMessage(self.platform, external_id, from_, text, self.clock.time(), **changes)
            await self.database.store_inbound(message, "")
            self.conversation.workers.notify(from_)

    async def idle(self) -> None:
        """Wait until no worker is busy: all that is left waits for the clock."""
        await self.until(lambda: not self.conversation.workers.busy and not self.outbox.workers.busy)

    async def all_asleep(self) -> None:
        """Wait until both sweeps and all workers wait for the clock."""
        await self.until(lambda: self.clock.sleeping() == 2 + self.conversation.workers.busy + self.outbox.workers.busy)

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(60):
            while not condition():  # noqa: ASYNC110 (the database's own threads work meanwhile)
                await asyncio.sleep(0.001)

    async def advance(self, seconds: float) -> None:
        """Advance the clock and wait until all work that is due is done."""
        await self.advance_clock(seconds)
        await self.idle()

    async def advance_clock(self, seconds: float) -> None:
        self.clock.advance(max(seconds, SWEEP_SECONDS))
        await self._swept()

    async def _swept(self) -> None:
        await asyncio.sleep(0)
        await self.until(lambda: self.clock.sleeping(SWEEP_SECONDS) == 2)

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


NewRelay = Callable[..., Awaitable[RelayHarness]]
