"""Figures go out over OTLP as Prometheus has them."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from opentelemetry.exporter.otlp.proto.common.metrics_encoder import encode_metrics
from opentelemetry.sdk.metrics.export import MetricExporter, MetricExportResult, MetricsData

from patchline_kit.metrics import DURATIONS
from patchline_kit.otlp_metrics import MetricsPush, as_otlp, metrics_push
from patchline_kit.settings import SettingsError
from patchline_kit.telemetry import Telemetry


@pytest.fixture
def telemetry() -> Telemetry:
    telemetry = Telemetry({})
    planning = telemetry.service("planning").metrics
    planning.handled("plan UpdateAssessed", 0.25)
    planning.handled("plan UpdateAssessed", 3.0)
    planning.behind(7, 1.5)
    telemetry.service("testing").metrics.dead_lettered("start UpdatePlanned")
    return telemetry


def by_service(data: MetricsData) -> dict[Any, dict[str, Any]]:
    return {
        each.resource.attributes["service.name"]: {
            metric.name: metric.data for scope in each.scope_metrics for metric in scope.metrics
        }
        for each in data.resource_metrics
    }


def test_each_service_has_its_own_resource_and_every_figure_of_it(telemetry: Telemetry):
    found = by_service(as_otlp(telemetry.registry.collect(), 1, 2))
    (handled,) = found["planning"]["patchline_handled_total"].data_points
    assert (handled.value, handled.attributes) == (2, {"step": "plan UpdateAssessed"})
    assert found["planning"]["patchline_lag_records"].data_points[0].value == 7
    (given_up,) = found["testing"]["patchline_dead_lettered_total"].data_points
    assert given_up.value == 1
    (durations,) = found["planning"]["patchline_step_duration_seconds"].data_points
    assert durations.explicit_bounds == list(DURATIONS)
    assert (durations.count, durations.sum, sum(durations.bucket_counts)) == (2, 3.25, 2)
    assert durations.bucket_counts[DURATIONS.index(0.5)] == 1
    assert durations.bucket_counts[DURATIONS.index(10.0)] == 1


def test_it_can_be_written_as_protobuf(telemetry: Telemetry):
    assert len(encode_metrics(as_otlp(telemetry.registry.collect(), 1, 2)).resource_metrics) == 2


class Taking(MetricExporter):
    """An exporter that keeps what it gets."""

    def __init__(self) -> None:
        super().__init__()
        self.got: list[MetricsData] = []
        self.came = threading.Event()

    def export(self, metrics_data: MetricsData, timeout_millis: float = 0, **_: Any) -> MetricExportResult:
        self.got.append(metrics_data)
        self.came.set()
        return MetricExportResult.SUCCESS

    def force_flush(self, timeout_millis: float = 0) -> bool:
        return True

    def shutdown(self, timeout_millis: float = 0, **_: Any) -> None:
        pass


def test_figures_are_sent_again_and_again_and_at_the_end(telemetry: Telemetry):
    exporter = Taking()
    push = MetricsPush(exporter, telemetry.registry, 0.01)
    assert exporter.came.wait(10)
    telemetry.service("planning").metrics.failed("plan UpdateAssessed")
    push.shutdown()
    assert by_service(exporter.got[-1])["planning"]["patchline_failed_total"].data_points[0].value == 1


@pytest.mark.parametrize(
    ("environ", "message"),
    [
        ({"OTEL_METRICS_EXPORTER": "zipkin"}, "OTEL_METRICS_EXPORTER=zipkin: no such exporter is installed"),
        ({"OTEL_METRICS_EXPORTER": "otlp", "OTEL_METRIC_EXPORT_INTERVAL": "1s"}, "a number of milliseconds"),
    ],
)
def test_a_wrong_variable_is_named(telemetry: Telemetry, environ: dict[str, str], message: str):
    with pytest.raises(SettingsError, match=message):
        metrics_push(environ, telemetry.registry)


@pytest.mark.parametrize("name", ["", "none", "prometheus"])
def test_nothing_is_sent_unless_it_is_asked_for(telemetry: Telemetry, name: str):
    assert metrics_push({"OTEL_METRICS_EXPORTER": name}, telemetry.registry) is None
