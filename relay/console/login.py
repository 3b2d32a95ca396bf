"""Logins of the console: created and ended in the database, known to the browser by a cookie; redirects after them."""

from __future__ import annotations

import secrets
from urllib.parse import urlsplit

from fastapi import Request
from fastapi.responses import Response

from relay.storage.operators_database import OperatorsDatabase
from relay.web.access import COOKIE, COOKIE_SECONDS, login_id

MAX_PATH_LENGTH = 2000


async def log_in(request: Request, response: Response, database: OperatorsDatabase, admin_token: str) -> None:
    """Create a login, committed, in place of the browser's earlier one, and set its cookie.

    The cookie is Secure when the browser uses https, also in front of a proxy.
    """
    await _end(request, database, admin_token)
    cookie = secrets.token_urlsafe(32)
    await database.create_login(login_id(cookie, admin_token), COOKIE_SECONDS)
    secure = request.url.scheme == "https" or request.headers.get("origin", "").startswith("https://")
    response.set_cookie(COOKIE, cookie, max_age=COOKIE_SECONDS, httponly=True, samesite="strict", secure=secure)


async def log_out(request: Request, response: Response, database: OperatorsDatabase, admin_token: str) -> None:
    """End the browser's login, committed: its cookie and every copy of it open no server any more."""
    await _end(request, database, admin_token)
    response.delete_cookie(COOKIE, httponly=True, samesite="strict")


async def _end(request: Request, database: OperatorsDatabase, admin_token: str) -> None:
    if cookie := request.cookies.get(COOKIE):
        await database.end_login(login_id(cookie, admin_token))


def operator_of(request: Request, admin_token: str | None) -> str:
    """Who acts, for the audit log: the beginning of the login's stored name, the token itself, or this machine."""
    if admin_token is None:
        return "this machine"
    cookie = request.cookies.get(COOKIE)
    return f"login {login_id(cookie, admin_token)[:8]}" if cookie else "admin token"


def own_path(path: str) -> str:
    """`path` when it is a path of this console, else "/": the target of the redirect after a login."""
    try:
        parts = urlsplit(path)
    except ValueError:
        return "/"
    # Browsers read a backslash as a slash and leave out tabs and line breaks, so "/\t/evil.example" is another host.
    plain = (
        len(path) <= MAX_PATH_LENGTH
        and path.isprintable()
        and "\\" not in path
        and path.startswith("/")
        and not path.startswith("//")
    )
    return path if plain and not parts.scheme and not parts.netloc else "/"
