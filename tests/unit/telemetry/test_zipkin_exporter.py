"""Spans of several services in one batch, on their way to Zipkin."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from typing import Any

import pytest
from opentelemetry.exporter.zipkin.json import ZipkinExporter
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExportResult
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_ON

from patchline_kit import tracing
from patchline_kit.exporters import ZipkinByService, traces_exporters
from patchline_kit.telemetry import Telemetry


def spans_of(*services: str) -> Any:
    exporter = InMemorySpanExporter()
    telemetry = Telemetry({}, processors=(SimpleSpanProcessor(exporter),), sampler=ALWAYS_ON)
    for service in services:
        with tracing.Step(telemetry.tracer(service), "step", now=datetime.now(UTC)):
            pass
    return exporter.get_finished_spans()


@contextmanager
def zipkin() -> Iterator[tuple[str, list[Any]]]:
    """The address of a collector, and what it got."""
    got: list[Any] = []

    class Collector(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            got.extend(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(202)
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Collector)
    thread = Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/api/v2/spans", got
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_each_span_arrives_under_its_own_service():
    with zipkin() as (endpoint, got):
        exporter = ZipkinByService(ZipkinExporter(endpoint=endpoint))
        assert exporter.export(spans_of("planning", "testing", "planning")) is SpanExportResult.SUCCESS
        exporter.shutdown()
    assert sorted(span["localEndpoint"]["serviceName"] for span in got) == ["planning", "planning", "testing"]


def test_a_zipkin_that_is_away_is_told_once(caplog: pytest.LogCaptureFixture):
    with zipkin() as (endpoint, _):
        pass
    exporter = ZipkinByService(ZipkinExporter(endpoint=endpoint))
    with caplog.at_level(logging.INFO, "patchline.telemetry"):
        for _ in range(3):
            assert exporter.export(spans_of("planning")) is SpanExportResult.FAILURE
    exporter.shutdown()
    assert [record.getMessage() for record in caplog.records] == [
        f"no traces reach Zipkin at {endpoint} (ConnectionError)"
    ]


@pytest.mark.parametrize(
    ("environ", "exporters"),
    [
        ({}, []),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318"}, ["otlp"]),
        ({"OTEL_TRACES_EXPORTER": "none", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318"}, []),
        ({"OTEL_TRACES_EXPORTER": "otlp, zipkin"}, ["otlp", "zipkin"]),
    ],
)
def test_the_standard_variable_names_the_exporters(environ: dict[str, str], exporters: list[str]):
    assert traces_exporters(environ) == exporters
