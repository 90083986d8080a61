"""Where a person sees a trace."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from patchline_gateway.settings import Settings
from patchline_gateway.traces import Trace, links_of, trace_of, zipkin_ui
from patchline_kit.settings import SettingsError, load_settings
from patchline_schemas import Envelope

JAEGER = "http://127.0.0.1:16686/trace/{trace_id}"


def test_each_trace_has_a_link_where_the_ui_is_known():
    assert links_of(["a", "b"], JAEGER) == [
        "http://127.0.0.1:16686/trace/a",
        "http://127.0.0.1:16686/trace/b",
    ]
    assert links_of(["a", "b"], None) == []


@pytest.mark.parametrize(
    ("traceparent", "trace"),
    [
        (f"00-{'ab' * 16}-{'cd' * 8}-01", Trace("ab" * 16, kept=True)),
        (f"00-{'ab' * 16}-{'cd' * 8}-03", Trace("ab" * 16, kept=True)),
        (f"00-{'ab' * 16}-{'cd' * 8}-00", Trace("ab" * 16, kept=False)),
    ],
)
def test_an_event_says_whether_its_trace_is_kept(traceparent: str, trace: Trace):
    assert trace_of(_event(traceparent)) == trace


@pytest.mark.parametrize(
    "traceparent", [None, "nothing", f"00-{'00' * 16}-{'cd' * 8}-01", f"00-{'ab' * 16}-{'cd' * 8}-zz"]
)
def test_an_event_without_a_trace_to_be_read_gets_one_that_nobody_can_look_at(traceparent: str | None):
    trace = trace_of(_event(traceparent))
    assert (len(trace.id), trace.kept) == (32, False)
    assert trace.id not in (traceparent or "")


def test_zipkins_address_follows_from_where_traces_go():
    there = {"OTEL_TRACES_EXPORTER": "zipkin", "OTEL_EXPORTER_ZIPKIN_ENDPOINT": "http://z:9411/api/v2/spans"}
    assert zipkin_ui(there) == "http://z:9411/zipkin/traces/{trace_id}"
    assert (
        zipkin_ui({"OTEL_TRACES_EXPORTER": "otlp,zipkin"}) == "http://localhost:9411/zipkin/traces/{trace_id}"
    )
    assert zipkin_ui({"OTEL_TRACES_EXPORTER": "otlp"}) is None


def test_the_setting_wins_and_must_have_a_place_for_the_id(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "zipkin")
    assert load_settings(Settings, trace_ui=JAEGER).trace_address() == JAEGER
    with pytest.raises(
        SettingsError, match=r"PATCHLINE_TRACE_UI=http://jaeger: should be an http address with"
    ):
        load_settings(Settings, trace_ui="http://jaeger")


def _event(traceparent: str | None) -> Envelope:
    return Envelope("1", "feeds", "a.b.v1", "x", datetime(2026, 3, 3, tzinfo=UTC), traceparent=traceparent)
