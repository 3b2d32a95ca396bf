"""What operators do about failures, inside a transaction: send again, cancel, answer again, dismiss.

A failed part is never sent under its old name: what was not sent of its reply is planned anew, so that states, counters
and history stay those of what happened. Dismissed failures stay in the tables and leave the lists.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from sqlalchemy import Row, delete, select, update

from relay.core.errors import NotRepaired
from relay.core.messages import SILENT_STATES, Outcome, Platform, UserId
from relay.core.parts import Origin, PartState, PlannedPart
from relay.storage import audit
from relay.storage.handover import leave_open_messages
from relay.storage.holds import try_now
from relay.storage.parts import LOST, cancel_parts
from relay.storage.planning import plan_parts
from relay.storage.schema import conversations, inbound, is_open, outbound
from relay.storage.transactions import Tx, of_user


def send_again(tx: Tx, part_id: str) -> Row[Any]:
    """Plan a failed part and what was canceled behind it as a new reply, and dismiss it. Raises NotRepaired."""
    row = _failed_part(tx, part_id)
    platform, user_id = Platform(row.platform), UserId(row.user_id)
    user = tx.locked_user(platform, user_id)
    if user is None or user.state in SILENT_STATES:
        raise NotRepaired(f"nothing may be sent to this person, who is {user.state if user else 'unknown'}")
    reply = tx.run(select(outbound).where(outbound.c.reply_id == row.reply_id).order_by(outbound.c.number)).all()
    lost = [one for one in reply if one.state in LOST and one.dismissed_at is None]
    again = [one for one in reply if one in lost or (one.state == PartState.CANCELED and one.number > lost[0].number)]
    parts = [PlannedPart(one.text, one.source, one.style, one.segments) for one in again]
    topic = (row.reply_to or "").partition("/")[2] or None
    plan_parts(tx, platform, user_id, parts, Origin(row.origin), None, topic=topic, sender=row.sender)
    for one in lost:
        _dismiss(tx, one)
    return row


def dismiss_part(tx: Tx, part_id: str) -> Row[Any]:
    """Take a failed part out of the lists. Raises NotRepaired."""
    row = _failed_part(tx, part_id)
    _dismiss(tx, row)
    return row


def cancel(tx: Tx, part_id: str) -> Row[Any]:
    """Cancel what is not sent yet of a part's reply. Raises NotRepaired."""
    row = _part(tx, part_id)
    if row.state != PartState.PLANNED:
        raise NotRepaired("it is being sent, or was sent")
    cancel_parts(tx, outbound.c.reply_id == row.reply_id, "canceled by the operator")
    return row


def send_now(tx: Tx, part_id: str) -> Row[Any]:
    """Make what waits of a part's reply for its next try due now; of a held country it is the trial.

    Raises NotRepaired.
    """
    row = _part(tx, part_id)
    if row.state not in {PartState.PLANNED, PartState.UNKNOWN} or row.due <= tx.now:
        raise NotRepaired("it is due already, is being sent, or was sent")
    try_now(tx, Platform(row.platform), row.error_code)
    waits = (outbound.c.reply_id == row.reply_id) & is_open(outbound) & (outbound.c.due > tx.now)
    tx.run(update(outbound).where(waits).values(due=tx.now, updated_at=tx.now))
    return row


def answer_now(tx: Tx, inbound_id: str) -> Row[Any]:
    """Make a message that waits for its next try due now. Raises NotRepaired."""
    row = _waiting(tx, inbound_id)
    if row.due <= tx.now:
        raise NotRepaired("it is due already, or is being answered")
    tx.run(update(inbound).where(inbound.c.id == row.id).values(due=tx.now, updated_at=tx.now))
    return row


def leave(tx: Tx, inbound_id: str) -> Row[Any]:
    """Leave a waiting message without an answer, and drop one under way. Raises NotRepaired."""
    row = _waiting(tx, inbound_id)
    platform, user_id = Platform(row.platform), UserId(row.user_id)
    leave_open_messages(tx, platform, user_id, Outcome.SILENT, "left without an answer by the operator", row.id)
    return row


def answer_again(tx: Tx, inbound_id: str) -> Row[Any]:
    """Return a dead letter that was given up to the queue, as if it had come now. Raises NotRepaired."""
    row = _letter(tx, inbound_id)
    if row.outcome != Outcome.GAVE_UP or row.body is None or row.user_id is None:
        raise NotRepaired("what came in could not be read, so it cannot be answered")
    platform, user_id = Platform(row.platform), UserId(row.user_id)
    tx.locked_user(platform, user_id)
    body = {**row.body, "received_at": tx.now}
    again = {"state": "received", "body": body, "due": tx.now, "tries": 0, "failures": 0, "unusable": 0}
    cleared = {"outcome": None, "reason": None, "error": None, "finished_at": None, "noticed_at": None, "owner": None}
    tx.run(update(inbound).where(inbound.c.id == row.id).values(**again, **cleared, updated_at=tx.now))
    tx.count(platform, "dead_letters", -1)
    # Its text enters the history again together with its answer.
    same = (conversations.c.timestamp == row.body["received_at"]) & (conversations.c.message == row.body["text"])
    theirs = of_user(conversations, platform, user_id) & (conversations.c.role == "user")
    shown = theirs & same & conversations.c.in_context.is_(False)
    tx.count_messages(platform, user_id, -int(tx.run(delete(conversations).where(shown)).rowcount))
    return row


def dismiss_letter(tx: Tx, inbound_id: str) -> Row[Any]:
    """Take a dead letter out of the lists. Raises NotRepaired."""
    row = _letter(tx, inbound_id)
    tx.run(update(inbound).where(inbound.c.id == row.id).values(state="done", updated_at=tx.now))
    tx.count(Platform(row.platform), "dead_letters", -1)
    return row


REPAIRS: Mapping[str, Callable[[Tx, str], Row[Any]]] = {
    "send-again": send_again,
    "dismiss": dismiss_part,
    "cancel": cancel,
    "send-now": send_now,
    "answer-now": answer_now,
    "leave": leave,
    "answer-again": answer_again,
    "dismiss-letter": dismiss_letter,
}
"""The acts on one row by name; those about sending take the id of a part, the others that of an inbound message."""


def repair(tx: Tx, act: str, row_id: str, who: str) -> tuple[Platform, UserId | None]:
    """Do one act and record it; whom it concerned. Raises NotRepaired."""
    row = REPAIRS[act](tx, row_id)
    platform, user_id = Platform(row.platform), None if row.user_id is None else UserId(row.user_id)
    audit.record(tx, who, act, platform, user_id, str(row_id))
    return platform, user_id


def _failed_part(tx: Tx, part_id: str) -> Row[Any]:
    row = _part(tx, part_id)
    if row.state not in LOST or row.dismissed_at is not None:
        raise NotRepaired("it did not fail, or was dealt with already")
    return row


def _part(tx: Tx, part_id: str) -> Row[Any]:
    """The locked row; its user is locked before, in the order of all transactions."""
    whose = tx.run(select(outbound.c.platform, outbound.c.user_id).where(outbound.c.part_id == part_id)).first()
    if whose is not None:
        tx.locked_user(Platform(whose.platform), UserId(whose.user_id))
    row: Row[Any] | None = tx.run(select(outbound).where(outbound.c.part_id == part_id).with_for_update()).first()
    if row is None:
        raise NotRepaired("there is no such part any more")
    return row


def _letter(tx: Tx, inbound_id: str) -> Row[Any]:
    row = _message(tx, inbound_id)
    if row is None or row.state != "dead":
        raise NotRepaired("there is no such dead letter any more")
    return row


def _waiting(tx: Tx, inbound_id: str) -> Row[Any]:
    row = _message(tx, inbound_id)
    if row is None or row.state != "received":
        raise NotRepaired("it does not wait any more")
    return row


def _message(tx: Tx, inbound_id: str) -> Row[Any] | None:
    """The locked row of an inbound message."""
    number = int(inbound_id) if inbound_id.isdecimal() and len(inbound_id) < 19 else -1
    row: Row[Any] | None = tx.run(select(inbound).where(inbound.c.id == number).with_for_update()).first()
    return row


def _dismiss(tx: Tx, row: Row[Any]) -> None:
    tx.run(update(outbound).where(outbound.c.id == row.id).values(dismissed_at=tx.now, updated_at=tx.now))
    tx.count(Platform(row.platform), "dismissed_parts")
