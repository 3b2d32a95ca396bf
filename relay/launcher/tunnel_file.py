"""The file in which the tunnel notes its addresses, and what it has to put back at the providers.

A tunnel that was killed leaves it: the next start puts the webhooks back, and `--check` reports it.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from dataclasses import asdict, dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import psutil

from relay.config.checks import Finding, Severity
from relay.config.errors import SettingsError
from relay.config.settings import Settings
from relay.core.errors import SendError
from relay.core.messages import Platform
from relay.launcher.outages import read_launcher
from relay.launcher.plan import CHANNEL_SERVERS, Plan

FILE = "tunnel.json"


@dataclass(frozen=True, slots=True)
class Noted:
    """One server's address. before: what the provider's webhooks were; None while they were not changed.

    pid, started: of the tunnel's program, and its start in Unix time; None when it is not ours.
    """

    address: str
    before: Any = None
    pid: int | None = None
    started: float | None = None


class TunnelFile:
    """Reads and writes the file of a folder; one tunnel writes it."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / FILE

    def read(self) -> dict[str, Noted]:
        """What is noted by platform; nothing when there is no file that can be read."""
        try:
            found = json.loads(self._path.read_text(encoding="utf-8"))
            return {platform: Noted(**noted) for platform, noted in found.items() if platform in CHANNEL_SERVERS}
        except (OSError, ValueError, TypeError, AttributeError):
            return {}

    def addresses(self) -> dict[str, str]:
        """The address of each server by platform."""
        return {platform: noted.address for platform, noted in self.read().items()}

    def write(self, noted: dict[str, Noted]) -> None:
        """Replace the file, or remove it when there is nothing to note. Raises OSError."""
        if not noted:
            self._path.unlink(missing_ok=True)
            return
        beside = self._path.with_suffix(".new")
        beside.write_text(json.dumps({platform: asdict(one) for platform, one in noted.items()}), encoding="utf-8")
        beside.replace(self._path)


async def put_back(settings: Settings, platform: str, noted: Noted) -> list[Finding]:
    """Set the provider's webhooks to what they were before, unless another was set since. Raises SendError."""
    push = CHANNEL_SERVERS[Platform(platform)].push
    if push is None or noted.before is None:
        return []
    ours = settings.model_copy(update={"public_url": noted.address})
    found: list[Finding] = await import_module(push.module).restore(ours, noted.before)
    return found


def end_leftover(noted: Noted) -> None:
    """End the program of a tunnel that was killed; one that has its id by chance is left alone."""
    with contextlib.suppress(psutil.Error):
        if noted.pid is not None and (process := psutil.Process(noted.pid)).create_time() == noted.started:
            process.terminate()


def clear_tunnel(folder: Path, plan: Plan) -> list[str]:
    """Before a start without a tunnel: end and put back what a killed one left; returns a sentence for each.

    A start with a tunnel leaves that to the tunnel itself, and try-out mode has no account to put it back at.
    """
    left = TunnelFile(folder).read()
    if not left or plan.has_tunnel or plan.simulated:
        return []
    return asyncio.run(_put_all_back(TunnelFile(folder), left, plan.settings))


async def _put_all_back(file: TunnelFile, left: dict[str, Noted], settings: Settings) -> list[str]:
    sentences = []
    for platform, noted in list(left.items()):
        end_leftover(noted)
        try:
            sentences += [f"{found.what}: {found.text}" for found in await put_back(settings, platform, noted)]
            del left[platform]
        except (SendError, SettingsError) as error:
            sentences.append(f"what a killed tunnel left at {noted.address} is not put back: {error}")
    file.write(left)
    return sentences


def left_by_tunnel(folder: Path) -> Finding | None:
    """The finding about a file that a killed tunnel left; None when there is none, or its launcher runs."""
    left = TunnelFile(folder).addresses()
    if not left or read_launcher(folder):
        return None
    text = f"a tunnel that was killed left the webhooks at {', '.join(left.values())}: the next start puts them back"
    return Finding(Severity.NOTE, "tunnel", text)
