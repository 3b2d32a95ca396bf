"""Answers inbound messages: claims a user's next message, runs a command or asks the model, stores the reply.

Messages of a user are claimed in order. No transaction is open while the model works; history, planned parts and the
end of the message are committed together. Sending is the outbox's task, wording and formatting the channel's.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Any

from relay.config.logs import REQUEST_ID
from relay.config.settings import Settings
from relay.core.answers_under_way import AnswersUnderWay
from relay.core.asking import Asking, Model
from relay.core.attachments import AttachmentReader, apology, no_attachments
from relay.core.channel import Channel
from relay.core.debounce import MAX_MERGED, Debounce
from relay.core.decisions import Decision, Forward
from relay.core.errors import AttachmentError, LeaseLost, ModelError, ModelFailure, UnusableAnswers
from relay.core.guards import Guards
from relay.core.merging import Question
from relay.core.messages import (
    Answer,
    Claim,
    InboundContext,
    InboundId,
    Outcome,
    User,
    UserId,
    UserState,
    request_id_of,
)
from relay.core.metrics import Metrics
from relay.core.model_outage import ModelOutage
from relay.core.outbox import Outbox
from relay.core.parts import PlannedPart
from relay.core.prompt import PromptBuilder, channel_prompt
from relay.core.reading import Reading, pause_before
from relay.core.retry import MODEL_BACKOFF, next_delay
from relay.core.revision import revised
from relay.core.store import Store
from relay.core.takeover import ANY_TEXT, Channels, Takeover
from relay.core.unfinished_markdown import ended
from relay.core.user_workers import UserWorkers
from relay.texts.sentences import localize

log = logging.getLogger("relay.core.conversation")

MAX_ATTEMPTS = 30
"""A message that was claimed this often without an outcome probably kills its worker, so it becomes a dead letter."""

MAX_REPEATS = 4
"""Maximum number of times that a question is put to the model because more of it came meanwhile."""

SENTENCES = {
    ModelFailure.CONTEXT_TOO_LONG: "question-too-long",
    ModelFailure.REFUSED: "cannot-answer",
    ModelFailure.IMAGES_UNSUPPORTED: "pictures-unsupported",
    ModelFailure.FORBIDDEN: "cannot-answer",
    ModelFailure.BAD_REQUEST: "set-up-wrongly",
    ModelFailure.UNUSABLE: "no-usable-answer",
}
"""Keys of the replies to failures that asking the same again would not change."""


class Conversation:
    """Answers the messages of one channel, and notifies its outbox of what is planned.

    build_prompt: makes the system prompt of a question from that of the channel. attachments: fetches and reads what
    comes with messages. channels: how an operator's reply is planned for a user of another channel.
    """

    def __init__(
        self,
        inbox: Store,
        channel: Channel,
        model: Model,
        settings: Settings,
        metrics: Metrics,
        *,
        outbox: Outbox,
        build_prompt: PromptBuilder = channel_prompt,
        attachments: AttachmentReader = no_attachments,
        channels: Channels = ANY_TEXT,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        rng: Callable[[], float] = random.random,
    ) -> None:
        self._inbox = inbox
        self._channel = channel
        self._platform = channel.platform
        self._settings = settings
        self._outbox = outbox
        self._clock = clock
        self._rng = rng
        self._under_way = AnswersUnderWay(inbox.record_shown)
        self._answer_times = metrics.answer_times
        self._outage = ModelOutage(model.is_usable)
        self._takeover = Takeover(inbox, settings, channels, clock)
        self._guards = Guards(channel.platform, settings, clock)
        self.workers = UserWorkers(
            f"{self._platform}-conversation",
            self._step,
            lambda: inbox.users_waiting(self._platform),
            concurrency=settings.max_concurrent_answers,
            renew=self._before_sweep,
            priority=inbox.priority,
            sleep=sleep,
        )
        self._asking = Asking(
            channel,
            model,
            settings,
            metrics,
            build_prompt,
            attachments,
            begin=self._under_way.begin,
            clock=clock,
            waiting=self.workers.waiting,
        )
        self._reading = Reading(attachments, channel, clock=clock, without_slot=self.workers.without_slot)
        self._debounce = Debounce(
            inbox, channel, settings, clock=clock, sleep=sleep, without_slot=self.workers.without_slot
        )

    async def _before_sweep(self) -> None:
        """Renew the leases; after an outage of the model make one question due, as a trial for the others."""
        await self.end_stopped_answers()
        if await self._outage.check() and not await self._inbox.retry_postponed(self._platform, 1):
            self._outage.end()

    async def end_stopped_answers(self) -> None:
        """Renew the leases, and end the answers whose users asked for that, through whichever server."""
        for row in await self._inbox.renew_leases(self._under_way.rows, []):
            self._under_way.stop(row)

    async def _step(self, user_id: UserId) -> bool:
        """Answer this user's next message; False when no other one is due."""
        claim = await self._inbox.claim_next_inbound(self._platform, user_id)
        if claim is None:
            return False
        self._under_way.claimed(claim)
        REQUEST_ID.set(claim.request_id)
        try:
            return await self._answer(claim)
        except LeaseLost as error:
            log.warning("%s", error)
            return True
        finally:
            self._under_way.completed(claim)

    async def _answer(self, claim: Claim) -> bool:
        """Complete, postpone or dead-letter a claimed message; committed on return. Raises LeaseLost, StorageError.

        False when no other message of the user waits.
        """
        crashes = claim.attempts - 1 - claim.failures
        if crashes >= MAX_ATTEMPTS:
            language = self._channel.language(None, claim.message)
            return await self._give_up(claim, f"was claimed {crashes} times without an end", language)
        exchanges, is_billed = self._settings.history_exchanges, self._channel.is_billed
        context = await self._inbox.load_context(claim, exchanges, MAX_MERGED, spending=is_billed)
        if (by_operator := await self._takeover.of_operator(claim.message, context.user)) is not None:
            return await self._forward(claim, *by_operator)
        claim, decision, context = await self._decided(claim, context)
        user = context.user
        refused = self._guards.refusal(claim.message, decision, context)
        if (left := await self._left_to_person(claim, decision, context, refused)) is not None:
            return left
        if refused is None and decision.prompt is not None:
            if user is not None and user.state is UserState.PAUSED:
                decision = replace(decision, state=UserState.ACTIVE)
            question = await self._debounce.question(claim, decision, context)
            return await self._ask(question, context)
        decision = refused or decision
        parts = self._parts(decision)
        outcome = Outcome.SILENT if decision.reply is None else Outcome.TOLD if refused else Outcome.ANSWERED
        reason = None if outcome is Outcome.ANSWERED else decision.reason
        return await self._complete(claim, decision, parts, outcome=outcome, reason=reason)

    async def _decided(self, claim: Claim, context: InboundContext) -> tuple[Claim, Decision, InboundContext]:
        """What the channel does about the message, given what was written before."""
        message = claim.message
        decision = self._channel.decide(message, context.user)
        if decision.resolve is not None:
            with self.workers.waiting():
                decision = replace(await decision.resolve(self._inbox), from_person=decision.from_person)
        claim, decision, context = revised(claim, decision, context)
        if decision.shown_as is not None:
            await self._inbox.record_shown(claim, decision.shown_as)
            self._under_way.shown(claim, decision.shown_as)
        if ignored := self._channel.why_ignored(message, context.recent):
            decision = Decision(reason=ignored, state=decision.state)
        language = self._channel.language(context.user, message)
        return claim, replace(decision, language=language), context

    async def _left_to_person(
        self, claim: Claim, decision: Decision, context: InboundContext, refused: Decision | None
    ) -> bool | None:
        """Leave the message to the person who answers already, or who is asked for; None when the AI goes on."""
        user, message = context.user, claim.message
        if not _is_for_the_ai(decision):
            return None
        if user is not None and user.is_with_person(self._clock()):
            claim = await self._reading.claim(claim)
            left = Decision(reason="a person answers", state=decision.state)
            return await self._leave_to_person(claim, left, user, outcome=Outcome.LEFT_TO_PERSON, reason=left.reason)
        if refused is None and self._takeover.is_asked_for(message):
            handed = self._takeover.decision(Decision(state=decision.state, language=decision.language))
            return await self._leave_to_person(claim, handed, user)
        return None

    async def _leave_to_person(self, claim: Claim, decision: Decision, user: User | None, **how: Any) -> bool:
        """Complete a message that a person answers, and notify the operators."""
        more = await self._complete(claim, decision, self._parts(decision), **how)
        await self._takeover.notify(claim.message, user)
        return more

    async def _forward(self, claim: Claim, decision: Decision, forward: Forward | None) -> bool:
        """Complete an operator's message, and with it plan what it sends to another user."""
        more = await self._complete(claim, decision, self._parts(decision), forward=forward)
        if forward is not None and forward.platform == self._platform:
            self._outbox.notify(forward.user_id)  # other channels find it with their next sweep
        return more

    def _parts(self, decision: Decision) -> list[PlannedPart]:
        """The parts of our own words: text with the buttons below it, then files."""
        if decision.reply is None:
            return []
        *before, last = self._channel.plan(decision.reply, decision.language)
        return [*before, replace(last, buttons=",".join(decision.buttons) or None), *decision.files]

    async def _complete(self, claim: Claim, decision: Decision, parts: Sequence[PlannedPart], **how: Any) -> bool:
        """Commit the end of a message; the outbox gets the first part. False when no other message of the user waits.

        `how`: further arguments of `complete_inbound`.
        """
        user_id = claim.message.user_id
        ready, mark = self._outbox.is_ready_for(user_id), not self._channel.rate_limited
        done = await self._inbox.complete_inbound(claim, decision, parts, claim_part=ready, mark=mark, **how)
        if done.reply_id is not None:
            self._answer_times.planned(done.reply_id, claim.message.received_at)
        self._outbox.notify(done.first.user_id if done.first else user_id, done.first)
        return done.more

    async def _ask(self, question: Question, context: InboundContext) -> bool:
        """Ask the model, and store its answer. Only the lease is held in the database meanwhile.

        A question that was continued meanwhile is asked once more, as a whole. False when no other message of the user
        waits.
        """
        asked = await self._read_and_asked(question, context)
        for _ in range(MAX_REPEATS):
            if asked is None or (continued := await self._debounce.continued(question, context)) is None:
                break
            await self._record_unusable(question.claim, UnusableAnswers(1, asked[1].cost_usd or 0.0))
            question = continued
            asked = await self._read_and_asked(question, context)
        if asked is None:
            return True
        question, answer = asked
        decision = question.decision
        if self._takeover.is_without_answer(answer.text):
            how: dict[str, Any] = {"answer": answer, "merged": question.merged}
            more = await self._leave_to_person(question.claim, self._takeover.decision(decision), context.user, **how)
            await self._end_outage()
            return more
        log.info("answered by %s (%s), generation %s", answer.model, answer.source, answer.generation_id or "unnamed")
        if question.merged:
            log.info(
                "it is the answer to %s as well", ", ".join(request_id_of(self._platform, i) for i in question.merged)
            )
        whole = (f"{decision.preface}\n\n" if decision.preface else "") + answer.text + decision.postscript
        parts = self._joined(decision, self._channel.plan(whole, decision.language))
        more = await self._complete(question.claim, question.decision, parts, answer=answer, merged=question.merged)
        await self._end_outage()
        return more

    async def _read_and_asked(self, question: Question, context: InboundContext) -> tuple[Question, Answer] | None:
        """The question with what came with it, and its answer; None when its end or its pause is committed."""
        if len(question.prompt) > self._settings.max_message_length:
            await self._refuse(question, ModelFailure.CONTEXT_TOO_LONG)
            return None
        try:
            read = await self._reading.question(question)
        except AttachmentError as error:
            await self._postpone_reading(question.claim, error)
            return None
        if read.contents and read.is_wordless and not read.pictures:
            await self._complete_unread(read)
            return None
        answer = await self._answer_of_model(read, context)
        return None if answer is None else (read, answer)

    async def _postpone_reading(self, claim: Claim, error: AttachmentError) -> None:
        pause = pause_before(claim.failures)
        log.warning("an attachment of message %s cannot be had now (%s); next try in %.0f s", claim.id, error, pause)
        await self._inbox.postpone_inbound(claim, self._clock() + pause, f"attachment: {error}")
        self.workers.notify_later(pause, claim.message.user_id)

    async def _complete_unread(self, question: Question) -> None:
        """Complete a message of which nothing can be used, with a reply that asks for words."""
        why = f"nothing of it can be used: {question.contents[0].failure}"
        parts = self._localized(apology(question.contents), question.decision.language)
        await self._complete(question.claim, question.decision, parts, reason=why, merged=question.merged)

    async def _answer_of_model(self, question: Question, context: InboundContext) -> Answer | None:
        """The answer of the model; None when there is none, and the end or the pause of the question is committed."""
        claim, most = question.claim, self._settings.max_unusable_answers
        if claim.unusable >= most:
            await self._refuse(question, ModelFailure.UNUSABLE)
            return None
        try:
            answer = await self._asking.ask(question, context)
        except ModelError as error:
            await self._record_unusable(claim, error.unusable)
            if claim.unusable + error.unusable.count >= most:
                error.kind = ModelFailure.UNUSABLE
            await self._without_answer(question, error)
            return None
        await self._record_unusable(claim, answer.unusable)
        if answer.stopped:
            await self._complete_stopped(question, answer)
            return None
        return answer

    async def _complete_stopped(self, question: Question, answer: Answer) -> None:
        """Complete a question whose answer the user stopped: the beginning that was written is the answer."""
        language = question.decision.language
        notice = f"\n\n_({localize('stopped-here', language)})_"
        planned = self._channel.plan(ended(answer.text) + notice, language) if answer.text else []
        parts = self._joined(question.decision, planned)
        outcome = Outcome.ANSWERED if answer.text else Outcome.SILENT
        how: dict[str, Any] = {"outcome": outcome, "reason": "stopped by the user", "merged": question.merged}
        await self._complete(question.claim, question.decision, parts, answer=answer, **how)

    def _joined(self, decision: Decision, parts: list[PlannedPart]) -> list[PlannedPart]:
        return decision.join(parts) if decision.join and parts else parts

    async def _end_outage(self) -> None:
        """The model works: after an outage, make all postponed questions due for the next sweep."""
        if self._outage.end():
            await self._inbox.retry_postponed(self._platform)

    async def _record_unusable(self, claim: Claim, unusable: UnusableAnswers) -> None:
        """Record unusable answers at once, so that a restart does not lead to more than allowed."""
        if unusable.count:
            log.warning("message %s of %s got %d unusable answers", claim.id, self._platform, unusable.count)
            await self._inbox.record_unusable(claim, unusable)

    async def _refuse(self, question: Question, failure: ModelFailure) -> None:
        """Complete a question that the model can never answer, with a reply that gives the reason."""
        # Every picture alone is answered so where the model is blind, so that one counts for the limits.
        blind = failure is ModelFailure.IMAGES_UNSUPPORTED
        outcome = Outcome.ANSWERED if blind else Outcome.UNANSWERABLE
        parts = self._localized(SENTENCES[failure], question.decision.language)
        how: dict[str, Any] = {"outcome": outcome, "reason": failure, "merged": question.merged}
        await self._complete(question.claim, question.decision, parts, **how)
        await self._takeover.after_failure(question.claim.message)

    async def _without_answer(self, question: Question, error: ModelError) -> None:
        """Refuse the question when the error is final, else retry later, with one notice to the user when it is late.

        Merged messages are given up together, with one apology, when the latest of them is too old.
        """
        if not error.passing:
            await self._refuse(question, error.kind)
            await self._end_outage()
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
            await self._give_up(claim, reason, question.decision.language, question.merged)
            return
        pause = min(pause, give_up_after - since_latest)  # a Retry-After of a day must not delay the apology
        late = age + pause > self._settings.model_notice_seconds and not claim.notified
        log.warning("no answer from the model (%s: %s); next try in %.0f s", error.kind, error, pause)
        notice = self._localized("answer-later", question.decision.language) if late else []
        await self._inbox.postpone_inbound(claim, self._clock() + pause, f"{error.kind}: {error}", notice)
        self._outbox.notify(claim.message.user_id)
        self.workers.notify_later(pause, claim.message.user_id)
        self._outage.begin()

    def _localized(self, key: str, language: str) -> list[PlannedPart]:
        """A sentence of ours as parts."""
        return self._channel.plan(localize(key, language), language)

    async def _give_up(self, claim: Claim, reason: str, language: str, merged: Sequence[InboundId] = ()) -> bool:
        """Make a message a dead letter; True, because others may wait."""
        log.error("message %s of %s is given up: %s", claim.id, self._platform, reason)
        await self._inbox.dead_letter_inbound(claim, reason, self._localized("given-up", language), merged)
        self._outbox.notify(claim.message.user_id)
        await self._takeover.after_failure(claim.message)
        return True


def _is_for_the_ai(decision: Decision) -> bool:
    """Whether a person who has taken over answers this instead; commands and keywords are carried out all the same."""
    return decision.prompt is not None or decision.hold
