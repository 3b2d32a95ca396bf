"""A short campaign with the real processes: kills, faults, healing, and an audit that finds nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.chaos.campaign import CampaignOptions, campaign

pytestmark = [pytest.mark.processes, pytest.mark.campaign]


async def test_nothing_is_lost_doubled_or_out_of_order_while_processes_die_and_providers_fail(tmp_path: Path) -> None:
    """Twelve people write while servers and the launcher are killed, connections are cut and answers are broken."""
    options = CampaignOptions(
        seconds=7,
        seed=5,
        people=12,
        folder=tmp_path,
        telegram_mode="webhook",
        pause=2,
        drain=120,
        pauses=(0.3, 1),
        between_kills=(1, 2.5),
    )
    report = await campaign(options)
    assert report.clean, f"{report.findings}\n{report.refused}\nqueues empty: {report.drained}"
    # How much happens in these seconds is the machine's affair, but something must.
    assert report.findings.answered > options.people / 2
    assert report.kills
    assert report.faults
