"""The newest events, for whoever listens now.

It is fed by the handler that records every event, so it costs no further reading of the log. With several
replicas of the gateway each replica's listeners see the events that this replica recorded.
"""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from patchline_gateway.sentences import summary_of
from patchline_schemas import Envelope, Event

KEPT = 2_000
"""Events kept for listeners whose connection broke."""
BEHIND = 10_000
"""A listener further behind than this loses the oldest, and is told."""


@dataclass(frozen=True, slots=True)
class Seen:
    """An event that passed."""

    topic: str
    envelope: Envelope
    event: Event
    body: bytes
    trace_id: str

    def shown(self) -> dict[str, Any]:
        """The event as a listener gets it."""
        envelope = self.envelope
        return {
            "topic": self.topic,
            "type": envelope.type,
            "time": envelope.time.isoformat().replace("+00:00", "Z"),
            "source": envelope.source,
            "subject": envelope.subject,
            "event_id": envelope.id,
            "cause_id": envelope.causationid,
            "trace_id": self.trace_id,
            "summary": summary_of(self.event),
            "data": json.loads(self.body),
        }


class Listener:
    """One who listens: a queue that forgets its oldest rather than grow without end."""

    def __init__(self, missed: Sequence[Seen]) -> None:
        self._waiting: deque[Seen] = deque(missed, maxlen=BEHIND)
        self._arrived = asyncio.Event()
        self.lost = 0

    def offer(self, event: Seen) -> None:
        """Queue an event."""
        self.lost += len(self._waiting) == BEHIND
        self._waiting.append(event)
        self._arrived.set()

    async def next(self, timeout: float) -> Seen | None:
        """The next event, or None after ``timeout`` seconds."""
        if not self._waiting:
            self._arrived.clear()
            try:
                async with asyncio.timeout(timeout):
                    await self._arrived.wait()
            except TimeoutError:
                return None
        return self._waiting.popleft()


class Tail:
    """The newest events, and those who listen."""

    def __init__(self) -> None:
        self._kept: dict[str, Seen] = {}
        self._listeners: set[Listener] = set()

    def offer(self, event: Seen) -> None:
        """An event passed. One that passes again (its handler ran twice) is not shown twice."""
        if event.envelope.id in self._kept:
            return
        self._kept[event.envelope.id] = event
        if len(self._kept) > KEPT:
            del self._kept[next(iter(self._kept))]
        for listener in self._listeners:
            listener.offer(event)

    @contextmanager
    def listen(self, after: str | None = None) -> Iterator[tuple[Listener, bool]]:
        """A listener, from the event ``after`` on, and whether some of what followed that is gone."""
        missed = self._since(after)
        listener = Listener(missed or ())
        self._listeners.add(listener)
        try:
            yield listener, after is not None and missed is None
        finally:
            self._listeners.discard(listener)

    def _since(self, after: str | None) -> list[Seen] | None:
        if after is None:
            return []
        if after not in self._kept:
            return None
        ids = list(self._kept)
        return [self._kept[id_] for id_ in ids[ids.index(after) + 1 :]]
