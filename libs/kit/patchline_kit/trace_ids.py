"""Ids of traces: the traces of one update are known by their ids, wherever they began.

The first half of a trace's id follows from the update, the second tells its traces from each other. So each
service can say, without asking, whether a trace belongs to the update in hand, and replicas that begin the
same trace agree on its id.
"""

from __future__ import annotations

from functools import lru_cache
from hashlib import blake2b

from opentelemetry.sdk.trace.id_generator import IdGenerator, RandomIdGenerator
from opentelemetry.trace import SpanContext, TraceFlags

HALF = 64


class TraceIds(IdGenerator):
    """Random ids, but for a trace whose id is given in :attr:`next_trace_id` just before its root is made."""

    def __init__(self) -> None:
        self.next_trace_id: int | None = None
        self._random = RandomIdGenerator()

    def generate_trace_id(self) -> int:
        """The given id, once, else a random one."""
        given, self.next_trace_id = self.next_trace_id, None
        return self._random.generate_trace_id() if given is None else given

    def generate_span_id(self) -> int:
        """A random id."""
        return self._random.generate_span_id()


def belongs_to(trace_id: int, update_id: str) -> bool:
    """Whether the trace is one of this update's."""
    return trace_id >> HALF == _first_half(update_id)


def trace_id_after(cause: SpanContext | str, update_id: str | None) -> int:
    """The id of the trace that begins after a span of another trace, or after an event that has none.

    Everybody who begins it computes the same.
    """
    seed = f"{cause.trace_id:032x}{cause.span_id:016x}" if isinstance(cause, SpanContext) else cause
    first = _hash(f"trace {seed}") if update_id is None else _first_half(update_id)
    return first << HALF | _hash(seed)


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


def header_of(context: SpanContext) -> str:
    """The W3C traceparent of a span."""
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{int(context.trace_flags):02x}"


@lru_cache(maxsize=4096)
def _first_half(update_id: str) -> int:
    return _hash(f"update {update_id}")


def _hash(text: str) -> int:
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest()) or 1
