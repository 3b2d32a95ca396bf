"""What an edit of a question or a press below an answer leads to: nothing, a new question, or the last one anew."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from relay.core.decisions import Decision
from relay.core.messages import Claim, HistoryMessage, InboundContext, Kind

_Decided = tuple[Claim, Decision, InboundContext]


def revised(claim: Claim, decision: Decision, context: InboundContext) -> _Decided:
    """The message, the decision about it and its context, as an answer needs them; others than edits and presses as is.

    An edit whose answer replaces another is asked with the history before its question.
    """
    if claim.message.kind is Kind.EDITED:
        return _edited(claim, decision, context)
    if claim.message.kind is Kind.PRESSED and decision.prompt is not None and decision.replaces is None:
        return _as_text(claim, decision.prompt), decision, context
    return claim, decision, context


def _edited(claim: Claim, decision: Decision, context: InboundContext) -> _Decided:
    """No answer when the history has its text, or when it would be asked a second time."""
    text = claim.message.text
    if any(f"\n{text}\n" in f"\n{past.message}\n" for past in context.recent if past.role == "user"):
        return claim, Decision(reason="the edit changed no text"), context
    if decision.prompt is None:
        return claim, decision, context
    if decision.replaces is not None:
        return claim, decision, replace(context, history=_before_question(context.history))
    if context.replied_before:
        return claim, Decision(reason="the message was answered before its edit"), context
    return _as_text(claim, text), decision, context


def _as_text(claim: Claim, text: str) -> Claim:
    """The claim as if its text had been written as a message."""
    return replace(claim, message=replace(claim.message, kind=Kind.TEXT, text=text))


def _before_question(history: Sequence[HistoryMessage]) -> tuple[HistoryMessage, ...]:
    """The history without its last exchange, whose question is asked anew."""
    last = max((place for place, one in enumerate(history) if one.role == "user"), default=0)
    return tuple(history[:last])
