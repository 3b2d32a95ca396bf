"""Facade of the gateway: start, stop, ask, status.

Probes the providers, limits the total time of an answer, tracks spending and metrics; relay.llm.gateway.router sends
the requests.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from relay.config.settings import Settings
from relay.core.errors import ModelError, ModelFailure
from relay.llm.chat import ChatRequest, Completion, Embeddings, ModelFacts, RequestTiming
from relay.llm.gateway.api_format import MAX_SHOWN_NAME, AnswerSummary, hint_of
from relay.llm.gateway.backend import Backend
from relay.llm.gateway.chain import Chain
from relay.llm.gateway.environment import Environment
from relay.llm.gateway.metrics import LlmMetrics
from relay.llm.gateway.response import OnChunk
from relay.llm.gateway.router import FallbackRouter
from relay.llm.gateway.spend import SpendTracker, cost_of

log = logging.getLogger("relay.gateway")

_OUTAGE_PROBE_SECONDS = 3.0
"""Pause between two probes while a provider is away: questions wait for it."""
_AWAY = {ModelFailure.UNAVAILABLE, ModelFailure.TIMEOUT}


class Gateway:
    """The backends of one version of the settings."""

    def __init__(
        self,
        settings: Settings,
        backends: Iterable[Backend],
        spend: SpendTracker,
        llm_metrics: LlmMetrics,
        environment: Environment,
    ) -> None:
        self._settings = settings
        self._backends = {backend.name: backend for backend in backends}
        self._chain = Chain(settings, self._backends, environment.clock)
        self._spend = spend
        self._metrics = llm_metrics
        self._router = FallbackRouter(settings, self._backends, self._chain, spend, llm_metrics, environment)
        self._first_probe = asyncio.Event()
        self._probing: asyncio.Task[None] | None = None

    # -- probing the providers -----------------------------------------------------------------------------------------

    def start(self) -> None:
        """Probe the providers now and every llm_probe_seconds, more often while one is away."""
        self._probing = asyncio.create_task(self._probe_regularly())

    async def stop(self) -> None:
        """Stop probing and save the spending. Requests in flight are not affected."""
        if self._probing is not None:
            self._probing.cancel()
            await asyncio.gather(self._probing, return_exceptions=True)
        await asyncio.gather(*(backend.stop() for backend in self._backends.values()))
        self._spend.save()

    async def first_probe_done(self) -> None:
        """Wait until the first probe of all providers has finished."""
        await self._first_probe.wait()

    async def _probe_regularly(self) -> None:
        regular = self._settings.llm_probe_seconds
        while True:
            watched = self._watched()
            await asyncio.gather(*(backend.probe() for backend in watched))
            for backend in self._backends.values():
                self._spend.record_invoice(
                    backend.name, backend.provider_status.month_usd if backend.provider_status else None
                )
            self._first_probe.set()
            self._spend.save()
            problems = [backend.problem for backend in watched if backend.configured]
            is_away = any(problem is not None and problem.kind in _AWAY for problem in problems)
            await asyncio.sleep(min(regular, _OUTAGE_PROBE_SECONDS) if is_away else regular)

    def _watched(self) -> list[Backend]:
        """The backends enabled by the settings; others are never probed."""
        settings = self._settings
        named = {text.partition(":")[0] for text in settings.llm_fallbacks}
        named |= {alias["model"].partition(":")[0] for alias in settings.llm_aliases.values()}
        named |= {settings.llm_source, (settings.embedding_model or "").partition(":")[0]}
        return [
            backend
            for name, backend in self._backends.items()
            if settings.llm_source == "auto" or name in named or not backend.provider.is_ai
        ]

    # -- asking --------------------------------------------------------------------------------------------------------

    async def ask(self, request: ChatRequest, on_chunk: OnChunk, timing: RequestTiming) -> AnswerSummary:
        """Pass the chunks of the answer to `on_chunk` and return its summary. Raises ModelError."""
        try:
            async with asyncio.timeout(self._settings.llm_total_seconds):
                if not self._first_probe.is_set():
                    await self._first_probe.wait()
                summary = await self._router.ask(request, on_chunk, timing)
        except (TimeoutError, ModelError) as error:
            too_long = f"the answer took longer than {self._settings.llm_total_seconds:g} seconds"
            refused = error if isinstance(error, ModelError) else ModelError(ModelFailure.TIMEOUT, too_long)
            refused.unusable = timing.unusable
            self._metrics.refused(refused)
            log.info("no answer (%s): %s", refused.kind, refused.message)
            raise refused from None
        self._spend.add(summary.cost_usd)
        log.info(
            "answered by %s:%s in %.1f s, generation %s",
            *(summary.provider, summary.model, summary.total_seconds, summary.completion.generation_id or "unnamed"),
        )
        self._metrics.record_answer(summary, timing)
        return summary

    async def embed(self, name: str, texts: Sequence[str], options: Mapping[str, Any]) -> Embeddings:
        """The vectors of texts by a model, the configured one by default. Raises ModelError.

        A model of embeddings has no fallback: the vectors of two models cannot be compared.
        """
        await self._first_probe.wait()
        wanted = name if name not in ("", "default") else self._settings.embedding_model or ""
        if not wanted:
            hint = "set embedding_model, such as ollama:nomic-embed-text"
            raise ModelError(ModelFailure.NOT_FOUND, "no embedding model is configured", hint=hint)
        target = self._chain.of(wanted)[0][0]
        backend = self._backends[target.provider]
        model = await backend.model(target.model)
        if not backend.provider.is_free(model):
            self._spend.check_budget(self._settings.llm_monthly_budget_usd, backend.name)
        try:
            async with asyncio.timeout(self._settings.llm_total_seconds):
                async with backend.queue.slot("", RequestTiming(time.perf_counter())):
                    found = await backend.provider.embed(texts, model, options) if texts else Embeddings((), model)
        except TimeoutError:
            raise ModelError(ModelFailure.TIMEOUT, f"{backend.name} did not embed the texts in time") from None
        used = Completion("stop", model, found.tokens, cost_usd=found.cost_usd)
        self._spend.add(cost_of(used, model, self._settings.llm_prices))
        return found

    async def load(self, request: ChatRequest) -> None:
        """Load the model of a request without messages, or unload it. Raises ModelError."""
        await self._first_probe.wait()
        target = self._chain.of(request.model)[0][0]
        backend = self._backends[target.provider]
        try:
            async with asyncio.timeout(self._settings.llm_total_seconds):
                await backend.provider.load(await backend.model(target.model), request.keep_alive)
        except TimeoutError:
            raise ModelError(ModelFailure.TIMEOUT, f"{backend.name} did not load the model in time") from None

    # -- what it is ----------------------------------------------------------------------------------------------------

    async def status(self, *, with_messages: bool) -> dict[str, Any]:
        """The answering provider and the state of all; uses no tokens, never raises, takes at most 2 s.

        Without messages an error is its kind alone, for strangers: providers quote what users write.
        """
        try:
            async with asyncio.timeout(2.0):
                await self._first_probe.wait()
        except TimeoutError:
            return {"status": "starting", "source": None, "model": None, "sources": []}
        try:
            targets = self._chain.of("")[0]
        except ModelError as error:
            return {
                "status": "unavailable",
                "source": None,
                "model": None,
                "problem": error.message,
                "hint": error.hint,
            }
        backends = [self._backends[target.provider] for target in targets]
        first = next((number for number, backend in enumerate(backends) if backend.usable), None)
        hindrance = backends[0].hindrance
        state = "unavailable" if first is None else "ok" if first == 0 and hindrance is None else "degraded"
        target, backend = targets[first or 0], backends[first or 0]
        problem = backends[0].problem or hindrance
        return {
            "status": state,
            "source": backend.name,
            "model": target.model or backend.default_model or None,
            **_problem(problem, with_messages),
            "sources": [backend.status(with_messages=with_messages) for backend in dict.fromkeys(backends)],
            "chain": [str(target) for target in targets],
            "replaced_models": self._chain.replaced(),
            "spent_this_month_usd": round(self._spend.spent, 6),
            "monthly_budget_usd": self._settings.llm_monthly_budget_usd,
        }

    async def models(self) -> dict[str, ModelFacts]:
        """All valid model names: `default`, the aliases, and the models of each provider of the chain."""
        await self._first_probe.wait()
        found = {name: self._chosen(name) for name in ("default", *self._settings.llm_aliases)}
        try:
            targets = self._chain.default()
        except ModelError:
            return found
        for number, provider in enumerate(dict.fromkeys(target.provider for target in targets)):
            status = self._backends[provider].provider_status
            for facts in status.models if status else ():
                if "*" in facts.name:  # LiteLLM's wildcard is a pattern, no model
                    continue
                found.setdefault(facts.name if number == 0 else f"{provider}:{facts.name}", facts)
        return found

    async def model(self, name: str) -> ModelFacts:
        """The facts of a model by any name that can be asked for. Raises ModelError(NOT_FOUND)."""
        models = await self.models()
        provider, _, own = name.partition(":")
        names = (name, own) if provider in self._backends and own else (name,)
        for known in (tagged for short in names for tagged in (short, f"{short}:latest")):
            if known in models:
                return models[known]
        raise ModelError(ModelFailure.NOT_FOUND, f"model {name[:MAX_SHOWN_NAME]!r} not found")

    def _chosen(self, name: str) -> ModelFacts:
        """The facts of the model that answers to `default` or an alias now."""
        try:
            target = self._chain.of(name)[0][0]
        except ModelError:
            return ModelFacts(name)
        backend = self._backends[target.provider]
        return backend.facts(target.model or backend.default_model) or ModelFacts(name)


def _problem(error: ModelError | None, with_messages: bool) -> dict[str, str]:
    if error is None:
        return {}
    return {"problem": error.message if with_messages else error.kind.value, "hint": hint_of(error)}
