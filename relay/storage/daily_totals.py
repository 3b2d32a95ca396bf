"""Figures of a day by platform: messages, answer times, failures, segments, cost. Queries that change nothing.

Rows are found by their ids, which grow with time, so a day costs what happened in it, and nothing is written for it
with each message.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Column, Connection, Table, case, func, select

from relay.core.messages import Origin, Platform
from relay.storage.listings import in_trouble
from relay.storage.schema import conversations, inbound, outbound

MAX_ANSWERS = 5000
"""How many of the latest answers of a day the answer times are computed from."""


def day_totals(
    connection: Connection, platforms: Sequence[Platform], begin: float, end: float
) -> dict[str, dict[str, Any]]:
    """The figures by platform of what happened between two Unix times.

    median_seconds, slow_seconds: from the arrival of a question until the first part of its answer is accepted, for
    half of the answers and for 95 of 100; None without an answer.
    """
    said = _rows_between(connection, conversations, conversations.c.timestamp, begin, end)
    sent = _rows_between(connection, outbound, outbound.c.created_at, begin, end)
    figures: dict[str, dict[str, Any]] = {
        platform: {"messages": 0, "model_usd": 0.0, "segments": 0, "failed": 0, **_times(connection, platform, sent)}
        for platform in platforms
    }
    columns = (
        conversations.c.platform,
        func.count().label("messages"),
        func.sum(conversations.c.cost_usd).label("usd"),
    )
    for row in connection.execute(select(*columns).where(said).group_by(conversations.c.platform)):
        if row.platform in figures:
            figures[row.platform] |= {"messages": row.messages, "model_usd": row.usd or 0.0}
    accepted = func.sum(case((outbound.c.accepted_at.is_not(None), outbound.c.segments), else_=0)).label("segments")
    failed = func.sum(case((in_trouble(outbound), 1), else_=0)).label("failed")
    for row in connection.execute(
        select(outbound.c.platform, accepted, failed).where(sent).group_by(outbound.c.platform)
    ):
        if row.platform in figures:
            figures[row.platform] |= {"segments": int(row.segments), "failed": int(row.failed)}
    return figures


def _times(connection: Connection, platform: Platform, sent: Any) -> dict[str, float | None]:
    """The answer times among these parts."""
    is_first = (outbound.c.number == 1) & (outbound.c.origin == Origin.ANSWER) & outbound.c.accepted_at.is_not(None)
    latest = (
        select(outbound.c.accepted_at - inbound.c.received_at)
        .join(inbound, inbound.c.id == outbound.c.inbound_id)
        .where(sent, outbound.c.platform == platform, is_first)
        .order_by(outbound.c.id.desc())
        .limit(MAX_ANSWERS)
    )
    seconds = sorted(max(0.0, value) for value in connection.execute(latest).scalars())
    if not seconds:
        return {"median_seconds": None, "slow_seconds": None}
    return {
        "median_seconds": round(seconds[(len(seconds) - 1) // 2], 1),
        "slow_seconds": round(seconds[(len(seconds) * 95 - 1) // 100], 1),
    }


def _rows_between(connection: Connection, table: Table, moment: Column[Any], begin: float, end: float) -> Any:
    """The condition for the rows of this time, as a range of ids."""
    return (table.c.id >= _first_since(connection, table, moment, begin)) & (
        table.c.id < _first_since(connection, table, moment, end)
    )


def _first_since(connection: Connection, table: Table, moment: Column[Any], since: float) -> int:
    """The first id whose row is not older than `since`, by bisection; one more than all ids when there is none."""
    low, high = 1, (connection.execute(select(func.max(table.c.id))).scalar() or 0) + 1
    while low < high:
        middle = (low + high) // 2
        nearest = select(moment).where(table.c.id >= middle).order_by(table.c.id).limit(1)
        found = connection.execute(nearest).scalar()
        if found is None or found >= since:
            high = middle
        else:
            low = middle + 1
    return low
