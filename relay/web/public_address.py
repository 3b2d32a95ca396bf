"""Whether public_url leads to a server on this machine: one request goes out to it, and must come in again here.

While the server does not run, a listener on its port answers in its place; otherwise the server's own answers are
compared.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import httpx

from relay.config.checks import Finding, Severity
from relay.config.hosts import is_loopback
from relay.config.settings import Settings
from relay.core.http_client import error_text, open_http_client

WHAT = "public_url"
_TIMEOUT = httpx.Timeout(10.0, connect=5.0)
_MAX_HEAD = 16_000


async def check_public_url(
    settings: Settings, *, port: int, webhook: str, provider: str, provider_url: str, listen: bool = True
) -> Finding:
    """The finding about public_url for the server on `port`; `webhook` is the path of its provider's requests.

    /health is tried first; a proxy that passes on nothing but webhooks is reached by an unsigned POST to `webhook`.
    Without `listen` nothing answers for a server that does not run, and the finding is a note.
    """
    url = settings.public_url
    if url is None and settings.tunnel != "off":
        return Finding(Severity.FINE, WHAT, "comes from the tunnel, which the start opens")
    if url is None:
        text = f"is not set, so {provider} cannot reach this machine: start with --tunnel, or set the address of yours"
        return Finding(Severity.PROBLEM, WHAT, text)
    if _is_local(url) and not _is_local(provider_url):
        text = f"{url} is an address of this machine or network, which {provider} cannot reach"
        return Finding(Severity.PROBLEM, WHAT, text)
    here = settings.server_url(port)
    answering = _answering(settings.bind_host, port) if listen else contextlib.nullcontext()
    async with open_http_client(timeout=_TIMEOUT) as http, answering:
        if not listen and not await _answers(http, here):
            return Finding(Severity.NOTE, WHAT, f"the server at {here} does not run")
        return await _compare(http, url, here, webhook)


async def _answers(http: httpx.AsyncClient, here: str) -> bool:
    with contextlib.suppress(httpx.HTTPError, OSError):
        return (await http.get(f"{here}/health")).is_success
    return False


async def _compare(http: httpx.AsyncClient, url: str, here: str, webhook: str) -> Finding:
    statuses = []
    for method, path in (("GET", "/health"), ("POST", webhook)):
        try:
            outside = await http.request(method, url + path, follow_redirects=False)
        except (httpx.HTTPError, OSError) as error:
            text = f"{url} cannot be reached: {error_text(error)}. Is the tunnel or proxy running, and the name right?"
            return Finding(Severity.PROBLEM, WHAT, text)
        with contextlib.suppress(httpx.HTTPError, OSError):
            inside = await http.request(method, here + path)
            if (outside.status_code, outside.content) == (inside.status_code, inside.content):
                return Finding(Severity.FINE, WHAT, f"{url} leads to {here}")
        statuses.append(f"{outside.status_code} to {method} {path}")
    text = f"{url} does not lead to this machine's port {urlsplit(here).port}: it answers {', '.join(statuses)}"
    return Finding(Severity.PROBLEM, WHAT, f"{text}. Point the tunnel or proxy to {here}")


def _is_local(url: str) -> bool:
    """Whether the host of a URL is on this machine or in a private network; names are not looked up."""
    host = urlsplit(url).hostname
    with contextlib.suppress(ValueError):
        return ipaddress.ip_address(host or "").is_private
    return is_loopback(host)


@asynccontextmanager
async def _answering(host: str, port: int) -> AsyncIterator[None]:
    """Answer every request on the port with one random text, unless another process listens there already."""
    body = secrets.token_hex(16)
    response = f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n{body}".encode()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, EOFError, asyncio.LimitOverrunError):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(response)
            await writer.drain()
        writer.close()

    try:
        server = await asyncio.start_server(answer, host, port, limit=_MAX_HEAD)
    except OSError:  # in use: by our own server, or the check of the ports has named the other program
        yield
        return
    async with server:
        yield
