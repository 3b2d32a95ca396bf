"""One attempt at one model: limits on the first word and on silence, thoughts kept apart, an end that is sure."""

from __future__ import annotations

import asyncio
import time
from contextlib import aclosing
from dataclasses import dataclass

from relay.core.errors import ModelFailure
from relay.llm.chat import Event, Finish, Piece, Question, Source, SourceError, Trace
from relay.llm.gateway.response import Hear
from relay.llm.providers.reasoning import ThoughtFilter


@dataclass(frozen=True, slots=True)
class Limits:
    """How long to wait, in seconds, and where an answer that does not end is cut, in characters."""

    first_token: float
    silence: float
    longest: int


class Attempt:
    """Asks one source once. `spoke` says whether the listener has heard anything: then it must not be repeated."""

    def __init__(self, source: Source, model: str, limits: Limits, *, inside_thoughts: bool) -> None:
        self._source = source
        self._model = model
        self._limits = limits
        self._thoughts = ThoughtFilter(inside=inside_thoughts)
        self._length = 0
        self.spoke = False

    @property
    def found_unopened(self) -> bool:
        """Whether thoughts turned up whose beginning was not marked."""
        return self._thoughts.found_unopened

    async def run(self, question: Question, hear: Hear, trace: Trace) -> Finish:
        """Give the pieces to `hear` and return the end. Raises SourceError for every other way of ending."""
        try:
            async with asyncio.timeout(self._limits.first_token) as limit:
                finish = await self._listen(question, hear, trace, limit)
        except TimeoutError:
            raise SourceError(ModelFailure.TIMEOUT, f"{self._source.name} {self._too_slow()}") from None
        if not self.spoke:
            why = "used its whole answer for thinking" if finish.reason == "length" else "gave an empty answer"
            raise SourceError(ModelFailure.UNAVAILABLE, f"{self._source.name}: the model {why}")
        return finish

    def _too_slow(self) -> str:
        if self.spoke:
            return f"fell silent for {self._limits.silence:g} seconds in the middle of the answer"
        return f"did not say a word within {self._limits.first_token:g} seconds"

    async def _listen(self, question: Question, hear: Hear, trace: Trace, limit: asyncio.Timeout) -> Finish:
        loop = asyncio.get_running_loop()
        finish: Finish | None = None
        async with aclosing(self._source.answer(question, self._model, trace)) as events:
            async for event in events:
                if isinstance(event, Finish):
                    finish = event
                    break
                piece = self._shown(event, question)
                if piece is not None:
                    limit.reschedule(None)  # how slowly the caller reads is not the source's fault
                    await self._say(piece, hear, trace)
                if self.spoke or event.thinking or event.text:
                    limit.reschedule(loop.time() + self._limits.silence)
                if self._length > self._limits.longest:
                    finish = Finish("length", self._model, answer_tokens=self._length // 4)
                    break
        if finish is None:
            raise SourceError(ModelFailure.UNAVAILABLE, f"{self._source.name} broke off in the middle of the answer")
        if rest := self._thoughts.end():
            limit.reschedule(None)
            await self._say(Piece(rest), hear, trace)
        return finish

    def _shown(self, event: Event, question: Question) -> Piece | None:
        """What of this the caller gets: thoughts only when asked for."""
        assert isinstance(event, Piece)  # noqa: S101 (the other kind of event ends the loop)
        self._length += len(event.text) + len(event.thinking)
        text, thinking = self._thoughts.feed(event.text) if event.text else ("", "")
        thinking = event.thinking + thinking if question.think else ""
        return Piece(text, thinking, event.tool_calls) if text or thinking or event.tool_calls else None

    async def _say(self, piece: Piece, hear: Hear, trace: Trace) -> None:
        if not self.spoke and not piece.text.strip() and not piece.tool_calls and not piece.thinking:
            return  # white space before the first word is no word
        if trace.first_token_seconds is None:
            trace.first_token_seconds = time.perf_counter() - trace.started
        self.spoke = True
        await hear(piece)
