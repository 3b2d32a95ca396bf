"""Messages that are kept unanswered: until their user registers, or comes back after an opt-out.

They keep their content, are no part of the queue, and return to it in their order.
"""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import delete, select, update

from relay.core.messages import InboundId, Outcome, Platform, UserId
from relay.storage.schema import conversations, in_states, inbound, is_open
from relay.storage.transactions import Tx, of_user

MAX_RELEASED: Final = 20
MAX_HELD_SECONDS: Final = 3 * 86_400.0
"""An older question is not answered any more when its user comes back."""


def as_held(now: float, reason: str) -> dict[str, Any]:
    """The columns of a message that is held from now on; the caller may add an outcome."""
    return {
        "state": "held",
        "reason": reason,
        "error": None,
        "owner": None,
        "lease_until": 0,
        "finished_at": now,
        "updated_at": now,
    }


def hold_open(tx: Tx, platform: Platform, user_id: UserId, before: InboundId, reason: str) -> list[tuple[str, float]]:
    """Hold the user's open messages that were stored before this one; claims on them end. Their (text, received_at)."""
    earlier = of_user(inbound, platform, user_id) & is_open(inbound) & (inbound.c.id < before)
    changes = {**as_held(tx.now, reason), "outcome": Outcome.SILENT}
    rows = tx.run(update(inbound).where(earlier).values(changes).returning(inbound)).all()
    return [(row.body["text"], row.received_at) for row in sorted(rows, key=lambda row: int(row.id))]


def release(tx: Tx, platform: Platform, user_id: UserId) -> None:
    """Return the latest held messages to the queue, and discard the others.

    Their texts leave the history, to which they are added again when they are answered.
    """
    theirs = of_user(inbound, platform, user_id) & in_states(inbound, "held")
    late = theirs & (inbound.c.received_at > tx.now - MAX_HELD_SECONDS)
    rows = tx.run(select(inbound).where(late).order_by(inbound.c.id.desc()).limit(MAX_RELEASED)).all()
    removed = 0
    for row in rows:
        again = {"state": "received", "due": tx.now, "outcome": None, "reason": None, "finished_at": None}
        tx.run(update(inbound).where(inbound.c.id == row.id).values(**again, updated_at=tx.now))
        same = (conversations.c.timestamp == row.received_at) & (conversations.c.role == "user")
        shown = of_user(conversations, platform, user_id) & same & conversations.c.in_context.is_(False)
        removed += int(tx.run(delete(conversations).where(shown)).rowcount)
    tx.count_messages(platform, user_id, -removed)
    discard(tx, platform, user_id)


def discard(tx: Tx, platform: Platform, user_id: UserId) -> None:
    """End the user's held messages without an answer, and delete their content."""
    theirs = of_user(inbound, platform, user_id) & in_states(inbound, "held")
    tx.run(update(inbound).where(theirs).values(state="done", body=None, raw=None, updated_at=tx.now))
