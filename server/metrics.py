"""What Prometheus may ask for. Names and labels are an interface; no label ever names a person."""

from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

REGISTRY: Final = CollectorRegistry()
REQUESTS: Final = Counter(
    "clarion_http_requests_total", "Requests answered", ("route", "method", "status"), registry=REGISTRY
)
REQUEST_SECONDS: Final = Histogram(
    "clarion_http_request_seconds", "How long a request took, in seconds", ("route",), registry=REGISTRY
)
BROADCASTS: Final = Gauge("clarion_broadcasts", "Broadcasts by status", ("status",), registry=REGISTRY)
RATE: Final = Gauge("clarion_messages_per_second", "Messages per second of all running broadcasts", registry=REGISTRY)


def exposition() -> bytes:
    """Everything, in Prometheus' text format."""
    return generate_latest(REGISTRY)
