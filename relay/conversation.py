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
from typing import Protocol

from relay.channel import Channel
from relay.errors import LeaseLost, ModelError, ModelFailure
from relay.lanes import Lanes
from relay.messages import (
    Answer,
    Claim,
    Decision,
    Exchange,
    InboundId,
    PartId,
    PlannedPart,
    Platform,
    ReplyId,
    User,
    UserId,
)
from relay.metrics import Metrics
from relay.retry import MODEL_PACE, next_pause
from relay.settings import Settings

log = logging.getLogger("relay.conversation")

MOST_TRIES = 30
"""A message that was claimed this often without an end kills its worker, it seems: it is buried instead."""

NOTICE = "I cannot answer right now. Your message is safe, and the answer will come as soon as I can."
APOLOGY = "I am sorry, I could not answer your last message. Please send it again later."
SENTENCES = {
    ModelFailure.CONTEXT_TOO_LONG: "That message is too long for me. Please send a shorter one.",
    ModelFailure.REFUSED: "I cannot answer that. Please try to ask in another way.",
    ModelFailure.CANNOT_SEE: "I cannot look at pictures yet. Please tell me in words.",
    ModelFailure.BAD_REQUEST: "I could not make sense of that message. Please try to say it in another way.",
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
    async def people_waiting(self, platform: Platform) -> list[UserId]: ...
    async def read_context(
        self, platform: Platform, user_id: UserId, exchanges: int
    ) -> tuple[User | None, list[Exchange]]: ...
    async def complete_inbound(
        self,
        claim: Claim,
        decision: Decision,
        parts: Sequence[PlannedPart],
        *,
        answer: Answer | None = None,
        outcome: str = "answered",
    ) -> ReplyId | None: ...
    async def postpone_inbound(
        self, claim: Claim, due: float, error: str, notice: Sequence[PlannedPart] = ()
    ) -> None: ...
    async def bury_inbound(self, claim: Claim, error: str, apology: Sequence[PlannedPart]) -> None: ...
    async def renew_leases(self, inbound_ids: Sequence[InboundId], part_ids: Sequence[PartId]) -> None: ...


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
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._inbox = inbox
        self._channel = channel
        self._platform = channel.platform
        self._model = model
        self._settings = settings
        self._metrics = metrics
        self._planned = planned
        self._clock = clock
        self._chance = chance
        self._claimed: set[InboundId] = set()
        self.lanes = Lanes(
            f"{self._platform}-conversation",
            self._step,
            lambda: inbox.people_waiting(self._platform),
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
        if claim.tries > MOST_TRIES:
            await self._give_up(claim, f"was claimed {claim.tries - 1} times without an end")
            return
        message = claim.message
        user, history = await self._inbox.read_context(
            self._platform, message.user_id, self._settings.history_exchanges
        )
        decision = self._channel.decide(message, user)
        if decision.ask is not None:
            await self._ask(claim, decision, user, history)
        elif decision.say is not None:
            await self._inbox.complete_inbound(claim, decision, self._channel.plan(decision.say))
        else:
            await self._inbox.complete_inbound(claim, decision, [], outcome=f"silent: {decision.reason}")

    async def _ask(self, claim: Claim, decision: Decision, user: User | None, history: Sequence[Exchange]) -> None:
        """Put the question to the model; nothing is held in the database meanwhile but the lease."""
        question = decision.ask or ""
        if len(question) > self._settings.max_message_length:
            await self._inbox.complete_inbound(claim, decision, self._plan(SENTENCES[ModelFailure.CONTEXT_TOO_LONG]))
            return
        name = decision.name or (user.name if user else None)
        try:
            async with self._channel.typing(claim.message.user_id):
                answer = await self._model.ask(
                    self._prompt(question, user, history),
                    platform=self._platform,
                    person=_opaque(self._platform, claim.message.user_id),
                    name=name,
                )
        except ModelError as error:
            self._metrics.model_calls.labels(self._platform, error.kind).inc()
            await self._without_answer(claim, decision, error)
            return
        self._metrics.model_calls.labels(self._platform, "answered").inc()
        await self._inbox.complete_inbound(claim, decision, self._plan(answer.text), answer=answer)

    def _prompt(self, question: str, user: User | None, history: Sequence[Exchange]) -> list[dict[str, str]]:
        system = {"role": "system", "content": self._channel.system_prompt(user)}
        earlier = [{"role": line.role, "content": line.message} for line in history]
        return [system, *earlier, {"role": "user", "content": question}]

    def _plan(self, markdown: str) -> list[PlannedPart]:
        return self._channel.plan(markdown)

    async def _without_answer(self, claim: Claim, decision: Decision, error: ModelError) -> None:
        """The model gave none: say why when that is final, else try again, and tell the person once that it is late."""
        if not error.passing:
            await self._inbox.complete_inbound(claim, decision, self._plan(SENTENCES[error.kind]), outcome=error.kind)
            return
        age = self._clock() - claim.message.received_at
        pause = next_pause(
            MODEL_PACE,
            attempts=claim.failures + 1,
            age=age,
            give_up_after=self._settings.model_give_up_seconds,
            retry_after=error.retry_after,
            chance=self._chance,
        )
        if pause is None:
            await self._give_up(claim, f"no answer from the model for {age:.0f} s; last: {error.kind}: {error}")
            return
        late = age + pause > self._settings.model_notice_seconds and not claim.noticed
        log.warning("no answer from the model (%s: %s); next try in %.0f s", error.kind, error, pause)
        notice = self._plan(NOTICE) if late else []
        await self._inbox.postpone_inbound(claim, self._clock() + pause, f"{error.kind}: {error}", notice)
        self.lanes.wake_in(pause, claim.message.user_id)

    async def _give_up(self, claim: Claim, reason: str) -> None:
        log.error("message %s of %s is given up: %s", claim.id, self._platform, reason)
        await self._inbox.bury_inbound(claim, reason, self._plan(APOLOGY))


def _opaque(platform: Platform, user_id: UserId) -> str:
    """A stable name of a person that tells a model's provider nothing."""
    return hashlib.sha256(f"{platform}:{user_id}".encode()).hexdigest()[:32]
