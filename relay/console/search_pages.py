"""The search in messages: by words, channel and days, in pages."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, replace
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, Query
from fastapi.responses import Response
from sqlalchemy import Connection

from relay.channels.registry import PLATFORMS
from relay.config.settings import Settings
from relay.console.daily import day_named
from relay.console.day_pages import MAX_ID, ROWS_PER_PAGE
from relay.console.names import names_in
from relay.console.services import Here
from relay.core.messages import db_safe
from relay.core.text import timestamp
from relay.storage.search import find_messages, ids_between, newest_messages
from relay.web.access import ADMIN
from relay.web.errors import ApiError

routes = APIRouter()


@dataclass(frozen=True, slots=True)
class MessageSearch:
    """What is searched for. q: words, empty for all messages; since, until: days, both included, empty for all.

    beginnings: the last word may be the beginning of one. before: the id to page back from.
    """

    q: str = ""
    platform: str = ""
    since: str = ""
    until: str = ""
    beginnings: bool = False
    before: int = 0

    def url(self, **changes: Any) -> str:
        chosen = {**asdict(self), **changes}
        return "/messages?" + urlencode({key: value for key, value in chosen.items() if value})

    def ids(self, connection: Connection, settings: Settings) -> range:
        """The ids of the messages of these days."""
        begin = _day(self.since, settings).begin if self.since else None
        ids = ids_between(connection, begin, _day(self.until, settings).end if self.until else None)
        return range(ids.start, min(ids.stop, self.before or ids.stop))


def _day(date: str, settings: Settings) -> Any:
    if (found := day_named(date, settings)) is None:
        raise ApiError(422, f"{date} is no day", "write it like 2026-11-27")
    return found


async def _chosen(
    q: Annotated[str, Query(max_length=100)] = "",
    platform: Annotated[str, Query(max_length=40)] = "",
    since: Annotated[str, Query(max_length=20)] = "",
    until: Annotated[str, Query(max_length=20)] = "",
    beginnings: bool = False,
    before: Annotated[int, Query(ge=0, le=MAX_ID)] = 0,
) -> MessageSearch:
    return MessageSearch(
        db_safe(q).strip(), platform if platform in PLATFORMS else "", since, until, beginnings, before
    )


def _read(connection: Connection, chosen: MessageSearch, settings: Settings) -> dict[str, Any]:
    """A page of what is found. The first page decides whether beginnings of words are searched, for all of them."""
    rows = _rows(connection, chosen, settings)
    if chosen.q and not chosen.before and not chosen.beginnings and len(rows) <= ROWS_PER_PAGE:
        chosen = replace(chosen, beginnings=True)
        rows = _rows(connection, chosen, settings)
    shown = rows[:ROWS_PER_PAGE]
    return {"chosen": chosen, "rows": shown, "more": len(rows) > ROWS_PER_PAGE, "names": names_in(connection, shown)}


def _rows(connection: Connection, chosen: MessageSearch, settings: Settings) -> list[dict[str, Any]]:
    platforms = [one for one in PLATFORMS if chosen.platform in ("", one)]
    ids = chosen.ids(connection, settings)
    if not chosen.q:
        return newest_messages(connection, platforms, ROWS_PER_PAGE + 1, ids)
    return find_messages(connection, platforms, chosen.q, ROWS_PER_PAGE + 1, ids=ids, beginnings=chosen.beginnings)


@routes.get("/messages", dependencies=[ADMIN], summary="Search in messages by words, channel and days, in pages.")
async def messages_page(console: Here, chosen: Annotated[MessageSearch, Depends(_chosen)]) -> Response:
    found = await console.database.query(lambda connection: _read(connection, chosen, console.settings))
    return console.pages.show("messages.html", **found, time=timestamp(time.time()))
