"""Merges messages that a user wrote in a row into one question, so that they get one answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from relay.config.settings import Settings
from relay.core.attachments import Content, as_history, as_prompt, described
from relay.core.channel import Channel
from relay.core.decisions import Decision
from relay.core.messages import Claim, HistoryMessage, InboundContext, InboundId, InboundMessage, Kind, User


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

    claim: of the first message, with the text and the attachments of all. messages: all of them, the claimed one first.
    claimed: the claimed message as it came. contents: what came with all of them, once that was read.
    """

    claim: Claim
    decision: Decision
    prompt: str
    messages: tuple[MergedMessage, ...]
    claimed: InboundMessage
    contents: tuple[Content, ...] = ()

    @property
    def pictures(self) -> list[str]:
        """Base64 of the pictures, for a model that sees."""
        return [one.picture for one in self.contents if one.picture]

    @property
    def is_wordless(self) -> bool:
        """Whether nothing was written or spoken."""
        written = any(merged.prompt.strip() for merged in self.messages)
        return not written and not any(one.text for one in self.contents)

    def with_contents(self, contents: Sequence[Content]) -> Question:
        """The question with what came with it, in its prompt and in the history."""
        return replace(
            self,
            claim=with_contents(self.claim, contents),
            prompt=as_prompt(self.prompt, contents),
            contents=tuple(contents),
        )

    @property
    def merged(self) -> tuple[InboundId, ...]:
        """The ids of the rows that are completed with the claimed one."""
        rows = [row for merged in self.messages for row in (merged.id, *merged.absorbed)]
        return tuple(row for row in rows if row != self.claim.id)

    @property
    def latest_at(self) -> float:
        """When the last of the messages came, in epoch seconds."""
        return self.messages[-1].message.received_at


def with_contents(claim: Claim, contents: Sequence[Content]) -> Claim:
    """The claim on a message whose attachments were read, as it goes into the history."""
    message = claim.message
    attachments = tuple(described(one.attachment) for one in contents)
    return replace(claim, message=replace(message, text=as_history(message.text, contents), attachments=attachments))


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
        for row, message in context.following:
            if self._absorb(messages, row, message, user):
                continue
            if decision.replaces is not None:
                break
            if not self._settings.merge_messages and not self._channel.continues(messages[-1].message, message):
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
        if message.kind is not Kind.EDITED and not message.attachments:
            return False
        place = next((n for n, one in enumerate(messages) if self._channel.continues(one.message, message)), None)
        new = None if place is None else _with(messages[place].message, message)
        prompt = None if new is None else self._channel.decide(new, user).prompt
        if place is None or new is None or prompt is None:
            return False
        messages[place] = MergedMessage(messages[place].id, new, prompt, (*messages[place].absorbed, row))
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
        together = self._settings.merge_messages
        waits = [
            one.message.received_at + self._channel.debounce_seconds(one.message)
            for one in messages
            if together or one.message.attachments  # an album is one message, although its pictures come one by one
        ]
        window = self._settings.merge_window_seconds if together else 0.0
        return max(0.0, *waits, messages[-1].message.received_at + window if together else 0.0)

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
            return Question(replace(claim, message=first.message), decision, first.prompt, (first,), claim.message)
        prompt = self._channel.merge([replace(merged.message, text=merged.prompt) for merged in messages])
        text = self._channel.merge([merged.message for merged in messages])
        attachments = tuple(one for merged in messages for one in merged.message.attachments)
        whole = replace(claim, message=replace(claim.message, text=text, attachments=attachments))
        return Question(whole, decision, prompt, tuple(messages), claim.message)


def _with(message: InboundMessage, more: InboundMessage) -> InboundMessage | None:
    """A message as it was edited, or with a further picture; None when both have words of their own."""
    if more.kind is Kind.EDITED:
        return replace(message, text=more.text)
    if message.text and more.text:
        return None
    worded = more if more.text else message
    return replace(worded, attachments=(*message.attachments, *more.attachments))


def _together(first: InboundMessage, other: InboundMessage) -> bool:
    return (first.writer, first.topic) == (other.writer, other.topic)
