"""Plans replies in the outbox, inside a transaction, and says how a part is claimed."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from itertools import zip_longest
from typing import Any, cast

from sqlalchemy import select

from relay.core.channel import history_text
from relay.core.messages import SILENT_STATES, Answer, Claim, Kind, Platform, ReplyId, UserId, db_safe_value
from relay.core.parts import Origin, Part, PartState, PlannedPart
from relay.storage.history import add_message
from relay.storage.prepared import Prepared
from relay.storage.replies import revise
from relay.storage.schema import as_columns, outbound
from relay.storage.transactions import Tx, of_user

_PLAN = Prepared(outbound.insert().inline())
_IN_CONTEXT = frozenset((Origin.ANSWER, Origin.OPERATOR, Origin.BROADCAST))
_UNCLAIMED = {"owner": None, "lease_until": 0.0, "attempts": 0, "attempted_at": None, "resends": 0}

_COPIED = [field.name for field in fields(Part) if field.name in outbound.c and field.name not in {"id", "stopped"}]


@dataclass(frozen=True, slots=True)
class PartLease:
    """How a part is claimed: by whom, for how many seconds, and whether it is marked as being sent at once."""

    owner: str
    seconds: float
    mark: bool


@dataclass(frozen=True, slots=True)
class PlannedReply:
    """The id of a planned reply, None without parts, and its first part if that was claimed."""

    reply_id: ReplyId | None = None
    first: Part | None = None


def plan_parts(
    tx: Tx,
    platform: Platform,
    user_id: UserId,
    parts: Sequence[PlannedPart],
    origin: Origin,
    claim: Claim | None,
    answer: Answer | None = None,
    *,
    topic: str | None = None,
    remember: bool = True,
    sender: str | None = None,
    replaces: Sequence[str] = (),
    revises: ReplyId | None = None,
    about: str | None = None,
    lease: PartLease | None = None,
) -> PlannedReply:
    """Plan the parts of one reply, if it has any, and add it to the history as the user will read it.

    They are sent from the address to which the claimed message was written, or from `sender`, or like those before.
    topic: of a message that replies to none. about: of a notice to an operator, its user. replaces: the provider's ids
    of messages that become these parts, in order; those beyond the parts are removed, by parts without text. revises:
    the reply whose place in the history this one takes; with the claim of an edit the question's text changes as well.

    The caller must have locked the user's row, so that the parts of two replies do not mix. With a lease, which is
    given only when no other part of the user is open, the first part is claimed.
    """
    if not (parts or replaces):
        return PlannedReply()
    shared: dict[str, Any] = {
        "platform": platform,
        "user_id": user_id,
        "inbound_id": claim.id if claim else None,
        "reply_to": claim.message.reply_to if claim else (topic and f"/{topic}"),
        "sender": claim.message.to if claim else sender or _latest_sender(tx, platform, user_id),
        "origin": origin,
        "stopped": answer is not None and answer.stopped,
        "about": about,
    }
    rows = _new_rows(tx, parts, shared, replaces)
    reply_id = ReplyId(rows[0]["reply_id"])
    if lease is not None:
        rows[0] |= claiming(tx, lease, PartState.PLANNED, attempts=1)
    tx.run_for_each(_PLAN, rows)
    for row in rows:
        tx.count(platform, f"part:{row['state']}")
    if remember and parts:
        _remember(tx, rows[0], history_text(parts), answer, claim, topic=topic, revises=revises)
    return PlannedReply(reply_id, part_of(db_safe_value(rows[0]), outcome_unknown=False) if lease else None)


def _remember(
    tx: Tx,
    first: Mapping[str, Any],
    text: str,
    answer: Answer | None,
    claim: Claim | None,
    *,
    topic: str | None,
    revises: ReplyId | None,
) -> None:
    """Add a reply to the history, or put it into the place of another one. first: the row of its first part."""
    question = claim.message.text if claim and claim.message.kind is Kind.EDITED else None
    if revises is not None and revise(tx, revises, first["reply_id"], text, answer, question):
        return
    about: dict[str, Any] = {"answer": answer, "topic": claim.message.topic if claim else topic}
    about |= {
        "in_context": first["origin"] in _IN_CONTEXT,
        "reply_id": first["reply_id"],
    }
    add_message(tx, first["platform"], first["user_id"], "assistant", text, **about)


def _new_rows(
    tx: Tx, parts: Sequence[PlannedPart], about: Mapping[str, Any], replaces: Sequence[str]
) -> list[dict[str, Any]]:
    """The rows of a new reply: what all share, then the text of each part and the message that becomes it."""
    common = {
        **about,
        "reply_id": uuid.uuid4().hex,
        "part_count": len(parts),
        "state": PartState.PLANNED,
        "due": tx.now,
        "created_at": tx.now,
        "updated_at": tx.now,
        **_UNCLAIMED,
    }
    removal = PlannedPart("", "", language=parts[0].language if parts else None)
    removals = [removal for _ in replaces[len(parts) :]]
    rows: list[dict[str, Any]] = [
        {**common, **as_columns(outbound, part), "part_id": uuid.uuid4().hex, "number": n, "source": part.history_text}
        for n, part in enumerate((*parts, *removals), 1)
    ]
    for row, message_id in zip_longest(rows, replaces):
        row |= {"replaces": message_id, "media": row["media"] or None}
    return rows


def claiming(tx: Tx, lease: PartLease, state: str, *, attempts: int) -> dict[str, Any]:
    """The changes by which a part is claimed, and marked if it was not sent before."""
    changes = {"owner": lease.owner, "lease_until": tx.now + lease.seconds, "attempts": attempts}
    if state != PartState.PLANNED:
        return {**changes, "state": PartState.UNKNOWN}
    return {**changes, "state": PartState.SENDING, "attempted_at": tx.now} if lease.mark else changes


def restore(tx: Tx, platform: Platform, user_id: UserId, message_id: str) -> bool:
    """Plan that a message gets the text back that it had before an answer grew in it; False when it had none."""
    theirs = of_user(outbound, platform, user_id) & (outbound.c.provider_id == message_id)
    row = tx.run(select(outbound).where(theirs).order_by(outbound.c.id.desc()).limit(1)).mappings().first()
    if row is None:
        return False
    kept = {name: value for name, value in row.items() if name != "id"}
    times = {"due": tx.now, "created_at": tx.now, "updated_at": tx.now, "accepted_at": None}
    new = {"part_id": uuid.uuid4().hex, "provider_id": None, "replaces": message_id, "state": PartState.PLANNED}
    tx.run(_PLAN, {**kept, **new, **times, **_UNCLAIMED, "error": None, "error_code": None})
    tx.count(platform, f"part:{PartState.PLANNED}")
    return True


def _latest_sender(tx: Tx, platform: Platform, user_id: UserId) -> str | None:
    """Our address from which the user got the newest part."""
    sent = select(outbound.c.sender).where(of_user(outbound, platform, user_id), outbound.c.provider_id.is_not(None))
    return cast("str | None", tx.run(sent.order_by(outbound.c.id.desc()).limit(1)).scalar())


def plan_notice(
    tx: Tx,
    platform: Platform,
    user_id: UserId,
    notice: Sequence[PlannedPart],
    claim: Claim | None = None,
    about: str | None = None,
) -> None:
    """Plan a notice, unless it is empty or nothing may be sent to the user."""
    user = tx.locked_user(platform, user_id) if notice else None
    if user is not None and user.state not in SILENT_STATES:
        plan_parts(tx, platform, user_id, notice, Origin.NOTICE, claim, about=about)


def part_of(row: Mapping[str, Any], *, outcome_unknown: bool) -> Part:
    own = {"id": row["part_id"], "count": row["part_count"], "origin": Origin(row["origin"])}
    own |= {"stopped": bool(row["stopped"]), "media": tuple(row["media"] or ())}
    return Part(**{**{name: row[name] for name in _COPIED}, **own, "outcome_unknown": outcome_unknown})
