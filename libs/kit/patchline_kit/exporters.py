"""Where spans go, chosen by OpenTelemetry's own variables."""

from __future__ import annotations

import logging
import sys
from collections.abc import Mapping, Sequence
from importlib.metadata import entry_points
from itertools import groupby

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.exporter.zipkin.json import ZipkinExporter
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor
from opentelemetry.sdk.trace.export import (
    BatchSpanProcessor,
    ConsoleSpanExporter,
    SimpleSpanProcessor,
    SpanExporter,
    SpanExportResult,
)
from requests import RequestException

from patchline_kit.settings import SettingsError

TRACES_EXPORTER = "OTEL_TRACES_EXPORTER"
ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")

log = logging.getLogger("patchline.telemetry")


def traces_exporters(environ: Mapping[str, str]) -> list[str]:
    """The exporters that the environment asks for; none without one and without an OTLP endpoint."""
    asked = environ.get(TRACES_EXPORTER, "").strip().lower()
    if not asked:
        asked = "otlp" if any(environ.get(name) for name in ENDPOINTS) else "none"
    return [name for name in map(str.strip, asked.split(",")) if name and name != "none"]


def span_processors(environ: Mapping[str, str]) -> list[SpanProcessor]:
    """One for each exporter that the environment asks for.

    Raises :class:`SettingsError` for one that is not there.
    """
    return [_processor(name, environ) for name in traces_exporters(environ)]


class ZipkinByService(SpanExporter):
    """Sends to Zipkin, whose exporter takes the spans of one service at a time. Says once when it is away."""

    def __init__(self, exporter: ZipkinExporter) -> None:
        self._exporter = exporter
        self._away = False

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Send ``spans``; those that cannot be sent are dropped."""
        results = [
            self._send(list(of_one))
            for _service, of_one in groupby(sorted(spans, key=_service_of), key=_service_of)
        ]
        ok = all(result is SpanExportResult.SUCCESS for result in results)
        return SpanExportResult.SUCCESS if ok else SpanExportResult.FAILURE

    def shutdown(self) -> None:
        """See :class:`SpanExporter`."""
        self._exporter.shutdown()

    def force_flush(self, timeout_millis: int = 30000) -> bool:
        """See :class:`SpanExporter`."""
        return self._exporter.force_flush(timeout_millis)

    def _send(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        try:
            result = self._exporter.export(spans)  # type: ignore[arg-type]  # it reads what is readable
        except RequestException as error:
            if not self._away:
                why = type(error).__name__
                log.warning("no traces reach Zipkin at %s (%s)", self._exporter.endpoint, why)
            self._away = True
            return SpanExportResult.FAILURE
        if self._away:
            log.info("traces reach Zipkin at %s again", self._exporter.endpoint)
        self._away = False
        return result


def _processor(name: str, environ: Mapping[str, str]) -> SpanProcessor:
    if name == "console":
        return SimpleSpanProcessor(ConsoleSpanExporter(out=sys.stderr))
    if name in ("zipkin", "zipkin_json"):
        return BatchSpanProcessor(ZipkinByService(ZipkinExporter()))
    return BatchSpanProcessor(_exporter(name, environ))


def _exporter(name: str, environ: Mapping[str, str]) -> SpanExporter:
    protocol = environ.get("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL") or environ.get("OTEL_EXPORTER_OTLP_PROTOCOL")
    if name == "otlp" and protocol in (None, "", "http/protobuf"):
        return OTLPSpanExporter()
    wanted = f"otlp_proto_{protocol}" if name == "otlp" else name
    found = entry_points(group="opentelemetry_traces_exporter", name=wanted)
    if not found:
        raise SettingsError(
            f"{TRACES_EXPORTER}={name}"
            + (f" with OTEL_EXPORTER_OTLP_PROTOCOL={protocol}" if name == "otlp" else "")
            + ": no such exporter is installed; otlp (http/protobuf), zipkin, console and none always are"
        )
    exporter: SpanExporter = next(iter(found)).load()()
    return exporter


def _service_of(span: ReadableSpan) -> str:
    return str(span.resource.attributes.get("service.name", ""))
