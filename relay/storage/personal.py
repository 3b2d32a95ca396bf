"""What people and operators ask for in a chat: what was used today, the history or its removal, figures."""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import Connection, bindparam, func, select, update

from relay.core.messages import HistoryMessage, Outcome, Platform, UserId
from relay.core.records import UsageToday
from relay.storage.daily_totals import day_totals
from relay.storage.history import clear_messages
from relay.storage.maintenance import delete_parts
from relay.storage.queries import status
from relay.storage.schema import conversations, inbound, is_open, outbound
from relay.storage.transactions import Tx, of_user

DAY: Final = 86_400.0
_COST_OF_WORDLESS: Final = select(func.sum(conversations.c.cost_usd)).where(
    conversations.c.platform == bindparam("channel"),
    conversations.c.user_id == bindparam("user"),
    conversations.c.role == "user",
    conversations.c.timestamp >= bindparam("begin"),
)
"""Answers that were ended before their first word are no messages; their cost is kept with the question."""
MAX_MESSAGES: Final = 10_000


def usage_today(
    connection: Connection, platform: Platform, user_id: UserId, sender: UserId | None, now: float
) -> UsageToday:
    """See `Records.read_usage`."""
    begin = now - now % DAY
    mine = of_user(inbound, platform, user_id) & (inbound.c.received_at >= begin)
    if sender is not None:
        mine &= inbound.c.sender == sender
    questions = select(func.count()).where(mine, inbound.c.outcome == Outcome.ANSWERED)
    replies = (
        select(outbound.c.reply_id)
        .join(inbound, inbound.c.id == outbound.c.inbound_id)
        .where(of_user(outbound, platform, user_id), outbound.c.created_at >= begin, mine)
    )
    paid = conversations.c.reply_id.in_(replies)
    cost = connection.execute(select(func.sum(conversations.c.cost_usd)).where(paid)).scalar() or 0.0
    if sender is None:  # a question in a group does not have its writer
        whose = {"user": user_id, "channel": platform, "begin": begin}
        cost += connection.execute(_COST_OF_WORDLESS, whose).scalar() or 0.0
    return UsageToday(connection.execute(questions).scalar_one(), cost)


def history(connection: Connection, platform: Platform, user_id: UserId) -> tuple[HistoryMessage, ...]:
    """The newest MAX_MESSAGES of a user, oldest first."""
    newest = select(conversations).where(of_user(conversations, platform, user_id))
    rows = connection.execute(newest.order_by(conversations.c.id.desc()).limit(MAX_MESSAGES)).all()
    return tuple(HistoryMessage(row.role, row.message, row.timestamp) for row in reversed(rows))


def forget(tx: Tx, platform: Platform, user_id: UserId) -> None:
    """Delete all texts of a user: the history of all topics, what was sent, what is kept of their messages.

    The rows of their messages stay without a text: they recognise repeated deliveries and count for the limits.
    """
    clear_messages(tx, platform, user_id)
    delete_parts(tx, of_user(outbound, platform, user_id))
    theirs = of_user(inbound, platform, user_id) & ~is_open(inbound)
    tx.run(update(inbound).where(theirs).values(body=None, raw=None))


def numbers(connection: Connection, platform: Platform, now: float) -> dict[str, Any]:
    """See `Records.read_numbers`."""
    figures = status(connection, platform, (platform,), now)
    today = day_totals(connection, (platform,), now - now % DAY, now + DAY)[platform]
    return {
        "users": figures["total_users"],
        "messages": figures["total_messages"],
        "messages today (UTC)": today["messages"],
        "model cost today": f"${today['model_usd']:.4f}",
        "model cost in all": f"${figures['cost']['model_usd']:.4f}",
        "half of the answers today within": "-" if today["median_seconds"] is None else f"{today['median_seconds']} s",
        "failed parts today": today["failed"],
        "waiting questions": figures["queue_depth"],
        "unsent parts": figures["unsent_parts"],
        "dead letters": figures["dead_letters"],
    }
