"""One model call with first-token and idle timeouts, reasoning separated, always a completion or an error."""

from __future__ import annotations

import asyncio
import time
from contextlib import aclosing, suppress

from relay.config.settings import Settings
from relay.core.errors import ModelFailure
from relay.core.text import CHARS_A_TOKEN, is_blank
from relay.llm.chat import ChatRequest, Chunk, Completion, Provider, ProviderError, RequestTiming, StreamEvent
from relay.llm.gateway.context import tokens_of
from relay.llm.gateway.response import OnChunk
from relay.llm.providers.invented_messages import InventedMessages
from relay.llm.providers.markup import AnswerFilter
from relay.llm.providers.repeated_prompt import RepeatedPrompt
from relay.llm.providers.repetition import loop_chars

_MAX_RECENT_CHARS = 4000
_CHECK_CHARS = 1000
"""How many characters come between two checks for a loop."""
"""Of an answer that was not counted."""
_OVERRIDES = dict.fromkeys(map(ord, "\u202d\u202e"))
"""Characters that turn the direction of everything after them."""


class Attempt:
    """A single call of a provider. Once `started`, a chunk was delivered and the call must not be repeated."""

    def __init__(
        self, provider: Provider, model: str, settings: Settings, *, inside_thoughts: bool, tools: bool
    ) -> None:
        self._provider = provider
        self._model = model
        self._settings = settings
        self._filter = AnswerFilter(inside=inside_thoughts, tools=tools)
        self._cuts: tuple[RepeatedPrompt | InventedMessages, ...] = ()
        self._thought = False
        self._length = 0
        self._recent = ""
        self.started = False
        self._completion: Completion | None = None
        self._counted: tuple[Completion, int] | None = None
        self._limit: asyncio.Timeout | None = None
        self._stopped = False

    @property
    def found_unopened(self) -> bool:
        """Whether reasoning without an opening tag was found."""
        return self._filter.found_unopened

    @property
    def only_thought(self) -> bool:
        """Whether the model wrote reasoning and no answer."""
        return self._thought and not self.started

    def usage(self, request: ChatRequest) -> Completion | None:
        """What the model used: its own figures, or an estimate when it broke off; None when it had not answered."""
        if self._completion is None and self._length:
            return Completion("stop", self._model, tokens_of(request.messages), self._length // CHARS_A_TOKEN)
        return self._completion

    def stop(self) -> None:
        """End the answer here: `run` cancels the model's work and returns what it used."""
        self._stopped = True
        if self._limit is not None:
            with suppress(RuntimeError):  # it has expired, or the answer is complete
                self._limit.reschedule(asyncio.get_running_loop().time())

    def _used_until_stop(self, request: ChatRequest) -> Completion:
        """The provider's own count as far as it goes, and an estimate of what came after it."""
        counted, length = self._counted or (Completion("stop", self._model, tokens_of(request.messages)), 0)
        tokens = counted.answer_tokens + (self._length - length) // CHARS_A_TOKEN
        is_exact = self._counted is not None and self._length == length
        return counted._replace(reason="stop", answer_tokens=tokens, stopped=True, estimated=not is_exact)

    async def run(self, request: ChatRequest, on_chunk: OnChunk, timing: RequestTiming) -> Completion:
        """Pass the chunks to `on_chunk` and return the completion. Raises ProviderError for every other outcome."""
        if request.channel:  # other clients may have asked for a dialogue in ways that only they know
            first, asked, own = request.messages[0], request.messages[-1].content, self._settings.assistant_name or ""
            prompt = first.content if first.role == "system" else ""
            self._cuts = RepeatedPrompt(prompt), InventedMessages(asked, request.name, own)
        try:
            async with asyncio.timeout(self._settings.llm_first_token_seconds) as limit:
                self._limit, timing.stop = limit, self.stop
                completion = await self._listen(request, on_chunk, timing, limit)
        except TimeoutError:
            if self._stopped:
                return self._used_until_stop(request)
            raise ProviderError(ModelFailure.TIMEOUT, f"{self._provider.name} {self._too_slow()}") from None
        finally:
            timing.stop = None
        if not self.started and not completion.stopped:
            why = "used its whole answer for thinking" if completion.reason == "length" else "gave an empty answer"
            raise ProviderError(ModelFailure.EMPTY, f"{self._provider.name}: the model {why}")
        return completion

    def _too_slow(self) -> str:
        if self.started:
            return f"fell silent for {self._settings.llm_silence_seconds:g} seconds in the middle of the answer"
        return f"did not say a word within {self._settings.llm_first_token_seconds:g} seconds"

    async def _listen(
        self, request: ChatRequest, on_chunk: OnChunk, timing: RequestTiming, limit: asyncio.Timeout
    ) -> Completion:
        loop = asyncio.get_running_loop()
        completion: Completion | None = None
        async with aclosing(self._provider.answer(request, self._model, timing)) as events:
            async for event in events:
                if isinstance(event, Completion):
                    completion = self._completion = event
                    break
                chunk = self._visible(event, request)
                if chunk is not None and not self._stopped:
                    limit.reschedule(None)  # a slow reader must not count as a silent provider
                    await self._emit(chunk, on_chunk, timing)
                if self._stopped:
                    return self._used_until_stop(request)
                if self.started or event.thinking or event.text:
                    limit.reschedule(loop.time() + self._settings.llm_silence_seconds)
                if self._length > self._settings.llm_max_answer_chars or self._loops(event.text or event.thinking):
                    completion = Completion("length", self._model, answer_tokens=self._length // CHARS_A_TOKEN)
                    break
        if completion is None:
            raise ProviderError(
                ModelFailure.UNAVAILABLE, f"{self._provider.name} broke off in the middle of the answer"
            )
        if rest := self._rest(completion):
            limit.reschedule(None)
            await self._emit(Chunk(rest), on_chunk, timing)
        return completion

    def _rest(self, completion: Completion) -> str:
        """What was held back until the end of the answer."""
        rest = self._filter.end()
        if not self.started and is_blank(rest) and completion.reason == "stop":
            rest = self._filter.unclosed  # a model that forgot to end its reasoning has answered in it
        for cut in self._cuts:
            rest = cut.end(rest)
        return rest

    def _loops(self, text: str) -> bool:
        """Whether the answer has begun to repeat itself without end; a document is checked as a whole."""
        self._recent += text
        if len(self._recent) < _MAX_RECENT_CHARS:
            return False
        loops = bool(loop_chars(self._recent))
        self._recent = self._recent[-_MAX_RECENT_CHARS + _CHECK_CHARS :]
        return loops

    def _visible(self, event: StreamEvent, request: ChatRequest) -> Chunk | None:
        """The part of an event that is delivered: reasoning only if requested."""
        assert isinstance(event, Chunk)  # noqa: S101 (the other kind of event ends the loop)
        self._length += len(event.text) + len(event.thinking)
        if event.used is not None:
            self._counted = event.used, self._length
        text, thinking = self._filter.feed(event.text) if event.text else ("", "")
        text = text.translate(_OVERRIDES)
        for cut in self._cuts:
            text = cut.feed(text)
        self._thought = self._thought or bool(event.thinking or thinking)
        thinking = event.thinking + thinking if request.think else ""
        return Chunk(text, thinking, event.tool_calls) if text or thinking or event.tool_calls else None

    async def _emit(self, chunk: Chunk, on_chunk: OnChunk, timing: RequestTiming) -> None:
        if not self.started and is_blank(chunk.text) and not chunk.tool_calls and not chunk.thinking:
            return  # leading text that shows nothing is dropped
        if timing.first_token_seconds is None:
            timing.first_token_seconds = time.perf_counter() - timing.started
        self.started = True
        await on_chunk(chunk)
