"""Login cookies of the console and the redirect after a login."""

from __future__ import annotations

from urllib.parse import urlsplit

from fastapi import Request
from fastapi.responses import Response

from relay.web.access import COOKIE, COOKIE_SECONDS, new_cookie


def set_login_cookie(request: Request, response: Response, admin_token: str) -> None:
    """Set the login cookie; Secure when the browser uses https, also in front of a proxy."""
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
    """`path` when it is a path of this console, else "/": the target of the redirect after a login."""
    try:
        parts = urlsplit(path)
    except ValueError:
        return "/"
    # Browsers read a backslash as a slash and leave out tabs and line breaks, so "/\t/evil.example" is another host.
    plain = path.isprintable() and "\\" not in path and path.startswith("/") and not path.startswith("//")
    return path if plain and not parts.scheme and not parts.netloc else "/"
