"""What follows from the edit of a message: the newest question is answered again in place, an older one gets a hint."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from relay.channels.telegram.spec import TELEGRAM, is_group
from relay.core.decisions import Decision
from relay.core.messages import InboundMessage
from relay.core.records import Records
from relay.texts.sentences import localize


def edited(message: InboundMessage, decision: Decision, language: str) -> Decision:
    """The decision about an edit; `decision` is that about its text as a new message."""
    return replace(decision, resolve=partial(_resolved, message, decision, language))


async def _resolved(message: InboundMessage, decision: Decision, language: str, records: Records) -> Decision:
    """An edited question replaces its answer; a command, and what was not answered, is as new in a group alone.

    In a group an edit that adds a mention of the bot is a question; other edits there get no hint, which would be seen
    by all.
    """
    reply = await records.find_reply(TELEGRAM, message.user_id, answers=message.reply_to)
    hint = localize("telegram-edited", language)
    hinted = Decision(reply=hint, state=decision.state, from_person=decision.from_person)
    if reply is None:
        if not is_group(message.user_id):
            return hinted
        return await decision.resolve(records) if decision.resolve else decision
    if decision.prompt is not None and reply.is_newest and reply.is_answer:
        return replace(decision, replaces=reply.id, shown_as=reply.messages[0] if reply.messages else None)
    if is_group(message.user_id):
        return Decision(reason="the message was answered before its edit", state=decision.state)
    return hinted
