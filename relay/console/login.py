"""Logs a browser in and out. Tokens are compared in relay.web.token_guard, cookies made in relay.web.access."""

from __future__ import annotations

from urllib.parse import urlsplit

from fastapi import Request
from fastapi.responses import Response

from relay.web.access import COOKIE, COOKIE_SECONDS, new_cookie


def set_login_cookie(request: Request, response: Response, admin_token: str) -> None:
    """Give the browser its cookie; Secure when the browser itself came by https, whatever proxy stands between."""
    secure = request.url.scheme == "https" or request.headers.get("origin", "").startswith("https://")
    response.set_cookie(
        COOKIE,
        new_cookie(admin_token),
        max_age=COOKIE_SECONDS,
        httponly=True,
        samesite="strict",
        secure=secure,
    )


def clear_login_cookie(response: Response) -> None:
    response.delete_cookie(COOKIE, httponly=True, samesite="strict")


def own_path(path: str) -> str:
    """Where to go after the login: a path of this console, or its first page instead of anything else."""
    try:
        parts = urlsplit(path)
    except ValueError:
        return "/"
    # Browsers read a backslash as a slash and leave out tabs and line breaks, so "/\t/evil.example" is another house.
    plain = path.isprintable() and "\\" not in path and path.startswith("/") and not path.startswith("//")
    return path if plain and not parts.scheme and not parts.netloc else "/"
