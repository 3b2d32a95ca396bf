"""The console, port 8042, in the browser: a home page and a page for each user. On this machine only by default.

Owns the routes, start and stop, and the login. relay/console/ reads the data of the pages. Rows are changed by methods
of the database, and manual messages go through the channel servers.
"""

from __future__ import annotations

import relay.core.bootstrap  # isort: skip  # noqa: F401 (prints what to install when something is missing)

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

import httpx
from fastapi import APIRouter, Depends, FastAPI, Form, Query, Request
from fastapi import Path as PathParameter
from fastapi.responses import Response

from messaging_database import MessagingDatabase, open_database
from relay.channels.registry import PLATFORMS, AllSettings
from relay.config.loading import load_settings
from relay.config.settings import Settings
from relay.console import (
    alert_pages,
    broadcast_pages,
    day_pages,
    export_pages,
    login_pages,
    person_actions,
    search_pages,
    setup_pages,
)
from relay.console.addresses import InForm, InQuery, redirect, to_person, unknown_person
from relay.console.channels import SubmittedForms, send_manual_message
from relay.console.charts import charts
from relay.console.daily import ROUND_SECONDS, DailyTotals, read_user_days
from relay.console.drafts import MAX_OPEN, draft_message
from relay.console.failures import (
    ACT_TITLES,
    ACTS,
    EXPLAINED,
    MAX_AT_ONCE,
    ROWS_PER_PAGE,
    TITLES,
    Filter,
    Kind,
    repair_all,
)
from relay.console.live import LiveStreams
from relay.console.media import MAX_FILE_NAME, serve_attachment
from relay.console.names import names_in
from relay.console.overview import USERS_PER_PAGE, Search, read_overview
from relay.console.pages import Pages
from relay.console.person import Address, read_person
from relay.console.servers import known_servers, probe_servers
from relay.console.services import ConsoleServices, NotDone
from relay.core import shutdown
from relay.core.errors import StorageError
from relay.core.http_client import open_http_client
from relay.core.messages import UserState, db_safe
from relay.core.periodic import Periodic
from relay.core.text import timestamp
from relay.media.content_types import content_type
from relay.media.files import MediaFiles
from relay.storage import queries
from relay.web.access import ADMIN, PUBLIC
from relay.web.app import add_common_routes, add_routes, build_app
from relay.web.errors import ApiError
from relay.web.serve import run_server

PROBE_SECONDS = 1.0
"""Timeout of one probe of a server on this machine."""

HOME_SECONDS, PERSON_SECONDS = 5.0, 1.0
"""How often the live parts of the pages are read."""

MAX_OFFSET = 10_000
MAX_ID = 2**63 - 1
DESCRIPTION = "How everything is going, and who writes. For the operator."
FAILURE_PAGE: dict[str, Any] = {
    "kinds": TITLES,
    "explained": EXPLAINED,
    "acts": ACTS,
    "most": MAX_AT_ONCE,
    "page_size": ROWS_PER_PAGE,
}

PAGES = (
    *(login_pages, setup_pages, alert_pages, export_pages, day_pages, search_pages, person_actions, broadcast_pages),
)
"""The modules with the other routes."""

routes = APIRouter()


@dataclass(frozen=True, slots=True)
class Console(ConsoleServices):
    """The services of the routes, opened at start and closed at stop."""

    database: MessagingDatabase
    http: httpx.AsyncClient
    forms: SubmittedForms
    probe_seconds: float
    media: MediaFiles
    daily: DailyTotals

    async def overview(self, search: Search) -> dict[str, Any]:
        servers = await probe_servers(self.http, known_servers(self.settings), self.probe_seconds)
        return await read_overview(
            self.database.query, servers, search, self.daily, now=time.time(), settings=self.settings
        )

    async def person(self, address: Address, before: int | None = None) -> dict[str, Any]:
        """The values of a user's page. Raises ApiError(404) for an unknown address."""
        now = time.time()
        found = await self.database.query(lambda connection: read_person(connection, address, before, now))
        if found is None:
            raise unknown_person()
        sent = {one.sha256 for bubble in found["bubbles"] for one in bubble.attachments}
        kept = {sha256 for sha256 in sent if self.media.path(sha256)}
        offered = {"languages": person_actions.languages(), "pauses": person_actions.PAUSES}
        return {"address": address, "time": timestamp(now), "kept": kept, **offered, **found}

    async def failures(self, chosen: Filter, limit: int) -> list[dict[str, Any]]:
        platforms = chosen.platforms(PLATFORMS)
        rows: list[dict[str, Any]] = await self.database.find_failures(
            chosen.kind, platforms, limit, **chosen.arguments(time.time())
        )
        return rows


def create_app(settings: Settings | None = None, *, probe_seconds: float = PROBE_SECONDS) -> FastAPI:
    """The console as an ASGI app; without settings it loads them as the program does."""
    settings = settings or load_settings(AllSettings)
    pages = Pages(settings)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        streams = LiveStreams()
        app.state.on_stop = partial(asyncio.get_running_loop().call_soon_threadsafe, streams.stop)
        http = open_http_client(max_connections=20)
        database = open_database(settings, "admin_server")
        daily = DailyTotals(settings)
        app.state.console = Console(
            settings,
            pages,
            database,
            app.state.token_guard,
            streams,
            http,
            SubmittedForms(),
            probe_seconds,
            MediaFiles(Path.cwd() / settings.media_folder),
            daily,
        )
        app.state.use_login = database.use_login
        app.state.setup = setup_pages.SetupPages(settings, pages, http, database)
        await database.start()
        counting = Periodic(
            "figures by day", ROUND_SECONDS, lambda: daily.count_ahead(database.query, time.time()), first_after=0.0
        )
        counting.start()
        try:
            async with alert_pages.watching(app, settings, database, http, probe_seconds):
                yield
        finally:
            await counting.stop()
            async with asyncio.timeout(settings.stop_seconds * (1 - shutdown.REQUESTS)):
                await database.stop(settings.stop_seconds * shutdown.DATABASE)
                await http.aclose()

    async def ready() -> dict[str, Any]:
        try:
            await app.state.console.database.check()
        except StorageError:
            why = "the database cannot be written now"
            return {"ready": False, "reason": why, "database": "cannot be written now", "simulated": settings.simulated}
        return {"ready": True, "simulated": settings.simulated}

    app = build_app("Console", settings, lifespan, description=DESCRIPTION, error_page=pages.error)
    add_routes(app, routes, *(module.routes for module in PAGES))
    add_common_routes(app, ready)
    return app


async def _console(request: Request) -> Console:
    console: Console = request.app.state.console
    return console


async def _search(
    q: Annotated[str, Query(max_length=100)] = "",
    offset: Annotated[int, Query(ge=0, le=MAX_OFFSET)] = 0,
    platform: Annotated[str, Query(max_length=40)] = "",
    state: UserState | Literal[""] = "",
) -> Search:
    return Search(q, offset, platform if platform in PLATFORMS else "", state)


async def _filter(
    kind: Kind = "failed",
    platform: Annotated[str, Query(max_length=40)] = "",
    code: Annotated[str, Query(max_length=40)] = "",
    person: Annotated[str, Query(max_length=100)] = "",
    days: Annotated[int, Query(ge=0, le=3660)] = 0,
    beyond: Annotated[int | None, Query(ge=1, le=MAX_ID)] = None,
) -> Filter:
    return Filter(kind, platform, db_safe(code), db_safe(person).strip(), days, beyond)


Here = Annotated[Console, Depends(_console)]
Filtered = Annotated[Filter, Depends(_filter)]
Searched = Annotated[Search, Depends(_search)]


# -- pages -------------------------------------------------------------------------------------------------------------


@routes.get("/", dependencies=[ADMIN], summary="The home page: servers, people, what is waiting, what went wrong.")
async def first_page(request: Request, console: Here, search: Searched) -> Response:
    async def read() -> dict[str, Any]:
        values = await console.overview(search)
        shown = charts(values["by_day"]) if values["database"]["reachable"] else []
        return {**values, "charts": shown, "chosen": search, "states": list(UserState), "page_size": USERS_PER_PAGE}

    return await console.show_live(request, "overview", read, HOME_SECONDS)


@routes.get("/api/overview", dependencies=[ADMIN], summary="The home page as JSON.")
async def overview(console: Here, search: Searched) -> dict[str, Any]:
    return await console.overview(search)


@routes.get("/person", dependencies=[ADMIN], summary="One person: the conversation, and the delivery of each part.")
async def person_page(
    request: Request,
    console: Here,
    address: InQuery,
    before: Annotated[int | None, Query(ge=1, le=MAX_ID)] = None,
    done: Annotated[str, Query(max_length=40)] = "",
) -> Response:
    async def read() -> dict[str, Any]:
        return {**await console.person(address, before), "done": done, "written": "", "problem": None}

    return await console.show_live(request, "person", read, PERSON_SECONDS)


@routes.get("/person/days", dependencies=[ADMIN], summary="One person: figures of the last days.")
async def person_days(console: Here, address: InQuery) -> Response:
    now, user = time.time(), await console.database.query(lambda c: queries.find_user(c, *address.key))
    if user is None:
        raise unknown_person()
    by_day = await console.database.query(lambda c: read_user_days(c, *address.key, now, console.settings))
    return console.pages.show("person_days.html", address=address, name=user.name, charts=charts(by_day))


@routes.get("/media/{sha256}", dependencies=[ADMIN], summary="What came with a message, by the hash of its content.")
async def media_file(
    console: Here,
    sha256: Annotated[str, PathParameter(max_length=64)],
    name: Annotated[str, Query(max_length=MAX_FILE_NAME)] = "",
) -> Response:
    path = console.media.path(sha256)
    if path is None:
        raise ApiError(404, "this file is not kept here", "files are deleted after media_keep_days")
    return serve_attachment(path, content_type(console.media.head(sha256)), name)


@routes.get("/failures", dependencies=[ADMIN], summary="What waits and what failed: filtered, in pages.")
async def failures_page(
    request: Request, console: Here, chosen: Filtered, done: Annotated[str, Query(max_length=300)] = ""
) -> Response:
    codes = await console.database.failure_codes(chosen.kind, PLATFORMS)

    async def read() -> dict[str, Any]:
        rows = await console.failures(chosen, ROWS_PER_PAGE + 1)
        names = await console.database.query(lambda connection: names_in(connection, rows))
        shown: dict[str, Any] = {"rows": rows[:ROWS_PER_PAGE], "more": len(rows) > ROWS_PER_PAGE, "names": names}
        return {**shown, **FAILURE_PAGE, "chosen": chosen, "codes": codes, "done": done, "time": timestamp(time.time())}

    return await console.show_live(request, "failures", read, HOME_SECONDS)


@routes.get("/audit", dependencies=[ADMIN], summary="What operators did, when, and by which login.")
async def audit_page(console: Here, before: Annotated[int | None, Query(ge=1, le=MAX_ID)] = None) -> Response:
    entries = await console.database.newest_actions(ROWS_PER_PAGE + 1, before)
    names = await console.database.query(lambda connection: names_in(connection, entries))
    more = entries[ROWS_PER_PAGE - 1]["id"] if len(entries) > ROWS_PER_PAGE else None
    return console.pages.show("audit.html", entries=entries[:ROWS_PER_PAGE], names=names, more=more, acts=ACT_TITLES)


@routes.get("/static/{name}", dependencies=[PUBLIC], summary="Style, script and icon of the pages.")
async def static_file(name: str, console: Here) -> Response:
    found = console.pages.file(name)
    if found is None:
        raise ApiError(404, "there is no such file")
    return found


# -- actions -----------------------------------------------------------------------------------------------------------


@routes.post("/person/send", dependencies=[ADMIN], summary="Send a message by hand, through the channel's server.")
async def send(
    request: Request,
    console: Here,
    address: InForm,
    message: Annotated[str, Form()] = "",
    form: Annotated[str, Form()] = "",
) -> Response:
    if console.forms.is_new(form[:64]):
        try:
            await send_manual_message(console.http, console.settings, address, message)
        except NotDone as problem:
            console.forms.forget(form[:64])
            return await _with_written(console, address, message, problem)
        await console.database.record_action(console.operator(request), "send and take over", *address.key)
    return to_person(address, "sent", "#newest")


@routes.post("/person/draft", dependencies=[ADMIN], summary="Have the AI draft a message by hand; nothing is sent.")
async def draft(console: Here, address: InForm, message: Annotated[str, Form()] = "") -> Response:
    exchanges = console.settings.history_exchanges + MAX_OPEN
    _, history = await console.database.query(lambda c: queries.recent_messages(c, *address.key, exchanges))
    try:
        drafted = await draft_message(console.http, console.settings, address, history)
    except NotDone as problem:
        return await _with_written(console, address, message, problem)
    return await _with_written(console, address, f"{message.rstrip()}\n\n{drafted}".lstrip())


async def _with_written(console: Console, address: Address, written: str, problem: NotDone | None = None) -> Response:
    """A person's page with this text in its form, and why it was not sent or drafted, if so."""
    values, status = await console.person(address), 502 if problem else 200
    return console.pages.show("person.html", status=status, **values, done="", written=written, problem=problem)


@routes.post("/person/takeover", dependencies=[ADMIN], summary="Answer by hand: the AI is silent from now on.")
async def take_over(request: Request, console: Here, address: InForm) -> Response:
    seconds = console.settings.takeover_hours * 3600
    if not await console.database.take_over(*address.key, seconds, console.operator(request)):
        raise unknown_person()
    return to_person(address, "taken", "#newest")


@routes.post("/person/handback", dependencies=[ADMIN], summary="Let the AI answer again.")
async def hand_back(request: Request, console: Here, address: InForm) -> Response:
    await console.database.hand_back(*address.key, console.operator(request))
    return to_person(address, "handed-back", "#newest")


@routes.post("/failures", dependencies=[ADMIN], summary="Send again, answer again, cancel or dismiss chosen rows.")
async def repair(
    request: Request,
    console: Here,
    chosen: Filtered,
    act: Annotated[str, Form(max_length=20)],
    row: Annotated[list[str], Form(max_length=MAX_AT_ONCE)] = [],  # noqa: B006 (FastAPI copies it)
    everything: Annotated[bool, Form()] = False,
) -> Response:
    if act not in ACTS[chosen.kind]:
        raise ApiError(422, "this list has no such act", f"choose one of {', '.join(ACTS[chosen.kind]) or 'none'}")
    if everything:
        matching = replace(chosen, beyond=None)
        row = [str(found["id"]) for found in await console.failures(matching, MAX_AT_ONCE)]
    who = console.operator(request)
    done = await repair_all(lambda row_id: console.database.repair(act, row_id[:64], who), row)
    return redirect(chosen.url(done=done))


@routes.post("/person/release", dependencies=[ADMIN], summary="Resume answering somebody who was taken for a machine.")
async def release(request: Request, console: Here, address: InForm) -> Response:
    await console.database.release_user(address.platform, address.user_id)
    await console.database.record_action(console.operator(request), "release", *address.key)
    return to_person(address, "released")


@routes.get("/person/clear", dependencies=[ADMIN], summary="Ask before a history is cleared.")
async def ask_before_clearing(console: Here, address: InQuery) -> Response:
    return console.pages.show("clear.html", **await console.person(address))


@routes.post("/person/clear", dependencies=[ADMIN], summary="Remove a person's history for good.")
async def clear(request: Request, console: Here, address: InForm) -> Response:
    removed = await console.database.clear_history(address.platform, address.user_id)
    if removed is None:
        raise unknown_person()
    await console.database.record_action(console.operator(request), "clear the history", *address.key)
    return to_person(address, f"cleared-{removed}")


def main() -> None:
    """Run the console until a signal."""
    run_server(
        *("admin_server", AllSettings, create_app, lambda settings: settings.admin_server_port),
        lambda settings: settings.admin_bind_host,
    )


if __name__ == "__main__":
    main()
