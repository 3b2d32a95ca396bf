"""What is wrong now, read from the database, the disk, the servers and the checks of the providers."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Connection

from relay.config.checks import Finding, Severity
from relay.config.settings import Settings, SpendingCaps
from relay.core.messages import Platform, UserId
from relay.core.store import PAUSED
from relay.storage import listings, queries
from relay.storage.charges import spending

MIN_FREE_SHARE = 0.05
MIN_FREE_BYTES = 500_000_000
"""A disk is nearly full when less than both is free; below that, a database soon refuses to store messages."""

MAX_WITH_PERSONS = 500


@dataclass(frozen=True, slots=True)
class AlertCondition:
    """Something that needs an operator. key: the same in each round; remedy: sentences on what to do."""

    key: str
    title: str
    remedy: str


def read_conditions(
    connection: Connection, titles: Mapping[Platform, str], settings: Settings, now: float
) -> list[AlertCondition]:
    """The conditions of the channels; `titles` are their names for people."""
    seconds = settings.alert_unanswered_minutes * 60
    return [
        condition
        for platform, title in titles.items()
        for condition in (
            *_unanswered(connection, platform, title, seconds, now),
            *_left_to_persons(connection, platform, title, seconds, now),
            *_failures(connection, platform, title),
            *_over_budget(connection, platform, title, settings.spending_caps, now),
        )
    ]


def _unanswered(
    connection: Connection, platform: Platform, title: str, seconds: float, now: float
) -> Iterator[AlertCondition]:
    depth, oldest = queries.waiting(connection, platform)
    if oldest is not None and now - oldest >= seconds:
        yield AlertCondition(
            f"unanswered:{platform}",
            f"{title}: {depth} {'message waits' if depth == 1 else 'messages wait'} for an answer, "
            f"one for more than {seconds / 60:g} minutes",
            "Nothing is lost. See in the console under Waiting for an answer what holds them up.",
        )


def _left_to_persons(
    connection: Connection, platform: Platform, title: str, seconds: float, now: float
) -> Iterator[AlertCondition]:
    waiting = [
        user
        for user in listings.with_persons(connection, [platform], now, MAX_WITH_PERSONS)
        if user["waiting_since"] and now - datetime.fromisoformat(user["waiting_since"]).timestamp() >= seconds
    ]
    if waiting:
        yield AlertCondition(
            f"persons:{platform}",
            f"{title}: {len(waiting)} in the hands of a person {'waits' if len(waiting) == 1 else 'wait'} "
            f"for more than {seconds / 60:g} minutes",
            "Answer from the console, or give the conversation back to the AI there.",
        )


def _failures(connection: Connection, platform: Platform, title: str) -> Iterator[AlertCondition]:
    if pause := queries.read_state(connection, platform, PAUSED):
        yield AlertCondition(
            f"paused:{platform}",
            f"Sending on {title} is paused: {pause.get('reason', '')}",
            "What waits is sent when this is put right.",
        )
    for country, hold in queries.read_holds(connection, platform).items():
        yield AlertCondition(
            f"held:{platform}:{country}",
            f"{title} to {country} waits: {hold['reason']} ({hold['code']})",
            "Others go on. When it is put right, choose Send now for one of the parts in the console.",
        )
    if dead := queries.count_of(connection, platform, "dead_letters"):
        yield AlertCondition(
            f"dead:{platform}",
            f"{title}: {dead} {'message was' if dead == 1 else 'messages were'} given up",
            "Answer them again or dismiss them in the console under Dead letters.",
        )


def _over_budget(
    connection: Connection, platform: Platform, title: str, caps: SpendingCaps, now: float
) -> Iterator[AlertCondition]:
    spent = spending(connection, platform, UserId(""), now)
    for name, usd, cap in (("day", spent.day, caps.day), ("month", spent.month, caps.month)):
        if cap is not None and usd >= cap > 0:
            yield AlertCondition(
                f"budget:{platform}:{name}",
                f"{title}: the budget of this {name} is used up (${usd:.2f} of ${cap:.2f})",
                f"No more is answered until the next {name} (UTC). Raise the limit in the settings if this is right.",
            )


def disk_conditions(folder: Path) -> Iterator[AlertCondition]:
    """Whether the disk of a folder is nearly full."""
    disk = shutil.disk_usage(folder)
    if disk.free < MIN_FREE_BYTES and disk.free < MIN_FREE_SHARE * disk.total:
        yield AlertCondition(
            "disk",
            f"The disk of the database is nearly full: {disk.free / 1e6:,.0f} MB are free",
            "Make room, or set keep_days. When it is full, messages are refused until there is room again.",
        )


def model_conditions(status: Mapping[str, Any] | None) -> Iterator[AlertCondition]:
    """Whether the model is away or its budget used up, by /ready of the LLM server; None: it gives no answer."""
    if status is None or not status.get("ready"):
        reason = (status or {}).get("reason") or "the LLM server does not answer"
        yield AlertCondition(
            "model", f"The model is away: {reason}", "Messages wait and are answered when it is back. Check the model."
        )
        return
    spent, budget = status.get("spent_this_month_usd"), status.get("monthly_budget_usd")
    if spent is not None and budget and spent >= budget:
        yield AlertCondition(
            "budget:model",
            f"The model's budget of this month is used up (${spent:.2f} of ${budget:.2f})",
            "Only free models answer until the next month (UTC). Raise llm_monthly_budget_usd if this is right.",
        )


def server_conditions(states: Iterable[tuple[str, str]]) -> Iterator[AlertCondition]:
    """One condition for each server, given with its state, that does not work."""
    for name, state in states:
        yield AlertCondition(
            f"server:{name}", f"{name}: {state}", "See its log and the console. A launcher starts it again by itself."
        )


def finding_conditions(findings: Sequence[Finding]) -> Iterator[AlertCondition]:
    """One condition for each subject with which a check of a provider found a problem."""
    problems = {f"{one.channel}:{one.what}": one for one in findings if one.severity is Severity.PROBLEM}
    for key, finding in problems.items():
        where = f"{finding.channel}, " if finding.channel else ""
        yield AlertCondition(
            f"check:{key}", f"{where}{finding.what}: {finding.text}", "The set-up of the console checks it."
        )
