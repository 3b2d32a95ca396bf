"""Plans a start: which programs, in which order, and which are left out and why. Starts and opens nothing."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit

from relay.config.errors import SettingsError
from relay.config.settings import Settings, reachable

LOOPBACK = "127.0.0.1"
SERVERS = ("llm", "sms", "telegram", "admin")


@dataclass(frozen=True, slots=True)
class Program:
    """One server: its name (the prefix of its log lines), file, address, and the programs to start before it."""

    name: str
    file: str
    port: int
    bind_host: str = LOOPBACK
    waits_for: tuple[str, ...] = ()

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


def make_plan(settings: Settings, selection: Selection) -> Plan:
    """Make the plan for these settings and this command line.

    Raises SettingsError when a server was selected by name and lacks its credentials, or when two programs would
    share a port.
    """
    trial = selection.demo or settings.simulated or not settings.has_any_credential
    wanted = set(selection.servers) or set(SERVERS)
    left_out: list[tuple[str, str]] = []
    if not trial:
        missing = {name: reason for name, reason in _missing(settings).items() if name in wanted}
        if missing and selection.servers:
            raise SettingsError(_not_configured(missing, selection))
        left_out += missing.items()
    if not selection.servers and _llm_is_elsewhere(settings):
        left_out.append(("llm", f"llm_server_url points to another server, {settings.llm_server_url}"))
    started = wanted - {name for name, _ in left_out}
    simulator = trial and (selection.demo or not started.isdisjoint({"sms", "telegram"}))
    in_force = settings.for_simulator() if trial else settings
    programs = _programs(in_force, started | ({"simulator"} if simulator else set()))
    _refuse_shared_ports(programs)
    return Plan(programs, tuple(left_out), in_force)


def _programs(settings: Settings, started: set[str]) -> tuple[Program, ...]:
    """The started programs in start order: those that others wait for come first."""
    channel_needs = tuple(name for name in ("llm", "simulator") if name in started)
    host = settings.bind_host
    everything = (
        Program("llm", "llm_server.py", settings.llm_server_port, host),
        # The simulator and the console listen on loopback alone, whatever bind_host says.
        Program("simulator", "simulator.py", settings.simulator_port),
        Program("sms", "sms_server.py", settings.sms_server_port, host, channel_needs),
        Program("telegram", "telegram_server.py", settings.telegram_server_port, host, channel_needs),
        Program("admin", "admin_server.py", settings.admin_server_port),
    )
    return tuple(program for program in everything if program.name in started)


def _missing(settings: Settings) -> dict[str, str]:
    """The missing settings of each channel without complete credentials."""
    found = {}
    if not settings.has_sms_credentials:
        needed = {
            "twilio_account_sid": settings.twilio_account_sid,
            "twilio_auth_token": settings.twilio_auth_token,
            "twilio_phone_number (or twilio_messaging_service_sid)": settings.twilio_phone_number
            or settings.twilio_messaging_service_sid,
        }
        found["sms"] = "not set: " + ", ".join(key for key, value in needed.items() if not value)
    if settings.telegram_bot_token is None:
        found["telegram"] = "not set: telegram_bot_token"
    return found


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
