"""Plans a start: which programs, in which order, and which are left out and why. Starts and opens nothing."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any
from urllib.parse import urlsplit

from relay.channels.registry import CHANNELS, has_any_credential
from relay.channels.spec import ChannelSpec
from relay.config.errors import SettingsError
from relay.config.hosts import reachable
from relay.config.settings import Settings

LOOPBACK = "127.0.0.1"
TUNNEL = "tunnel"
CHANNEL_SERVERS = {channel.platform: channel for channel in CHANNELS if channel.host is None}
SIMULATED_CHANNELS = tuple(channel for channel in CHANNELS if channel.simulated_as)
SERVERS = ("llm", *CHANNEL_SERVERS, "admin")
LIVE_PREFIXES = ("openrouter_", "ollama_", "openai_", "llm_source", "llm_fallback", "llm_prices", "llm_monthly_")
LIVE = frozenset(
    (
        *("instructions", "channel_instructions", "assistant_name", "business_name", "demo_faq_file"),
        *("knowledge_folder", "knowledge_max_bytes", "knowledge_only", "knowledge_name_source"),
    )
)
"""Settings that running servers take over from .env and config.json by themselves, as those with LIVE_PREFIXES."""


@dataclass(frozen=True, slots=True)
class Program:
    """One server: its name (the prefix of its log lines), module, address, port key, and what to start before it.

    reads: the settings whose change takes a restart; two programs are equal when nothing about them changed.
    public_url: the address that a tunnel gave it, instead of the one in the settings.
    """

    name: str
    module: str
    port: int
    port_key: str
    bind_host: str = LOOPBACK
    waits_for: tuple[str, ...] = ()
    reads: Mapping[str, Any] = field(default_factory=dict, repr=False, hash=False)
    public_url: str | None = None

    @property
    def simulated(self) -> bool:
        return bool(self.reads.get("simulated"))

    @property
    def host(self) -> str:
        """The address under which programs on this machine reach it."""
        return reachable(self.bind_host)


@dataclass(frozen=True, slots=True)
class Selection:
    """The servers named on the command line; none means all that are configured."""

    servers: frozenset[str] = frozenset()
    demo: bool = False


@dataclass(frozen=True, slots=True)
class Plan:
    """Programs in start order, names and reasons of those left out, and the effective settings.

    A program waits only for earlier programs of the same plan.
    """

    programs: tuple[Program, ...]
    left_out: tuple[tuple[str, str], ...]
    settings: Settings

    @property
    def simulated(self) -> bool:
        return self.settings.simulated

    @property
    def has_tunnel(self) -> bool:
        return any(program.name == TUNNEL for program in self.programs)


def make_plan(
    settings: Settings,
    selection: Selection,
    *,
    strict: bool = True,
    addresses: Mapping[str, str] = MappingProxyType({}),
) -> Plan:
    """Make the plan for these settings and this command line.

    addresses: those that the tunnel has now, by the name of the server.

    Raises SettingsError when a server was selected by name and lacks its credentials, unless not `strict`: then it is
    left out; when two programs would share a port; and when a tunnel is wanted that cannot be.
    """
    trial = selection.demo or settings.simulated or not has_any_credential(settings)
    wanted = set(selection.servers) or set(SERVERS)
    left_out: list[tuple[str, str]] = []
    if not trial:
        missing = {name: reason for name, reason in _missing(settings).items() if name in wanted}
        if missing and selection.servers and strict:
            raise SettingsError(_not_configured(missing, selection))
        left_out += missing.items()
    if not selection.servers and _llm_is_elsewhere(settings):
        left_out.append(("llm", f"llm_server_url points to another server, {settings.llm_server_url}"))
    started = wanted - {name for name, _ in left_out}
    simulator = trial and (selection.demo or not started.isdisjoint(CHANNEL_SERVERS))
    in_force = settings.for_simulator() if trial else settings
    pushed = () if trial else pushed_channels(settings, started)
    if settings.tunnel != "off" and not pushed:
        why = "the simulator needs none" if trial else "no provider pushes anything to a server that is started"
        left_out.append((TUNNEL, why))
    if pushed:
        addresses = own_addresses(settings, pushed) if settings.tunnel == "own" else addresses
        in_force = in_force.model_copy(update={"public_url": next(iter(addresses.values()), None)})
    added = {"simulator"} if simulator else {TUNNEL} if pushed else set()
    programs = tuple(_with_address(one, addresses) for one in _programs(in_force, settings, started | added))
    _refuse_shared_ports(programs)
    return Plan(programs, tuple(left_out), in_force)


def pushed_channels(settings: Settings, started: Collection[str]) -> tuple[ChannelSpec, ...]:
    """The channels whose providers are to push through the tunnel; none when there is to be no tunnel."""
    if settings.tunnel == "off":
        return ()
    channels = ((channel, channel.push) for name, channel in CHANNEL_SERVERS.items() if name in started)
    return tuple(channel for channel, push in channels if push and push.needed(settings))


def own_addresses(settings: Settings, pushed: Iterable[ChannelSpec]) -> dict[str, str]:
    """public_url for every server. Raises SettingsError when it is not set."""
    if settings.public_url is None:
        raise SettingsError("TUNNEL=own needs PUBLIC_URL, the https:// address that leads here. Set it in .env.")
    return dict.fromkeys((channel.platform for channel in pushed), settings.public_url)


def _with_address(program: Program, addresses: Mapping[str, str]) -> Program:
    """The address of the first server goes to those without one, too: the console shows it."""
    if program.name == TUNNEL or not addresses:
        return program
    address = addresses.get(program.name) or next(iter(addresses.values()))
    return replace(program, public_url=address)


def _programs(settings: Settings, written: Settings, started: set[str]) -> tuple[Program, ...]:
    """The started programs in start order: dependencies first. written: the settings as they were read."""
    address = (TUNNEL,) if TUNNEL in started else ()
    channel_needs = (*(name for name in ("llm", "simulator") if name in started), *address)
    host = settings.bind_host
    channels = (
        Program(
            *(name, channel.module, channel.port(settings), channel.port_key or "", host, channel_needs),
            reads=_read_by(settings, name),
        )
        for name, channel in CHANNEL_SERVERS.items()
    )
    common, every = (_in_force(settings, kind.model_fields) for kind in (Settings, type(settings)))
    pushes = (channel.push for channel in CHANNEL_SERVERS.values() if channel.push)
    tunnel_reads = ("tunnel", "tunnel_port", "public_url", *(key for push in pushes for key in push.settings))
    everything = (
        Program(
            TUNNEL, "relay.launcher.tunnel", settings.tunnel_port, "tunnel_port", reads=_in_force(written, tunnel_reads)
        ),
        Program("llm", "llm_server", settings.llm_server_port, "llm_server_port", host, address, reads=common),
        # The simulator listens on loopback alone, whatever bind_host says.
        Program("simulator", "simulator", settings.simulator_port, "simulator_port", reads=every),
        *channels,
        Program(
            *("admin", "admin_server", settings.admin_server_port, "admin_server_port"),
            *(settings.admin_bind_host, address),
            reads=every,
        ),
    )
    return tuple(program for program in everything if program.name in started)


def _read_by(settings: Settings, name: str) -> Mapping[str, Any]:
    """The settings that the server of a channel reads, those of hosted channels included."""
    served = (channel.settings for channel in CHANNELS if (channel.host or channel).platform == name)
    return _in_force(settings, [key for kind in served for key in kind.model_fields])


def _in_force(settings: Settings, keys: Iterable[str]) -> Mapping[str, Any]:
    return {key: getattr(settings, key) for key in keys if key not in LIVE and not key.startswith(LIVE_PREFIXES)}


def _missing(settings: Settings) -> dict[str, str]:
    """The missing settings of each channel without complete credentials."""
    missing = {name: channel.missing(settings) for name, channel in CHANNEL_SERVERS.items()}
    return {name: f"not set: {', '.join(keys)}" for name, keys in missing.items() if keys}


def _not_configured(missing: dict[str, str], selection: Selection) -> str:
    """The error message when selected servers are not configured: one sentence each, then the ways out."""
    flag = "--all" if selection.servers == frozenset(SERVERS) else "by name"
    lines = [f"{name} was asked for ({flag}) but is not configured: {reason}." for name, reason in missing.items()]
    lines.append(
        "Put the settings into .env or config.json; or start what is configured with `python start_all_servers.py`; "
        "or try everything without accounts with `python start_all_servers.py --demo`."
    )
    return "\n".join(lines)


def _llm_is_elsewhere(settings: Settings) -> bool:
    if settings.llm_server_url is None:
        return False
    url = urlsplit(settings.llm_server_url)
    here = url.hostname in {"127.0.0.1", "localhost", "::1", settings.bind_host}
    return not (here and (url.port or 80) == settings.llm_server_port)


def _refuse_shared_ports(programs: tuple[Program, ...]) -> None:
    seen: dict[int, Program] = {}
    for program in programs:
        other = seen.setdefault(program.port, program)
        if other is not program:
            msg = f"{other.name} and {program.name} have the same port, {program.port}. Give one of them another port."
            raise SettingsError(msg)
