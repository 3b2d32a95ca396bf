"""The door of the console: wrong tokens are counted, and whoever tries too many waits. Cookies are relay.web's."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from urllib.parse import urlsplit

from fastapi import Request
from fastapi.responses import Response

from relay.web import COOKIE, COOKIE_SECONDS, new_cookie, same_secret

MOST_MISTAKES = 5
WINDOW_SECONDS = 30.0


class Door:
    """Compares tokens. After five wrong ones within half a minute nobody's token is looked at until it has passed.

    It counts for all together: behind a proxy everybody has the same address, and an address costs an attacker nothing.
    """

    def __init__(self, admin_token: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._token = admin_token
        self._clock = clock
        self._mistakes: deque[float] = deque(maxlen=MOST_MISTAKES)

    def closed_for(self) -> float:
        """Seconds until the next token is looked at; 0 when one may be tried now."""
        if len(self._mistakes) < MOST_MISTAKES:
            return 0.0
        return max(0.0, self._mistakes[0] + WINDOW_SECONDS - self._clock())

    def opens(self, token: str) -> bool:
        """Whether this is the token. Only to be asked while `closed_for` is 0."""
        if same_secret(token, self._token):
            self._mistakes.clear()
            return True
        self._mistakes.append(self._clock())
        return False


def let_in(request: Request, response: Response, admin_token: str) -> None:
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


def let_out(response: Response) -> None:
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
