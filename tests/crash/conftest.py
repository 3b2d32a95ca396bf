"""Prints the table of crash points at the end of a run."""

from __future__ import annotations

import pytest

from tests.crash.outcomes import table


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if lines := list(table()):
        terminalreporter.section("crash points")
        for line in lines:
            terminalreporter.line(line)
