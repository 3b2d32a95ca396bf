"""Puts a question to the model: what the model is sent with it, and how the call ended."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any, Protocol

from relay.config.settings import Settings
from relay.core.attachments import AttachmentReader, recalled, without_pictures
from relay.core.channel import Channel
from relay.core.errors import ModelError, ModelFailure
from relay.core.merging import Question
from relay.core.messages import Answer, Claim, HistoryMessage, InboundContext, Platform, User, UserId
from relay.core.metrics import Metrics
from relay.core.model_choice import DEFAULT_MODEL, chosen_model
from relay.core.progress import Progress
from relay.core.prompt import PromptBuilder
from relay.core.text import CHARS_A_TOKEN

SECONDS_A_DAY = 86_400

SHORT_QUESTION = 60
"""A shorter question may have its subject in the one before ("And on Sunday?"), so documents are searched for both."""


class Model(Protocol):
    """The LLM server, as far as a conversation needs it: relay.llm.client, which the core does not import."""

    async def ask(
        self,
        messages: Sequence[Mapping[str, Any]],
        *,
        platform: Platform,
        user: str,
        name: str | None,
        language: str = ...,
        unusable: int = 0,
        progress: Progress | None = None,
        model: str = ...,
    ) -> Answer: ...
    async def is_usable(self) -> bool: ...


class Asking:
    """Asks the model the questions of one channel's users.

    build_prompt: makes the system prompt of a question from that of the channel. attachments: has those of the history.
    begin: called with the progress of an answer before the model is asked.
    waiting: a call of the model within it delays no other user's step.
    """

    def __init__(
        self,
        channel: Channel,
        model: Model,
        settings: Settings,
        metrics: Metrics,
        build_prompt: PromptBuilder,
        attachments: AttachmentReader,
        *,
        begin: Callable[[Claim, Progress], None],
        clock: Callable[[], float],
        waiting: Callable[[], AbstractContextManager[None]],
    ) -> None:
        self._channel = channel
        self._model = model
        self._settings = settings
        self._metrics = metrics
        self._build_prompt = build_prompt
        self._begin = begin
        self._attachments = attachments
        self._clock = clock
        self._waiting = waiting

    async def ask(self, question: Question, context: InboundContext) -> Answer:
        """The answer, with the passages of documents that the model had. Raises ModelError. Nothing is stored.

        One that was stopped has what was written until then, possibly nothing.
        """
        claim, user, platform = question.claim, context.user, self._channel.platform
        messages, sources = await self._messages(question, user, context.history)
        calls = self._metrics.model_calls
        try:
            with self._waiting():
                async with self._channel.typing(claim.message, question.decision.language) as shown:
                    progress = shown or Progress()
                    progress.join = question.decision.join
                    self._begin(claim, progress)
                    choice = chosen_model(user, self._settings)
                    asking = self._put(
                        messages,
                        pictures_needed=question.is_wordless,
                        platform=platform,
                        user=_opaque(platform, claim.message.user_id),
                        name=question.decision.name or (user.name if user else None),
                        language=question.decision.language,
                        unusable=claim.unusable,
                        progress=progress,
                        **({"model": choice} if choice != DEFAULT_MODEL else {}),
                    )
                    answer = await progress.until_stopped(asking)
        except ModelError as error:
            calls.labels(platform, error.kind).inc()
            raise
        answer = answer or replace(_cut_off(progress.text.strip(), messages), request_id=claim.request_id)
        calls.labels(platform, "stopped" if answer.stopped else "answered").inc()
        return replace(answer, sources=sources)

    async def _put(self, messages: Sequence[Mapping[str, Any]], *, pictures_needed: bool, **how: Any) -> Answer:
        """The answer of the model; one that does not see gets no pictures, unless nothing else was said."""
        try:
            return await self._model.ask(messages, **how)
        except ModelError as error:
            if error.kind is not ModelFailure.IMAGES_UNSUPPORTED or pictures_needed:
                raise
        return await self._model.ask(without_pictures(messages), **how)

    async def _messages(
        self, asked: Question, user: User | None, history: Sequence[HistoryMessage]
    ) -> tuple[list[dict[str, Any]], tuple[str, ...]]:
        """What the model is sent, and the passages of documents in it that fit the question."""
        oldest = self._clock() - self._settings.history_days * SECONDS_A_DAY
        history = [one for one in history if one.timestamp >= oldest]
        question = asked.claim.message.text if asked.contents else asked.prompt
        if len(question) < SHORT_QUESTION:
            question = "\n".join((*(one.message for one in history[-2:] if one.role == "user"), question))
        built = await self._build_prompt(self._channel.system_prompt(user), question)
        system = {"role": "system", "content": built.text}
        earlier = await recalled(self._attachments, history)
        pictures = {"images": asked.pictures} if asked.pictures else {}
        return [system, *earlier, {"role": "user", "content": asked.prompt, **pictures}], built.sources


def _cut_off(text: str, messages: Sequence[Mapping[str, Any]]) -> Answer:
    """An answer that was stopped, and that its server did not count: its tokens are estimated once it has a text."""
    if not text:
        return Answer("", stopped=True)
    asked = sum(len(message["content"]) for message in messages) // CHARS_A_TOKEN
    return Answer(text, prompt_tokens=asked, answer_tokens=-(-len(text) // CHARS_A_TOKEN), stopped=True, estimated=True)


def _opaque(platform: Platform, user_id: UserId) -> str:
    """A stable pseudonym of a user, from which the address cannot be derived by the model's provider."""
    return hashlib.sha256(f"{platform}:{user_id}".encode()).hexdigest()[:32]
