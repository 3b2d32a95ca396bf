"""Telegram behind a proxy, where it is blocked: an HTTP proxy and a SOCKS one, on loopback."""

from __future__ import annotations

import asyncio
import gc
import json
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest

from relay.channels.telegram.bot_api import bot_calls
from relay.channels.telegram.checks import check
from relay.channels.telegram.connecting import addresses
from relay.config.checks import Severity
from relay.core.errors import OutcomeUnknown, SendError
from relay.core.http_client import open_http_client
from tests.channels.telegram.scripted_bot_api import ME, TOKEN
from tests.settings import Settings

BASE = "http://blocked.invalid:8081"
"""No such host: what arrives came through the proxy."""

ANSWER = json.dumps({"ok": True, "result": ME}).encode()


class Proxy:
    """Answers every request itself, in Telegram's place. refuses: as a proxy that lets nothing pass."""

    def __init__(self, kind: str, *, refuses: bool = False) -> None:
        self._kind = kind
        self._refuses = refuses
        self.targets: list[str] = []
        self.tasks: list[asyncio.Task[None] | None] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.tasks.append(asyncio.current_task())
        if self._kind == "http" or await self._greet(reader, writer):
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            if self._kind == "http":
                self.targets.append(head.split()[1])
            status = "407 Proxy Authentication Required" if self._refuses else "200 OK"
            answer = f"HTTP/1.1 {status}\r\nContent-Length: {len(ANSWER)}\r\n\r\n".encode() + ANSWER
            writer.write(answer)
            while b"HTTP/1.1" in await reader.read(10_000):  # of a further request on this connection
                writer.write(answer)
        writer.close()
        await writer.wait_closed()

    async def _greet(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """The handshake of RFC 1928, without authentication."""
        _, count = await reader.readexactly(2)
        await reader.readexactly(count)
        writer.write(b"\x05\x00")
        await reader.readexactly(4)
        host = await reader.readexactly((await reader.readexactly(1))[0])
        (port,) = struct.unpack(">H", await reader.readexactly(2))
        self.targets.append(f"{host.decode()}:{port}")
        writer.write(bytes([5, 2 if self._refuses else 0, 0, 1, 0, 0, 0, 0, 0, 0]))
        return not self._refuses


@asynccontextmanager
async def proxied(proxy: Proxy, scheme: str) -> AsyncIterator[tuple[Settings, httpx.AsyncClient]]:
    server = await asyncio.start_server(proxy.serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    url = f"{scheme}://127.0.0.1:{port}"
    settings = Settings(telegram_bot_token=TOKEN, telegram_api_base_url=BASE, telegram_proxy=url)
    async with server, open_http_client(proxied=settings.proxied) as client:
        yield settings, client
    await asyncio.gather(*(task for task in proxy.tasks if task))


@pytest.mark.parametrize(
    ("scheme", "target"),
    [
        ("http", f"{BASE}/bot{TOKEN}/getMe"),
        ("socks5", "blocked.invalid:8081"),
        ("socks5h", "blocked.invalid:8081"),
    ],
)
async def test_calls_go_through_the_proxy(scheme: str, target: str) -> None:
    """The name is resolved there, because where Telegram is blocked it often has none."""
    proxy = Proxy(scheme[:6] if scheme.startswith("socks") else scheme)
    async with proxied(proxy, scheme) as (settings, client):
        assert await bot_calls(settings, client).call("getMe", {}) == ME
    assert proxy.targets == [target]


@pytest.mark.filterwarnings("ignore::ResourceWarning")  # httpcore leaves a refused connection to the collector
@pytest.mark.parametrize("scheme", ["http", "socks5"])
async def test_a_proxy_that_refuses_sent_nothing(scheme: str) -> None:
    """So the call may be repeated; only a SOCKS proxy can be told from Telegram, and only it says so for certain."""
    async with proxied(Proxy(scheme, refuses=True), scheme) as (settings, client):
        with pytest.raises(SendError) as error:
            await bot_calls(settings, client).call("sendMessage", {"chat_id": 1, "text": "x"})
        assert not isinstance(error.value, OutcomeUnknown)
    del error
    gc.collect()


async def test_the_doctor_asks_through_the_proxy() -> None:
    """Else it would report a bot that works as one that cannot be reached."""
    proxy = Proxy("socks")
    async with proxied(proxy, "socks5") as (settings, _):
        [bot] = await check(settings)
    assert (bot.severity, bot.text) == (Severity.FINE, f"@{ME['username']} ({ME['first_name']})")
    assert set(proxy.targets) == {"blocked.invalid:8081"}


async def test_the_tunnel_asks_through_the_proxy() -> None:
    """Else the webhook could be neither read nor put back."""
    proxy = Proxy("http")
    async with proxied(proxy, "http") as (settings, _):
        assert await addresses(settings) == {"url": ""}
    assert len(proxy.targets) == 1


async def test_other_hosts_are_reached_directly() -> None:
    """The LLM server is on this machine."""
    proxy, peer = Proxy("http"), Proxy("http")
    direct = await asyncio.start_server(peer.serve, "127.0.0.1", 0)
    port = direct.sockets[0].getsockname()[1]
    async with direct, proxied(proxy, "http") as (_, client):
        assert (await client.get(f"http://127.0.0.1:{port}/")).json()["result"] == ME
    await asyncio.gather(*(task for task in peer.tasks if task))
    assert proxy.targets == []


@pytest.mark.parametrize("url", ["127.0.0.1:1080", "ftp://a:1", "socks5://a", "socks4://a:1080", "http://a:3128/path"])
def test_what_is_no_proxy_is_refused_at_the_start(url: str) -> None:
    """With an example of what is one."""
    with pytest.raises(ValueError, match="socks5://127"):
        Settings(telegram_bot_token=TOKEN, telegram_proxy=url)


def test_the_password_of_a_proxy_is_a_secret() -> None:
    """As it is written in the address, and decoded."""
    settings = Settings(telegram_bot_token=TOKEN, telegram_proxy="socks5://ann:hunter2%21@127.0.0.1:1080")
    assert {"hunter2%21", "hunter2!"} <= set(settings.secrets())
