"""`--check`: tests everything that a start needs and reports findings with advice; starts nothing."""

from __future__ import annotations

import asyncio
import os
import platform
import re
import sqlite3
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from functools import cache
from importlib import import_module, metadata
from pathlib import Path

from rich.console import Console
from rich.text import Text

from relay.channels.registry import AllSettings, served
from relay.channels.spec import ChannelSpec
from relay.config.checks import Finding, Severity, connection
from relay.config.errors import SettingsError
from relay.config.loading import load_settings
from relay.config.settings import Settings
from relay.config.sources import odd_files
from relay.launcher.addresses import CONSOLE_CLOSED, console_is_closed
from relay.launcher.outages import read_launcher
from relay.launcher.plan import Plan, Selection, make_plan
from relay.launcher.ports import why_closed
from relay.launcher.processes import returns_200
from relay.launcher.tunnel_file import TunnelFile, left_by_tunnel
from relay.launcher.tunnel_programs import require_program

LOCK_FILE = Path(__file__).resolve().parents[2] / "requirements.lock"
SUMMARY = "Would work"
_STYLE = {Severity.FINE: "green", Severity.NOTE: "yellow", Severity.PROBLEM: "bold red"}


def diagnose(folder: Path, selection: Selection, environ: Mapping[str, str], console: Console) -> int:
    """Print all findings; returns 1 when there is a problem, else 0."""
    findings = list(examine(folder, selection, environ))
    width = max(len(finding.what) for finding in findings)
    for finding in findings:
        mark = (f"{finding.severity:<8}", _STYLE[finding.severity])
        label = "" if finding.what == SUMMARY else f"{finding.what:<{width}}  "
        console.print(Text.assemble(mark, f"{label}{finding.text}"), soft_wrap=True)
    problems = sum(finding.severity is Severity.PROBLEM for finding in findings)
    console.print(Text(f"Problems to solve first: {problems}." if problems else "No problems found."))
    return 1 if problems else 0


def examine(folder: Path, selection: Selection, environ: Mapping[str, str]) -> Iterator[Finding]:
    """Run all checks in order, then sum up which channels would work.

    The settings come first: when they are refused, their findings are the last.
    """
    # An older Python does not get here: relay.core.bootstrap ends it with a sentence.
    yield Finding(Severity.FINE, "python", f"{platform.python_version()} ({sys.executable})")
    yield _requirements(LOCK_FILE)
    try:
        settings = load_settings(AllSettings, folder, environ)
        addresses = TunnelFile(folder).addresses() if read_launcher(folder) else {}
        plan = make_plan(settings, selection, addresses=addresses)
    except SettingsError as error:
        for sentence in str(error).splitlines():
            yield Finding(Severity.PROBLEM, "settings", sentence)
        return
    files = "".join(f", {name}" for name in (".env", "config.json") if (folder / name).exists())
    yield Finding(Severity.FINE, "settings", f"valid; read from the environment{files}")
    yield from (Finding(Severity.NOTE, "settings", sentence) for sentence in odd_files(folder))
    found = [*_this_machine(plan, folder), *_tunnel(plan, settings, folder), *asyncio.run(_providers(plan, folder))]
    yield from found
    yield from _summary(plan, found)


def _this_machine(plan: Plan, folder: Path) -> Iterator[Finding]:
    yield from _plan(plan)
    yield from _ports(plan)
    yield _database(folder, plan.settings)
    yield from _log_folder(folder, plan.settings)
    if console_is_closed(plan.settings):
        yield Finding(Severity.NOTE, "console", CONSOLE_CLOSED)


def _tunnel(plan: Plan, settings: Settings, folder: Path) -> Iterator[Finding]:
    if (left := left_by_tunnel(folder)) is not None:
        yield left
    try:
        require_program(plan, settings)
    except SettingsError as error:
        yield Finding(Severity.PROBLEM, "tunnel", str(error))


async def _providers(plan: Plan, folder: Path) -> list[Finding]:
    """What the providers of the model and of the channels answer, all asked at the same time."""
    model = _model(plan, folder) if _starts(plan, "llm") else _llm_server(plan)
    channels = () if plan.simulated else served(plan.settings)
    checks = (_checked(channel, plan.settings) for channel in channels if _starts(plan, _program(channel)))
    found = await asyncio.gather(model, *checks)
    return [finding for findings in found for finding in findings]


async def _model(plan: Plan, folder: Path) -> list[Finding]:
    # Loaded here, because the gateway is not for a launcher that only starts.
    found: list[Finding] = await import_module("relay.llm.checks").check_model(plan.settings, folder)
    return found


async def _checked(channel: ChannelSpec, settings: Settings) -> list[Finding]:
    if channel.check is None:
        return []
    return [replace(finding, channel=channel.title) for finding in await channel.check(settings)]


async def _llm_server(plan: Plan) -> list[Finding]:
    """Whether the LLM server, which this launcher would not start, runs; one that was not asked for may start later."""
    expected = "llm" in dict(plan.left_out)
    severity = Severity.PROBLEM if expected else Severity.NOTE
    return [connection("llm_server_url", plan.settings.model_url, 80, severity)]


def _program(channel: ChannelSpec) -> str:
    return (channel.host or channel).platform


def _starts(plan: Plan, name: str) -> bool:
    return any(program.name == name for program in plan.programs)


def _summary(plan: Plan, found: Sequence[Finding]) -> Iterator[Finding]:
    """Which channels would work, and the first reason why one would not."""
    left_out = dict(plan.left_out)
    verdicts = []
    for channel in served(plan.settings):
        problems = [one for one in found if one.severity is Severity.PROBLEM and one.channel in ("", channel.title)]
        problem = max(problems, key=lambda one: one.channel, default=None)  # its own first
        if (reason := left_out.get(_program(channel))) is not None:
            verdicts.append(f"{channel.title} no because {reason}")
        elif _starts(plan, _program(channel)):
            yes = "in the simulator only" if plan.simulated else "yes"
            verdicts.append(f"{channel.title} " + (f"no because {problem.what}: {problem.text}" if problem else yes))
    if verdicts:
        works = all(" no because " not in verdict for verdict in verdicts)
        yield Finding(Severity.FINE if works else Severity.NOTE, SUMMARY, f"{SUMMARY}: {', '.join(verdicts)}")


@cache
def _requirements(lock: Path) -> Finding:
    """Compare the installed versions with the lock file."""
    try:
        pins = re.findall(r"^([A-Za-z0-9._-]+)==([^\s;\\]+)(.*)$", lock.read_text(encoding="utf-8"), re.MULTILINE)
    except FileNotFoundError:
        return Finding(Severity.FINE, "requirements", "those of the installed package")
    except OSError as error:
        return Finding(Severity.NOTE, "requirements", f"{lock.name} cannot be read: {error.strerror}")
    # Of two on the path the first one counts.
    installed = {_normal(one.name): one.version for one in reversed([*metadata.distributions()])}
    others = [
        f"{name} {found or 'missing'}, locked {version}"
        for name, version, marker in pins
        if (found := installed.get(_normal(name))) != version and not (found is None and ";" in marker)
    ]
    if not others:
        return Finding(Severity.FINE, "requirements", f"all match {lock.name}")
    shown = "; ".join(others[:5]) + (" ..." if len(others) > 5 else "")
    return Finding(Severity.NOTE, "requirements", f"{len(others)} differ ({shown}). Run: make setup")


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _plan(plan: Plan) -> Iterator[Finding]:
    yield Finding(Severity.FINE, "would start", ", ".join(program.name for program in plan.programs) or "nothing")
    for name, reason in plan.left_out:
        yield Finding(Severity.NOTE, "left out", f"{name}: {reason}")
    if plan.simulated:
        yield Finding(Severity.NOTE, "mode", "try-out: the simulator plays the providers, no account is used")


def _ports(plan: Plan) -> Iterator[Finding]:
    for program in plan.programs:
        what = f"port {program.port}"
        reason = why_closed(program.bind_host, program.port)
        if reason is None:
            yield Finding(Severity.FINE, what, f"free for {program.name}")
        elif returns_200(program, "/health"):
            text = f"{program.name} seems to be running already: GET /health answers ({reason})"
            yield Finding(Severity.NOTE, what, text)
        else:
            yield Finding(Severity.PROBLEM, what, f"{program.name} cannot use it: {reason}")


def _database(folder: Path, settings: Settings) -> Finding:
    if settings.database_url.startswith("sqlite:///"):
        return _sqlite(folder / settings.database_url.removeprefix("sqlite:///").partition("?")[0])
    return connection("database", settings.database_url, 5432, Severity.PROBLEM)


def _sqlite(path: Path) -> Finding:
    """Check that the file can be written or created; an empty transaction proves more than permissions do."""
    if not path.exists():
        if path.parent.is_dir() and os.access(path.parent, os.W_OK):
            return Finding(Severity.FINE, "database", f"{path} will be created")
        return Finding(Severity.PROBLEM, "database", f"{path} cannot be created: its folder is missing or read-only")
    try:
        uri = f"{path.absolute().as_uri()}?mode=rw"
        with closing(sqlite3.connect(uri, uri=True, timeout=2, isolation_level=None)) as connection:
            connection.execute("BEGIN IMMEDIATE")
            connection.execute("ROLLBACK")
    except sqlite3.Error as error:
        return Finding(Severity.PROBLEM, "database", f"{path} cannot be written: {error}")
    return Finding(Severity.FINE, "database", f"{path} can be written")


def _log_folder(folder: Path, settings: Settings) -> Iterator[Finding]:
    if settings.log_dir is None:
        return
    path = folder / settings.log_dir
    nearest = next(parent for parent in (path, *path.parents) if parent.exists())
    if nearest.is_dir() and os.access(nearest, os.W_OK):
        yield Finding(Severity.FINE, "log_dir", f"{path} can be written")
    else:
        yield Finding(Severity.PROBLEM, "log_dir", f"{path} cannot be written")
