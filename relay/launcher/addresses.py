"""The launcher's table of addresses: what to open in a browser, where to send messages, what is not up."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from relay.channels.registry import CHANNELS
from relay.channels.spec import ChannelSpec, Row
from relay.launcher.plan import Plan


def title(plan: Plan, up: frozenset[str], unready: frozenset[str]) -> str:
    """The heading of the table."""
    if len(up) < len(plan.programs):
        return "Not everything is up."
    return "Everything is running, but not everything is ready yet." if unready else "Everything is up."


def address_rows(plan: Plan, up: frozenset[str], unready: frozenset[str] = frozenset()) -> list[Row]:
    """Labels and addresses of the servers that are up, the most useful first; then those not up or left out."""
    rows = [row for name, rows_of in _ROWS if name in up for row in rows_of(plan)]
    rows += [
        ("not ready", f"{program.name}: http://{program.host}:{program.port}/ready says why")
        for program in plan.programs
        if program.name in unready
    ]
    rows += [("not up yet", program.name) for program in plan.programs if program.name not in up]
    rows += [("left out", f"{name}: {reason}") for name, reason in plan.left_out]
    return rows


def _simulator(plan: Plan) -> list[Row]:
    page = plan.settings.simulator_url
    return [("try it", f"{page}  (an SMS phone and a Telegram chat in the browser; everything there is simulated)")]


def _admin(plan: Plan) -> list[Row]:
    return [("console", plan.settings.server_url(plan.settings.admin_server_port))]


def _channel(plan: Plan, channel: ChannelSpec) -> list[Row]:
    status = (f"{channel.title} status", f"{channel.url(plan.settings)}/{channel.platform}/status")
    return [status] if plan.simulated else [*channel.addresses(plan.settings), status]


def _llm(plan: Plan) -> list[Row]:
    return [("LLM server", plan.settings.server_url(plan.settings.llm_server_port))]


_ROWS: tuple[tuple[str, Callable[[Plan], list[Row]]], ...] = (
    ("simulator", _simulator),
    ("admin", _admin),
    *(((channel.host or channel).platform, partial(_channel, channel=channel)) for channel in CHANNELS),
    ("llm", _llm),
)
