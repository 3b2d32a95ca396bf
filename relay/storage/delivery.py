"""Records the delivery statuses of providers, inside a transaction, and applies them to their parts."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, bindparam, select

from relay.core.errors import SendFailure
from relay.core.messages import InboundId, PartId, Platform, UserId
from relay.core.parts import OPEN_PART_STATES, DeliveryEvent, NextTry, PartState, advance
from relay.storage.parts import (
    LOST,
    ON_ITS_WAY,
    UNDER_WAY,
    apply_status,
    awaits_acceptance,
    lock_provider_id,
    locked_part,
    note_acceptance,
    set_state,
    statuses,
)
from relay.storage.prepared import Prepared, Upsert
from relay.storage.schema import as_columns, delivery_events, in_states, outbound
from relay.storage.transactions import Tx, of_user

_OF_PROVIDER = Prepared(
    select(outbound.c.part_id).where(
        outbound.c.platform == bindparam("of_platform"), outbound.c.provider_id == bindparam("provider")
    )
)
_HAS_ID = outbound.c.provider_id.is_not(None)
_LOSSES = Prepared(statuses.where(delivery_events.c.applied.is_(True), in_states(delivery_events, *LOST)))
_KEEP = Upsert(delivery_events, lambda row: row.on_conflict_do_nothing().returning(delivery_events.c.id))


def record_status(tx: Tx, event: DeliveryEvent, next_try: NextTry) -> bool:
    """Store a delivery status and apply it to its part; see `record_delivery`."""
    part_id = event.part_id
    if part_id is None:
        lock_provider_id(tx, event.platform, event.provider_id)
        part_id = tx.run(_OF_PROVIDER, {"of_platform": event.platform, "provider": event.provider_id}).scalar()
    kept = {"part_id": part_id, "error_code": event.error_code or "", "applied": part_id is not None}
    over = _is_lost(tx, event.platform, event.provider_id)
    if tx.run(_KEEP, {**as_columns(delivery_events, event), **kept}).first() is None:
        return False
    tx.count(event.platform, "delivery_events")
    row = _row_for_status(tx, part_id, event.state) if part_id is not None else None
    # The status of an attempt that was lost is irrelevant once the part is being sent again, or was.
    is_past = over and row is not None and (row.state in OPEN_PART_STATES or row.provider_id != event.provider_id)
    if row is not None and is_past and _settles(row, event, next_try):
        apply_status(tx, row, event.state, event.error_code, event.error, event.user_state)
    elif row is not None and not is_past:
        if awaits_acceptance(row):
            row = note_acceptance(tx, row, event.provider_id, None)
        if not (event.state in LOST and _plan_again(tx, row, event, next_try)):
            apply_status(tx, row, event.state, event.error_code, event.error, event.user_state)
    return True


def cause_of(connection: Connection, event: DeliveryEvent) -> InboundId | None:
    """The inbound message that caused the part of this status; None when there is none, or the part is not known."""
    its_provider = (outbound.c.platform == event.platform) & (outbound.c.provider_id == event.provider_id)
    its_part = outbound.c.part_id == event.part_id if event.part_id else its_provider
    found = connection.execute(select(outbound.c.inbound_id).where(its_part)).scalar()
    return None if found is None else InboundId(found)


def _settles(row: Row[Any], event: DeliveryEvent, next_try: NextTry) -> bool:
    """Whether a later status of a lost attempt, whose repetition is only planned, is more certain than the loss."""
    if row.state != PartState.PLANNED or row.provider_id != event.provider_id:
        return False
    arrived = event.state in {PartState.DELIVERED, PartState.READ}
    return arrived or (event.state in LOST and next_try(1, 0.0) is None)


def _is_lost(tx: Tx, platform: Platform, provider_id: str) -> bool:
    """Whether an earlier status reported the loss of this attempt."""
    return tx.run(_LOSSES, {"of_platform": platform, "provider": provider_id}).first() is not None


def _plan_again(tx: Tx, row: Row[Any], event: DeliveryEvent, next_try: NextTry) -> bool:
    """Plan a lost part once more, if `next_try` allows it and the order of messages is kept; False otherwise."""
    if advance(PartState(row.state), event.state) == row.state:
        return False
    # Before the user writes the parts behind it arrive as little as this one, and are planned again likewise.
    has_left = in_states(outbound, *ON_ITS_WAY) if event.failure is SendFailure.WINDOW else _HAS_ID
    if _would_be_out_of_order(tx, row, has_left):
        return False
    pause = next_try(row.attempts, tx.now - row.created_at)
    if pause is None:
        return False
    # The id of the lost attempt stays until there is another, so that a lookup does not take it for the new one.
    set_state(tx, row, PartState.PLANNED, due=tx.now + pause, error_code=event.error_code, error=event.error)
    return True


def _would_be_out_of_order(tx: Tx, row: Row[Any], has_left: ColumnElement[bool]) -> bool:
    """Whether a later part has left, or an earlier part of the reply was lost."""
    after = of_user(outbound, Platform(row.platform), UserId(row.user_id)) & (outbound.c.id > row.id)
    before = (outbound.c.reply_id == row.reply_id) & (outbound.c.number < row.number)
    return any(
        tx.run(select(outbound.c.id).where(which).limit(1)).first() is not None
        for which in (
            after & has_left,
            after & UNDER_WAY,
            before & in_states(outbound, *LOST),
        )
    )


def _row_for_status(tx: Tx, part_id: PartId, state: PartState) -> Row[Any] | None:
    """The locked row of the part; the user is locked first when the status changes user or history."""
    if state in LOST:
        whose = tx.run(select(outbound.c.platform, outbound.c.user_id).where(outbound.c.part_id == part_id)).first()
        if whose is not None:
            tx.locked_user(Platform(whose.platform), UserId(whose.user_id))
    return locked_part(tx, part_id)
