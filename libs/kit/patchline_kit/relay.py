"""From the outbox to the topics, and from document to document of one service.

A document's entries go out in order, the next only after the one before is acknowledged; those of
different documents go together, urgent ones first. What a save emits is handed over in memory; the store is
read only for what a crash or another replica left.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from functools import partial

from patchline_kit.core import Core
from patchline_kit.dead_letters import TooManyDeadLetters
from patchline_kit.store.port import Pending, Save, Saved, StoreError
from patchline_kit.transport.port import Transport, TransportError
from patchline_kit.urgency import is_urgent
from patchline_schemas import WireRecord

DocumentKey = tuple[str, str]

SENDS_AT_ONCE = 8
ENTRIES_PER_SEND = 500
BACKLOG_FOR_ROOM = 5_000
"""Above so many waiting entries no further records are taken."""
SWEEP_SECONDS = 10.0
"""An entry that lies in the store at two sweeps in a row belongs to nobody who lives."""
FIRST_BACKOFF, LONGEST_BACKOFF = 0.05, 5.0
"""Seconds between attempts while the log or the store cannot be reached (real time: the outside world's)."""
BEHIND_SECONDS = 10.0
"""An outage of this length makes the service not ready."""


class Relay:
    """Sends what saves have put into the outbox; see the module."""

    def __init__(
        self, core: Core, transport: Transport, deliver: Callable[[Pending], Awaitable[None]]
    ) -> None:
        self._core = core
        self._transport = transport
        self._deliver = deliver
        self._queues: dict[DocumentKey, deque[Pending]] = {}
        self._ready: dict[DocumentKey, None] = {}
        self._urgent_ready: dict[DocumentKey, None] = {}
        self._urgent: set[DocumentKey] = set()
        """Documents with something urgent to send, were it behind something routine."""
        self._busy: set[DocumentKey] = set()
        self._reload: set[DocumentKey] = set()
        self._uncleared: dict[DocumentKey, set[int]] = {}
        self._count = 0
        self._seen_once: set[int] = set()
        self._work = asyncio.Event()
        self._room = asyncio.Event()
        self._sends: set[asyncio.Task[None]] = set()
        self._loops: list[asyncio.Task[None]] = []
        self._failures: dict[object, tuple[float, str]] = {}
        """Acts that do not succeed: since when, by the monotonic clock, and why; the oldest comes first."""

    @property
    def backlog(self) -> int:
        """How many entries are known not to be cleared yet."""
        return self._count + len(self._reload)

    @property
    def failing(self) -> str | None:
        """Why nothing goes out, while that is so."""
        return next((why for _since, why in self._failures.values()), None)

    @property
    def behind(self) -> bool:
        """Whether the log, or the store, has been out of reach for long."""
        since = next((since for since, _why in self._failures.values()), None)
        return since is not None and self._core.clock.monotonic() - since >= BEHIND_SECONDS

    async def start(self) -> None:
        """Begin with what the last run left."""
        await self._sweep(at_once=True)
        self._loops = [
            asyncio.create_task(self._send_forever()),
            asyncio.create_task(self._sweep_forever()),
        ]

    async def stop(self, *, grace: float) -> None:
        """Send what is queued within ``grace`` seconds; the rest stays in the store."""
        try:
            async with asyncio.timeout(grace):
                while self.backlog and self.failing is None:
                    with self._core.activity.watch() as changed:
                        await changed.wait()
        except TimeoutError:
            self._core.log.info("%d events stay in the outbox until the next start", self.backlog)
        await self.kill()

    async def kill(self) -> None:
        """Stop at once."""
        tasks = [*self._loops, *self._sends]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def room(self) -> None:
        """Return when the backlog is small enough to take more records."""
        while self.backlog > BACKLOG_FOR_ROOM:
            self._room.clear()
            await self._room.wait()

    def accept(self, save: Save, saved: Saved) -> None:
        """Take over what a save has put into the outbox."""
        if not saved.pending:
            return
        document = (save.collection, save.id)
        known = self._uncleared.get(document, set())
        if not known.issuperset(saved.earlier):
            self.reload(document)
        else:
            self._enqueue(document, saved.pending)

    def reload(self, document: DocumentKey) -> None:
        """Send whatever the store still holds of a document."""
        self._reload.add(document)
        if document not in self._busy:
            self._make_ready(document)

    def _enqueue(self, document: DocumentKey, entries: Sequence[Pending]) -> None:
        uncleared = self._uncleared.setdefault(document, set())
        queue = self._queues.setdefault(document, deque())
        for entry in entries:
            if entry.sequence not in uncleared:
                uncleared.add(entry.sequence)
                self._count += 1
                queue.append(entry)
                if is_urgent(entry.outgoing):
                    self._urgent.add(document)
        if queue and document not in self._busy:
            self._make_ready(document)

    def _make_ready(self, document: DocumentKey) -> None:
        if document in self._urgent:
            self._ready.pop(document, None)
            self._urgent_ready[document] = None
        else:
            self._ready[document] = None
        self._work.set()

    async def _send_forever(self) -> None:
        while True:
            await self._work.wait()
            self._work.clear()
            while batch := self._take():
                task = asyncio.create_task(self._send(batch))
                self._sends.add(task)
                task.add_done_callback(self._sent)

    def _sent(self, task: asyncio.Task[None]) -> None:
        self._sends.discard(task)
        self._work.set()
        if not task.cancelled() and task.exception() is not None:
            self._core.fail("the relay", task.exception())

    def _take(self) -> dict[DocumentKey, list[Pending]]:
        """The next entries of ready documents, each document's only up to where it must wait.

        Those of urgent documents first and by themselves, and in one send more than there are for others.
        """
        ready = self._urgent_ready or self._ready
        batch: dict[DocumentKey, list[Pending]] = {}
        size = 0
        if len(self._sends) >= SENDS_AT_ONCE + bool(self._urgent_ready):
            return batch
        while ready and size < ENTRIES_PER_SEND:
            document = next(iter(ready))
            del ready[document]
            queue = self._queues.get(document)
            entries = _first_run(queue) if queue and document not in self._reload else []
            self._busy.add(document)
            batch[document] = entries
            size += max(1, len(entries))
        return batch

    async def _send(self, batch: dict[DocumentKey, list[Pending]]) -> None:
        events: dict[DocumentKey, list[Pending]] = {}
        steps: list[Awaitable[None]] = []
        for document, entries in batch.items():
            if not entries:
                steps.append(self._patiently(partial(self._load, document)))
            elif entries[0].outgoing.topic is None:
                steps.append(self._hand_over(document, entries))
            else:
                events[document] = entries
        if events:
            steps.append(self._publish(events))
        await asyncio.gather(*steps)

    async def _hand_over(self, document: DocumentKey, entries: Sequence[Pending]) -> None:
        await asyncio.gather(*(self._patiently(partial(self._deliver, entry)) for entry in entries))
        self._free(document, sent=len(entries))
        await self._clear(entries)

    async def _publish(self, events: dict[DocumentKey, list[Pending]]) -> None:
        entries = [entry for run in events.values() for entry in run]
        records = [
            WireRecord(
                topic=entry.outgoing.topic or "",
                key=entry.outgoing.key,
                headers=entry.outgoing.headers,
                value=entry.outgoing.value,
            )
            for entry in entries
        ]
        await self._patiently(lambda: self._transport.publish(records))
        for document, run in events.items():
            self._free(document, sent=len(run))
        await self._clear(entries)

    async def _clear(self, entries: Sequence[Pending]) -> None:
        await self._patiently(lambda: self._core.store.clear(entries))
        for entry in entries:
            document = (entry.collection, entry.document_id)
            uncleared = self._uncleared.get(document, set())
            if entry.sequence in uncleared:
                uncleared.discard(entry.sequence)
                self._count -= 1
            self._forget_if_empty(document)
        if self.backlog <= BACKLOG_FOR_ROOM:
            self._room.set()
        self._core.activity.pulse()

    def _free(self, document: DocumentKey, *, sent: int = 0) -> None:
        queue = self._queues.get(document)
        if queue is not None:
            for _ in range(sent):
                queue.popleft()
        self._busy.discard(document)
        if queue or document in self._reload:
            self._make_ready(document)

    def _forget_if_empty(self, document: DocumentKey) -> None:
        if not self._uncleared.get(document):
            self._uncleared.pop(document, None)
            if not self._queues.get(document):
                self._queues.pop(document, None)
                self._urgent.discard(document)

    async def _load(self, document: DocumentKey) -> None:
        """Merge what the store holds of a document into its queue; what is sent but not cleared stays out."""
        self._reload.discard(document)
        after, found = 0, {}
        while entries := await self._core.store.pending(document=document, after=after):
            after = entries[-1].sequence
            found.update({entry.sequence: entry for entry in entries})
        queue = self._queues.setdefault(document, deque())
        uncleared = self._uncleared.setdefault(document, set())
        merged = {entry.sequence: entry for entry in queue}
        merged.update({sequence: entry for sequence, entry in found.items() if sequence not in uncleared})
        self._count += len(merged.keys() - uncleared)
        uncleared.update(merged)
        self._queues[document] = deque(merged[sequence] for sequence in sorted(merged))
        if any(is_urgent(entry.outgoing) for entry in merged.values()):
            self._urgent.add(document)
        self._free(document)
        self._forget_if_empty(document)
        self._core.activity.pulse()

    async def _patiently(self, act: Callable[[], Awaitable[None]]) -> None:
        """Act until it works: the log, or the store, comes back."""
        backoff = FIRST_BACKOFF
        this = object()
        try:
            while True:
                try:
                    await act()
                except (TransportError, StoreError, TooManyDeadLetters) as error:
                    if not self._failures:
                        self._core.log.warning("nothing goes out: %s", error)
                    since, _why = self._failures.get(this, (self._core.clock.monotonic(), ""))
                    self._failures[this] = since, str(error)
                    await asyncio.sleep(backoff)
                    backoff = min(2 * backoff, LONGEST_BACKOFF)
                else:
                    break
        finally:
            if self._failures.pop(this, None) and not self._failures:
                self._core.log.info("events go out again")

    async def _sweep_forever(self) -> None:
        while True:
            await self._core.clock.sleep(SWEEP_SECONDS)
            await self._patiently(self._sweep)

    async def _sweep(self, *, at_once: bool = False) -> None:
        """Take up entries that nobody is sending."""
        after, seen = 0, set()
        while entries := await self._core.store.pending(after=after):
            after = entries[-1].sequence
            for entry in entries:
                document = (entry.collection, entry.document_id)
                if entry.sequence in self._uncleared.get(document, ()):
                    continue
                if at_once or entry.sequence in self._seen_once:
                    self.reload(document)
                else:
                    seen.add(entry.sequence)
        self._seen_once = seen


def _first_run(queue: deque[Pending]) -> list[Pending]:
    """The entries at the head that may go together: of one topic and key, or to different receivers."""
    first = queue[0].outgoing
    run: list[Pending] = []
    receivers: set[bytes] = set()
    for entry in queue:
        outgoing = entry.outgoing
        if outgoing.topic != first.topic or len(run) == ENTRIES_PER_SEND:
            break
        if outgoing.topic is None:
            if outgoing.key in receivers:
                break
            receivers.add(outgoing.key)
        elif outgoing.key != first.key:
            break
        run.append(entry)
    return run
