"""A log that can be made to crash, and the events of the delivery tests."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from patchline_kit.transport.port import BatchHandler, Received, Subscription, Transport
from patchline_schemas import WireRecord
from patchline_schemas.feeds import AdvisoryPublished, UpdatePublished

Log = Callable[[], Transport]

RELEASED = datetime(2026, 1, 1, tzinfo=UTC)


def update(version: str = "1", *, component: str = "pkg:pypi/a", notes: str | None = None) -> UpdatePublished:
    """An event whose key is ``component``."""
    return UpdatePublished(
        update_id=component.rpartition("/")[2],
        vendor="vendor",
        component=component,
        version=version,
        kind="bugfix",
        released_at=RELEASED,
        notes_url=notes,
    )


def advisory(version: str = "1", *, component: str = "pkg:pypi/a") -> AdvisoryPublished:
    """What the services of the delivery tests emit."""
    return AdvisoryPublished(
        update_id=component.rpartition("/")[2],
        vendor="vendor",
        component=component,
        version=version,
        advisories=(),
    )


class Crashing:
    """A transport that can be stopped where a crash would hurt: the harness's ``kill`` ends what hangs."""

    def __init__(self, inner: Transport) -> None:
        self._inner = inner
        self.before_publish = Gate()
        self.after_publish = Gate()
        self.after_batch = Gate()

    async def start(self) -> None:
        await self._inner.start()

    async def stop(self) -> None:
        for gate in (self.before_publish, self.after_publish, self.after_batch):
            gate.drop()
        await self._inner.stop()

    async def publish(self, records: Sequence[WireRecord]) -> None:
        await self.before_publish.passed()
        await self._inner.publish(records)
        await self.after_publish.passed()

    async def subscribe(
        self, group: str, topics: Sequence[str], handler: BatchHandler, *, from_end: bool = False
    ) -> Subscription:
        async def held_back(records: Sequence[Received]) -> None:
            await handler(records)
            await self.after_batch.passed()

        return await self._inner.subscribe(group, topics, held_back, from_end=from_end)

    async def forget(self, group: str) -> None:
        await self._inner.forget(group)

    async def read(self, topic: str, *, after: int | None = None, limit: int = 100) -> Sequence[Received]:
        return await self._inner.read(topic, after=after, limit=limit)


class Gate:
    """Open until it is closed; tells when somebody stands before it."""

    def __init__(self) -> None:
        self._open = asyncio.Event()
        self._open.set()
        self._reached = asyncio.Event()
        self._dropped = False

    def close(self) -> None:
        self._open.clear()
        self._reached.clear()

    def open(self) -> None:
        self._open.set()

    def drop(self) -> None:
        """Let nobody through any more: the process is gone."""
        self._dropped = not self._open.is_set()
        self._open.set()

    async def passed(self) -> None:
        if not self._open.is_set():
            self._reached.set()
            await self._open.wait()
            if self._dropped:
                raise asyncio.CancelledError

    async def reached(self) -> None:
        """Return when somebody stands before the closed gate."""
        await asyncio.wait_for(self._reached.wait(), 10)
