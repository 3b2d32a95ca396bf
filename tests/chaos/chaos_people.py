"""The people of a campaign and their providers: they write, and what was not acknowledged is brought again and again.

Only what was acknowledged has to be answered; what was acknowledged is now and then brought once more all the same, as
providers do.
"""

from __future__ import annotations

import asyncio
import random
import time
import uuid
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from relay.channels.registry import PLATFORMS
from relay.channels.sms.spec import SMS
from relay.core.messages import Platform
from tests.chaos.chaos_questions import Kind, Question, make_question

FIRST_PAUSE = 0.4
LONGEST_PAUSE = 4.0
PATIENCE = 4  # texts under way, then a person waits with the next one
CLOCKS = 3.0  # how much later than asked for a held-back update may arrive
_KINDS = (Kind.SHORT, Kind.LONG, Kind.RENAME)
_WEIGHTS = (80, 13, 7)


@dataclass(slots=True)
class Person:
    """Somebody on one platform; `address` is a number or a chat id."""

    number: int
    platform: Platform
    address: str
    questions: list[Question] = field(default_factory=list)


class Simulation:
    """The simulator's control API."""

    def __init__(self, url: str) -> None:
        self._base = f"{url}/sim/"
        self._http: aiohttp.ClientSession | None = None

    async def open(self) -> None:
        connector = aiohttp.TCPConnector(limit=100)
        self._http = aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=300))

    async def ask(self, method: str, path: str, **options: Any) -> dict[str, Any]:
        assert self._http is not None, "open it first"
        async with self._http.request(method, self._base + path, **options) as response:
            assert response.ok, f"{method} {path}: {response.status} {await response.text()}"
            found: dict[str, Any] = await response.json()
            return found

    async def close(self) -> None:
        if self._http is not None:
            await self._http.close()


class Crowd:
    """Everybody who writes. `fate` may prepare a fault for the answer to a question before it is asked."""

    def __init__(self, seed: int, simulation: Simulation, chance: random.Random, *, disorder: bool) -> None:
        self._seed = seed
        self._simulation = simulation
        self._chance = chance
        self._disorder = disorder
        self.people: list[Person] = []
        self.deliveries: set[asyncio.Task[None]] = set()
        self.struck: Counter[str] = Counter()

    async def invite(self, count: int) -> None:
        """Everybody registers, while all is well."""
        for number in range(count):
            platform = PLATFORMS[number % 2]
            made = await self._simulation.ask("POST", "people", json={"name": f"Person {number}"})
            key = "phone_number" if platform == SMS else "chat_id"
            self.people.append(Person(number, platform, str(made["person"][key])))
        await asyncio.gather(*(self._register(person) for person in self.people))

    async def _register(self, person: Person) -> None:
        if person.platform == SMS:
            text = {"from": person.address, "body": f"name=Person {person.number}"}
            await self._simulation.ask("POST", "sms/send", json=text)
        else:
            text = {"chat_id": person.address, "text": "/start"}
            await self._simulation.ask("POST", "telegram/send", json=text)
        query = {"platform": person.platform, "person": person.address, "after": 0, "timeout": 60}
        answered = await self._simulation.ask("GET", "wait", params=query)
        assert answered["reached"], f"{person} could not register"

    async def talk(self, person: Person, until: float, pause: float, fate: Callable[[Person, Question], Any]) -> None:
        """Write until the time is over, sometimes several messages at once."""
        await asyncio.sleep(self._chance.uniform(0, pause))
        while time.monotonic() < until:
            waiting = sum(question.settled_at is None for question in person.questions)
            for _ in range(self._chance.choices((1, 2, 3), (80, 15, 5))[0] if waiting < PATIENCE else 0):
                kind = self._chance.choices(_KINDS, _WEIGHTS)[0]
                question = make_question(self._seed, person.platform, person.number, len(person.questions) + 1, kind)
                person.questions.append(question)
                await fate(person, question)
                bring = self._text if person.platform == SMS else self._write
                await self._begin(bring(person, question))
            await asyncio.sleep(self._chance.uniform(0.5, 1.5) * pause)

    async def _begin(self, delivery: Any) -> None:
        """Let a delivery go its way; usually the person writes on only when it had the time to arrive."""
        task = asyncio.create_task(delivery)
        self.deliveries.add(task)
        if self._chance.random() < 0.8:
            await asyncio.wait({task}, timeout=1.0)

    # -- by text -------------------------------------------------------------------------------------------------------

    async def _text(self, person: Person, question: Question) -> None:
        """Bring a text until it is acknowledged with 200, and perhaps again later."""
        question.external_id = "SM" + uuid.uuid4().hex
        question.first_at = time.monotonic()
        pause = FIRST_PAUSE
        while not await self._post(person, question):
            await asyncio.sleep(pause * self._chance.uniform(0.7, 1.3))
            pause = min(pause * 2, LONGEST_PAUSE)
        question.settled_at = time.monotonic()
        for _ in range(self._repeats()):
            await asyncio.sleep(self._chance.uniform(0, 4))
            self.struck["webhook: delivered again"] += 1
            await self._post(person, question)

    async def _post(self, person: Person, question: Question) -> bool:
        body = {"from": person.address, "body": question.text, "sid": question.external_id}
        question.deliveries += 1
        outcome = await self._simulation.ask("POST", "sms/send", json=body)
        status = outcome["webhook_status"]
        if status is not None and 400 <= status < 500:
            question.refusal = f"{status} {outcome['webhook_body'][:200]}"
        return bool(status == 200)

    def _repeats(self) -> int:
        return self._chance.choices((0, 1, 3), (80, 15, 5))[0]

    # -- by Telegram ---------------------------------------------------------------------------------------------------

    async def _write(self, person: Person, question: Question) -> None:
        """Hand a message to Telegram, which keeps it until it is confirmed; perhaps late, perhaps twice."""
        late = await self._disturbed(question)
        question.first_at = time.monotonic()
        body = {"chat_id": person.address, "text": question.text}
        sent = await self._simulation.ask("POST", "telegram/send", json=body)
        question.external_id = str(sent["update_id"])
        question.deliveries += 1
        question.settled_at = time.monotonic() + late
        for _ in range(self._repeats()):
            await asyncio.sleep(late + self._chance.uniform(0, 4))
            self.struck["update: delivered again"] += 1
            await self._simulation.ask("POST", "telegram/raw", json=_update(person, question, sent))

    async def _disturbed(self, question: Question) -> float:
        """Prepare a late or a double delivery; how much later than now the update certainly waits."""
        dice = self._chance.random()
        fault: dict[str, Any] = {"target": "telegram_update", "contains": question.marker, "count": 1}
        if dice < 0.06:
            self.struck["update: twice"] += 1
            await self._simulation.ask("POST", "faults", json={**fault, "effect": "duplicate"})
        elif dice < 0.12 and self._disorder:
            seconds = self._chance.uniform(0.5, 4)
            self.struck["update: out of order"] += 1
            await self._simulation.ask("POST", "faults", json={**fault, "effect": "disorder", "seconds": seconds})
            return seconds + CLOCKS
        return 0.0


def _update(person: Person, question: Question, sent: dict[str, Any]) -> dict[str, Any]:
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
