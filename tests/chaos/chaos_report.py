"""The table at the end of a campaign, and the same as JSON with every id."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from tests.chaos.chaos_audit import Findings
from tests.chaos.chaos_outage import Outage

SHOWN = 20
_WRONG = ("lost", "doubled", "out_of_order", "unanswered", "history", "dead", "unfair")


@dataclass(frozen=True, slots=True)
class Report:
    """What a campaign did and found. took and draining are seconds."""

    options: dict[str, Any]
    kills: dict[str, int]
    faults: dict[str, int]
    sent: int
    refused: list[str]
    findings: Findings
    statuses: dict[str, dict[str, Any]]
    took: float
    draining: float
    drained: bool
    outage: Outage | None = None

    @property
    def clean(self) -> bool:
        return self.findings.clean and self.drained and not self.refused and not self.broken

    @property
    def broken(self) -> list[str]:
        return self.outage.broken() if self.outage else []

    @property
    def repeat(self) -> str:
        options = self.options
        return (
            f"make chaos SECONDS={options['seconds']:g} SEED={options['seed']} PEOPLE={options['people']} "
            f"TELEGRAM={options['telegram']} DATABASE={options['database']} "
            f"CLOCK={options['clock']}"
        )


def print_report(report: Report, folder: Path) -> None:
    console = Console(highlight=False, width=110)
    table = Table("what", "how many", title=f"Chaos: {'CLEAN' if report.clean else 'NOT CLEAN'}", title_justify="left")
    for name, count in rows(report):
        table.add_row(name, count)
    console.print(table)
    for what in (*_WRONG, "unseen"):
        for line in getattr(report.findings, what)[:SHOWN]:
            console.print(f"{what}: {line}", markup=False)
    for line in report.refused[:SHOWN]:
        console.print(f"refused: {line}", markup=False)
    for sentence in report.broken[:SHOWN]:
        console.print(f"while PostgreSQL was stopped: {sentence}", markup=False)
    console.print(f"Repeat it with: {report.repeat}")
    console.print(f"Logs, database and every id: {folder}")


def rows(report: Report) -> list[tuple[str, str]]:
    """The lines of the table."""
    findings = report.findings
    signals = [(f"signal: {name}", str(count)) for name, count in sorted(report.kills.items())]
    faults = [(name, str(count)) for name, count in sorted(report.faults.items()) if count]
    return [
        *signals,
        *faults,
        ("signals in all", str(sum(report.kills.values()))),
        ("faults in all", str(sum(report.faults.values()))),
        ("messages sent", str(report.sent)),
        ("messages acknowledged", str(findings.acknowledged)),
        ("messages answered", str(findings.answered)),
        *((what.replace("_", " "), str(len(getattr(findings, what)))) for what in _WRONG),
        ("waits for a slot, the longest in rounds", f"{findings.waits}, {findings.most_rounds}"),
        *_outage_rows(report.outage),
        ("Telegram: sent again, seen twice", str(len(findings.resent))),
        ("Telegram: given up after two unknown outcomes", str(len(findings.given_up))),
        ("... of which the answer was not seen", str(len(findings.unseen))),
        ("refused after three unusable answers", str(len(findings.unusable))),
        *(
            (f"{name}: resends by its status", str(status["resends_after_unknown_outcome"]))
            for name, status in report.statuses.items()
        ),
        ("notices (late answers, apologies)", str(findings.notices)),
        ("queues empty", "yes" if report.drained else "NO"),
        ("seconds in all, of which draining", f"{report.took:.0f}, {report.draining:.0f}"),
    ]


def _outage_rows(outage: Outage | None) -> list[tuple[str, str]]:
    if outage is None:
        return []
    noticed = ", ".join(f"{name} {seconds:.1f}" for name, seconds in outage.ready.items())
    return [
        ("PostgreSQL stopped: webhooks, of which refused", f"{len(outage.webhooks)}, {len(outage.refused)}"),
        ("... seconds of the slowest webhook", f"{outage.slowest:.1f}"),
        ("... seconds until /ready said so", noticed),
    ]


def save_report(report: Report, folder: Path) -> None:
    content = {**asdict(report), "clean": report.clean, "repeat": report.repeat}
    (folder / "audit.json").write_text(json.dumps(content, indent=1, default=str), encoding="utf-8")
