"""Gathers what the first page shows: how the servers are, who writes, what waits and what went wrong.

Everything comes out of one read of the database; when that fails the page still has its servers, and says so.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, Protocol, TypeVar

from sqlalchemy import Connection

from relay.channels.registry import PLATFORMS
from relay.console.servers import ServerState
from relay.core.errors import StorageError
from relay.core.messages import storable
from relay.core.text import timestamp
from relay.storage import queries

T = TypeVar("T")

PEOPLE_A_PAGE = 25
ROWS_A_LIST = 20
PAUSED = "paused"


class Reader(Protocol):
    """The one verb of the database that the pages need."""

    async def report(self, query: Callable[[Connection], T]) -> T: ...


@dataclass(frozen=True, slots=True)
class Search:
    """Which people are shown: those whose name or address contains `words`, from `offset` on."""

    words: str = ""
    offset: int = 0


async def read_overview(
    reader: Reader, servers: list[ServerState], search: Search, *, now: float, simulated: bool
) -> dict[str, Any]:
    """The first page as plain values, also served as JSON; never raises StorageError."""
    page: dict[str, Any] = {
        "time": timestamp(now),
        "simulated": simulated,
        "servers": [asdict(state) for state in servers],
        "search": asdict(search),
    }
    try:
        found = await reader.report(lambda connection: _read(connection, search, now))
    except StorageError as error:
        return {**page, "database": {"reachable": False, "error": str(error)}}
    return {**page, "database": {"reachable": True, "error": None}, **found}


def _read(connection: Connection, search: Search, now: float) -> dict[str, Any]:
    words = storable(search.words).strip()
    people = queries.list_people(connection, PLATFORMS, words, PEOPLE_A_PAGE + 1, search.offset)
    lists = {
        "waiting": queries.waiting_messages(connection, PLATFORMS, ROWS_A_LIST),
        "unsent": queries.unsent_parts(connection, PLATFORMS, ROWS_A_LIST),
        "failed": queries.failed_parts(connection, PLATFORMS, ROWS_A_LIST),
        "dead_letters": queries.dead_letters(connection, PLATFORMS, ROWS_A_LIST),
    }
    mentioned = {(row["platform"], row["user_id"]) for rows in lists.values() for row in rows if row["user_id"]}
    return {
        "platforms": {platform: queries.status(connection, platform, PLATFORMS, now) for platform in PLATFORMS},
        "paused": [
            {"platform": platform, **value}
            for platform in PLATFORMS
            if (value := queries.note(connection, platform, PAUSED))
        ],
        "people": people[:PEOPLE_A_PAGE],
        "more_people": len(people) > PEOPLE_A_PAGE,
        "names": {" ".join(who): name for who, name in queries.names_of(connection, mentioned).items()},
        **lists,
    }
