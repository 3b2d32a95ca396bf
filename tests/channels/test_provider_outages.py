"""Eight users while a provider fails: every answer arrives, at most twice where the provider cannot tell."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any
from urllib.parse import parse_qs

import httpx
import orjson
import pytest

from relay.channels.telegram.settings import TelegramSettings
from relay.core.circuit import CircuitState
from relay.core.messages import UserId
from relay.storage.schema import outbound
from sms_service import SmsService
from telegram_service import TelegramService
from tests.channels.telegram.scripted_bot_api import TOKEN, refused, sent
from tests.core.harness import FakeClock, RelayHarness
from tests.settings import Settings

pytestmark = pytest.mark.campaign

USERS = [UserId(f"+1415555{number:04}") for number in range(8)]
CHATS = [UserId(str(700000000 + number)) for number in range(8)]

Fault = Callable[[str, str], str]
"""From method and text what goes wrong: "" nothing, "cut" after acceptance, else the status of an error."""


def healthy(_method: str, _text: str) -> str:
    return ""


class FakeProvider:
    """Keeps what users received; `fault` decides what happens to a call.

    Until `together` messages are on their way at the same time, none of them gets its response.
    """

    def __init__(self, clock: FakeClock) -> None:
        self.clock = clock
        self.fault: Fault = healthy
        self.received: Counter[tuple[str, str]] = Counter()
        self.sends = 0
        self.together = 0
        self._all_here = asyncio.Event()

    def client(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(transport=httpx.MockTransport(self._handle))

    async def _handle(self, request: httpx.Request) -> httpx.Response:
        method, user, text = self._read(request)
        if text and self.together:
            self.together -= 1
            if self.together == 0:
                self._all_here.set()
            await self._all_here.wait()
        fault = self.fault(method, text)
        if fault.isdecimal():
            return self._failed(int(fault))
        response = self._obey(method, user, text)
        if fault:
            raise httpx.ReadError("the connection was cut")
        return response

    def texts(self, user: UserId) -> Counter[str]:
        return Counter({text: count for (receiver, text), count in self.received.items() if receiver == user})

    def _read(self, request: httpx.Request) -> tuple[str, str, str]:
        raise NotImplementedError

    def _failed(self, status: int) -> httpx.Response:
        raise NotImplementedError

    def _obey(self, method: str, user: str, text: str) -> httpx.Response:
        raise NotImplementedError


class FakeTelegram(FakeProvider):
    def _read(self, request: httpx.Request) -> tuple[str, str, str]:
        parameters = orjson.loads(request.content or b"{}")
        return request.url.path.rpartition("/")[2], str(parameters.get("chat_id", "")), parameters.get("text", "")

    def _failed(self, status: int) -> httpx.Response:
        reply = refused(status, "Bad Gateway")
        return httpx.Response(reply.status, content=reply.body)

    def _obey(self, method: str, user: str, text: str) -> httpx.Response:
        if method != "sendMessage":
            return httpx.Response(200, json={"ok": True, "result": True})
        if not text:
            return httpx.Response(400, content=refused(400, "Bad Request: message text is empty").body)
        self.sends += 1
        self.received[user, text] += 1
        return httpx.Response(200, json={"ok": True, "result": sent(int(user), text, self.sends)})


class FakeTwilio(FakeProvider):
    def __init__(self, clock: FakeClock) -> None:
        super().__init__(clock)
        self._messages: list[dict[str, Any]] = []

    def _read(self, request: httpx.Request) -> tuple[str, str, str]:
        form = parse_qs(request.content.decode())
        if request.method == "GET":
            return "list", request.url.params["To"], ""
        return "create", form["To"][0], form["Body"][0]

    def _failed(self, status: int) -> httpx.Response:
        return httpx.Response(status, text="Service Unavailable")

    def _obey(self, method: str, user: str, text: str) -> httpx.Response:
        if method == "list":
            page = [message for message in self._messages if message["to"] == user]
            return httpx.Response(200, json={"messages": page, "next_page_uri": None, "page": 0, "page_size": 100})
        self.received[user, text] += 1
        self._messages.append(
            {
                "sid": f"SM{len(self._messages):032}",
                "to": user,
                "body": text,
                "status": "queued",
                "num_segments": "1",
                "direction": "outbound-api",
                "date_created": format_datetime(datetime.fromtimestamp(self.clock.now, UTC)),
            }
        )
        return httpx.Response(201, json=self._messages[-1])


@asynccontextmanager
async def open_relay(url: str, provider: FakeProvider) -> AsyncIterator[RelayHarness]:
    clock = provider.clock
    async with provider.client() as client:
        channel: TelegramService | SmsService
        if isinstance(provider, FakeTelegram):
            settings = TelegramSettings(telegram_bot_token=TOKEN)
            channel = TelegramService(settings, client, clock=clock.time, monotonic=clock.time, sleep=clock.sleep)
        else:
            channel = SmsService(Settings().for_simulator(), client, clock=clock.time)
        relay = RelayHarness(url, clock, channel=channel)
        await relay.start()
        yield relay
        await relay.conversation.workers.stop(0)
        await relay.outbox.workers.stop(0)
        await relay.database.stop()


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(lambda _: None)


@pytest.fixture
async def telegram(sqlite_url: str, clock: FakeClock) -> AsyncIterator[tuple[RelayHarness, FakeTelegram]]:
    provider = FakeTelegram(clock)
    async with open_relay(sqlite_url, provider) as relay:
        yield relay, provider


@pytest.fixture
async def twilio(sqlite_url: str, clock: FakeClock) -> AsyncIterator[tuple[RelayHarness, FakeTwilio]]:
    """Its users have given their names, so that they are answered by the model."""
    provider = FakeTwilio(clock)
    async with open_relay(sqlite_url, provider) as relay:
        for user in USERS:
            await relay.receive("name=Ann", from_=user)
        await relay.idle()
        provider.received.clear()
        yield relay, provider


async def let_pass(relay: RelayHarness, seconds: float, until: Callable[[], bool] = lambda: False) -> None:
    """Let time go by in steps that are shorter than every pause, at most until the condition holds."""
    end = relay.clock.now + seconds
    while relay.clock.now < end and not until():
        await relay.all_asleep()
        await relay.advance_clock(min(2.0, end - relay.clock.now))
    await relay.all_asleep()


async def all_users_ask(relay: RelayHarness, provider: FakeProvider, users: list[UserId]) -> None:
    """All at once: the worst moment for an outage to begin."""
    provider.together = len(users)
    for user in users:
        await relay.receive("how?", from_=user)
    await relay.all_asleep()
    assert provider.together == 0


def only(method: str, fault: str) -> Fault:
    return lambda called, _: fault if called == method else ""


OUTAGES: dict[str, Fault] = {
    "502 on sendMessage alone": only("sendMessage", "502"),
    "cut after acceptance": only("sendMessage", "cut"),
    "502 on everything": lambda _method, _text: "502",
    "everything is cut": lambda _method, _text: "cut",
}


@pytest.mark.parametrize("seconds", [3, 6, 12, 30, 300])
@pytest.mark.parametrize("outage", OUTAGES)
async def test_an_outage_of_telegram_loses_no_answer(
    telegram: tuple[RelayHarness, FakeTelegram], outage: str, seconds: float
) -> None:
    """Every answer arrives, at most twice, and only if it may have arrived before; no loss is reported."""
    relay, provider = telegram
    provider.fault = OUTAGES[outage]
    await all_users_ask(relay, provider, CHATS)
    await let_pass(relay, seconds)
    assert set(await relay.rows(outbound, "state", "resends")) == {("unknown", 0)}
    provider.fault = healthy
    await let_pass(relay, 90, lambda: relay.outbox.circuit.state is CircuitState.CLOSED)
    await let_pass(relay, 8)
    copies = 2 if "cut" in outage else 1
    assert [provider.texts(chat) for chat in CHATS] == [{"re: how?": copies}] * len(CHATS)
    assert set(await relay.rows(outbound, "state", "resends")) == {("sent", 1)}


@pytest.mark.parametrize("seconds", [3, 30, 300])
@pytest.mark.parametrize(
    "fault",
    [only("create", "503"), only("create", "cut"), lambda _method, _text: "503", lambda _method, _text: "cut"],
    ids=["503 on create alone", "cut after acceptance", "503 on everything", "everything is cut"],
)
async def test_an_outage_of_twilio_loses_and_repeats_no_answer(
    twilio: tuple[RelayHarness, FakeTwilio], fault: Fault, seconds: float
) -> None:
    """Twilio can be asked what became of a text, so each arrives exactly once."""
    relay, provider = twilio
    provider.fault = fault
    await all_users_ask(relay, provider, USERS)
    await let_pass(relay, seconds)
    provider.fault = healthy
    await let_pass(relay, 200, lambda: all(provider.texts(user) for user in USERS))
    await let_pass(relay, 62)
    assert [provider.texts(user) for user in USERS] == [{"re: how?": 1}] * len(USERS)
    assert set(await relay.part_states()) == {"accepted"}


async def test_storms_of_twilio_lose_and_repeat_no_answer(twilio: tuple[RelayHarness, FakeTwilio]) -> None:
    """503 for five of every ten seconds, while users go on writing."""
    relay, provider = twilio
    provider.fault = lambda method, _: "503" if method == "create" and int(provider.clock.now) % 10 < 5 else ""
    for _ in range(15):
        for user in USERS[:5]:
            await relay.receive("how?", from_=user)
        await let_pass(relay, 7)
    provider.fault = healthy
    await let_pass(relay, 200)
    assert [provider.texts(user) for user in USERS[:5]] == [{"re: how?": 15}] * 5
    assert set(await relay.part_states()) == {"accepted"}
