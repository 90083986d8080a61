from datetime import UTC, datetime, timedelta

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from patchline_kit.tracing import Step, default_tracer, parse, traceparent

NOON = datetime(2026, 1, 5, 12, tzinfo=UTC)
PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.fixture
def spans():
    exporter = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    exporter.tracer = provider.get_tracer("test")
    return exporter


def test_a_step_continues_the_trace_of_its_cause(spans):
    with Step(spans.tracer, "name", parent=PARENT, parent_at=NOON, now=NOON + timedelta(minutes=59)):
        pass
    (span,) = spans.get_finished_spans()
    assert f"{span.context.trace_id:032x}" == "0af7651916cd43dd8448eb211c80319c"
    assert f"{span.parent.span_id:016x}" == "b7ad6b7169203331"
    assert span.links == ()


def test_a_step_after_a_long_wait_begins_a_new_trace_linked_to_the_old(spans):
    with Step(spans.tracer, "name", parent=PARENT, parent_at=NOON, now=NOON + timedelta(minutes=61)):
        pass
    (span,) = spans.get_finished_spans()
    assert span.parent is None
    assert f"{span.links[0].context.trace_id:032x}" == "0af7651916cd43dd8448eb211c80319c"


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "nonsense",
        "00-0-0-00",
        "00-" + "0" * 32 + "-" + "0" * 16 + "-01",
        "00-" + "x" * 32 + "-" + "y" * 16 + "-01",
    ],
)
def test_a_header_that_is_none_begins_a_new_trace(header, spans):
    assert parse(header) is None
    with Step(spans.tracer, "name", parent=header, now=NOON):
        pass
    assert spans.get_finished_spans()[0].parent is None


def test_a_trace_has_an_id_even_where_nothing_is_exported():
    with Step(default_tracer(), "name", now=NOON) as span:
        header = traceparent(span)
    assert parse(header) is not None
    with Step(default_tracer(), "next", parent=header, now=NOON) as span:
        assert traceparent(span)[:35] == header[:35]
