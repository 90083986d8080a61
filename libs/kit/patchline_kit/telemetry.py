"""Traces and metrics: made once per process, seen per service.

Where spans and figures go, and how many spans, is chosen by OpenTelemetry's own variables
(``OTEL_TRACES_EXPORTER``, ``OTEL_METRICS_EXPORTER``, ``OTEL_EXPORTER_*``, ``OTEL_TRACES_SAMPLER``,
``OTEL_RESOURCE_ATTRIBUTES``). Without an exporter spans still get ids, so that history and logs can name the
trace, and cost little else.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

from opentelemetry import trace
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, Sampler
from opentelemetry.trace import Tracer
from prometheus_client import CollectorRegistry

from patchline_kit.exporters import span_processors
from patchline_kit.metrics import Metrics, ServiceMeasures
from patchline_kit.otlp_metrics import MetricsPush, metrics_push
from patchline_kit.sampling import PatchlineSampler
from patchline_kit.trace_ids import TraceIds

SAMPLER = "OTEL_TRACES_SAMPLER"


class ServiceTelemetry:
    """A service's tracer, under its own ``service.name``, and its metrics."""

    def __init__(self, name: str, process: Telemetry | None = None) -> None:
        process = process or Telemetry({})
        self.name = name
        self.tracer: Tracer = process.tracer(name)
        self.metrics = ServiceMeasures(process.metrics, name)


class Telemetry:
    """A process's exporters and metrics. Make it once, at the composition root, from ``os.environ``.

    ``processors`` are added to the exporters that the environment names, ``sampler`` wins over it. Raises
    :class:`patchline_kit.settings.SettingsError` for an exporter that is not there.
    """

    def __init__(
        self,
        environ: Mapping[str, str] | None = None,
        *,
        processors: tuple[SpanProcessor, ...] = (),
        sampler: Sampler | None = None,
    ) -> None:
        environ = os.environ if environ is None else environ
        self.registry = CollectorRegistry()
        self.metrics = Metrics(self.registry)
        self._processors = (*span_processors(environ), *processors)
        self._sampler = sampler or (_sampler(environ) if self._processors else ALWAYS_OFF)
        self._providers: dict[str, TracerProvider] = {}
        self._push: MetricsPush | None = metrics_push(environ, self.registry)

    @property
    def pushes_metrics(self) -> bool:
        """Whether figures are sent somewhere, besides being there for Prometheus."""
        return self._push is not None

    def service(self, name: str) -> ServiceTelemetry:
        """The telemetry of the service ``name``."""
        return ServiceTelemetry(name, self)

    def tracer(self, service: str) -> Tracer:
        """A tracer whose spans carry ``service`` as their ``service.name``."""
        if service not in self._providers:
            provider = TracerProvider(
                sampler=self._sampler,
                resource=service_resource(service),
                id_generator=TraceIds(),
                shutdown_on_exit=False,
            )
            for processor in self._processors:
                provider.add_span_processor(processor)
            self._providers[service] = provider
        return self._providers[service].get_tracer("patchline_kit")

    def shutdown(self) -> None:
        """Export what is still held, and end."""
        for processor in self._processors:
            processor.shutdown()
        if self._push is not None:
            self._push.shutdown()


def service_resource(service: str) -> Resource:
    """What spans and figures say of where they come from."""
    return Resource.create({"service.name": service, "service.namespace": "patchline"})


def current_trace_id() -> str | None:
    """The id of the trace that the running step belongs to, as 32 hexadecimal digits."""
    context = trace.get_current_span().get_span_context()
    return f"{context.trace_id:032x}" if context.is_valid else None


def _sampler(environ: Mapping[str, str]) -> Sampler | None:
    """None lets OpenTelemetry choose by its own variable."""
    return None if environ.get(SAMPLER) else PatchlineSampler()
