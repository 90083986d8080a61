from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from patchline_kit import tracing
from patchline_kit.settings import SettingsError
from patchline_kit.telemetry import Telemetry

NOW = datetime(2026, 1, 5, tzinfo=UTC)


def test_without_an_exporter_a_trace_has_an_id_and_goes_on_in_the_next_service():
    telemetry = Telemetry({})
    with tracing.Step(telemetry.tracer("planning"), "plan", now=NOW) as first:
        header = tracing.traceparent(first)
    with tracing.Step(telemetry.tracer("testing"), "test", parent=header, now=NOW) as second:
        assert second.get_span_context().trace_id == first.get_span_context().trace_id != 0
        assert second.get_span_context().span_id != first.get_span_context().span_id


def test_spans_of_one_process_carry_the_name_of_their_service(capsys, monkeypatch):
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "always_on")
    telemetry = Telemetry({"OTEL_TRACES_EXPORTER": "console", "OTEL_TRACES_SAMPLER": "always_on"})
    for service in ("planning", "testing"):
        with tracing.Step(telemetry.tracer(service), "step", now=NOW):
            pass
    telemetry.shutdown()

    text = capsys.readouterr().err
    decoder, names = json.JSONDecoder(), []
    while text.strip():
        span, end = decoder.raw_decode(text.lstrip())
        names.append(span["resource"]["attributes"]["service.name"])
        text = text.lstrip()[end:]
    assert names == ["planning", "testing"]


def test_an_exporter_that_is_not_installed_is_named():
    with pytest.raises(SettingsError, match="OTEL_TRACES_EXPORTER=jeager: no such exporter is installed"):
        Telemetry({"OTEL_TRACES_EXPORTER": "jeager"})


def test_what_a_service_measures_stands_under_its_name():
    telemetry = Telemetry({})
    planning, testing = telemetry.service("planning"), telemetry.service("testing")
    planning.metrics.handled("plan UpdateAssessed", 0.25)
    planning.metrics.handled("plan UpdateAssessed", 0.25)
    testing.metrics.dead_lettered("test UpdatePlanned")
    planning.metrics.behind(7, 1.5)
    telemetry.service("planning").metrics.woken("due Wave", 0.1)

    def sample(name: str, **labels: str) -> float | None:
        return telemetry.registry.get_sample_value(name, labels)

    assert sample("patchline_handled_total", service="planning", step="plan UpdateAssessed") == 2
    assert (
        sample("patchline_step_duration_seconds_sum", service="planning", step="plan UpdateAssessed") == 0.5
    )
    assert sample("patchline_dead_lettered_total", service="testing", step="test UpdatePlanned") == 1
    assert sample("patchline_lag_records", service="planning") == 7
    assert sample("patchline_oldest_unhandled_seconds", service="planning") == 1.5
    assert sample("patchline_wake_delay_seconds_count", service="planning", step="due Wave") == 1
