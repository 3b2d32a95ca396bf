"""The rows of the inbox inside a transaction: stored once, claimed from the head of a person's line, finished once."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import Any

from sqlalchemy import func, select, update

from relay.errors import LeaseLost
from relay.messages import Claim, InboundId, InboundMessage, Kind, Platform, UserId, storable
from relay.people import touch_user
from relay.schema import inbound
from relay.transactions import Tx, of_person


def store_message(tx: Tx, message: InboundMessage, raw: str) -> InboundId | None:
    message = replace(message, text=storable(message.text))
    finished = message.kind is Kind.SERVICE
    statement = tx.insert(inbound).values(
        platform=message.platform,
        external_id=message.external_id,
        user_id=message.user_id,
        state="done" if finished else "received",
        outcome="ignored" if finished else None,
        body=None if finished else asdict(message),
        raw=None if finished else storable(raw),
        received_at=message.received_at,
        due=tx.now,
        finished_at=tx.now if finished else None,
    )
    row = tx.run(statement.on_conflict_do_nothing().returning(inbound.c.id)).first()
    if row is None:
        return None
    tx.count(message.platform, "inbound")
    if message.kind in {Kind.TEXT, Kind.MEDIA, Kind.EDITED}:
        touch_user(tx, message.platform, message.user_id, username=message.username, language=message.language)
    return InboundId(row.id)


def store_dead_letter(tx: Tx, platform: Platform, external_id: str, raw: str, reason: str) -> InboundId | None:
    statement = tx.insert(inbound).values(
        platform=platform,
        external_id=storable(external_id),
        state="dead",
        outcome="not understood",
        error=storable(reason),
        raw=storable(raw),
        received_at=tx.now,
        due=tx.now,
        finished_at=tx.now,
    )
    row = tx.run(statement.on_conflict_do_nothing().returning(inbound.c.id)).first()
    if row is None:
        return None
    tx.count(platform, "inbound")
    tx.count(platform, "dead_letters")
    return InboundId(row.id)


def claim_head(tx: Tx, platform: Platform, user_id: UserId, owner: str, lease: float) -> Claim | None:
    """Only the head of the line can be claimed: that is the order."""
    open_rows = of_person(inbound, platform, user_id) & (inbound.c.state == "received")
    head = select(func.min(inbound.c.id)).where(open_rows).scalar_subquery()
    free = (inbound.c.due <= tx.now) & (inbound.c.lease_until < tx.now)
    claimed = (
        update(inbound)
        .where(inbound.c.id == head, inbound.c.state == "received", free)
        .values(owner=owner, lease_until=tx.now + lease, tries=inbound.c.tries + 1)
        .returning(inbound)
    )
    row = tx.run(claimed).first()
    if row is None:
        return None
    return Claim(
        InboundId(row.id),
        _message(row.body),
        owner,
        row.tries,
        row.failures,
        row.noticed_at is not None,
        row.lease_until,
    )


def _message(body: dict[str, Any]) -> InboundMessage:
    known = {**body, "platform": Platform(body["platform"]), "kind": Kind(body["kind"])}
    return InboundMessage(**{**known, "attachments": tuple(body["attachments"]), "user_id": UserId(body["user_id"])})


def update_claimed(tx: Tx, claim: Claim, changes: dict[str, Any]) -> None:
    """Change a claimed message if the claim still holds: owner and tries are the fence."""
    ours = (inbound.c.id == claim.id) & (inbound.c.owner == claim.owner) & (inbound.c.tries == claim.tries)
    if tx.run(update(inbound).where(ours, inbound.c.state == "received").values(changes)).rowcount == 0:
        raise LeaseLost(f"message {claim.id} is no longer ours")


def finish(tx: Tx, claim: Claim, *, state: str, outcome: str, error: str | None) -> None:
    changes: dict[str, Any] = {
        "state": state,
        "outcome": outcome,
        "error": error,
        "lease_until": 0,
        "finished_at": tx.now,
    }
    if state == "done":
        # From now on what was said lives in the history, where it can be cleared; the row stays against repeats.
        changes |= {"body": None, "raw": None}
    update_claimed(tx, claim, changes)
