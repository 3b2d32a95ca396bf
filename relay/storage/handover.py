"""Who answers a user: the AI, or for a time a person. Rows inside a transaction.

From the commit of a takeover the AI is silent: what is open enters the history unanswered, before the person's first
message, so the claim of an answer under way ends (LeaseLost); and the AI's planned parts are canceled.
"""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import Row, select, update

from relay.core.messages import Kind, Outcome, Platform, UserId
from relay.core.parts import Origin, PlannedPart
from relay.core.user_language import localized_for
from relay.storage.history import add_message
from relay.storage.parts import cancel_parts
from relay.storage.planning import plan_notice, plan_parts
from relay.storage.queries import user_of
from relay.storage.schema import inbound, is_open, outbound, users
from relay.storage.transactions import Tx, of_user

ENDED_AT_ONCE: Final = 50
"""Takeovers that one transaction ends."""

NOTICE_SECONDS: Final = 3600.0
"""How long after a takeover ended its user is still told; later it is news no more, as after an upgrade."""


def take_over(tx: Tx, platform: Platform, user_id: UserId, seconds: float, notice: str = "") -> bool:
    """Let a person answer for the next `seconds`, again from now on if one does already; False for an unknown user.

    notice: the key of what the user is told unless a person answers already; nothing when empty.
    """
    if tx.run(select(users.c.user_id).where(of_user(users, platform, user_id))).first() is None:
        return False
    leave_open_messages(tx, platform, user_id, Outcome.LEFT_TO_PERSON, "a person took over")  # locks the inbox first
    row = tx.locked_user(platform, user_id)
    if row is None:
        return False
    since = row.human_since if _is_with_person(row, tx.now) else tx.now
    changes = {"human_since": since, "human_until": tx.now + seconds, "updated_at": tx.now}
    tx.run(update(users).where(of_user(users, platform, user_id)).values(**changes))
    cancel_parts(tx, of_user(outbound, platform, user_id) & (outbound.c.origin == Origin.ANSWER), "a person took over")
    if notice and not _is_with_person(row, tx.now):
        _notify(tx, row, notice)
    return True


def leave_open_messages(
    tx: Tx, platform: Platform, user_id: UserId, outcome: Outcome, reason: str, only: int | None = None
) -> None:
    """Finish what waits for an answer; its texts enter the history, where the person and later the model read them.

    only: the id of one message. A claim on it ends.
    """
    finished = {"state": "done", "outcome": outcome, "reason": reason, "lease_until": 0}
    theirs = of_user(inbound, platform, user_id) & is_open(inbound)
    theirs = theirs if only is None else theirs & (inbound.c.id == only)
    changes = {**finished, "finished_at": tx.now, "updated_at": tx.now}
    rows = tx.run(update(inbound).where(theirs).values(**changes).returning(inbound)).all()
    for row in sorted(rows, key=lambda row: int(row.id)):
        body: dict[str, Any] = row.body
        if body["text"] and body["kind"] == Kind.TEXT:
            about = {"moment": row.received_at, "topic": body["topic"]}
            add_message(tx, platform, user_id, "user", body["text"], in_context=True, **about)
        if row.shown_as:  # an answer under way, which is not in the history
            plan_parts(tx, platform, user_id, (), Origin.COMMAND, None, replaces=[row.shown_as])
    tx.run(update(inbound).where(inbound.c.id.in_([row.id for row in rows])).values(body=None, raw=None))


def hand_back(tx: Tx, platform: Platform, user_id: UserId, notice: str = "") -> bool:
    """Let the AI answer again, with a notice to the user if its key is given; False when it did already."""
    row = tx.locked_user(platform, user_id)
    if row is None or row.human_until is None:
        return False
    _end(tx, row, notice)
    return _is_with_person(row, tx.now)


def end_takeovers(tx: Tx, platform: Platform, notice: str = "") -> list[UserId]:
    """End at most ENDED_AT_ONCE takeovers whose time is over, with a notice to their users; these users."""
    over = users.c.human_until.is_not(None) & (users.c.human_until <= tx.now)
    chosen = select(users.c.user_id).where(users.c.platform == platform, over).order_by(users.c.human_until)
    ended = []
    for user_id in tx.run(chosen.limit(ENDED_AT_ONCE)).scalars().all():
        row = tx.locked_user(platform, UserId(user_id))
        if row is None or row.human_until is None or _is_with_person(row, tx.now):
            continue
        _end(tx, row, notice)
        ended.append(UserId(user_id))
    return ended


def _end(tx: Tx, row: Row[Any], notice: str) -> None:
    """End the takeover of a user, with the notice unless its time was over long ago."""
    changes: dict[str, Any] = {"human_since": None, "human_until": None, "updated_at": tx.now}
    tx.run(update(users).where(of_user(users, Platform(row.platform), UserId(row.user_id))).values(**changes))
    if notice and row.human_until > tx.now - NOTICE_SECONDS:
        _notify(tx, row, notice)


def _notify(tx: Tx, row: Row[Any], key: str) -> None:
    text = localized_for(user_of(row), key)
    plan_notice(tx, Platform(row.platform), UserId(row.user_id), [PlannedPart(text, text)])


def _is_with_person(row: Row[Any], now: float) -> bool:
    """Whether a person answers the user of this row; the time of the last takeover may have run out."""
    return bool(row.human_until is not None and row.human_until > now)
