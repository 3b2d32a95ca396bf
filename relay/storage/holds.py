"""The countries whose parts are held, inside a transaction: a row of saved state each.

A part that waits for one has the code of the refusal, by which it is found again.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import update

from relay.core.messages import Platform
from relay.core.parts import PartState
from relay.storage.queries import HELD, read_holds
from relay.storage.saved_state import set_state
from relay.storage.schema import in_states, is_open, outbound
from relay.storage.transactions import Tx


def keep_hold(tx: Tx, platform: Platform, country: str, values: Mapping[str, Any] | None) -> None:
    set_state(tx, platform, HELD + country, values)


def end_hold(tx: Tx, platform: Platform, country: str, code: str) -> None:
    """End a hold, and make the parts due now that wait because of a refusal with this code."""
    keep_hold(tx, platform, country, None)
    waits = is_open(outbound) & in_states(outbound, PartState.PLANNED) & (outbound.c.due > tx.now)
    theirs = (outbound.c.platform == platform) & (outbound.c.error_code == code)
    tx.run(update(outbound).where(waits, theirs).values(due=tx.now, updated_at=tx.now))


def try_now(tx: Tx, platform: Platform, code: str | None) -> None:
    """Let the next part be a trial of what is held because of this code."""
    for country, hold in read_holds(tx.connection, platform).items():
        if hold["code"] == code:
            keep_hold(tx, platform, country, {**hold, "until": tx.now})
