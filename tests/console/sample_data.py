"""Fills a database with people who wrote, through the database's own verbs, for tests and for looking at the pages.

`python -m tests.console.sample_data FILE` fills a SQLite file.
"""

from __future__ import annotations

import asyncio
import sys
import time
import uuid

from messaging_database import MessagingDatabase, open_database
from relay.channels.sms.spec import SMS
from relay.channels.telegram.spec import TELEGRAM
from relay.core.decisions import Decision
from relay.core.errors import SendError, SendFailure
from relay.core.messages import Answer, Claim, InboundMessage, Platform, ReplyId, UserId, UserState
from relay.core.parts import DeliveryEvent, Part, PartState, PlannedPart, Receipt
from tests.settings import Settings

RIGHT_TO_LEFT = "\u202eשמך? ABC"
SCRIPT = "<script>document.title='broken'</script><img src=x onerror=alert(1)>"
LONG_WORD = "Donaudampfschifffahrt" * 30
EMOJI = "👩‍👩‍👧‍👦🎉"


class SampleData:
    """Writes to a database what people, providers and servers would."""

    def __init__(self, database: MessagingDatabase) -> None:
        self.database = database

    async def receive(self, platform: Platform, person: str, text: str, *, ago: float = 0, username: str = "") -> None:
        message = InboundMessage(
            platform=platform,
            external_id=uuid.uuid4().hex,
            user_id=UserId(person),
            text=text,
            received_at=time.time() - ago,
            username=username or None,
        )
        await self.database.store_inbound(message, "raw")

    async def claim(self, platform: Platform, person: str) -> Claim:
        claim = await self.database.claim_next_inbound(platform, UserId(person))
        assert claim is not None
        return claim

    async def answer(
        self, platform: Platform, person: str, *parts: str, answer: Answer | None = None, name: str | None = None
    ) -> ReplyId | None:
        """Complete the user's oldest message with these parts."""
        planned = [PlannedPart(text=part, history_text=part) for part in parts]
        state = UserState.ACTIVE if name else None
        decision = Decision(reply="".join(parts), name=name, state=state)
        claim = await self.claim(platform, person)
        return (await self.database.complete_inbound(claim, decision, planned, answer=answer)).reply_id

    async def register(self, platform: Platform, person: str, name: str, *, username: str = "") -> None:
        await self.receive(platform, person, f"name={name}", username=username)
        await self.answer(platform, person, f"Nice to meet you, {name}. Ask me anything.", name=name)
        await self.deliver(platform, person)

    async def next_part(self, platform: Platform, person: str) -> Part:
        part = await self.database.claim_next_part(platform, UserId(person))
        assert part is not None
        return part

    async def deliver(self, platform: Platform, person: str, state: PartState = PartState.DELIVERED) -> None:
        part = await self.next_part(platform, person)
        provider_id = f"SM{part.id}"
        await self.database.record_accepted(part, Receipt(provider_id))
        await self.database.record_delivery(DeliveryEvent(platform, provider_id, state, time.time(), part.id))

    async def fail(self, platform: Platform, person: str, code: str, error: str) -> None:
        part = await self.next_part(platform, person)
        await self.database.record_failed(part, SendError(SendFailure.REJECTED, code, error))

    async def exchange(self, platform: Platform, person: str, question: str, *parts: str) -> None:
        """One whole exchange with the model, delivered."""
        answer = Answer(
            text="".join(parts),
            model="openrouter/auto",
            source="openrouter",
            prompt_tokens=812,
            answer_tokens=96,
            cost_usd=0.00042,
            total_seconds=1.84,
            sources=("numbers.md: Products <small>", "faq.json"),
        )
        await self.receive(platform, person, question)
        await self.answer(platform, person, *parts, answer=answer)
        for _ in parts:
            await self.deliver(platform, person)


ALICE = "+12025550147"


async def alice_asks(database: MessagingDatabase) -> None:
    """Alice has registered by SMS, and had one exchange with the model."""
    sample = SampleData(database)
    await sample.register(SMS, ALICE, "Alice")
    await sample.exchange(SMS, ALICE, "What is 6 times 7?", "It is ", "42.")


async def people_register(database: MessagingDatabase) -> None:
    """Forty neighbours, Alice, and one with a name that is not ASCII."""
    sample = SampleData(database)
    for number in range(40):
        await sample.register(SMS, f"+1415555{number:04}", f"Neighbour {number}")
    await sample.register(TELEGRAM, "70001", "Ünal Öz", username="unal")
    await sample.register(SMS, ALICE, "Alice")


async def fill(database: MessagingDatabase) -> None:
    """Everything that the pages can show."""
    sample = SampleData(database)
    sms, telegram = SMS, TELEGRAM
    await people_register(database)
    await sample.register(telegram, "70002", RIGHT_TO_LEFT)
    await sample.register(telegram, "70003", SCRIPT[:50])
    for number in range(30):
        await sample.exchange(sms, ALICE, f"And what is {number} times {number}?", f"{number * number}.")
    await sample.exchange(
        sms,
        ALICE,
        "What can I cook with lentils and a lemon?",
        "A soup: fry an onion, add the lentils and a litre of stock, and let it simmer for 25 minutes. ",
        "Take it from the fire, squeeze the lemon into it, and put some parsley on top. Enjoy your meal!",
    )
    await sample.exchange(telegram, "70001", RIGHT_TO_LEFT, "שמך שרה! " + EMOJI)
    await sample.exchange(telegram, "70001", SCRIPT, LONG_WORD)
    await _trouble(sample)


async def _trouble(sample: SampleData) -> None:
    database, sms, telegram = sample.database, SMS, TELEGRAM
    await sample.receive(sms, ALICE, "Could you also write me a shopping list?", ago=95)
    await database.postpone_inbound(await sample.claim(sms, ALICE), time.time() + 30, "the model cannot be reached", ())
    await sample.receive(telegram, "70001", "still there?", ago=12)
    await sample.receive(sms, "+4915123456789", "name=Berta", ago=4000)
    await sample.answer(sms, "+4915123456789", "Nice to meet you, Berta.", name="Berta")
    await sample.fail(sms, "+4915123456789", "30006", "Landline or unreachable carrier")
    await sample.receive(sms, "+4915123456789", "What is the weather?", ago=60)
    await database.dead_letter_inbound(
        await sample.claim(sms, "+4915123456789"), "no answer within an hour: the model cannot be reached", ()
    )
    await database.plan_message(telegram, UserId("70002"), [PlannedPart("Written by hand", "Written by hand")])
    part = await sample.next_part(telegram, "70002")
    await database.record_retry(part, time.time() + 60, SendError(SendFailure.BUSY, "429", "Too Many Requests"))
    await database.store_dead_letter(sms, "broken-1", "Body=hello&From=", "the sender is missing")
    await database.set_state(sms, "paused", {"reason": "Authenticate (20003)", "until": time.time() + 300})
    hold = {"code": "30032", "reason": "our toll-free number is not verified yet", "since": 0.0, "until": 0.0}
    await database.keep_hold(sms, "CA", hold)


async def _main(file: str) -> None:
    database = open_database(Settings(database_url=f"sqlite:///{file}"), "sms_server")
    await database.prepare()  # start() waits for it a few seconds only
    await database.start()
    await fill(database)
    await database.stop()


if __name__ == "__main__":
    asyncio.run(_main(sys.argv[1]))
