"""The heart: takes the next message of a person, decides or asks the model, and stores the answer.

It claims from the inbox in each sender's order, holds no transaction while the model works, and commits history,
planned parts and "done" together. What is sent, and when, is the outbox's business; how text looks is the channel's.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import random
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from relay.config.settings import Settings
from relay.core.channel import Channel
from relay.core.errors import LeaseLost, ModelError, ModelFailure
from relay.core.guards import is_paused, looks_like_a_loop, not_invited, over_limit
from relay.core.messages import (
    Answer,
    Claim,
    Decision,
    HistoryMessage,
    InboundContext,
    InboundId,
    InboundMessage,
    Outcome,
    PartId,
    PlannedPart,
    Platform,
    ReplyId,
    User,
    UserId,
    UserState,
)
from relay.core.metrics import Metrics
from relay.core.retry import MODEL_BACKOFF, next_delay
from relay.core.user_workers import UserWorkers

log = logging.getLogger("relay.core.conversation")

MAX_ATTEMPTS = 30
"""A message that was claimed this often without any end seems to kill its worker: a dead letter."""

MAX_MERGED = 20
"""How many texts that wait in a row are answered as one question."""

MAX_DEBOUNCES = 20
"""How often more of the same question is waited for; a person who never stops writing is answered in between."""

LOOP_NOTICE = (
    "This looks like two machines talking to each other, so I will stop answering for a while. "
    "If you are a person, please write again later."
)
NOTICE = "I cannot answer right now. I have your message and will answer as soon as I can."
APOLOGY = "I am sorry, I could not answer your last message. Please send it again later."
SENTENCES = {
    ModelFailure.CONTEXT_TOO_LONG: "That message is too long for me. Please send a shorter one.",
    ModelFailure.REFUSED: "I cannot answer that. Please try asking in a different way.",
    ModelFailure.IMAGES_UNSUPPORTED: "I cannot look at pictures yet. Please describe it in words.",
    ModelFailure.BAD_REQUEST: "I could not make sense of that message. Please try putting it differently.",
}
"""What a person is told when asking the same again would not help."""


class Model(Protocol):
    """The LLM server, as far as a conversation needs it."""

    async def ask(
        self, messages: Sequence[Mapping[str, str]], *, platform: Platform, person: str, name: str | None
    ) -> Answer: ...


class Inbox(Protocol):
    """The verbs of the database that a conversation needs."""

    async def claim_next_inbound(self, platform: Platform, user_id: UserId) -> Claim | None: ...
    async def users_waiting(self, platform: Platform) -> list[UserId]: ...
    async def read_context(
        self, platform: Platform, user_id: UserId, exchanges: int
    ) -> tuple[User | None, list[HistoryMessage]]: ...
    async def complete_inbound(
        self,
        claim: Claim,
        decision: Decision,
        parts: Sequence[PlannedPart],
        *,
        answer: Answer | None = None,
        outcome: Outcome = Outcome.ANSWERED,
        reason: str | None = None,
        merged: Sequence[InboundId] = (),
    ) -> ReplyId | None: ...
    async def load_context(self, claim: Claim, most: int) -> InboundContext: ...
    async def postpone_inbound(
        self, claim: Claim, due: float, error: str, notice: Sequence[PlannedPart] = ()
    ) -> None: ...
    async def dead_letter_inbound(
        self, claim: Claim, error: str, apology: Sequence[PlannedPart], merged: Sequence[InboundId] = ()
    ) -> None: ...
    async def renew_leases(self, inbound_ids: Sequence[InboundId], part_ids: Sequence[PartId]) -> None: ...


@dataclass(frozen=True, slots=True)
class Line:
    """One of the messages that a person wrote in a row, and what the channel decided about it."""

    id: InboundId
    message: InboundMessage
    decision: Decision

    @property
    def question(self) -> str:
        return self.decision.prompt or ""


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked for one or more messages of a person, and ended for all of them at once.

    `claim` is that of the first message, with the words of all; `merged` are those behind it; the latest came at
    `latest_at`.
    """

    claim: Claim
    decision: Decision
    text: str
    merged: tuple[InboundId, ...]
    latest_at: float


class Conversation:
    """One channel's conversations. `planned` is told about every person for whom parts were planned."""

    def __init__(
        self,
        inbox: Inbox,
        channel: Channel,
        model: Model,
        settings: Settings,
        metrics: Metrics,
        *,
        planned: Callable[[UserId], None],
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        rng: Callable[[], float] = random.random,
    ) -> None:
        self._inbox = inbox
        self._channel = channel
        self._platform = channel.platform
        self._model = model
        self._settings = settings
        self._metrics = metrics
        self._planned = planned
        self._clock = clock
        self._sleep = sleep
        self._rng = rng
        self._claimed: set[InboundId] = set()
        self.workers = UserWorkers(
            f"{self._platform}-conversation",
            self._step,
            lambda: inbox.users_waiting(self._platform),
            concurrency=settings.max_concurrent_answers,
            renew=self._renew,
            sleep=sleep,
        )

    async def _renew(self) -> None:
        await self._inbox.renew_leases(sorted(self._claimed), [])

    async def _step(self, user_id: UserId) -> bool:
        """Answer the head of this person's line, if there is one."""
        claim = await self._inbox.claim_next_inbound(self._platform, user_id)
        if claim is None:
            return False
        self._claimed.add(claim.id)
        try:
            await self._answer(claim)
        except LeaseLost as error:
            log.warning("%s", error)
        finally:
            self._claimed.discard(claim.id)
        self._planned(user_id)
        return True

    async def _answer(self, claim: Claim) -> None:
        crashes = claim.attempts - 1 - claim.failures
        if crashes >= MAX_ATTEMPTS:
            await self._give_up(claim, f"was claimed {crashes} times without an end")
            return
        message = claim.message
        user, history = await self._inbox.read_context(
            self._platform, message.user_id, self._settings.history_exchanges
        )
        decision = self._channel.decide(message, user)
        context = await self._inbox.load_context(claim, MAX_MERGED)
        if refused := self._refusal(claim, decision, user, context):
            await self._inbox.complete_inbound(
                claim,
                refused,
                self._channel.plan(refused.reply) if refused.reply else [],
                outcome=Outcome.TOLD if refused.reply else Outcome.SILENT,
                reason=refused.reason,
            )
        elif decision.prompt is not None:
            if user is not None and user.state is UserState.PAUSED:
                decision = replace(decision, state=UserState.ACTIVE)
            await self._ask_in_one(claim, decision, user, history, context)
        elif decision.reply is not None:
            await self._inbox.complete_inbound(claim, decision, self._channel.plan(decision.reply))
        else:
            await self._inbox.complete_inbound(claim, decision, [], outcome=Outcome.SILENT, reason=decision.reason)

    def _refusal(self, claim: Claim, decision: Decision, user: User | None, context: InboundContext) -> Decision | None:
        """What to do instead of answering: not invited, paused, too much, or a machine; None to go on."""
        if decision.reply is None and decision.prompt is None:
            return None
        message, now = claim.message, self._clock()
        known = user is not None and user.message_count > 0
        verdict = not_invited(message.user_id, self._settings, known=known) or is_paused(user, now)
        if verdict is None and (loop := self._loop(context, message)):
            until = now + self._settings.loop_pause_seconds
            log.warning("%s looks like a machine (%s): not answered for a while", self._platform, loop)
            return Decision(reply=LOOP_NOTICE, reason=loop, state=UserState.PAUSED, paused_until=until)
        verdict = verdict or over_limit(context.usage, self._settings)
        return Decision(reply=verdict.reply, reason=verdict.reason, state=decision.state) if verdict else None

    def _loop(self, context: InboundContext, message: InboundMessage) -> str | None:
        return looks_like_a_loop(context.recent, message.text, message.received_at, self._settings.loop_turns)

    async def _ask_in_one(
        self,
        claim: Claim,
        decision: Decision,
        user: User | None,
        history: Sequence[HistoryMessage],
        context: InboundContext,
    ) -> None:
        """Put together what the person wrote in a row, and ask that."""
        lines = self._in_a_row(claim, decision, user, context)
        for _ in range(MAX_DEBOUNCES):
            wait = self._patience(lines[-1].message)
            if wait <= 0:
                break
            await self._sleep(wait)  # the lease is renewed meanwhile
            lines = self._in_a_row(claim, decision, user, await self._inbox.load_context(claim, MAX_MERGED))
        await self._ask(self._put_together(claim, lines), user, history)

    def _patience(self, last: InboundMessage) -> float:
        """Seconds to wait for what may still belong to this question."""
        if not self._settings.merge_messages:
            return 0.0
        wait = max(self._settings.merge_window_seconds, self._channel.debounce_seconds(last))
        return last.received_at + wait - self._clock()

    def _in_a_row(self, claim: Claim, decision: Decision, user: User | None, context: InboundContext) -> list[Line]:
        """The claimed message and those behind it that are questions as well, as far as one question may be long."""
        lines = [Line(claim.id, claim.message, decision)]
        room = self._settings.max_message_length - len(lines[0].question)
        for row, message in context.following if self._settings.merge_messages else ():
            line = Line(row, message, self._channel.decide(message, user))
            room -= len(line.question) + 1
            if line.decision.prompt is None or room < 0:
                break
            lines.append(line)
        return lines

    def _put_together(self, claim: Claim, lines: Sequence[Line]) -> Question:
        first, *others = lines
        if not others:
            return Question(claim, first.decision, first.question, (), claim.message.received_at)
        text = self._channel.merge([replace(line.message, text=line.question) for line in lines])
        words = self._channel.merge([line.message for line in lines])
        whole = replace(claim, message=replace(claim.message, text=words))
        return Question(whole, first.decision, text, tuple(line.id for line in others), lines[-1].message.received_at)

    async def _ask(self, question: Question, user: User | None, history: Sequence[HistoryMessage]) -> None:
        """Put the question to the model; nothing is held in the database meanwhile but the lease."""
        if len(question.text) > self._settings.max_message_length:
            await self._refuse(question, ModelFailure.CONTEXT_TOO_LONG)
            return
        user_id = question.claim.message.user_id
        try:
            async with self._channel.typing(user_id):
                answer = await self._model.ask(
                    self._prompt(question.text, user, history),
                    platform=self._platform,
                    person=_opaque(self._platform, user_id),
                    name=question.decision.name or (user.name if user else None),
                )
        except ModelError as error:
            self._metrics.model_calls.labels(self._platform, error.kind).inc()
            await self._without_answer(question, error)
            return
        self._metrics.model_calls.labels(self._platform, "answered").inc()
        parts = self._channel.plan(answer.text)
        await self._inbox.complete_inbound(
            question.claim, question.decision, parts, answer=answer, merged=question.merged
        )

    async def _refuse(self, question: Question, failure: ModelFailure) -> None:
        """Finish a question that the model can never answer, with a sentence that says why."""
        await self._inbox.complete_inbound(
            question.claim,
            question.decision,
            self._channel.plan(SENTENCES[failure]),
            outcome=Outcome.UNANSWERABLE,
            reason=failure,
            merged=question.merged,
        )

    def _prompt(self, question: str, user: User | None, history: Sequence[HistoryMessage]) -> list[dict[str, str]]:
        system = {"role": "system", "content": self._channel.system_prompt(user)}
        earlier = [{"role": line.role, "content": line.message} for line in history]
        return [system, *earlier, {"role": "user", "content": question}]

    async def _without_answer(self, question: Question, error: ModelError) -> None:
        """The model gave none: say why when that is final, else try again, and tell the person once that it is late.

        What was asked together is given up together, with one apology, when its latest message is too old.
        """
        if not error.passing:
            await self._refuse(question, error.kind)
            return
        claim, give_up_after = question.claim, self._settings.model_give_up_seconds
        age, since_latest = self._clock() - claim.message.received_at, self._clock() - question.latest_at
        pause = next_delay(
            MODEL_BACKOFF,
            attempts=claim.failures + 1,
            age=since_latest,
            give_up_after=give_up_after,
            retry_after=error.retry_after,
            rng=self._rng,
        )
        if pause is None:
            reason = f"no answer from the model for {age:.0f} s; last: {error.kind}: {error}"
            await self._give_up(claim, reason, question.merged)
            return
        pause = min(pause, give_up_after - since_latest)  # a source that wants a day of rest must not delay the apology
        late = age + pause > self._settings.model_notice_seconds and not claim.noticed
        log.warning("no answer from the model (%s: %s); next try in %.0f s", error.kind, error, pause)
        notice = self._channel.plan(NOTICE) if late else []
        await self._inbox.postpone_inbound(claim, self._clock() + pause, f"{error.kind}: {error}", notice)
        self.workers.notify_later(pause, claim.message.user_id)

    async def _give_up(self, claim: Claim, reason: str, merged: Sequence[InboundId] = ()) -> None:
        log.error("message %s of %s is given up: %s", claim.id, self._platform, reason)
        await self._inbox.dead_letter_inbound(claim, reason, self._channel.plan(APOLOGY), merged)


def _opaque(platform: Platform, user_id: UserId) -> str:
    """A stable name of a person that tells a model's provider nothing."""
    return hashlib.sha256(f"{platform}:{user_id}".encode()).hexdigest()[:32]
