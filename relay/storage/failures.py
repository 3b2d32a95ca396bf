"""The lists of what waits and what failed, for operators: filtered and in pages. Queries that change nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, Row, Select, Table, select

from relay.core.messages import Platform
from relay.storage import listings
from relay.storage.queries import UNSENT
from relay.storage.schema import in_states, inbound, is_open, outbound, users

MAX_CODES = 500
MAX_PEOPLE = 20


class _FailureKind(NamedTuple):
    """One list: its rows, the form in which they are shown, and their order."""

    table: Table
    which: ColumnElement[bool]
    shown: Callable[[Row[Any]], dict[str, Any]]
    newest_first: bool


KINDS = {
    "waiting": _FailureKind(inbound, is_open(inbound), listings.message, newest_first=False),
    "unsent": _FailureKind(outbound, UNSENT, listings.part, newest_first=False),
    "failed": _FailureKind(outbound, listings.in_trouble(outbound), listings.part, newest_first=True),
    "dead": _FailureKind(inbound, in_states(inbound, "dead"), listings.message, newest_first=True),
}
"""The lists by their name."""


def find(
    connection: Connection,
    kind: str,
    platforms: Sequence[Platform],
    limit: int,
    *,
    code: str = "",
    person: str = "",
    since: float = 0.0,
    beyond: int | None = None,
) -> list[dict[str, Any]]:
    """A page of one list, `row` being the id to page on from, which `beyond` takes.

    code: of the provider; of dead letters the outcome. person: part of a name or an address. since: Unix time.
    """
    table, which, shown, newest_first = KINDS[kind]
    moment = table.c.received_at if table is inbound else table.c.created_at
    chosen = select(table).where(which)
    if code:
        chosen = chosen.where(_code(table) == code)
    if since:
        chosen = chosen.where(moment >= since)
    if beyond is not None:
        chosen = chosen.where(table.c.id < beyond if newest_first else table.c.id > beyond)
    order = table.c.id.desc() if newest_first else table.c.id
    rows = [row for platform in platforms for row in _page(connection, chosen, table, platform, order, limit, person)]
    rows.sort(key=lambda row: int(row.id), reverse=newest_first)
    return [{**shown(row), "row": row.id} for row in rows[:limit]]


def _page(
    connection: Connection,
    chosen: Select[Any],
    table: Table,
    platform: Platform,
    order: Any,
    limit: int,
    person: str,
) -> Sequence[Row[Any]]:
    """One platform at a time, because the indexes begin with it."""
    if person:
        chosen = chosen.where(_of(connection, table, platform, person))
    return connection.execute(chosen.where(table.c.platform == platform).order_by(order).limit(limit)).all()


def _of(connection: Connection, table: Table, platform: Platform, person: str) -> ColumnElement[bool]:
    """The rows of people whom this finds: few of them have an index, the rows of many soon fill a page."""
    theirs = (users.c.platform == platform) & listings.matching(person)
    few = connection.execute(select(users.c.user_id).where(theirs).limit(MAX_PEOPLE + 1)).scalars().all()
    if 0 < len(few) <= MAX_PEOPLE:
        return table.c.user_id.in_(few)
    same = (users.c.platform == table.c.platform) & (users.c.user_id == table.c.user_id)
    known = select(users.c.user_id).where(same, listings.matching(person)).exists()
    return known | table.c.user_id.contains(person, autoescape=True)


def codes(connection: Connection, kind: str, platforms: Sequence[Platform]) -> list[str]:
    """The codes among the latest rows of a list, the most frequent first; of dead letters the outcomes."""
    table, which, _, _ = KINDS[kind]
    found: list[str] = []
    for platform in platforms:  # one at a time, because the indexes begin with it
        chosen = select(_code(table)).where(table.c.platform == platform, which)
        found += connection.execute(chosen.order_by(table.c.id.desc()).limit(MAX_CODES)).scalars()
    return [code for code, _ in Counter(filter(None, found)).most_common()]


def _code(table: Table) -> Any:
    return table.c.outcome if table is inbound else table.c.error_code
