"""The rows of the inbox inside a transaction: stored once, claimed from the head of a user's line, finished once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from sqlalchemy import Connection, bindparam, func, select, update

from relay.core.errors import LeaseLost
from relay.core.messages import Claim, InboundId, InboundMessage, Kind, Outcome, Platform, UserId, db_safe_value
from relay.storage.schema import in_states, inbound
from relay.storage.transactions import Tx, Upsert, of_bound_user, user_parameters
from relay.storage.users import touch_user

_STORE = Upsert(inbound, lambda row: row.on_conflict_do_nothing().returning(inbound.c.id))

_head = select(func.min(inbound.c.id)).where(of_bound_user(inbound), in_states(inbound, "received")).scalar_subquery()
_CLAIM = (
    update(inbound)
    .where(inbound.c.id == _head, in_states(inbound, "received"))
    .where(inbound.c.due <= bindparam("moment"), inbound.c.lease_until < bindparam("moment"))
    .values(owner=bindparam("claimer"), lease_until=bindparam("until"), tries=inbound.c.tries + 1)
    .returning(inbound)
)

_CHANGE_CLAIMED = (
    update(inbound)
    .where(inbound.c.id == bindparam("claimed"), in_states(inbound, "received"))
    .where(inbound.c.owner == bindparam("claimer"), inbound.c.tries == bindparam("fence"))
    .returning(inbound.c.user_id)
)


_MERGE = (
    update(inbound)
    .where(inbound.c.id == bindparam("merged"), in_states(inbound, "received"))
    .values(
        state="done",
        outcome=Outcome.ANSWERED,
        reason=bindparam("why"),
        lease_until=0,
        finished_at=bindparam("moment"),
        body=None,
        raw=None,
    )
)

_DEAD_LETTER = (
    update(inbound)
    .where(inbound.c.id == bindparam("merged"), in_states(inbound, "received"))
    .values(
        state="dead", outcome=Outcome.GAVE_UP, error=bindparam("why"), lease_until=0, finished_at=bindparam("moment")
    )
)

_WAITING = (
    select(inbound.c.id, inbound.c.body, inbound.c.user_id)
    .where(of_bound_user(inbound), in_states(inbound, "received"), inbound.c.id > bindparam("claimed"))
    .order_by(inbound.c.id)
    .limit(bindparam("most"))
)


def store_message(tx: Tx, message: InboundMessage, raw: str) -> InboundId | None:
    finished = message.kind is Kind.SERVICE
    values = {
        "platform": message.platform,
        "external_id": message.external_id,
        "user_id": message.user_id,
        "state": "done" if finished else "received",
        "outcome": Outcome.IGNORED if finished else None,
        "body": None if finished else db_safe_value(asdict(message)),
        "raw": None if finished else raw,
        "received_at": message.received_at,
        "due": tx.now,
        "finished_at": tx.now if finished else None,
    }
    row = tx.run(_STORE, values).first()
    if row is None:
        return None
    tx.count(message.platform, "inbound")
    if message.kind in {Kind.TEXT, Kind.MEDIA, Kind.EDITED}:
        touch_user(tx, message.platform, message.user_id, username=message.username, language=message.language)
    return InboundId(row.id)


def store_dead_letter(tx: Tx, platform: Platform, external_id: str, raw: str, reason: str) -> InboundId | None:
    values = {
        "platform": platform,
        "external_id": external_id,
        "state": "dead",
        "outcome": Outcome.NOT_UNDERSTOOD,
        "error": reason,
        "raw": raw,
        "received_at": tx.now,
        "due": tx.now,
        "finished_at": tx.now,
    }
    row = tx.run(_STORE, values).first()
    if row is None:
        return None
    tx.count(platform, "inbound")
    tx.count(platform, "dead_letters")
    return InboundId(row.id)


def claim_head(tx: Tx, platform: Platform, user_id: UserId, owner: str, lease: float) -> Claim | None:
    """Only the head of the line can be claimed: that is the order."""
    values = {**user_parameters(platform, user_id), "moment": tx.now, "claimer": owner, "until": tx.now + lease}
    row = tx.run(_CLAIM, values).first()
    if row is None:
        return None
    return Claim(
        InboundId(row.id),
        _message(row.body, UserId(row.user_id)),
        owner,
        row.tries,
        row.failures,
        row.noticed_at is not None,
        row.lease_until,
    )


def _message(body: dict[str, Any], user_id: UserId) -> InboundMessage:
    """What was stored; the address is the row's, because a user may have moved since."""
    known = {"platform": Platform(body["platform"]), "kind": Kind(body["kind"]), "user_id": user_id}
    return InboundMessage(**{**body, **known, "attachments": tuple(body["attachments"])})


def update_claimed(tx: Tx, claim: Claim, changes: dict[str, Any]) -> UserId:
    """Change a claimed message if the claim holds, by owner and attempts (the fencing token); the user it is of now."""
    fence = {"claimed": claim.id, "claimer": claim.owner, "fence": claim.attempts}
    row = tx.run(_CHANGE_CLAIMED, {**changes, **fence}).first()
    if row is None:
        raise LeaseLost(f"message {claim.id} is no longer ours")
    return UserId(row.user_id)


def following(connection: Connection, claim: Claim, most: int) -> tuple[tuple[InboundId, InboundMessage], ...]:
    """What waits behind a claimed message. Nobody else can claim it: only the head of a line can be claimed."""
    message = claim.message
    values = {**user_parameters(message.platform, message.user_id), "claimed": claim.id, "most": most}
    rows = connection.execute(_WAITING, values)
    return tuple((InboundId(row.id), _message(row.body, UserId(row.user_id))) for row in rows)


def finish_merged(tx: Tx, claim: Claim, merged: Sequence[InboundId]) -> None:
    """Finish what was answered together with a claimed message."""
    values = [{"merged": row, "why": f"with {claim.id}", "moment": tx.now} for row in merged]
    if values:
        tx.run(_MERGE, values)


def dead_letter_merged(tx: Tx, merged: Sequence[InboundId], error: str) -> None:
    """Give up what was asked together with a message that is given up."""
    values = [{"merged": row, "why": error, "moment": tx.now} for row in merged]
    if values:
        tx.run(_DEAD_LETTER, values)


def finish(
    tx: Tx, claim: Claim, *, state: str, outcome: Outcome, reason: str | None = None, error: str | None = None
) -> UserId:
    changes: dict[str, Any] = {
        "state": state,
        "outcome": outcome,
        "reason": reason,
        "error": error,
        "lease_until": 0,
        "finished_at": tx.now,
    }
    if state == "done":
        # From now on what was said lives in the history, where it can be cleared; the row stays against repeats.
        changes |= {"body": None, "raw": None}
    return update_claimed(tx, claim, changes)
