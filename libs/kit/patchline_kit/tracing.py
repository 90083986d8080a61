"""Spans around what the kit runs, continuing the trace that came with a record or lies in a document."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from functools import cache
from typing import Any

from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from opentelemetry.trace import (
    Link,
    NonRecordingSpan,
    Span,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    Tracer,
)

NEW_TRACE_AFTER = timedelta(hours=1)
"""A step that follows its cause by more begins a trace of its own, linked to the old."""

ATTRIBUTES = {"update_id": "update.id", "wave_id": "wave.id", "target_id": "target.id"}


def default_tracer() -> Tracer:
    """A tracer that makes real ids and exports nothing."""
    return TracerProvider(sampler=ALWAYS_OFF, shutdown_on_exit=False).get_tracer("patchline_kit")


@contextmanager
def step(
    tracer: Tracer,
    name: str,
    *,
    about: object = None,
    parent: str | None = None,
    parent_at: datetime | None = None,
    now: datetime,
    kind: SpanKind = SpanKind.INTERNAL,
) -> Iterator[Span]:
    """A span named for what it does; ``about`` is the event, message or document in hand.

    ``parent`` is a W3C traceparent; ``parent_at`` is when it was written.
    """
    context = parse(parent)
    follows = context is not None and (parent_at is None or now - parent_at <= NEW_TRACE_AFTER)
    span = tracer.start_span(
        name,
        context=trace.set_span_in_context(NonRecordingSpan(context)) if context and follows else None,
        links=[Link(context)] if context and not follows else None,
        attributes=attributes(about),
        kind=kind,
    )
    with trace.use_span(span, end_on_exit=True, record_exception=False, set_status_on_exception=False):
        yield span


def failed(span: Span, error: BaseException) -> None:
    """Mark a span as failed, with the error's text."""
    span.set_status(Status(StatusCode.ERROR, f"{type(error).__name__}: {error}"))


def attributes(about: object) -> dict[str, Any]:
    """The ids by which a trace is found again."""
    found = {}
    for field, name in _shown(type(about)):  # type: ignore[arg-type]  # classes are hashable
        value = getattr(about, field)
        if isinstance(value, str):
            found[name] = value
    return found


@cache
def _shown(kind: type[Any]) -> tuple[tuple[str, str], ...]:
    fields = getattr(kind, "model_fields", {})
    return tuple((field, name) for field, name in ATTRIBUTES.items() if field in fields)


def traceparent(span: Span) -> str:
    """The W3C header that makes another span this one's child."""
    context = span.get_span_context()
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{int(context.trace_flags):02x}"


def parse(header: str | None) -> SpanContext | None:
    """The context in a W3C traceparent (version 00), or None if it is none."""
    if header is None:
        return None
    parts = header.split("-")
    if len(parts) < 4 or len(parts[1]) != 32 or len(parts[2]) != 16:
        return None
    try:
        context = SpanContext(
            int(parts[1], 16), int(parts[2], 16), is_remote=True, trace_flags=TraceFlags(int(parts[3], 16))
        )
    except ValueError:
        return None
    return context if context.is_valid else None
