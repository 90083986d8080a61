"""What is kept by default: a tenth of the routine updates, all urgent ones, all failed steps."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from patchline_kit import tracing
from patchline_kit.documents import Document
from patchline_kit.telemetry import Telemetry

NOW = datetime(2026, 1, 5, tzinfo=UTC)


class Plan(Document, collection="plans", id_of="update"):
    """About one update."""


class Kept:
    """The steps of a service, and the spans that are kept of them."""

    def __init__(self) -> None:
        self.exporter = InMemorySpanExporter()
        telemetry = Telemetry({}, processors=(SimpleSpanProcessor(self.exporter),))
        self.tracer = telemetry.tracer("planning")

    def step(self, update: str, *, error: str | None = None, **how: Any) -> str:
        with tracing.Step(self.tracer, "plan", now=NOW, **how) as span:
            tracing.take_up(Plan(id=update))
            if error is not None:
                tracing.not_good(error)
            return tracing.traceparent(span)

    @property
    def names(self) -> list[Any]:
        return [span.attributes["update.id"] for span in self.exporter.get_finished_spans()]


@pytest.fixture
def kept(monkeypatch: pytest.MonkeyPatch) -> Kept:
    monkeypatch.delenv("OTEL_TRACES_SAMPLER", raising=False)
    return Kept()


def test_about_a_tenth_of_the_routine_updates_is_kept(kept: Kept):
    for number in range(2000):
        kept.step(f"update-{number}", seed=f"event-{number}")
    assert 150 < len(kept.names) < 250


def test_an_update_is_kept_with_all_its_traces_or_not_at_all(kept: Kept):
    for number in range(300):
        for event in ("published", "assessed", "retried"):
            kept.step(f"update-{number}", seed=f"{event}-{number}")
    counts = {kept.names.count(name) for name in kept.names}
    assert counts == {3}


def test_what_follows_a_kept_step_is_kept_and_what_follows_a_dropped_one_is_not(kept: Kept):
    for number in range(100):
        first = kept.step(f"update-{number}", seed=f"event-{number}")
        kept.step(f"update-{number}", parent=first)
    assert {kept.names.count(name) for name in kept.names} == {2}


def test_every_urgent_step_and_all_that_follows_is_kept(kept: Kept):
    for number in range(50):
        urgent = kept.step(f"update-{number}", seed=f"event-{number}", urgent=True)
        kept.step(f"update-{number}", parent=urgent)
    assert len(kept.names) == 100


def test_a_step_that_fails_is_kept_though_its_trace_is_not(kept: Kept):
    parents = {f"update-{n}": kept.step(f"update-{n}", seed=f"event-{n}") for n in range(50)}
    kept.exporter.clear()
    for update, parent in parents.items():
        kept.step(update, parent=parent, error="disk full")
    spans = kept.exporter.get_finished_spans()
    assert len(spans) == 50
    for span in spans:
        parent = parents[str(span.attributes["update.id"])]
        assert parent.split("-")[1] == f"{span.context.trace_id:032x}"
        assert span.status.description == "disk full"


def test_the_standard_variable_chooses_another_sampler(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "always_off")
    exporter = InMemorySpanExporter()
    telemetry = Telemetry({"OTEL_TRACES_SAMPLER": "always_off"}, processors=(SimpleSpanProcessor(exporter),))
    with tracing.Step(telemetry.tracer("planning"), "plan", now=NOW, urgent=True):
        tracing.not_good("no")
    assert exporter.get_finished_spans() == ()
