"""What is measured: every metric that there is, and the part of them that one service fills."""

from __future__ import annotations

from functools import cache

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

DURATIONS = (0.001, 0.005, 0.02, 0.1, 0.5, 2.0, 10.0, 60.0, 300.0, 1800.0)
"""Bounds in seconds: from a quick handler to a rollout of a large wave."""


class Metrics:
    """Every metric that there is, with its meaning. All have the label ``service``."""

    def __init__(self, registry: CollectorRegistry) -> None:
        step = ("service", "step")
        self.handled = Counter(
            "patchline_handled",
            "Records, local messages and wakes handled, with or without effect, by step",
            step,
            registry=registry,
        )
        self.failed = Counter(
            "patchline_failed",
            "Handler runs that ended with an exception that is no outcome, by step",
            step,
            registry=registry,
        )
        self.retried = Counter(
            "patchline_retried",
            "Records, local messages and wakes set aside to be tried again, by step",
            step,
            registry=registry,
        )
        self.dead_lettered = Counter(
            "patchline_dead_lettered",
            "Records and local messages given up as dead letters, by step",
            step,
            registry=registry,
        )
        self.duration = Histogram(
            "patchline_step_duration_seconds",
            "Time from the start of a handler until all that it changed was stored, by step",
            step,
            buckets=DURATIONS,
            registry=registry,
        )
        self.wake_delay = Histogram(
            "patchline_wake_delay_seconds",
            "How long after its time a document was woken, by step",
            step,
            buckets=DURATIONS,
            registry=registry,
        )
        self.lag = Gauge(
            "patchline_lag_records",
            "Records on the service's topics that this member has not handled yet",
            ("service",),
            registry=registry,
        )
        self.oldest = Gauge(
            "patchline_oldest_unhandled_seconds",
            "Age of the oldest of those records; 0 when there is none",
            ("service",),
            registry=registry,
        )


class ServiceMeasures:
    """What one service measures; implements :class:`patchline_kit.measures.Measures`."""

    def __init__(self, metrics: Metrics, service: str) -> None:
        self._duration = cache(lambda what: metrics.duration.labels(service, what))
        self._handled = cache(lambda what: metrics.handled.labels(service, what))
        self._failed = cache(lambda what: metrics.failed.labels(service, what))
        self._retried = cache(lambda what: metrics.retried.labels(service, what))
        self._dead_lettered = cache(lambda what: metrics.dead_lettered.labels(service, what))
        self._wake_delay = cache(lambda what: metrics.wake_delay.labels(service, what))
        self._lag = metrics.lag.labels(service)
        self._oldest = metrics.oldest.labels(service)

    def handled(self, what: str, seconds: float) -> None:
        """A record, message or wake was handled in ``seconds``."""
        self._handled(what).inc()
        self._duration(what).observe(seconds)

    def failed(self, what: str) -> None:
        """A handler ended with an exception that is no outcome."""
        self._failed(what).inc()

    def retried(self, what: str) -> None:
        """A record, message or wake will be tried again."""
        self._retried(what).inc()

    def dead_lettered(self, what: str) -> None:
        """A record or message was given up."""
        self._dead_lettered(what).inc()

    def woken(self, what: str, delay_seconds: float) -> None:
        """A document was claimed ``delay_seconds`` after its ``wake_at``."""
        self._wake_delay(what).observe(delay_seconds)

    def behind(self, records: int, oldest_seconds: float) -> None:
        """How far the service is behind on its topics."""
        self._lag.set(records)
        self._oldest.set(oldest_seconds)
