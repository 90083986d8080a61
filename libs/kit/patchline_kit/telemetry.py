"""Traces and metrics: made once per process, seen per service.

Which exporter gets the spans, and how many of them, is chosen by OpenTelemetry's own variables
(``OTEL_TRACES_EXPORTER``, ``OTEL_EXPORTER_OTLP_*``, ``OTEL_TRACES_SAMPLER``, ``OTEL_RESOURCE_ATTRIBUTES``).
Without an exporter spans still get ids, so that history and logs can name the trace, and cost little else.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from functools import cache
from importlib.metadata import entry_points

from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import (
    BatchSpanProcessor,
    ConsoleSpanExporter,
    SimpleSpanProcessor,
    SpanExporter,
)
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from opentelemetry.trace import Tracer
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from patchline_kit.settings import SettingsError

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


class ServiceTelemetry:
    """A service's tracer, under its own ``service.name``, and its metrics."""

    def __init__(self, name: str, process: Telemetry | None = None) -> None:
        process = process or Telemetry({})
        self.name = name
        self.tracer: Tracer = process.tracer(name)
        self.metrics = ServiceMeasures(process.metrics, name)


class Telemetry:
    """A process's exporter and metrics. Make it once, at the composition root; ``environ`` is ``os.environ``.

    Raises :class:`patchline_kit.settings.SettingsError` for an exporter that is not there.
    """

    def __init__(self, environ: Mapping[str, str] | None = None) -> None:
        self.registry = CollectorRegistry()
        self.metrics = Metrics(self.registry)
        self._processor = _processor(os.environ if environ is None else environ)
        self._providers: dict[str, TracerProvider] = {}

    def service(self, name: str) -> ServiceTelemetry:
        """The telemetry of the service ``name``."""
        return ServiceTelemetry(name, self)

    def tracer(self, service: str) -> Tracer:
        """A tracer whose spans carry ``service`` as their ``service.name``."""
        if service not in self._providers:
            resource = Resource.create({"service.name": service, "service.namespace": "patchline"})
            if self._processor is None:
                provider = TracerProvider(sampler=ALWAYS_OFF, resource=resource, shutdown_on_exit=False)
            else:
                provider = TracerProvider(resource=resource, shutdown_on_exit=False)
                provider.add_span_processor(self._processor)
            self._providers[service] = provider
        return self._providers[service].get_tracer("patchline_kit")

    def shutdown(self) -> None:
        """Export what is still held, and end."""
        if self._processor is not None:
            self._processor.shutdown()


def current_trace_id() -> str | None:
    """The id of the trace that the running step belongs to, as 32 hexadecimal digits."""
    context = trace.get_current_span().get_span_context()
    return f"{context.trace_id:032x}" if context.is_valid else None


def _processor(environ: Mapping[str, str]) -> SpanProcessor | None:
    default = "otlp" if _otlp_endpoint(environ) else "none"
    name = environ.get("OTEL_TRACES_EXPORTER", "").strip().lower() or default
    if name == "none":
        return None
    if name == "console":
        return SimpleSpanProcessor(ConsoleSpanExporter(out=sys.stderr))
    return BatchSpanProcessor(_exporter(name, environ))


def _exporter(name: str, environ: Mapping[str, str]) -> SpanExporter:
    protocol = environ.get("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL") or environ.get("OTEL_EXPORTER_OTLP_PROTOCOL")
    if name == "otlp" and protocol in (None, "", "http/protobuf"):
        return OTLPSpanExporter()
    wanted = f"otlp_proto_{protocol}" if name == "otlp" else name
    found = entry_points(group="opentelemetry_traces_exporter", name=wanted)
    if not found:
        raise SettingsError(
            f"OTEL_TRACES_EXPORTER={name}"
            + (f" with OTEL_EXPORTER_OTLP_PROTOCOL={protocol}" if name == "otlp" else "")
            + ": no such exporter is installed; otlp (http/protobuf), console and none are always there"
        )
    exporter: SpanExporter = next(iter(found)).load()()
    return exporter


def _otlp_endpoint(environ: Mapping[str, str]) -> str | None:
    return environ.get("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT") or environ.get("OTEL_EXPORTER_OTLP_ENDPOINT")
