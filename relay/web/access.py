"""Access control: every route of every server has exactly one class (docs/PRODUCTION.md, Security).

The class is a dependency of the route or of its router: `PUBLIC`, `INTERNAL` or `ADMIN`. A test checks every route of
every server.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Awaitable, Callable, Collection

from fastapi import Depends, Request

from relay.config.hosts import is_loopback
from relay.config.settings import Settings
from relay.core.errors import StorageError
from relay.web.errors import ApiError
from relay.web.token_guard import TokenGuard, same_secret

COOKIE = "relay_console"
COOKIE_SECONDS = 12 * 3600
_LOCAL_HEADERS = frozenset(
    (
        # HTTP itself, as curl, wget, httpx, aiohttp, requests, urllib, Node and Java send it
        *("host", "connection", "content-length", "content-type", "transfer-encoding", "expect", "keep-alive", "te"),
        *("user-agent", "accept", "accept-encoding", "accept-charset", "accept-language", "authorization", "cookie"),
        *("range", "if-range", "if-match", "if-none-match", "if-modified-since", "if-unmodified-since", "referer"),
        *("upgrade", "http2-settings"),
        # browsers; "sec-" is theirs alone
        *("cache-control", "pragma", "origin", "priority", "upgrade-insecure-requests", "dnt", "purpose", "save-data"),
        *("last-event-id", "x-live"),
        # the clients of OpenAI and Twilio, Prometheus, and Twilio's and Telegram's webhooks, which the simulator sends
        *("openai-organization", "openai-project", "openai-beta", "idempotency-key", "x-twilio-client"),
        *("x-prometheus-scrape-timeout-seconds", "i-twilio-idempotency-token", "x-twilio-signature"),
        *("x-twilio-webhooks-signature-settings", "x-telegram-bot-api-secret-token"),
    )
)
_LOCAL_PREFIXES = ("sec-", "x-stainless-")
_HOST = re.compile(r"([A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])(?::\d*)?")
"""A name or an address, and a port; other programs may see another host in a@b, a/b or a#b."""
_SHOWN_HEADER = 80

UseLogin = Callable[[str], Awaitable[bool]]
"""Whether a login of the console is valid, by its stored name; its use is recorded. Raises StorageError."""


def why_not_direct(request: Request, allowed_origins: Collection[str] = ()) -> str | None:
    """A sentence on what shows that a request does not come directly from this machine; None when nothing does.

    A tunnel's requests come from loopback too, so the address alone proves nothing: the Host must be a loopback name
    (else DNS rebinding works), an Origin must be our own or allowed, and version and headers must be those of clients
    on this machine. Tunnels and proxies add headers, and no list of those would be complete.
    """
    if not is_loopback(request.client.host if request.client else None):
        return "the request comes from another machine"
    if request.scope["http_version"] == "1.0":
        return "the request is one of HTTP/1.0, which proxies send"  # nginx by default, with no header of its own
    hosts = request.headers.getlist("host")
    host = _HOST.fullmatch(hosts[0]) if len(hosts) == 1 else None
    if host is None or not is_loopback(host[1]):
        return "the request's Host is not a loopback name"
    for name in request.headers:
        if name not in _LOCAL_HEADERS and not name.startswith(_LOCAL_PREFIXES):
            return f"the request carries {name[:_SHOWN_HEADER]}, which only proxies and tunnels send"
    if origin_is_ours(request) or request.headers["origin"] in allowed_origins:
        return None
    return "the request comes from another site's page"


def origin_is_ours(request: Request) -> bool:
    """Whether the request has no Origin or that of this server."""
    origin = request.headers.get("origin")
    return origin is None or origin.lower().partition("://")[2] == request.headers.get("host", "").lower()


def bearer(request: Request) -> str:
    """The token of `Authorization: Bearer ...`; empty without one."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


def login_id(cookie: str, admin_token: str) -> str:
    """Under which name a login is stored: a hash that opens nothing, and changes with the admin token."""
    return hmac.new(admin_token.encode(), cookie.encode("utf-8", "surrogateescape"), hashlib.sha256).hexdigest()


async def _is_logged_in(request: Request, admin_token: str) -> bool:
    use_login: UseLogin | None = request.app.state.use_login
    cookie = request.cookies.get(COOKIE)
    if not cookie or use_login is None or not origin_is_ours(request):
        return False
    return await use_login(login_id(cookie, admin_token))


async def public(request: Request) -> None:
    """Admit every request. Webhook routes check a signature or secret token of their own first."""


async def internal(request: Request) -> None:
    """Admit our other servers: the internal token when one is set, else requests from this machine."""
    settings: Settings = request.app.state.settings
    if settings.internal_token is not None:
        if not same_secret(bearer(request), settings.internal_token.get_secret_value()):
            raise ApiError(401, "this route requires the internal token", "send Authorization: Bearer INTERNAL_TOKEN")
    elif reason := why_not_direct(request, request.app.state.allowed_origins):
        raise ApiError(
            403,
            "this route answers only to programs on this machine",
            f"{reason}: call http://127.0.0.1 directly, or set internal_token and send it as a bearer token",
        )


async def admin(request: Request) -> None:
    """Admit the operator: the admin token or cookie when a token is set, else this machine while public_url is not."""
    settings: Settings = request.app.state.settings
    if settings.admin_token is not None:
        if await _is_logged_in(request, settings.admin_token.get_secret_value()):
            return
        if _has_admin_token(request, bearer(request)):
            return
        raise ApiError(403, "this route requires the admin token", "send Authorization: Bearer ADMIN_TOKEN")
    if settings.public_url is not None:
        raise ApiError(
            403,
            "admin routes are closed while public_url is set and admin_token is not",
            "set admin_token, then send it as a bearer token",
        )
    if reason := why_not_direct(request):
        raise ApiError(
            403,
            "admin routes answer only to this machine",
            f"{reason}: call http://localhost directly, or set admin_token and send it as a bearer token",
        )


def _has_admin_token(request: Request, given: str) -> bool:
    """Whether this is the admin token. Failures are counted, except those of requests from this machine."""
    guard: TokenGuard = request.app.state.token_guard
    if not given or why_not_direct(request) is None:
        return guard.matches(given)
    if wait := guard.locked_for():
        seconds = str(int(wait) + 1)
        raise ApiError(
            429, "too many wrong admin tokens", f"try again in {seconds} s", headers={"Retry-After": seconds}
        )
    return guard.check(given)


async def is_trusted(request: Request) -> bool:
    """Whether the request would be admitted as internal or admin, for public routes that show strangers less."""
    for guard in (internal, admin):
        try:
            await guard(request)
        except (ApiError, StorageError):  # a login cannot be checked while the database is away
            continue
        return True
    return False


PUBLIC, INTERNAL, ADMIN = Depends(public), Depends(internal), Depends(admin)
