"""What messages cost is written with what causes it, once, by user and day."""

from __future__ import annotations

from messaging_database import MessagingDatabase
from relay.channels.sms.spec import SMS
from relay.core.decisions import Decision
from relay.core.messages import Spending
from relay.core.parts import PartState, PlannedPart, Receipt
from relay.storage import charges
from relay.storage.schema import outbound
from tests.storage.fixtures import ANN, ANSWER, BOB, answered, claimed, claimed_part, known, message, report, rows


async def spent(db: MessagingDatabase, now: float) -> Spending:
    return await db.query(lambda connection: charges.spending(connection, SMS, ANN, now))


async def test_each_message_is_charged_once_in_both_directions(db: MessagingDatabase) -> None:
    """A repeated webhook, a repeated receipt and a report before the receipt change nothing."""
    inbound = message(external_id="SM1", segments=2, cost_usd=0.02)
    for _ in range(2):
        await db.store_inbound(inbound, "")
    await db.store_inbound(message(BOB, cost_usd=1.0, segments=1), "")
    await db.complete_inbound(await claimed(db), Decision(prompt="x"), [PlannedPart("a", "a")], answer=ANSWER)
    part = await claimed_part(db)
    await db.record_delivery(report(PartState.DELIVERED, "P1", part_id=part.id))
    for _ in range(2):
        await db.record_accepted(part, Receipt("P1", segments=3, cost_usd=0.03))
    shown = await db.read_spending(SMS, 10)
    assert [(one["user_id"], one["usd"]) for one in shown["users_today"]] == [(BOB, 1.0), (ANN, 0.05)]
    assert shown["today"] == shown["month"]
    assert shown["today"] == {"segments_in": 3, "segments_out": 3, "media": 0, "usd": 1.05, "billed_usd": None}
    assert await rows(db, outbound, "cost_usd") == [(0.03,)]


async def test_a_text_that_is_sent_again_costs_again(db: MessagingDatabase) -> None:
    """Twilio bills each attempt that it accepted."""
    await answered(db, "one")
    part = await claimed_part(db)
    await db.record_accepted(part, Receipt("P1", cost_usd=0.01))
    await db.record_delivery(report(PartState.UNDELIVERED, "P1"), lambda _attempts, _age: 0.0)
    await db.record_accepted(await claimed_part(db), Receipt("P2", cost_usd=0.01))
    assert await rows(db, outbound, "cost_usd") == [(0.02,)]
    assert (await db.read_spending(SMS, 1))["today"]["segments_out"] == 2


async def test_spending_is_that_of_a_day_and_a_month(db: MessagingDatabase) -> None:
    """Of UTC; another day and another month begin at nothing."""
    await db.store_inbound(message(cost_usd=0.5, segments=1), "")
    now = await db.query(db._transactions.now)
    assert await spent(db, now) == Spending(0.5, 0.5, 0.5)
    assert await spent(db, now + 40 * 86_400) == Spending()


async def test_a_bill_stands_beside_the_estimate(db: MessagingDatabase) -> None:
    """Of users whose estimate is unknown as well; read again, it replaces the old one."""
    await db.store_inbound(message(cost_usd=0.5, segments=1), "")
    now = await db.query(db._transactions.now)
    for usd in (0.1, 0.4):
        await db.record_bill(SMS, charges.day_of(now), {ANN: usd, BOB: 0.2})
    assert (await db.read_spending(SMS, 1))["month"]["billed_usd"] == 0.6


async def test_the_rest_of_a_reply_stays_until_the_next_one(db: MessagingDatabase) -> None:
    """It goes with a new answer, with the history, and with its user; a command leaves it."""
    await known(db)
    for text, decision, rest in (
        ("long", Decision(prompt="x"), "the rest"),
        ("name=Anna", Decision(reply="Hi", name="Anna"), "the rest"),
        ("short", Decision(prompt="x"), ""),
    ):
        await db.store_inbound(message(text=text), "")
        claim, answer = await claimed(db), ANSWER if decision.prompt else None
        parts = [PlannedPart("a", "a", rest="the rest" if text == "long" else "")]
        await db.complete_inbound(claim, decision, parts, answer=answer)
        user = await db.find_user(SMS, ANN)
        assert user is not None
        assert user.settings.get("rest", "") == rest
    await db.store_inbound(message(text="Forget me"), "")
    forget = Decision(reply="Done", clear_history=True, forget=True)
    await db.complete_inbound(await claimed(db), forget, [PlannedPart("Done", "Done")])
    user = await db.find_user(SMS, ANN)
    assert user is not None
    assert (user.name, user.settings, user.message_count) == (None, {}, 0)
