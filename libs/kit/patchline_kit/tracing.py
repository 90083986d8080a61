"""Spans around what the kit runs, in the trace of the update that they are about."""

from __future__ import annotations

import re
import time
from abc import abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import Token
from datetime import datetime, timedelta
from functools import cache
from random import getrandbits
from typing import TYPE_CHECKING, Self

from opentelemetry import context as contexts
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, Sampler
from opentelemetry.trace import (
    INVALID_SPAN_ID,
    INVALID_TRACE_ID,
    Link,
    NonRecordingSpan,
    Span,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    Tracer,
)

from patchline_kit.documents import Document
from patchline_kit.subjects import NAMES, subjects
from patchline_kit.trace_ids import TraceIds, belongs_to, header_of, parse, trace_id_after
from patchline_schemas import Event, event_types

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from opentelemetry.util import types

NEW_TRACE_AFTER = timedelta(hours=1)
"""A step that follows its cause by more begins a trace of its own, linked to the old."""
URGENT = "patchline.urgent"
"""Attribute of a span that handles something urgent; the sampler keeps it."""
FAILED = "patchline.failed"
"""Attribute of a span that is made only because its step has failed."""
CONTINUES = "trace.continues"
CAUSED_BY = "trace.caused_by"
"""Attributes with the id of another trace, for a UI that shows no links: the one that was left after a long
wait, and the one in which a person or another update brought this step about."""
REASON_LENGTH = 500


def default_tracer() -> Tracer:
    """A tracer that makes real ids and exports nothing."""
    provider = TracerProvider(sampler=ALWAYS_OFF, id_generator=TraceIds(), shutdown_on_exit=False)
    return provider.get_tracer("patchline_kit")


class EarlySampler(Sampler):
    """A sampler that says what it keeps before a span is made; most are not, and making one costs time."""

    @abstractmethod
    def keeps(
        self,
        parent: SpanContext | None,
        trace_id: int,
        attributes: Mapping[str, types.AttributeValue],
        links: Sequence[Link],
    ) -> bool:
        """Whether the span is recorded; ``trace_id`` counts where there is no parent."""


class Step(Span):
    """A span that is opened as late as possible: once it is known which document the step is about.

    It is the current span from the beginning; who asks for its context, to log or to emit, opens it. A
    context manager for one use.

    ``about`` is the event, message or document in hand. ``parent`` is a W3C traceparent; ``parent_at`` is
    when it was written. Where there is none, all steps of the same ``seed`` (an event's id) begin the same
    trace. ``apart`` begins a trace in any case.
    """

    def __init__(
        self,
        tracer: Tracer,
        name: str,
        *,
        about: object = None,
        parent: str | None = None,
        parent_at: datetime | None = None,
        now: datetime,
        kind: SpanKind = SpanKind.INTERNAL,
        seed: str | None = None,
        urgent: bool = False,
        apart: bool = False,
    ) -> None:
        self._tracer = tracer
        self._name = name
        self._trigger = parse(parent)
        self._waited = _long_ago(parent_at, now)
        self._apart = apart
        self._seed = seed
        self._now = now
        self._kind = kind
        self._began = time.time_ns()
        self._attributes = subjects(about)
        if urgent:
            self._attributes[URGENT] = True
        self._about = self._attributes.get(NAMES["update"])
        self._document: Document | None = None
        self._own: str | None = None
        """The W3C traceparent of the document's own trace."""
        self._ids: tuple[int, int] | None = None
        self._span: Span | None = None
        """None while it is not open, and where it is dropped: then there are only ids."""
        self._parent: SpanContext | None = None
        self._links: list[Link] = []
        self._status: Status | None = None
        self._token: Token[Context] | None = None

    def __enter__(self) -> Self:
        self.enter()
        return self

    def __exit__(self, *_: object) -> None:
        self.leave()
        self.end()

    def enter(self) -> None:
        """Make this the current span, until :meth:`leave`; it may end later, when all is stored."""
        self._token = contexts.attach(trace.set_span_in_context(self))

    def leave(self) -> None:
        """Make the span before this one the current one again."""
        if self._token is not None:
            contexts.detach(self._token)

    def take_up(self, document: Document, header: str | None, saved_at: datetime | None) -> None:
        """The step is about ``document``, last saved by the span in ``header``: it goes on in its trace."""
        self._document = document
        self._own = None if _long_ago(saved_at, self._now) else header

    def get_span_context(self) -> SpanContext:
        """The span's ids; from now on it stays in its trace."""
        self._open()
        if self._span is not None:
            return self._span.get_span_context()
        trace_id, span_id = self._ids or (INVALID_TRACE_ID, INVALID_SPAN_ID)
        return SpanContext(trace_id, span_id, is_remote=False)

    def header(self) -> str:
        """The W3C traceparent; from now on the span stays in its trace."""
        self._open()
        if self._ids is not None and self._span is None:
            return f"00-{self._ids[0]:032x}-{self._ids[1]:016x}-00"
        return header_of(self.get_span_context())

    def set_attribute(self, key: str, value: types.AttributeValue) -> None:
        """See :class:`opentelemetry.trace.Span`."""
        self.set_attributes({key: value})

    def set_attributes(self, attributes: Mapping[str, types.AttributeValue]) -> None:
        """See :class:`opentelemetry.trace.Span`."""
        self._attributes.update(attributes)
        if self._span is not None:
            self._span.set_attributes(attributes)

    def add_event(self, name: str, attributes: types.Attributes = None, timestamp: int | None = None) -> None:
        """See :class:`opentelemetry.trace.Span`."""
        self._open()
        if self._span is not None:
            self._span.add_event(name, attributes, timestamp)

    def update_name(self, name: str) -> None:
        """See :class:`opentelemetry.trace.Span`."""
        self._name = name
        if self._span is not None:
            self._span.update_name(name)

    def is_recording(self) -> bool:
        """Whether anything set here may be seen by somebody; a step that fails always may."""
        return True

    def set_status(self, status: Status | StatusCode, description: str | None = None) -> None:
        """See :class:`opentelemetry.trace.Span`."""
        self._status = status if isinstance(status, Status) else Status(status, description)

    def record_exception(
        self,
        exception: BaseException,
        attributes: types.Attributes = None,
        timestamp: int | None = None,
        escaped: bool = False,
    ) -> None:
        """See :class:`opentelemetry.trace.Span`."""
        self._open()
        if self._span is not None:
            self._span.record_exception(exception, attributes, timestamp, escaped)

    def end(self, end_time: int | None = None) -> None:
        """End the span. One that was not sampled and has failed is made after all."""
        if _sampler(self._tracer) is ALWAYS_OFF:
            return
        self._open()
        span = self._span
        failed = self._status is not None and self._status.status_code is StatusCode.ERROR
        if failed and (span is None or not span.is_recording()):
            self._attributes[FAILED] = True
            span = self._started(self.get_span_context().trace_id)
        if span is not None and span.is_recording():
            if self._status is not None:
                span.set_status(self._status)
            span.end(end_time)

    def _open(self) -> None:
        if self._ids is not None or self._span is not None:
            return
        self._parent, trace_id, self._links = self._place()
        if self._dropped(trace_id):
            trace_id = self._parent.trace_id if self._parent else trace_id or getrandbits(128)
            self._ids = (trace_id, getrandbits(64))
        else:
            self._span = self._started(trace_id)

    def _dropped(self, trace_id: int | None) -> bool:
        """Whether it is clear before a span is made that nobody will see it."""
        sampler = _sampler(self._tracer)
        if sampler is ALWAYS_OFF:
            return True
        if isinstance(sampler, EarlySampler) and (trace_id or self._parent):
            return not sampler.keeps(self._parent, trace_id or 0, self._attributes, self._links)
        return False

    def _started(self, trace_id: int | None) -> Span:
        ids = getattr(self._tracer, "id_generator", None)
        if isinstance(ids, TraceIds):
            ids.next_trace_id = trace_id if self._parent is None else None
        return self._tracer.start_span(
            self._name,
            context=Context() if self._parent is None else _under(self._parent),
            links=self._links,
            attributes=self._attributes,
            kind=self._kind,
            start_time=self._began,
        )

    def _place(self) -> tuple[SpanContext | None, int | None, list[Link]]:
        """The parent (None for a root), the id of a trace that begins here, and the links."""
        trigger, update = self._trigger, None
        if self._document is not None:
            found = subjects(self._document)
            self._attributes.update(found)
            update = found.get(NAMES["update"])
        if trigger is None:
            own = None if update is None else parse(self._own)
            if own is not None:
                return own, None, []
            seed, update = self._seed, update or self._about
            return None, None if seed is None else trace_id_after(seed, update), []
        foreign = update is not None and not belongs_to(trigger.trace_id, update)
        if foreign and update is not None:
            own = parse(self._own)
            if own is not None and belongs_to(own.trace_id, update):
                return own, None, self._linked(trigger, CAUSED_BY)
        if foreign or self._apart or self._waited:
            reason = CAUSED_BY if foreign or self._apart else CONTINUES
            return None, trace_id_after(trigger, update or self._about), self._linked(trigger, reason)
        return trigger, None, []

    def _linked(self, other: SpanContext, reason: str) -> list[Link]:
        self._attributes[reason] = f"{other.trace_id:032x}"
        return [Link(other, {"reason": reason})]


def take_up(document: Document, header: str | None = None, saved_at: datetime | None = None) -> None:
    """Let the running step go on in the trace of the document that it has loaded or created."""
    span = trace.get_current_span()
    if isinstance(span, Step):
        span.take_up(document, header, saved_at)


@contextmanager
def after(header: str | None) -> Iterator[None]:
    """What is said and emitted in this block belongs to the trace of the span in ``header``, if any."""
    context = parse(header)
    if context is None:
        yield
        return
    with trace.use_span(NonRecordingSpan(context)):
        yield


def called(name: str) -> None:
    """Name the running step for what it turned out to do."""
    trace.get_current_span().update_name(name)


def failed(span: Span, error: BaseException) -> None:
    """Mark a span as failed, with the error's text."""
    span.set_status(Status(StatusCode.ERROR, f"{type(error).__name__}: {error}"[:REASON_LENGTH]))


def not_good(reason: str) -> None:
    """Mark the running step as one that ended in failure, though its handler did all that it should."""
    trace.get_current_span().set_status(Status(StatusCode.ERROR, reason[:REASON_LENGTH]))


def emitted(event: Event) -> None:
    """Mark the running step as failed if what it emits says so."""
    if _says_failure(type(event)):
        reason = getattr(event, "error", None) or getattr(event, "reason", None) or type(event).TYPE
        not_good(str(reason))


def traceparent(span: Span) -> str:
    """The W3C header that makes another span this one's child."""
    return span.header() if isinstance(span, Step) else header_of(span.get_span_context())


def current() -> str | None:
    """The W3C header of the running step; None where none runs."""
    context = trace.get_current_span().get_span_context()
    return header_of(context) if context.is_valid else None


@cache
def span_name(what: str) -> str:
    """``start WaveBackedUp`` as people say it: ``start waves.backed-up``."""
    handler, _, kind = what.partition(" ")
    topics = {event.__name__: event.TOPIC for event in event_types().values()}
    verb = handler.strip("_").replace("_", " ")
    if not kind:
        return verb
    if kind in topics:
        return f"{verb} {topics[kind]}"
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", kind).lower()
    if set(verb.split()) <= set(words.split()):
        return words
    return verb if verb.split()[-1] == words.split()[-1] else f"{verb} {words}"


@cache
def _says_failure(kind: type[Event]) -> bool:
    return kind.TOPIC.endswith("failed")


def _long_ago(then: datetime | None, now: datetime) -> bool:
    return then is not None and now - then > NEW_TRACE_AFTER


def _sampler(tracer: Tracer) -> Sampler | None:
    return getattr(tracer, "sampler", None)


def _under(parent: SpanContext) -> Context:
    return trace.set_span_in_context(NonRecordingSpan(parent))


__all__ = [
    "Step",
    "called",
    "default_tracer",
    "failed",
    "not_good",
    "parse",
    "take_up",
    "traceparent",
]
