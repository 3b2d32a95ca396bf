"""The contract that every channel keeps: what one supplies to be tested, and its server between scripted peers.

A channel supplies a ChannelContract in `tests/channels/<folder>/contract.py`: recorded payloads, and how its provider
speaks. `tests/channels/test_contract.py` has the tests, one set for all channels of the registry.
"""

from __future__ import annotations

import asyncio
import itertools
import sqlite3
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from enum import StrEnum, auto
from pathlib import Path
from typing import Any, ClassVar
from unittest.mock import AsyncMock

import httpx
import pytest
from fastapi import FastAPI
from prometheus_client.parser import text_string_to_metric_families

from messaging_database import open_database
from relay.channels.server import AnyServer
from relay.channels.spec import ChannelSpec
from relay.core.conversation import Conversation
from relay.core.http_client import open_transport
from relay.core.messages import Kind, Outcome, UserId, UserState
from relay.core.outbox import Outbox
from relay.core.parts import PartState, PlannedPart
from relay.core.user_workers import SWEEP_SECONDS
from tests.channels.harness import model_reply
from tests.channels.scripted_server import CUT, HANG, PATIENCE, Reply, Request, ScriptedServer, listening
from tests.core.harness import FakeClock

ADMIN_TOKEN = "admin-token-of-the-contract"
PUBLIC_URL = "https://relay.example"
MODEL_TEXT = "Hello from the model."
RETRY_AFTER_SECONDS = 30
MAX_MESSAGE_LENGTH = 500


class Row(StrEnum):
    """What every channel is tested with."""

    TEXT = "text"
    MEDIA = "media"
    EDITED = "edited"
    KEYWORD = "keyword"
    REPEAT = "repeat"
    GARBAGE = "garbage"
    TOO_LONG = "too long"
    BLOCKED = "blocked"
    STATUS_EARLY = "status early"
    STATUS_LATE = "status late"
    STATUS_TWICE = "status twice"
    STATUS_CONTRADICTING = "status contradicting"
    RATE_LIMITED = "429"
    SERVER_ERROR = "5xx"
    TIMEOUT = "timeout"
    CUT_AFTER_ACCEPTANCE = "cut after acceptance"


PAYLOAD_ROWS = frozenset({Row.TEXT, Row.MEDIA, Row.EDITED, Row.KEYWORD, Row.GARBAGE, Row.TOO_LONG})
"""Rows that need a recorded payload."""
REFUSAL_ROWS = frozenset({Row.BLOCKED, Row.RATE_LIMITED, Row.SERVER_ERROR})
"""Rows that need the provider's answer to a send."""
STATUS_ROWS = frozenset({Row.STATUS_EARLY, Row.STATUS_LATE, Row.STATUS_TWICE, Row.STATUS_CONTRADICTING})
"""Rows that need `status_callback`."""


@dataclass(frozen=True, slots=True)
class Payload:
    """A recorded request of a provider, and what has to become of the message in it.

    replies: how many parts the user is sent. reply: their text; None where it is the model's, or of a command. The
    model is asked about text alone.
    """

    body: bytes
    external_id: str = ""
    text: str = ""
    kind: Kind = Kind.TEXT
    outcome: Outcome = Outcome.ANSWERED
    replies: int = 1
    reply: str | None = None
    user_state: UserState = UserState.ACTIVE


@dataclass(frozen=True, slots=True)
class Send:
    """A message that the provider was asked to send, at a moment of the test's clock."""

    to: str
    text: str
    request: Request
    at: float = 0.0


class ChannelContract(ABC):
    """What one channel supplies.

    webhook: path that payloads are posted to. user: who writes in them.
    introduction: a payload after which the user is known, if text is given to the model only then. accepted_state: of a
    part that the provider took. refusals: the provider's answers to a send, 429 with RETRY_AFTER_SECONDS.
    not_applicable: rows that this provider does not have, each with the reason. clocked: classes of the channel that
    take a clock or sleep by keyword. left_out: paths of coroutine functions that do nothing here: calls that a start of
    the server makes beside its messages, and that have tests of their own.
    """

    channel: ClassVar[ChannelSpec]
    webhook: ClassVar[str]
    user: ClassVar[UserId]
    payloads: ClassVar[Mapping[Row, Payload]]
    refusals: ClassVar[Mapping[Row, Reply]]
    introduction: ClassVar[bytes | None] = None
    accepted_state: ClassVar[PartState] = PartState.SENT
    not_applicable: ClassVar[Mapping[Row, str]] = {}
    clocked: ClassVar[tuple[type, ...]] = ()
    left_out: ClassVar[tuple[str, ...]] = ()

    @abstractmethod
    def create_app(self, provider_url: str, common: Mapping[str, Any]) -> FastAPI:
        """The app of the channel, with `common` settings, its own credentials, and the provider at `provider_url`."""

    def headers(self, path: str, body: bytes) -> dict[str, str]:
        """Headers of a request to a webhook, the proof of its sender included."""
        del path, body
        return {"Content-Type": "application/json"}

    @abstractmethod
    def read_send(self, request: Request) -> Send | None:
        """What the provider was asked to send; None for any other request."""

    @abstractmethod
    def accepted(self, send: Send, provider_id: str) -> Reply:
        """The provider's answer to a message that it took."""

    @abstractmethod
    def provider_id(self, send: Send, number: int) -> str:
        """The provider's id of the message that it took as its `number`th."""

    @abstractmethod
    def respond(self, request: Request, taken: Mapping[str, Send]) -> Reply:
        """The answer to any other request; `taken` are the messages that the provider took, by its ids."""

    def status_callback(self, send: Send, provider_id: str, state: PartState) -> tuple[str, bytes]:
        """Path and body of a later status of a message."""
        raise NotImplementedError


class Act(StrEnum):
    """What the provider does about a send; None in a script: it takes the message."""

    HOLD = auto()  # take it, and answer only when told to
    HOLD_AND_CUT = auto()  # take it, and cut the connection when told to
    CUT = auto()  # take it, and cut the connection
    HANG = auto()  # neither take it nor answer


class FakeProvider(ScriptedServer):
    """Any channel's provider on a real socket. `sends` has every attempt, `taken` those that it will deliver."""

    def __init__(self, contract: ChannelContract, clock: Callable[[], float]) -> None:
        super().__init__(Reply(500))
        self._contract = contract
        self._clock = clock
        self._numbers = itertools.count(1)
        self.acts: deque[Act | Reply | None] = deque()
        self.sends: list[Send] = []
        self.taken: dict[str, Send] = {}
        self.released = asyncio.Event()
        self.hung = asyncio.Event()

    async def answer(self, request: Request) -> Reply | str:
        send = self._contract.read_send(request)
        if send is None:
            return self._contract.respond(request, self.taken)
        send = Send(send.to, send.text, request, self._clock())
        self.sends.append(send)
        act = self.acts.popleft() if self.acts else None
        if isinstance(act, Reply):
            return act
        if act is Act.HANG:
            self.hung.set()
            return HANG
        provider_id = self._contract.provider_id(send, next(self._numbers))
        self.taken[provider_id] = send
        if act in {Act.HOLD, Act.HOLD_AND_CUT}:
            await self.released.wait()
        return CUT if act in {Act.CUT, Act.HOLD_AND_CUT} else self._contract.accepted(send, provider_id)


class ImpatientTransport(httpx.AsyncBaseTransport):
    """The product's own transport, save that a request times out as soon as the provider has decided not to answer."""

    def __init__(self, hung: asyncio.Event) -> None:
        self._inner = open_transport(10)
        self._hung = hung

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        response = asyncio.ensure_future(self._inner.handle_async_request(request))
        hung = asyncio.ensure_future(self._hung.wait())
        await asyncio.wait({response, hung}, return_when=asyncio.FIRST_COMPLETED)
        hung.cancel()
        if response.done():
            return response.result()
        self._hung.clear()
        response.cancel()
        raise httpx.ReadTimeout("no answer in time", request=request)

    async def aclose(self) -> None:
        await self._inner.aclose()


@dataclass(slots=True)
class RunningChannel:
    """A channel's server between its fake provider and a scripted model, on a clock that moves when it has to."""

    contract: ChannelContract
    app: FastAPI
    client: httpx.AsyncClient
    provider: FakeProvider
    model: ScriptedServer
    clock: FakeClock
    database: Path
    _messages_before: int = field(default=0, init=False)

    @property
    def server(self) -> AnyServer:
        found: AnyServer = self.app.state.servers[self.contract.channel.platform]
        return found

    async def introduce(self) -> None:
        """Let the user become known, and forget what that took."""
        async with asyncio.timeout(PATIENCE):
            while (await self.client.get("/ready")).status_code != 200:  # noqa: ASYNC110 (there is no event for it)
                await asyncio.sleep(0.001)
        if self.contract.introduction is not None:
            assert (await self.post(self.contract.introduction)).is_success
            await self.idle()
        self.provider.sends.clear()
        self.provider.taken.clear()
        self._messages_before = self.rows("SELECT count(*) FROM inbound")[0][0]

    async def post(self, body: bytes) -> httpx.Response:
        """A request to the webhook."""
        return await self._post(self.contract.webhook, body)

    async def report(self, state: PartState) -> httpx.Response:
        """A status callback about the last message that the provider took."""
        provider_id, send = list(self.provider.taken.items())[-1]
        return await self._post(*self.contract.status_callback(send, provider_id, state))

    async def _post(self, path: str, body: bytes) -> httpx.Response:
        return await self.client.post(path, content=body, headers=self.contract.headers(path, body))

    async def write_first(self) -> None:
        """Make the user known by a message to them, without a question to the model, and forget what that took."""
        platform, part = self.contract.channel.platform, PlannedPart("hello", "hello")
        await self.server.database.plan_message(platform, self.contract.user, [part])
        self.server.pipeline.notify_outbox(self.contract.user)
        await self.idle()
        self.provider.sends.clear()

    async def send_by_hand(self, text: str, **more: Any) -> httpx.Response:
        """A message of the operator to the user."""
        channel = self.contract.channel
        body = {channel.address_key: self.contract.user, "message": text, **more}
        return await self.client.post(f"/{channel.platform}/send", json=body)

    # -- time ----------------------------------------------------------------------------------------------------------

    @property
    def _busy(self) -> int:
        pipeline = self.server.pipeline
        return pipeline.conversation.workers.busy + pipeline.outbox.workers.busy

    @property
    def _sweeps(self) -> int:
        return 2 * len(self.app.state.servers)

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait for a condition; the clock moves when every worker waits for it."""
        async with asyncio.timeout(PATIENCE):
            while not condition():
                if self._busy and self.clock.sleeping() >= self._sweeps + self._busy:
                    await self._move()
                await asyncio.sleep(0.001)  # the database's own threads work meanwhile

    async def idle(self) -> None:
        """Wait until no worker has anything to do now."""
        await self.until(lambda: not self._busy)

    async def pass_by(self, seconds: float) -> None:
        """Let time go by, in growing steps, with all that it brings."""
        step, end = SWEEP_SECONDS, self.clock.now + seconds
        await self.idle()
        while self.clock.now < end:
            await self._move(step)
            await self.idle()
            step *= 1.5

    async def _move(self, seconds: float = SWEEP_SECONDS) -> None:
        self.clock.advance(seconds)
        while self.clock.sleeping(SWEEP_SECONDS) < self._sweeps:  # noqa: ASYNC110 (as above)
            await asyncio.sleep(0.001)

    # -- what is left of it --------------------------------------------------------------------------------------------

    def rows(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        connection = sqlite3.connect(self.database, timeout=PATIENCE)
        try:
            return connection.execute(query, values).fetchall()
        finally:
            connection.close()

    def inbound(self, *columns: str) -> list[tuple[Any, ...]]:
        """These columns of the messages since the introduction."""
        query = f"SELECT {', '.join(columns)} FROM inbound ORDER BY id LIMIT -1 OFFSET ?"  # noqa: S608 (the test's)
        return self.rows(query, self._messages_before)

    def parts(self, *columns: str) -> list[tuple[Any, ...]]:
        """These columns of the parts that answer a message since the introduction, or were written by hand."""
        query = f"SELECT {', '.join(columns)} FROM outbound WHERE coalesce(inbound_id, ?) > ? ORDER BY id"  # noqa: S608
        return self.rows(query, self._messages_before + 1, self._messages_before)

    def accepted(self) -> tuple[str, str]:
        """State and provider id of a part that was accepted as the first message that the provider took."""
        return self.contract.accepted_state, next(iter(self.provider.taken))

    def questions(self) -> list[bytes]:
        """What the model was asked; other programs of this machine may look what listens on its port."""
        return [request.body for request in self.model.requests if request.method == "POST"]

    def user_state(self) -> str:
        ((state,),) = self.rows("SELECT state FROM users WHERE user_id = ?", self.contract.user)
        return str(state)

    async def counted_sends(self) -> dict[str, int]:
        """How often sends ended in which way, of all that the server sent, as /metrics has it."""
        text = (await self.client.get("/metrics")).text
        families = text_string_to_metric_families(text)
        samples = [sample for family in families for sample in family.samples if sample.name == "relay_sends_total"]
        return {sample.labels["outcome"]: int(sample.value) for sample in samples}


def use_clock(monkeypatch: pytest.MonkeyPatch, clock: FakeClock, made: Iterable[Any]) -> None:
    """Let what these classes and functions make run by this clock, as far as they take one, and without chance."""
    ways = {"clock": clock.time, "monotonic": clock.time, "sleep": clock.sleep, "rng": lambda: 0.5}
    for one in made:
        defaults = (one.__init__ if isinstance(one, type) else one).__kwdefaults__  # type: ignore[misc]
        for name in ways.keys() & defaults.keys():
            monkeypatch.setitem(defaults, name, ways[name])


@asynccontextmanager
async def running_channel(
    contract: ChannelContract, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[RunningChannel]:
    """Run the server of a channel until the context ends; the user is known by now."""
    clock = FakeClock()
    clock.now = time.time()
    use_clock(monkeypatch, clock, (open_database, Outbox, Conversation, *contract.clocked))
    async with (
        listening(FakeProvider(contract, clock.time)) as provider,
        listening(ScriptedServer(model_reply(MODEL_TEXT))) as model,
    ):

        def open_client(**_: object) -> httpx.AsyncClient:
            return httpx.AsyncClient(transport=ImpatientTransport(provider.hung), timeout=PATIENCE)

        monkeypatch.setattr("relay.channels.server.open_http_client", open_client)
        for function in contract.left_out:
            monkeypatch.setattr(function, AsyncMock())
        common = {
            "database_url": database_url,
            "llm_server_url": model.base_url,
            "public_url": PUBLIC_URL,
            "admin_token": ADMIN_TOKEN,
            "max_message_length": MAX_MESSAGE_LENGTH,
        }
        app = contract.create_app(provider.base_url, common)
        admin = {"Authorization": f"Bearer {ADMIN_TOKEN}"}
        transport = httpx.ASGITransport(app)
        async with (
            app.router.lifespan_context(app),
            httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1", headers=admin) as client,
        ):
            path = Path(database_url.removeprefix("sqlite:///"))
            running = RunningChannel(contract, app, client, provider, model, clock, path)
            await running.introduce()
            yield running
            provider.released.set()
