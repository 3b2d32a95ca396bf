"""What the tests of the database share: opening it as several owners, the values that are stored, and a recount."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Awaitable, Callable
from typing import Any

from sqlalchemy import Connection, func, select

from messaging_database import MessagingDatabase
from relay.channels.sms.spec import SMS
from relay.core.decisions import Decision
from relay.core.messages import Answer, Claim, InboundMessage, Platform, UserId
from relay.core.parts import DeliveryEvent, Part, PartState, PlannedPart
from relay.storage import queries
from relay.storage.engine import open_transactions
from relay.storage.schema import conversations, counters, delivery_events, inbound, outbound, users

ANN, BOB = UserId("+12025550101"), UserId("+12025550102")
ANSWER = Answer("an answer", model="m", source="s", prompt_tokens=11, answer_tokens=7, cost_usd=0.25)
PAST_LEASE = -1.0
"""A lease that has ended when it begins: what a dead or stopped process leaves behind, without waiting for it."""

_ids = itertools.count(1)


class Opener:
    """Opens databases, as one process each would, and closes them at the end."""

    def __init__(self) -> None:
        self._opened: list[MessagingDatabase] = []

    async def __call__(
        self,
        url: str,
        *,
        owner: str = "sms@one",
        lease: float = 15.0,
        patience: float = 60.0,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> MessagingDatabase:
        database = MessagingDatabase(
            open_transactions(url, patience),
            owner=owner,
            lease_seconds=lease,
            clock=clock,
            monotonic=monotonic,
            sleep=sleep,
        )
        self._opened.append(database)
        await database.start()
        return database

    async def close(self) -> None:
        for database in self._opened:
            await database.stop()


def message(user_id: UserId = ANN, text: str = "hello", **changes: Any) -> InboundMessage:
    values: dict[str, Any] = {"platform": SMS, "external_id": f"SM{next(_ids)}", "received_at": 1000.0, **changes}
    return InboundMessage(user_id=user_id, text=text, **values)


def parts(*texts: str) -> list[PlannedPart]:
    return [PlannedPart(text, text) for text in texts]


def report(state: PartState, provider_id: str = "P1", **changes: Any) -> DeliveryEvent:
    return DeliveryEvent(SMS, provider_id, state, 1000.0, **changes)


async def known(db: MessagingDatabase, user_id: UserId = ANN, name: str = "Ann") -> None:
    """Let this person register."""
    await db.store_inbound(message(user_id, f"name={name}"), "")
    claim = await claimed(db, user_id)
    await db.complete_inbound(claim, Decision(name=name), [])


async def claimed(db: MessagingDatabase, user_id: UserId = ANN) -> Claim:
    claim = await db.claim_next_inbound(SMS, user_id)
    assert claim is not None
    return claim


async def claimed_part(db: MessagingDatabase, user_id: UserId = ANN) -> Part:
    part = await db.claim_next_part(SMS, user_id)
    assert part is not None
    return part


async def answered(db: MessagingDatabase, *texts: str, user_id: UserId = ANN, question: str = "hello") -> None:
    """Store a message of this person and plan an answer of these parts."""
    await db.store_inbound(message(user_id, question), "")
    claim = await claimed(db, user_id)
    await db.complete_inbound(claim, Decision(prompt=question), parts(*texts), answer=ANSWER)


async def rows(db: MessagingDatabase, table: Any, *columns: str) -> list[Any]:
    """The rows of a table in order, whole or only these columns of them."""
    chosen = [table.c[column] for column in columns] or [table]
    order = table.c.id if "id" in table.c else table.c.user_id

    def query(connection: Connection) -> list[Any]:
        return [tuple(row) if columns else row for row in connection.execute(select(*chosen).order_by(order))]

    return await db.query(query)


async def prompted(
    db: MessagingDatabase, exchanges: int, platform: Platform = SMS, user_id: UserId = ANN
) -> list[tuple[str, str]]:
    """The role and text of the messages that the model sees of a history."""
    _, shown = await db.query(lambda c: queries.recent_messages(c, platform, user_id, exchanges))
    return [(message.role, message.message) for message in shown]


async def states(db: MessagingDatabase) -> list[str]:
    """The states of all parts, in order."""
    return [state for (state,) in await rows(db, outbound, "state")]


async def history(db: MessagingDatabase) -> list[tuple[str, str]]:
    return await rows(db, conversations, "role", "message")


async def counted(db: MessagingDatabase) -> dict[str, float]:
    """The counters of SMS that are not zero."""

    def query(connection: Connection) -> dict[str, float]:
        found = connection.execute(select(counters).where(counters.c.platform == SMS))
        return {row.name: row.value for row in found if row.value}

    return await db.query(query)


async def recounted(db: MessagingDatabase) -> dict[str, float]:
    """What the counters must say, from the rows alone: those that rows can tell."""

    def query(connection: Connection) -> dict[str, float]:
        def count(table: Any, *conditions: Any) -> int:
            chosen = select(func.count()).select_from(table).where(table.c.platform == SMS, *conditions)
            return connection.execute(chosen).scalar_one()

        seen = outbound.c.accepted_at.is_not(None)
        segments = connection.execute(select(func.sum(outbound.c.segments)).where(seen)).scalar_one() or 0
        resends = connection.execute(select(func.sum(outbound.c.resends))).scalar_one() or 0
        found = {
            "inbound": count(inbound),
            "dead_letters": count(inbound, inbound.c.state == "dead"),
            "messages": count(conversations),
            "users": count(users, users.c.name.is_not(None)),
            "delivery_events": count(delivery_events),
            "segments": segments,
            "resends": resends,
            **{f"part:{state}": count(outbound, outbound.c.state == state) for state in PartState},
        }
        return {name: value for name, value in found.items() if value}

    return await db.query(query)


async def miscounted_users(db: MessagingDatabase) -> list[Any]:
    """People whose line count is not the number of their lines."""
    lines = (
        select(func.count())
        .where(conversations.c.platform == users.c.platform, conversations.c.user_id == users.c.user_id)
        .scalar_subquery()
    )

    def query(connection: Connection) -> list[Any]:
        return list(connection.execute(select(users.c.user_id).where(users.c.message_count != lines)))

    return await db.query(query)
