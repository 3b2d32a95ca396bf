"""The lists of what waits and what failed, for operators: filtered and in pages. Queries that change nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, Row, Select, Table, func, select

from relay.core.messages import Platform
from relay.storage import listings
from relay.storage.queries import UNSENT
from relay.storage.schema import in_states, inbound, is_open, outbound, users

MAX_CODES = 500


class _Kind(NamedTuple):
    """One list: its rows, the form in which they are shown, and their order."""

    table: Table
    which: ColumnElement[bool]
    shown: Callable[[Row[Any]], dict[str, Any]]
    newest_first: bool


KINDS = {
    "waiting": _Kind(inbound, is_open(inbound), listings.message, newest_first=False),
    "unsent": _Kind(outbound, UNSENT, listings.part, newest_first=False),
    "failed": _Kind(outbound, listings.in_trouble(outbound), listings.part, newest_first=True),
    "dead": _Kind(inbound, in_states(inbound, "dead"), listings.message, newest_first=True),
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
        chosen = chosen.where((table.c.outcome if table is inbound else table.c.error_code) == code)
    if since:
        chosen = chosen.where(moment >= since)
    if person:
        chosen = chosen.where(_of(table, person))
    if beyond is not None:
        chosen = chosen.where(table.c.id < beyond if newest_first else table.c.id > beyond)
    order = table.c.id.desc() if newest_first else table.c.id
    rows = [row for platform in platforms for row in _page(connection, chosen, table, platform, order, limit)]
    rows.sort(key=lambda row: int(row.id), reverse=newest_first)
    return [{**shown(row), "row": row.id} for row in rows[:limit]]


def _page(
    connection: Connection, chosen: Select[Any], table: Table, platform: Platform, order: Any, limit: int
) -> Sequence[Row[Any]]:
    """One platform at a time, because the indexes begin with it."""
    return connection.execute(chosen.where(table.c.platform == platform).order_by(order).limit(limit)).all()


def _of(table: Table, person: str) -> ColumnElement[bool]:
    same = (users.c.platform == table.c.platform) & (users.c.user_id == table.c.user_id)
    known = select(users.c.user_id).where(same, listings.matching(person)).exists()
    return known | table.c.user_id.contains(person, autoescape=True)


def codes(connection: Connection, platforms: Sequence[Platform]) -> list[str]:
    """The codes among the latest failed parts, the most frequent first."""
    lately = (
        select(outbound.c.error_code)
        .where(outbound.c.platform.in_(platforms), listings.in_trouble(outbound))
        .order_by(outbound.c.id.desc())
        .limit(MAX_CODES)
        .subquery()
    )
    grouped = select(lately.c.error_code).group_by(lately.c.error_code).order_by(func.count().desc())
    return [code for code in connection.execute(grouped).scalars() if code]
