"""An update's history in the order in which one thing led to another."""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Protocol, TypeVar


class Caused(Protocol):
    """What the order rests on."""

    id: str
    time: datetime
    cause_id: str | None


C = TypeVar("C", bound=Caused)


def cause_before_effect(entries: Iterable[C]) -> list[C]:
    """The entries, each after the one that caused it, otherwise by time.

    Clocks of two services may differ, so time alone could show an effect before its cause. A cause that is
    not among the entries does not matter; entries that claim to cause each other come last, by time.
    """
    by_id = {entry.id: entry for entry in entries}
    effects: dict[str, list[str]] = defaultdict(list)
    ready: list[tuple[datetime, str]] = []
    for entry in by_id.values():
        if entry.cause_id in by_id and entry.cause_id != entry.id:
            effects[str(entry.cause_id)].append(entry.id)
        else:
            ready.append((entry.time, entry.id))
    heapq.heapify(ready)
    ordered: list[C] = []
    while ready:
        _, id_ = heapq.heappop(ready)
        ordered.append(by_id.pop(id_))
        for effect in effects[id_]:
            heapq.heappush(ready, (by_id[effect].time, effect))
    return ordered + sorted(by_id.values(), key=lambda entry: (entry.time, entry.id))


def traces_of(trace_ids: Sequence[str]) -> list[str]:
    """The distinct traces, in the order of their first event."""
    return list(dict.fromkeys(trace_ids))
