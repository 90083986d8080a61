"""Where a person sees a trace."""

from __future__ import annotations

import pytest

from patchline_gateway.settings import Settings
from patchline_gateway.traces import links_of, zipkin_ui
from patchline_kit.settings import SettingsError, load_settings

JAEGER = "http://127.0.0.1:16686/trace/{trace_id}"


def test_each_trace_has_a_link_where_the_ui_is_known():
    assert links_of(["a", "b"], JAEGER) == [
        "http://127.0.0.1:16686/trace/a",
        "http://127.0.0.1:16686/trace/b",
    ]
    assert links_of(["a", "b"], None) == []


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
