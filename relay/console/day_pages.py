"""The pages behind the figures: the rows of a day or of a state, and the story of one message."""

from __future__ import annotations

import time
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query
from fastapi.responses import Response
from sqlalchemy import Connection

from relay.channels.registry import PLATFORMS, KnownPlatform
from relay.console.daily import day_named
from relay.console.names import names_in
from relay.console.services import Here
from relay.console.story import story
from relay.core.messages import UserId, db_safe
from relay.core.parts import PartState
from relay.core.text import timestamp
from relay.storage import listings
from relay.storage.daily_totals import Rows, messages_between, parts_between
from relay.storage.trace import read_trace
from relay.web.access import ADMIN
from relay.web.errors import ApiError

ROWS_PER_PAGE = 50
MAX_ID = 2**63 - 1
RowKind = Literal["messages", "failed", "sent"]

routes = APIRouter()


@routes.get("/day", dependencies=[ADMIN], summary="The messages, sent parts or failures of one day, in pages.")
async def day_page(
    console: Here,
    day: Annotated[str, Query(max_length=20)],
    kind: RowKind = "messages",
    platform: KnownPlatform | None = None,
    person: Annotated[str, Query(max_length=200)] = "",
    before: Annotated[int | None, Query(ge=1, le=MAX_ID)] = None,
) -> Response:
    """Of one channel, or of one person: `person` is an address of `platform`."""
    chosen = day_named(day, console.settings)
    if chosen is None:
        raise ApiError(404, "this is no day", "write it like 2026-11-27")
    of_user = UserId(db_safe(person)) if person and platform else None
    which = Rows(chosen.begin, chosen.end, [platform] if platform else PLATFORMS, of_user, before)

    def read(connection: Connection) -> dict[str, Any]:
        limit = ROWS_PER_PAGE + 1
        rows = (
            messages_between(connection, which, limit)
            if kind == "messages"
            else parts_between(connection, which, limit, failed=kind == "failed")
        )
        return {"rows": rows[:ROWS_PER_PAGE], "more": len(rows) > ROWS_PER_PAGE, "names": names_in(connection, rows)}

    found = await console.database.query(read)
    last = found["rows"][-1] if found.pop("more") else None
    values: dict[str, Any] = {"day": chosen.date, "kind": kind, "platform": platform or "", "person": of_user or ""}
    return console.pages.show("day.html", older=last and last.get("row", last["id"]), **values, **found)


@routes.get("/parts", dependencies=[ADMIN], summary="The parts of one state, newest first, in pages.")
async def parts_page(
    console: Here,
    state: PartState,
    platform: KnownPlatform | None = None,
    before: Annotated[int | None, Query(ge=1, le=MAX_ID)] = None,
) -> Response:
    def read(connection: Connection) -> dict[str, Any]:
        platforms = [platform] if platform else PLATFORMS
        rows, older = listings.parts_in_state(connection, platforms, state, ROWS_PER_PAGE, before)
        return {"rows": rows, "older": older, "names": names_in(connection, rows)}

    found = await console.database.query(read)
    return console.pages.show("parts.html", state=state, platform=platform or "", **found)


@routes.get("/message", dependencies=[ADMIN], summary="The story of one message, found by any id of it.")
async def message_page(console: Here, id: Annotated[str, Query(max_length=200)] = "") -> Response:  # noqa: A002
    sought = db_safe(id).strip()
    found = None
    if sought:
        found = await console.database.query(lambda connection: read_trace(connection, PLATFORMS, sought))
    steps = story(found) if found else []
    now = timestamp(time.time())
    status = 404 if sought and not found else 200
    return console.pages.show("message.html", status=status, sought=sought, found=found, steps=steps, time=now)


@routes.get("/api/message", dependencies=[ADMIN], summary="The story of one message as JSON.")
async def message_json(console: Here, id: Annotated[str, Query(min_length=1, max_length=200)]) -> dict[str, Any]:  # noqa: A002
    sought = db_safe(id).strip()
    found = await console.database.query(lambda c: read_trace(c, PLATFORMS, sought))
    if found is None:
        raise ApiError(404, "no message has this id", "any id of it will do: ours, or the provider's")
    return found
