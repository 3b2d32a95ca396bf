"""Merges messages that a user wrote in a row into one question, so that they get one answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from relay.config.settings import Settings
from relay.core.channel import Channel
from relay.core.messages import Claim, Decision, InboundContext, InboundId, InboundMessage, User


@dataclass(frozen=True, slots=True)
class MergedMessage:
    """One of the messages to be merged, and the prompt that the channel made of it."""

    id: InboundId
    message: InboundMessage
    prompt: str


@dataclass(frozen=True, slots=True)
class Question:
    """The prompt made of one or more messages of a user, which are completed together.

    claim: of the first message, with the text of all. merged: ids of the others. latest_at: when the last one came.
    """

    claim: Claim
    decision: Decision
    prompt: str
    merged: tuple[InboundId, ...]
    latest_at: float


class Merger:
    """Decides for one channel which messages belong together, and how long to wait for more."""

    def __init__(self, channel: Channel, settings: Settings) -> None:
        self._channel = channel
        self._settings = settings

    def mergeable(
        self, claim: Claim, decision: Decision, user: User | None, context: InboundContext
    ) -> list[MergedMessage]:
        """The claimed message and the writer's prompts directly behind it, up to the maximum length of one message."""
        messages = [MergedMessage(claim.id, claim.message, decision.prompt or "")]
        space = self._settings.max_message_length - len(messages[0].prompt)
        for row, message in context.following if self._settings.merge_messages else ():
            prompt = self._channel.decide(message, user).prompt if message.writer == claim.message.writer else None
            if prompt is None or (space := space - len(prompt) - 1) < 0:
                break
            messages.append(MergedMessage(row, message, prompt))
        return messages

    def wait_until(self, last: InboundMessage) -> float:
        """Time (epoch seconds) until which a message that continues `last` may still come."""
        if not self._settings.merge_messages:
            return last.received_at
        return last.received_at + max(self._settings.merge_window_seconds, self._channel.debounce_seconds(last))

    def merge(self, claim: Claim, decision: Decision, messages: Sequence[MergedMessage]) -> Question:
        """One question made of these messages, the claimed one first."""
        first, *others = messages
        if not others:
            return Question(claim, decision, first.prompt, (), claim.message.received_at)
        prompt = self._channel.merge([replace(merged.message, text=merged.prompt) for merged in messages])
        text = self._channel.merge([merged.message for merged in messages])
        whole = replace(claim, message=replace(claim.message, text=text))
        return Question(
            whole, decision, prompt, tuple(merged.id for merged in others), messages[-1].message.received_at
        )
