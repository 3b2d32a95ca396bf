"""Reads the data of the home page: state of the servers, users, waiting messages, failures.

One read transaction covers everything; when it fails, the page shows the servers and the error.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import Connection

from relay.channels.registry import PLATFORMS, served
from relay.config.settings import Settings
from relay.console.servers import ServerState
from relay.core.errors import StorageError
from relay.core.messages import PartState, Platform, db_safe
from relay.core.store import PAUSED
from relay.core.text import timestamp
from relay.storage import listings, queries
from relay.storage.daily_totals import day_totals
from relay.storage.search import find_messages

USERS_PER_PAGE = 25
ROWS_PER_LIST = 20
MIN_SEARCHED = 2
"""A shorter text is searched in names and addresses only."""

QueryRunner = Callable[[Callable[[Connection], dict[str, Any]]], Awaitable[dict[str, Any]]]
"""Runs a query in a transaction of the database. Raises StorageError."""


@dataclass(frozen=True, slots=True)
class Search:
    """Selects users whose name or address contains `words`, from `offset` on."""

    words: str = ""
    offset: int = 0


async def read_overview(
    query: QueryRunner, servers: list[ServerState], search: Search, *, now: float, settings: Settings
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
    except StorageError as error:
        return {**page, "database": {"reachable": False, "error": str(error)}}
    return {**page, "database": {"reachable": True, "error": None}, **found}


def _read(connection: Connection, search: Search, now: float, settings: Settings) -> dict[str, Any]:
    words = db_safe(search.words).strip()
    people = listings.list_all_users(connection, PLATFORMS, words, USERS_PER_PAGE + 1, search.offset)
    lists = {
        "waiting": listings.waiting_messages(connection, PLATFORMS, ROWS_PER_LIST),
        "unsent": listings.unsent_parts(connection, PLATFORMS, ROWS_PER_LIST),
        "failed": listings.failed_parts(connection, PLATFORMS, ROWS_PER_LIST),
        "dead_letters": listings.dead_letters(connection, PLATFORMS, ROWS_PER_LIST),
    }
    found = find_messages(connection, PLATFORMS, words, ROWS_PER_LIST) if len(words) >= MIN_SEARCHED else []
    mentioned = {
        (row["platform"], row["user_id"]) for rows in (*lists.values(), found) for row in rows if row["user_id"]
    }
    return {
        "platforms": {one.platform: _figures(connection, one.platform, now) for one in served(settings)},
        "paused": [
            {"platform": platform, **value}
            for platform in PLATFORMS
            if (value := queries.read_state(connection, platform, PAUSED))
        ],
        "days": _days(connection, now, settings),
        "with_persons": listings.with_persons(connection, PLATFORMS, now, ROWS_PER_LIST),
        "people": people[:USERS_PER_PAGE],
        "more_people": len(people) > USERS_PER_PAGE,
        "found_messages": found,
        "names": {" ".join(who): name for who, name in listings.names_of(connection, mentioned).items()},
        **lists,
    }


def _figures(connection: Connection, platform: Platform, now: float) -> dict[str, Any]:
    figures = queries.status(connection, platform, PLATFORMS, now)
    delivery = figures["delivery"]
    lost = delivery[PartState.FAILED] + delivery[PartState.UNDELIVERED]
    return {**figures, "failed_parts": lost - figures["dismissed_parts"]}


def _days(connection: Connection, now: float, settings: Settings) -> dict[str, dict[str, dict[str, Any]]]:
    """The figures of today and of yesterday by platform, with midnight in the time zone of the settings."""
    today = datetime.fromtimestamp(now, ZoneInfo(settings.timezone)).replace(hour=0, minute=0, second=0, microsecond=0)
    begin, before = today.timestamp(), (today - timedelta(days=1)).timestamp()
    channels = served(settings)
    platforms = [channel.platform for channel in channels]
    days = {
        "today": day_totals(connection, platforms, begin, now + 1),
        "yesterday": day_totals(connection, platforms, before, begin),
    }
    for figures in days.values():
        for channel in channels:
            own = figures[channel.platform]
            own["sent_usd"] = round(own["segments"] * channel.segment_usd(settings), 6)
    return days
