"""The launcher: starts the selected servers, watches and restarts them, stops them all; --check diagnoses the setup.

relay/launcher/plan.py decides what to start, relay/launcher/supervisor.py keeps it running. The servers are programs
of their own; the launcher imports none of them.
"""

from __future__ import annotations

import relay.core.bootstrap  # isort: skip  # noqa: F401 (prints what to install when something is missing)

import argparse
import io
import logging
import os
import queue
import signal
import sys
import time
from collections.abc import Callable, MutableMapping, Sequence
from functools import partial
from pathlib import Path
from types import FrameType

from rich.console import Console

from relay.channels.registry import AllSettings
from relay.config.errors import SettingsError
from relay.config.loading import load_settings
from relay.launcher.addresses import address_rows, title
from relay.launcher.control import serve_control
from relay.launcher.diagnosis import diagnose
from relay.launcher.events import Event, Outage, StopRequested
from relay.launcher.outages import OutageFile, read_launcher
from relay.launcher.plan import CHANNEL_SERVERS, SERVERS, SIMULATED_CHANNELS, Plan, Selection, make_plan
from relay.launcher.ports import PORT_WAIT_SECONDS, port_problems, wait_for_ports
from relay.launcher.processes import Processes, why_not_ready
from relay.launcher.running_plan import RunningPlan
from relay.launcher.screen import Screen
from relay.launcher.single import AnotherLauncherError, lock_folder
from relay.launcher.supervisor import BAD_SETTINGS, Supervisor
from relay.launcher.systemd import ServiceManager
from relay.launcher.tunnel_file import clear_tunnel
from relay.launcher.tunnel_programs import require_program

PORT_IN_USE, ANOTHER_LAUNCHER = 1, 3
PROGRAM_FOLDER = Path(__file__).resolve().parent
EPILOG = """
Flags can be combined. Without flags, whatever is configured is started, and what is left out is listed. Without any
account configured, or with --demo, a simulator plays the providers and the phones of the people who write.
Exit status: 0 stopped as asked; 1 a server had to be killed, or refused its settings, or a port was in use; 2 the
settings are refused and nothing runs; 3 another launcher runs in this folder.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the launcher; returns the exit status."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # an old console may lack characters of a message
    options = _parse(arguments)
    folder: Path = options.folder.resolve()
    if not folder.is_dir():
        return _refuse(f"--folder: there is no folder {folder}. Create it, or name another.")
    servers = SERVERS if options.all else [name for name in SERVERS if getattr(options, name)]
    selection = Selection(frozenset(servers), options.demo)
    environ = {**os.environ, **_tunnel(options)}
    if options.check:
        logging.getLogger("relay").addHandler(logging.NullHandler())  # what the gateway logs is a finding as well
        return diagnose(folder, selection, environ, Console(highlight=False))
    try:
        settings = load_settings(AllSettings, folder, environ)
        plan = make_plan(settings, selection)
        require_program(plan, settings)
        _lock = lock_folder(folder)  # until this process ends
    except SettingsError as error:
        return _refuse(str(error))
    except AnotherLauncherError:
        launcher = read_launcher(folder)
        who = f" (process {launcher[0]})" if launcher else ""
        return _refuse(f"Another launcher runs in {folder} already{who}. Stop it first.", ANOTHER_LAUNCHER)
    except OSError as error:  # a read-only folder is no reason not to run
        print(f"{error}; a second launcher in this folder would not be noticed", file=sys.stderr)  # noqa: T201
    if wait_for_ports(plan.programs, partial(print, file=sys.stderr, flush=True)):
        return _refuse(f"Still in use after {PORT_WAIT_SECONDS:g} s; nothing was started.", PORT_IN_USE)
    problems = port_problems(plan.programs)
    running = RunningPlan(folder, selection, plan, environ)
    return _refuse("\n".join(problems)) if problems else _run(running, folder, environ)


def run_here() -> int:
    """The command `relay` of an installed package: the launcher, with the current folder as settings folder."""
    return main(["--folder", ".", *sys.argv[1:]])


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
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
    parser.add_argument(
        "--tunnel",
        nargs="?",
        const="auto",
        choices=("auto", "cloudflared", "ngrok"),
        help="open a tunnel by cloudflared or ngrok, and set the providers' webhooks to it while the servers run",
    )
    parser.add_argument(
        "--public-url",
        metavar="URL",
        help="the https:// address that leads here already: set the webhooks to it while the servers run; "
        "with --tunnel ngrok, the address that ngrok reserved for you",
    )
    parser.add_argument("--check", action="store_true", help="check the setup, start nothing")
    parser.add_argument(
        "--folder", type=Path, default=PROGRAM_FOLDER, help="where .env, config.json and relative paths are found"
    )
    return parser.parse_args(arguments)


def _tunnel(options: argparse.Namespace) -> dict[str, str]:
    """The settings that --tunnel and --public-url stand for."""
    tunnel, url = options.tunnel, options.public_url
    return ({"PUBLIC_URL": url} if url else {}) | ({"TUNNEL": tunnel or "own"} if tunnel or url else {})


def _refuse(reason: str, status: int = BAD_SETTINGS) -> int:
    print(reason, file=sys.stderr)  # noqa: T201 (nothing runs yet)
    return status


def _run(running: RunningPlan, folder: Path, environ: MutableMapping[str, str]) -> int:
    """Start in order, supervise, stop in reverse. On return and on every error all servers have ended."""
    events: queue.SimpleQueue[Event] = queue.SimpleQueue()
    _forward_signals(events)
    screen = Screen(Console(highlight=False))
    _print_plan(screen, running.plan)
    for sentence in clear_tunnel(folder, running.plan):
        screen.note("tunnel", sentence)
    manager = ServiceManager(environ, time.monotonic)
    outages = OutageFile(folder)
    outages.write()
    processes = Processes(folder, environ, events.put, screen.line)

    def announce(up: frozenset[str], unready: frozenset[str]) -> None:
        plan = running.plan
        named = {one.name: reason for one in plan.programs if one.name in unready and (reason := why_not_ready(one))}
        screen.table(title(plan, up, unready), address_rows(plan, up, unready, named))
        screen.note("launcher", "Ctrl-C stops everything")
        manager.notify("READY=1")

    def on_outage(name: str, outage: Outage | None) -> None:
        outages.set(name, outage)
        manager.notify(f"STATUS={outages.summary}")

    supervisor = Supervisor(
        running.plan.programs, processes.start, screen.note, screen.alarm, announce, on_outage, time.monotonic
    )
    close_control = _open_control(running, folder, events, screen)
    try:
        return supervisor.run(events, manager.heartbeat)
    finally:
        close_control()
        processes.kill_all()
        outages.remove()
        screen.close()


def _open_control(
    running: RunningPlan, folder: Path, events: queue.SimpleQueue[Event], screen: Screen
) -> Callable[[], None]:
    """Serve the control socket; returns what closes it. Without one, changed settings wait for the next start."""
    try:
        return serve_control(folder, lambda: running.reload(events.put, lambda plan: _print_plan(screen, plan)))
    except OSError as error:
        screen.note("launcher", f"no control socket ({error}): changed settings take effect at the next start")
        return lambda: None


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
        titles = " and ".join(channel.title for channel in SIMULATED_CHANNELS)
        screen.alarm("launcher", f"TRY-OUT MODE: {titles} are SIMULATED on this machine.")
        screen.alarm("launcher", "No account is used, nobody outside is reached, nothing costs anything.")


if __name__ == "__main__":
    sys.exit(main())
