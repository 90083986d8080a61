"""Which traces are kept where nobody says otherwise: some of the routine, all that is urgent or failed.

The ledger keeps every event either way.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.sdk.trace.sampling import Decision, SamplingResult
from opentelemetry.trace import Link, SpanContext, SpanKind, TraceState
from opentelemetry.util.types import Attributes, AttributeValue

from patchline_kit.trace_ids import HALF
from patchline_kit.tracing import CONTINUES, FAILED, URGENT, EarlySampler

ROUTINE_SHARE = 0.1
"""Of the updates, each with all its traces; and of the traces that are about no update."""


class PatchlineSampler(EarlySampler):
    """Keeps a trace that is kept already, ``share`` of the others, and every urgent or failed step.

    The share is drawn by the half of the trace's id that follows from the update, so that an update is seen
    whole or not at all. From its first urgent step on, all that follows from it is kept.
    """

    def __init__(self, share: float = ROUTINE_SHARE) -> None:
        self._share = share
        self._bound = round(share * (1 << HALF))

    def keeps(
        self,
        parent: SpanContext | None,
        trace_id: int,
        attributes: Mapping[str, AttributeValue],
        links: Sequence[Link],
    ) -> bool:
        """See :class:`patchline_kit.tracing.EarlySampler`."""
        if URGENT in attributes or FAILED in attributes:
            return True
        if parent is not None and parent.is_valid:
            return parent.trace_flags.sampled
        if CONTINUES in attributes and links:
            return links[0].context.trace_flags.sampled
        return trace_id >> HALF < self._bound

    def should_sample(  # noqa: PLR0917  # as OpenTelemetry has it
        self,
        parent_context: Context | None,
        trace_id: int,
        name: str,
        kind: SpanKind | None = None,
        attributes: Attributes = None,
        links: Sequence[Link] | None = None,
        trace_state: TraceState | None = None,
    ) -> SamplingResult:
        """See :class:`opentelemetry.sdk.trace.sampling.Sampler`."""
        parent = trace.get_current_span(parent_context).get_span_context()
        kept = self.keeps(parent, trace_id, attributes or {}, links or ())
        decision = Decision.RECORD_AND_SAMPLE if kept else Decision.DROP
        return SamplingResult(decision, attributes if kept else None)

    def get_description(self) -> str:
        """See :class:`opentelemetry.sdk.trace.sampling.Sampler`."""
        return f"Patchline({self._share:g} of routine updates, all urgent and all failed steps)"
