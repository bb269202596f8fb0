"""What Prometheus reads at ``/metrics``; every server has a registry of its own."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector

SECONDS = (0.005, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
IMAGES = (1, 2, 4, 8, 16, 32)


class Metrics:
    """Counters, gauges and histograms."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        self.requests = Counter(
            "oneshot_requests", "Answered requests.", ("route", "method", "status"), registry=registry
        )
        self.request_seconds = Histogram(
            "oneshot_request_seconds", "From request to answer.", ("route",), buckets=SECONDS, registry=registry
        )
        self.refusals = Counter("oneshot_refusals", "Requests refused, by code.", ("code",), registry=registry)
        self.pending = Gauge("oneshot_pending_requests", "Requests taken on and not answered yet.", registry=registry)
        self.registered = Gauge("oneshot_registered_classes", "Classes whose features are kept.", registry=registry)
        self.batch_images = Histogram(
            "oneshot_batch_images", "Images that went through the network together.", buckets=IMAGES, registry=registry
        )
        self.computing_seconds = Histogram(
            "oneshot_computing_seconds", "Time of a batch in the network.", buckets=SECONDS, registry=registry
        )
