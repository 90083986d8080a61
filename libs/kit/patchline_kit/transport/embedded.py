"""The embedded log: records of all topics in one SQLite file, for one machine.

Several processes may publish and read at the same time. A group has one active reader, who holds an advisory
lock on a file of the group; the lock dies with its process, and a member that stands by takes over.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

from patchline_kit.clock import Clock, SystemClock
from patchline_kit.transport.embedded_log import LogFile
from patchline_kit.transport.embedded_member import EmbeddedSubscription
from patchline_kit.transport.port import BatchHandler, Received, Subscription, TransportError
from patchline_kit.transport.topics import Topic, declared_topics
from patchline_schemas import WireRecord

LOOK_SECONDS = 0.02
"""How often a process looks whether another has appended; what it appends itself it knows at once."""
PRUNE_SECONDS = 3600.0

log = logging.getLogger(__name__)


class EmbeddedTransport:
    """The embedded log at ``path``; implements :class:`patchline_kit.transport.port.Transport`.

    Records that all groups of their topic have passed are deleted after the time that ``topics`` gives them;
    those of a topic it does not name are kept. ``grace`` is how many seconds a batch in hand may take to
    finish at stop.
    """

    def __init__(
        self,
        path: Path,
        *,
        clock: Clock | None = None,
        topics: Mapping[str, Topic] | None = None,
        grace: float = 10.0,
    ) -> None:
        self._path = path
        self._clock = clock or SystemClock()
        self._topics = declared_topics() if topics is None else topics
        self._grace = grace
        self._file: LogFile | None = None
        self._members: list[EmbeddedSubscription] = []
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Open the file, making it if need be."""
        if self._file is not None:
            return
        self._file = LogFile(self._path, now=self._clock.now, on_append=self._wake_members)
        self._tasks = [
            asyncio.create_task(self._watch(), name="embedded log: watch"),
            asyncio.create_task(self._prune_now_and_then(), name="embedded log: prune"),
        ]

    async def stop(self) -> None:
        """Stop every member, finish what was accepted, and close the file."""
        await asyncio.gather(*(member.stop() for member in list(self._members)))
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks = []
        if self._file is not None:
            await self._file.close()
            self._file = None

    async def publish(self, records: Sequence[WireRecord]) -> None:
        """Append ``records`` as a whole or not at all; durable on return."""
        if records:
            await self._opened().append(records)

    async def subscribe(
        self, group: str, topics: Sequence[str], handler: BatchHandler, *, from_end: bool = False
    ) -> Subscription:
        """Read ``topics`` as a member of ``group``; stands by while another member is active."""
        file = self._opened()
        lock = self._path.with_name(f"{self._path.name}.groups") / f"{group.replace('/', '_')}.lock"
        member = EmbeddedSubscription(
            file=file,
            lock=lock,
            group=group,
            topics=tuple(dict.fromkeys(topics)),
            handler=handler,
            from_end=from_end,
            grace=self._grace,
            members=self._members,
        )
        await member.start()
        return member

    async def forget(self, group: str) -> None:
        """Delete the group's positions, which would keep records from being pruned."""
        await self._opened().forget(group)

    async def read(self, topic: str, *, after: int | None = None, limit: int = 100) -> Sequence[Received]:
        """Up to ``limit`` records of a topic, without a group."""
        start = -1 if after is None else after
        return self._opened().after({topic: start}, limit=limit, most_bytes=1 << 62)

    async def prune(self) -> int:
        """Delete what retention allows, now; how many records."""
        return await self._opened().prune(self._topics)

    def _opened(self) -> LogFile:
        if self._file is None:
            raise TransportError(f"the embedded log {self._path} is not started")
        return self._file

    def _wake_members(self) -> None:
        for member in self._members:
            member.wake()

    async def _watch(self) -> None:
        file = self._opened()
        seen = file.changes()
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            try:
                now = file.changes()
            except TransportError as error:
                log.warning("%s", error)
                await asyncio.sleep(1.0)
                continue
            if now != seen:
                seen = now
                self._wake_members()

    async def _prune_now_and_then(self) -> None:
        while True:
            try:
                await self.prune()
            except TransportError as error:
                log.warning("old records stay for now: %s", error)
            await asyncio.sleep(PRUNE_SECONDS)
