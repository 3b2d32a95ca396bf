"""The rows of the history inside a transaction: what was said, by whom, and how many lines there are."""

from __future__ import annotations

from typing import Any

from sqlalchemy import delete, update

from relay.messages import Answer, Platform, ReplyId, UserId, storable
from relay.schema import conversations, users
from relay.transactions import Tx, of_person


def add_line(
    tx: Tx,
    platform: Platform,
    user_id: UserId,
    role: str,
    words: str,
    *,
    in_context: bool,
    reply_id: ReplyId | None = None,
    answer: Answer | None = None,
    moment: float | None = None,
) -> None:
    """Add one line to the history, and count it."""
    figures: dict[str, Any] = {}
    if answer is not None:
        figures = {
            "source": answer.source,
            "model": answer.model,
            "prompt_tokens": answer.prompt_tokens,
            "answer_tokens": answer.answer_tokens,
            "cost_usd": answer.cost_usd,
            "first_token_seconds": answer.first_token_seconds,
            "total_seconds": answer.total_seconds,
        }
        tx.count(platform, "model_cost_usd", answer.cost_usd or 0)
        tx.count(platform, "prompt_tokens", answer.prompt_tokens)
        tx.count(platform, "answer_tokens", answer.answer_tokens)
    line = {
        "message": storable(words),
        "timestamp": tx.now if moment is None else moment,
        "in_context": in_context,
        "reply_id": reply_id,
    }
    tx.run(tx.insert(conversations).values(platform=platform, user_id=user_id, role=role, **line, **figures))
    count_lines(tx, platform, user_id, 1)


def count_lines(tx: Tx, platform: Platform, user_id: UserId, change: int) -> None:
    lines = users.c.message_count + change
    tx.run(update(users).where(of_person(users, platform, user_id)).values(message_count=lines, updated_at=tx.now))
    tx.count(platform, "messages", change)


def clear_lines(tx: Tx, platform: Platform, user_id: UserId) -> int:
    removed = int(tx.run(delete(conversations).where(of_person(conversations, platform, user_id))).rowcount)
    if removed:
        count_lines(tx, platform, user_id, -removed)
    return removed
