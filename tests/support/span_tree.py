"""Finished spans as a tree that a person can read and a test can compare."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_ON

from patchline_kit.telemetry import Telemetry
from patchline_kit.trace_ids import belongs_to

SHOWN = ("wave.id", "target.id", "trace.continues", "trace.caused_by", "outcome")
WITHOUT_EFFECT = ("Early", "RetryLater", "changed meanwhile")
"""How attempts end that are made again: how many there are is a matter of luck."""


class Spans:
    """The spans of the services that run with ``telemetry``."""

    def __init__(self) -> None:
        self._exporter = InMemorySpanExporter()
        self.telemetry = Telemetry({}, processors=(SimpleSpanProcessor(self._exporter),), sampler=ALWAYS_ON)

    def of_update(self, update_id: str) -> list[ReadableSpan]:
        """Those in traces of one update, without attempts that had no effect."""
        return [
            span
            for span in self._exporter.get_finished_spans()
            if belongs_to(span.context.trace_id, update_id)
            and not str(span.attributes.get("outcome", "")).startswith(WITHOUT_EFFECT)
        ]


def tree(spans: Iterable[ReadableSpan], update_id: str) -> str:
    """One line a span, below the span that led to it.

    Traces are numbered as they begin. Siblings are sorted, since those of different services run together.
    """
    spans = sorted(spans, key=lambda span: span.start_time)
    numbers = {
        each: f"trace {n}" for n, each in enumerate(dict.fromkeys(s.context.trace_id for s in spans), 1)
    }
    known = {span.context.span_id for span in spans}
    below: dict[object, list[ReadableSpan]] = defaultdict(list)
    for span in spans:
        parent = span.parent.span_id if span.parent and span.parent.span_id in known else None
        below[parent or span.context.trace_id].append(span)

    def lines(parent: object, depth: int) -> list[str]:
        found = []
        for span in below[parent]:
            found.append([_line(span, update_id, numbers, depth), *lines(span.context.span_id, depth + 1)])
        return [line for subtree in sorted(found) for line in subtree]

    return "\n".join(line for trace_id, name in numbers.items() for line in (f"{name}:", *lines(trace_id, 1)))


def _line(span: ReadableSpan, update_id: str, numbers: dict[int, str], depth: int) -> str:
    assert span.attributes.get("update.id", update_id) == update_id
    details = []
    for name in SHOWN:
        if value := span.attributes.get(name):
            text = str(value).replace(update_id, "UPDATE")
            if name.startswith("trace."):
                text = numbers.get(int(text, 16), "another trace")
            details.append(f"{name.removesuffix('.id')}={text}")
    if not span.status.is_ok:
        details.append(f"ERROR {span.status.description}")
    service = span.resource.attributes["service.name"]
    return f"{'  ' * depth}{service}: {span.name}" + (f" [{', '.join(details)}]" if details else "")
