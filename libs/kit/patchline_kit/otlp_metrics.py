"""The figures that Prometheus reads, sent over OTLP as well: one set of counters, two ways out."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Iterable, Mapping
from importlib.metadata import entry_points
from threading import Event, Thread
from typing import Any

from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    ConsoleMetricExporter,
    Gauge,
    Histogram,
    HistogramDataPoint,
    Metric,
    MetricExporter,
    MetricsData,
    NumberDataPoint,
    ResourceMetrics,
    ScopeMetrics,
    Sum,
)
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from prometheus_client import CollectorRegistry
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.samples import Sample

from patchline_kit.settings import SettingsError

METRICS_EXPORTER = "OTEL_METRICS_EXPORTER"
ENDPOINT = "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT"
INTERVAL = "OTEL_METRIC_EXPORT_INTERVAL"
SCOPE = InstrumentationScope("patchline_kit")
NANOSECONDS = 1_000_000_000

log = logging.getLogger("patchline.telemetry")


class MetricsPush:
    """A thread that sends what ``registry`` holds, every ``interval`` seconds and once more at the end."""

    def __init__(self, exporter: MetricExporter, registry: CollectorRegistry, interval: float) -> None:
        self._exporter = exporter
        self._registry = registry
        self._interval = interval
        self._began = time.time_ns()
        self._stop = Event()
        self._failing = False
        self._thread = Thread(target=self._forever, name="metrics", daemon=True)
        self._thread.start()

    def shutdown(self) -> None:
        """Send a last time, and end."""
        self._stop.set()
        self._thread.join()
        self._exporter.shutdown()

    def _forever(self) -> None:
        while not self._stop.wait(self._interval):
            self._send()
        self._send()

    def _send(self) -> None:
        data = as_otlp(self._registry.collect(), self._began, time.time_ns())
        try:
            self._exporter.export(data)
        except Exception as error:
            if not self._failing:
                log.warning("figures cannot be sent: %s: %s", type(error).__name__, error)
            self._failing = True
        else:
            self._failing = False


def metrics_push(environ: Mapping[str, str], registry: CollectorRegistry) -> MetricsPush | None:
    """What sends figures where the environment says so; None where it names no exporter.

    Raises :class:`SettingsError` for one that is not there, or a wrong interval.
    """
    name = environ.get(METRICS_EXPORTER, "").strip().lower() or ("otlp" if environ.get(ENDPOINT) else "none")
    if name in ("none", "prometheus"):
        return None
    given = environ.get(INTERVAL) or "60000"
    if not given.isdigit() or int(given) == 0:
        raise SettingsError(f"{INTERVAL}={given}: should be a number of milliseconds above 0")
    return MetricsPush(_exporter(name), registry, int(given) / 1000)


def as_otlp(families: Iterable[Family], began: int, now: int) -> MetricsData:
    """Prometheus' families as OTLP has them, each service's under its own ``service.name``.

    ``began`` and ``now`` are in nanoseconds since the epoch. Raises :class:`ValueError` for a kind of metric
    that Patchline does not have.
    """
    by_service: dict[str, list[Metric]] = {}
    for family in families:
        for service, samples in _by_service(family.samples).items():
            data = _data(family, samples, began, now)
            if data.data_points:
                metric = Metric(_name(family), family.documentation, _unit(family.name), data)
                by_service.setdefault(service, []).append(metric)
    return MetricsData(
        [
            ResourceMetrics(
                Resource.create({"service.name": service, "service.namespace": "patchline"}),
                [ScopeMetrics(SCOPE, metrics, "")],
                "",
            )
            for service, metrics in by_service.items()
        ]
    )


def _by_service(samples: Iterable[Sample]) -> dict[str, list[Sample]]:
    found: dict[str, list[Sample]] = {}
    for sample in samples:
        found.setdefault(sample.labels["service"], []).append(sample)
    return found


def _data(family: Family, samples: Iterable[Sample], began: int, now: int) -> Sum | Gauge | Histogram:
    if family.type == "histogram":
        return Histogram(_distributions(samples, began, now), AggregationTemporality.CUMULATIVE)
    points = [
        NumberDataPoint(_attributes(sample), began, now, sample.value)
        for sample in samples
        if not sample.name.endswith("_created")
    ]
    if family.type == "counter":
        return Sum(points, AggregationTemporality.CUMULATIVE, is_monotonic=True)
    if family.type == "gauge":
        return Gauge(points)
    raise ValueError(f"{family.name} is a {family.type}")


def _distributions(samples: Iterable[Sample], began: int, now: int) -> list[HistogramDataPoint]:
    steps: dict[tuple[tuple[str, Any], ...], dict[str, float]] = {}
    bounds: list[float] = []
    for sample in samples:
        figures = steps.setdefault(tuple(_attributes(sample).items()), {})
        if sample.name.endswith("_bucket"):
            bound = float(sample.labels["le"])
            figures[sample.labels["le"]] = sample.value
            if bound != float("inf") and bound not in bounds:
                bounds.append(bound)
        else:
            figures[sample.name.rpartition("_")[2]] = sample.value
    found = []
    for attributes, figures in steps.items():
        upto = [value for name, value in figures.items() if name not in ("sum", "count", "created")]
        found.append(
            HistogramDataPoint(
                attributes=dict(attributes),
                start_time_unix_nano=began,
                time_unix_nano=now,
                count=int(figures["count"]),
                sum=figures["sum"],
                bucket_counts=[
                    int(each - before) for each, before in zip(upto, [0.0, *upto[:-1]], strict=True)
                ],
                explicit_bounds=bounds,
                min=None,  # type: ignore[arg-type]  # not known
                max=None,  # type: ignore[arg-type]
            )
        )
    return found


def _attributes(sample: Sample) -> dict[str, Any]:
    return {name: value for name, value in sample.labels.items() if name not in ("service", "le")}


def _name(family: Family) -> str:
    return f"{family.name}_total" if family.type == "counter" else family.name


def _unit(name: str) -> str:
    return "s" if name.endswith("_seconds") else "1"


def _exporter(name: str) -> MetricExporter:
    if name == "otlp":
        return OTLPMetricExporter()
    if name == "console":
        return ConsoleMetricExporter(out=sys.stderr)
    found = entry_points(group="opentelemetry_metrics_exporter", name=name)
    if not found:
        raise SettingsError(
            f"{METRICS_EXPORTER}={name}: no such exporter is installed; otlp, console, prometheus (/metrics,"
            " which is always there) and none are"
        )
    exporter: MetricExporter = next(iter(found)).load()()
    return exporter
