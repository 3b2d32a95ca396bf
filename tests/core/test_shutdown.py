"""How long a stop may take, all of it together."""

from __future__ import annotations

import pytest

from relay.core.shutdown import SHARES
from relay.launcher.supervisor import Timeouts
from tests.settings import Settings


def test_the_shares_of_a_stop_are_the_whole() -> None:
    """Whatever hangs in whatever step, a server ends within `stop_seconds`."""
    assert sum(SHARES) == pytest.approx(1)
    assert all(share > 0 for share in SHARES)


def test_the_launcher_waits_longer_than_a_server_may_take() -> None:
    """By default nothing is killed that stops as it should."""
    assert Settings().stop_seconds < min(Timeouts().stop)
