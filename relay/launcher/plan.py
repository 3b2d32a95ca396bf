"""Decides what is started, in which order, and what is left out and why. Starts nothing, opens nothing."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit

from relay.config.errors import SettingsError
from relay.config.settings import Settings, reachable

LOOPBACK = "127.0.0.1"
SERVERS = ("llm", "sms", "telegram", "admin")


@dataclass(frozen=True, slots=True)
class Program:
    """One server: the prefix of its lines, its file, where it listens, and whom it waits for before it is started."""

    name: str
    file: str
    port: int
    bind_host: str = LOOPBACK
    waits_for: tuple[str, ...] = ()

    @property
    def host(self) -> str:
        """How a program on this machine reaches it."""
        return reachable(self.bind_host)


@dataclass(frozen=True, slots=True)
class Asked:
    """What the command line named. Nothing named means: whatever is configured."""

    servers: frozenset[str] = frozenset()
    demo: bool = False


@dataclass(frozen=True, slots=True)
class Plan:
    """What to start, in the order of the start; what was left out, with the reason; and the settings in force.

    A program only waits for programs of the same plan that come before it.
    """

    programs: tuple[Program, ...]
    left_out: tuple[tuple[str, str], ...]
    settings: Settings

    @property
    def simulated(self) -> bool:
        return self.settings.simulated


def make_plan(settings: Settings, asked: Asked) -> Plan:
    """The plan for these settings and this command line.

    Raises SettingsError when a platform was asked for by name and lacks its credentials, or when two programs would
    share a port.
    """
    trial = asked.demo or settings.simulated or not settings.has_any_credential
    wanted = set(asked.servers) or set(SERVERS)
    left_out: list[tuple[str, str]] = []
    if not trial:
        missing = {name: reason for name, reason in _missing(settings).items() if name in wanted}
        if missing and asked.servers:
            raise SettingsError(_complaint(missing, asked))
        left_out += missing.items()
    if not asked.servers and _llm_is_elsewhere(settings):
        left_out.append(("llm", f"llm_server_url points to another server, {settings.llm_server_url}"))
    started = wanted - {name for name, _ in left_out}
    simulator = trial and (asked.demo or not started.isdisjoint({"sms", "telegram"}))
    in_force = settings.for_simulator() if trial else settings
    programs = _programs(in_force, started | ({"simulator"} if simulator else set()))
    _refuse_shared_ports(programs)
    return Plan(programs, tuple(left_out), in_force)


def _programs(settings: Settings, started: set[str]) -> tuple[Program, ...]:
    """In the order of the start: those that others wait for come first."""
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
    """Per platform without complete credentials: which settings are missing."""
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


def _complaint(missing: dict[str, str], asked: Asked) -> str:
    """One sentence for each platform that was asked for and cannot be started."""
    flag = "--all" if asked.servers == frozenset(SERVERS) else "by name"
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
