"""The tunnel, a program that the launcher runs like a server: an address on the internet, and webhooks that lead to it.

It starts cloudflared or ngrok for each server whose provider pushes, has the launcher give the servers their addresses,
sets the webhooks, and watches whether requests from outside arrive. When it stops, by a signal or because the launcher
is gone, it puts the webhooks back. When its tunnel has ended it stops as well: the launcher starts it again, and the
new address takes the place of the old one everywhere.
"""

from __future__ import annotations

import relay.core.bootstrap  # isort: skip  # noqa: F401 (prints what to install when something is missing)

import asyncio
import contextlib
import logging
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

from fastapi import FastAPI

from relay.channels.registry import AllSettings
from relay.channels.spec import ChannelSpec, Push
from relay.config.checks import Finding, Severity
from relay.config.errors import SettingsError
from relay.config.settings import Settings
from relay.core.errors import SendError
from relay.core.retry import Backoff
from relay.launcher.control import NoLauncherError, request_reload
from relay.launcher.plan import CHANNEL_SERVERS, LOOPBACK, own_addresses, pushed_channels
from relay.launcher.tunnel_file import Noted, TunnelFile, end_leftover, put_back
from relay.launcher.tunnel_programs import OpenTunnel, TunnelError, installed, missing, open_tunnel
from relay.web.app import add_common_routes, build_app
from relay.web.public_address import check_public_url
from relay.web.serve import run_server

log = logging.getLogger("relay.launcher.tunnel")

ADDRESS_SECONDS = 25.0
"""How long a program may take to name its address; the launcher starts the servers without one after 30."""
WATCH_SECONDS = 60.0
MAX_UNREACHABLE = 5
"""So many checks in a row without an answer from outside, and the tunnel is opened anew."""
MANY_ATTEMPTS = 5
"""After so many in vain the reason goes to the log; the first ones are usual while everything starts."""
RETRY = Backoff(1.0, 15.0)
_SHARE_OF_STOP = 0.6


class Tunnel:
    """The addresses of the servers and what the providers were told. `failed` ends the program."""

    def __init__(
        self,
        settings: Settings,
        folder: Path,
        failed: Callable[[], None],
        reload: Callable[[Path], dict[str, Any]] = request_reload,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._settings = settings
        self._folder = folder
        self._file = TunnelFile(folder)
        self._failed = failed
        self._reload = reload
        self._sleep = sleep
        self._channels = pushed_channels(settings, CHANNEL_SERVERS.keys() - _unconfigured(settings))
        self._noted: dict[str, Noted] = {}
        self._open: list[OpenTunnel] = []
        self._tasks: list[asyncio.Task[None]] = []
        self._opening: asyncio.Task[None] | None = None
        self._left: dict[str, Noted] = {}
        self.reasons: dict[str, str] = {channel.platform: "the webhook is not set yet" for channel in self._channels}
        """Why a channel is not reached, by platform."""

    async def start(self) -> None:
        """Open the tunnels and have the launcher give the servers their addresses; at a failure, stop and end."""
        self._opening = asyncio.create_task(self._start())
        try:
            await self._opening
        except (TunnelError, SettingsError, OSError, asyncio.CancelledError) as error:
            log.warning("%s", str(error) or "stopped before there was an address")
            await self.stop()
            self._failed()

    def cancel_start(self) -> None:
        """Give up `start`, when it has not returned yet."""
        if self._opening is not None:
            self._opening.cancel()

    async def _start(self) -> None:
        self._left = self._file.read()
        for noted in self._left.values():
            end_leftover(noted)
        if self._settings.tunnel == "own":
            self._noted = {name: Noted(url) for name, url in own_addresses(self._settings, self._channels).items()}
        for channel in self._channels:
            if self._settings.tunnel != "own":
                self._noted[channel.platform] = await self._opened(channel)
            # A server may set its webhook itself, as soon as it has the address.
            await self._note_before(channel)
        self._file.write(self._noted)
        await self._give_addresses()
        self._tasks += [asyncio.create_task(self._serve(channel)) for channel in self._channels]
        self._tasks += [asyncio.create_task(self._end_with(tunnel)) for tunnel in self._open]

    async def _opened(self, channel: ChannelSpec) -> Noted:
        settings = self._settings
        program = installed(settings.tunnel, settings.public_url)
        if program is None:
            raise TunnelError(missing(settings.tunnel))
        tunnel = await open_tunnel(program, channel.url(settings), settings.public_url, log.error, ADDRESS_SECONDS)
        self._open.append(tunnel)
        log.info("%s gave %s the address %s", program.name, channel.title, tunnel.address)
        return Noted(tunnel.address, None, tunnel.pid, tunnel.started)

    async def _give_addresses(self) -> None:
        try:
            done = await asyncio.to_thread(self._reload, self._folder)
        except NoLauncherError:
            addresses = ", ".join(noted.address for noted in self._noted.values())
            log.warning("no launcher can be reached: start the servers with PUBLIC_URL=%s", addresses)
            return
        if "error" in done:
            log.error("the servers do not get their address: %s", done["error"])

    async def _end_with(self, tunnel: OpenTunnel) -> None:
        log.error("%s", await tunnel.ended())
        self._failed()

    # -- webhooks ------------------------------------------------------------------------------------------------------

    async def _serve(self, channel: ChannelSpec) -> None:
        """Set the webhook once the address leads here, however long that takes, then watch the address."""
        await self._until(channel, self._unreachable)
        await self._until(channel, self._unset)
        self.reasons.pop(channel.platform)
        failures = 0
        while failures < MAX_UNREACHABLE:
            await self._sleep(WATCH_SECONDS)
            found = await self._arrival(channel)
            failures = failures + 1 if found.severity is Severity.PROBLEM else 0
            if failures:
                log.warning("%s: %s", found.what, found.text)
        log.error("nothing from outside arrived in %d checks, the tunnel is opened anew", MAX_UNREACHABLE)
        self._failed()

    async def _until(self, channel: ChannelSpec, attempt: Callable[[ChannelSpec], Awaitable[str | None]]) -> None:
        """Repeat an attempt until it returns no reason why it failed."""
        failures = 0
        while reason := await attempt(channel):
            failures += 1
            self.reasons[channel.platform] = reason
            log.log(logging.WARNING if failures == MANY_ATTEMPTS else logging.DEBUG, "%s: %s", channel.title, reason)
            await self._sleep(RETRY.delay(failures))

    async def _unreachable(self, channel: ChannelSpec) -> str | None:
        found = await self._arrival(channel)
        return None if found.severity is Severity.FINE else f"{found.what}: {found.text}"

    async def _unset(self, channel: ChannelSpec) -> str | None:
        """Note what the webhooks are, then set them; why that failed, or None."""
        return await self._note_before(channel) or await _why_failed(self._connect(channel))

    async def _note_before(self, channel: ChannelSpec) -> str | None:
        return None if self._noted[channel.platform].before is not None else await _why_failed(self._read(channel))

    async def _read(self, channel: ChannelSpec) -> None:
        """Note what the webhooks are, once those that a killed tunnel left are as they were before it."""
        name = channel.platform
        if (left := self._left.get(name)) is not None:
            _report(await put_back(self._settings, name, left))
        before = await _module(channel).addresses(self._with_address(channel))
        self._noted[name] = replace(self._noted[name], before=before)
        # Noted before anything is set: whatever is killed from here on, the next start can put it back.
        self._file.write(self._noted)

    async def _connect(self, channel: ChannelSpec) -> None:
        _report(await _module(channel).connect(self._with_address(channel)))

    def _with_address(self, channel: ChannelSpec) -> Settings:
        return self._settings.model_copy(update={"public_url": self._noted[channel.platform].address})

    async def _arrival(self, channel: ChannelSpec) -> Finding:
        """Whether a request from outside arrives; a note while the server does not run."""
        push = _push(channel)
        return await check_public_url(
            self._with_address(channel),
            port=channel.port(self._settings),
            webhook=push.path,
            provider=push.provider,
            provider_url=push.base_url(self._settings),
            listen=False,
        )

    # -- the end -------------------------------------------------------------------------------------------------------

    async def stop(self) -> None:
        """Put the webhooks back and end the tunnels."""
        for task in self._tasks:
            task.cancel()
        left = {}
        for platform, noted in self._noted.items():
            try:
                async with asyncio.timeout(self._settings.stop_seconds * _SHARE_OF_STOP / len(self._noted)):
                    _report(await put_back(self._settings, platform, noted))
            except (SendError, TimeoutError) as error:
                log.warning("the webhooks of %s are not put back yet, the next start will do it: %s", platform, error)
                left[platform] = replace(noted, pid=None, started=None)
        self._file.write(left)
        await asyncio.gather(*(tunnel.close() for tunnel in self._open))


async def _why_failed(request: Awaitable[None]) -> str | None:
    """Await a request to a provider; the reason of its failure, or None."""
    try:
        await request
    except SendError as error:
        return f"{error.message} ({error.code})"
    except (SettingsError, OSError) as error:
        return str(error)
    return None


def _push(channel: ChannelSpec) -> Push:
    if channel.push is None:
        raise TypeError(f"{channel.title} is not pushed")
    return channel.push


def _module(channel: ChannelSpec) -> Any:
    return import_module(_push(channel).module)


def _unconfigured(settings: Settings) -> set[str]:
    return {name for name, channel in CHANNEL_SERVERS.items() if channel.missing(settings)}


def _report(findings: list[Finding]) -> None:
    for finding in findings:
        log.info("%s: %s", finding.what, finding.text)


def create_app(settings: Settings) -> FastAPI:
    """The app; the tunnel is opened when it starts."""
    tunnel = Tunnel(settings, Path.cwd(), lambda: signal.raise_signal(signal.SIGTERM))

    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        loop = asyncio.get_running_loop()
        app.state.on_stop = partial(loop.call_soon_threadsafe, tunnel.cancel_start)
        await tunnel.start()
        yield
        await tunnel.stop()

    async def ready() -> dict[str, Any]:
        reasons = "; ".join(f"{name}: {reason}" for name, reason in tunnel.reasons.items())
        return {"ready": not reasons, "reason": reasons or None}

    app = build_app("Tunnel", settings, lifespan, description="Looks after the tunnel and the providers' webhooks.")
    add_common_routes(app, ready)
    return app


def main() -> None:
    """Run the tunnel until a signal."""
    run_server("tunnel", AllSettings, create_app, lambda settings: settings.tunnel_port, lambda _: LOOPBACK)


if __name__ == "__main__":
    main()
