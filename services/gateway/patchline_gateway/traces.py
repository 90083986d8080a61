"""Which trace an event belongs to."""

from __future__ import annotations

import hashlib

from opentelemetry import trace

from patchline_schemas import Envelope


def trace_of(envelope: Envelope) -> str:
    """The trace id of an event, 32 hex digits.

    An event from outside may come without a trace context. It then belongs to the trace in which it is
    being handled, or, with telemetry off, to one that is named after the event.
    """
    parts = (envelope.traceparent or "").split("-")
    if len(parts) >= 4 and len(parts[1]) == 32 and parts[1].strip("0"):
        return parts[1]
    span = trace.get_current_span().get_span_context()
    if span.is_valid:
        return trace.format_trace_id(span.trace_id)
    return hashlib.sha256(envelope.id.encode()).hexdigest()[:32]
