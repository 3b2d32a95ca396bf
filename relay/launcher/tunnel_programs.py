"""The programs that give a port of this machine an address on the internet, and how their output is read.

https://developers.cloudflare.com/cloudflare-one/connections/connect-networks/do-more-with-tunnels/trycloudflare/,
https://ngrok.com/docs/agent/cli/#ngrok-http
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
from asyncio.subprocess import DEVNULL, PIPE, STDOUT, Process
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urlsplit

import psutil

from relay.config.errors import SettingsError
from relay.config.settings import Settings
from relay.launcher.plan import Plan

_MAX_LINE = 64_000
_STOP_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class TunnelProgram:
    """One such program. command: its arguments for a local URL, and for an address that is reserved, if any.

    address_in, error_in: the address that a line of its output announces, and the mistake that it reports, or None.
    """

    name: str
    command: Callable[[str, str | None], list[str]]
    address_in: Callable[[str], str | None]
    error_in: Callable[[str], str | None]


class TunnelError(Exception):
    """There is no address: the program is missing, or has ended, or names none in time."""


# Announced in a frame; its messages of failures name the address of Cloudflare's API.
_FRAMED = re.compile(r"\|\s+(https?://[^\s|]+)\s+\|")


def _cloudflared(target: str, _: str | None) -> list[str]:
    # A configuration of the user's own would make it another tunnel.
    return ["tunnel", "--no-autoupdate", "--config", os.devnull, "--url", target]


def _cloudflared_address(line: str) -> str | None:
    found = _FRAMED.search(line)
    return found[1] if found else None


def _cloudflared_error(line: str) -> str | None:
    _, separator, text = line.partition(" ERR ")
    return text.strip() if separator and os.devnull not in text else None


def _ngrok(target: str, reserved: str | None) -> list[str]:
    named = ["--url", reserved] if reserved and is_ngrok(reserved) else []
    return ["http", target, *named, "--log", "stdout", "--log-format", "json"]


def is_ngrok(url: str) -> bool:
    """Whether an address is one of ngrok's, which `ngrok http --url` takes."""
    return ".ngrok" in (urlsplit(url).hostname or "")


def _ngrok_address(line: str) -> str | None:
    entry = _entry(line)
    url = entry.get("url") if entry.get("msg") == "started tunnel" else None
    return url if isinstance(url, str) and url.startswith("http") else None


def _ngrok_error(line: str) -> str | None:
    # The reason of its end is plain text, on two lines: the explanation, and the code ERR_NGROK_...
    if line.startswith("ERROR:"):
        return line.removeprefix("ERROR:").strip() or None
    entry = _entry(line)
    return str(entry.get("err") or entry.get("msg")) if entry.get("lvl") in {"eror", "crit"} else None


def _entry(line: str) -> dict[str, object]:
    try:
        entry = json.loads(line)
    except ValueError:
        return {}
    return entry if isinstance(entry, dict) else {}


PROGRAMS = {
    "cloudflared": TunnelProgram("cloudflared", _cloudflared, _cloudflared_address, _cloudflared_error),
    "ngrok": TunnelProgram("ngrok", _ngrok, _ngrok_address, _ngrok_error),
}


def installed(wanted: str, reserved: str | None) -> TunnelProgram | None:
    """The program that the setting `tunnel` names, or for `auto` the one that is installed; None without it.

    reserved: public_url; an address of ngrok's makes that the first choice.
    """
    names = [wanted] if wanted in PROGRAMS else sorted(PROGRAMS, key="ngrok".__eq__, reverse=is_ngrok(reserved or ""))
    return next((PROGRAMS[name] for name in names if shutil.which(name)), None)


def require_program(plan: Plan, settings: Settings) -> None:
    """Raise SettingsError when the tunnel of a plan needs a program that is not installed.

    settings: as they were read.
    """
    if plan.has_tunnel and settings.tunnel != "own" and not installed(settings.tunnel, settings.public_url):
        raise SettingsError(missing(settings.tunnel))


def missing(wanted: str) -> str:
    """What to do when `installed` finds none."""
    named = f"{wanted} is not" if wanted in PROGRAMS else "neither cloudflared nor ngrok is"
    return (
        f"There can be no tunnel: {named} installed. Install cloudflared "
        "(https://github.com/cloudflare/cloudflared/releases, needs no account) or ngrok (https://ngrok.com/download), "
        "or name the address of a tunnel of your own: --public-url https://..."
    )


class OpenTunnel:
    """A running program and the address that it gave."""

    def __init__(self, program: TunnelProgram, process: Process, show: Callable[[str], None]) -> None:
        self.address = ""
        self.pid = process.pid
        self.started = psutil.Process(process.pid).create_time()
        self._program = program
        self._process = process
        self._show = show
        self._errors: deque[str] = deque(maxlen=2)
        self._known: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._reader = asyncio.create_task(self._read())

    async def ended(self) -> str:
        """Wait for the end of the program; returns why it ended."""
        await self._reader
        status = await self._process.wait()
        return f"{self._program.name} ended with status {status}" + "".join(f": {one}" for one in self._errors)

    async def close(self) -> None:
        """End the program; after two seconds by force."""
        if self._process.returncode is None:
            self._process.terminate()
            try:
                async with asyncio.timeout(_STOP_SECONDS):
                    await self._process.wait()
            except TimeoutError:
                self._process.kill()
        self._reader.cancel()

    async def _read(self) -> None:
        """Read the output to its end: a program whose pipe is full would stop."""
        stream = self._process.stdout
        while stream is not None and (line := await _next_line(stream)) is not None:
            if (address := self._program.address_in(line)) and not self._known.done():
                self._known.set_result(address.rstrip("/"))
            if error := self._program.error_in(line):
                self._errors.append(error)
                self._show(f"{self._program.name}: {error}")
        if not self._known.done():
            self._known.set_result("")

    async def wait_for_address(self, seconds: float) -> None:
        """Raises TunnelError."""
        try:
            async with asyncio.timeout(seconds):
                self.address = await self._known
        except TimeoutError:
            raise TunnelError(f"{self._program.name} named no address within {seconds:g} s") from None
        if not self.address:
            raise TunnelError(await self.ended())


async def _next_line(stream: asyncio.StreamReader) -> str | None:
    """The next line; None at the end. One that is too long is empty."""
    try:
        line = await stream.readline()
    except ValueError:
        return ""
    return line.decode("utf-8", "replace").strip() if line else None


async def open_tunnel(
    program: TunnelProgram, target: str, reserved: str | None, show: Callable[[str], None], seconds: float
) -> OpenTunnel:
    """Start a program for a local URL and wait for its address. Raises TunnelError. show: called with its errors."""
    try:
        process = await asyncio.create_subprocess_exec(
            *(program.name, *program.command(target, reserved)),
            stdin=DEVNULL,
            stdout=PIPE,
            stderr=STDOUT,
            limit=_MAX_LINE,
        )
    except OSError as error:
        raise TunnelError(f"{program.name} cannot be started: {error.strerror}") from None
    tunnel = OpenTunnel(program, process, show)
    try:
        await tunnel.wait_for_address(seconds)
    except BaseException:
        await tunnel.close()
        raise
    return tunnel
