"""Where a step's span belongs: the rules on plain steps, without services."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from span_tree import Spans

from patchline_kit import tracing
from patchline_kit.documents import Document
from patchline_kit.trace_ids import belongs_to, header_of, parse, trace_id_after

NOON = datetime(2026, 1, 5, 12, tzinfo=UTC)


class Plan(Document, collection="plans", id_of="update"):
    """About one update."""


class Gate(Document, collection="gates", id_of="target", shared=True):
    """About many."""


@pytest.fixture
def tracer() -> Any:
    return Spans().telemetry.tracer("planning")


def header(tracer: Any, document: Document | None = None, **how: Any) -> str:
    """What a step passes on that has loaded ``document``."""
    stored = how.pop("stored", None)
    with tracing.Step(tracer, "step", now=NOON, **how) as span:
        if document is not None:
            tracing.take_up(document, stored, NOON)
        return tracing.traceparent(span)


def trace(header: str) -> int:
    context = parse(header)
    assert context is not None
    return context.trace_id


def test_an_update_that_becomes_known_in_somebody_elses_trace_begins_its_own(tracer: Any):
    batch = header(tracer)
    first = header(tracer, Plan(id="a"), parent=batch)
    second = header(tracer, Plan(id="b"), parent=batch)
    assert len({trace(batch), trace(first), trace(second)}) == 3
    assert belongs_to(trace(first), "a") and belongs_to(trace(second), "b")


def test_who_follows_the_same_event_begins_the_same_trace(tracer: Any):
    batch = header(tracer)
    assert trace(header(tracer, Plan(id="a"), parent=batch)) == trace(
        header(tracer, Plan(id="a"), parent=batch)
    )
    assert trace(header(tracer, Plan(id="a"), seed="event")) == trace(
        header(tracer, Plan(id="a"), seed="event")
    )


def test_an_update_that_another_brings_on_stays_in_its_own_trace(tracer: Any):
    own = header(tracer, Plan(id="a"), seed="1")
    other = header(tracer, Plan(id="b"), seed="2")
    with tracing.Step(tracer, "begin", parent=other, now=NOON) as span:
        tracing.take_up(Plan(id="a"), own, NOON)
        assert trace(tracing.traceparent(span)) == trace(own)


def test_an_update_whose_own_trace_is_long_over_begins_the_next(tracer: Any):
    own = header(tracer, Plan(id="a"), seed="1")
    other = header(tracer, seed="2")
    with tracing.Step(tracer, "begin", parent=other, now=NOON + timedelta(hours=2)) as span:
        tracing.take_up(Plan(id="a"), own, NOON)
        found = trace(tracing.traceparent(span))
    assert belongs_to(found, "a")
    assert found != trace(own)


def test_what_is_shared_is_woken_in_a_trace_of_its_own(tracer: Any):
    update = header(tracer, Plan(id="a"), seed="1")
    assert trace(header(tracer, Gate(id="wiki"), parent=update)) == trace(update)
    assert trace(header(tracer, Gate(id="wiki"), parent=update, apart=True)) != trace(update)


def test_the_second_half_of_a_trace_id_tells_traces_of_an_update_from_each_other():
    parents = [parse(f"00-{n:032x}-{n:016x}-01") for n in (1, 2)]
    ids = {trace_id_after(parent, "a") for parent in parents if parent is not None}
    assert len(ids) == 2
    assert {each >> 64 for each in ids} == {trace_id_after("event", "a") >> 64}


def test_a_header_says_what_was_parsed():
    text = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    context = parse(text)
    assert context is not None
    assert header_of(context) == text


@pytest.mark.parametrize(
    ("what", "name"),
    [
        ("start WaveBackedUp", "start waves.backed-up"),
        ("know_update UpdatePublished", "know update feeds.update-published"),
        ("open_wave OpenWave", "open wave"),
        ("_start_target StartTarget", "start target"),
        ("acquire AcquireTarget", "acquire target"),
        ("write_entry KeepEntry", "write entry"),
        ("deliver Notice", "deliver notice"),
        ("clean_up", "clean up"),
    ],
)
def test_a_span_is_named_for_what_is_done(what: str, name: str):
    assert tracing.span_name(what) == name
