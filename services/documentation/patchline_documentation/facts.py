"""Entries of the ledger as decoded facts, and their order: cause before effect."""

from __future__ import annotations

import heapq
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from patchline_kit.ledger import LedgerLine
from patchline_schemas import EnvelopeError, Event, decode
from patchline_schemas.envelope import read_envelope
from patchline_schemas.waves import WaveEvent

WAVE_ROUND = re.compile(r"\.r(\d+)\.w\d+$")


@dataclass(frozen=True, slots=True)
class Fact:
    """An event of the ledger."""

    id: str
    time: datetime
    source: str
    type: str
    cause_id: str | None
    trace_id: str | None
    chain: str
    sequence: int
    hash: str
    event: Event | None
    """None when its type or body is not one that this version knows."""
    update_id: str | None
    """The update that the ledger files it under."""

    @property
    def round(self) -> int | None:
        """The round that it belongs to; None when it belongs to the update as a whole."""
        if isinstance(self.event, WaveEvent):
            return self.event.order.round
        found = getattr(self.event, "round", None)
        if isinstance(found, int):
            return found
        wave = WAVE_ROUND.search(getattr(self.event, "wave_id", None) or "")
        return int(wave.group(1)) if wave else None


def fact_of(line: LedgerLine, update_id: str | None) -> Fact:
    """The fact that an entry of the ledger holds."""
    headers = tuple((name, text.encode()) for name, text in line.headers)
    value = line.body.encode()
    event: Event | None
    try:
        envelope, event = decode(headers, value)
    except EnvelopeError:
        (envelope, _body), event = read_envelope(headers, value), None
    return Fact(
        id=envelope.id,
        time=envelope.time,
        source=envelope.source,
        type=envelope.type,
        cause_id=envelope.causationid,
        trace_id=envelope.traceparent.split("-")[1] if envelope.traceparent else None,
        chain=line.chain,
        sequence=line.sequence,
        hash=line.hash,
        event=event,
        update_id=update_id,
    )


def missing_cause(facts: Iterable[Fact], ending_id: str, update_id: str) -> str | None:
    """The first id, back from an update's ending, of a cause that is not among the facts; None if none is.

    Causes are not followed through facts of another update: what led to those is in its own report.
    """
    by_id = {fact.id: fact for fact in facts}
    seen: set[str] = set()
    next_id: str | None = ending_id
    while next_id and next_id not in seen:
        seen.add(next_id)
        fact = by_id.get(next_id)
        if fact is None:
            return next_id
        next_id = fact.cause_id if fact.update_id in (None, update_id) else None
    return None


def in_causal_order(facts: Iterable[Fact]) -> list[Fact]:
    """Cause before effect; those that do not follow from one another by time, then by place in the ledger.

    Clocks of services differ, so time alone would put an effect before its cause.
    """
    by_id = {fact.id: fact for fact in facts}
    effects: dict[str, list[Fact]] = {}
    ready: list[tuple[datetime, str, int, str]] = []
    for fact in by_id.values():
        if fact.cause_id in by_id and fact.cause_id != fact.id:
            effects.setdefault(fact.cause_id or "", []).append(fact)
        else:
            heapq.heappush(ready, _place(fact))
    ordered: list[Fact] = []
    while ready:
        fact = by_id[heapq.heappop(ready)[-1]]
        ordered.append(fact)
        for effect in effects.pop(fact.id, ()):
            heapq.heappush(ready, _place(effect))
    circular = [fact for waiting in effects.values() for fact in waiting]
    return ordered + sorted(circular, key=_place)


def of_round(facts: Iterable[Fact], round_: int) -> list[Fact]:
    """Those of one round, and those of the update as a whole."""
    return [fact for fact in facts if fact.round in (None, round_)]


def _place(fact: Fact) -> tuple[datetime, str, int, str]:
    return (fact.time, fact.chain, fact.sequence, fact.id)
