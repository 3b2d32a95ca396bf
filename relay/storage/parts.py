"""The rows of the outbox inside a transaction: parts are planned, claimed, moved from state to state, never backwards.

Every change of a state goes through `set_part_state`, which keeps the counters true. Whether a reply is still what the
user saw is decided here as well: `trim_history` takes out of the history what could not be sent.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Any, cast

from sqlalchemy import Row, bindparam, delete, func, select, update

from relay.core.channel import history_text
from relay.core.errors import LeaseLost, SendError
from relay.core.messages import (
    OPEN_PART_STATES,
    Answer,
    Claim,
    DeliveryEvent,
    NextTry,
    Origin,
    Part,
    PartId,
    PartState,
    PlannedPart,
    Platform,
    Receipt,
    ReplyId,
    UserId,
    UserState,
    advance,
    db_safe,
)
from relay.storage.history import add_message
from relay.storage.schema import conversations, delivery_events, in_states, outbound, users
from relay.storage.transactions import Tx, Upsert, of_bound_user, of_user, user_parameters

_PLANNED = in_states(outbound, *OPEN_PART_STATES) & in_states(outbound, PartState.PLANNED)
_UNDER_WAY = in_states(outbound, *OPEN_PART_STATES) & in_states(outbound, PartState.SENDING, PartState.UNKNOWN)
"""Some of the open states, written with all of them: SQLite does not infer that the index of open rows fits."""

_SEEN = (PartState.ACCEPTED, PartState.SENT, PartState.DELIVERED, PartState.READ)
_LOST = (PartState.FAILED, PartState.UNDELIVERED)

_PLAN = outbound.insert()
_HEAD = (
    select(outbound)
    .where(of_bound_user(outbound), in_states(outbound, *OPEN_PART_STATES))
    .order_by(outbound.c.id)
    .limit(1)
    .with_for_update()
)
_LOCKED = select(outbound).where(outbound.c.part_id == bindparam("part")).with_for_update()
_CHANGE = update(outbound).where(outbound.c.id == bindparam("row")).returning(outbound)
_OF_PROVIDER = select(outbound.c.part_id).where(
    outbound.c.platform == bindparam("of_platform"), outbound.c.provider_id == bindparam("provider")
)
_EARLY = (
    select(delivery_events)
    .where(delivery_events.c.platform == bindparam("of_platform"))
    .where(delivery_events.c.provider_id == bindparam("provider"), delivery_events.c.applied.is_(False))
    .order_by(delivery_events.c.id)
)
_IS_LOST = (
    select(delivery_events.c.id)
    .where(delivery_events.c.platform == bindparam("of_platform"), delivery_events.c.applied.is_(True))
    .where(delivery_events.c.provider_id == bindparam("provider"), in_states(delivery_events, *_LOST))
)
_APPLIED = update(delivery_events).where(delivery_events.c.id == bindparam("event")).values(applied=True)
_KEEP = Upsert(delivery_events, lambda row: row.on_conflict_do_nothing().returning(delivery_events.c.id))


def plan_parts(
    tx: Tx,
    platform: Platform,
    user_id: UserId,
    parts: Sequence[PlannedPart],
    origin: Origin,
    claim: Claim | None,
    answer: Answer | None = None,
    *,
    in_context: bool = False,
    remember: bool = True,
) -> ReplyId | None:
    """Plan the parts of one reply and write it into the history as the user will read it.

    The user's row must be locked by now: that is what keeps the parts of two replies from mixing.
    """
    if not parts:
        return None
    reply_id = ReplyId(uuid.uuid4().hex)
    common = {
        "reply_id": reply_id,
        "platform": platform,
        "user_id": user_id,
        "inbound_id": claim.id if claim else None,
        "reply_to": claim.message.reply_to if claim else None,
        "origin": origin,
        "part_count": len(parts),
        "state": PartState.PLANNED,
        "due": tx.now,
        "created_at": tx.now,
        "updated_at": tx.now,
    }
    rows = [
        {
            **common,
            "part_id": uuid.uuid4().hex,
            "number": number,
            "text": part.text,
            "source": part.history_text,
            "style": part.style,
            "segments": part.segments,
        }
        for number, part in enumerate(parts, 1)
    ]
    tx.run(_PLAN, rows)
    tx.count(platform, f"part:{PartState.PLANNED}", len(rows))
    if remember:
        words = history_text(parts)
        add_message(tx, platform, user_id, "assistant", words, in_context=in_context, reply_id=reply_id, answer=answer)
    return reply_id


def claim_part(tx: Tx, platform: Platform, user_id: UserId, owner: str, lease: float, *, mark: bool) -> Part | None:
    head = tx.run(_HEAD, user_parameters(platform, user_id)).first()
    if head is None or head.due > tx.now or head.lease_until >= tx.now:
        return None
    outcome_unknown = head.state != PartState.PLANNED
    changes: dict[str, Any] = {"owner": owner, "lease_until": tx.now + lease, "attempts": head.attempts + 1}
    state = PartState.UNKNOWN if outcome_unknown else PartState.PLANNED
    if mark and not outcome_unknown:
        state, changes["attempted_at"] = PartState.SENDING, tx.now
    return to_part(set_part_state(tx, head, state, **changes), outcome_unknown=outcome_unknown)


def to_part(row: Row[Any], *, outcome_unknown: bool) -> Part:
    return Part(
        id=PartId(row.part_id),
        platform=Platform(row.platform),
        user_id=UserId(row.user_id),
        number=row.number,
        count=row.part_count,
        text=row.text,
        style=row.style,
        reply_to=row.reply_to,
        created_at=row.created_at,
        owner=row.owner,
        attempts=row.attempts,
        lease_until=row.lease_until,
        outcome_unknown=outcome_unknown,
        attempted_at=row.attempted_at,
        resends=row.resends,
    )


def set_part_state(tx: Tx, row: Row[Any], state: PartState, **changes: Any) -> Row[Any]:
    """Change a part and keep the counters of the states true."""
    if state != row.state:
        platform = Platform(row.platform)
        tx.count(platform, f"part:{row.state}", -1)
        tx.count(platform, f"part:{state}")
    values = {"row": row.id, "state": state, "updated_at": tx.now, **changes}
    return cast("Row[Any]", tx.run(_CHANGE, values).one())


def _locked(tx: Tx, part_id: PartId) -> Row[Any] | None:
    return cast("Row[Any] | None", tx.run(_LOCKED, {"part": part_id}).first())


def claimed_part(tx: Tx, part: Part) -> Row[Any]:
    """The row of a claimed part, locked, if the claim still holds: owner and attempts are the fencing token."""
    row = _locked(tx, part.id)
    if row is None or row.owner != part.owner or row.attempts != part.attempts or row.state not in OPEN_PART_STATES:
        raise LeaseLost(f"part {part.id} is no longer ours")
    return row


def begin_part(tx: Tx, part: Part, lease: float) -> Part:
    """Mark a claimed part as being sent; one of unknown fate is repeated with that, which is counted."""
    row = claimed_part(tx, part)
    changes: dict[str, Any] = {"attempted_at": tx.now, "lease_until": tx.now + lease}
    if part.outcome_unknown:
        changes |= {"resends": row.resends + 1, "attempts": row.attempts + 1}
        tx.count(part.platform, "resends")
    return to_part(set_part_state(tx, row, PartState.SENDING, **changes), outcome_unknown=False)


def accept_part(tx: Tx, part: Part, receipt: Receipt) -> None:
    """Note the acceptance, then whatever the provider reported about it before we knew its id of the part."""
    _lock_provider_id(tx, part.platform, receipt.provider_id)
    row = _locked(tx, part.id)
    if row is None:
        return  # forgotten meanwhile, together with the user
    if row.state in OPEN_PART_STATES and _is_lost(tx, part.platform, receipt.provider_id):
        return  # the report of its loss came first, and the part is planned again
    row = _note_acceptance(tx, row, receipt.provider_id, receipt.segments)
    row = _apply_status(tx, row, receipt.state)
    early = tx.run(_EARLY, {"of_platform": part.platform, "provider": receipt.provider_id}).all()
    for event in early:
        row = _apply_status(tx, row, PartState(event.state), event.error_code, event.error)
        tx.run(_APPLIED, {"event": event.id})


def _lock_provider_id(tx: Tx, platform: Platform, provider_id: str) -> None:
    """An acceptance and a report that names nothing but the provider's id must not pass each other unseen."""
    if tx.connection.dialect.name == "postgresql":
        tx.run(select(func.pg_advisory_xact_lock(func.hashtext(db_safe(f"{platform} {provider_id}")))))


def _note_acceptance(tx: Tx, row: Row[Any], provider_id: str, segments: int | None) -> Row[Any]:
    """The provider has the part; a report that came earlier may already have brought it further."""
    segments = segments or row.segments
    changes: dict[str, Any] = {"provider_id": provider_id, "lease_until": 0, "segments": segments}
    counted = row.segments
    if _awaits_acceptance(row):
        changes["accepted_at"] = tx.now
        counted = 0
    tx.count(Platform(row.platform), "segments", segments - counted)
    return set_part_state(tx, row, advance(PartState(row.state), PartState.ACCEPTED), **changes)


def _awaits_acceptance(row: Row[Any]) -> bool:
    """One that was lost on its way and is sent again was accepted before, and will be again."""
    return row.accepted_at is None or row.state in OPEN_PART_STATES


def postpone_part(tx: Tx, part: Part, state: PartState, due: float, error: SendError) -> None:
    """Give a claimed part back until `due`. It no longer waits for redelivery, which `retry_now` would make due now."""
    row = claimed_part(tx, part)
    changes = {"due": due, "lease_until": 0, "accepted_at": None, "error_code": error.code, "error": error.message}
    set_part_state(tx, row, state, **changes)


def fail_part(tx: Tx, part: Part, error: SendError, user_state: UserState | None) -> Origin:
    """End a part that will never be sent, and what depends on it; why its reply was sent."""
    tx.locked_user(part.platform, part.user_id)
    row = claimed_part(tx, part)
    row = set_part_state(tx, row, PartState.FAILED, lease_until=0, error_code=error.code, error=error.message)
    _after_failure(tx, row, user_state)
    return Origin(row.origin)


def _after_failure(tx: Tx, row: Row[Any], user_state: UserState | None) -> None:
    """What follows when a part will not be seen: the rest of the reply, the history, the user."""
    cancel_parts(tx, outbound.c.reply_id == row.reply_id, "an earlier part could not be sent")
    trim_history(tx, ReplyId(row.reply_id))
    if user_state is not None:
        user = (Platform(row.platform), UserId(row.user_id))
        tx.run(update(users).where(of_user(users, *user)).values(state=user_state, updated_at=tx.now))
        cancel_parts(tx, of_user(outbound, *user), f"the user is {user_state}")


def cancel_parts(tx: Tx, which: Any, reason: str) -> None:
    """Cancel the planned parts among `which`, and take their replies out of the history as far as nobody saw them."""
    rows = tx.run(select(outbound).where(which, _PLANNED).with_for_update()).all()
    for row in rows:
        set_part_state(tx, row, PartState.CANCELED, error=reason, lease_until=0)
    for reply_id in {row.reply_id for row in rows}:
        trim_history(tx, ReplyId(reply_id))


def trim_history(tx: Tx, reply_id: ReplyId) -> None:
    """Leave of a broken reply what the user saw: its parts that were accepted, or no message at all."""
    message = tx.run(select(conversations).where(conversations.c.reply_id == reply_id)).first()
    if message is None:
        return
    parts = select(outbound.c.source).where(outbound.c.reply_id == reply_id, outbound.c.state.in_(_SEEN))
    seen = [row.source for row in tx.run(parts.order_by(outbound.c.number)).all()]
    if seen:
        tx.run(update(conversations).where(conversations.c.id == message.id).values(message="".join(seen)))
    else:
        tx.run(delete(conversations).where(conversations.c.id == message.id))
        tx.count_messages(Platform(message.platform), UserId(message.user_id), -1)


def record_status(tx: Tx, event: DeliveryEvent, next_try: NextTry) -> bool:
    part_id = event.part_id or _part_of(tx, event)
    kept = {
        "platform": event.platform,
        "provider_id": event.provider_id,
        "part_id": part_id,
        "state": event.state,
        "error_code": event.error_code or "",
        "error": event.error,
        "received_at": event.received_at,
        "applied": part_id is not None,
    }
    over = _is_lost(tx, event.platform, event.provider_id)
    if tx.run(_KEEP, kept).first() is None:
        return False
    tx.count(event.platform, "delivery_events")
    row = _row_for_status(tx, part_id, event.state) if part_id is not None else None
    if row is not None and not (over and _is_repeated(row, event)):
        if _awaits_acceptance(row):
            row = _note_acceptance(tx, row, event.provider_id, None)
        if not (event.state in _LOST and _plan_again(tx, row, event, next_try)):
            _apply_status(tx, row, event.state, event.error_code, event.error, event.user_state)
    return True


def _is_repeated(row: Row[Any], event: DeliveryEvent) -> bool:
    """Whether the part waits to be sent once more, or was, so that an earlier attempt no longer matters."""
    return row.state in OPEN_PART_STATES or row.provider_id != event.provider_id


def _is_lost(tx: Tx, platform: Platform, provider_id: str) -> bool:
    """Whether this attempt was reported as failed."""
    return tx.run(_IS_LOST, {"of_platform": platform, "provider": provider_id}).first() is not None


def _plan_again(tx: Tx, row: Row[Any], event: DeliveryEvent, next_try: NextTry) -> bool:
    """Plan a part that was lost on its way once more, if there is hope and nothing would come out of order."""
    if advance(PartState(row.state), event.state) == row.state or _would_be_out_of_order(tx, row):
        return False
    pause = next_try(row.attempts, tx.now - row.created_at)
    if pause is None:
        return False
    # The id of the lost attempt stays until there is another, so that settling does not take it for the new one.
    set_part_state(tx, row, PartState.PLANNED, due=tx.now + pause, error_code=event.error_code, error=event.error)
    return True


def _would_be_out_of_order(tx: Tx, row: Row[Any]) -> bool:
    """Whether this user was sent something after this part, or will never see what came before it."""
    after = of_user(outbound, Platform(row.platform), UserId(row.user_id)) & (outbound.c.id > row.id)
    before = (outbound.c.reply_id == row.reply_id) & (outbound.c.number < row.number)
    return any(
        tx.run(select(outbound.c.id).where(which).limit(1)).first() is not None
        for which in (
            after & outbound.c.provider_id.is_not(None),
            after & _UNDER_WAY,
            before & in_states(outbound, *_LOST),
        )
    )


def retry_now(tx: Tx, platform: Platform, user_id: UserId) -> None:
    """Make parts that wait for redelivery due now: a user who writes can be reached again."""
    waits = _PLANNED & (outbound.c.due > tx.now) & outbound.c.accepted_at.is_not(None)
    tx.run(update(outbound).where(of_user(outbound, platform, user_id), waits).values(due=tx.now))


def _part_of(tx: Tx, event: DeliveryEvent) -> PartId | None:
    _lock_provider_id(tx, event.platform, event.provider_id)
    row = tx.run(_OF_PROVIDER, {"of_platform": event.platform, "provider": event.provider_id}).first()
    return PartId(row.part_id) if row else None


def _row_for_status(tx: Tx, part_id: PartId, state: PartState) -> Row[Any] | None:
    """The part, locked; its user first when the report will change them or their history."""
    if state in _LOST:
        whose = tx.run(select(outbound.c.platform, outbound.c.user_id).where(outbound.c.part_id == part_id)).first()
        if whose is not None:
            tx.locked_user(Platform(whose.platform), UserId(whose.user_id))
    return _locked(tx, part_id)


def _apply_status(
    tx: Tx,
    row: Row[Any],
    state: PartState,
    code: str | None = None,
    error: str | None = None,
    user_state: UserState | None = None,
) -> Row[Any]:
    """Move the part as reported, if that is forward; the row as it is then."""
    if advance(PartState(row.state), state) == row.state:
        return row
    row = set_part_state(tx, row, state, **({"error_code": code, "error": error or ""} if code else {}))
    if state in _LOST:
        _after_failure(tx, row, user_state)
    return row
