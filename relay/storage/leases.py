"""Leases on the rows of inbox and outbox: while one server works on a row, no other does.

A row that was updated in the future was updated before the clock was set back: it is due, whatever its due time says.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import BindParameter, ColumnElement, Connection, Double, Select, Table, bindparam, case, select, update

from relay.core.messages import InboundId, PartId, Platform, UserId
from relay.core.parts import PartState
from relay.storage.prepared import Prepared
from relay.storage.schema import in_states, inbound, is_open, outbound
from relay.storage.transactions import Tx

MAX_USERS = 500
"""Maximum number of users that one sweep returns: those who have waited longest since they were last served."""

MAX_LEASE_SECONDS = 600.0
"""The maximum of the setting lease_seconds: a lease that seems to last longer is from before the clock was set back."""


def is_claimable(row: Any, now: Any) -> Any:
    """Whether an open row is due and has no lease. row: a row, or the columns of a table for a condition."""
    is_free = (row.lease_until < now) | (row.lease_until > now + MAX_LEASE_SECONDS)
    return ((row.due <= now) | (row.updated_at > now)) & is_free


def _served_at(table: Table) -> Any:
    """When the user of a row was last served: the last part that left, or the message before that was finished."""
    last = table.alias()
    theirs = (last.c.platform == table.c.platform) & (last.c.user_id == table.c.user_id)
    if table is outbound:
        sent = select(last.c.accepted_at).where(theirs, last.c.id < table.c.id, last.c.provider_id.is_not(None))
        return sent.order_by(last.c.id.desc()).limit(1).scalar_subquery()
    before = (last.c.received_at <= table.c.received_at) & (last.c.id < table.c.id)
    finished = select(last.c.updated_at).where(theirs, before)
    return finished.order_by(last.c.received_at.desc()).limit(1).scalar_subquery()


def _due(table: Table, *conditions: ColumnElement[bool]) -> Select[Any]:
    """The statement of `users_due`: heads of inbox or outbox that are claimable and meet the conditions."""
    of_platform: BindParameter[Platform] = bindparam("of_platform")
    earlier = table.alias()
    before = (earlier.c.platform == of_platform) & (earlier.c.user_id == table.c.user_id) & (earlier.c.id < table.c.id)
    is_head = ~select(earlier.c.id).where(before, is_open(earlier)).exists()
    heads = select(table.c.user_id).where(table.c.platform == of_platform, is_open(table), is_head)
    due = is_claimable(table.c, bindparam("moment", type_=Double))
    return heads.where(due, *conditions).limit(MAX_USERS)


def _waiting_since(table: Table) -> Any:
    """When the row became due or its user was last served, whichever is later.

    In this order, when work stops again and again (an outage, a restart), each start goes on with the next users, not
    with those whose rows are the oldest.
    """
    served = _served_at(table)
    return case((served > table.c.due, served), else_=table.c.due)


MESSAGES_DUE = Prepared(_due(inbound).order_by(_waiting_since(inbound), inbound.c.id))
PARTS_DUE = Prepared(_due(outbound).order_by(_waiting_since(outbound), outbound.c.id))
UNSENT_PARTS_DUE = Prepared(_due(outbound, in_states(outbound, PartState.PLANNED)).order_by(outbound.c.id))
"""For the trial of a half-open circuit: the same part is tried again, the others wait unspent."""


def users_due(connection: Connection, due: Prepared, platform: Platform, now: float) -> list[UserId]:
    """Users whose oldest open row is due by one of the statements above, at most MAX_USERS, in its order."""
    return [UserId(user_id) for user_id in due.run(connection, {"of_platform": platform, "moment": now}).scalars()]


def has_open(connection: Connection, table: Table, platform: Platform) -> bool:
    """Whether inbox or outbox have any open row of a platform."""
    open_rows = select(table.c.id).where(table.c.platform == platform, is_open(table))
    return bool(connection.execute(select(open_rows.exists())).scalar())


def renew_leases(
    tx: Tx, owner: str, seconds: float, inbound_ids: Sequence[InboundId], part_ids: Sequence[PartId]
) -> list[InboundId]:
    """Extend the leases that `owner` still holds on these rows; those messages whose users ended their answers."""
    until = {"lease_until": tx.now + seconds}
    if part_ids:
        ours = outbound.c.part_id.in_(part_ids) & (outbound.c.owner == owner)
        tx.run(update(outbound).where(ours, is_open(outbound)).values(until))
    if not inbound_ids:
        return []
    renewed = update(inbound).where(inbound.c.id.in_(inbound_ids), inbound.c.owner == owner, is_open(inbound))
    rows = tx.run(renewed.values(until).returning(inbound.c.id, inbound.c.stopped_at)).all()
    return [InboundId(row.id) for row in rows if row.stopped_at is not None]


def release_leases(tx: Tx, platform: Platform, owner: str) -> None:
    """End all leases of `owner` on rows of a platform."""
    for table in (inbound, outbound):
        mine = (table.c.platform == platform) & (table.c.owner == owner)
        tx.run(update(table).where(mine, is_open(table)).values(lease_until=0))
