"""Errors as pages: browsers get a page where programs get the JSON of errors.py.

A server that has a layout of its own renders them in it (the console), the others as plain pages.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from html import escape
from urllib.parse import urlsplit

from fastapi import Request
from fastapi.responses import Response

from relay.config.logs import REQUEST_ID
from relay.config.settings import Settings
from relay.web.access import why_not_direct
from relay.web.errors import MAX_SHOWN_PATH, ensure_request_id
from relay.web.plain_page import plain_page

log = logging.getLogger("relay.web.app")

SERVER_ERROR = 500


@dataclass(frozen=True, slots=True)
class ErrorPage:
    """What the page of an error shows. request_id: by which its line is found in the log; empty when it has none.

    back: the path of the page of this server from which the request came; empty when that is not known.
    """

    status: int
    title: str
    hint: str
    request_id: str
    back: str


RenderError = Callable[[Request, ErrorPage], Response]


def show_error(render: RenderError, request: Request, status: int, title: str, hint: str) -> Response:
    """The page of an error. One that is not in the log yet is logged, if it was met on this machine.

    Strangers could fill the log with requests for pages that do not exist.
    """
    if status < SERVER_ERROR and why_not_direct(request) is None:
        ensure_request_id()
        log.info("%s %s: %d, %s", request.method, request.url.path[:MAX_SHOWN_PATH], status, title)
    return render(request, ErrorPage(status, title, hint, REQUEST_ID.get(), _came_from(request)))


def _came_from(request: Request) -> str:
    """The path of the page of this server whose link or form made the request."""
    try:
        page = urlsplit(request.headers.get("referer", ""))
    except ValueError:
        return ""
    if page.netloc != request.headers.get("host") or not page.path.startswith("/") or page.path.startswith("//"):
        return ""
    return page.path + (f"?{page.query}" if page.query else "")


def plain_error_page(request: Request, problem: ErrorPage) -> Response:
    """The page of a server without a layout of its own; on this machine it leads to the console too."""
    lines = [escape(sentence(problem.hint)), " · ".join(_ways(request, problem))]
    if problem.request_id:
        lines.append(f"<small>In the log of this server it is <code>{escape(problem.request_id)}</code>.</small>")
    content = "".join(f"<p>{line}</p>" for line in lines if line)
    return plain_page(sentence(problem.title, end=""), request.app.title, content, problem.status)


def _ways(request: Request, problem: ErrorPage) -> list[str]:
    settings: Settings = request.app.state.settings
    ways = {problem.back: "Back to where you were"} if problem.back else {}
    if why_not_direct(request) is None:
        console = settings.console_url
        if problem.status in {401, 403} and settings.admin_token is not None:
            ways[f"{console}/login"] = "Sign in at the console, then load this page again"
        ways[f"{console}/"] = "The console"
    ways["/docs"] = "The routes of this server"
    return [f'<a href="{escape(path)}">{text}</a>' for path, text in ways.items()]


def sentence(words: str, end: str = ".") -> str:
    """Words of an error, which begin in lower case for JSON, as a sentence."""
    return words and f"{words[:1].upper()}{words[1:].removesuffix('.')}{end}"
