"""Renders the pages: templates with autoescape, formats of times and sums, security headers.

A page has a live part, a template of its own, which a script in the browser gets as server-sent events (live.py), or
polls with an ETag where no stream comes through. Without the script the page is the same and has a link that loads it
again.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from fastapi import Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from relay.channels.registry import CHANNELS
from relay.config.settings import Settings
from relay.core.retry import LONGEST_DELAY
from relay.web.access import origin_is_ours
from relay.web.error_pages import ErrorPage, sentence
from relay.web.errors import LIVE_HEADER

FOLDER = Path(__file__).parent
MEDIA_TYPES = {"console.css": "text/css", "console.js": "text/javascript", "icon.svg": "image/svg+xml"}

HEADERS = {
    "Content-Security-Policy": "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    # With "no-referrer" browsers send "Origin: null" with our own forms, and they would be refused.
    "Referrer-Policy": "same-origin",
    "Cache-Control": "no-store",
}


def person_url(platform: str, user_id: str, action: str = "", **query: Any) -> str:
    """The URL of a user's page or of an action on it; the id is in the query, because it may hold any character."""
    return f"/person{action}?" + urlencode({"platform": platform, "id": user_id, **query})


def day_url(kind: str, day: str, platform: str = "", person: str = "", **query: Any) -> str:
    """The URL of the rows that a day's figure is made of: of all channels, of one, or of one of its users."""
    of_whom = {"platform": platform, "person": person} if person else {"platform": platform} if platform else {}
    return "/day?" + urlencode({"day": day, "kind": kind, **of_whom, **query})


def parts_url(state: str, platform: str = "", **query: Any) -> str:
    """The URL of the parts of a state, of all channels or of one."""
    return "/parts?" + urlencode({"state": state, **({"platform": platform} if platform else {}), **query})


def duration(seconds: float) -> str:
    """A time span in its largest unit, rounded down."""
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= size:
            return f"{int(seconds // size)} {unit}"
    return f"{int(seconds)} s"


def _between(earlier: str, later: str) -> float:
    return (datetime.fromisoformat(later) - datetime.fromisoformat(earlier)).total_seconds()


def since(moment: str, now: str) -> str:
    """The time from a moment until now as text; both in RFC 3339."""
    seconds = _between(moment, now)
    return "now" if seconds < 1 else f"{duration(seconds)} ago"


def until(moment: str, now: str) -> str:
    """The time from now until a moment as text; both in RFC 3339."""
    seconds = _between(now, moment)
    return "now" if seconds < 1 else f"in {duration(seconds)}"


def waits_for_user(moment: str, now: str) -> bool:
    """Whether a part that is due then leaves when its user writes; both in RFC 3339."""
    return _between(now, moment) > LONGEST_DELAY


def meaning(error: str, platform: str) -> str:
    """What an error of a channel's provider means for people."""
    return next((channel.reason(error) for channel in CHANNELS if channel.platform == platform), error)


def clock_time(moment: str) -> str:
    """A moment in UTC for browsers without scripts; the script shows the local time instead."""
    return datetime.fromisoformat(moment).astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC")


def money(usd: float | None) -> str:
    """US dollars as text; below $1 with three significant digits."""
    if not usd:
        return "$0"
    return f"${usd:,.2f}" if usd >= 1 else f"${usd:.3g}" if usd >= 0.0001 else "<$0.0001"


@cache
def templates() -> Environment:
    """The templates, each compiled when it is first rendered."""
    environment = Environment(
        loader=FileSystemLoader(FOLDER / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        auto_reload=False,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.tests["waiting_for_user"] = waits_for_user
    environment.filters.update(since=since, until=until, clock_time=clock_time, money=money)
    environment.filters.update(sentence=sentence, meaning=meaning)
    environment.globals.update(
        person_url=person_url,
        day_url=day_url,
        parts_url=parts_url,
        TITLES={channel.platform: channel.title for channel in CHANNELS},
        SEGMENTED=[channel.platform for channel in CHANNELS if "segments" in channel.receipt_keys],
        duration=duration,
        new_form=lambda: secrets.token_hex(16),
    )
    return environment


class Pages:
    """Renders the templates of this package with the settings of one console."""

    def __init__(self, settings: Settings) -> None:
        self.files = {name: (FOLDER / "static" / name).read_bytes() for name in MEDIA_TYPES}
        versions = {name: hashlib.sha256(content).hexdigest()[:12] for name, content in self.files.items()}
        self._values = {
            "static": lambda name: f"/static/{name}?v={versions[name]}",
            "simulated": settings.simulated,
            "simulator_url": settings.simulator_url,
            "has_login": settings.admin_token is not None,
        }

    def show(self, template: str, *, status: int = 200, **values: Any) -> Response:
        """Render a whole page."""
        return HTMLResponse(self.part(template, values), status, headers=HEADERS)

    def part(self, template: str, values: Mapping[str, Any]) -> str:
        """A page or a part of one as text."""
        return templates().get_template(template).render(self._values, **values)

    def show_live(self, request: Request, page: str, live: str, **values: Any) -> Response:
        """Render the page; for the polling script its live part alone, or 304 while that is unchanged."""
        if LIVE_HEADER not in request.headers:
            return self.show(page, **values)
        content = self.part(live, values)
        tag = f'"{hashlib.sha256(content.encode()).hexdigest()[:32]}"'
        headers = {**HEADERS, "ETag": tag}
        if request.headers.get("if-none-match") == tag:
            return Response(status_code=304, headers=headers)
        return HTMLResponse(content, headers=headers)

    def file(self, name: str) -> Response | None:
        """A static file of the pages, or None."""
        if name not in self.files:
            return None
        headers = {"Cache-Control": "max-age=31536000, immutable", "X-Content-Type-Options": "nosniff"}
        return Response(self.files[name], media_type=MEDIA_TYPES[name], headers=headers)

    def error(self, request: Request, problem: ErrorPage) -> Response:
        """The page of an error; without a login the way to it."""
        if problem.status == 403 and (way_in := self._way_in(request, problem)):
            return way_in
        return self.show("error.html", status=problem.status, problem=problem, sign_in="")

    def _way_in(self, request: Request, problem: ErrorPage) -> Response | None:
        settings: Settings = request.app.state.settings
        if not origin_is_ours(request):
            title, hint = "this form was sent from another site", "nothing was done: open the console itself"
            return self.show("error.html", status=403, problem=replace(problem, title=title, hint=hint), sign_in="")
        if settings.admin_token is None:
            if settings.public_url is None:
                return None
            return self.show("closed.html", status=403, token=secrets.token_urlsafe(32))
        if request.method != "GET":
            hint = "nothing was done. Sign in again in another tab, then go back here: the form is as you left it"
            signed_out = replace(problem, title="you are signed out", hint=hint)
            return self.show("error.html", status=403, problem=signed_out, sign_in=_login_url(problem.back or "/"))
        path = request.url.path + (f"?{request.url.query}" if request.url.query else "")
        return RedirectResponse(_login_url(path), 303, headers=HEADERS)


def _login_url(path: str) -> str:
    """The login that leads on to this path of the console."""
    return "/login?" + urlencode({"next": path})
