"""The rows of the history inside a transaction: messages of both roles, with the cost of the model's answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from sqlalchemy import delete

from relay.core.messages import Answer, Attachment, Platform, ReplyId, UserId
from relay.storage.prepared import Prepared
from relay.storage.schema import as_columns, conversations
from relay.storage.transactions import Tx, of_user

_ADD = Prepared(conversations.insert().inline())


def add_message(
    tx: Tx,
    platform: Platform,
    user_id: UserId,
    role: str,
    text: str,
    *,
    in_context: bool,
    reply_id: ReplyId | None = None,
    answer: Answer | None = None,
    moment: float | None = None,
    topic: str | None = None,
    attachments: Sequence[Attachment] = (),
) -> None:
    """Add one message to the history, and count it. answer: what it cost, of a question one without words."""
    row: dict[str, Any] = {
        "platform": platform,
        "user_id": user_id,
        "role": role,
        "message": text,
        "topic": topic,
        "timestamp": tx.now if moment is None else moment,
        "in_context": in_context,
        "reply_id": reply_id,
        "attachments": [asdict(one) for one in attachments] or None,
    }
    if answer is not None:
        row |= as_columns(conversations, answer)
    tx.run(_ADD, row)
    tx.count_messages(platform, user_id, 1)


def count_answer(tx: Tx, platform: Platform, answer: Answer) -> None:
    """Count the cost of an answer, whether it is sent or not."""
    tx.count(platform, "model_cost_usd", answer.cost_usd or 0)
    tx.count(platform, "prompt_tokens", answer.prompt_tokens)
    tx.count(platform, "answer_tokens", answer.answer_tokens)
    if answer.estimated:
        tx.count(platform, "estimated_cost_usd", answer.cost_usd or 0)


def clear_messages(tx: Tx, platform: Platform, user_id: UserId, topic: str | None = None) -> int:
    """Delete the history of a user, or of one topic; the number of messages deleted."""
    chosen = of_user(conversations, platform, user_id)
    if topic is not None:
        chosen &= conversations.c.topic == topic
    removed = int(tx.run(delete(conversations).where(chosen)).rowcount)
    tx.count_messages(platform, user_id, -removed)
    return removed
