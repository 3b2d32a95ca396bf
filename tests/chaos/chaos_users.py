"""The users of a campaign and their providers: messages are delivered again until they are acknowledged.

Only acknowledged messages have to be answered; some of them are delivered once more all the same, as providers do.
"""

from __future__ import annotations

import asyncio
import random
import time
import uuid
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from relay.channels.sms.spec import SMS
from relay.core.messages import Platform
from relay.launcher.plan import SIMULATED_CHANNELS
from tests.chaos.chaos_questions import Kind, Question, make_question

FIRST_PAUSE = 0.4
MAX_PAUSE = 4.0
NEVER_STOPPING = 20  # one user in so many, at least one on each platform
BETWEEN_TEXTS = (0.4, 1.2)  # of those who never stop writing
MAX_IN_FLIGHT = 4  # messages; with so many a user waits before the next one
CLOCKS = 3.0  # how much later than asked for a held-back update may arrive
Prepare = Callable[["ChaosUser", Question], Awaitable[None]]
_KINDS = (Kind.SHORT, Kind.LONG, Kind.RENAME)
_WEIGHTS = (80, 13, 7)


@dataclass(slots=True)
class ChaosUser:
    """A user on one platform; `address` is a number or a chat id."""

    number: int
    platform: Platform
    address: str
    questions: list[Question] = field(default_factory=list)
    never_stops: bool = False


class SimulatorClient:
    """The simulator's control API."""

    def __init__(self, url: str) -> None:
        self._base = f"{url}/sim/"
        self._http: aiohttp.ClientSession | None = None

    async def open(self) -> None:
        connector = aiohttp.TCPConnector(limit=100)
        self._http = aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=300))

    async def call(self, method: str, path: str, **options: Any) -> dict[str, Any]:
        assert self._http is not None, "open it first"
        async with self._http.request(method, self._base + path, **options) as response:
            assert response.ok, f"{method} {path}: {response.status} {await response.text()}"
            found: dict[str, Any] = await response.json()
            return found

    async def close(self) -> None:
        if self._http is not None:
            await self._http.close()


class ChaosUsers:
    """All users of a campaign, and the deliveries of their messages."""

    def __init__(self, seed: int, simulator: SimulatorClient, rng: random.Random, *, disorder: bool) -> None:
        self._seed = seed
        self._simulator = simulator
        self._rng = rng
        self._disorder = disorder
        self.all: list[ChaosUser] = []
        self.deliveries: set[asyncio.Task[None]] = set()
        self.injected: Counter[str] = Counter()

    async def register_all(self, count: int) -> None:
        """Add this many users and let them register, before any fault."""
        for number in range(count):
            platform = SIMULATED_CHANNELS[number % len(SIMULATED_CHANNELS)].platform
            made = await self._simulator.call("POST", "people", json={"name": f"Person {number}"})
            key = "phone_number" if platform == SMS else "chat_id"
            never_stops = number < max(2, count // NEVER_STOPPING)
            self.all.append(ChaosUser(number, platform, str(made["person"][key]), never_stops=never_stops))
        await asyncio.gather(*(self._register(person) for person in self.all))

    async def _register(self, person: ChaosUser) -> None:
        if person.platform == SMS:
            text = {"from": person.address, "body": f"name=Person {person.number}"}
            await self._simulator.call("POST", "sms/send", json=text)
        else:
            text = {"chat_id": person.address, "text": "/start"}
            await self._simulator.call("POST", "telegram/send", json=text)
        query = {"platform": person.platform, "person": person.address, "after": 0, "timeout": 60}
        answered = await self._simulator.call("GET", "wait", params=query)
        assert answered["reached"], f"{person} could not register"

    async def talk(self, person: ChaosUser, until: float, pause: float, prepare: Prepare) -> None:
        """Write until the time is over, sometimes several messages at once, each after `prepare`."""
        if person.never_stops:
            await self._write_without_end(person, until)
            return
        await asyncio.sleep(self._rng.uniform(0, pause))
        while time.monotonic() < until:
            waiting = sum(question.settled_at is None for question in person.questions)
            for _ in range(self._rng.choices((1, 2, 3), (80, 15, 5))[0] if waiting < MAX_IN_FLIGHT else 0):
                question = self._new_question(person, self._rng.choices(_KINDS, _WEIGHTS)[0])
                await prepare(person, question)
                await self._send(person, question)
            await asyncio.sleep(self._rng.uniform(0.5, 1.5) * pause)

    async def _write_without_end(self, person: ChaosUser, until: float) -> None:
        """Write the next short message without waiting for any answer."""
        while time.monotonic() < until:
            if sum(question.settled_at is None for question in person.questions) < MAX_IN_FLIGHT:
                await self._send(person, self._new_question(person, Kind.SHORT))
            await asyncio.sleep(self._rng.uniform(*BETWEEN_TEXTS))

    def _new_question(self, person: ChaosUser, kind: Kind) -> Question:
        question = make_question(self._seed, person.platform, person.number, len(person.questions) + 1, kind)
        person.questions.append(question)
        return question

    async def _send(self, person: ChaosUser, question: Question) -> None:
        await self._begin(self._text(person, question) if person.platform == SMS else self._write(person, question))

    async def _begin(self, delivery: Any) -> None:
        """Start a delivery; usually the user writes on only when it had the time to arrive."""
        task = asyncio.create_task(delivery)
        self.deliveries.add(task)
        if self._rng.random() < 0.8:
            await asyncio.wait({task}, timeout=1.0)

    # -- by text -------------------------------------------------------------------------------------------------------

    async def _text(self, person: ChaosUser, question: Question) -> None:
        """Deliver a text until it is acknowledged with 200, and perhaps again later."""
        question.external_id = "SM" + uuid.uuid4().hex
        question.first_at = time.monotonic()
        pause = FIRST_PAUSE
        while not await self._post(person, question):
            await asyncio.sleep(pause * self._rng.uniform(0.7, 1.3))
            pause = min(pause * 2, MAX_PAUSE)
        question.settled_at = time.monotonic()
        for _ in range(self._repeats()):
            await asyncio.sleep(self._rng.uniform(0, 4))
            self.injected["webhook: delivered again"] += 1
            await self._post(person, question)

    async def _post(self, person: ChaosUser, question: Question) -> bool:
        body = {"from": person.address, "body": question.text, "sid": question.external_id}
        question.deliveries += 1
        outcome = await self._simulator.call("POST", "sms/send", json=body)
        status = outcome["webhook_status"]
        if status is not None and 400 <= status < 500:
            question.refusal = f"{status} {outcome['webhook_body'][:200]}"
        return bool(status == 200)

    def _repeats(self) -> int:
        return self._rng.choices((0, 1, 3), (80, 15, 5))[0]

    # -- by Telegram ---------------------------------------------------------------------------------------------------

    async def _write(self, person: ChaosUser, question: Question) -> None:
        """Hand a message to Telegram, which keeps it until it is confirmed; perhaps late, perhaps twice."""
        late = await self._disturbed(question)
        question.first_at = time.monotonic()
        body = {"chat_id": person.address, "text": question.text}
        sent = await self._simulator.call("POST", "telegram/send", json=body)
        question.external_id = str(sent["update_id"])
        question.deliveries += 1
        question.settled_at = time.monotonic() + late
        for _ in range(self._repeats()):
            await asyncio.sleep(late + self._rng.uniform(0, 4))
            self.injected["update: delivered again"] += 1
            await self._simulator.call("POST", "telegram/raw", json=_update(person, question, sent))

    async def _disturbed(self, question: Question) -> float:
        """Prepare a late or a double delivery; how much later than now the update certainly waits."""
        draw = self._rng.random()
        fault: dict[str, Any] = {"target": "telegram_update", "contains": question.marker, "count": 1}
        if draw < 0.06:
            self.injected["update: twice"] += 1
            await self._simulator.call("POST", "faults", json={**fault, "effect": "duplicate"})
        elif draw < 0.12 and self._disorder:
            seconds = self._rng.uniform(0.5, 4)
            self.injected["update: out of order"] += 1
            await self._simulator.call("POST", "faults", json={**fault, "effect": "disorder", "seconds": seconds})
            return seconds + CLOCKS
        return 0.0


def _update(person: ChaosUser, question: Question, sent: dict[str, Any]) -> dict[str, Any]:
    """The same update once more, as Telegram would repeat it."""
    chat = int(person.address)
    sender = {"id": chat, "is_bot": False, "first_name": f"Person {person.number}"}
    message = {
        "message_id": sent["message_id"],
        "from": sender,
        "chat": {"id": chat, "type": "private", "first_name": sender["first_name"]},
        "date": int(time.time()),
        "text": question.text,
    }
    return {"update_id": sent["update_id"], "message": message}
