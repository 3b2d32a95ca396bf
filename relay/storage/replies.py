"""Replies that were sent: found by a message of theirs or by their question, and replaced by later ones."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, func, select, update

from relay.core.messages import Answer, PartId, Platform, ReplyId, UserId
from relay.core.parts import Origin, PlannedPart
from relay.core.records import SentReply
from relay.storage.queries import MAX_RECENT_MESSAGES
from relay.storage.schema import as_columns, conversations, inbound, is_open, outbound
from relay.storage.transactions import Tx, of_user


def find_reply(
    connection: Connection, platform: Platform, user_id: UserId, message_id: str | None, answers: str | None
) -> SentReply | None:
    """See `Records.find_reply`; a reply to a message is searched among the latest parts.

    A message that is about to become a part of another reply belongs to that one.
    """
    theirs = of_user(outbound, platform, user_id)
    sent = select(outbound).where(theirs, outbound.c.provider_id.is_not(None))
    if message_id is not None:
        newest = sent.where(outbound.c.provider_id == message_id).order_by(outbound.c.id.desc()).limit(1)
        next_one = select(outbound).where(theirs, is_open(outbound), outbound.c.replaces == message_id)
        part = connection.execute(next_one).first() or connection.execute(newest).first()
    else:
        latest = connection.execute(sent.order_by(outbound.c.id.desc()).limit(MAX_RECENT_MESSAGES))
        part = next((row for row in latest if row.reply_to == answers), None)
    return _reply(connection, part) if part is not None else None


def _reply(connection: Connection, part: Any) -> SentReply:
    remembered = select(conversations).where(conversations.c.reply_id == part.reply_id)
    message = connection.execute(remembered).first()
    asker = connection.execute(select(inbound.c.sender).where(inbound.c.id == part.inbound_id)).scalar()
    accepted = select(func.max(outbound.c.accepted_at)).where(outbound.c.reply_id == part.reply_id)
    shown = _shown(connection, part.reply_id)
    return SentReply(
        ReplyId(part.reply_id),
        None if asker is None else UserId(asker),
        message is not None and message.id == _newest_in_context(connection, message),
        part.origin == Origin.ANSWER,
        PartId(part.part_id),
        connection.execute(accepted).scalar() or 0.0,
        tuple(PlannedPart(row.text, row.source, row.style, file_name=row.file_name) for row in shown),
        tuple(row.provider_id or row.replaces for row in shown),
    )


def _shown(connection: Connection, reply_id: str) -> list[Any]:
    """The latest row of each message of a reply, in order; an open one is about to change its message."""
    has_message = outbound.c.provider_id.is_not(None) | outbound.c.replaces.is_not(None)
    sent = select(outbound).where(outbound.c.reply_id == reply_id, outbound.c.text != "", has_message)
    rows = connection.execute(sent.order_by(outbound.c.number, outbound.c.id)).all()
    return list({row.number: row for row in rows}.values())


def _newest_in_context(connection: Connection, message: Any) -> int | None:
    """The id of the newest message of the same history and topic that the model is given."""
    topic = conversations.c.topic.is_(None) if message.topic is None else conversations.c.topic == message.topic
    same = of_user(conversations, message.platform, message.user_id) & conversations.c.in_context.is_(True) & topic
    newest = select(conversations.c.id).where(same).order_by(conversations.c.id.desc()).limit(1)
    return connection.execute(newest).scalar()


def message_ids(tx: Tx, reply_id: ReplyId) -> list[str]:
    """The provider's ids of the messages of a reply, in order."""
    sent = (outbound.c.reply_id == reply_id) & outbound.c.provider_id.is_not(None) & (outbound.c.text != "")
    found = tx.run(select(outbound.c.provider_id).where(sent).order_by(outbound.c.number)).scalars()
    return list(dict.fromkeys(found))


def revise(tx: Tx, old: ReplyId, new: ReplyId, text: str, answer: Answer | None, question: str | None) -> bool:
    """Replace the text of a reply in the history, and of its question if one is given; False when it was removed."""
    changes: dict[str, Any] = {"message": text, "reply_id": new}
    if answer is not None:
        changes |= as_columns(conversations, answer)
    revised = update(conversations).where(conversations.c.reply_id == old).values(**changes).returning(conversations)
    row = tx.run(revised).first()
    if row is None:
        return False
    if question is not None:
        topic = conversations.c.topic.is_(None) if row.topic is None else conversations.c.topic == row.topic
        asked = of_user(conversations, row.platform, row.user_id) & (conversations.c.role == "user") & topic
        before = asked & conversations.c.in_context.is_(True) & (conversations.c.id < row.id)
        last = select(func.max(conversations.c.id)).where(before).scalar_subquery()
        tx.run(update(conversations).where(conversations.c.id == last).values(message=question))
    return True
