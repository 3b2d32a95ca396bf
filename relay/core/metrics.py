"""Counters of one process, in Prometheus' text format at /metrics."""

from __future__ import annotations

from collections.abc import Sequence

from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

__all__ = ["CONTENT_TYPE_LATEST", "Metrics"]


class Metrics:
    """What one server counts. Every app has its own registry, so that several may live in one test process."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = self.counter("relay_http_requests", "HTTP requests answered.", "route", "status")
        self.request_seconds = self.histogram("relay_http_request_seconds", "Time to answer an HTTP request.", "route")
        self.inbound = self.counter("relay_inbound", "Messages and updates received.", "platform", "outcome")
        self.model_calls = self.counter("relay_model_calls", "Questions put to the LLM server.", "platform", "outcome")
        self.sends = self.counter("relay_sends", "Parts given to a provider.", "platform", "outcome")
        self.delivery = self.counter("relay_delivery_events", "Delivery statuses received.", "platform", "state")

    def counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(name, text, labels, registry=self.registry)

    def histogram(
        self, name: str, text: str, *labels: str, buckets: Sequence[float] = Histogram.DEFAULT_BUCKETS
    ) -> Histogram:
        return Histogram(name, text, labels, registry=self.registry, buckets=buckets)

    def exposition(self) -> bytes:
        """All figures in Prometheus' text format."""
        return generate_latest(self.registry)
