"""The launcher's table of addresses: pages for a browser, addresses for messages, servers that are not up."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType

from relay.channels.registry import served
from relay.channels.spec import Row
from relay.config.settings import NEW_TOKEN_LINE, Settings
from relay.launcher.plan import SIMULATED_CHANNELS, Plan

CONSOLE_CLOSED = (
    "closed, because public_url is set and admin_token is not: add a line ADMIN_TOKEN=... to .env and restart; "
    f"this makes one and adds it: {NEW_TOKEN_LINE.format(key='ADMIN_TOKEN')}"
)


def console_is_closed(settings: Settings) -> bool:
    return settings.public_url is not None and settings.admin_token is None


def title(plan: Plan, up: frozenset[str], unready: frozenset[str]) -> str:
    """The heading of the table."""
    if len(up) < len(plan.programs):
        return "Not everything is up."
    return "Everything is running, but not everything is ready yet." if unready else "Everything is up."


def address_rows(
    plan: Plan,
    up: frozenset[str],
    unready: frozenset[str] = frozenset(),
    reasons: Mapping[str, str] = MappingProxyType({}),
) -> list[Row]:
    """Labels and addresses of the servers that are up, the most useful first; then those not up or left out.

    reasons: why a server is not ready, by its name.
    """
    rows = [row for server, row in _rows(plan) if server in up]
    rows += [
        (
            "not ready",
            f"{program.name}: " + reasons.get(program.name, f"http://{program.host}:{program.port}/ready says why"),
        )
        for program in plan.programs
        if program.name in unready
    ]
    rows += [("not up yet", program.name) for program in plan.programs if program.name not in up]
    rows += [("left out", f"{name}: {reason}") for name, reason in plan.left_out]
    return rows


def _rows(plan: Plan) -> Iterator[tuple[str, Row]]:
    """The name of each server with its rows, the most useful first."""
    settings = plan.settings
    phones = " and ".join(channel.simulated_as for channel in SIMULATED_CHANNELS)
    text = f"{settings.simulator_url}  ({phones} in the browser; everything there is simulated)"
    yield "simulator", ("try it", text)
    console = settings.console_url
    yield "admin", ("console", console)
    if plan.simulated:
        yield "admin", ("set up", f"{console}/setup  (connect a real AI, connect your number or bot)")
    if console_is_closed(settings):
        yield "admin", ("", CONSOLE_CLOSED)
    for channel in served(settings):
        status = (f"{channel.title} status", f"{channel.url(settings)}/{channel.platform}/status")
        for row in [status] if plan.simulated else [*channel.addresses(settings), status]:
            yield (channel.host or channel).platform, row
    yield "llm", ("LLM server", settings.server_url(settings.llm_server_port))
