"""Counters of one process, in Prometheus' text format at /metrics."""

from __future__ import annotations

from collections.abc import Sequence

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

__all__ = ["CONTENT_TYPE_LATEST", "Metrics"]


_ANSWER_BUCKETS = (0.25, 0.5, 1.0, 2.0, 3.0, 5.0, 8.0, 15.0, 30.0, 60.0, 120.0, 300.0, 900.0, 3600.0)
_MAX_OPEN = 10_000


class AnswerTimes:
    """Measures replies between two steps of one process; those planned by an earlier process are left out."""

    def __init__(self, seconds: Histogram) -> None:
        self._seconds = seconds
        self._arrived: dict[str, float] = {}

    def planned(self, reply_id: str, arrived_at: float) -> None:
        """A reply to a message that came at this Unix time waits to be sent; the oldest are forgotten."""
        self._arrived[reply_id] = arrived_at
        while len(self._arrived) > _MAX_OPEN:
            del self._arrived[next(iter(self._arrived))]

    def accepted(self, platform: str, reply_id: str, now: float) -> None:
        """The provider took a part of a reply; only the first one counts."""
        if (arrived_at := self._arrived.pop(reply_id, None)) is not None:
            self._seconds.labels(platform).observe(max(0.0, now - arrived_at))


class Metrics:
    """What one server counts. Every app has its own registry, so that several may live in one test process."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = self.counter("relay_http_requests", "HTTP requests answered.", "route", "status")
        self.request_seconds = self.histogram("relay_http_request_seconds", "Time to answer an HTTP request.", "route")
        self.inbound = self.counter("relay_inbound", "Messages and updates received.", "platform", "outcome")
        self.model_calls = self.counter("relay_model_calls", "Questions put to the LLM server.", "platform", "outcome")
        self.sends = self.counter("relay_sends", "Parts given to a provider.", "platform", "outcome")
        self.segments = self.counter("relay_segments", "Segments of accepted parts, by their receipts.", "platform")
        self.sent_cost = self.counter("relay_sent_cost_usd", "Estimated cost of accepted parts.", "platform")
        self.delivery = self.counter("relay_delivery_events", "Delivery statuses received.", "platform", "state")
        self.provider_errors = self.counter("relay_provider_errors", "Errors of a provider.", "platform", "code")
        self.answer_times = AnswerTimes(
            self.histogram(
                "relay_answer_seconds",
                "Time from the arrival of a message until the provider took the first part of its reply.",
                "platform",
                buckets=_ANSWER_BUCKETS,
            )
        )
        self.queue_depth = self.gauge("relay_queue_depth", "Messages that wait for an answer.", "platform")
        self.oldest = self.gauge("relay_oldest_unanswered_seconds", "Age of the oldest of them; 0: none.", "platform")
        self.unsent = self.gauge("relay_unsent_parts", "Parts of replies that were not sent yet.", "platform")

    def counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(name, text, labels, registry=self.registry)

    def gauge(self, name: str, text: str, *labels: str) -> Gauge:
        return Gauge(name, text, labels, registry=self.registry)

    def histogram(
        self, name: str, text: str, *labels: str, buckets: Sequence[float] = Histogram.DEFAULT_BUCKETS
    ) -> Histogram:
        return Histogram(name, text, labels, registry=self.registry, buckets=buckets)

    def exposition(self) -> bytes:
        """All figures in Prometheus' text format."""
        return generate_latest(self.registry)
