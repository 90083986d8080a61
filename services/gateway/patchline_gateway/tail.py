"""The newest events of all topics, for whoever listens now.

The log is read only while somebody listens, and a while longer, so that a listener whose connection broke
misses nothing when it comes back.
"""

from __future__ import annotations

import asyncio
import json
import uuid
from collections import deque
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from patchline_gateway.sentences import summary_of
from patchline_gateway.traces import trace_of
from patchline_kit.transport.port import Received, Subscription, Transport
from patchline_schemas import EnvelopeError, decode, event_types

KEPT = 10_000
"""Events kept for listeners that come back."""
BEHIND = 10_000
"""A listener further behind than this loses the oldest, and is told."""
LINGER = 120.0
"""Seconds that the log is still read after the last listener left."""


@dataclass(frozen=True, slots=True)
class Seen:
    """An event as a listener gets it."""

    id: str
    topic: str
    time: datetime
    type: str | None
    source: str | None
    subject: str | None
    cause_id: str | None
    trace_id: str | None
    summary: str
    data: Any


def seen(record: Received) -> Seen:
    """A record as a listener gets it; what cannot be read is shown too, with what is wrong."""
    try:
        envelope, event = decode(record.headers, record.value)
    except EnvelopeError as error:
        place = f"{record.topic}/{record.partition}/{record.offset}"
        return Seen(place, record.topic, record.timestamp, None, None, None, None, None, str(error), None)
    return Seen(
        id=envelope.id,
        topic=record.topic,
        time=envelope.time,
        type=envelope.type,
        source=envelope.source,
        subject=envelope.subject,
        cause_id=envelope.causationid,
        trace_id=trace_of(envelope),
        summary=summary_of(event),
        data=json.loads(record.value),
    )


class Listener:
    """One who listens: a queue that forgets its oldest rather than grow without end."""

    def __init__(self, missed: Sequence[Seen]) -> None:
        self._waiting: deque[Seen] = deque(missed, maxlen=BEHIND)
        self._arrived = asyncio.Event()
        if missed:
            self._arrived.set()
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
    """Reads all topics from their ends while there are listeners."""

    def __init__(self, transport: Transport, *, linger: float = LINGER) -> None:
        self._transport = transport
        self._linger = linger
        self._kept: deque[Seen] = deque(maxlen=KEPT)
        self._listeners: set[Listener] = set()
        self._subscription: Subscription | None = None
        self._starting = asyncio.Lock()
        self._ending: asyncio.Task[None] | None = None

    @asynccontextmanager
    async def listen(self, after: str | None = None) -> AsyncIterator[tuple[Listener, bool]]:
        """A listener, with the events since the one named ``after``, and whether any may be missing."""
        await self._start()
        missed = self._since(after)
        listener = Listener(missed or ())
        self._listeners.add(listener)
        try:
            yield listener, after is not None and missed is None
        finally:
            self._listeners.discard(listener)
            if not self._listeners:
                self._ending = asyncio.create_task(self._stop_later())

    async def close(self) -> None:
        """Stop reading."""
        if self._ending:
            self._ending.cancel()
        if self._subscription:
            await self._subscription.stop()
            self._subscription = None

    def _since(self, after: str | None) -> list[Seen] | None:
        """What came after an event; None when it is not among those kept."""
        if after is None:
            return []
        kept = list(self._kept)
        place = next((index for index, event in enumerate(kept) if event.id == after), None)
        return None if place is None else kept[place + 1 :]

    async def _start(self) -> None:
        async with self._starting:
            if self._ending:
                self._ending.cancel()
                self._ending = None
            if self._subscription is None:
                topics = sorted({topic for kind in event_types().values() for topic in kind.topics()})
                group = f"gateway-tail-{uuid.uuid4()}"
                self._kept.clear()
                self._subscription = await self._transport.subscribe(group, topics, self._take, from_end=True)

    async def _stop_later(self) -> None:
        await asyncio.sleep(self._linger)
        async with self._starting:
            if self._subscription and not self._listeners:
                subscription, self._subscription = self._subscription, None
                await subscription.stop()

    async def _take(self, records: Sequence[Received]) -> None:
        for record in records:
            event = seen(record)
            self._kept.append(event)
            for listener in self._listeners:
                listener.offer(event)
