"""Prometheus metrics of the LLM server."""

from __future__ import annotations

import time
from functools import cache

from relay.core.errors import ModelError
from relay.core.metrics import Metrics
from relay.llm.chat import RequestTiming
from relay.llm.gateway.api_format import AnswerSummary

_OVERHEAD_BUCKETS = (0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0)
_FIRST_TOKEN_BUCKETS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 45.0, 90.0)


class LlmMetrics:
    """Metrics of one server; they survive a reload of the settings."""

    def __init__(self, metrics: Metrics) -> None:
        self._answers = cache(
            metrics.counter("relay_llm_answers", "Answers and failures by source.", "source", "outcome").labels
        )
        self._attempts = cache(
            metrics.counter("relay_llm_attempts", "Failed attempts at a source.", "source", "kind").labels
        )
        self._tokens = cache(
            metrics.counter("relay_llm_tokens", "Tokens read and written.", "source", "direction").labels
        )
        self._cost = cache(metrics.counter("relay_llm_cost_usd", "Money spent on answers.", "source").labels)
        self._unusable = cache(
            metrics.counter("relay_llm_unusable_answers", "Answers paid for that could not be used.", "source").labels
        )
        self._own = metrics.histogram(
            "relay_llm_own_seconds",
            "Time of an answer that was spent in this server itself, without waiting for a source or in the queue.",
            buckets=_OVERHEAD_BUCKETS,
        )
        first = metrics.histogram(
            "relay_llm_first_token_seconds", "Time to the first word.", "source", buckets=_FIRST_TOKEN_BUCKETS
        )
        self._first = cache(first.labels)
        self._total = cache(
            metrics.histogram(
                "relay_llm_answer_seconds", "Time to the whole answer.", "source", buckets=_FIRST_TOKEN_BUCKETS
            ).labels
        )
        self._waited = metrics.histogram(
            "relay_llm_waited_seconds", "Time in our own queue and between attempts.", buckets=_FIRST_TOKEN_BUCKETS
        )

    def record_answer(self, summary: AnswerSummary, timing: RequestTiming) -> None:
        provider = summary.provider
        self._answers(provider, "degraded" if summary.degraded else "ok").inc()
        self._tokens(provider, "read").inc(summary.completion.prompt_tokens)
        self._tokens(provider, "written").inc(summary.completion.answer_tokens)
        if summary.cost_usd:
            self._cost(provider).inc(summary.cost_usd)
        self._first(provider).observe(summary.first_token_seconds)
        self._total(provider).observe(summary.total_seconds)
        self._waited.observe(timing.waited_seconds)
        own = time.perf_counter() - timing.started - timing.upstream_seconds - timing.waited_seconds
        self._own.observe(max(0.0, own))

    def unusable(self, provider: str, cost_usd: float) -> None:
        self._unusable(provider).inc()
        self._cost(provider).inc(cost_usd)

    def attempt_failed(self, provider: str, error: ModelError) -> None:
        self._attempts(provider, error.kind.value).inc()

    def refused(self, error: ModelError) -> None:
        self._answers("none", error.kind.value).inc()
