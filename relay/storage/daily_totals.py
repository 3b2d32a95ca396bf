"""Figures of a day by platform: messages, answer times, failures, segments, cost. Queries that change nothing.

Rows are found by their ids, which grow with time, so a day costs what happened in it, and nothing is written for it
with each message.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Column, ColumnElement, Connection, Select, Table, case, func, select

from relay.core.messages import Platform, UserId
from relay.core.parts import Origin, PartState
from relay.storage.listings import in_trouble, part
from relay.storage.queries import plain
from relay.storage.schema import conversations, inbound, indexed_parts, outbound
from relay.storage.transactions import of_user

IdBounds = dict[tuple[str, float], int]
"""The first id that is not older than a Unix time, by table and time."""

MAX_ANSWERS = 5000
"""How many of the latest answers of a day the answer times are computed from."""


def day_totals(
    connection: Connection, platforms: Sequence[Platform], begin: float, end: float, bounds: IdBounds | None = None
) -> dict[str, dict[str, Any]]:
    """The figures by platform of what happened between two Unix times.

    bounds: what was found out about the ids of these times, for the next call; the caller removes what may change.

    median_seconds, slow_seconds: from the arrival of a question until the first part of its answer is accepted, for
    half of the answers and for 95 of 100; None without an answer.
    """
    said = _rows_between(connection, conversations, conversations.c.timestamp, begin, end, bounds)
    sent = _rows_between(connection, outbound, outbound.c.created_at, begin, end, bounds)
    figures: dict[str, dict[str, Any]] = {
        platform: {**_empty(), **_times(connection, platform, sent)} for platform in platforms
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


@dataclass(frozen=True, slots=True)
class Rows:
    """Which rows of a time: since `begin` and before `end` (Unix times), of these platforms, or of one user alone.

    before: the id to page back from.
    """

    begin: float
    end: float
    platforms: Sequence[Platform]
    user_id: UserId | None = None
    before: int | None = None


def messages_between(connection: Connection, which: Rows, limit: int) -> list[dict[str, Any]]:
    """The messages of the history in a time, newest first."""
    chosen = _page(connection, conversations, conversations.c.timestamp, which, limit)
    names = ("id", "platform", "user_id", "role", "message", "timestamp", "reply_id", "model", "cost_usd")
    return [plain(row, *names, "total_seconds") for row in connection.execute(chosen)]


def parts_between(connection: Connection, which: Rows, limit: int, *, failed: bool) -> list[dict[str, Any]]:
    """The parts planned in a time, newest first: accepted ones, or those in trouble; with the id `row`."""
    chosen = _page(connection, outbound, outbound.c.created_at, which, limit)
    chosen = chosen.where(in_trouble(outbound) if failed else outbound.c.accepted_at.is_not(None))
    return [{"row": row.id, **part(row)} for row in connection.execute(chosen)]


def _page(connection: Connection, table: Table, moment: Column[Any], which: Rows, limit: int) -> Select[Any]:
    chosen = select(table).where(_rows_between(connection, table, moment, which.begin, which.end))
    if which.user_id is None:
        chosen = chosen.where(by_id_of(table, which.platforms))
    else:
        chosen = chosen.where(table.c.platform.in_(which.platforms), table.c.user_id == which.user_id)
    if which.before is not None:
        chosen = chosen.where(table.c.id < which.before)
    return chosen.order_by(table.c.id.desc()).limit(limit)


def user_days(
    connection: Connection, platform: Platform, user_id: UserId, midnights: Sequence[float]
) -> list[dict[str, Any]]:
    """The figures of day_totals of one user, for each day between two of these Unix times."""
    of_day = [_empty() for _ in midnights[1:]]
    seconds: list[list[float]] = [[] for _ in of_day]
    lines = select(conversations.c.timestamp, conversations.c.cost_usd).where(
        of_user(conversations, platform, user_id),
        conversations.c.id >= first_since(connection, conversations, conversations.c.timestamp, midnights[0]),
    )
    for row in connection.execute(lines):
        if (day := _day_index(midnights, row.timestamp)) is not None:
            of_day[day]["messages"] += 1
            of_day[day]["model_usd"] += row.cost_usd or 0.0
    since = outbound.c.id >= first_since(connection, outbound, outbound.c.created_at, midnights[0])
    for condition in indexed_parts()[1:]:  # an open part that has not left counts for nothing yet
        parts = (
            select(outbound, inbound.c.received_at)
            .join(inbound, inbound.c.id == outbound.c.inbound_id, isouter=True)
            .where(of_user(outbound, platform, user_id), condition, since)
            .order_by(outbound.c.id)
        )
        for row in connection.execute(parts):
            if (day := _day_index(midnights, row.created_at)) is not None:
                _add_part(of_day[day], seconds[day], row)
    return [figures | _percentiles(times) for figures, times in zip(of_day, seconds, strict=True)]


def _empty() -> dict[str, Any]:
    return {"messages": 0, "model_usd": 0.0, "segments": 0, "failed": 0}


def _day_index(midnights: Sequence[float], moment: float) -> int | None:
    index = bisect_right(midnights, moment) - 1
    return index if 0 <= index < len(midnights) - 1 else None


def _add_part(figures: dict[str, Any], seconds: list[float], row: Any) -> None:
    if row.accepted_at is not None:
        figures["segments"] += row.segments
        if row.number == 1 and row.origin == Origin.ANSWER and row.received_at is not None:
            seconds.append(row.accepted_at - row.received_at)
    if row.state in {PartState.FAILED, PartState.UNDELIVERED} and row.dismissed_at is None:
        figures["failed"] += 1


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
    return _percentiles(list(connection.execute(latest).scalars()))


def _percentiles(times: Sequence[float]) -> dict[str, float | None]:
    seconds = sorted(max(0.0, value) for value in times)
    if not seconds:
        return {"median_seconds": None, "slow_seconds": None}
    return {
        "median_seconds": round(seconds[(len(seconds) - 1) // 2], 1),
        "slow_seconds": round(seconds[(len(seconds) * 95 - 1) // 100], 1),
    }


def by_id_of(table: Table, platforms: Sequence[Platform]) -> ColumnElement[bool]:
    """The condition for rows of these platforms in a range of ids, in words for which no index is used instead."""
    return func.coalesce(table.c.platform, "").in_(platforms)


def _rows_between(
    connection: Connection,
    table: Table,
    moment: Column[Any],
    begin: float,
    end: float,
    bounds: IdBounds | None = None,
) -> Any:
    """The condition for the rows of this time, as a range of ids."""
    known = {} if bounds is None else bounds
    for time in (begin, end):
        if (table.name, time) not in known:
            known[table.name, time] = first_since(connection, table, moment, time)
    return (table.c.id >= known[table.name, begin]) & (table.c.id < known[table.name, end])


def first_since(connection: Connection, table: Table, moment: Column[Any], since: float) -> int:
    """The first id whose row is not older than a Unix time, by bisection; one more than all ids when there is none."""
    newest = connection.execute(select(table.c.id, moment).order_by(table.c.id.desc()).limit(1)).first()
    if newest is None or newest[1] < since:
        return newest[0] + 1 if newest else 1
    low, high = 1, newest[0]
    while low < high:
        middle = (low + high) // 2
        nearest = select(moment).where(table.c.id >= middle).order_by(table.c.id).limit(1)
        found = connection.execute(nearest).scalar()
        if found is None or found >= since:
            high = middle
        else:
            low = middle + 1
    return low
