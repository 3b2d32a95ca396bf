"""The HTTP client of a process, requests to providers, and whether a failed request may have reached the server."""

from __future__ import annotations

import asyncio
import json
import math
import ssl
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from email.utils import parsedate_to_datetime
from functools import cache, lru_cache
from typing import Any

import aiohttp
import httpx
from httpx_aiohttp import AiohttpTransport

from relay.core.errors import ModelError, OutcomeUnknown, SendError, SendFailure

_DEFAULT = httpx.USE_CLIENT_DEFAULT
_url = lru_cache(maxsize=256)(httpx.URL)  # parsing one takes as long as writing it to the socket
_MAX_RETRY_AFTER = 86_400.0
_CONNECT_SECONDS = 5.0
_TIMEOUT = httpx.Timeout(20.0, connect=_CONNECT_SECONDS)
MAX_ERROR_CHARS = 400
_MAX_REDACTED_CHARS = 20_000  # of a message of megabytes only the beginning is shown
# Raised while a connection was still being made, so no byte of the request was written.
_BEFORE_THE_REQUEST = (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError, aiohttp.ClientProxyConnectionError)
_NEVER_CONNECTED = (
    httpx.ConnectError,
    httpx.ConnectTimeout,
    httpx.PoolTimeout,
    httpx.ProxyError,  # the proxy refused, before it passed anything on
    httpx.UnsupportedProtocol,
)


def open_transport(max_connections: int) -> httpx.AsyncBaseTransport:
    """The transport below every client, for the LLM gateway's hot path (no cookies, no redirects)."""
    limits = httpx.Limits(max_connections=max_connections, max_keepalive_connections=max_connections)
    return AiohttpTransport(verify=_tls(), limits=limits, trust_env=False)


@cache
def _tls() -> ssl.SSLContext:
    """The TLS context of every client: loading the certificates takes longer than the rest of opening one."""
    return httpx.create_ssl_context(trust_env=False)


def open_http_client(
    *, timeout: httpx.Timeout | None = None, max_connections: int = 100, proxied: Mapping[str, str] | None = None
) -> httpx.AsyncClient:
    """A client to be shared by all of a process and closed at its end; proxies of the environment are not used.

    proxied: base URLs, each with the URL of the proxy (http, https, socks5, socks5h) for requests to its host.
    """
    transport = open_transport(max_connections)
    if proxied:
        through = {_netloc(url): _proxied_transport(proxy, max_connections) for url, proxy in proxied.items()}
        transport = _ByHost(transport, through)
    return _DirectClient(transport, timeout or _TIMEOUT)


class _DirectClient(httpx.AsyncClient):
    """Sends requests as they are: without cookies and hooks, which cost as much as all else that httpx does to them."""

    def __init__(self, transport: httpx.AsyncBaseTransport, timeout: httpx.Timeout) -> None:
        super().__init__(transport=transport, timeout=timeout, trust_env=False)
        self._direct = transport

    async def send(self, request: httpx.Request, *, stream: bool = False, **options: Any) -> httpx.Response:
        """As that of httpx, which sends requests with an authentication or with redirects to follow."""
        if options.get("follow_redirects") is True or options.get("auth", _DEFAULT) is not _DEFAULT:
            return await super().send(request, stream=stream, **options)
        request.extensions.setdefault("timeout", self.timeout.as_dict())
        response = await self._direct.handle_async_request(request)
        if not stream:
            try:
                await response.aread()
            except BaseException:
                await response.aclose()
                raise
        return response


class _ByHost(httpx.AsyncBaseTransport):
    """Passes requests to some hosts on through their proxies, and all others directly."""

    def __init__(self, direct: httpx.AsyncBaseTransport, through: Mapping[str, httpx.AsyncBaseTransport]) -> None:
        self._direct = direct
        self._through = through

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        transport = self._through.get(request.url.netloc.decode("ascii"), self._direct)
        return await transport.handle_async_request(request)

    async def aclose(self) -> None:
        for transport in (self._direct, *self._through.values()):
            await transport.aclose()


def _netloc(base_url: str) -> str:
    return httpx.URL(base_url).netloc.decode("ascii")


def _proxied_transport(proxy: str, max_connections: int) -> httpx.AsyncBaseTransport:
    """Httpx's own transport: that of aiohttp has no SOCKS."""
    limits = httpx.Limits(max_connections=max_connections, max_keepalive_connections=max_connections)
    return httpx.AsyncHTTPTransport(verify=_tls(), limits=limits, trust_env=False, proxy=proxy)


async def request_once(
    http: httpx.AsyncClient,
    provider: str,
    method: str,
    url: str,
    *,
    seconds: float,
    headers: Mapping[str, str] | None = None,
    auth: tuple[str, str] | None = None,
    **content: Any,
) -> httpx.Response:
    """Make one request to a provider, never repeated and not redirected; `content` are options of httpx.Request.

    auth: name and password. Raises SendError (OUTAGE) when it was certainly not sent, and OutcomeUnknown when there was
    no response within `seconds` or the connection was cut.
    """
    authorization = {"Authorization": aiohttp.encode_basic_auth(*auth)} if auth else {}
    timeout = {"read": seconds, "write": seconds, "connect": _CONNECT_SECONDS, "pool": _CONNECT_SECONDS}
    try:
        request = httpx.Request(
            method,
            _url(url),
            headers={"Accept-Encoding": "gzip, deflate", **(headers or {}), **authorization},
            extensions={"timeout": timeout},
            **content,
        )
        async with asyncio.timeout(seconds):
            return await http.send(request)
    except (httpx.HTTPError, httpx.StreamError, aiohttp.ClientError, OSError) as error:
        if never_left(error):
            unreachable = f"{provider} cannot be reached: {error_text(error)}"
            raise SendError(SendFailure.OUTAGE, "unreachable", unreachable) from error
        if isinstance(error, TimeoutError | httpx.ReadTimeout):
            raise OutcomeUnknown("timeout", f"{provider} did not answer within {seconds:g} s") from error
        raise OutcomeUnknown("cut off", f"{provider} did not answer: {error_text(error)}") from error


@contextmanager
def redacted_errors(redact: Callable[[str], str]) -> Iterator[None]:
    """Redact the message of a SendError that is raised."""
    try:
        yield
    except SendError as error:
        redact_error(error, redact)
        raise


def redact_error(error: SendError | ModelError, redact: Callable[[str], str]) -> None:
    """Redact the message of an error, then cut it: half a secret could not be recognized."""
    error.message = redact(error.message[:_MAX_REDACTED_CHARS])[:MAX_ERROR_CHARS]
    error.args = (error.message,)


def json_object(body: bytes) -> dict[str, Any] | None:
    """The JSON object in a body, whatever its encoding; None when it holds none."""
    try:
        value = json.loads(body.decode("utf-8", "replace"))
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def never_left(error: Exception) -> bool:
    """Whether the request was certainly not sent, so that repeating it cannot do anything twice.

    The transport reports a connection that was cut after the request as ConnectTimeout, so its own name for an error
    is not to be trusted here: what aiohttp raised decides. Without a cause from aiohttp, httpx's word is taken.
    Errors of aiohttp that the transport does not translate may be given as they are.
    """
    origin = error if isinstance(error, aiohttp.ClientError) else error.__cause__
    if isinstance(origin, aiohttp.ClientError):
        return isinstance(origin, _BEFORE_THE_REQUEST)
    return isinstance(error, _NEVER_CONNECTED)


def retry_after_seconds(value: object) -> float | None:
    """Seconds to wait, from 0 to one day: a number, a number as text, or an HTTP or ISO 8601 date; else None."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        seconds = float(value)
    except (ValueError, OverflowError):
        seconds = _seconds_until(str(value))
    return min(max(seconds, 0.0), _MAX_RETRY_AFTER) if math.isfinite(seconds) else None


def _seconds_until(date: str) -> float:
    for parse in (parsedate_to_datetime, datetime.fromisoformat):
        try:
            return parse(date).timestamp() - time.time()
        except (TypeError, ValueError, OverflowError):
            continue
    return math.nan


def error_text(error: BaseException) -> str:
    """A short text for an error: aiohttp's own repeats addresses and inner lists."""
    cause = error.__cause__ if isinstance(error.__cause__, aiohttp.ClientError) else error
    if isinstance(cause, aiohttp.ClientConnectorDNSError):
        return "there is no such host"
    if isinstance(cause, (aiohttp.ClientPayloadError, aiohttp.ServerDisconnectedError)):
        return "the connection was cut"
    if isinstance(cause, aiohttp.ClientResponseError):  # its text repeats what came, and the whole address
        return "what it sends is not HTTP"
    inner = cause.os_error if isinstance(cause, aiohttp.ClientConnectorError) else cause
    if isinstance(inner, ConnectionRefusedError):
        return "nothing listens there"
    if isinstance(inner, (TimeoutError, aiohttp.ConnectionTimeoutError, httpx.TimeoutException)) and not str(inner):
        return "no answer in time"
    return " ".join(str(inner).split()) or type(inner).__name__
