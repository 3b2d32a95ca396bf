"""The way of one question along its chain of targets: attempts, pauses, the next target, the honest error at the end.

Nothing is repeated once the caller has heard a word.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from dataclasses import replace

from relay.config.settings import Settings
from relay.core.errors import ModelError, ModelFailure
from relay.llm.chat import ChatRequest, Completion, ProviderError, RequestTiming
from relay.llm.gateway.api_format import AnswerSummary, HintedError, hint_of
from relay.llm.gateway.attempt import Attempt, Limits
from relay.llm.gateway.backend import Backend
from relay.llm.gateway.breaker import Breaker
from relay.llm.gateway.chain import Chain, Target
from relay.llm.gateway.context import fitted, halved, refuse_flood, was_truncated
from relay.llm.gateway.environment import Environment
from relay.llm.gateway.metrics import LlmMetrics
from relay.llm.gateway.quota import is_free_model
from relay.llm.gateway.response import OnChunk
from relay.llm.gateway.spend import SpendTracker, cost_of

log = logging.getLogger("relay.gateway")

_FIRST_BACKOFF = 0.5
_MAX_BACKOFF = 8.0
_MAX_WAIT = 30.0
"""A source that wants a longer pause than this is not waited for: the caller asks again later."""

# Asking somebody else, or the same one again, would not change these.
_FINAL = {ModelFailure.BAD_REQUEST, ModelFailure.CONTEXT_TOO_LONG, ModelFailure.REFUSED}
_RETRYABLE = {ModelFailure.RATE_LIMIT, ModelFailure.UNAVAILABLE, ModelFailure.TIMEOUT}


class FallbackRouter:
    """Puts questions to the stations."""

    def __init__(
        self,
        settings: Settings,
        backends: Mapping[str, Backend],
        chain: Chain,
        spend: SpendTracker,
        llm_metrics: LlmMetrics,
        environment: Environment,
    ) -> None:
        self._settings = settings
        self._backends = backends
        self._chain = chain
        self._spend = spend
        self._metrics = llm_metrics
        self._sleep = environment.sleep
        self._rng = environment.rng
        self._limits = Limits(
            settings.llm_first_token_seconds, settings.llm_silence_seconds, settings.llm_max_answer_chars
        )
        self._reported_truncation: set[str] = set()

    async def ask(self, request: ChatRequest, on_chunk: OnChunk, timing: RequestTiming) -> AnswerSummary:
        """The answer of the first target that gives one. Raises ModelError when none does."""
        refuse_flood(request, self._settings.max_body_bytes)
        targets, may_choose = self._chain.of(request.model)
        first, tried, failures = targets[0], set[Target](), list[ModelError]()
        while targets:
            target, *targets = targets
            tried.add(target)
            try:
                return await self._ask(target, request, on_chunk, timing, last=not targets, first=first)
            except ModelError as error:
                if timing.first_token_seconds is not None or error.kind in _FINAL:
                    raise
                failures.append(error)
                if may_choose and error.kind is ModelFailure.NOT_FOUND:
                    self._replace(target, error)
                    targets = [other for other in self._chain.of(request.model)[0] if other not in tried]
        raise _combined_error(failures)

    def _replace(self, target: Target, error: ModelError) -> None:
        """A model that somebody chose is gone: remember what to ask instead, and say so once."""
        offered = error.fallback_models if isinstance(error, ProviderError) else ()
        instead = self._chain.lost(target, offered)
        if instead is not None:
            names = ", ".join(str(other) for other in instead)
            log.warning("%s%s", error.message, f"; asking instead: {names}" if names else "")

    async def _ask(
        self,
        target: Target,
        request: ChatRequest,
        on_chunk: OnChunk,
        timing: RequestTiming,
        *,
        last: bool,
        first: Target,
    ) -> AnswerSummary:
        """One target, as often as it is worth it."""
        backend = self._backends[target.provider]
        model = await backend.model(target.model)
        request = self._prepared(backend, model, target, request)
        breaker = backend.breaker(model)
        trying = breaker.admit(str(target))
        try:
            completion, asked = await self._with_retries(
                backend, model, breaker, request, on_chunk, timing, last=last, trying=trying
            )
        finally:
            if trying:
                breaker.cancel_trial()
        self._report_truncation(backend, model, asked, completion)
        cost = cost_of(completion, model, self._settings.llm_prices)
        return AnswerSummary(
            completion=completion,
            provider=backend.name,
            model=completion.model or model,
            cost_usd=0.0 if cost is None and backend.is_free(model) else cost,
            degraded=target.provider != first.provider or self._chain.is_last_resort(target),
            first_token_seconds=timing.first_token_seconds or 0.0,
            total_seconds=time.perf_counter() - timing.started,
        )

    def _prepared(self, backend: Backend, model: str, target: Target, request: ChatRequest) -> ChatRequest:
        """The question as this model can take it. Raises ModelError when it cannot, or may not be asked for money."""
        if not backend.is_free(model):
            self._spend.check_budget(self._settings.llm_monthly_budget_usd, backend.name)
        facts = backend.facts(model)
        if request.has_images and facts is not None and facts.supports_vision is False:
            raise ModelError(ModelFailure.IMAGES_UNSUPPORTED, f"{backend.name}: the model {model} cannot see pictures")
        if target.options:
            request = replace(request, options={**target.options, **request.options})
        known = facts.context if facts is not None else None
        window = request.options.get("num_ctx") or known or self._settings.llm_context_tokens
        return fitted(request, window if isinstance(window, int) else None, self._settings.llm_answer_tokens)

    async def _with_retries(
        self,
        backend: Backend,
        model: str,
        breaker: Breaker,
        request: ChatRequest,
        on_chunk: OnChunk,
        timing: RequestTiming,
        *,
        last: bool,
        trying: bool,
    ) -> tuple[Completion, ChatRequest]:
        """The end of the answer, and the question as it was answered at last."""
        number = 1
        while True:
            if backend.name == "openrouter" and is_free_model(model):
                await self._pace(backend, timing, last=last)
            attempt = Attempt(backend.provider, model, self._limits, inside_thoughts=model in backend.unopened)
            async with backend.queue.slot(request.person, timing):
                if number == 1 and not trying:
                    breaker.check(f"{backend.name}:{model}")  # it may have failed others while this one was waiting
                began = time.perf_counter()
                try:
                    completion = await attempt.run(request, on_chunk, timing)
                    breaker.record_success()
                    backend.record_success()
                    return completion, request
                except ModelError as error:
                    failure = error
                finally:
                    if attempt.found_unopened:
                        backend.unopened.add(model)
            smaller = halved(request) if failure.kind is ModelFailure.CONTEXT_TOO_LONG else None
            if smaller is not None and not attempt.started:
                request = smaller
                continue
            breaker.record_failure(failure)
            backend.record_failure(failure)
            self._metrics.attempt_failed(backend.name, failure)
            took = time.perf_counter() - began
            pause = None if attempt.started else self._pause(failure, number, took, timing, last=last)
            if pause is None:
                raise failure
            number += 1
            await self._rest(pause, timing)

    async def _pace(self, backend: Backend, timing: RequestTiming, *, last: bool) -> None:
        """Take one of the free questions; wait for it when there is nobody else to ask and the wait is short."""
        while True:
            try:
                backend.quota.take()
                return
            except ModelError as error:
                wait = error.retry_after or 0.0
                if not last or wait > _MAX_WAIT or wait > self._left(timing):
                    raise
            await self._rest(wait, timing)

    def _pause(self, error: ModelError, number: int, took: float, timing: RequestTiming, *, last: bool) -> float | None:
        """Seconds until the next attempt at the same target; None when it is better to go on to the next one."""
        if error.kind not in _RETRYABLE or number >= self._settings.llm_attempts:
            return None
        if not last and (error.kind is not ModelFailure.UNAVAILABLE or error.retry_after is not None or number > 1):
            return None
        backoff = min(_FIRST_BACKOFF * 2 ** (number - 1), _MAX_BACKOFF)
        pause = max(backoff * self._rng.uniform(0.75, 1.25), error.retry_after or 0.0)
        return pause if pause <= _MAX_WAIT and pause + took < self._left(timing) else None

    def _left(self, timing: RequestTiming) -> float:
        return timing.started + self._settings.llm_total_seconds - time.perf_counter()

    async def _rest(self, seconds: float, timing: RequestTiming) -> None:
        timing.waited_seconds += seconds
        await self._sleep(seconds)

    def _report_truncation(self, backend: Backend, model: str, request: ChatRequest, completion: Completion) -> None:
        if (
            backend.name == "ollama"
            and model not in self._reported_truncation
            and was_truncated(request, completion.prompt_tokens)
        ):
            self._reported_truncation.add(model)
            log.warning(
                "ollama read only %d tokens of a longer conversation: %s has too small a context, and the oldest part "
                "was dropped silently. Set ollama_context_tokens to give it more.",
                completion.prompt_tokens,
                model,
            )


def _combined_error(failures: list[ModelError]) -> ModelError:
    """One error for all targets that failed; it is passing when any of them is."""
    if len(failures) == 1:
        return failures[0]
    leading = next((error for error in failures if error.passing), failures[0])
    waits = [error.retry_after for error in failures if error.retry_after is not None]
    message = "; then ".join(dict.fromkeys(error.message for error in failures))
    return HintedError(leading.kind, message, hint_of(leading), retry_after=min(waits, default=None))
