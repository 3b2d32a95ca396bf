"""Fills a database with people who wrote, through the database's own verbs, for tests and for a look at the pages.

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
from relay.core.errors import SendError, SendFailure
from relay.core.messages import (
    Answer,
    Claim,
    Decision,
    DeliveryEvent,
    InboundMessage,
    Part,
    PartState,
    PlannedPart,
    Platform,
    Receipt,
    ReplyId,
    UserId,
    UserState,
)
from tests.settings import Settings

RIGHT_TO_LEFT = "\u202eשמך? ABC"
SCRIPT = "<script>document.title='broken'</script><img src=x onerror=alert(1)>"
LONG_WORD = "Donaudampfschifffahrt" * 30
EMOJI = "👩‍👩‍👧‍👦🎉"


class Town:
    """Plays what people and providers do to a database; every verb gives what the next one needs."""

    def __init__(self, database: MessagingDatabase) -> None:
        self.database = database

    async def says(self, platform: Platform, person: str, text: str, *, ago: float = 0, username: str = "") -> None:
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

    async def is_answered(
        self, platform: Platform, person: str, *parts: str, answer: Answer | None = None, name: str | None = None
    ) -> ReplyId | None:
        """Complete the head of the person's line with these parts."""
        planned = [PlannedPart(text=part, history_text=part) for part in parts]
        state = UserState.ACTIVE if name else None
        decision = Decision(reply="".join(parts), name=name, state=state)
        claim = await self.claim(platform, person)
        return await self.database.complete_inbound(claim, decision, planned, answer=answer)

    async def registers(self, platform: Platform, person: str, name: str, *, username: str = "") -> None:
        await self.says(platform, person, f"name={name}", username=username)
        await self.is_answered(platform, person, f"Nice to meet you, {name}. Ask me anything.", name=name)
        await self.is_delivered(platform, person)

    async def next_part(self, platform: Platform, person: str) -> Part:
        part = await self.database.claim_next_part(platform, UserId(person))
        assert part is not None
        return part

    async def is_delivered(self, platform: Platform, person: str, state: PartState = PartState.DELIVERED) -> None:
        part = await self.next_part(platform, person)
        provider_id = f"SM{part.id}"
        await self.database.record_accepted(part, Receipt(provider_id))
        await self.database.record_delivery(DeliveryEvent(platform, provider_id, state, time.time(), part.id))

    async def is_refused(self, platform: Platform, person: str, code: str, words: str) -> None:
        part = await self.next_part(platform, person)
        await self.database.record_failed(part, SendError(SendFailure.REJECTED, code, words))

    async def talks(self, platform: Platform, person: str, question: str, *parts: str) -> None:
        """One whole exchange with the model, delivered."""
        answer = Answer(
            text="".join(parts),
            model="openrouter/auto",
            source="openrouter",
            prompt_tokens=812,
            answer_tokens=96,
            cost_usd=0.00042,
            total_seconds=1.84,
        )
        await self.says(platform, person, question)
        await self.is_answered(platform, person, *parts, answer=answer)
        for _ in parts:
            await self.is_delivered(platform, person)


ALICE = "+12025550147"


async def alice_asks(database: MessagingDatabase) -> None:
    """Alice has registered by SMS, and had one exchange with the model."""
    town = Town(database)
    await town.registers(SMS, ALICE, "Alice")
    await town.talks(SMS, ALICE, "What is 6 times 7?", "It is ", "42.")


async def people_register(database: MessagingDatabase) -> None:
    """Forty neighbours, Alice, and one with a name that is not ASCII."""
    town = Town(database)
    for number in range(40):
        await town.registers(SMS, f"+1415555{number:04}", f"Neighbour {number}")
    await town.registers(TELEGRAM, "70001", "Ünal Öz", username="unal")
    await town.registers(SMS, ALICE, "Alice")


async def fill(database: MessagingDatabase) -> None:
    """A town with everything in it that the pages can show."""
    town = Town(database)
    sms, telegram = SMS, TELEGRAM
    await people_register(database)
    await town.registers(telegram, "70002", RIGHT_TO_LEFT)
    await town.registers(telegram, "70003", SCRIPT[:50])
    for number in range(30):
        await town.talks(sms, ALICE, f"And what is {number} times {number}?", f"{number * number}.")
    await town.talks(
        sms,
        ALICE,
        "What can I cook with lentils and a lemon?",
        "A soup: fry an onion, add the lentils and a litre of stock, and let it simmer for 25 minutes. ",
        "Take it from the fire, squeeze the lemon into it, and put some parsley on top. Enjoy your meal!",
    )
    await town.talks(telegram, "70001", RIGHT_TO_LEFT, "שמך שרה! " + EMOJI)
    await town.talks(telegram, "70001", SCRIPT, LONG_WORD)
    await _trouble(town)


async def _trouble(town: Town) -> None:
    database, sms, telegram = town.database, SMS, TELEGRAM
    await town.says(sms, ALICE, "Could you also write me a shopping list?", ago=95)
    await database.postpone_inbound(await town.claim(sms, ALICE), time.time() + 30, "the model cannot be reached", ())
    await town.says(telegram, "70001", "still there?", ago=12)
    await town.says(sms, "+4915123456789", "name=Berta", ago=4000)
    await town.is_answered(sms, "+4915123456789", "Nice to meet you, Berta.", name="Berta")
    await town.is_refused(sms, "+4915123456789", "30006", "Landline or unreachable carrier")
    await town.says(sms, "+4915123456789", "What is the weather?", ago=60)
    await database.dead_letter_inbound(
        await town.claim(sms, "+4915123456789"), "no answer within an hour: the model cannot be reached", ()
    )
    await database.plan_message(telegram, UserId("70002"), [PlannedPart("Written by hand", "Written by hand")])
    part = await town.next_part(telegram, "70002")
    await database.record_retry(part, time.time() + 60, SendError(SendFailure.BUSY, "429", "Too Many Requests"))
    await database.store_dead_letter(sms, "broken-1", "Body=hello&From=", "the sender is missing")
    await database.set_state(sms, "paused", {"reason": "Authenticate (20003)", "until": time.time() + 300})


async def _main(file: str) -> None:
    database = open_database(Settings(database_url=f"sqlite:///{file}"), "sms_server")
    await database.start()
    await fill(database)
    await database.stop()


if __name__ == "__main__":
    asyncio.run(_main(sys.argv[1]))
