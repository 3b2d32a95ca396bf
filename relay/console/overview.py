"""Reads the data of the home page: state of the servers, users, waiting messages, failures.

One read transaction covers everything but the figures by day; when one fails, the page shows the servers and the error.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass
from itertools import chain
from typing import Any
from urllib.parse import urlencode

from sqlalchemy import Connection

from relay.channels.registry import PLATFORMS, served
from relay.config.settings import Settings
from relay.console.daily import DailyTotals
from relay.console.names import names_in
from relay.console.servers import ServerState
from relay.core.errors import StorageError
from relay.core.messages import Platform, db_safe
from relay.core.parts import PartState
from relay.core.store import PAUSED
from relay.core.text import timestamp
from relay.storage import listings, queries
from relay.storage.search import find_messages

USERS_PER_PAGE = 25
ROWS_PER_LIST = 20
MIN_SEARCHED = 2
"""A shorter text is searched in names and addresses only."""

QueryRunner = Callable[[Callable[[Connection], dict[str, Any]]], Awaitable[dict[str, Any]]]
"""Runs a query in a transaction of the database. Raises StorageError."""


@dataclass(frozen=True, slots=True)
class Search:
    """Selects users whose name or address contains `words`, from `offset` on; of a channel or a state, if given."""

    words: str = ""
    offset: int = 0
    platform: str = ""
    state: str = ""

    def url(self, offset: int) -> str:
        """The address of the page from another offset on."""
        chosen = {"q": self.words, "platform": self.platform, "state": self.state, "offset": offset}
        return "/?" + urlencode({key: value for key, value in chosen.items() if value}) + "#people"


async def read_overview(
    query: QueryRunner,
    servers: list[ServerState],
    search: Search,
    daily: DailyTotals,
    *,
    now: float,
    settings: Settings,
) -> dict[str, Any]:
    """The values of the home page, ready for JSON; a StorageError becomes a part of them."""
    page: dict[str, Any] = {
        "time": timestamp(now),
        "simulated": settings.simulated,
        "servers": [asdict(state) for state in servers],
        "search": asdict(search),
    }
    try:
        found = await query(lambda connection: _read(connection, search, now, settings))
        days = await daily.read(query, now)
    except StorageError as error:
        return {**page, "database": {"reachable": False, "error": str(error)}}
    figures = {"today": days[-1][1], "yesterday": days[-2][1]}
    by_day = [{"date": day.date, "platforms": totals} for day, totals in days]
    return {**page, "database": {"reachable": True, "error": None}, **found, "days": figures, "by_day": by_day}


def _read(connection: Connection, search: Search, now: float, settings: Settings) -> dict[str, Any]:
    words = db_safe(search.words).strip()
    platforms = [platform for platform in PLATFORMS if search.platform in ("", platform)]
    people = listings.list_all_users(connection, platforms, words, USERS_PER_PAGE + 1, search.offset, search.state)
    lists = {
        "waiting": listings.waiting_messages(connection, PLATFORMS, ROWS_PER_LIST),
        "unsent": listings.unsent_parts(connection, PLATFORMS, ROWS_PER_LIST),
        "failed": listings.failed_parts(connection, PLATFORMS, ROWS_PER_LIST),
        "dead_letters": listings.dead_letters(connection, PLATFORMS, ROWS_PER_LIST),
    }
    found = find_messages(connection, PLATFORMS, words, ROWS_PER_LIST) if len(words) >= MIN_SEARCHED else []
    return {
        "platforms": {one.platform: _figures(connection, one.platform, now) for one in served(settings)},
        "paused": [
            {"platform": platform, **value}
            for platform in PLATFORMS
            if (value := queries.read_state(connection, platform, PAUSED))
        ],
        "held": [
            {"platform": platform, "country": country, **hold}
            for platform in PLATFORMS
            for country, hold in queries.read_holds(connection, platform).items()
        ],
        "with_persons": listings.with_persons(connection, PLATFORMS, now, ROWS_PER_LIST),
        "people": people[:USERS_PER_PAGE],
        "more_people": len(people) > USERS_PER_PAGE,
        "found_messages": found,
        "names": names_in(connection, chain(*lists.values(), found)),
        **lists,
    }


def _figures(connection: Connection, platform: Platform, now: float) -> dict[str, Any]:
    figures = queries.status(connection, platform, PLATFORMS, now)
    delivery = figures["delivery"]
    lost = delivery[PartState.FAILED] + delivery[PartState.UNDELIVERED]
    return {**figures, "failed_parts": lost - figures["dismissed_parts"]}
