"""The outcome of each case, for the table at the end of a run."""

from __future__ import annotations

from collections.abc import Iterator

from tests.crash.crash_points import CrashCase
from tests.crash.runs import CrashAudit

_OUTCOMES: list[tuple[CrashCase, CrashAudit]] = []


def record(case: CrashCase, found: CrashAudit) -> None:
    _OUTCOMES.append((case, found))


def table() -> Iterator[str]:
    """A line a case, under a line of heads; nothing when no case was run."""
    if not _OUTCOMES:
        return
    yield f"{'ingress':<8} {'point':<30} {'end':<5} {'answered':>9} {'bubbles':>8} {'repeated':>9} {'given up':>9}"
    for case, found in _OUTCOMES:
        answered = f"{len(found.seen)}/{len(found.wanted)}"
        yield (
            f"{case.ingress:<8} {case.point.name:<30} {case.end:<5} {answered:>9} {found.bubbles:>8}"
            f" {found.repeats:>9} {found.given_up:>9}"
        )
    repeats, given_up = (sum(getattr(found, name) for _, found in _OUTCOMES) for name in ("repeats", "given_up"))
    yield f"{len(_OUTCOMES)} cases; lines answered of lines asked; {repeats} repeated, {given_up} given up"
