"""Merges messages that a user wrote in a row into one question, so that they get one answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from relay.config.settings import Settings
from relay.core.channel import Channel
from relay.core.messages import Claim, Decision, HistoryMessage, InboundContext, InboundId, InboundMessage, Kind, User


@dataclass(frozen=True, slots=True)
class MergedMessage:
    """One of the messages to be merged, and the prompt that the channel made of it.

    absorbed: messages without a prompt that are finished with it: its edits, the other pictures of its album.
    """

    id: InboundId
    message: InboundMessage
    prompt: str
    absorbed: tuple[InboundId, ...] = ()


@dataclass(frozen=True, slots=True)
class Question:
    """The prompt made of one or more messages of a user, which are completed together.

    claim: of the first message, with the text of all. messages: all of them, the claimed one first.
    """

    claim: Claim
    decision: Decision
    prompt: str
    messages: tuple[MergedMessage, ...]

    @property
    def merged(self) -> tuple[InboundId, ...]:
        """The ids of the rows that are completed with the claimed one."""
        rows = [row for merged in self.messages for row in (merged.id, *merged.absorbed)]
        return tuple(row for row in rows if row != self.claim.id)

    @property
    def latest_at(self) -> float:
        """When the last of the messages came, in epoch seconds."""
        return self.messages[-1].message.received_at


class Merger:
    """Decides for one channel which messages belong together, and how long to wait for more."""

    def __init__(self, channel: Channel, settings: Settings) -> None:
        self._channel = channel
        self._settings = settings

    def mergeable(self, claim: Claim, decision: Decision, context: InboundContext) -> list[MergedMessage]:
        """The claimed message and the writer's prompts directly behind it, up to the maximum length of one message.

        A message of which more was to come is merged whatever its length, so that it is refused as a whole. One whose
        answer replaces another is merged with its edits alone.
        """
        messages = [MergedMessage(claim.id, claim.message, decision.prompt or "")]
        space = self._settings.max_message_length - len(messages[0].prompt)
        user = context.user
        for row, message in context.following if self._settings.merge_messages else ():
            if self._absorb(messages, row, message, user):
                continue
            if decision.replaces is not None:
                break
            written = (HistoryMessage("user", one.message.text, one.message.received_at) for one in messages)
            if self._channel.why_ignored(message, (*context.recent, *written)):
                break
            prompt = self._channel.decide(message, user).prompt if _together(claim.message, message) else None
            if prompt is None:
                break
            space -= len(prompt) + 1
            if space < 0 and not any(map(self._channel.debounce_seconds, (messages[-1].message, message))):
                break
            messages.append(MergedMessage(row, message, prompt))
        return messages

    def _absorb(
        self, messages: list[MergedMessage], row: InboundId, message: InboundMessage, user: User | None
    ) -> bool:
        """Add an edit or a further picture to the message to which it belongs; False when it belongs to none."""
        if message.kind not in {Kind.EDITED, Kind.MEDIA}:
            return False
        place = next((n for n, one in enumerate(messages) if self._channel.continues(one.message, message)), None)
        if place is None:
            return False
        old = messages[place]
        text = message.text if message.kind is Kind.EDITED else old.message.text
        new = replace(old.message, text=text)
        prompt = self._channel.decide(new, user).prompt
        if prompt is None:
            return False
        messages[place] = MergedMessage(old.id, new, prompt, (*old.absorbed, row))
        return True

    def continued(self, question: Question, messages: Sequence[MergedMessage]) -> bool:
        """Whether a part of these messages that came after the question was put belongs to it."""
        if [merged.absorbed for merged in messages[: len(question.messages)]] != [
            merged.absorbed for merged in question.messages
        ]:
            return True
        last = question.messages[-1].message
        return any(self._channel.continues(last, more.message) for more in messages[len(question.messages) :])

    def wait_until(self, messages: Sequence[MergedMessage]) -> float:
        """Time (epoch seconds) until which a message that continues these may still come."""
        if not self._settings.merge_messages:
            return 0.0
        window = self._settings.merge_window_seconds
        waits = [one.message.received_at + self._channel.debounce_seconds(one.message) for one in messages]
        return max(*waits, messages[-1].message.received_at + window)

    def hold_until(self, question: Question) -> float:
        """Time (epoch seconds) until which an answer is held back for a message that belongs to the question."""
        if not self._settings.merge_messages:
            return 0.0
        last = question.messages[-1].message
        return last.received_at + self._channel.follow_seconds(last)

    def merge(self, claim: Claim, decision: Decision, messages: Sequence[MergedMessage]) -> Question:
        """One question made of these messages, the claimed one first."""
        first, *others = messages
        if not others:
            return Question(replace(claim, message=first.message), decision, first.prompt, (first,))
        prompt = self._channel.merge([replace(merged.message, text=merged.prompt) for merged in messages])
        text = self._channel.merge([merged.message for merged in messages])
        whole = replace(claim, message=replace(claim.message, text=text))
        return Question(whole, decision, prompt, tuple(messages))


def _together(first: InboundMessage, other: InboundMessage) -> bool:
    return (first.writer, first.topic) == (other.writer, other.topic)
