"""Sends a request along its chain of targets: retries, backoff, the next target, one combined error at the end.

A request is never repeated once a chunk of the answer was delivered.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, replace

from relay.config.settings import Settings
from relay.core.circuit import CircuitState
from relay.core.errors import ModelError, ModelFailure
from relay.core.retry import Backoff, next_delay
from relay.llm.chat import ChatRequest, Completion, ProviderError, RequestTiming
from relay.llm.gateway.api_format import AnswerSummary
from relay.llm.gateway.attempt import Attempt
from relay.llm.gateway.backend import Backend
from relay.llm.gateway.breaker import Breaker
from relay.llm.gateway.chain import Chain, Target
from relay.llm.gateway.context import fits, fitted, halved, refuse_flood, was_truncated
from relay.llm.gateway.environment import Environment
from relay.llm.gateway.metrics import LlmMetrics
from relay.llm.gateway.quota import FreeQuota
from relay.llm.gateway.response import OnChunk
from relay.llm.gateway.spend import SpendTracker, cost_of
from relay.llm.providers.json_values import as_int

log = logging.getLogger("relay.gateway")

_MAX_WAIT = 30.0
"""Longer delays than this are not waited out: the error carries retry_after."""

# Another target, or a repetition, would not change these.
_FINAL = {ModelFailure.BAD_REQUEST, ModelFailure.CONTEXT_TOO_LONG, ModelFailure.REFUSED}
_RETRYABLE = {ModelFailure.RATE_LIMIT, ModelFailure.UNAVAILABLE, ModelFailure.TIMEOUT, ModelFailure.EMPTY}
_BRIEF = {ModelFailure.UNAVAILABLE, ModelFailure.EMPTY}
"""Failures worth one more attempt at once, also when another target is left."""
_MORE_FOR_THINKING = 4
"""Times the limit of tokens for a model that used all of it for reasoning."""
_MAX_CHANGES = 6
"""How often one question is changed to what a provider takes: shorter history, fewer tokens, without thinking."""


@dataclass(slots=True)
class _TargetCall:
    """A request to one target: what stays the same over its attempts, and how many failed."""

    backend: Backend
    model: str
    request: ChatRequest
    on_chunk: OnChunk
    timing: RequestTiming
    is_last: bool
    is_trial: bool = False
    failures: int = 0
    changes: int = 0

    @property
    def breaker(self) -> Breaker:
        return self.backend.breaker(self.model)

    @property
    def asker(self) -> Hashable:
        """The user, or the question itself when the caller names none."""
        return self.request.user or self.request.messages[-1].content


class FallbackRouter:
    """Tries the targets of a request in order."""

    def __init__(
        self,
        settings: Settings,
        backends: Mapping[str, Backend],
        chain: Chain,
        spend: SpendTracker,
        metrics: LlmMetrics,
        environment: Environment,
    ) -> None:
        self._settings = settings
        self._backends = backends
        self._chain = chain
        self._spend = spend
        self._metrics = metrics
        self._environment = environment
        self._backoff = Backoff(0.5, 8.0, settings.llm_attempts)
        self._final = _FINAL - {ModelFailure(kind) for kind in settings.llm_fallback_after}
        self._reported_truncation: set[str] = set()

    async def ask(self, request: ChatRequest, on_chunk: OnChunk, timing: RequestTiming) -> AnswerSummary:
        """Stream the answer of the first target that gives one. Raises ModelError when none does."""
        refuse_flood(request, self._settings.max_body_bytes)
        targets, may_choose = self._chain.of(request.model)
        first, tried, errors = targets[0], set[Target](), list[ModelError]()
        while targets:
            target, *targets = targets
            tried.add(target)
            try:
                backend, model, prepared = await self._prepared(target, request)
                call = _TargetCall(backend, model, prepared, on_chunk, timing, is_last=not targets)
                completion = await self._ask(target, call)
            except ModelError as error:
                if timing.first_token_seconds is not None or error.kind in self._final:
                    raise
                errors.append(error)
                if error.kind is ModelFailure.UNUSABLE:
                    targets = [other for other in targets if self._chain.is_last_resort(other)]
                elif may_choose and error.kind is ModelFailure.NOT_FOUND:
                    self._replace(target, error)
                    targets = [other for other in self._chain.of(request.model)[0] if other not in tried]
            else:
                degraded = target.provider != first.provider or self._chain.is_last_resort(target)
                return self._summary(call, completion, degraded=degraded)
        raise _combined_error(errors)

    def _replace(self, target: Target, error: ModelError) -> None:
        """Record a removed model; logged once."""
        offered = error.fallback_models if isinstance(error, ProviderError) else ()
        instead = self._chain.mark_missing(target, offered)
        if instead is not None:
            names = ", ".join(str(other) for other in instead)
            log.warning("%s%s", error.message, f"; asking instead: {names}" if names else "")

    async def _prepared(self, target: Target, request: ChatRequest) -> tuple[Backend, str, ChatRequest]:
        """Fit the request to the target's model. Raises ModelError when the model or the budget does not allow it."""
        backend = self._backends[target.provider]
        model = await backend.model(target.model)
        if not backend.provider.is_free(model):
            self._spend.check_budget(self._settings.llm_monthly_budget_usd, backend.name)
        facts = backend.facts(model)
        if request.has_images and backend.sees(model) is False:
            raise ModelError(ModelFailure.IMAGES_UNSUPPORTED, f"{backend.name}: the model {model} cannot see pictures")
        if target.options:
            request = replace(request, options={**target.options, **request.options})
        if request.think is None and model in backend.overthinking:
            request = replace(request, think=False)
        known = facts.context if facts is not None else None
        request = self._enlarged(backend, model, request, known)
        window = request.options.get("num_ctx") or known or self._settings.llm_context_tokens
        try:
            fitting = fitted(request, window if isinstance(window, int) else None, self._settings.llm_answer_tokens)
        except ModelError as error:
            if error.kind is ModelFailure.BAD_REQUEST and request.channel:
                backend.bad_request = error
            raise
        return backend, model, fitting

    def _enlarged(self, backend: Backend, model: str, request: ChatRequest, known: int | None) -> ChatRequest:
        """Ask for a larger context once a conversation needs it, and always from then on: a change loads the model."""
        larger = backend.provider.larger_context
        if larger is None or known is None or "num_ctx" in request.options:
            return request
        if model not in backend.enlarged and fits(request, known, self._settings.llm_answer_tokens):
            return request
        backend.enlarged.add(model)
        return replace(request, options={**request.options, "num_ctx": larger})

    async def _ask(self, target: Target, call: _TargetCall) -> Completion:
        breaker = call.breaker
        call.is_trial = breaker.admit(str(target), call.asker)
        try:
            completion = await self._with_retries(call)
        finally:
            if call.is_trial:
                breaker.cancel_trial()
        self._report_truncation(call, completion)
        return completion

    async def _with_retries(self, call: _TargetCall) -> Completion:
        backend, breaker = call.backend, call.breaker
        while True:
            if backend.quota is not None and backend.provider.is_free(call.model):
                await self._take_quota(backend.quota, call)
            attempt = Attempt(
                backend.provider,
                call.model,
                self._settings,
                inside_thoughts=call.model in backend.unopened,
                tools=bool(call.request.tools),
            )
            async with backend.queue.slot(call.request.user, call.timing):
                if call.failures == 0 and not call.is_trial:
                    # The circuit may have opened while this request was queued.
                    breaker.check(f"{backend.name}:{call.model}", call.asker)
                began = time.perf_counter()
                try:
                    completion = await attempt.run(call.request, call.on_chunk, call.timing)
                    breaker.record_success()
                    backend.record_success()
                    return completion
                except ModelError as error:
                    failure = error
                    self._count_unusable(call, attempt, billed=isinstance(error, ProviderError) and error.billed)
                except asyncio.CancelledError:
                    self._count_unusable(call, attempt)
                    raise
                finally:
                    if attempt.found_unopened:
                        backend.unopened.add(call.model)
            changed = None if attempt.started else self._changed(call, attempt, failure)
            if changed is not None:
                call.request, call.changes = changed, call.changes + 1
                continue
            self._record_failure(call, failure)
            if not attempt.started:
                self._check_unusable(call, failure)
            delay = None if attempt.started else self._retry_delay(failure, call, time.perf_counter() - began)
            if delay is None:
                raise failure
            await self._wait(delay, call.timing)

    def _changed(self, call: _TargetCall, attempt: Attempt, failure: ModelError) -> ChatRequest | None:
        """The request as the provider may take it after this failure; None when no change would help."""
        request = call.request
        if call.changes >= _MAX_CHANGES:
            return None
        if failure.kind is ModelFailure.CONTEXT_TOO_LONG:
            return halved(request)
        limit = as_int(request.options.get("num_predict"))
        tokens = failure.max_tokens if isinstance(failure, ProviderError) else None
        if tokens is not None and tokens < (limit or math.inf):
            return replace(request, options={**request.options, "num_predict": tokens})
        paid = request.unusable + call.timing.unusable.count
        if failure.kind is not ModelFailure.EMPTY or not attempt.only_thought or request.think is False:
            return None
        if paid >= self._settings.max_unusable_answers:
            return None
        call.backend.overthinking.add(call.model)
        options = {**request.options, "num_predict": limit * _MORE_FOR_THINKING} if limit else request.options
        return replace(request, think=False, options=options)

    def _record_failure(self, call: _TargetCall, failure: ModelError) -> None:
        call.breaker.record_failure(failure, call.asker)
        if failure.kind is ModelFailure.FORBIDDEN and call.breaker.state is CircuitState.OPEN:
            failure.kind = ModelFailure.UNAVAILABLE  # other questions are refused as well
        if failure.kind is ModelFailure.IMAGES_UNSUPPORTED:
            call.backend.learn_blindness(call.model, failure)
        if failure.kind is ModelFailure.BAD_REQUEST and call.request.channel:
            call.backend.bad_request = failure
        call.backend.record_failure(failure)
        self._metrics.attempt_failed(call.backend.name, failure)
        call.failures += 1

    def _count_unusable(self, call: _TargetCall, attempt: Attempt, *, billed: bool = False) -> None:
        """Count an answer that failed after the model had begun it, with its cost where that is known."""
        usage = attempt.usage(call.request)
        if usage is None and not billed:
            return
        cost = self._cost(call, usage or Completion()) or 0.0
        call.timing.unusable = call.timing.unusable.and_one(cost)
        self._spend.add(cost)
        self._metrics.unusable(call.backend.name, cost)

    def _check_unusable(self, call: _TargetCall, error: ModelError) -> None:
        """Raise ModelError(UNUSABLE) when no further answer to this question may be paid for."""
        count = call.timing.unusable.count
        if count and call.request.unusable + count >= self._settings.max_unusable_answers:
            raise ModelError(ModelFailure.UNUSABLE, f"{error.message} (unusable answers: {count})")

    async def _take_quota(self, quota: FreeQuota, call: _TargetCall) -> None:
        """Take one free request; waits for it when this is the last target and the wait is short."""
        while True:
            try:
                quota.take()
                return
            except ModelError as error:
                wait = error.retry_after or 0.0
                if not call.is_last or wait > min(_MAX_WAIT, self._left(call.timing)):
                    raise
            await self._wait(wait, call.timing)

    def _retry_delay(self, error: ModelError, call: _TargetCall, took: float) -> float | None:
        """Seconds until the next attempt at the same target; None when the next target should be tried."""
        brief = error.kind in _BRIEF and error.retry_after is None and call.failures == 1
        if error.kind not in _RETRYABLE or not (call.is_last or brief):
            return None
        left = self._left(call.timing) - took
        delay = next_delay(
            self._backoff,
            attempts=call.failures,
            age=0.0,
            give_up_after=left,
            retry_after=error.retry_after,
            rng=self._environment.rng.random,
        )
        return delay if delay is not None and delay <= _MAX_WAIT and delay < left else None

    def _left(self, timing: RequestTiming) -> float:
        return timing.started + self._settings.llm_total_seconds - time.perf_counter()

    async def _wait(self, seconds: float, timing: RequestTiming) -> None:
        timing.waited_seconds += seconds
        await self._environment.sleep(seconds)

    def _report_truncation(self, call: _TargetCall, completion: Completion) -> None:
        """Log once per model that the provider silently dropped the beginning of a conversation."""
        silent = call.backend.provider.truncates_silently and call.model not in self._reported_truncation
        if silent and was_truncated(call.request, completion.prompt_tokens):
            self._reported_truncation.add(call.model)
            log.warning(
                "%s read only %d tokens of a longer conversation: %s has too small a context, and the oldest part "
                "was dropped silently. Set ollama_context_tokens to give it more.",
                call.backend.name,
                completion.prompt_tokens,
                call.model,
            )

    def _summary(self, call: _TargetCall, completion: Completion, *, degraded: bool) -> AnswerSummary:
        return AnswerSummary(
            completion=completion,
            provider=call.backend.name,
            model=completion.model or call.model,
            cost_usd=self._cost(call, completion),
            degraded=degraded,
            first_token_seconds=call.timing.first_token_seconds or 0.0,
            total_seconds=time.perf_counter() - call.timing.started,
            unusable=call.timing.unusable,
        )

    def _cost(self, call: _TargetCall, completion: Completion) -> float | None:
        cost = cost_of(completion, call.model, self._settings.llm_prices)
        return 0.0 if cost is None and call.backend.provider.is_free(call.model) else cost


def _combined_error(errors: list[ModelError]) -> ModelError:
    """One error for all failed targets; it is transient when any is, unless one would answer without pictures."""
    if len(errors) == 1:
        return errors[0]
    decisive = (ModelFailure.UNUSABLE, ModelFailure.IMAGES_UNSUPPORTED)
    certain = (error for kind in decisive for error in errors if error.kind is kind)
    leading = next(certain, None) or next((error for error in errors if error.passing), errors[0])
    delays = [error.retry_after for error in errors if error.retry_after is not None]
    message = "; then ".join(dict.fromkeys(error.message for error in errors))
    return ModelError(leading.kind, message, retry_after=min(delays, default=None), hint=leading.hint)
