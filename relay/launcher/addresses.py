"""The launcher's table of addresses: what to open in a browser, where to send messages, what is not up."""

from __future__ import annotations

from collections.abc import Callable

from relay.launcher.plan import Plan

Row = tuple[str, str]


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


def _sms(plan: Plan) -> list[Row]:
    settings = plan.settings
    here = settings.server_url(settings.sms_server_port)
    rows = [("SMS status", f"{here}/sms/status")]
    if plan.simulated:
        return rows
    number = settings.twilio_phone_number or f"a number of {settings.twilio_messaging_service_sid}"
    if settings.public_url:
        hook = f"{settings.public_url}/sms/webhook"
    else:
        hook = f"{here}/sms/webhook, which Twilio cannot reach: set public_url to your tunnel's address"
    return [("text to", number), ("Twilio's webhook", hook), *rows]


def _telegram(plan: Plan) -> list[Row]:
    status = plan.settings.server_url(plan.settings.telegram_server_port)
    rows = [("Telegram status", f"{status}/telegram/status")]
    return rows if plan.simulated else [("Telegram", "write to your bot"), *rows]


def _llm(plan: Plan) -> list[Row]:
    return [("LLM server", plan.settings.server_url(plan.settings.llm_server_port))]


_ROWS: tuple[tuple[str, Callable[[Plan], list[Row]]], ...] = (
    ("simulator", _simulator),
    ("admin", _admin),
    ("sms", _sms),
    ("telegram", _telegram),
    ("llm", _llm),
)
