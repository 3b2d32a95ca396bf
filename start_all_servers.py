"""The launcher: starts the selected servers, watches and restarts them, stops them all; --check diagnoses the setup.

relay/launcher/plan.py decides what to start, relay/launcher/supervisor.py keeps it running. The servers are programs
of their own; the launcher imports none of them.
"""

from __future__ import annotations

import relay.core.bootstrap  # isort: skip  # noqa: F401 (says in one line what to install when something is missing)

import argparse
import io
import os
import queue
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

from rich.console import Console

from relay.channels.registry import AllSettings
from relay.config.errors import SettingsError
from relay.config.settings import load_settings
from relay.launcher.addresses import address_rows, title
from relay.launcher.diagnosis import diagnose
from relay.launcher.events import Event, StopRequested
from relay.launcher.plan import CHANNEL_SERVERS, SERVERS, Plan, Selection, make_plan
from relay.launcher.ports import port_problems
from relay.launcher.processes import Processes
from relay.launcher.screen import Screen
from relay.launcher.supervisor import Supervisor

FOLDER = Path(__file__).resolve().parent
EPILOG = """
Flags can be combined. Without flags, whatever is configured is started, and what is left out is listed. Without any
account configured, or with --demo, a simulator plays Twilio, Telegram and the phones of the people who write.
Exit status: 0 stopped as asked; 1 a server had to be given up or killed; 2 nothing was started, the reason is printed.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the launcher; returns the exit status."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # an old console may lack characters of a message
    options = _parse(arguments)
    selection = _selection(options)
    if options.check:
        return diagnose(FOLDER, selection, os.environ, Console(highlight=False))
    try:
        plan = make_plan(load_settings(AllSettings, FOLDER), selection)
    except SettingsError as error:
        return _refuse(str(error))
    problems = port_problems(plan.programs)
    if problems:
        return _refuse("\n".join(problems))
    return _run(plan)


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="start_all_servers.py",
        description="Start the servers of the relay and keep them running.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--all", action="store_true", help="all servers")
    parser.add_argument("--llm", action="store_true", help="the LLM server")
    for name, channel in CHANNEL_SERVERS.items():
        parser.add_argument(f"--{name}", action="store_true", help=f"the {channel.title} server")
    parser.add_argument("--admin", action="store_true", help="the console")
    parser.add_argument("--demo", action="store_true", help="try it out: use the simulator instead of any account")
    parser.add_argument("--check", action="store_true", help="check the setup, start nothing")
    return parser.parse_args(arguments)


def _selection(options: argparse.Namespace) -> Selection:
    servers = SERVERS if options.all else [name for name in SERVERS if getattr(options, name)]
    return Selection(frozenset(servers), options.demo)


def _refuse(reason: str) -> int:
    print(reason, file=sys.stderr)  # noqa: T201 (nothing runs yet)
    return 2


def _run(plan: Plan) -> int:
    """Start in order, supervise, stop in reverse. On return and on every error all servers have ended."""
    events: queue.SimpleQueue[Event] = queue.SimpleQueue()
    _forward_signals(events)
    screen = Screen(Console(highlight=False))
    _print_plan(screen, plan)
    environ = {**os.environ, "SIMULATED": "true"} if plan.simulated else os.environ
    processes = Processes(FOLDER, environ, events.put, screen.line)

    def announce(up: frozenset[str], unready: frozenset[str]) -> None:
        screen.table(title(plan, up, unready), address_rows(plan, up, unready))
        screen.note("launcher", "Ctrl-C stops everything")

    supervisor = Supervisor(plan.programs, processes.start, screen, announce, time.monotonic)
    try:
        return supervisor.run(events)
    finally:
        processes.kill_all()
        screen.close()


def _forward_signals(events: queue.SimpleQueue[Event]) -> None:
    """Put signals into the queue as events; SimpleQueue.put is safe in a signal handler."""

    def forward(number: int, _: FrameType | None) -> None:
        events.put(StopRequested(signal.Signals(number).name))

    for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), forward)


def _print_plan(screen: Screen, plan: Plan) -> None:
    screen.note("launcher", "starting " + ", ".join(program.name for program in plan.programs))
    for name, reason in plan.left_out:
        screen.note("launcher", f"left out: {name} ({reason})")
    if plan.simulated:
        screen.alarm("launcher", "TRY-OUT MODE: Twilio and Telegram are SIMULATED on this machine.")
        screen.alarm("launcher", "No account is used, nobody outside is reached, nothing costs anything.")


if __name__ == "__main__":
    sys.exit(main())
