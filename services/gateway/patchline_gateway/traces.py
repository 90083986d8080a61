"""Which trace an event belongs to, and where a person sees it."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from opentelemetry import trace

from patchline_kit.trace_ids import parse
from patchline_schemas import Envelope

PLACE = "{trace_id}"
"""Stands for a trace's id in the address of a UI."""
ZIPKIN_API = "/api/v2/spans"
ZIPKIN_DEFAULT = f"http://localhost:9411{ZIPKIN_API}"


class Trace(NamedTuple):
    """The trace that an event belongs to."""

    id: str
    """32 hex digits."""
    kept: bool
    """Whether the sampler lets it go to the tracing UI."""


def trace_of(envelope: Envelope) -> Trace:
    """The trace of an event.

    An event from outside may come without a trace context, or with one that cannot be read, which counts as
    none (W3C Trace Context, section 3.2.2). It then belongs to the trace in which it is being handled, or,
    with telemetry off, to one that is named after the event.
    """
    span = parse(envelope.traceparent) or trace.get_current_span().get_span_context()
    if span.is_valid:
        return Trace(trace.format_trace_id(span.trace_id), kept=span.trace_flags.sampled)
    return Trace(hashlib.sha256(envelope.id.encode()).hexdigest()[:32], kept=False)


def links_of(trace_ids: Sequence[str], address: str | None) -> list[str]:
    """Where a UI shows each trace; nothing where no UI is known."""
    return [address.replace(PLACE, trace_id) for trace_id in trace_ids] if address else []


def zipkin_ui(environ: Mapping[str, str] | None = None) -> str | None:
    """Where Zipkin shows a trace, if OpenTelemetry's variables send traces to it."""
    environ = os.environ if environ is None else environ
    exporters = environ.get("OTEL_TRACES_EXPORTER", "").lower().split(",")
    if not {"zipkin", "zipkin_json"} & {name.strip() for name in exporters}:
        return None
    endpoint = environ.get("OTEL_EXPORTER_ZIPKIN_ENDPOINT") or ZIPKIN_DEFAULT
    return f"{endpoint.removesuffix(ZIPKIN_API).rstrip('/')}/zipkin/traces/{PLACE}"
