"""Small JSON values under a name, a row each: the polling offset, why a channel is paused, who holds a named lease.

A named lease is held by one server at a time, such as the one that polls Telegram.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import select

from relay.core.messages import Platform
from relay.storage.leases import MAX_LEASE_SECONDS
from relay.storage.prepared import Upsert
from relay.storage.schema import saved_state
from relay.storage.transactions import Tx

_CREATE_STATE = Upsert(saved_state, lambda row: row.on_conflict_do_nothing())
_SET = Upsert(
    saved_state,
    lambda row: row.on_conflict_do_update(
        index_elements=["platform", "name"], set_={"value": row.excluded.value, "updated_at": row.excluded.updated_at}
    ),
)


def set_state(tx: Tx, platform: Platform, name: str, value: Any) -> None:
    tx.run(_SET, {"platform": platform, "name": name, "value": value, "updated_at": tx.now})


def hold_lease(tx: Tx, platform: Platform, name: str, owner: str, seconds: float) -> str:
    """Take or extend a named lease unless another server holds it; the owner who holds it now."""
    holder = _holder(tx, platform, name)
    if holder is None or holder == owner:
        set_state(tx, platform, name, {"owner": owner, "until": tx.now + seconds})
    return holder or owner


def release_lease(tx: Tx, platform: Platform, name: str, owner: str) -> None:
    """End a named lease; no change when another server holds it."""
    if _holder(tx, platform, name) == owner:
        set_state(tx, platform, name, None)


def _holder(tx: Tx, platform: Platform, name: str) -> str | None:
    """The owner of a named lease. Its row is locked, so the result is valid until the end of the transaction."""
    tx.run(_CREATE_STATE, {"platform": platform, "name": name, "value": None, "updated_at": tx.now})
    chosen = (saved_state.c.platform == platform) & (saved_state.c.name == name)
    lease = tx.run(select(saved_state.c.value).where(chosen).with_for_update()).scalar_one()
    return lease["owner"] if lease and tx.now <= lease["until"] <= tx.now + MAX_LEASE_SECONDS else None
