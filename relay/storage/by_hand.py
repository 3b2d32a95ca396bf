"""What operators write: planned for its user, by the console or by a reply to a notice. Rows inside a transaction."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, select

from relay.core.decisions import Forward
from relay.core.messages import Outcome, Platform, ReplyId, UserId
from relay.core.parts import Origin, PlannedPart
from relay.storage.handover import hand_back, take_over
from relay.storage.planning import plan_parts
from relay.storage.schema import inbound, outbound
from relay.storage.transactions import Tx, of_user
from relay.storage.users import touch_user

_FAILURES = (Outcome.GAVE_UP, Outcome.UNANSWERABLE)


def send_by_hand(
    tx: Tx,
    platform: Platform,
    user_id: UserId,
    parts: Sequence[PlannedPart],
    topic: str | None = None,
    *,
    takeover_seconds: float | None = None,
    notice: str = "",
) -> ReplyId:
    """Plan an operator's message; with `takeover_seconds` its writer takes over from the AI.

    notice: the key of what the user is told of that; nothing when empty.
    """
    touch_user(tx, platform, user_id)
    if takeover_seconds is not None:
        take_over(tx, platform, user_id, takeover_seconds, notice)  # locks the inbox before the user
    else:
        tx.locked_user(platform, user_id)
    reply_id = plan_parts(tx, platform, user_id, parts, Origin.OPERATOR, None, topic=topic).reply_id
    assert reply_id is not None  # noqa: S101 (there is at least one part)
    return reply_id


def forward(tx: Tx, what: Forward, taken_over: str = "", handed_back: str = "") -> None:
    """Do to a user what an operator's message asks for; the others are the keys of notices to the user."""
    if what.parts:
        how: dict[str, Any] = {"takeover_seconds": what.takeover_seconds, "notice": taken_over}
        send_by_hand(tx, what.platform, what.user_id, what.parts, **how)
    elif what.takeover_seconds is None:
        hand_back(tx, what.platform, what.user_id, handed_back)


def about_whom(connection: Connection, platform: Platform, user_id: UserId, provider_id: str) -> tuple[str, str] | None:
    """The user whom one of our notices to an operator is about, by its id at the provider; None for other messages."""
    chosen = of_user(outbound, platform, user_id) & (outbound.c.provider_id == provider_id)
    about = connection.execute(select(outbound.c.about).where(chosen).limit(1)).scalar()
    whose, _, address = (about or "").partition(" ")
    return (whose, address) if address else None


def failures_in_a_row(connection: Connection, platform: Platform, user_id: UserId, most: int) -> int:
    """How many of a user's last questions could not be answered, since the last one that was; at most `most`."""
    asked = of_user(inbound, platform, user_id) & inbound.c.outcome.in_([*_FAILURES, Outcome.ANSWERED])
    latest = (
        select(inbound.c.outcome).where(asked).order_by(inbound.c.received_at.desc(), inbound.c.id.desc()).limit(most)
    )
    outcomes = list(connection.execute(latest).scalars())
    return next((n for n, outcome in enumerate(outcomes) if outcome not in _FAILURES), len(outcomes))
