"""The rows of the outbox inside a transaction: parts are claimed, sent, accepted, failed or cancelled.

Every change of a state goes through `set_state`, which keeps the counters correct. `_trim_history` removes from the
history what could not be sent.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, cast

from sqlalchemy import Row, bindparam, delete, func, select, update

from relay.core.errors import LeaseLost, SendError
from relay.core.messages import PartId, Platform, ReplyId, UserId, UserState, db_safe
from relay.core.parts import OPEN_PART_STATES, Origin, Part, PartState, PlannedPart, Receipt, advance
from relay.core.retry import LONGEST_DELAY
from relay.storage.charges import charge
from relay.storage.leases import is_claimable
from relay.storage.planning import PartLease, claiming, part_of, plan_notice
from relay.storage.prepared import Prepared
from relay.storage.schema import conversations, delivery_events, in_states, is_open, outbound, users
from relay.storage.transactions import Tx, of_bound_user, of_user, user_parameters

_PLANNED = is_open(outbound) & in_states(outbound, PartState.PLANNED)
UNDER_WAY = is_open(outbound) & in_states(outbound, PartState.SENDING, PartState.UNKNOWN)
"""A part of the open states, together with all of them: otherwise SQLite does not use the index of open rows."""

_SEEN = (PartState.ACCEPTED, PartState.SENT, PartState.DELIVERED, PartState.READ)
_SEEN_OR_UNDER_WAY = (*_SEEN, PartState.SENDING, PartState.UNKNOWN)
ON_ITS_WAY = (PartState.SENT, PartState.DELIVERED, PartState.READ)
LOST = (PartState.FAILED, PartState.UNDELIVERED)

_HEAD = Prepared(
    select(outbound)
    .where(of_bound_user(outbound), is_open(outbound))
    .order_by(outbound.c.id)
    .limit(1)
    .with_for_update()
)
_locked = select(outbound).where(outbound.c.part_id == bindparam("part")).with_for_update()
_LOCKED = Prepared(_locked)
_CHANGE = Prepared(update(outbound).where(outbound.c.id == bindparam("row")).returning(outbound))
statuses = (
    select(delivery_events)
    .where(delivery_events.c.platform == bindparam("of_platform"))
    .where(delivery_events.c.provider_id == bindparam("provider"))
    .order_by(delivery_events.c.id)
)
STATUSES = Prepared(statuses)
_other = outbound.alias()
_of_same_user = (_other.c.platform == outbound.c.platform) & (_other.c.user_id == outbound.c.user_id)
_TO_ACCEPT = Prepared(
    _locked.add_columns(
        statuses.order_by(None).exists().label("has_statuses"),
        select(_other.c.id).where(_of_same_user, _other.c.id != outbound.c.id, is_open(_other)).exists().label("more"),
    )
)
_APPLIED = Prepared(update(delivery_events).where(delivery_events.c.id == bindparam("event")).values(applied=True))


def claim_part(tx: Tx, platform: Platform, user_id: UserId, lease: PartLease) -> Part | None:
    """Claim the oldest open part of a user; None when there is none, or it is not due or leased."""
    head = tx.run(_HEAD, user_parameters(platform, user_id)).first()
    if head is None or not is_claimable(head, tx.now):
        return None
    changes = {"state": head.state, **claiming(tx, lease, head.state, attempts=head.attempts + 1)}
    row = set_state(tx, head, **changes)
    part = part_of(row._asdict(), outcome_unknown=head.state != PartState.PLANNED)
    # An opt-out cancels what is planned; only a part that was under way then can still be open.
    return replace(part, withdrawn=True) if head.attempts and _opted_out_since(tx, head) else part


def _opted_out_since(tx: Tx, row: Row[Any]) -> bool:
    """Whether the user of a part has opted out after it was planned."""
    user = tx.run(select(users).where(of_user(users, Platform(row.platform), UserId(row.user_id)))).first()
    if user is None or user.state != UserState.STOPPED:
        return False
    return bool(row.created_at < (user.settings or {}).get("opted_out_at", 0.0))


def set_state(tx: Tx, row: Row[Any], state: PartState, **changes: Any) -> Row[Any]:
    """Change a part and the counters of the states; the changed row."""
    if state != row.state:
        platform = Platform(row.platform)
        tx.count(platform, f"part:{row.state}", -1)
        tx.count(platform, f"part:{state}")
    values = {"row": row.id, "state": state, "updated_at": tx.now, **changes}
    return cast("Row[Any]", tx.run(_CHANGE, values).one())


def locked_part(tx: Tx, part_id: PartId) -> Row[Any] | None:
    return cast("Row[Any] | None", tx.run(_LOCKED, {"part": part_id}).first())


def _claimed(tx: Tx, part: Part) -> Row[Any]:
    """The locked row of a claimed part; owner and attempts are the fencing token. Raises LeaseLost."""
    row = locked_part(tx, part.id)
    if row is None or row.owner != part.owner or row.attempts != part.attempts or row.state not in OPEN_PART_STATES:
        raise LeaseLost(f"part {part.id} is no longer ours")
    return row


def begin_part(tx: Tx, part: Part, lease: float) -> Part:
    """Mark a claimed part as being sent; if its outcome is unknown, count this as a resend. Raises LeaseLost."""
    row = _claimed(tx, part)
    changes: dict[str, Any] = {"attempted_at": tx.now, "lease_until": tx.now + lease}
    if part.outcome_unknown:
        changes |= {"resends": row.resends + 1, "attempts": row.attempts + 1}
        tx.count(part.platform, "resends")
    return part_of(set_state(tx, row, PartState.SENDING, **changes)._asdict(), outcome_unknown=False)


def accept_part(tx: Tx, part: Part, receipt: Receipt) -> bool:
    """Record the acceptance, then the delivery statuses that came before it under the provider's id.

    Whether another part of the user may be open.
    """
    lock_provider_id(tx, part.platform, receipt.provider_id)
    named = {"of_platform": part.platform, "provider": receipt.provider_id}
    found = tx.run(_TO_ACCEPT, {"part": part.id, **named}).first()
    if found is None:
        return True  # deleted meanwhile, together with the user
    # On PostgreSQL a status that found the part was perhaps recorded while we waited for the row: it left the id there.
    came_early = found.has_statuses or found.provider_id is not None
    reported = tx.run(STATUSES, named).all() if came_early else []
    if found.state in OPEN_PART_STATES and any(status.applied and status.state in LOST for status in reported):
        return True  # the status of its loss came first, and the part is planned again
    is_charged = found.cost_usd is not None and found.provider_id == receipt.provider_id
    cost = 0.0 if is_charged else receipt.cost_usd
    row = note_acceptance(tx, found, receipt.provider_id, receipt.segments, cost)
    row = apply_status(tx, row, receipt.state)
    for status in reported:
        if not status.applied:
            row = apply_status(tx, row, PartState(status.state), status.error_code, status.error)
            tx.run(_APPLIED, {"event": status.id})
    if receipt.pause and row.state == PartState.ACCEPTED and row.number < row.part_count:
        _delay_next(tx, row, tx.now + receipt.pause)
    return bool(found.more)


def _delay_next(tx: Tx, row: Row[Any], due: float) -> None:
    """Set when the part behind this one may be sent, unless it was tried already."""
    following = (outbound.c.reply_id == row.reply_id) & (outbound.c.number == row.number + 1)
    tx.run(update(outbound).where(following, _PLANNED, outbound.c.attempts == 0).values(due=due))


def lock_provider_id(tx: Tx, platform: Platform, provider_id: str) -> None:
    """Serialise an acceptance and a status that has only the provider's id, so that one of them sees the other."""
    if tx.connection.dialect.name == "postgresql":
        tx.run(select(func.pg_advisory_xact_lock(func.hashtext(db_safe(f"{platform} {provider_id}")))))


def note_acceptance(tx: Tx, row: Row[Any], provider_id: str, segments: int | None, cost_usd: float = 0.0) -> Row[Any]:
    """Move the part to accepted, unless an earlier status has moved it further; the changed row.

    What the attempt costs is added to the part and to the charges of its user.
    """
    segments = segments or row.segments
    changes: dict[str, Any] = {"provider_id": provider_id, "lease_until": 0, "segments": segments}
    counted = row.segments
    if awaits_acceptance(row):
        changes["accepted_at"] = tx.now
        counted = 0
    tx.count(Platform(row.platform), "segments", segments - counted)
    if cost_usd:
        charge(tx, Platform(row.platform), UserId(row.user_id), cost_usd, segments_out=segments)
        changes["cost_usd"] = (row.cost_usd or 0.0) + cost_usd
    return set_state(tx, row, advance(PartState(row.state), PartState.ACCEPTED), **changes)


def awaits_acceptance(row: Row[Any]) -> bool:
    """Whether the part is sent for the first time, or again after it was lost."""
    return row.accepted_at is None or row.state in OPEN_PART_STATES


def postpone_part(tx: Tx, part: Part, state: PartState, due: float, error: SendError) -> None:
    """End a claim until `due`. Raises LeaseLost.

    The part no longer waits for redelivery, so `retry_now` does not make it due.
    """
    row = _claimed(tx, part)
    changes = {"due": due, "lease_until": 0, "accepted_at": None, "error_code": error.code, "error": error.message}
    if row.attempted_at is not None:  # an attempt in the future was made before the clock was set back
        changes["attempted_at"] = min(row.attempted_at, tx.now)
    set_state(tx, row, state, **changes)


def fail_part(
    tx: Tx, part: Part, error: SendError, user_state: UserState | None, notice: Sequence[PlannedPart]
) -> None:
    """Fail a claimed part for good, with its consequences; see `record_failed`. Raises LeaseLost."""
    tx.locked_user(part.platform, part.user_id)
    row = _claimed(tx, part)
    row = set_state(tx, row, PartState.FAILED, lease_until=0, error_code=error.code, error=error.message)
    _after_failure(tx, row, user_state)
    if row.origin != Origin.NOTICE:
        plan_notice(tx, part.platform, part.user_id, notice)


def _after_failure(tx: Tx, row: Row[Any], user_state: UserState | None) -> None:
    """Cancel the rest of the reply, correct the history and change the user."""
    cancel_parts(tx, outbound.c.reply_id == row.reply_id, "an earlier part could not be sent")
    _trim_history(tx, ReplyId(row.reply_id))
    if user_state is not None:
        user = (Platform(row.platform), UserId(row.user_id))
        tx.run(update(users).where(of_user(users, *user)).values(state=user_state, updated_at=tx.now))
        cancel_parts(tx, of_user(outbound, *user), f"the user is {user_state}")


def cancel_parts(tx: Tx, which: Any, reason: str) -> None:
    """Cancel the planned parts that match `which`, and remove their unsent text from the history."""
    rows = tx.run(select(outbound).where(which, _PLANNED).with_for_update()).all()
    for row in rows:
        set_state(tx, row, PartState.CANCELED, error=reason, lease_until=0)
    for reply_id in {row.reply_id for row in rows}:
        _trim_history(tx, ReplyId(reply_id))


def _trim_history(tx: Tx, reply_id: ReplyId) -> None:
    """Reduce the history message of a reply to its parts that were accepted or are under way, or delete it."""
    message = tx.run(select(conversations).where(conversations.c.reply_id == reply_id)).first()
    if message is None:
        return
    parts = select(outbound.c.source).where(outbound.c.reply_id == reply_id, outbound.c.state.in_(_SEEN_OR_UNDER_WAY))
    seen = [row.source for row in tx.run(parts.order_by(outbound.c.number)).all()]
    if seen:
        tx.run(update(conversations).where(conversations.c.id == message.id).values(message="".join(seen)))
    else:
        tx.run(delete(conversations).where(conversations.c.id == message.id))
        tx.count_messages(Platform(message.platform), UserId(message.user_id), -1)


def retry_now(tx: Tx, platform: Platform, user_id: UserId) -> None:
    """Make the user's parts that wait for redelivery, or for the user, due now: who writes is reachable again."""
    waits = _PLANNED & (outbound.c.due > tx.now)
    waits &= outbound.c.accepted_at.is_not(None) | (outbound.c.due > tx.now + LONGEST_DELAY)
    tx.run(update(outbound).where(of_user(outbound, platform, user_id), waits).values(due=tx.now))


def apply_status(
    tx: Tx,
    row: Row[Any],
    state: PartState,
    code: str | None = None,
    error: str | None = None,
    user_state: UserState | None = None,
) -> Row[Any]:
    """Move the part to the reported state if that is forward; the row afterwards."""
    if advance(PartState(row.state), state) == row.state:
        return row
    row = set_state(tx, row, state, **({"error_code": code, "error": error or ""} if code else {}))
    if state in LOST:
        _after_failure(tx, row, user_state)
    elif state in ON_ITS_WAY and row.number < row.part_count:
        _delay_next(tx, row, tx.now)
    return row
